//! When a failed call is tried again, and after how long.
//!
//! Takes a [`Failure`], gives a pause or gives up. Only what is temporary is tried again, and never without a bound.
//! Time comes from a [`Clock`], so that tests neither wait nor depend on the day.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::failure::Failure;
use crate::ui::Ui;

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// A time that only moves forward, for the age of tokens.
    fn now(&self) -> Instant;
    /// The time of day, which a `Retry-After` date is compared with.
    fn timestamp(&self) -> Timestamp;
    /// Waits.
    fn sleep(&self, pause: Duration);
}

/// The machine's own time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, pause: Duration) {
        std::thread::sleep(pause);
    }
}

/// How often and how slowly to try again.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Tries in all, the first one included.
    pub tries: u32,
    /// The first pause; each later one is twice as long.
    pub first: Duration,
    /// The longest pause of our own choice.
    pub longest: Duration,
    /// The longest pause a registry may ask for with `Retry-After`; a longer one is cut to this.
    pub asked: Duration,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            tries: 5,
            first: Duration::from_millis(200),
            longest: Duration::from_secs(10),
            asked: Duration::from_secs(60),
        }
    }
}

impl Policy {
    /// The pause after the `failed`th failure in a row (from 1), or `None` when that was the last try. There is no
    /// jitter: one release is one client, and a run should be the same every time.
    pub fn pause(&self, failed: u32, asked: Option<Duration>) -> Option<Duration> {
        if failed >= self.tries {
            return None;
        }
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX));
        let own = doubled.min(self.longest);
        Some(asked.map_or(own, |asked| own.max(asked.min(self.asked))))
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date (RFC 9110, section 10.2.3). A date gone by is no pause at all.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// Tries calls again on one policy, telling the user.
#[derive(Clone)]
pub(super) struct Retrier {
    pub(super) policy: Policy,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ui: Ui,
}

impl Retrier {
    /// Pauses before another try, or gives the failure back when it was the last or is there to stay.
    pub(super) fn pause(&self, failed: u32, failure: Failure) -> Result<(), Failure> {
        let pause = if failure.temporary { self.policy.pause(failed, failure.retry_after) } else { None };
        let Some(pause) = pause else {
            return Err(if failed > 1 { failure.after(failed) } else { failure });
        };
        let (seconds, next, tries) = (pause.as_secs_f64(), failed + 1, self.policy.tries);
        self.ui.note(&format!("{}; trying again in {seconds:.1} s ({next} of {tries})", failure.headline()));
        self.clock.sleep(pause);
        Ok(())
    }

    /// Calls `attempt` until it succeeds, fails for good, or has failed too often.
    pub(super) fn run<T>(&self, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut failed = 0;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(failure) => {
                    failed += 1;
                    self.pause(failed, failure)?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let policy = Policy { tries: 9, ..Policy::default() };
        let pauses: Vec<_> = (1..=9).map(|n| policy.pause(n, None).map(|p| p.as_millis())).collect();
        let expected = [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000].map(Some).into_iter().chain([None]);
        assert_eq!(pauses, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_registry_may_ask_for_more_patience_but_not_for_endless_patience() {
        let policy = Policy::default();
        let asked = |seconds| policy.pause(1, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(7), Some(Duration::from_secs(7)));
        assert_eq!(asked(86_400), Some(Duration::from_secs(60)));
        assert_eq!(asked(0), Some(Duration::from_millis(200)));
    }

    // RFC 9110, section 5.6.7, gives this date as its example of the preferred form.
    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = at("1994-11-06T08:49:07Z");
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
    }
}
