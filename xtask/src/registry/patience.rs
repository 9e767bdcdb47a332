//! Retries of a long transfer: a failure after progress is not the second failure in a row.
//!
//! Takes positions and failures, gives a pause or gives up. Never lets a transfer that moves less than [`PROGRESS`]
//! between two failures go on for ever.

use super::failure::Failure;
use super::retry::Retrier;

/// How many bytes further a transfer must be to be worth a fresh set of tries.
const PROGRESS: u64 = 1 << 20;

/// The patience with one transfer.
pub(super) struct Patience {
    retrier: Retrier,
    failed: u32,
    best: u64,
}

impl Patience {
    pub(super) fn new(retrier: &Retrier) -> Patience {
        Patience { retrier: retrier.clone(), failed: 0, best: 0 }
    }

    /// Pauses after a failure at `position` bytes, or gives the failure back.
    pub(super) fn failed(&mut self, position: u64, failure: Failure) -> Result<(), Failure> {
        if position >= self.best.saturating_add(PROGRESS) {
            self.best = position;
            self.failed = 0;
        }
        self.failed += 1;
        self.retrier.pause(self.failed, failure)
    }
}
