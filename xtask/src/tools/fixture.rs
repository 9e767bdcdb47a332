//! A publisher in this process: a web server that does what a test tells it, and a clock that only sleeping moves.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::config::Checksum;
use crate::oci::Digest;
use crate::registry::Clock;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An answer.
pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    announced: Option<u64>,
    cut: Option<usize>,
}

impl Answer {
    pub(super) fn new(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Vec::new(), announced: None, cut: None }
    }

    pub(super) fn file(body: impl Into<Vec<u8>>) -> Answer {
        Answer { body: body.into(), ..Answer::new(200) }
    }

    /// What a server that knows ranges answers to `asked`.
    pub(super) fn ranged(body: &[u8], asked: &Asked) -> Answer {
        let from =
            asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        match from {
            Some(from) => {
                let rest: usize = from;
                let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
                Answer { body: body[rest..].to_vec(), ..Answer::new(206) }.with("Content-Range", range)
            }
            None => Answer::file(body),
        }
    }

    pub(super) fn redirect(to: impl Into<String>) -> Answer {
        Answer::new(302).with("Location", to)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// Ends the connection after so many bytes.
    pub(super) fn cut(mut self, at: usize) -> Answer {
        self.cut = Some(at);
        self
    }

    /// Announces a length whatever the body has.
    pub(super) fn announcing(mut self, length: u64) -> Answer {
        self.announced = Some(length);
        self
    }

    fn write(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let length = self.announced.unwrap_or(self.body.len() as u64);
        let mut head = format!("HTTP/1.1 {} Test\r\nContent-Length: {length}\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        stream.write_all(&self.body[..self.cut.unwrap_or(self.body.len())])
    }
}

/// A running server; it ends with this value.
pub(super) struct Server {
    port: u16,
    log: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each request by `answer`, which is told how many came before.
    pub(super) fn start(answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (log, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, ended) = (Arc::clone(&log), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let Some(asked) = read(&stream) else { continue };
                let before = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(asked.clone());
                    seen.len() - 1
                };
                // A client that went away is a client's matter.
                let _ = answer(&asked, before).write(&stream);
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        Server { port, log, stop, thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same server by another of this machine's names.
    pub(super) fn other_url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    pub(super) fn log(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let head = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
    let pair = |line: String| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
    Some(Asked { path, headers: head.filter_map(pair).collect() })
}

/// A clock that is moved by sleeping alone.
pub(super) struct TestClock {
    start: Instant,
    pub(super) slept: Mutex<Vec<Duration>>,
}

impl TestClock {
    pub(super) fn new() -> Arc<TestClock> {
        Arc::new(TestClock { start: Instant::now(), slept: Mutex::default() })
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.start + self.slept.lock().unwrap().iter().sum::<Duration>()
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn sleep(&self, pause: Duration) {
        self.slept.lock().unwrap().push(pause);
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Checksum {
    Checksum(Digest::of(bytes))
}

/// An executable shell script.
pub(super) fn script(path: &Path, body: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Every file below a folder but locks, by its path there.
pub(super) fn files(folder: &Path) -> Vec<String> {
    let below = walkdir::WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter().map(Result::unwrap);
    let shown = below.map(|entry| entry.path().strip_prefix(folder).unwrap().display().to_string());
    shown.filter(|path| !path.ends_with("lock")).collect()
}

/// A gzipped tar archive of files and their content.
pub(super) fn tar_gz(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}
