//! As much HTTP/1.1 as a registry needs, with full control of when a connection ends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use super::state::{Entry, State};
use super::{api, lock};

/// A request without its body.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) target: String,
    headers: BTreeMap<String, String>,
    pub(super) length: u64,
}

impl Head {
    fn read(reader: &mut impl BufRead) -> Option<Head> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let n = reader.read_line(&mut line).ok()?;
            match line.trim_end() {
                _ if n == 0 => return None,
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut first = lines.first()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers: BTreeMap<String, String> = lines
            .iter()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        Some(Head { method, path: decoded(path), query: pairs(query), target: target.clone(), headers, length })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// `a=b&c=d`, decoded.
pub(super) fn pairs(query: &str) -> BTreeMap<String, String> {
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (decoded(name), decoded(value)));
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in query.split('&').filter_map(pair) {
        // A repeated name is how several scopes are asked for.
        all.entry(name).and_modify(|old| *old = format!("{old} {value}")).or_insert(value);
    }
    all
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.replace('+', " ").into_bytes().into_iter());
    while let Some(byte) = rest.next() {
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match byte {
            b'%' => bytes.push((hex(rest.next()).unwrap_or(0) * 16 + hex(rest.next()).unwrap_or(0)) as u8),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What becomes of a request.
pub(super) enum Outcome {
    Answer(Answer),
    /// The connection is cut.
    Cut,
    /// Nothing until the registry is dropped.
    Hang,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Arc<Vec<u8>>,
    /// Cut the connection after so many bytes of the body.
    pub(super) cut: Option<u64>,
    /// Answer before the request's body is read, and close.
    pub(super) rude: bool,
}

impl Answer {
    pub(super) fn new(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Arc::default(), cut: None, rude: false }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn body(mut self, media_type: &str, body: impl Into<Arc<Vec<u8>>>) -> Answer {
        self.body = body.into();
        self.with("Content-Type", media_type)
    }

    /// An error as the spec has it.
    pub(super) fn error(status: u16, code: &str) -> Answer {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"refused by the test registry"}}]}}"#);
        Answer::new(status).body("application/json", body.into_bytes())
    }

    fn write(&self, stream: &TcpStream, head: bool) -> std::io::Result<()> {
        // In one piece, or each answer would wait for the other side's delayed acknowledgement.
        let mut stream = std::io::BufWriter::with_capacity(64 << 10, stream);
        write!(stream, "HTTP/1.1 {} Test\r\nContent-Length: {}\r\n", self.status, self.body.len())?;
        for (name, value) in &self.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        if self.rude {
            write!(stream, "Connection: close\r\n")?;
        }
        write!(stream, "\r\n")?;
        if !head {
            let most =
                self.cut.map_or(self.body.len(), |cut| usize::try_from(cut).unwrap_or(usize::MAX).min(self.body.len()));
            stream.write_all(self.body.get(..most).unwrap_or_default())?;
        }
        stream.flush()
    }
}

/// A request's body; what the handler leaves unread is read after it.
pub(super) type BodyReader<'r, 's> = std::io::Take<&'r mut BufReader<&'s TcpStream>>;

/// Serves one connection until either side ends it.
pub(super) fn serve(stream: &TcpStream, state: &Arc<State>) {
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    while let Some(head) = Head::read(&mut reader) {
        let mut body = Read::take(&mut reader, head.length);
        let outcome = api::handle(state, &head, &mut body);
        record(state, &head, &outcome, head.length - body.limit());
        let Outcome::Answer(answer) = outcome else {
            if matches!(outcome, Outcome::Hang) {
                state.wait_for_stop();
            }
            break;
        };
        // A client that went away is a client's matter.
        let drained = answer.rude || std::io::copy(&mut body, &mut std::io::sink()).is_ok();
        if !drained || answer.write(stream, head.method == "HEAD").is_err() || answer.cut.is_some() || answer.rude {
            break;
        }
    }
    drop(stream.shutdown(Shutdown::Both));
}

fn record(state: &State, head: &Head, outcome: &Outcome, received: u64) {
    let status = match outcome {
        Outcome::Answer(answer) => answer.status,
        Outcome::Cut | Outcome::Hang => 0,
    };
    lock(&state.log).push(Entry {
        method: head.method.clone(),
        target: head.target.clone(),
        host: head.header("host").unwrap_or_default().to_owned(),
        authorization: head.header("authorization").is_some(),
        user_agent: head.header("user-agent").unwrap_or_default().to_owned(),
        range: head.header("range").or(head.header("content-range")).map(Into::into),
        received,
        status,
    });
}
