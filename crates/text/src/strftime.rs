//! `strftime` as glibc and Python's `datetime.now()` have it: in the C locale and in local time, without naming its zone.

use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use crate::ends::before;

/// Directives of glibc that are written as the calendar library writes them.
const DIRECTIVES: &str = "YCymdejHkIlMSspPBbhAauwUWVGgcDxFTXRrnt%";

/// Formats seconds since 1970 in the time zone of the process (`TZ`, else the system's). All directives of glibc but those
/// of other locales; what is none is copied.
pub(crate) fn strftime(format: &str, seconds: u64) -> String {
    written(format, seconds, TimeZone::system())
}

fn written(format: &str, seconds: u64, zone: TimeZone) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let moment = moment.unwrap_or(Timestamp::MAX).to_zoned_datetime(zone);
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let (before, found) = rest.split_at(at);
        let (directive, after) = split_directive(found);
        out.push_str(before);
        out.push_str(&text_of(directive, &moment).unwrap_or_else(|| directive.to_owned()));
        rest = after;
    }
    out + rest
}

/// `%`, a flag and a letter, and what follows them.
fn split_directive(text: &str) -> (&str, &str) {
    let mut letters = text.chars();
    letters.next();
    let flagged = letters.as_str().strip_prefix(['-', '_', '0', '^']);
    let mut letters = flagged.map_or(letters, str::chars);
    letters.next();
    (before(text, letters.as_str()), letters.as_str())
}

fn text_of(directive: &str, moment: &ZonedDateTime) -> Option<String> {
    match directive.chars().next_back()? {
        // A moment is a whole second.
        'f' => Some("000000".to_owned()),
        'z' | 'Z' => Some(String::new()),
        letter if DIRECTIVES.contains(letter) && directive.len() > 1 => {
            let config = Config::new().custom(PosixCustom::new());
            BrokenDownTime::from(moment).to_string_with_config(&config, directive).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::written;

    fn strftime(format: &str, seconds: u64) -> String {
        written(format, seconds, TimeZone::UTC)
    }

    #[test]
    fn the_time_is_that_of_the_zone() {
        let new_york = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let moments =
            [1_721_952_000, 1_709_164_805].map(|seconds| written("%F %T %s|%z|%Z", seconds, new_york.clone()));
        assert_eq!(moments, ["2024-07-25 20:00:00 1721952000||", "2024-02-28 19:00:05 1709164805||"]);
    }

    /// The zone is read once in a process, so this program runs itself in others.
    #[test]
    fn the_zone_is_that_of_the_process() {
        let told = |zone: &str| {
            let mut program = std::process::Command::new(std::env::current_exe().unwrap());
            program.args(["--exact", "strftime::tests::the_zone_is_that_of_the_process", "--nocapture"]);
            String::from_utf8(program.env("TZ", zone).env("TELL_TIME", "yes").output().unwrap().stdout).unwrap()
        };
        if std::env::var_os("TELL_TIME").is_some() {
            println!("local time {}", super::strftime("%F %T", 1_721_952_000));
            return;
        }
        for (zone, time) in
            [("UTC", "2024-07-26 00:00:00"), ("JST-9", "2024-07-26 09:00:00"), ("AST4", "2024-07-25 20:00:00")]
        {
            assert!(told(zone).contains(&format!("local time {time}")), "{zone}");
        }
    }

    #[test]
    fn formats_known_moments() {
        assert_eq!(strftime("%d %b %Y", 1_721_952_000), "26 Jul 2024");
        assert_eq!(
            strftime("%A %-d %B %Y %H:%M:%S %j %y %I %p", 1_709_164_805),
            "Thursday 29 February 2024 00:00:05 060 24 12 AM"
        );
        assert_eq!(strftime("%F %T %% %Q %-", 0), "1970-01-01 00:00:00 % %Q %-");
    }

    /// Written by Python's `datetime.strftime`.
    #[test]
    fn directives_are_those_of_python() {
        let format = "%Y %C %y %m %d %e %j %H %k %I %l %M %S %s %p %P %B %b %h %A %a %u %w %U %W %V %G %g|%c|%D|%x|%F|%T|%X|%R|%r|%z|%Z|%-m %-H %_d %^a %^B %0e";
        let cases = [
            (
                0,
                "1970 19 70 01 01  1 001 00  0 12 12 00 00 0 AM am January Jan Jan Thursday Thu 4 4 00 00 01 1970 70|Thu Jan  1 00:00:00 1970|01/01/70|01/01/70|1970-01-01|00:00:00|00:00:00|00:00|12:00:00 AM|||1 0  1 THU JANUARY 01",
            ),
            (
                1_721_952_000,
                "2024 20 24 07 26 26 208 00  0 12 12 00 00 1721952000 AM am July Jul Jul Friday Fri 5 5 29 30 30 2024 24|Fri Jul 26 00:00:00 2024|07/26/24|07/26/24|2024-07-26|00:00:00|00:00:00|00:00|12:00:00 AM|||7 0 26 FRI JULY 26",
            ),
            (
                1_709_164_805,
                "2024 20 24 02 29 29 060 00  0 12 12 00 05 1709164805 AM am February Feb Feb Thursday Thu 4 4 08 09 09 2024 24|Thu Feb 29 00:00:05 2024|02/29/24|02/29/24|2024-02-29|00:00:05|00:00:05|00:00|12:00:05 AM|||2 0 29 THU FEBRUARY 29",
            ),
            (
                1_104_591_600,
                "2005 20 05 01 01  1 001 15 15 03  3 00 00 1104591600 PM pm January Jan Jan Saturday Sat 6 6 00 00 53 2004 04|Sat Jan  1 15:00:00 2005|01/01/05|01/01/05|2005-01-01|15:00:00|15:00:00|15:00|03:00:00 PM|||1 15  1 SAT JANUARY 01",
            ),
            (
                1_230_767_999,
                "2008 20 08 12 31 31 366 23 23 11 11 59 59 1230767999 PM pm December Dec Dec Wednesday Wed 3 3 52 52 01 2009 09|Wed Dec 31 23:59:59 2008|12/31/08|12/31/08|2008-12-31|23:59:59|23:59:59|23:59|11:59:59 PM|||12 23 31 WED DECEMBER 31",
            ),
            (
                1_451_692_799,
                "2016 20 16 01 01  1 001 23 23 11 11 59 59 1451692799 PM pm January Jan Jan Friday Fri 5 5 00 00 53 2015 15|Fri Jan  1 23:59:59 2016|01/01/16|01/01/16|2016-01-01|23:59:59|23:59:59|23:59|11:59:59 PM|||1 23  1 FRI JANUARY 01",
            ),
            (
                1_735_603_200,
                "2024 20 24 12 31 31 366 00  0 12 12 00 00 1735603200 AM am December Dec Dec Tuesday Tue 2 2 52 53 01 2025 25|Tue Dec 31 00:00:00 2024|12/31/24|12/31/24|2024-12-31|00:00:00|00:00:00|00:00|12:00:00 AM|||12 0 31 TUE DECEMBER 31",
            ),
        ];
        for (seconds, text) in cases {
            assert_eq!(strftime(format, seconds), text);
        }
    }
}
