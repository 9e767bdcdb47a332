//! The real code generators and the real Go on the sample: what the unit tests' scripts stand for.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't be set up fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{Metadata, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use walkdir::WalkDir;
use xtask::config::{Config, GitSource, SourceSpec};
use xtask::error::{Class, Error, Result};
use xtask::go::Go;
use xtask::plan::Workspace;
use xtask::source::{self, Prepared, Source};
use xtask::ui::Ui;

/// A copy of the sample under git, and a cache in which only the installed generators are from earlier runs.
struct Fixture {
    temp: tempfile::TempDir,
    config: Config,
    go: Go,
    workspace: Workspace,
}

impl Fixture {
    fn new() -> Fixture {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
        let temp = tempfile::tempdir().expect("a folder");
        let tools = xtask::tools::machine_cache().expect("the machine has a cache");
        let cache = temp.path().join("cache");
        std::fs::create_dir(&cache).expect("a folder");
        let workspace = Workspace { root: root.to_owned(), cache, dist: temp.path().join("dist"), tools };
        let config = Config::load(root, None).expect("release.toml is right");
        let go = Go::new(&config.tools.go, &Ui::silent()).expect("go is installed");
        let fixture = Fixture { temp, config, go, workspace };
        fixture.copy();
        fixture.git(&["init", "--quiet", "--initial-branch=main"]);
        fixture.git(&["add", "--all"]);
        fixture.git(&["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "--message=x"]);
        fixture
    }

    /// Copies what is no generated code: an editor's leftovers in the sample must not be what is tested.
    fn copy(&self) {
        for (path, entry) in listing(&self.sample()) {
            let to = self.checkout().join(&path);
            match entry.content {
                None => std::fs::create_dir_all(to).expect("a folder"),
                Some(_) if path.to_string_lossy().ends_with(".pb.go") => {}
                Some(bytes) => std::fs::write(to, bytes).expect("a file"),
            }
        }
    }

    fn sample(&self) -> PathBuf {
        self.workspace.root.join("docker/sample")
    }

    fn checkout(&self) -> PathBuf {
        self.temp.path().join("checkout")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.checkout().join(name), text).expect("a file");
    }

    fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.checkout()).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null");
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            git.env_remove(name);
        }
        let output = git.output().expect("git is installed");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn resolve(&self, spec: &SourceSpec) -> Result<Source> {
        source::resolve(spec, &self.workspace, None, &Ui::silent())
    }

    fn prepare(&self, spec: &SourceSpec) -> Result<Prepared> {
        let source = self.resolve(spec)?;
        source::prepare(source, &self.config.source, &self.config.tools, &self.go, &self.workspace, &Ui::silent())
    }

    fn path(&self) -> SourceSpec {
        SourceSpec::Path(self.checkout())
    }

    fn url(&self, revision: &str) -> SourceSpec {
        SourceSpec::Git(GitSource { url: format!("file://{}", self.checkout().display()), revision: revision.into() })
    }

    /// Builds the packages as a release does; the bytes of each program by its name.
    fn build(&self, prepared: &Prepared, packages: &[&str]) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let out = tempfile::tempdir_in(self.temp.path()).expect("a folder");
        let overlay = prepared.overlay.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let to = format!("{}/", out.path().display());
        let fixed = ["build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-overlay", &overlay, "-o", &to];
        let args = [fixed.as_slice(), packages].concat();
        self.go.run(&prepared.source.folder, None, &args)?.read(&Ui::silent())?;
        let files = listing(out.path()).into_iter();
        Ok(files.filter_map(|(path, entry)| Some((path, entry.content?))).collect())
    }

    /// The packages of release.toml's images.
    fn packages(&self) -> Vec<String> {
        self.config.images.values().map(|image| image.package.to_string()).collect()
    }

    fn build_all(&self, prepared: &Prepared) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let packages = self.packages();
        let programs = self.build(prepared, &packages.iter().map(String::as_str).collect::<Vec<_>>())?;
        assert_eq!(programs.len(), packages.len());
        Ok(programs)
    }
}

/// All of a file or folder that a write could change.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    mode: u32,
    modified: SystemTime,
    /// `None` for a folder.
    content: Option<Vec<u8>>,
}

