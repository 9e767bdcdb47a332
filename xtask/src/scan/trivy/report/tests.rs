use serde_json::{Value, json};

use super::*;
use crate::scan::{Kind, Severity};

fn report() -> Value {
    json!({
        "SchemaVersion": 2, "ArtifactName": "layout", "ArtifactType": "container_image",
        "Metadata": {"ImageID": Digest::of(b"config"), "ImageConfig": {"architecture": "arm", "os": "linux", "variant": "v7"}},
        "Results": [
            {"Target": "alpine 3.22", "Class": "os-pkgs", "Type": "alpine", "Vulnerabilities": [
                {"VulnerabilityID": "CVE-2026-2", "PkgName": "libssl3", "InstalledVersion": "3.5.0-r0", "FixedVersion": "3.5.1-r0",
                 "Severity": "CRITICAL", "Description": "A flaw.\nMore."}]},
            {"Target": "usr/local/bin/gate", "Class": "lang-pkgs", "Type": "gobinary",
             "Packages": [{"Name": "stdlib", "Identifier": {"PURL": "pkg:golang/stdlib@v1.26.8"}}],
             "Vulnerabilities": [
                {"VulnerabilityID": "CVE-2026-1", "VendorIDs": ["GHSA-1"], "PkgName": "stdlib", "InstalledVersion": "v1.26.8",
                 "FixedVersion": "1.25.12, 1.26.9, 1.27.3", "Severity": "HIGH", "Title": "net/http: a flaw"}],
             "ExperimentalModifiedFindings": [
                {"Type": "vulnerability", "Status": "not_affected", "Statement": "vulnerable_code_not_present", "Source": "vex.json",
                 "Finding": {"VulnerabilityID": "CVE-2026-3", "PkgName": "golang.org/x/net", "InstalledVersion": "v0.15.0",
                             "FixedVersion": "0.33.0", "Severity": "HIGH"}}]},
            {"Target": "/etc/app.env", "Class": "secret", "Secrets": [
                {"RuleID": "github-pat", "Category": "GitHub", "Severity": "CRITICAL", "Title": "GitHub Personal Access Token",
                 "StartLine": 4, "EndLine": 4, "Match": "TOKEN=****"}]},
            {"Target": "layout", "Class": "secret", "Secrets": [
                {"RuleID": "github-pat", "Category": "GitHub", "Severity": "CRITICAL", "Title": "GitHub Personal Access Token",
                 "StartLine": 13, "EndLine": 13, "Match": "TOKEN=****"}]},
            {"Target": "Node.js", "Class": "license", "Licenses": [
                {"Severity": "CRITICAL", "Category": "forbidden", "PkgName": "y", "FilePath": "app/y/package.json",
                 "Name": "AGPL-3.0-only", "Confidence": 1}]}
        ]
    })
}

fn read(report: &Value) -> Result<Vec<Hit>, String> {
    let platform: Platform = "linux/arm/v7".parse().unwrap();
    parse(report.to_string().as_bytes(), &Subject::Image { config: Digest::of(b"config"), platform: &platform })
}

fn hit(id: &str) -> Hit {
    read(&report()).unwrap().into_iter().find(|hit| hit.finding.id == id).unwrap()
}

#[test]
fn a_vulnerability_has_its_severity_place_and_nearest_fix() {
    let (base, program) = (hit("CVE-2026-2"), hit("CVE-2026-1"));
    assert_eq!((base.target.as_str(), program.target.as_str()), ("alpine 3.22", "usr/local/bin/gate"));
    let (base, program) = (base.finding, program.finding);
    assert_eq!((base.severity, base.summary.as_str(), base.reachable), (Severity::Critical, "A flaw.", None));
    assert_eq!(base.fix.as_deref(), Some("set build.base in release.toml to an image with libssl3 3.5.1-r0"));
    assert_eq!(
        (program.fixed.as_deref(), program.aliases.as_slice()),
        (Some("1.26.9"), ["GHSA-1".to_owned()].as_slice())
    );
    assert_eq!(program.fix.as_deref(), Some("set tools.go = \"1.26.9\" in release.toml"));
    assert_eq!(program.location.as_deref(), Some("usr/local/bin/gate"));
}

