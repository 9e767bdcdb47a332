//! The clock, for the age of a database and of an ignore: the one thing of a scan that depends on when it runs. Never
//! in an artefact.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Now, in whole seconds.
pub(crate) fn now() -> Timestamp {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or_default()
}

/// The day it is in UTC.
pub(super) fn today() -> Date {
    TimeZone::UTC.to_datetime(now()).date()
}

/// `2026-11-05, 20 days old`, for a person; a time that can't be read is shown as it is.
pub(crate) fn age(updated: &str, now: Timestamp) -> String {
    let Ok(time) = updated.parse::<Timestamp>() else { return updated.to_owned() };
    let day = time.strftime("%Y-%m-%d");
    match now.duration_since(time).as_hours() / 24 {
        ..=0 => format!("{day}, less than a day old"),
        1 => format!("{day}, 1 day old"),
        days => format!("{day}, {days} days old"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_date_and_whole_days() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        assert_eq!(age("2026-11-05T12:00:00Z", now), "2026-11-05, 20 days old");
        assert_eq!(age("2026-11-24T11:00:00Z", now), "2026-11-24, 1 day old");
        assert_eq!(age("2026-11-25T13:00:00Z", now), "2026-11-25, less than a day old");
        assert_eq!(age("lately", now), "lately");
    }
}
