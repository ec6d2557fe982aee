//! A limit in words: "100/minute", "5 per 2 hours".

use std::time::Duration;

use crate::config::InvalidConfig;

const EXAMPLE: &str = "write it as \"100/minute\" or \"5 per 2 hours\"";
/// So much of a text is shown.
const MOST: usize = 80;

/// Returns how many in how long.
pub(super) fn parse(text: &str) -> Result<(u32, Duration), InvalidConfig> {
    let mut words = Words { text, rest: text.trim_start() };
    let Some(count) = words.number()? else {
        return Err(words.refuse("no whole number", EXAMPLE));
    };
    if !words.take_per() {
        return Err(words.refuse("neither \"/\" nor \"per\"", EXAMPLE));
    }
    let times = words.number()?.unwrap_or(1);
    let unit = words.unit()?;
    if !words.rest.is_empty() {
        return Err(words.refuse("left over", EXAMPLE));
    }
    Ok((count, unit * times))
}

/// Returns a text in quotes, on one line and not too long.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(MOST).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("{shown:?}{more}")
}

/// A text, and what of it is still to be read.
struct Words<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Words<'t> {
    /// Takes a whole number, if one comes next.
    fn number(&mut self) -> Result<Option<u32>, InvalidConfig> {
        let digits = self.run(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Ok(None);
        }
        let above = |_| self.refuse("above 4294967295", "give fewer, or a shorter time");
        let number = digits.parse().map_err(above)?;
        self.skip(digits.len());
        Ok(Some(number))
    }

    /// Takes "/" or "per"; false if neither comes next.
    fn take_per(&mut self) -> bool {
        for word in ["/", "per"] {
            let next = self.rest.get(..word.len());
            if next.is_some_and(|next| next.eq_ignore_ascii_case(word)) {
                self.skip(word.len());
                return true;
            }
        }
        false
    }

    /// Takes a unit of time.
    fn unit(&mut self) -> Result<Duration, InvalidConfig> {
        let word = self.run(char::is_alphabetic);
        let millis = match &*word.to_ascii_lowercase() {
            "ms" | "millisecond" | "milliseconds" => 1,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
            "min" | "mins" | "minute" | "minutes" => 60_000,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            "week" | "weeks" => 604_800_000,
            "m" => {
                let advice = "write \"min\", or a month in days, as \"3000 per 30 days\"";
                return Err(self.refuse("a minute or a month", advice));
            }
            "month" | "months" | "year" | "years" => {
                let advice = "write it in days, as \"3000 per 30 days\"";
                return Err(self.refuse("of no fixed length", advice));
            }
            _ => {
                let units = "no unit (ms, second, minute, hour, day, week)";
                return Err(self.refuse(units, EXAMPLE));
            }
        };
        self.skip(word.len());
        Ok(Duration::from_millis(millis))
    }

    /// Returns the characters of a kind that come next.
    fn run(&self, of: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !of(c)).unwrap_or(self.rest.len());
        &self.rest[..end]
    }

    /// Takes what comes next, and the blanks after it.
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest[bytes..].trim_start();
    }

    /// Says what is wrong with what comes next, and where that is: `"m" at character 5 is …`.
    fn refuse(&self, wrong: &str, advice: &str) -> InvalidConfig {
        let read = &self.text[..self.text.len() - self.rest.len()];
        let place = read.chars().count() + 1;
        let word = self.run(char::is_alphanumeric);
        let found = match self.rest.chars().next() {
            None => "the end".to_owned(),
            Some(_) if !word.is_empty() => quoted(word),
            Some(sign) => quoted(sign.encode_utf8(&mut [0; 4])),
        };
        let advice = format!("{found} at character {place} is {wrong}; {advice}");
        InvalidConfig::new("rate", quoted(self.text), advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (u32, u128) {
        let (count, per) = parse(text).unwrap();
        (count, per.as_millis())
    }

    #[test]
    fn a_count_a_per_and_a_unit() {
        assert_eq!((100, 60_000), parsed("100/minute"));
        assert_eq!((5, 1_000), parsed("5 per second"));
        assert_eq!((10, 7_200_000), parsed("10 / 2 hours"));
        assert_eq!((1, 1_000), parsed("1/s"));
        assert_eq!((20, 500), parsed("20 per 500 ms"));
    }

    #[test]
    fn blanks_are_free_and_case_does_not_matter() {
        for text in ["5per2hours", " 5  PER\t2 Hours\n", "5/2h", "\u{a0}5 /2 HRS "] {
            assert_eq!((5, 7_200_000), parsed(text), "{text:?}");
        }
    }

    #[test]
    fn the_longest_time_does_not_overflow() {
        assert_eq!((1, u128::from(u32::MAX) * 604_800_000), parsed("1 per 4294967295 weeks"));
    }
}
