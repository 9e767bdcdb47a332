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
