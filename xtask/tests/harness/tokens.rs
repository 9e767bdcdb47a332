//! A token server, as GitHub's and Docker's registries have one (distribution spec's companion, "Token Authentication").
//!
//! Signs what it grants with a key of its own, and a real registry checks that. Grants what is asked for to the one user
//! it knows, and nothing to anybody else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::registry::Guard;

/// Who it is, whom its tokens are for, and what its key is called.
const NAME: &str = "tokens.test";

/// A running server; its thread ends with the test.
pub(crate) struct Tokens {
    address: String,
    keys: TempDir,
    given: Arc<Mutex<Vec<String>>>,
}

/// What the thread has.
struct Server {
    key: EcdsaKeyPair,
    random: SystemRandom,
    basic: String,
    given: Arc<Mutex<Vec<String>>>,
}

impl Tokens {
    /// Starts a server that knows one user.
    pub(crate) fn start(user: &str, password: &str) -> Tokens {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a key");
        let keys = TempDir::new().expect("a temporary folder");
        // An uncompressed point: 4, and two coordinates of 32 bytes.
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let set = json!({"keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": NAME,
            "x": coordinate(x), "y": coordinate(y),
        }]});
        std::fs::write(keys.path().join("keys.json"), set.to_string()).expect("the folder can be written");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let given = Arc::new(Mutex::new(Vec::new()));
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let server = Server { key, random, basic, given: Arc::clone(&given) };
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| server.answer(stream)));
        Tokens { address, keys, given }
    }

    /// What a registry is told to send its clients here, and to believe what it signs.
    pub(crate) fn guard(&self) -> Guard {
        let token = json!({
            "realm": format!("http://{}/token", self.address),
            "service": NAME,
            "issuer": NAME,
            "jwks": self.keys.path().join("keys.json"),
        });
        Guard { auth: json!({ "token": token }), ..Guard::default() }
    }

    /// All tokens it has given out.
    pub(crate) fn given(&self) -> Vec<String> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Server {
    fn answer(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines().map_while(Result::ok);
        let request = lines.next().unwrap_or_default();
        let headers: BTreeMap<String, String> = lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
            .collect();
        let (status, body) = match headers.get("authorization") == Some(&self.basic) {
            true => ("200 OK", json!({"token": self.token(&access(&request)), "expires_in": 300})),
            false => ("401 Unauthorized", json!({"errors": [{"code": "UNAUTHORIZED"}]})),
        };
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
        // A client that has gone away sees to itself.
        let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
    }

    /// A signed token (RFC 7519) that lets its bearer do `access`.
    fn token(&self, access: &[Value]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({"typ": "JWT", "alg": "ES256", "kid": NAME}));
        let claims = part(json!({
            "iss": NAME, "aud": NAME, "sub": "user", "iat": now, "nbf": now - 5, "exp": now + 300, "access": access,
        }));
        let signed = format!("{head}.{claims}");
        let signature = self.key.sign(&self.random, signed.as_bytes()).expect("a signature");
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        self.given.lock().unwrap_or_else(PoisonError::into_inner).push(token.clone());
        token
    }
}

/// What `GET /token?scope=repository:NAME:pull,push …` asks for.
fn access(request: &str) -> Vec<Value> {
    let target = request.split(' ').nth(1).unwrap_or_default();
    let url = reqwest::Url::parse(&format!("http://host{target}")).expect("a request has a target");
    let scopes = url.query_pairs().filter(|(name, _)| name == "scope").map(|(_, scope)| scope.into_owned());
    let scopes: Vec<String> = scopes.flat_map(|s| s.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let parts = scopes.iter().map(|scope| scope.splitn(3, ':').collect::<Vec<_>>());
    let entry = |parts: Vec<&str>| match parts[..] {
        [kind, name, actions] => {
            Some(json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
        }
        _ => None,
    };
    parts.filter_map(entry).collect()
}
