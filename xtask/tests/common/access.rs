//! Who may do what: `Basic`, tokens, and the token server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::faults::{Access, Faults};
use super::http::{Answer, Head, pairs};
use super::lock;
use super::state::{State, Token};

/// Refuses a request that nobody may make who cannot show more than this one does; `need` is `repository` and action.
pub(super) fn check(state: &State, head: &Head, need: &[(&str, &str)]) -> Option<Answer> {
    let access = lock(&state.faults).access;
    let allowed = match access {
        Access::Open => true,
        Access::Basic => head.header("authorization") == Some(&basic()),
        Access::Token | Access::Identity => token_allows(state, head, need),
    };
    (!allowed)
        .then(|| Answer::error(401, "UNAUTHORIZED").with("WWW-Authenticate", challenge(state, head, need, access)))
}

fn challenge(state: &State, head: &Head, need: &[(&str, &str)], access: Access) -> String {
    if access == Access::Basic {
        return r#"Basic realm="test""#.into();
    }
    let host = head.header("host").unwrap_or_default();
    let realm = if lock(&state.faults).open_realm {
        "http://tokens.example/token".into()
    } else {
        format!("http://{host}/token")
    };
    let scope: Vec<String> =
        need.iter().map(|(repository, action)| format!("repository:{repository}:{action}")).collect();
    format!(r#"Bearer realm="{realm}",service="test registry",scope="{}""#, scope.join(" "))
}

fn token_allows(state: &State, head: &Head, need: &[(&str, &str)]) -> bool {
    let Some(value) = head.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) else {
        return false;
    };
    let mut tokens = lock(&state.tokens);
    let Some(token) = tokens.get_mut(value) else { return false };
    let fresh = token.uses.as_mut().is_none_or(Faults::take);
    let has = |repository: &str, action: &str| {
        token.scopes.split(' ').filter_map(|scope| scope.rsplit_once(':')).any(|(name, actions)| {
            name == format!("repository:{repository}") && actions.split(',').any(|a| a == action)
        })
    };
    fresh && need.iter().all(|(repository, action)| has(repository, action))
}

/// The token server, `/token`.
pub(super) fn token(state: &State, head: &Head, body: &[u8]) -> Answer {
    let faults = lock(&state.faults).clone();
    let form = pairs(&String::from_utf8_lossy(body));
    let asked = if head.method == "POST" { &form } else { &head.query };
    let scopes = asked.get("scope").cloned().unwrap_or_default();
    let is = |name: &str, value: &str| asked.get(name).map(String::as_str) == Some(value);
    let known = match faults.access {
        Access::Identity => {
            is("grant_type", "refresh_token") && is("refresh_token", "identity") && is("service", "test registry")
        }
        _ => match head.header("authorization") {
            Some(value) => value == basic(),
            None => !scopes.contains("push"),
        },
    };
    if !known {
        return Answer::error(401, "UNAUTHORIZED");
    }
    let value = format!("token-{}", state.number());
    lock(&state.tokens).insert(value.clone(), Token { scopes, uses: faults.token_uses });
    let lifetime = faults.token_lifetime.map(|seconds| format!(r#","expires_in":{seconds}"#)).unwrap_or_default();
    let name = if head.method == "POST" { "access_token" } else { "token" };
    Answer::new(200).body("application/json", format!(r#"{{"{name}":"{value}"{lifetime}}}"#).into_bytes())
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode("user:password"))
}
