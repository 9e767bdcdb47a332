use std::cell::RefCell;

use semver::Version;

use super::*;
use crate::config::Tools;
use crate::plan::SourceFacts;
use crate::source::plugin::tests::script;

const PROTO: &str = "syntax = \"proto3\";\nmessage A {}\n";

/// Some versions.
pub(in crate::source) fn tools() -> Tools {
    let version = |minor| Version::new(1, minor, 0);
    Tools::new(version(27), version(36), version(5), version(1))
}

/// A module with a proto in `proto/`, a cache, and generators that count their installations.
struct Fixture {
    temp: tempfile::TempDir,
    installed: RefCell<Vec<&'static str>>,
}

impl Fixture {
    fn new() -> Fixture {
        let temp = tempfile::tempdir().unwrap();
        let fixture = Fixture { temp, installed: RefCell::default() };
        std::fs::create_dir_all(fixture.module().join("api/v1")).unwrap();
        std::fs::write(fixture.module().join("api/v1/a.proto"), PROTO).unwrap();
        // A response with one file: field 15, length 24, of name (field 1) and content (field 15).
        let answer = |name: &str, code: &str| {
            let file =
                [&[0x0a, name.len() as u8], name.as_bytes(), &[0x7a, code.len() as u8], code.as_bytes()].concat();
            [&[0x7a, file.len() as u8], &*file].concat()
        };
        for (generator, name) in [("protoc-gen-go", "v1/a.pb.go"), ("protoc-gen-go-grpc", "v1/a_grpc.pb.go")] {
            let path = fixture.temp.path().join(generator);
            std::fs::write(path.with_extension("answer"), answer(name, "package v1\n")).unwrap();
            script(&path, &format!("cat >/dev/null; cat '{}'", path.with_extension("answer").display()));
        }
        fixture
    }

    fn module(&self) -> PathBuf {
        self.temp.path().join("module")
    }

    fn prepare(&self, tools: &Tools, toolchain: &str) -> Result<Option<PathBuf>> {
        let facts = SourceFacts { location: "m".into(), revision: None, epoch: 0, dirty: true };
        let source = Source { folder: self.module(), facts, dirty_files: Vec::new() };
        let config = config::Source { proto_roots: vec!["api".parse()?], ..config::Source::default() };
        let install = |plugin: &Plugin| {
            self.installed.borrow_mut().push(plugin.name());
            Ok(self.temp.path().join(plugin.name()))
        };
        prepare(
            &source,
            &config,
            &plugin::plugins(tools),
            toolchain,
            &self.temp.path().join("cache"),
            install,
            &Ui::silent(),
        )
    }

    fn replaced(&self) -> Result<BTreeMap<PathBuf, PathBuf>> {
        let overlay = self.prepare(&tools(), "go1")?.unwrap();
        let mut text: BTreeMap<String, BTreeMap<PathBuf, PathBuf>> =
            serde_json::from_slice(&std::fs::read(overlay).unwrap()).unwrap();
        Ok(text.remove("Replace").unwrap())
    }
}

#[test]
fn code_is_laid_beside_its_proto_wherever_imports_are_relative_to() -> Result<()> {
    let fixture = Fixture::new();
    let replaced = fixture.replaced()?;
    let beside = |name: &str| fixture.module().join("api/v1").join(name);
    assert_eq!(replaced.keys().cloned().collect::<Vec<_>>(), [beside("a.pb.go"), beside("a_grpc.pb.go")]);
    for code in replaced.values() {
        assert!(code.is_absolute() && code.starts_with(fixture.temp.path().join("cache")));
        assert_eq!(std::fs::read_to_string(code).unwrap(), "package v1\n");
    }
    Ok(())
}

#[test]
fn nothing_runs_until_something_changes() -> Result<()> {
    let fixture = Fixture::new();
    let first = fixture.prepare(&tools(), "go1")?;
    assert_eq!(fixture.prepare(&tools(), "go1")?, first);
    assert_eq!(fixture.installed.take(), ["protoc-gen-go", "protoc-gen-go-grpc"]);
    let newer = Tools { protoc_gen_go: Version::new(1, 37, 0), ..tools() };
    for overlay in [fixture.prepare(&newer, "go1")?, fixture.prepare(&tools(), "go2")?] {
        assert_ne!(overlay, first);
    }
    std::fs::write(fixture.module().join("api/v1/a.proto"), format!("{PROTO}message B {{}}\n")).unwrap();
    assert_ne!(fixture.prepare(&tools(), "go1")?, first);
    assert_eq!(fixture.installed.borrow().len(), 6);
    Ok(())
}

#[test]
fn what_an_import_may_find_counts_but_other_files_do_not() -> Result<()> {
    let fixture = Fixture::new();
    let first = fixture.prepare(&tools(), "go1")?;
    std::fs::create_dir(fixture.module().join("api/testdata")).unwrap();
    std::fs::write(fixture.module().join("api/notes.txt"), "").unwrap();
    assert_eq!(fixture.prepare(&tools(), "go1")?, first);
    std::fs::write(fixture.module().join("api/other.proto"), "syntax = \"proto3\";\n").unwrap();
    assert_ne!(fixture.prepare(&tools(), "go1")?, first);
    Ok(())
}

#[test]
fn a_module_without_protos_has_no_overlay() -> Result<()> {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.module().join("api/v1/a.proto")).unwrap();
    assert_eq!(fixture.prepare(&tools(), "go1")?, None);
    assert!(fixture.installed.borrow().is_empty() && !fixture.temp.path().join("cache").exists());
    Ok(())
}

#[test]
fn a_generator_that_fails_leaves_nothing_to_be_taken_for_code() {
    let fixture = Fixture::new();
    script(&fixture.temp.path().join("protoc-gen-go"), "echo 'a.proto: no go_package' >&2; exit 1");
    let err = fixture.prepare(&tools(), "go1").expect_err("it worked").to_string();
    assert!(err.contains("no go_package"), "{err}");
    assert!(!fixture.temp.path().join("cache/generated").exists());
}

#[test]
fn the_key_names_the_compiler_that_is_used() {
    let lock = include_str!("../../../../Cargo.lock");
    let (name, version) = COMPILER.split_once(' ').unwrap();
    assert!(
        lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")),
        "Cargo.lock has another {name}: change COMPILER"
    );
}
