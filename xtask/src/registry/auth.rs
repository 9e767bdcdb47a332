//! Answers a registry's challenge: `Basic`, or `Bearer` with a token from the realm it names (Docker's token and OAuth2
//! specifications, which the distribution spec builds on).
//!
//! Takes a host and a scope, gives an `Authorization` value. Tokens are kept until shortly before they expire. Never
//! sends a credential to a realm that others could listen to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::challenge::{Challenge, parse};
use super::credentials::{Credential, Credentials, Lookup};
use super::failure::{Failure, redacted};
use super::host::{Host, is_private};
use super::reply::{Reply, json};
use super::retry::Retrier;
use super::secret::Secret;
use super::transport::{Body, Call, Transport};
use crate::error::{Error, Result};

/// How long a token lives when its server doesn't say (token specification, "expires_in").
const LIFETIME: u64 = 60;
/// A token this close to its end is not used any more.
const MARGIN: u64 = 10;
/// The largest answer of a token server.
const TOKEN_LIMIT: u64 = 1 << 20;
/// The name we go by in the OAuth2 exchange.
const CLIENT_ID: &str = "goverse-xtask";

/// How a host wants to be answered.
#[derive(Clone, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

struct Token {
    value: Secret,
    expires: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    expires_in: Option<u64>,
}

/// What is known of every host talked to.
pub(super) struct Auth {
    credentials: Credentials,
    plain: BTreeSet<String>,
    retrier: Retrier,
    schemes: Mutex<BTreeMap<String, Scheme>>,
    lookups: Mutex<BTreeMap<String, Lookup>>,
    tokens: Mutex<BTreeMap<(String, String), Token>>,
    /// Scopes a registry asked for beyond what we thought we needed, by host and scope.
    wider: Mutex<BTreeMap<(String, String), String>>,
    /// Held while a token is fetched, so that threads that need the same one wait for it and don't each fetch theirs.
    fetching: Mutex<()>,
}

impl Auth {
    pub(super) fn new(credentials: Credentials, plain: BTreeSet<String>, retrier: Retrier) -> Auth {
        Auth {
            credentials,
            plain,
            retrier,
            schemes: Mutex::default(),
            lookups: Mutex::default(),
            tokens: Mutex::default(),
            wider: Mutex::default(),
            fetching: Mutex::default(),
        }
    }

    /// The header for `host` and `scope` (space separated); none before the first challenge or without a credential.
    pub(super) fn header(&self, transport: &Transport, host: &Host, scope: &str) -> Result<Option<HeaderValue>> {
        let scheme = lock(&self.schemes).get(&host.name).cloned();
        match scheme {
            None => Ok(None),
            Some(Scheme::Basic) => match self.lookup(&host.name)?.credential {
                Some(Credential::Password { user, secret }) => Ok(sensitive(&basic(&user, &secret))),
                _ => Ok(None),
            },
            Some(Scheme::Bearer { realm, service }) => {
                let token = self.token(transport, host, scope, &realm, service.as_deref())?;
                Ok(sensitive(&format!("Bearer {}", token.reveal())))
            }
        }
    }