#[test]
fn a_secret_has_file_and_line_and_not_its_text() {
    let found = read(&report()).unwrap();
    let secrets: Vec<_> = found.iter().filter(|hit| hit.finding.kind == Kind::Secret).collect();
    let places: Vec<_> = secrets.iter().filter_map(|hit| hit.finding.location.as_deref()).collect();
    assert_eq!(places, ["etc/app.env:4", "the image's configuration:13"]);
    assert!(!format!("{secrets:?}").contains("TOKEN"), "{secrets:?}");
}

#[test]
fn a_licence_has_its_name_and_file() {
    let licence = hit("AGPL-3.0-only").finding;
    assert_eq!((licence.kind, licence.package.as_str(), licence.severity), (Kind::Licence, "y", Severity::Critical));
    assert_eq!(licence.location.as_deref(), Some("app/y/package.json"));
}

#[test]
fn what_was_set_aside_is_there_with_its_reason() {
    let aside = hit("CVE-2026-3").finding;
    assert_eq!(aside.set_aside.as_deref(), Some("not_affected: vulnerable_code_not_present (vex.json)"));
    assert_eq!((aside.package.as_str(), aside.severity), ("golang.org/x/net", Severity::High));
    let others = read(&report()).unwrap().into_iter().filter(|hit| hit.finding.set_aside.is_some()).count();
    assert_eq!(others, 1);
}

#[test]
fn a_report_about_anything_else_is_an_error() {
    for (pointer, value) in [
        ("/SchemaVersion", json!(1)),
        ("/ArtifactType", json!("filesystem")),
        ("/ArtifactType", json!("cyclonedx")),
        ("/Metadata/ImageID", json!(Digest::of(b"another"))),
        ("/Metadata/ImageConfig/architecture", json!("amd64")),
        ("/Metadata/ImageConfig/variant", json!("v6")),
        ("/Metadata/ImageConfig/os", json!("windows")),
        ("/Metadata", json!({})),
        ("/Results", json!([])),
        ("/Results/1/Type", json!("jar")),
        ("/Results/1/Packages", json!([])),
        ("/Results/1/Vulnerabilities/0/Severity", json!("SEVERE")),
        ("/Results/1/Vulnerabilities/0", json!({})),
        ("/Results/1/ExperimentalModifiedFindings/0/Type", json!("opinion")),
        ("/Results/1/ExperimentalModifiedFindings/0/Finding", json!({})),
        ("/Results/2/Secrets/0", json!({})),
        ("/Results/4/Licenses/0", json!({})),
    ] {
        let mut report = report();
        *report.pointer_mut(pointer).unwrap() = value;
        assert!(read(&report).is_err(), "{pointer}");
    }
    let mut without = report();
    without.as_object_mut().unwrap().remove("Results");
    assert!(read(&without).is_err());
}

#[test]
fn a_report_cut_anywhere_is_an_error() {
    let whole = report().to_string();
    let platform: Platform = "linux/arm/v7".parse().unwrap();
    let subject = Subject::Image { config: Digest::of(b"config"), platform: &platform };
    assert!((0..whole.len()).all(|end| parse(&whole.as_bytes()[..end], &subject).is_err()));
}

fn files(report: &Value, dockerfiles: &[&str], manifests: bool) -> Result<Vec<Hit>, String> {
    let dockerfiles = dockerfiles.iter().map(|&name| name.to_owned()).collect();
    parse(report.to_string().as_bytes(), &Subject::Folder { name: "docker", dockerfiles: &dockerfiles, manifests })
}

fn folder() -> Value {
    json!({"SchemaVersion": 2, "ArtifactType": "filesystem", "Results": [
        {"Target": "Dockerfile.gate", "Class": "config", "Type": "dockerfile", "Misconfigurations": [
            {"ID": "DS-0025", "Title": "t", "Message": "use --no-cache", "Resolution": "add --no-cache", "Severity": "HIGH",
             "Status": "FAIL", "CauseMetadata": {"StartLine": 2, "EndLine": 2}},
            {"ID": "DS-0026", "Title": "no HEALTHCHECK", "Severity": "LOW", "Status": "FAIL", "CauseMetadata": {}},
            {"ID": "DS-0001", "Title": "t", "Severity": "MEDIUM", "Status": "PASS", "CauseMetadata": {}}],
         "ExperimentalModifiedFindings": [
            {"Type": "misconfiguration", "Status": "ignored", "Statement": "on purpose", "Source": ".trivyignore.yaml",
             "Finding": {"ID": "DS-0002", "Title": "runs as root", "Severity": "HIGH", "Status": "FAIL", "CauseMetadata": {}}}]}
    ]})
}

