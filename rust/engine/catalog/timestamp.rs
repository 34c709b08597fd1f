//! Instants as RFC 3339 writes them, read into microseconds since 1970 in UTC.

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

const MICROS: i64 = 1_000_000;

impl Timestamp {
    /// Reads a date (`2023-01-31`, midnight in UTC) or a date and time with an offset (`2023-01-31T12:00:00.5+01:00`,
    /// `…Z`), RFC 3339 section 5.6, also with a space for the `T` and in lower case. Digits past the microsecond are
    /// dropped. A leap second counts as the second after it.
    ///
    /// # Errors
    /// What is wrong, in words that follow the field's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text };
        let read = reader.timestamp();
        match read {
            Some(timestamp) if reader.rest.is_empty() => Ok(timestamp),
            _ => Err(format!(
                "{:?} is not an RFC 3339 date (2023-01-31) or date and time with offset (2023-01-31T12:00:00Z)",
                text.chars().take(40).collect::<String>()
            )),
        }
    }

    /// The year in UTC.
    #[must_use]
    pub(crate) fn year(self) -> i64 {
        let days = self.0.div_euclid(86_400 * MICROS);
        // A year has 365 or 366 days, so this is a few years too early at most.
        let guess = 1970 + days.div_euclid(366).min(days.div_euclid(365));
        (guess..).take_while(|year| days_before(*year) <= days).last().unwrap_or(guess)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn timestamp(&mut self) -> Option<Timestamp> {
        let year = self.number(4, 0..=9999)?;
        self.one_of(&['-'])?;
        let month = self.number(2, 1..=12)?;
        self.one_of(&['-'])?;
        let day = self.number(2, 1..=days_in_month(year, month))?;
        let days = days_before(year) + (1..month).map(|month| days_in_month(year, month)).sum::<i64>() + day - 1;
        let midnight = days * 86_400 * MICROS;
        if self.rest.is_empty() {
            return Some(Timestamp(midnight));
        }
        self.one_of(&['T', 't', ' '])?;
        let hour = self.number(2, 0..=23)?;
        self.one_of(&[':'])?;
        let minute = self.number(2, 0..=59)?;
        self.one_of(&[':'])?;
        let second = self.number(2, 0..=60)?;
        let fraction = if self.one_of(&['.']).is_some() { self.fraction()? } else { 0 };
        let offset_minutes = match self.one_of(&['Z', 'z', '+', '-'])? {
            'Z' | 'z' => 0,
            sign => {
                let hours = self.number(2, 0..=23)?;
                self.one_of(&[':'])?;
                let minutes = hours * 60 + self.number(2, 0..=59)?;
                if sign == '-' { -minutes } else { minutes }
            }
        };
        let seconds = (hour * 60 + minute - offset_minutes) * 60 + second;
        Some(Timestamp(midnight + seconds * MICROS + fraction))
    }

    fn one_of(&mut self, wanted: &[char]) -> Option<char> {
        let first = self.rest.chars().next().filter(|first| wanted.contains(first))?;
        self.rest = self.rest.get(first.len_utf8()..)?;
        Some(first)
    }

    fn number(&mut self, digits: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let text = self.rest.get(..digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        self.rest = self.rest.get(digits..)?;
        text.parse().ok().filter(|number| range.contains(number))
    }

    fn fraction(&mut self) -> Option<i64> {
        let len = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let digits = self.rest.get(..len).filter(|digits| !digits.is_empty())?;
        let micros = format!("{digits:0<6}").get(..6)?.parse().ok();
        self.rest = self.rest.get(len..)?;
        micros
    }
}

/// Days from 1970-01-01 to the first of January of `year`, by the Gregorian calendar.
fn days_before(year: i64) -> i64 {
    let leap_days = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        Timestamp::parse(text).ok().map(|timestamp| timestamp.0 / MICROS)
    }

    #[test]
    fn known_instants_are_read() {
        assert_eq!(seconds("1970-01-01"), Some(0));
        assert_eq!(seconds("2000-02-29T12:00:00Z"), Some(951_825_600));
        assert_eq!(seconds("2023-01-01t01:00:00+01:00"), Some(1_672_531_200));
        assert_eq!(seconds("2023-01-01 00:00:00-00:30"), Some(1_672_533_000));
        assert_eq!(seconds("2016-12-31T23:59:60Z"), Some(1_483_228_800));
        assert_eq!(Timestamp::parse("1969-12-31T23:59:59.9999999Z"), Ok(Timestamp(-1)));
        assert_eq!(Timestamp::parse("1970-01-01T00:00:00.5z"), Ok(Timestamp(500_000)));
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "2023",
            "2023-1-1",
            "2023-02-29",
            "1900-02-29",
            "2023-13-01",
            "2023-01-32",
            "2023-01-01T10:00:00",
            "2023-01-01T24:00:00Z",
            "2023-01-01T10:00:00.Z",
            "2023-01-01T10:00Z",
            "2023-01-01Z",
            "２０２３-01-01",
            "2023-01-01T10:00:00Z ",
            "yesterday",
        ] {
            assert!(Timestamp::parse(text).is_err_and(|detail| detail.contains("RFC 3339")), "{text}");
        }
    }

    proptest! {
        #[test]
        fn years_contain_their_days_and_order_is_kept(
            year in 0_i64..9999, month in 1_i64..=12, day in 1_i64..=28, second in 0_i64..86_400,
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60);
            let timestamp = Timestamp::parse(&text);
            prop_assert_eq!(timestamp.clone().map(Timestamp::year), Ok(year));
            let start = Timestamp::parse(&format!("{year:04}-{month:02}-{day:02}"));
            prop_assert_eq!(timestamp.map(|t| t.0), start.map(|s| s.0 + second * MICROS));
        }

        #[test]
        fn no_text_panics(text in ".{0,30}") {
            let _ = Timestamp::parse(&text);
        }
    }
}
