//! Times, shown to people.

use std::time::Duration;

/// A time of day in milliseconds since 1970, as `2026-01-31 12:00:00Z`.
pub(crate) fn show(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// The date that is `days` after 1970-01-01, in the Gregorian calendar.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
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
    fn dates_are_right_around_leap_days() {
        assert_eq!(show(0), "1970-01-01 00:00:00Z");
        assert_eq!(show(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(show(1_800_000_000_000), "2027-01-15 08:00:00Z");
    }
}
