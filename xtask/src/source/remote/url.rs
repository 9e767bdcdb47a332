//! The URL of a git repository, with the login that may be in it kept apart.
//!
//! Takes the text of a command line, gives one that may be shown and one that may not. Never puts the latter in an
//! error: text that can't be taken apart isn't repeated.

use super::super::git::{Login, SCHEMES};
use crate::error::{Error, Result};

/// A URL that git may fetch from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    clean: String,
    full: String,
    secret: Option<String>,
}

impl Url {
    /// Reads `scheme://[login@]host/path` or `git@host:path`. The user's name is no secret over ssh, but over https it
    /// may be a token.
    pub(super) fn parse(text: &str) -> Result<Url> {
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(bad("a space or a control character is in it"));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Url { clean: text.into(), full: text.into(), secret: None });
        };
        if !SCHEMES.contains(&scheme) {
            return Err(bad(&format!("only {} are fetched from", SCHEMES.join(", "))));
        }
        let (authority, path) =
            rest.split_once('/').filter(|(_, path)| !path.is_empty()).ok_or_else(|| bad("no path is in it"))?;
        let (userinfo, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let (shown, secret) = match userinfo.map(|user| (user, user.split_once(':'))) {
            Some((_, Some((name, password)))) if scheme == "ssh" => (format!("{name}@"), Some(password)),
            Some((user, None)) if scheme == "ssh" => (format!("{user}@"), None),
            Some((user, _)) => (String::new(), Some(user)),
            None => (String::new(), None),
        };
        let secret = secret.filter(|s| !s.is_empty()).map(str::to_owned);
        Ok(Url { clean: format!("{scheme}://{shown}{host}/{path}"), full: text.into(), secret })
    }

    /// The URL that may be shown.
    pub(super) fn clean(&self) -> &str {
        &self.clean
    }

    /// The login, for git alone.
    pub(super) fn login(&self) -> Option<Login> {
        let userinfo = self.secret.clone()?;
        Some(Login { userinfo, full: self.full.clone(), clean: self.clean.clone() })
    }
}

fn bad(why: &str) -> Error {
    Error::usage("the git URL of the source can't be used")
        .because(why)
        .hint("write it as https://HOST/PATH@REV or git@HOST:PATH@REV")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_never_in_the_clean_url() -> Result<()> {
        let cases = [
            ("https://github.com/o/r", "https://github.com/o/r", false),
            ("https://token@github.com/o/r.git", "https://github.com/o/r.git", true),
            ("https://user:p%40ss@host:8443/r", "https://host:8443/r", true),
            ("https://user:p@ss@host/r", "https://host/r", true),
            ("ssh://git@host:22/r", "ssh://git@host:22/r", false),
            ("ssh://git:pass@host/r", "ssh://git@host/r", true),
            ("git@host:o/r", "git@host:o/r", false),
            ("file:///srv/r", "file:///srv/r", false),
        ];
        for (text, clean, secret) in cases {
            let url = Url::parse(text)?;
            assert_eq!((url.clean(), url.login().is_some()), (clean, secret), "{text}");
        }
        Ok(())
    }

    #[test]
    fn a_url_that_cannot_be_taken_apart_is_refused_without_being_repeated() {
        for text in [
            "http://user:hunter2@host/r",
            "ext::sh://hunter2/x",
            "https://user:hunter2",
            "https://hunter2@host/",
            "https://h/hunter2 x",
        ] {
            let err = Url::parse(text).err().map(|e| (e.class() as u8, e.to_string()));
            assert!(
                err.as_ref().is_some_and(|(class, text)| *class == 2 && !text.contains("hunter2")),
                "{text}: {err:?}"
            );
        }
    }
}
