use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;
use crate::source::proto::Protos;

/// An option of the user's own, `(mark) = "kept"`, as bytes on the wire: field 50001, length-delimited.
/// Tag 50001 << 3 | 2 = 400010 = 0x61a8a, as a base-128 varint 8a b5 18.
const OPTION: &[u8] = b"\x8a\xb5\x18\x04kept";

const PROTO: &str = "syntax = \"proto3\";
import \"google/protobuf/descriptor.proto\";
extend google.protobuf.MessageOptions { string mark = 50001; }
message A { option (mark) = \"kept\"; }
";

fn plugin() -> Plugin {
    Plugin { package: "example.com/cmd/protoc-gen-fake", version: Version::new(1, 0, 0), suffix: ".pb.go" }
}

/// Makes `path` a program. Another process writes it: a test that runs one at this moment would hand its child our open
/// file, and no program can be started while it is open for writing.
pub(in crate::source) fn script(path: &Path, text: &str) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
}

/// A generator that answers with `response`.
fn fake(folder: &Path, response: &Response) -> PathBuf {
    std::fs::write(folder.join("answer"), response.encode_to_vec()).unwrap();
    script(&folder.join("fake"), &format!("cat >/dev/null; cat '{}'", folder.join("answer").display()));
    folder.join("fake")
}

fn file(name: &str) -> ResponseFile {
    ResponseFile { name: Some(name.into()), insertion_point: None, content: Some(b"package x\n".to_vec()) }
}

fn run(response: &Response) -> Result<Generated> {
    let folder = tempfile::tempdir().unwrap();
    let names = BTreeSet::from(["x/a.proto".to_owned()]);
    plugin().run(&fake(folder.path(), response), b"", &names, &Ui::silent())
}

#[test]
fn a_request_carries_options_that_this_program_does_not_know() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.proto"), PROTO).unwrap();
    let protos = Protos::read(folder.path(), &config::Source::default())?;
    let bytes = request(protos.wanted().keys(), &protos.compile(folder.path())?)?;
    let request = Request::decode(&*bytes).unwrap();
    assert_eq!(request.file_to_generate, ["a.proto"]);
    assert_eq!(request.parameter.as_deref(), Some("paths=source_relative"));
    let last = request.proto_file.last().unwrap();
    assert!(last.windows(OPTION.len()).any(|w| w == OPTION));
    Ok(())
}

#[test]
fn files_that_belong_to_a_proto_are_taken() -> Result<()> {
    let files = run(&Response { error: None, file: vec![file("x/a.pb.go")] })?;
    assert_eq!(files.into_iter().collect::<Vec<_>>(), [("x/a.pb.go".to_owned(), b"package x\n".to_vec())]);
    Ok(())
}

#[test]
fn a_generator_cannot_choose_where_it_writes() {
    for name in ["../x/a.pb.go", "/tmp/a.pb.go", "x/../x/a.pb.go", "x/b.pb.go", "x/a.go", "", "x/a.pb.go\0", "go.mod"] {
        assert!(run(&Response { error: None, file: vec![file(name)] }).is_err(), "{name}");
    }
    assert!(run(&Response { error: None, file: vec![file("x/a.pb.go"), file("x/a.pb.go")] }).is_err());
}

#[test]
fn an_error_is_shown_as_the_generator_said_it() {
    let said = "x/a.proto: unable to determine Go import path";
    let err = run(&Response { error: Some(said.into()), file: vec![] }).expect_err("it worked").to_string();
    assert!(err.contains("protoc-gen-fake") && err.contains(said), "{err}");
}

#[test]
fn an_answer_that_is_no_message_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let program = fake(folder.path(), &Response::default());
    std::fs::write(folder.path().join("answer"), b"hello").unwrap();
    assert!(plugin().run(&program, b"", &BTreeSet::new(), &Ui::silent()).is_err());
}
