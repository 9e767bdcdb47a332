use super::*;

const GOOD: &str = r#"
[build]
platforms = ["linux/amd64", "linux/arm64"]

[images.gate]
package = "./cmd/gate"
repository = "goverse-gate"

[images.node]
package = "./samples/chat/server"
repository = "goverse-node"
ports = [50051]

[publish]
registry = "ghcr.io/xiaonanln"

[tools]
go = "1.27.3"
protoc-gen-go = "1.36.11"
protoc-gen-go-grpc = "1.5.1"
govulncheck = "1.1.4"
"#;

fn parse(text: &str) -> Result<Config> {
    Config::parse(Path::new("release.toml"), text)
}

#[test]
fn a_short_table_has_every_default() -> Result<()> {
    let config = parse(GOOD)?;
    assert_eq!(config.publish.to, Destination::Layout("dist/oci".into()));
    let tags: Vec<String> = Vec::from(config.publish.tags).iter().map(|t| t.to_string()).collect();
    assert_eq!(tags, ["v{version}", "v{major}.{minor}", "v{major}", "latest"]);
    assert_eq!(config.build.user.to_string(), "1000:1000:app");
    Ok(())
}

#[test]
fn every_bad_value_is_an_error_with_its_place_and_exit_code_2() {
    for (from, to, place, says) in [
        ("platforms =", "platform =", "3:1", "unknown field"),
        ("\"linux/arm64\"]", "\"linux/arm65\"]", "3:13", "unknown platform `linux/arm65`"),
        ("\"linux/arm64\"]", "\"linux/amd64\"]", "3:13", "listed twice"),
        ("\"./cmd/gate\"", "\"../cmd/gate\"", "6:11", "not one package"),
        ("\"./cmd/gate\"", "\"./cmd/...\"", "6:11", "not one package"),
        ("\"goverse-node\"", "\"goverse-gate\"", "11:14", "already that of gate"),
        ("\"goverse-node\"", "\"goverse-release\"", "11:14", "already that of the release record"),
        ("\"goverse-node\"", "\"goverse node\"", "11:14", "not a repository"),
        ("[50051]", "[0]", "12:10", "nonzero"),
        ("[50051]", "[70000]", "12:10", "70000"),
        ("\"ghcr.io/xiaonanln\"", "\"xiaonanln\"", "15:12", "not a registry"),
        ("\"1.27.3\"", "\"1.27\"", "18:6", "unexpected end"),
        ("[images.gate]", "[images.Gate]", "5:9", "not an image name"),
        ("[publish]", "[publish]\ntags = [\"latest\"]", "15:8", "must contain {version}"),
        ("[publish]", "[publish]\ntags = [\"{version}\", \"{patch}\"]", "15:8", "only the first"),
        ("[publish]", "[publish]\nchart = true", "15:9", "expected a repository such as"),
        ("[publish]", "[publish]\nchart = 1", "15:9", "expected a repository such as"),
        ("[publish]", "[publish]\nchart = \"charts/a b\"", "15:9", "not a repository"),
        ("[publish]", "[publish]\ncharts = \"charts/x\"", "15:1", "unknown field `charts`"),
        ("[publish]", "[publish]\nchart = \"goverse-release\"", "15:9", "already that of the release record"),
        ("\"goverse-node\"", "\"charts/goverse\"", "11:14", "already that of the Helm chart"),
        ("[publish]", "[publish]\nto = \"\"", "15:6", "empty destination"),
        ("[publish]", "[source]\npath = \"../x\"\n[publish]", "15:8", "leaves the tree"),
        ("[publish]", "[source]\npath = \"/x\"\n[publish]", "15:8", "leaves the tree"),
        ("[publish]", "[publish", "14:9", ""),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let err = parse(&GOOD.replacen(from, to, 1)).err();
        let text = err.as_ref().map(|e| e.to_string()).unwrap_or_default();
        assert!(text.starts_with(&format!("release.toml:{place}: ")) && text.contains(says), "{to}: {text}");
        assert_eq!(err.map(|e| e.class() as u8), Some(2), "{to}");
    }
}

#[test]
fn a_chart_has_a_repository_of_its_own_or_there_is_none() -> Result<()> {
    let chart = |line: &str| Ok::<_, Error>(parse(&GOOD.replacen("[publish]", line, 1))?.publish.chart.into_inner());
    assert_eq!(chart("[publish]")?, ChartKey::IfThere("charts/goverse".parse()?));
    assert_eq!(chart("[publish]\nchart = \"Charts/Mine\"")?, ChartKey::At("charts/mine".parse()?));
    for off in ["false", "\"\""] {
        assert_eq!(chart(&format!("[publish]\nchart = {off}"))?, ChartKey::Off, "{off}");
    }
    assert_eq!("charts/mine".parse::<Repository>()?.name(), "mine");
    Ok(())
}

#[test]
fn a_destination_is_a_registry_when_it_names_a_host() -> Result<()> {
    for (text, registry) in [
        ("ghcr.io/Owner", true),
        ("localhost:5000", true),
        ("dist/oci", false),
        ("./ghcr.io", false),
        ("/tmp/x", false),
        ("oci:ghcr.io", false),
    ] {
        assert_eq!(matches!(text.parse::<Destination>()?, Destination::Registry(_)), registry, "{text}");
    }
    assert_eq!("ghcr.io/Owner".parse::<Destination>()?.to_string(), "ghcr.io/owner");
    Ok(())
}

#[test]
fn a_base_without_a_digest_is_refused() {
    for bad in [
        "alpine",
        "docker.io/library/alpine:3",
        "oci:base",
        "alpine@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ] {
        assert!(bad.parse::<Base>().is_err(), "{bad}");
    }
}

