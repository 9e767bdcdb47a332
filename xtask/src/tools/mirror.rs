//! A mirror of publishers' files: one base URL, below which each file stands under its publisher's host and path.
//!
//! Takes a URL as a person wrote it, gives the URL of a file. Never one with a user or a password, and plain http only
//! to this machine.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::registry::{Url, is_loopback_url};

/// Where files are fetched in place of their publishers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror(Url);

impl Mirror {
    /// `MIRROR/HOST/PATH` for `https://HOST/PATH`: what `wget --mirror` makes, and one repository for several hosts.
    pub(super) fn of(&self, url: &Url) -> Result<Url> {
        let base = self.0.as_str().trim_end_matches('/');
        let mirrored = format!("{base}/{}{}", url.host_str().unwrap_or_default(), url.path());
        Url::parse(&mirrored).map_err(|e| Error::usage(format!("`{mirrored}` is not a URL")).because(e))
    }
}

impl FromStr for Mirror {
    type Err = Error;
    fn from_str(text: &str) -> Result<Mirror> {
        // The text itself is not shown: it may hold a password.
        let bad =
            |why: &str| Error::usage(format!("the mirror is not usable: {why}")).hint("write it as https://HOST/PATH");
        let url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("credentials are never sent for tools, and a command line is no place for them"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has a query or a fragment"));
        }
        match is_safe(&url) {
            true => Ok(Mirror(url)),
            false => Err(bad("only https is, and http to this machine")),
        }
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Whether what comes from `url` comes over TLS or from this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback_url(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_every_host_below_it() {
        let file = Url::parse("https://github.com/a/b/releases/download/k%2Fv1.2.3/b.tar.gz").expect("a URL");
        for base in ["https://mirror.example/tools", "https://mirror.example/tools/"] {
            let mirror: Mirror = base.parse().expect("a mirror");
            let expected = "https://mirror.example/tools/github.com/a/b/releases/download/k%2Fv1.2.3/b.tar.gz";
            assert_eq!(mirror.of(&file).map(String::from).ok().as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_mirror_is_https_or_this_machine_and_holds_no_secret() {
        for good in ["https://mirror.example", "http://127.0.0.1:8080/x", "http://localhost:1/"] {
            assert!(good.parse::<Mirror>().is_ok(), "{good}");
        }
        for bad in [
            "http://mirror.example",
            "ftp://mirror.example",
            "file:///srv/tools",
            "mirror.example",
            "https://user:secret@mirror.example",
            "https://mirror.example/?token=secret",
        ] {
            let error = bad.parse::<Mirror>().expect_err(bad).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
