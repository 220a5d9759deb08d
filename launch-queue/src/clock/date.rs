//! Moments as people and W&B's files have them: `YYYY-MM-DD HH:MM:SS`, in UTC.

const DAY: u64 = 86_400;

/// The text of a moment, in seconds since 1970.
///
/// ```
/// use launch_queue::clock::date;
///
/// assert_eq!(date::text(951_782_400), "2000-02-29 00:00:00");
/// assert_eq!(date::seconds("2000-02-29 00:00:00"), Some(951_782_400));
/// ```
pub fn text(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute) = (seconds % DAY / 3600, seconds % 3600 / 60);
    let second = seconds % 60;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// The moment of such a text, in seconds since 1970, if it is one.
pub fn seconds(text: &str) -> Option<u64> {
    let (date, time) = text.trim().split_once(' ')?;
    let numbers = |text: &str, between: char| -> Option<[u64; 3]> {
        let parts: Result<Vec<u64>, _> = text.split(between).map(str::parse).collect();
        parts.ok()?.try_into().ok()
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let is_time = (1970..10_000).contains(&year) && hour < 24 && minute < 60 && second < 60;
    if !is_time || !(1..=12).contains(&month) || !(1..=month_days(year, month)).contains(&day) {
        return None;
    }
    let years: u64 = (1970..year).map(year_days).sum();
    let months: u64 = (1..month).map(|month| month_days(year, month)).sum();
    let days = years + months + day - 1;
    Some(days * DAY + hour * 3600 + minute * 60 + second)
}

/// The date that is so many days after 1970-01-01, in the Gregorian calendar.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let (mut year, mut month) = (1970, 1);
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

fn year_days(year: u64) -> u64 {
    (1..=12).map(|month| month_days(year, month)).sum()
}

fn month_days(year: u64, month: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        for (moment, written) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_795_737_599, "2026-11-26 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(text(moment), written);
            assert_eq!(seconds(written), Some(moment));
        }
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "2026-13-01 00:00:00",
            "2026-02-29 00:00:00",
            "2026-01-01T00:00:00",
            "2026-01-01 24:00:00",
            "99999999999999-01-01 00:00:00",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
