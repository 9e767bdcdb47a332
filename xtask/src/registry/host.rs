//! A registry's host: the name people write, and the URL its API answers at.
//!
//! Takes `host[:port]`, gives a base URL. Plain http only for this machine and for hosts named explicitly.

use std::collections::BTreeSet;
use std::net::IpAddr;

use reqwest::Url;

use crate::error::{Error, Result};

/// Docker Hub: one registry, an API under another name, and a third name in Docker's configuration.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// One registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// As people write it, `ghcr.io` or `localhost:5000`: by this name credentials are found and tokens are kept.
    pub(super) name: String,
    /// Where `v2/` is.
    pub(super) base: Url,
}

impl Host {
    /// Resolves `name`; `plain` lists further hosts to be talked to without TLS.
    pub(super) fn new(name: &str, plain: &BTreeSet<String>) -> Result<Host> {
        let address = if is_hub(name) { "registry-1.docker.io" } else { name };
        let scheme = if is_loopback(name) || plain.contains(name) { "http" } else { "https" };
        let bad = || Error::usage(format!("`{name}` is not a registry")).hint("write it as ghcr.io or localhost:5000");
        let base = Url::parse(&format!("{scheme}://{address}/")).map_err(|e| bad().because(e))?;
        if !base.username().is_empty() || base.password().is_some() || base.path() != "/" || base.query().is_some() {
            return Err(bad());
        }
        Ok(Host { name: name.to_owned(), base })
    }

    /// The path of a repository's API; Docker Hub's own images stand below `library/`.
    pub(super) fn repository(&self, path: &str) -> String {
        match is_hub(&self.name) && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_owned(),
        }
    }

    /// Whether `url` is at this registry, so that its credentials may go there.
    pub(super) fn owns(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }
}

/// Whether this is one of Docker Hub's names.
pub(super) fn is_hub(name: &str) -> bool {
    HUB.contains(&name)
}

/// Whether `host[:port]` is this machine, where there is no wire to listen on.
pub(super) fn is_loopback(name: &str) -> bool {
    Url::parse(&format!("http://{name}/")).is_ok_and(|url| is_loopback_url(&url))
}

/// The same of a whole URL.
pub(crate) fn is_loopback_url(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether a secret may travel to `url`: over TLS, to this machine, or to a host the user named as plain.
pub(super) fn is_private(url: &Url, plain: &BTreeSet<String>) -> bool {
    let authority = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    url.scheme() == "https" || (url.scheme() == "http" && (is_loopback_url(url) || plain.contains(&authority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(name: &str) -> String {
        Host::new(name, &BTreeSet::from(["plain.internal:5000".to_owned()]))
            .map_or_else(|e| e.to_string(), |h| h.base.into())
    }

    #[test]
    fn only_this_machine_and_named_hosts_go_without_tls() {
        for name in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "plain.internal:5000"]
        {
            assert!(base(name).starts_with("http://"), "{name}");
        }
        for name in
            ["ghcr.io", "plain.internal", "localhost.example", "128.0.0.1:5000", "127.0.0.1.example:80", "[::2]:5000"]
        {
            assert!(base(name).starts_with("https://"), "{name}");
        }
    }

    #[test]
    fn a_host_is_nothing_but_a_host() {
        for name in ["", "user@ghcr.io", "ghcr.io/owner", "ghcr.io?x", "a b", "host:port"] {
            assert!(Host::new(name, &BTreeSet::new()).is_err(), "{name}");
        }
    }

    #[test]
    fn docker_hub_is_reached_by_its_api_name_and_keeps_its_own_images_below_library() {
        let hub = Host::new("docker.io", &BTreeSet::new()).expect("a host");
        assert_eq!(hub.base.as_str(), "https://registry-1.docker.io/");
        assert_eq!(
            (hub.repository("alpine"), hub.repository("team/app")),
            ("library/alpine".into(), "team/app".into())
        );
    }
}
