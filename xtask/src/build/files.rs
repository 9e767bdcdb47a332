//! What an image holds beside its program: the files every container needs, and the static files of the source.
//!
//! Takes an image's plan, gives [`Tree`]s. Never follows a link out of the source.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::base::Base;
use crate::config::{AbsPath, StaticFiles};
use crate::error::{Context, Error, Result};
use crate::oci::layer::Tree;
use crate::plan::ImagePlan;

/// Where Go's crypto/x509 looks first on Linux.
pub(super) const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Files of a base that the system layer adds to instead of hiding, without the leading slash.
pub(super) const MERGED: &[&str] = &["etc/passwd", "etc/group", "etc/ssl/certs/ca-certificates.crt"];

/// `/etc/passwd` and `/etc/group` with the image's user, TLS roots, `/tmp`, and the working directory.
pub(super) fn system(image: &ImagePlan, base: &Base) -> Result<Tree> {
    let user = &image.user;
    let mut tree = Tree::default();
    let passwd =
        format!("{}:x:{}:{}:{}:{}:/sbin/nologin\n", user.name, user.uid, user.gid, user.name, image.working_dir);
    let passwd = with_line(base.file("etc/passwd"), DEFAULT_PASSWD, &passwd, user.uid);
    let group = with_line(base.file("etc/group"), DEFAULT_GROUP, &format!("{}:x:{}:\n", user.name, user.gid), user.gid);
    tree.bytes(&"/etc/passwd".parse()?, 0o644, passwd.into_bytes());
    tree.bytes(&"/etc/group".parse()?, 0o644, group.into_bytes());
    if base.file("etc/ssl/certs/ca-certificates.crt").is_none() {
        tree.bytes(&ROOTS.parse()?, 0o644, roots().into_bytes());
    }
    tree.folder(&"/tmp".parse()?, 0o1777);
    tree.folder(&image.working_dir, 0o755);
    Ok(tree)
}

const DEFAULT_PASSWD: &str =
    "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n";
const DEFAULT_GROUP: &str = "root:x:0:\nnobody:x:65534:\n";

/// The base's file, or the default one, with `line` added unless it has the id already.
fn with_line(base: Option<&str>, default: &str, line: &str, id: u32) -> String {
    let mut text = base.unwrap_or(default).to_owned();
    let taken = text.lines().any(|l| l.split(':').nth(2) == Some(id.to_string().as_str()));
    if !taken {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text += line;
    }
    text
}

/// Mozilla's roots for TLS servers as PEM (RFC 7468), in the crate's order.
fn roots() -> String {
    let mut pem = String::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem += "-----BEGIN CERTIFICATE-----\n";
        let text = STANDARD.encode(root);
        for line in text.as_bytes().chunks(64) {
            pem += &String::from_utf8_lossy(line);
            pem.push('\n');
        }
        pem += "-----END CERTIFICATE-----\n";
    }
    pem
}

/// The static files of an image, root's, with mode 0644 or 0755.
pub(super) fn fixed(image: &ImagePlan, source: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    for files in &image.files {
        let from = source.join(files.from.as_path());
        let missing = |e| {
            Error::failed(format!("image {} wants {} of the source", image.name, files.from))
                .because(e)
                .hint("check files in release.toml")
        };
        let real = from.canonicalize().map_err(missing)?;
        add(&mut tree, files, &real, source)?;
    }
    Ok(tree)
}

fn add(tree: &mut Tree, files: &StaticFiles, real: &Path, source: &Path) -> Result<()> {
    let source = source.canonicalize().attempt(|| format!("find {}", source.display()))?;
    for entry in walkdir::WalkDir::new(real).sort_by_file_name() {
        let entry = entry.attempt(|| format!("list {}", real.display()))?;
        let target = entry.path().canonicalize().attempt(|| format!("follow {}", entry.path().display()))?;
        if !target.starts_with(&source) {
            return Err(Error::failed(format!(
                "{} leads out of the source, to {}",
                entry.path().display(),
                target.display()
            )));
        }
        let below = entry.path().strip_prefix(real).unwrap_or(Path::new("")).to_string_lossy().into_owned();
        let to: AbsPath = match below.is_empty() {
            true => files.to.clone(),
            false => format!("{}/{below}", files.to.as_str().trim_end_matches('/')).parse()?,
        };
        put(tree, &to, &target)?;
    }
    Ok(())
}

fn put(tree: &mut Tree, to: &AbsPath, from: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let meta = std::fs::metadata(from).attempt(|| format!("read {}", from.display()))?;
    if meta.is_dir() {
        tree.folder(to, 0o755);
        return Ok(());
    }
    if !meta.is_file() {
        return Err(Error::failed(format!("{} is neither a file nor a folder", from.display())));
    }
    let mode = if meta.permissions().mode() & 0o100 != 0 { 0o755 } else { 0o644 };
    tree.disk(to, mode, from).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_added_once_and_a_base_keeps_its_own() {
        let line = "app:x:1000:1000::/:/sbin/nologin\n";
        assert_eq!(with_line(Some("root:x:0:0::/:/bin/sh"), "", line, 1000), format!("root:x:0:0::/:/bin/sh\n{line}"));
        assert_eq!(with_line(Some("node:x:1000:1000::/:/bin/sh\n"), "", line, 1000), "node:x:1000:1000::/:/bin/sh\n");
        assert_eq!(with_line(None, "root:x:0:\n", line, 1000), format!("root:x:0:\n{line}"));
    }

    #[test]
    fn the_roots_are_pem_that_a_tls_library_reads() {
        let pem = roots();
        assert!(pem.matches("BEGIN CERTIFICATE").count() > 100);
        assert!(pem.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn a_link_out_of_the_source_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        std::fs::create_dir_all(source.join("web")).unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink("../../secret", source.join("web/link")).unwrap();
        let files = StaticFiles { from: "web".parse().unwrap(), to: "/app".parse().unwrap() };
        let err = add(&mut Tree::default(), &files, &source.join("web").canonicalize().unwrap(), &source)
            .unwrap_err()
            .to_string();
        assert!(err.contains("leads out of the source"), "{err}");
    }
}
