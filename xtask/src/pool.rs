//! Bounded parallelism: independent work on a few threads, results in the order of the input.
//!
//! Never starts more threads than asked for, and stops handing out work after the first error.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::Result;

/// Applies `work` to each item on at most `threads` threads. The error of the earliest failing item is returned.
pub fn map<I: Sync, O: Send>(items: &[I], threads: usize, work: impl Fn(&I) -> Result<O> + Sync) -> Result<Vec<O>> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let results: Vec<Mutex<Option<Result<O>>>> = items.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(item), Some(slot)) = (items.get(at), results.get(at)) else { break };
                    let result = work(item);
                    stop.fetch_or(result.is_err(), Ordering::Relaxed);
                    if let Ok(mut slot) = slot.lock() {
                        *slot = Some(result);
                    }
                }
            });
        }
    });
    results.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect()
}

/// Does two things side by side, the first on a thread of its own.
pub fn join<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        (first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), second)
    })
}

/// How many threads to use for work that computes.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn results_keep_the_order_of_the_input() -> Result<()> {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(map(&items, 4, |i| Ok(i * 2))?, (0..100).map(|i| i * 2).collect::<Vec<_>>());
        Ok(())
    }

    #[test]
    fn two_things_are_done_at_the_same_time() {
        let (told, hears) = std::sync::mpsc::channel();
        // Done one after the other, the first would wait for the second forever.
        let done = join(move || hears.recv(), move || told.send(7));
        assert_eq!(done, (Ok(7), Ok(())));
    }

    #[test]
    fn one_error_is_the_result() {
        let result = map(&[1, 2, 3], 2, |i| if *i == 2 { Err(Error::failed("two")) } else { Ok(*i) });
        assert_eq!(result.err().map(|e| e.to_string()).as_deref(), Some("two"));
    }
}
