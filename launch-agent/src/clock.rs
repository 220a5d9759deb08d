//! Times, shown to people.

use std::time::Duration;

use launch_queue::clock::date;

/// A time of day in milliseconds since 1970, as `2026-01-31 12:00:00Z`.
pub(crate) fn show(ms: u64) -> String {
    format!("{}Z", date::text(ms / 1000))
}

/// A duration for people: `0.42 s`, `3 min 20 s`.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 100 {
        format!("{:.2} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_name_their_zone() {
        assert_eq!(show(1_800_000_000_999), "2027-01-15 08:00:00Z");
    }
}