#[test]
fn a_misconfiguration_has_file_line_and_remedy() {
    let found = files(&folder(), &["Dockerfile.gate"], false).unwrap();
    let seen: Vec<_> =
        found.iter().map(|hit| (hit.finding.id.as_str(), hit.finding.location.as_deref().unwrap())).collect();
    assert_eq!(
        seen,
        [
            ("DS-0025", "docker/Dockerfile.gate:2"),
            ("DS-0026", "docker/Dockerfile.gate"),
            ("DS-0002", "docker/Dockerfile.gate")
        ]
    );
    let first = &found[0].finding;
    assert_eq!(
        (first.kind, first.severity, first.fix.as_deref()),
        (Kind::Misconfiguration, Severity::High, Some("add --no-cache"))
    );
    assert_eq!(found[2].finding.set_aside.as_deref(), Some("ignored: on purpose (.trivyignore.yaml)"));
}

#[test]
fn a_file_that_nothing_is_said_about_is_an_error() {
    assert!(files(&folder(), &["Dockerfile.gate", "Dockerfile.node"], false).unwrap_err().contains("Dockerfile.node"));
    assert!(files(&folder(), &["Dockerfile.gate"], true).is_err());
    let nothing = json!({"SchemaVersion": 2, "ArtifactType": "filesystem"});
    assert!(files(&nothing, &["Dockerfile.gate"], false).is_err());
    assert_eq!(files(&nothing, &[], false), Ok(Vec::new()));
    let mut unknown = folder();
    *unknown.pointer_mut("/Results/0/Misconfigurations/0/Status").unwrap() = json!("MAYBE");
    assert!(files(&unknown, &["Dockerfile.gate"], false).is_err());
}

#[test]
fn every_package_of_an_sbom_has_to_be_looked_up() {
    let cyclonedx = json!({"components": [
        {"purl": "pkg:golang/golang.org/x/net@v0.15.0"}, {"purl": "pkg:golang/stdlib@1.27.4"}, {"name": "a file"},
        {"purl": "pkg:apk/alpine/musl@1.2.5-r9?distro=alpine-3.22"}, {"purl": "pkg:generic/x"}
    ]});
    let spdx = json!({"packages": [
        {"externalRefs": [{"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a"},
                          {"referenceType": "purl", "referenceLocator": "pkg:golang/golang.org/x/net@v0.15.0#html"}]},
        {"externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:golang/stdlib@1.27.4"}]},
        {"externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:apk/alpine/musl@1.2.5-r9"}]}, {"name": "x"}
    ]});
    let packages = packages_of(cyclonedx.to_string().as_bytes()).unwrap();
    assert_eq!(
        packages.iter().collect::<Vec<_>>(),
        ["pkg:apk/alpine/musl", "pkg:golang/golang.org/x/net", "pkg:golang/stdlib"]
    );
    assert_eq!(packages_of(spdx.to_string().as_bytes()).unwrap(), packages);
    let report = |purls: &[&str]| {
        let packages: Vec<_> = purls.iter().map(|purl| json!({"Identifier": {"PURL": purl}})).collect();
        json!({"SchemaVersion": 2, "ArtifactType": "cyclonedx", "Results": [{"Target": "", "Packages": packages}]})
            .to_string()
    };
    let subject = Subject::Sbom { packages: &packages };
    let all = ["pkg:golang/golang.org/x/net@v0.15.0", "pkg:golang/stdlib@1.27.4", "pkg:apk/alpine/musl@1.2.5-r9"];
    assert_eq!(parse(report(&all).as_bytes(), &subject), Ok(Vec::new()));
    assert!(parse(report(&all[..2]).as_bytes(), &subject).unwrap_err().contains("musl"));
    assert!(parse(report(&[]).as_bytes(), &subject).is_err());
}

#[test]
fn an_sbom_that_lists_nothing_is_an_error() {
    for bad in
        ["", "{}", "[]", r#"{"components": []}"#, r#"{"components": [{"purl": "pkg:oci/x"}]}"#, r#"{"packages": {}}"#]
    {
        assert!(packages_of(bad.as_bytes()).is_err(), "{bad}");
    }
}