/// Everything below `folder`, by its path in it.
fn listing(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let read = |entry: walkdir::DirEntry| {
        let metadata: Metadata = entry.metadata().expect("metadata");
        let content = metadata.is_file().then(|| std::fs::read(entry.path()).expect("a file"));
        let modified = metadata.modified().expect("a time");
        let path = entry.path().strip_prefix(folder).expect("a path below").to_owned();
        (path, Entry { mode: metadata.permissions().mode(), modified, content })
    };
    WalkDir::new(folder).into_iter().map(|entry| read(entry.expect("an entry"))).collect()
}

/// Takes the right to write from a folder and all below, and gives it back in the end.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn new(folder: PathBuf) -> ReadOnly {
        set_writable(&folder, false);
        ReadOnly(folder)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        set_writable(&self.0, true);
    }
}

fn set_writable(folder: &Path, writable: bool) {
    for entry in WalkDir::new(folder) {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("metadata").permissions().mode();
        let mode = if writable { mode | 0o200 } else { mode & !0o222 };
        std::fs::set_permissions(entry.path(), Permissions::from_mode(mode)).expect("permissions");
    }
}

/// The generated files by their places in the module.
fn generated(prepared: &Prepared) -> BTreeMap<PathBuf, Vec<u8>> {
    let text = std::fs::read(prepared.overlay.as_ref().expect("an overlay")).expect("the overlay");
    let overlay: BTreeMap<String, BTreeMap<PathBuf, PathBuf>> = serde_json::from_slice(&text).expect("JSON");
    let replace = overlay.get("Replace").expect("replacements");
    let place = |path: &Path| path.strip_prefix(&prepared.source.folder).expect("a place in the module").to_owned();
    replace.iter().map(|(at, from)| (place(at), std::fs::read(from).expect("a generated file"))).collect()
}

