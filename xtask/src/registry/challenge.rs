//! `WWW-Authenticate`: how a registry wants to be told who is asking (RFC 9110, section 11.6.1; Docker's token
//! specification for `Bearer`).
//!
//! Takes header values, gives the challenges that are understood. Never fails: what is not understood is left out.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// One way to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from `realm`.
    Bearer {
        /// The token server's URL.
        realm: String,
        /// Which service the token is for.
        service: Option<String>,
        /// What the registry thinks the request needs, space separated.
        scope: Option<String>,
    },
}

/// Reads one header value, which may hold several challenges.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut raw: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut chars = header.chars().peekable();
    while chars.peek().is_some() {
        skip(&mut chars, |c| c == ',' || c.is_whitespace());
        let name = word(&mut chars).to_ascii_lowercase();
        skip(&mut chars, char::is_whitespace);
        if chars.next_if_eq(&'=').is_some() {
            skip(&mut chars, char::is_whitespace);
            let value = if chars.next_if_eq(&'"').is_some() { quoted(&mut chars) } else { word(&mut chars) };
            if let Some((_, parameters)) = raw.last_mut() {
                parameters.entry(name).or_insert(value);
            }
        } else if name.is_empty() {
            // A character no token may hold: step over it, or this would never end.
            chars.next();
        } else {
            raw.push((name, BTreeMap::new()));
        }
    }
    raw.into_iter().filter_map(|(scheme, parameters)| understood(&scheme, parameters)).collect()
}

fn understood(scheme: &str, mut parameters: BTreeMap<String, String>) -> Option<Challenge> {
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service").filter(|s| !s.is_empty()),
            scope: parameters.remove("scope").filter(|s| !s.is_empty()),
        }),
        _ => None,
    }
}

fn skip(chars: &mut Peekable<Chars<'_>>, what: impl Fn(char) -> bool) {
    while chars.next_if(|c| what(*c)).is_some() {}
}

fn word(chars: &mut Peekable<Chars<'_>>) -> String {
    std::iter::from_fn(|| chars.next_if(|c| !c.is_whitespace() && !matches!(c, ',' | '=' | '"'))).collect()
}

fn quoted(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.into(), service: service.map(Into::into), scope: scope.map(Into::into) }
    }

    #[test]
    fn a_bearer_challenge_with_commas_in_its_scope() {
        let header =
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;
        let expected = bearer("https://auth.example/token", Some("registry.example"), Some("repository:a/b:pull,push"));
        assert_eq!(parse(header), [expected]);
    }

    #[test]
    fn several_challenges_in_one_header() {
        let header = r#"Negotiate, Basic realm="x, y=\"z\"" , bearer REALM = "r" , service=s"#;
        assert_eq!(parse(header), [Challenge::Basic, bearer("r", Some("s"), None)]);
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        for header in
            ["", ",", "=", "\"", "Digest realm=\"x\"", "Bearer", "Bearer service=\"x\"", "Bearer realm", ",,=,=\"\\"]
        {
            assert!(parse(header).is_empty(), "{header}");
        }
    }
}