    /// Learns from a 401: how the host wants to be answered, and that the token `used` is of no use.
    pub(super) fn learn(
        &self,
        host: &Host,
        scope: &str,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
    ) -> Result<()> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = values.flat_map(parse).collect();
        let key = (host.name.clone(), scope.to_owned());
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, scope } => Some((realm, service, scope)),
            Challenge::Basic => None,
        });
        if let Some((realm, service, asked)) = bearer {
            let realm = host
                .base
                .join(realm)
                .map_err(|e| Error::network(format!("{} names no valid token server", host.name)).because(e))?;
            if let Some(asked) = asked.as_deref().filter(|asked| !covers(scope, asked)) {
                lock(&self.wider).insert(key.clone(), asked.to_owned());
            }
            lock(&self.schemes).insert(host.name.clone(), Scheme::Bearer { realm, service: service.clone() });
        } else if challenges.contains(&Challenge::Basic) {
            lock(&self.schemes).insert(host.name.clone(), Scheme::Basic);
        }
        let stale = |token: &Token| {
            used.is_some_and(|used| used.as_bytes() == format!("Bearer {}", token.value.reveal()).as_bytes())
        };
        let mut tokens = lock(&self.tokens);
        if tokens.get(&key).is_some_and(stale) {
            tokens.remove(&key);
        }
        Ok(())
    }

    /// Says where credentials were looked for, for a message that they are missing or refused.
    pub(super) fn hint(&self, host: &str) -> String {
        let lookup = self.lookup(host).unwrap_or(Lookup { credential: None, looked: Vec::new() });
        let places = lookup.looked.join(", ");
        match (lookup.credential.is_some(), lookup.looked.last()) {
            (true, Some(place)) => format!("the credentials of {place} were refused: `docker login {host}`"),
            (_, None) => format!("no credentials were given: `docker login {host}`"),
            (false, Some(_)) => format!("no credentials for {host} in {places}: `docker login {host}`"),
        }
    }

    fn lookup(&self, host: &str) -> Result<Lookup> {
        let mut lookups = lock(&self.lookups);
        if let Some(lookup) = lookups.get(host) {
            return Ok(lookup.clone());
        }
        let lookup = self.credentials.find(host)?;
        lookups.insert(host.to_owned(), lookup.clone());
        Ok(lookup)
    }

    fn token(
        &self,
        transport: &Transport,
        host: &Host,
        scope: &str,
        realm: &Url,
        service: Option<&str>,
    ) -> Result<Secret> {
        let key = (host.name.clone(), scope.to_owned());
        let kept = || {
            let tokens = lock(&self.tokens);
            tokens.get(&key).filter(|token| token.expires > self.retrier.clock.now()).map(|token| token.value.clone())
        };
        if let Some(token) = kept() {
            return Ok(token);
        }
        let _fetching = lock(&self.fetching);
        if let Some(token) = kept() {
            return Ok(token);
        }
        let wider = lock(&self.wider).get(&key).cloned().unwrap_or_default();
        let scopes: Vec<&str> = scope.split_whitespace().chain(wider.split_whitespace()).collect();
        let token = self.fetch(transport, host, &scopes, realm, service)?;
        let value = token.value.clone();
        lock(&self.tokens).insert(key, token);
        Ok(value)
    }

    fn fetch(
        &self,
        transport: &Transport,
        host: &Host,
        scopes: &[&str],
        realm: &Url,
        service: Option<&str>,
    ) -> Result<Token> {
        if !is_private(realm, &self.plain) {
            let error =
                Error::failed(format!("{} wants credentials at {}, which has no TLS", host.name, redacted(realm)));
            return Err(error.hint("use a registry whose token server is reached over https"));
        }
        let credential = self.lookup(&host.name)?.credential;
        let asked = self.retrier.clock.now();
        let bytes = self.retrier.run(|| {
            let reply = match &credential {
                Some(Credential::Identity(token)) => exchange(transport, realm, service, scopes, token)?,
                Some(Credential::Password { user, secret }) => {
                    get(transport, realm, service, scopes, sensitive(&basic(user, secret)).as_ref())?
                }
                None => get(transport, realm, service, scopes, None)?,
            };
            match reply.is_success() {
                true => reply.bytes(TOKEN_LIMIT),
                false => Err(reply.failure(self.retrier.clock.timestamp())),
            }
        });
        let bytes = bytes.map_err(|failure| match failure.status {
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => failure.error.hint(self.hint(&host.name)),
            _ => failure.error,
        })?;
        let answer: TokenAnswer = json(&format!("the token of {}", redacted(realm)), &bytes)?;
        let value = if answer.token.is_empty() { answer.access_token } else { answer.token };
        if value.is_empty() {
            return Err(Error::network(format!("{} gave no token", redacted(realm))));
        }
        let lifetime = answer.expires_in.unwrap_or(LIFETIME).saturating_sub(MARGIN);
        Ok(Token { value: Secret::new(value), expires: asked + Duration::from_secs(lifetime) })
    }
}

/// The token endpoint as Docker's registries have it: scopes in the query, the credential as `Basic`.
fn get(
    transport: &Transport,
    realm: &Url,
    service: Option<&str>,
    scopes: &[&str],
    authorization: Option<&HeaderValue>,
) -> std::result::Result<Reply, Failure> {
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        query.extend_pairs(scopes.iter().map(|scope| ("scope", *scope)));
    }
    transport.send(&Call::new(Method::GET, url), authorization)
}

/// The OAuth2 way, which is the only one for an identity token.
fn exchange(
    transport: &Transport,
    realm: &Url,
    service: Option<&str>,
    scopes: &[&str],
    token: &Secret,
) -> std::result::Result<Reply, Failure> {
    let mut form = Url::parse("form:").map_err(|e| Error::failed(e.to_string()))?;
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("refresh_token", token.reveal())
        .append_pair("client_id", CLIENT_ID)
        .append_pair("scope", &scopes.join(" "))
        .extend_pairs(service.map(|service| ("service", service)));
    let body = form.query().unwrap_or_default().as_bytes();
    let call = Call::new(Method::POST, realm.clone()).with(CONTENT_TYPE, "application/x-www-form-urlencoded");
    transport.send(&Call { body: Body::Bytes(body), ..call }, None)
}

fn basic(user: &str, secret: &Secret) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{}", secret.reveal())))
}

/// A header value that the HTTP client, too, keeps out of its messages.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether every scope in `asked` is already in `scope`, actions compared one by one.
fn covers(scope: &str, asked: &str) -> bool {
    let split = |text: &str| text.rsplit_once(':').map(|(name, actions)| (name.to_owned(), actions.to_owned()));
    let has = |name: &str, action: &str| {
        scope
            .split_whitespace()
            .filter_map(split)
            .any(|(n, actions)| n == name && actions.split(',').any(|a| a == action))
    };
    asked
        .split_whitespace()
        .filter_map(split)
        .all(|(name, actions)| actions.split(',').all(|action| has(&name, action)))
}

/// Every map here is whole between two statements, so a panic elsewhere cannot leave it half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_covered_action_by_action() {
        assert!(covers("repository:a:pull,push", "repository:a:pull"));
        assert!(covers("repository:a:pull,push repository:b:pull", "repository:b:pull repository:a:push,pull"));
        assert!(!covers("repository:a:pull", "repository:a:push"));
        assert!(!covers("repository:a:pull", "registry:catalog:*"));
        assert!(covers("", ""));
    }
}
