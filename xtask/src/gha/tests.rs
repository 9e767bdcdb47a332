use super::command::{annotation, assignment};
use super::*;
use crate::error::{Class, Item, Place};
use crate::publish::fixture;
use crate::scan::{Finding, Kind, Lapsed, PlatformReport, Report, Severity};

fn runner(folder: &std::path::Path) -> Runner {
    Runner {
        summary: Some(folder.join("summary")),
        outputs: Some(folder.join("outputs")),
        repository: Some("owner/name".into()),
    }
}

/// What a runner reads out of an annotation (actions/toolkit, `command.ts`): the properties' escapes undone, and the
/// message's.
fn read(line: &str) -> (Vec<(String, String)>, String) {
    let (head, message) = line.strip_prefix("::error ").unwrap().split_once("::").unwrap();
    let data = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
    let property = |text: &str| data(&text.replace("%3A", ":").replace("%2C", ","));
    let pairs = head.split(',').map(|pair| pair.split_once('=').unwrap());
    (pairs.map(|(name, value)| (name.to_owned(), property(value))).collect(), data(message))
}

#[test]
fn no_text_becomes_a_command_of_its_own() {
    let (title, file, message) = ("a: b, 100%", "k8s/x,y:z.yaml", "50% of\r\n::set-output name=x::y\n::endgroup::");
    let line = annotation(title, Some(&Place { file: file.into(), line: 3, column: 7 }), message);
    assert_eq!(line.lines().count(), 1, "{line}");
    let (properties, read_message) = read(&line);
    let expected = [("file", file), ("line", "3"), ("col", "7"), ("title", title)];
    assert_eq!(properties, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(read_message, message);
}

#[test]
fn an_error_is_annotated_where_it_is_and_a_list_item_by_item() {
    let place = Place { file: "release.toml".into(), line: 5, column: 2 };
    let one = report::error(&Error::usage("unknown field `branch`").at(place).hint("remove it"));
    assert_eq!(one.len(), 1);
    assert!(one[0].starts_with("::error file=release.toml,line=5,col=2,title="), "{one:?}");
    assert!(read(&one[0]).1.ends_with("unknown field `branch`\nremove it"), "{one:?}");
    let item = |n: usize| Item { what: format!("failure {n}"), fix: Some("mend it".into()) };
    let error = |n| Error::new(Class::Preflight, "failures").items((0..n).map(item).collect());
    assert_eq!(report::error(&error(10)).len(), 10);
    let many = report::error(&error(25));
    assert_eq!(many.len(), 10, "a step shows no more");
    assert_eq!(read(&many[9]).1, "16 more are in the log");
}

#[test]
fn a_finding_is_annotated_once_and_only_when_the_policy_objects() {
    let finding = |id: &str, violation: Option<&str>| Finding {
        kind: Kind::Vulnerability,
        id: id.into(),
        aliases: Vec::new(),
        scanner: "govulncheck".into(),
        severity: Severity::High,
        package: "stdlib".into(),
        version: "1.26.8".into(),
        fixed: None,
        reachable: None,
        summary: "it breaks".into(),
        fix: Some("take go 1.26.10".into()),
        location: None,
        set_aside: None,
        violation: violation.map(Into::into),
    };
    let platform = |image: &str| PlatformReport {
        image: image.into(),
        platform: "linux/amd64".parse().unwrap(),
        manifest: crate::oci::Digest::of(b""),
        findings: vec![finding("GO-1", Some("it is high")), finding("GO-2", None)],
    };
    let platforms = vec![platform("gate"), platform("node")];
    let (place, id, why) = ("release.toml:40:1".into(), "CVE-1".into(), "has expired".into());
    let report = Report { platforms, lapsed: vec![Lapsed { place, id, why }], ..Report::default() };
    let lines = report::findings(&report);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[1], "::error file=release.toml,line=40,col=1,title=CVE-1::has expired");
    let (properties, message) = read(&lines[0]);
    assert_eq!(properties, [("title".to_owned(), "GO-1".to_owned())]);
    assert_eq!(message, "stdlib 1.26.8: it is high\nit breaks\nfix: take go 1.26.10");
}

