//! A stream that is read ahead: what it takes to read it, and what is done with it, keep a core busy each.
//!
//! Takes a reader, gives one with the same bytes and the same end or error. Holds a few MiB, whatever the length.

use std::io::{self, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How much is handed over at once.
const PIECE: usize = 1 << 20;
/// How many pieces may wait.
const WAITING: usize = 3;

/// The stream's other end.
pub struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    current: Cursor<Vec<u8>>,
}

/// Has `from` read on a thread of its own for as long as `then` reads from it. No more is read than that and a few pieces.
pub fn ahead<R: Read + Send, T>(from: R, then: impl FnOnce(Ahead) -> T) -> T {
    let (to, pieces) = sync_channel(WAITING);
    std::thread::scope(|scope| {
        scope.spawn(move || fill(from, &to));
        then(Ahead { pieces, current: Cursor::default() })
    })
}

/// Ends with the stream, with its first error, or when nobody reads any more.
fn fill(mut from: impl Read, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut from).take(PIECE as u64).read_to_end(&mut piece).map(|_| piece);
        let is_last = read.as_ref().map_or(true, Vec::is_empty);
        if to.send(read).is_err() || is_last {
            return;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.position() == self.current.get_ref().len() as u64 {
            // A thread that has said everything is gone.
            self.current = Cursor::new(self.pieces.recv().unwrap_or_else(|_| Ok(Vec::new()))?);
        }
        self.current.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Gives so many bytes, then fails.
    struct Cut<'a> {
        left: usize,
        given: &'a AtomicUsize,
    }

    impl Read for Cut<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "cut"));
            }
            let n = buffer.len().min(self.left).min(7_000);
            self.left -= n;
            self.given.fetch_add(n, Ordering::Relaxed);
            Ok(n)
        }
    }

    #[test]
    fn every_byte_comes_through_in_order() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 3] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let mut back = Vec::new();
            ahead(bytes.as_slice(), |mut stream| stream.read_to_end(&mut back)).unwrap();
            assert!(back == bytes, "{length}");
        }
    }

    #[test]
    fn an_error_is_told_and_is_no_end() {
        let given = AtomicUsize::new(0);
        let cut = Cut { left: 2 * PIECE + 5, given: &given };
        let err = ahead(cut, |mut stream| io::copy(&mut stream, &mut io::sink())).unwrap_err();
        assert_eq!((err.kind(), err.to_string().as_str()), (io::ErrorKind::InvalidData, "cut"));
    }

    #[test]
    fn whoever_stops_reading_stops_it() {
        let given = AtomicUsize::new(0);
        let read = ahead(Cut { left: usize::MAX, given: &given }, |mut stream| stream.read(&mut [0; 10]).unwrap());
        assert_eq!(read, 10);
        assert!(given.into_inner() <= (WAITING + 3) * PIECE);
    }
}
