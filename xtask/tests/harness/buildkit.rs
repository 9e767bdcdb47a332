//! Real BuildKit: its daemon, compiled from its module, and buildx, which reaches it by the `remote` driver. Needs root
//! and Debian's runc.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::compiled::compiled;
use super::{Repo, checkout, read, tools};
use xtask::ui::Ui;

/// The daemon's package; its version is in `buildkit/go.mod`.
const PACKAGE: &str = "github.com/moby/buildkit/cmd/buildkitd";

/// A builder instance called [`Buildkit::NAME`] with an empty cache; it ends with this value.
pub(crate) struct Buildkit {
    daemon: Child,
    folder: TempDir,
}

impl Buildkit {
    /// What its instance is called.
    pub(crate) const NAME: &str = "test";

    /// Starts a daemon and waits until it says that it listens, then makes an instance of it.
    pub(crate) fn start() -> Buildkit {
        let folder = TempDir::new().expect("a temporary folder");
        let socket = format!("unix://{}", folder.path().join("buildkitd.sock").display());
        let mut daemon = Command::new(daemon())
            .arg("--root")
            .arg(folder.path().join("root"))
            .args(["--addr", &socket, "--containerd-worker=false", "--oci-worker=true"])
            // Its default is one place for the machine, for which two daemons that start at once would race.
            .arg("--otel-socket-path")
            .arg(folder.path().join("otel.sock"))
            // Builds use this machine's network, and so the registry that a test starts on it.
            .args(["--oci-worker-net=host", "--oci-worker-binary=runc"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("buildkitd starts");
        let mut log = BufReader::new(daemon.stderr.take().expect("its log is piped")).lines();
        let mut said = Vec::new();
        let runs = log.any(|line| {
            let line = line.unwrap_or_default();
            let runs = line.contains("running server on");
            said.push(line);
            runs
        });
        assert!(runs, "buildkitd ended; it needs root and Debian's runc: {said:#?}");
        // Its log goes on; nobody reading it would stop the daemon once the pipe is full.
        std::thread::spawn(move || log.for_each(drop));
        let buildkit = Buildkit { daemon, folder };
        buildkit.buildx(&["create", "--name", Buildkit::NAME, "--driver", "remote", &socket]);
        buildkit
    }

    /// Lets a command find buildx and this instance, and nothing of the user's.
    pub(crate) fn reach(&self, command: &mut Command) {
        let program = tools::buildx();
        let folder = program.parent().expect("a program is in a folder").as_os_str().to_owned();
        let mut path = folder;
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.env("PATH", path).env("BUILDX_CONFIG", self.folder.path().join("buildx"));
        command.env_remove("BUILDX_BUILDER").env("BUILDX_BUILDER", Buildkit::NAME);
    }

    /// Runs buildx, which has to succeed.
    pub(crate) fn buildx(&self, args: &[&str]) {
        let mut command = Command::new(tools::buildx());
        self.reach(&mut command);
        let output = command.args(args).stdin(Stdio::null()).output().expect("buildx runs");
        assert!(output.status.success(), "buildx {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Ends the daemon, its instance still known to buildx.
    pub(crate) fn stop(&mut self) {
        if !matches!(self.daemon.try_wait(), Ok(None)) {
            return;
        }
        // A daemon that is asked to end unmounts what it has mounted.
        let pid = self.daemon.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.daemon.wait();
    }
}

impl Drop for Buildkit {
    fn drop(&mut self) {
        self.stop();
    }
}

/// buildkitd, of the version that its module names.
fn daemon() -> PathBuf {
    let module = checkout().join("xtask/tests/harness/buildkit");
    compiled("buildkitd", &module, "", PACKAGE).join("buildkitd")
}

/// The table with `settings` in place of its own image to compile in.
pub(crate) fn with(table: &str, settings: &str) -> String {
    let own = table.lines().find(|line| line.starts_with("go-image = ")).expect("it names an image to compile in");
    table.replace(own, settings)
}

/// Has a repository's release table name the instance and an image to compile in, and commits it.
pub(crate) fn use_buildx(repo: &Repo, go_image: &str) {
    let settings = format!("instance = \"{}\"\ngo-image = \"{go_image}\"", Buildkit::NAME);
    repo.write("release.toml", &with(&repo.read("release.toml"), &settings));
    repo.commit("build with buildx");
}

/// Puts an image to compile in at `reference` of a registry: this machine's copy of the pinned toolchain, a shell, and
/// the certificates to reach a module proxy with. Gives the reference by digest.
pub(crate) fn go_image(reference: &str) -> String {
    let folder = TempDir::new().expect("a temporary folder");
    let archive = folder.path().join("image.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&archive).expect("the folder can be written"));
    tar.follow_symlinks(false);
    let busybox = Path::new("/bin/busybox");
    assert!(busybox.is_file(), "install Debian's busybox-static");
    for applet in ["sh", "cp", "mkdir", "chmod"] {
        tar.append_path_with_name(busybox, format!("bin/{applet}")).expect("busybox can be read");
    }
    tar.append_dir("tmp", folder.path()).expect("a folder can be written");
    let go = tools::go();
    let root = go.run(&checkout(), None, &["env", "GOROOT"]).expect("go is there").read(&Ui::silent());
    let root = String::from_utf8(root.expect("go knows its root")).expect("a path");
    tar.append_dir_all("usr/local/go", root.trim()).expect("the toolchain can be read");
    let roots = "etc/ssl/certs/ca-certificates.crt";
    tar.append_path_with_name(Path::new("/").join(roots), roots).expect("this machine has TLS roots");
    tar.finish().expect("the folder can be written");
    image(reference, &archive, "linux/amd64", &["--env", "PATH=/usr/local/go/bin:/bin"])
}

/// Puts an image of one archive at `reference` and gives the reference by digest.
pub(crate) fn image(reference: &str, archive: &Path, platform: &str, settings: &[&str]) -> String {
    let archive = archive.display().to_string();
    read(&tools::crane(), ["append", "--insecure", "--new_layer", &archive, "--new_tag", reference]);
    let mutate = ["mutate", "--insecure", reference, "--tag", reference, "--set-platform", platform];
    read(&tools::crane(), [&mutate, settings].concat());
    by_digest(reference)
}

/// The reference with what its tag names.
pub(crate) fn by_digest(reference: &str) -> String {
    format!("{reference}@{}", read(&tools::crane(), ["digest", "--insecure", reference]).trim())
}