/// What a runner reads out of the outputs' file: `NAME=VALUE`, or `NAME<<END` up to a line that is `END`.
fn outputs(text: &str) -> Vec<(String, String)> {
    let (mut found, mut lines) = (Vec::new(), text.lines());
    while let Some(line) = lines.next() {
        match line.split_once("<<").filter(|(name, _)| !name.contains('=')) {
            Some((name, end)) => {
                let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
                found.push((name.to_owned(), value.join("\n")));
            }
            None => found.push(line.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap()),
        }
    }
    found
}

#[test]
fn an_output_is_read_as_it_was_set_and_sets_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let runner = runner(folder.path());
    let all = [("version", "v1.2.0"), ("odd", "a=b<<c"), ("long", "one\nPATH=/evil\nend\nlong<<x"), ("last", "")];
    for (name, value) in all {
        runner.output(name, value).unwrap();
    }
    let text = std::fs::read_to_string(folder.path().join("outputs")).unwrap();
    assert_eq!(outputs(&text), all.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(!assignment("x", "a\nb").starts_with("x=a"));
}

#[test]
fn a_summary_is_added_to_what_other_commands_wrote_and_ends_at_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let runner = runner(folder.path());
    runner.summarise("one").unwrap();
    runner.summarise(&"ü\n".repeat(SUMMARY_LIMIT)).unwrap();
    let text = std::fs::read_to_string(folder.path().join("summary")).unwrap();
    assert!(text.starts_with("one\nü\n") && text.ends_with("ü\n"));
    assert!(text.len() <= SUMMARY_LIMIT + "one\n".len());
    assert!(Runner { summary: None, ..runner }.summarise("nobody reads this").is_ok());
}

#[test]
fn the_summary_has_every_digest_and_where_to_go() -> Result<()> {
    let record = fixture::record("1.2.0")?;
    let change = Outcome::Opened("https://github.example/owner/name/pull/1".into());
    let text =
        release_summary(&Released { record: &record, page: Some("https://github.example/r"), change: Some(&change) });
    for image in &record.images {
        assert!(text.contains(&image.index.digest.to_string()), "{text}");
        assert!(image.platforms.iter().all(|p| text.contains(&p.manifest.digest.to_string())), "{text}");
    }
    assert!(text.contains("/pull/1") && text.contains("https://github.example/r"), "{text}");
    Ok(())
}

#[test]
fn each_platform_is_built_on_its_own_kind_of_machine_where_there_is_one() {
    let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"].map(|p| p.parse().unwrap());
    let json = matrix(&platforms);
    let rows = json["include"].as_array().unwrap();
    let rows: Vec<_> = rows.iter().map(|row| [&row["platform"], &row["name"], &row["runner"]]).collect();
    assert_eq!(rows[0], ["linux/amd64", "linux-amd64", "ubuntu-24.04"]);
    assert_eq!(rows[2], ["linux/arm/v7", "linux-arm-v7", "ubuntu-24.04-arm"]);
    assert_eq!(rows[3][2], "ubuntu-24.04");
}

#[test]
fn a_bundle_is_the_same_file_whoever_packs_it_and_whenever() {
    use std::os::unix::fs::PermissionsExt as _;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |folder: &std::path::Path, names: &[&str], mode: u32| {
        for name in names {
            let path = folder.join("bundle").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("content of {name}")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        archive::pack(&folder.join("bundle"), "x-v1", 1_700_000_000, &folder.join("x.tar.gz")).unwrap();
        std::fs::read(folder.join("x.tar.gz")).unwrap()
    };
    let first = write(one.path(), &["b/c", "a"], 0o600);
    assert_eq!(first, write(two.path(), &["a", "b/c"], 0o644));
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(first.as_slice()));
    let names: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(names, ["x-v1/a", "x-v1/b/c"]);
}
