//! Builds of which no document is written, because something in them contradicts the release.

use super::*;

#[test]
fn a_label_of_another_version_is_refused() {
    for (label, said) in [(Some("v1.1.9"), "v1.1.9"), (Some("1.2.0"), "says 1.2.0"), (None, "says nothing")] {
        let mut bench = Bench::new();
        bench.label(label);
        let error = bench.error();
        assert_eq!(error.class(), Class::Verification);
        let text = error.to_string();
        assert!(text.contains(said) && text.contains("the release is v1.2.0"), "{text}");
    }
}

#[test]
fn a_main_module_of_another_version_is_refused() {
    let error = Bench::with(TABLE, "mod\texample.com/m\tv0.4.1\t\n").error();
    assert_eq!(error.class(), Class::Verification);
    let text = error.to_string();
    assert!(text.contains("v0.4.1") && text.contains("the release is v1.2.0"), "{text}");
}

#[test]
fn a_program_that_should_say_its_version_and_does_not_is_refused() {
    let bench = Bench::new();
    let program = std::fs::read(bench.program()).unwrap();
    let said = program.len() - "\0v1.2.0\0".len();
    std::fs::write(bench.program(), &program[..said]).unwrap();
    let folder = bench.folder.path().join("cmd/gate");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("main.go"), "package main\n\nfunc main() {}\n").unwrap();
    assert_eq!(bench.documents().len(), 8, "no variable, no promise");
    std::fs::write(folder.join("main.go"), "package main\n\nvar version = read()\n").unwrap();
    let error = bench.error();
    assert_eq!(error.class(), Class::Verification);
    let text = error.to_string();
    assert!(text.contains("main.version") && text.contains("does not carry v1.2.0"), "{text}");
}

#[test]
fn a_program_for_another_platform_is_refused() {
    let bench = Bench::new();
    std::fs::write(bench.program(), go_program("arm64", "path\tm\nmod\tm\t(devel)\t\nbuild\tGOARCH=arm64\n")).unwrap();
    let error = bench.error();
    assert_eq!(error.class(), Class::Verification);
    let said = error.to_string();
    for part in ["gate", "linux/amd64", "GOARCH=arm64"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_program_that_is_missing_or_not_go_is_named() {
    let bench = Bench::new();
    std::fs::write(bench.program(), b"#!/bin/sh\n").unwrap();
    assert!(bench.error().to_string().contains("gate for linux/amd64"), "{}", bench.error());
    std::fs::remove_file(bench.program()).unwrap();
    assert!(bench.error().to_string().contains("gate for linux/amd64"), "{}", bench.error());
}