fn failure<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it worked"),
        Err(err) => err,
    }
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn the_sample_in_this_repository_builds_and_is_not_written_to() -> Result<()> {
    let fixture = Fixture::new();
    let before = listing(&fixture.sample());
    let prepared = fixture.prepare(&SourceSpec::Path(fixture.sample()))?;
    fixture.build_all(&prepared)?;
    assert!(listing(&fixture.sample()) == before, "docker/sample was written to");
    Ok(())
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_read_only_checkout_and_its_url_give_the_same_programs_and_stay_as_they_are() -> Result<()> {
    let fixture = Fixture::new();
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    let read_only = ReadOnly::new(fixture.checkout());
    let before = listing(&fixture.checkout());

    let here = fixture.prepare(&fixture.path())?;
    let programs = fixture.build_all(&here)?;
    assert_eq!((here.source.facts.revision.as_ref(), here.source.facts.dirty), (Some(&commit), false));
    for revision in ["main", &commit] {
        let fetched = fixture.prepare(&fixture.url(revision))?;
        assert_ne!(fetched.source.folder, here.source.folder);
        assert_eq!((fetched.source.facts.revision.as_ref(), fetched.source.facts.dirty), (Some(&commit), false));
        assert_eq!(fetched.source.facts.epoch, here.source.facts.epoch);
        assert!(generated(&fetched) == generated(&here), "@{revision} has other generated code");
        // No path of this machine is in a program: they are the same from two folders.
        assert!(fixture.build_all(&fetched)? == programs, "@{revision} has other programs");
    }

    assert!(listing(&fixture.checkout()) == before, "the checkout was written to");
    drop(read_only);
    Ok(())
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_changed_checkout_is_built_as_it_is_and_says_so() -> Result<()> {
    let fixture = Fixture::new();
    let proto = std::fs::read_to_string(fixture.checkout().join("gate/proto/gate.proto")).expect("the gate's proto");
    fixture.write("gate/proto/gate.proto", &format!("{proto}message Added {{ string id = 1; }}\n"));
    // What an earlier protoc left behind is replaced, not compiled.
    fixture.write("gate/proto/gate.pb.go", "this is no Go\n");
    let prepared = fixture.prepare(&fixture.path())?;
    assert_eq!(prepared.source.dirty_files, ["gate/proto/gate.proto"]);
    let code = generated(&prepared).remove(Path::new("gate/proto/gate.pb.go")).expect("the gate's code");
    assert!(String::from_utf8_lossy(&code).contains("type Added struct"));
    fixture.build(&prepared, &["./cmd/gate"]).map(|_| ())
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_module_shaped_like_goverse_gets_its_packages_and_services() -> Result<()> {
    let fixture = Fixture::new();
    fixture.write("go.mod", "module github.com/xiaonanln/goverse\n\ngo 1.25.0\n");
    fixture.write("proto/goverse.proto", GOVERSE);
    fixture.write("gate/proto/gate.proto", GATE);
    std::fs::remove_dir_all(fixture.checkout().join("cmd")).expect("a folder");
    std::fs::remove_dir_all(fixture.checkout().join("samples")).expect("a folder");
    let files = generated(&fixture.prepare(&fixture.path())?);
    let names: BTreeSet<_> = files.keys().map(|path| path.display().to_string()).collect();
    let expected = ["gate/proto/gate.pb.go", "gate/proto/gate_grpc.pb.go", "proto/goverse.pb.go"];
    assert_eq!(names, expected.map(String::from).into());
    let text = |name: &str| String::from_utf8_lossy(files.get(Path::new(name)).expect("a file")).into_owned();
    assert!(text("gate/proto/gate.pb.go").contains("\npackage gate_pb\n"));
    // The import's package is goverse_pb by its own go_package; the path in quotes is what `;` stands after.
    assert!(text("gate/proto/gate_grpc.pb.go").contains("\"github.com/xiaonanln/goverse/proto\""));
    assert!(text("gate/proto/gate_grpc.pb.go").contains("type GateServiceServer interface"));
    // A field's option of the module's own: tag 50001 << 3, a varint, then true.
    assert!(text("proto/goverse.pb.go").contains(r"\x88\xb5\x18\x01"));
    Ok(())
}

const GOVERSE: &str = r#"syntax = "proto3";
package goverse;
import "google/protobuf/descriptor.proto";
option go_package = "github.com/xiaonanln/goverse/proto;goverse_pb";
extend google.protobuf.FieldOptions { bool secret = 50001; }
message CallObjectRequest { string id = 1 [(secret) = true]; }
"#;

const GATE: &str = r#"syntax = "proto3";
package gate;
import "google/protobuf/empty.proto";
import "proto/goverse.proto";
option go_package = "github.com/xiaonanln/goverse/gate/proto;gate_pb";
service GateService {
  rpc Register(google.protobuf.Empty) returns (stream ClientMessage);
  rpc CallObject(goverse.CallObjectRequest) returns (google.protobuf.Empty);
}
message ClientMessage { string client_id = 1; }
"#;

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn mistakes_in_a_proto_are_shown_where_they_are() {
    let fixture = Fixture::new();
    let place = fixture.checkout().join("proto/goverse.proto");
    // Line 4, column 15: `Missing`, counted by hand.
    fixture.write(
        "proto/goverse.proto",
        "syntax = \"proto3\";\npackage goverse;\nmessage A {\n  map<string, Missing> x = 1;\n}\n",
    );
    let err = failure(fixture.prepare(&fixture.path()));
    assert!(err.to_string().starts_with(&format!("{}:4:15: ", place.display())), "{err}");
    assert_eq!(err.class(), Class::Failed);
    // What only the generator minds is shown as it says it.
    for name in ["gate/proto/gate.proto", "cmd/inspector/proto/inspector.proto", "samples/chat/proto/chat.proto"] {
        std::fs::remove_file(fixture.checkout().join(name)).expect("a proto");
    }
    fixture.write("proto/goverse.proto", "syntax = \"proto3\";\npackage goverse;\nmessage A {}\n");
    let err = failure(fixture.prepare(&fixture.path())).to_string();
    assert!(
        err.contains("protoc-gen-go") && err.contains("go_package") && err.contains("proto/goverse.proto"),
        "{err}"
    );
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn what_is_missing_is_named() -> Result<()> {
    let fixture = Fixture::new();
    let missing = fixture.temp.path().join("nowhere");
    let err = failure(fixture.resolve(&SourceSpec::Path(missing.clone())));
    assert!(err.class() == Class::Usage && err.to_string().contains(&missing.display().to_string()), "{err}");
    let err = failure(fixture.resolve(&fixture.url("v9.9.9")));
    assert!(err.class() == Class::Usage && err.to_string().contains("v9.9.9"), "{err}");
    let prepared = fixture.prepare(&fixture.path())?;
    let err = failure(fixture.build(&prepared, &["./cmd/nowhere"]));
    assert!(err.to_string().contains("go build") && err.to_string().contains("cmd/nowhere"), "{err}");
    Ok(())
}
