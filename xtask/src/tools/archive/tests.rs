use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::Header;

use super::*;
use crate::error::Class;
use crate::tools::fixture::{files, tar_gz};

/// A header with a name that a builder would refuse to write.
fn header(name: &str, kind: EntryType, length: u64) -> Header {
    let mut header = Header::new_gnu();
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(length);
    header.set_cksum();
    header
}

fn link(name: &str, kind: EntryType, target: &str) -> Header {
    let mut header = header(name, kind, 0);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    header
}

fn gz(parts: &[&[u8]]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    parts.iter().for_each(|part| encoder.write_all(part).unwrap());
    encoder.finish().unwrap()
}

/// An archive of a good `tool`, then an entry without content.
fn with(bad: &Header) -> Vec<u8> {
    let content = padded(b"good");
    gz(&[header("tool", EntryType::Regular, 4).as_bytes(), &content, bad.as_bytes(), &[0; 1024]])
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut block = content.to_vec();
    block.resize(content.len().next_multiple_of(512), 0);
    block
}

/// Extracts `tool` in a folder of its own, whose only other file is the archive.
fn extracted(archive: &[u8]) -> (Result<()>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (from, inner) = (folder.path().join("file"), folder.path().join("inner"));
    std::fs::write(&from, archive).unwrap();
    std::fs::create_dir(&inner).unwrap();
    (extract(&from, "tool", &inner.join("program")), folder)
}

#[track_caller]
fn refuses(archive: &[u8], why: &str) {
    let (result, folder) = extracted(archive);
    let error = result.expect_err(why);
    assert_eq!(error.class(), Class::Verification, "{error}");
    assert!(error.to_string().contains(why), "`{why}` is not in: {error}");
    let left = files(folder.path());
    assert!(left.iter().all(|file| ["file", "inner", "inner/program"].contains(&file.as_str())), "{left:?}");
}

#[test]
fn the_one_program_is_taken_and_can_be_run() {
    let archive = tar_gz(&[("LICENSE", b"MIT"), ("./tool", b"#!/bin/sh\n"), ("docs/tool", b"another")]);
    let (result, folder) = extracted(&archive);
    result.unwrap();
    assert_eq!(files(folder.path()), ["file", "inner", "inner/program"]);
    let program = folder.path().join("inner/program");
    assert_eq!(std::fs::read(&program).unwrap(), b"#!/bin/sh\n");
    assert_eq!(program.metadata().unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn names_that_leave_the_archive_are_refused_wherever_they_stand() {
    for name in ["../tool", "a/../../tool", "/tool", "/etc/passwd", "a/b/../../../x"] {
        refuses(&with(&header(name, EntryType::Regular, 0)), "leads out of it");
        refuses(&with(&header(name, EntryType::Directory, 0)), "leads out of it");
    }
}

#[test]
fn links_that_leave_the_archive_are_refused() {
    for (name, kind, target) in [
        ("a", EntryType::Symlink, "/etc/passwd"),
        ("a", EntryType::Symlink, "../a"),
        ("a/b", EntryType::Symlink, "../../c"),
        ("a/b", EntryType::Link, "../c"),
        ("a", EntryType::Link, "/etc/passwd"),
    ] {
        refuses(&with(&link(name, kind, target)), "leads out of it");
    }
    for (name, kind, target) in [("a/b", EntryType::Symlink, "../tool"), ("a/b", EntryType::Link, "tool")] {
        extracted(&with(&link(name, kind, target))).0.unwrap();
    }
}

#[test]
fn a_program_that_is_a_link_or_a_device_or_twice_or_nowhere_is_refused() {
    let only = |header: &Header| gz(&[header.as_bytes(), &[0; 1024]]);
    refuses(&only(&link("tool", EntryType::Symlink, "other")), "no program called tool");
    refuses(&only(&link("tool", EntryType::Link, "other")), "no program called tool");
    refuses(&only(&header("tool", EntryType::Directory, 0)), "no program called tool");
    refuses(&with(&header("dev", EntryType::Char, 0)), "neither file, folder nor link");
    refuses(&with(&header("pipe", EntryType::Fifo, 0)), "neither file, folder nor link");
    refuses(&with(&header("tool", EntryType::Regular, 0)), "twice");
    refuses(&tar_gz(&[("tools", b"x")]), "no program called tool");
}

#[test]
fn what_is_cut_or_no_archive_is_refused() {
    let whole = tar_gz(&[("tool", &[7; 100_000])]);
    refuses(&whole[..whole.len() / 2], "");
    refuses(b"not an archive", "");
    refuses(b"", "");
    refuses(&gz(&[header("tool", EntryType::Regular, 4096).as_bytes(), &[1; 512]]), "");
}

/// 10 GB of zeros in less than 50 MB: gzip members one after the other are one stream.
fn bomb(head: &Header) -> Vec<u8> {
    const PIECE: usize = 64 << 20;
    let zeros = gz(&[&vec![0; PIECE]]);
    let times = usize::try_from((10_u64 << 30) / PIECE as u64).unwrap();
    [gz(&[head.as_bytes()]), zeros.repeat(times)].concat()
}

#[test]
fn ten_gigabytes_are_refused_whether_they_are_announced_or_hidden() {
    let ten = 10 << 30;
    refuses(&bomb(&header("tool", EntryType::Regular, ten)), "unpacks to more than 1.00 GiB");
    refuses(&bomb(&header("LICENSE", EntryType::Regular, ten)), "unpacks to more than 1.00 GiB");
    // A long name is read into memory by most readers of archives, however long.
    refuses(&bomb(&header("././@LongLink", EntryType::GNULongName, ten)), "larger than it says");
    refuses(&bomb(&header("././@PaxHeader", EntryType::XHeader, ten)), "larger than it says");
    refuses(&bomb(&header("tool", EntryType::GNUSparse, 512)), "");
}

#[test]
fn no_more_entries_than_a_program_comes_with_are_read() {
    let folders: Vec<_> = (0..=ENTRIES).map(|n| header(&format!("d{n}"), EntryType::Directory, 0)).collect();
    let parts: Vec<&[u8]> = folders.iter().map(|folder| folder.as_bytes() as &[u8]).collect();
    refuses(&gz(&parts), "more than 1000 entries");
}