#[test]
fn tags_and_versions_map_both_ways() -> Result<()> {
    let template: TagTemplate = "v{version}".parse()?;
    for (version, tag) in [("1.2.0", "v1.2.0"), ("2.0.0-rc.1", "v2.0.0-rc.1"), ("1.2.0+build.5", "v1.2.0_build.5")] {
        let version: semver::Version = version.parse().map_err(|_| Error::usage(version))?;
        assert_eq!(template.tag(&version), tag);
        assert_eq!(template.version_of(tag), Some(version));
    }
    for other in ["latest", "v1.2", "v1", "1.2.0", "v01.2.0"] {
        assert_eq!(template.version_of(other), None, "{other}");
    }
    Ok(())
}

#[test]
fn a_source_is_a_path_or_a_url_at_a_revision() -> Result<()> {
    let git = |url: &str, revision: &str| SourceSpec::Git(GitSource { url: url.into(), revision: revision.into() });
    assert_eq!("../goverse".parse::<SourceSpec>()?, SourceSpec::Path("../goverse".into()));
    assert_eq!(
        "https://github.com/x/goverse@v0.1.1".parse::<SourceSpec>()?,
        git("https://github.com/x/goverse", "v0.1.1")
    );
    assert_eq!("git@github.com:x/goverse.git@main".parse::<SourceSpec>()?, git("git@github.com:x/goverse.git", "main"));
    assert_eq!("https://host/x@feature/y".parse::<SourceSpec>()?, git("https://host/x", "feature/y"));
    for bad in
        ["https://github.com/x/goverse", "https://h/x@", "git@github.com:x/goverse.git", "https://h/x@--upload-pack=x"]
    {
        assert!(bad.parse::<SourceSpec>().is_err(), "{bad}");
    }
    Ok(())
}

#[test]
fn a_tool_is_a_version_or_a_table_with_checksums() -> Result<()> {
    let hex = "2ae6fe3ee734b7fdf11335663e18c75ea12dccc76062f09f164a3b0f8be4371a";
    let short = parse(&format!("{GOOD}crane = \"0.22.1\"\n"))?;
    assert_eq!(short.tools.pin("crane"), Some(PinnedTool::from(semver::Version::new(0, 22, 1))));
    assert_eq!(short.tools.pin("trivy"), None);
    let inline = format!("{GOOD}trivy = {{ version = \"0.74.0\", sha256 = {{ \"linux/amd64\" = \"{hex}\" }} }}\n");
    let table =
        format!("{GOOD}[tools.trivy]\nversion = \"0.74.0\"\n[tools.trivy.sha256]\n\"linux/amd64\" = \"{hex}\"\n");
    let pins = [parse(&inline)?.tools.pin("trivy"), parse(&table)?.tools.pin("trivy")];
    assert_eq!(pins[0], pins[1]);
    let checksum = pins[0].as_ref().and_then(|pin| pin.sha256.get(&Machine::LinuxAmd64)).map(ToString::to_string);
    assert_eq!(checksum.as_deref(), Some(hex));
    // What was built is remembered as JSON, its plan and tools included.
    let json = serde_json::to_string(&parse(&table)?.tools).map_err(|e| Error::failed(e.to_string()))?;
    let back: Tools = serde_json::from_str(&json).map_err(|e| Error::failed(e.to_string()))?;
    assert_eq!(back.pin("trivy"), pins[0]);
    Ok(())
}

#[test]
fn a_mistake_in_a_tool_has_its_place() {
    let line = GOOD.lines().count() + 1;
    for (tool, column, says) in [
        ("trivy = \"0.69.4\"", 9, "Trivy 0.69.4 is a hijacked release (CVE-2026-33634)"),
        ("trivy = { version = \"0.69.6\" }", 9, "Trivy 0.69.6 is a hijacked release"),
        ("trivy = \"latest\"", 9, "`latest` is not an exact version"),
        ("trivy = 1", 9, "expected a version such as"),
        ("trivy = { sha256 = {} }", 9, "missing field `version`"),
        ("trivy = { version = \"0.74.0\", sha1 = {} }", 31, "unknown field `sha1`"),
        ("trivy = { version = \"0.74.0\", sha256 = { \"linux/amd64\" = \"abc\" } }", 58, "64 lower-case hex digits"),
        ("trivy = { version = \"0.74.0\", sha256 = { \"linux/z80\" = \"abc\" } }", 42, "`linux/z80` is not a machine"),
        ("trivvy = \"0.74.0\"", 1, "unknown field `trivvy`"),
    ] {
        let error = parse(&format!("{GOOD}{tool}\n")).map(|_| ()).expect_err(tool).to_string();
        assert!(error.starts_with(&format!("release.toml:{line}:{column}: ")), "{tool}: {error}");
        assert!(error.contains(says), "{tool}: {error}");
    }
}

#[test]
fn a_flag_moves_the_severity_that_fails_and_nothing_else() -> Result<()> {
    use Severity::{Critical, High, Low, Medium, Unknown};
    for (listed, least, fail) in [
        ("[\"critical\", \"high\"]", Critical, &[Critical][..]),
        ("[\"critical\", \"high\"]", Low, &[Low, Medium, High, Critical]),
        ("[\"critical\", \"unknown\"]", Medium, &[Unknown, Medium, High, Critical]),
        ("[]", High, &[High, Critical]),
    ] {
        let table = parse(&format!("{GOOD}[scan]\nfail-on = {listed}\n"))?;
        let moved = table.scan.fail_on.starting_at(least);
        let fails: Vec<_> = Severity::ALL.into_iter().filter(|severity| moved.contains(*severity)).collect();
        assert_eq!(fails, fail, "{listed} from {least}");
    }
    Ok(())
}
