//! `strftime_now` of chat templates.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The current time in UTC by a `strftime` format. UTC, so that machines in different zones write the same prompt.
pub(crate) fn strftime_now(format: &str) -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    strftime(format, seconds)
}

/// Formats seconds since 1970. Directives: `%Y %y %m %d %j %H %I %M %S %p %B %b %A %a %F %T %%`, `%-d` and the like
/// without leading zeros; anything else is copied.
fn strftime(format: &str, seconds: u64) -> String {
    let (year, month, day, day_of_year) = civil(seconds / 86_400);
    let weekday = DAYS[((seconds / 86_400 + 4) % 7) as usize];
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let month_name = MONTHS[month as usize - 1];
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let unpadded = chars.next_if_eq(&'-').is_some();
        let mut two = |value: u64, width: usize| {
            let width = if unpadded { 1 } else { width };
            let _ = write!(out, "{value:0width$}");
        };
        match chars.next() {
            Some('Y') => two(year, 4),
            Some('y') => two(year % 100, 2),
            Some('m') => two(month, 2),
            Some('d') => two(day, 2),
            Some('j') => two(day_of_year, 3),
            Some('H') => two(hour, 2),
            Some('I') => two((hour + 11) % 12 + 1, 2),
            Some('M') => two(minute, 2),
            Some('S') => two(second, 2),
            Some('p') => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            Some('B') => out.push_str(month_name),
            Some('b') => out.push_str(&month_name[..3]),
            Some('A') => out.push_str(weekday),
            Some('a') => out.push_str(&weekday[..3]),
            Some('F') => out.push_str(&strftime("%Y-%m-%d", seconds)),
            Some('T') => out.push_str(&strftime("%H:%M:%S", seconds)),
            Some('%') => out.push('%'),
            other => {
                out.push('%');
                out.extend(unpadded.then_some('-'));
                out.extend(other);
            }
        }
    }
    out
}

/// Year, month, day and day of the year of a day counted from 1970-01-01 (Gregorian).
fn civil(mut days: u64) -> (u64, u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let day_of_year = days + 1;
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1, day_of_year)
}

#[cfg(test)]
mod tests {
    use super::strftime;

    #[test]
    fn formats_known_moments() {
        assert_eq!(strftime("%d %b %Y", 1_721_952_000), "26 Jul 2024");
        assert_eq!(
            strftime("%A %-d %B %Y %H:%M:%S %j %y %I %p", 1_709_164_805),
            "Thursday 29 February 2024 00:00:05 060 24 12 AM"
        );
        assert_eq!(strftime("%F %T %% %Q %-", 0), "1970-01-01 00:00:00 % %Q %-");
    }
}
