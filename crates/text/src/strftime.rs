//! `strftime` as glibc and Python have it, in the C locale and without a time zone.

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

/// A moment in its parts.
struct Moment {
    seconds: u64,
    year: u64,
    month: u64,
    day: u64,
    day_of_year: u64,
    /// From Sunday, 0.
    weekday: u64,
}

/// What a flag between `%` and the letter asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    None,
    NoPadding,
    Spaces,
    Zeros,
    Capitals,
}

impl Flag {
    fn padded(self, value: u64, width: usize, fill: char) -> String {
        let digits = value.to_string();
        let fill = match self {
            Self::NoPadding => return digits,
            Self::Spaces => ' ',
            Self::Zeros => '0',
            _ => fill,
        };
        let padding: String = std::iter::repeat_n(fill, width.saturating_sub(digits.len())).collect();
        padding + &digits
    }
}

/// Formats seconds since 1970. All directives of glibc but those of other locales; what is none is copied.
pub(crate) fn strftime(format: &str, seconds: u64) -> String {
    let moment = Moment::new(seconds);
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let directive = &rest[at + 1..];
        let flag = match directive.as_bytes().first() {
            Some(b'-') => Flag::NoPadding,
            Some(b'_') => Flag::Spaces,
            Some(b'0') => Flag::Zeros,
            Some(b'^') => Flag::Capitals,
            _ => Flag::None,
        };
        let directive = &directive[usize::from(flag != Flag::None)..];
        let letter = directive.chars().next();
        let length = letter.map_or(0, char::len_utf8);
        match letter.and_then(|letter| moment.written(letter, flag)) {
            Some(text) if flag == Flag::Capitals => out.push_str(&text.to_uppercase()),
            Some(text) => out.push_str(&text),
            None => out.push_str(&rest[at..rest.len() - directive.len() + length]),
        }
        rest = &directive[length..];
    }
    out + rest
}

impl Moment {
    fn new(seconds: u64) -> Self {
        let (year, month, day, day_of_year) = civil(seconds / 86_400);
        Self { seconds, year, month, day, day_of_year, weekday: (seconds / 86_400 + 4) % 7 }
    }

    fn written(&self, letter: char, flag: Flag) -> Option<String> {
        let number = |value: u64, width: usize, fill: char| flag.padded(value, width, fill);
        let two = |value: u64| number(value, 2, '0');
        let (hour, minute, second) = (self.seconds / 3600 % 24, self.seconds / 60 % 60, self.seconds % 60);
        let half = (hour + 11) % 12 + 1;
        let (month, weekday) = (MONTHS[self.month as usize - 1], DAYS[self.weekday as usize]);
        let (iso_year, iso_week) = self.iso_week();
        let same = |format: &str| strftime(format, self.seconds);
        Some(match letter {
            'Y' => number(self.year, 4, '0'),
            'C' => two(self.year / 100),
            'y' => two(self.year % 100),
            'm' => two(self.month),
            'd' => two(self.day),
            'e' => number(self.day, 2, ' '),
            'j' => number(self.day_of_year, 3, '0'),
            'H' => two(hour),
            'k' => number(hour, 2, ' '),
            'I' => two(half),
            'l' => number(half, 2, ' '),
            'M' => two(minute),
            'S' => two(second),
            'f' => "000000".to_owned(),
            's' => self.seconds.to_string(),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'P' => if hour < 12 { "am" } else { "pm" }.to_owned(),
            'B' => month.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'A' => weekday.to_owned(),
            'a' => weekday[..3].to_owned(),
            'u' => ((self.weekday + 6) % 7 + 1).to_string(),
            'w' => self.weekday.to_string(),
            'U' => two((self.day_of_year + 6 - self.weekday) / 7),
            'W' => two((self.day_of_year + 6 - (self.weekday + 6) % 7) / 7),
            'V' => two(iso_week),
            'G' => number(iso_year, 4, '0'),
            'g' => two(iso_year % 100),
            'c' => same("%a %b %e %H:%M:%S %Y"),
            'D' | 'x' => same("%m/%d/%y"),
            'F' => same("%Y-%m-%d"),
            'T' | 'X' => same("%H:%M:%S"),
            'R' => same("%H:%M"),
            'r' => same("%I:%M:%S %p"),
            'z' | 'Z' => String::new(),
            'n' => "\n".to_owned(),
            't' => "\t".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }

    /// Year and week of ISO 8601: weeks begin on Monday, the first has the year's first Thursday.
    fn iso_week(&self) -> (u64, u64) {
        let from_monday = (self.weekday + 6) % 7;
        // The Thursday of this week decides which year it belongs to.
        let (year, _, _, day_of_year) = civil((self.seconds / 86_400 + 3).saturating_sub(from_monday));
        (year, (day_of_year - 1) / 7 + 1)
    }
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
