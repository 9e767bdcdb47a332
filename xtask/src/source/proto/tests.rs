use prost::Message;
use protox::prost_reflect::prost_types::FileDescriptorSet;

use super::*;
use crate::error::Class;

const A: &str = "syntax = \"proto3\";\nimport \"b/b.proto\";\nimport \"google/protobuf/any.proto\";\nmessage A { B b = 1; google.protobuf.Any any = 2; }\n";
const B: &str = "syntax = \"proto3\";\n// About B.\nmessage B {}\n";

fn module(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn config(protos: &[&str], roots: &[&str]) -> config::Source {
    let paths = |list: &[&str]| list.iter().map(|p| p.parse().unwrap()).collect();
    config::Source { protos: paths(protos), proto_roots: paths(roots), ..config::Source::default() }
}

fn compile(files: &[(&str, &str)], config: &config::Source) -> Result<Vec<u8>> {
    Protos::read(module(files).path(), config)?.compile(Path::new("docker/sample"))
}

fn failure(files: &[(&str, &str)], config: &config::Source) -> Error {
    compile(files, config).expect_err("it compiled")
}

fn names(files: &[(&str, &str)], config: &config::Source) -> Result<Vec<String>> {
    Ok(Protos::read(module(files).path(), config)?.wanted().keys().cloned().collect())
}

#[test]
fn imports_come_before_importers_and_comments_stay() -> Result<()> {
    let set = compile(&[("a/a.proto", A), ("b/b.proto", B)], &config::Source::default())?;
    let set = FileDescriptorSet::decode(&*set).unwrap();
    let order: Vec<_> = set.file.iter().map(|f| f.name()).collect();
    let at = |name| order.iter().position(|n| *n == name).unwrap();
    assert!(at("b/b.proto") < at("a/a.proto") && at("google/protobuf/any.proto") < at("a/a.proto"), "{order:?}");
    let comments = set.file[at("b/b.proto")].source_code_info.clone().unwrap();
    assert!(comments.location.iter().any(|l| l.leading_comments() == " About B.\n"));
    Ok(())
}

#[test]
fn what_is_not_the_modules_own_is_left_alone() -> Result<()> {
    let files = [
        ("own/x.proto", B),
        (".hidden/x.proto", B),
        ("vendor/x.proto", B),
        ("own/testdata/x.proto", B),
        ("web/node_modules/x.proto", B),
        ("other/go.mod", "module other\n"),
        ("other/x.proto", B),
        ("target/CACHEDIR.TAG", ""),
        ("target/x.proto", B),
        ("own/.x.proto", B),
        ("own/x.proto.txt", B),
    ];
    assert_eq!(names(&files, &config::Source::default())?, ["own/x.proto"]);
    Ok(())
}

#[test]
fn symbolic_links_are_not_followed() -> Result<()> {
    let (inside, outside) = (module(&[("x.proto", B)]), module(&[("secret.proto", B)]));
    std::os::unix::fs::symlink(outside.path(), inside.path().join("folder")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.proto"), inside.path().join("file.proto")).unwrap();
    let protos = Protos::read(inside.path(), &config::Source::default())?;
    assert_eq!(protos.wanted().keys().collect::<Vec<_>>(), ["x.proto"]);
    Ok(())
}

#[test]
fn a_root_gives_names_and_an_import_only_folder_generates_nothing() -> Result<()> {
    let files = [("proto/a.proto", A), ("third/b/b.proto", B)];
    let config = config(&["proto"], &["./proto/", "third"]);
    assert_eq!(names(&files, &config)?, ["a.proto"]);
    compile(&files, &config).map(|_| ())
}

#[test]
fn a_mistake_is_shown_with_file_line_and_column() {
    // Line 3, column 13: `Missing`, counted by hand.
    let text = "syntax = \"proto3\";\nmessage A {\n  repeated  Missing x = 1;\n}\n";
    let err = failure(&[("proto/a.proto", text)], &config::Source::default());
    assert!(err.to_string().starts_with("docker/sample/proto/a.proto:3:13: "), "{err}");
    assert!(err.to_string().contains("Missing"), "{err}");
    let text = "syntax = \"proto3\";\nmessage A {\n  string é\n}\n";
    let err = failure(&[("a.proto", text)], &config::Source::default());
    assert!(err.to_string().starts_with("docker/sample/a.proto:3:10: "), "{err}");
    assert!(err.class() == Class::Failed && err.hint_text().is_some());
}

#[test]
fn a_mistake_in_a_map_is_shown_where_the_name_is() {
    // Line 4, column 15: neither the comment nor the longer name before it.
    let text = "syntax = \"proto3\";\n// Missing\nmessage A {  message Missing2 {}\n  map<string, Missing> x = 1;\n}\n";
    let err = failure(&[("a.proto", text)], &config::Source::default());
    assert!(err.to_string().starts_with("docker/sample/a.proto:4:15: "), "{err}");
}

#[test]
fn both_places_of_a_clash_are_shown() {
    let text = "syntax = \"proto3\";\nmessage A {\n  string x = 1;\n  string y = 1;\n}\n";
    let err = failure(&[("a.proto", text)], &config::Source::default()).to_string();
    assert!(err.contains("a.proto:3:") && err.contains("a.proto:4:"), "{err}");
}

#[test]
fn an_import_that_is_not_found_names_the_roots() {
    let err = failure(&[("a/a.proto", A)], &config::Source::default());
    assert!(err.to_string().starts_with("docker/sample/a/a.proto:2:"), "{err}");
    assert!(err.hint_text().is_some_and(|h| h.contains("proto-roots") && h.contains("`.`")), "{err}");
}

#[test]
fn folders_that_are_not_there_and_names_that_clash_are_usage_errors() {
    let files = [("one/x.proto", B), ("two/x.proto", B)];
    for config in [
        config(&["nowhere"], &["."]),
        config(&["one"], &["nowhere"]),
        config(&["one"], &["two"]),
        config(&["."], &["one", "two"]),
    ] {
        let err = Protos::read(module(&files).path(), &config).expect_err("it was accepted");
        assert!(err.class() == Class::Usage && err.hint_text().is_some_and(|h| h.contains("release.toml")), "{err}");
    }
}

#[test]
fn a_cycle_of_imports_is_an_error() {
    let one = "syntax = \"proto3\";\nimport \"b.proto\";\n";
    let two = "syntax = \"proto3\";\nimport \"a.proto\";\n";
    let err = failure(&[("a.proto", one), ("b.proto", two)], &config::Source::default()).to_string();
    assert!(err.contains("cycle") && err.contains("a.proto"), "{err}");
}
