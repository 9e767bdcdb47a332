//! Who is asking: user names, passwords and identity tokens for a registry.
//!
//! Takes environment values, Docker's and Podman's files and credential helpers; gives at most one [`Credential`] a
//! host and the list of places that were looked at. Reads the environment in one place, [`Credentials::from_env`];
//! never writes anything.

use std::ffi::OsString;
use std::path::PathBuf;

use super::docker_config::{self, Found, Helpers};
use super::secret::Secret;
use crate::error::Result;
use crate::ui::Ui;

/// The user for the destination registry, before any file is looked at.
const USER: &str = "XTASK_REGISTRY_USER";
/// The password that goes with it.
const PASSWORD: &str = "XTASK_REGISTRY_PASSWORD";

/// What proves who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password, or a personal access token in its place.
    Password {
        /// The user.
        user: String,
        /// The password.
        secret: Secret,
    },
    /// An identity (refresh) token, to be exchanged for access tokens.
    Identity(Secret),
}

/// What was found for one host.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The credential, unless there is none anywhere.
    pub credential: Option<Credential>,
    /// Every place looked at, in order, for the message that credentials are missing.
    pub looked: Vec<String>,
}

/// Places to look for credentials.
#[derive(Clone)]
pub struct Credentials {
    fixed: Option<(String, Credential)>,
    named: bool,
    files: Vec<PathBuf>,
    helpers: Helpers,
}

impl Credentials {
    /// None at all: everything is asked for anonymously.
    pub fn none(ui: Ui) -> Credentials {
        Credentials { fixed: None, named: false, files: Vec::new(), helpers: Helpers { path: None, ui } }
    }

    /// From this process's environment. `XTASK_REGISTRY_USER` and `XTASK_REGISTRY_PASSWORD` are for `destination`
    /// (`host[:port]`) alone: the registry of a base image must not be shown the password of the one published to.
    pub fn from_env(destination: Option<&str>, ui: Ui) -> Credentials {
        Credentials::from_vars(|name| std::env::var_os(name), destination, ui)
    }

    /// The same with another source of variables.
    pub fn from_vars(get: impl Fn(&str) -> Option<OsString>, destination: Option<&str>, ui: Ui) -> Credentials {
        let path = |name: &str| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text = |name: &str| path(name).map(|value| value.to_string_lossy().into_owned());
        let fixed = match (destination, text(USER), text(PASSWORD)) {
            (Some(host), Some(user), Some(password)) => {
                Some((host.to_owned(), Credential::Password { user, secret: Secret::new(password) }))
            }
            _ => None,
        };
        let docker = path("DOCKER_CONFIG").or_else(|| path("HOME").map(|home| home.join(".docker")));
        let podman = path("REGISTRY_AUTH_FILE")
            .or_else(|| path("XDG_RUNTIME_DIR").map(|runtime| runtime.join("containers/auth.json")));
        let files = docker.map(|folder| folder.join("config.json")).into_iter().chain(podman).collect();
        let helpers = Helpers { path: get("PATH"), ui };
        Credentials { fixed, named: destination.is_some(), files, helpers }
    }

    /// Looks for `host`'s credential (`host[:port]`), in order: environment, Docker's file and helpers, Podman's file.
    /// An unreadable file or a helper that fails is an error: going on anonymously would only hide it.
    pub fn find(&self, host: &str) -> Result<Lookup> {
        let mut looked = Vec::new();
        if let Some((_, credential)) = self.fixed.as_ref().filter(|(for_host, _)| for_host == host) {
            return Ok(Lookup { credential: Some(credential.clone()), looked: vec![format!("{USER} and {PASSWORD}")] });
        }
        if self.named {
            looked.push(format!("{USER} and {PASSWORD}"));
        }
        for file in &self.files {
            match docker_config::find(file, host, &self.helpers)? {
                Found::Credential(credential) => {
                    looked.push(file.display().to_string());
                    return Ok(Lookup { credential: Some(credential), looked });
                }
                Found::Nothing => looked.push(file.display().to_string()),
                Found::NoFile => looked.push(format!("{} (no such file)", file.display())),
            }
        }
        Ok(Lookup { credential: None, looked })
    }
}
