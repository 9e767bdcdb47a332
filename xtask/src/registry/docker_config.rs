//! Docker's `config.json`, which Podman's `auth.json` shares the form of, and its credential helpers.
//!
//! Takes a file and a host, gives a credential. Never writes, never puts a secret on a command line, never waits for a
//! helper longer than [`HELPER_LIMIT`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use xshell::{Shell, cmd};

use super::credentials::Credential;
use super::host::is_hub;
use super::secret::Secret;
use crate::cmd::Run;
use crate::error::{Class, Context, Error, Result};
use crate::fs;
use crate::ui::Ui;

/// The largest configuration file that is read.
const FILE_LIMIT: u64 = 1 << 20;
/// How long a helper may take; some ask the user to unlock a keychain.
const HELPER_LIMIT: Duration = Duration::from_secs(60);
/// The key Docker Hub's credentials are kept under.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// The user name that says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What a file has for a host.
pub(super) enum Found {
    Credential(Credential),
    Nothing,
    NoFile,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: String,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default, rename = "identitytoken")]
    identity: String,
}

/// How credential helpers are run.
#[derive(Clone)]
pub(super) struct Helpers {
    /// Where they are looked for, like `PATH`; as this process does when there is none.
    pub(super) path: Option<OsString>,
    /// Where their commands are shown.
    pub(super) ui: Ui,
}

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// Looks `host` up: its own helper first, then the general one, then the file itself.
pub(super) fn find(path: &Path, host: &str, helpers: &Helpers) -> Result<Found> {
    if !path.try_exists().attempt(|| format!("look for {}", path.display()))? {
        return Ok(Found::NoFile);
    }
    let unreadable = |e: serde_json::Error| {
        // The parser's message may quote what it could not read, so only the place is shown.
        let error = Error::usage(format!("{} is not a Docker configuration", path.display()));
        error.because(format!("line {}, column {}", e.line(), e.column()))
    };
    let file: File = serde_json::from_slice(&fs::read_small(path, FILE_LIMIT)?).map_err(unreadable)?;
    let own = file.helpers.iter().find(|(key, _)| matches(key, host)).map(|(_, helper)| helper.as_str());
    let helper = own.or(Some(file.store.as_str())).filter(|helper| !helper.is_empty());
    if let Some(credential) = helper.map(|helper| helpers.ask(helper, host)).transpose()?.flatten() {
        return Ok(Found::Credential(credential));
    }
    let entry = file.auths.iter().find(|(key, entry)| matches(key, host) && !entry.is_empty());
    match entry {
        Some((key, entry)) => entry.credential().map(Found::Credential).ok_or_else(|| {
            let error = Error::usage(format!("{} has an entry for {key} that is no credential", path.display()));
            error.hint(format!("docker login {host}"))
        }),
        None => Ok(Found::Nothing),
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.auth.is_empty() && self.identity.is_empty()
    }

    /// `auth` is `user:password` in Base64, which some tools write without padding.
    fn credential(&self) -> Option<Credential> {
        if !self.identity.is_empty() {
            return Some(Credential::Identity(Secret::new(&self.identity)));
        }
        let bytes = STANDARD.decode(&self.auth).or_else(|_| STANDARD_NO_PAD.decode(&self.auth)).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        // Docker pads some values with NUL.
        let secret = Secret::new(password.trim_end_matches('\0'));
        (!user.is_empty()).then(|| Credential::Password { user: user.into(), secret })
    }
}

/// Whether a file's key means `host`: keys may carry a scheme and an API version.
fn matches(key: &str, host: &str) -> bool {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    bare == host || (is_hub(bare) && is_hub(host))
}

impl Helpers {
    /// Asks `docker-credential-NAME` (Docker's credential helper protocol: the host on stdin, JSON on stdout).
    fn ask(&self, name: &str, host: &str) -> Result<Option<Credential>> {
        let fine = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !fine {
            return Err(Error::usage(format!("`{name}` is not the name of a credential helper")));
        }
        let program = format!("docker-credential-{name}");
        let shell = Shell::new().attempt(|| format!("run {program}"))?;
        let server = if is_hub(host) { HUB_KEY } else { host };
        let run = Run::new(cmd!(shell, "{program} get")).stdin(server).limit(HELPER_LIMIT);
        let run = match &self.path {
            Some(path) => run.env("PATH", path),
            None => run,
        };
        let hint = format!("check that {program} works, or set XTASK_REGISTRY_USER and XTASK_REGISTRY_PASSWORD");
        let output = run.output(&self.ui).map_err(|e| e.hint(&hint))?;
        let said =
            String::from_utf8_lossy(if output.status.success() { &[] } else { &output.stdout }).trim().to_owned();
        // The protocol has no code for it: every helper says these words.
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let failed = |why: String| Error::new(Class::Failed, format!("`{program} get` failed for {host}")).because(why);
        if !output.status.success() {
            return Err(failed(format!("{}: {}", output.status, said.lines().next().unwrap_or_default())).hint(hint));
        }
        let unreadable = |_| failed("its answer is not the JSON of a credential".into()).hint(&hint);
        let answer: HelperAnswer = serde_json::from_slice(&output.stdout).map_err(unreadable)?;
        let secret = Secret::new(answer.secret);
        Ok(Some(match answer.user.as_str() {
            TOKEN_USER => Credential::Identity(secret),
            _ => Credential::Password { user: answer.user, secret },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_a_host_with_or_without_scheme_and_version() {
        for key in ["ghcr.io", "https://ghcr.io", "https://ghcr.io/", "https://ghcr.io/v1/", "http://ghcr.io/v2"] {
            assert!(matches(key, "ghcr.io"), "{key}");
        }
        for key in ["ghcr.io/owner", "ghcr.io:443", "notghcr.io", "io", ""] {
            assert!(!matches(key, "ghcr.io"), "{key}");
        }
        assert!(matches(HUB_KEY, "docker.io") && matches("docker.io", "registry-1.docker.io"));
    }

    // RFC 7617, section 2, gives this user, password and encoding.
    #[test]
    fn an_entry_is_user_and_password_or_an_identity_token() {
        let entry = |auth: &str, identity: &str| Entry { auth: auth.into(), identity: identity.into() }.credential();
        let aladdin = Credential::Password { user: "Aladdin".into(), secret: Secret::new("open sesame") };
        assert_eq!(entry("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ""), Some(aladdin.clone()));
        assert_eq!(entry("QWxhZGRpbjpvcGVuIHNlc2FtZQ", ""), Some(aladdin));
        assert_eq!(entry("eDo=", "t"), Some(Credential::Identity(Secret::new("t"))));
        assert_eq!((entry("!", ""), entry("bm9jb2xvbg==", "")), (None, None));
    }

    #[test]
    fn a_helper_is_a_name_and_not_a_path() {
        for name in ["../evil", "a b", "a;b", "a/b"] {
            let helpers = Helpers { path: None, ui: Ui::silent() };
            assert!(helpers.ask(name, "ghcr.io").is_err_and(|e| e.class() == Class::Usage), "{name}");
        }
    }
}
