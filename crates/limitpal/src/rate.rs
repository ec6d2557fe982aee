//! How many per how long, exact in integers.

mod parse;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::time::Duration;

use crate::config::InvalidConfig;

const NANOS_PER_SECOND: u128 = 1_000_000_000;
const ADVICE: &str = "give a number from 1e-9 to 1e6 per second";
/// Parts of a nanosecond for the few rates that no small fraction names.
const FINEST: u32 = 1 << 31;

/// A rate from one in 30 years (1e-9 per second) to a million per second.
///
/// It is kept as a whole fraction: `per_second(100.0 / 60.0)` is exactly 5 in 3 seconds, so three
/// seconds give five permits, not 4.999. A float is read as the simplest fraction that divides
/// to it; one that needs a numerator above 2^32 is rounded down by at most one part in a million.
/// Rates are equal if what they admit is.
///
/// ```
/// use limitpal::Rate;
///
/// assert_eq!(Rate::per_second(100.0 / 60.0)?, Rate::per_minute(100)?);
/// assert_eq!(Rate::parse("100/minute")?, Rate::per_minute(100)?);
/// assert_eq!(5.0, Rate::per_second(5.0)?.as_per_second());
/// assert!(Rate::per_second(f64::NAN).is_err());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone, Copy)]
pub struct Rate {
    interval: Interval,
    per_second: f64,
}

/// The time from one permit to the next: `whole + part / parts` nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Interval {
    pub(crate) whole: i64,
    pub(crate) part: u32,
    pub(crate) parts: u32,
}

impl Rate {
    /// Returns `count` per second.
    ///
    /// # Errors
    ///
    /// A rate that is not a number from 1e-9 to 1e6.
    pub fn per_second(count: f64) -> Result<Self, InvalidConfig> {
        Self::named("rate", count)
    }

    /// As [`per_second`](Self::per_second), for a parameter of another name.
    #[doc(hidden)]
    pub fn named(parameter: &'static str, count: f64) -> Result<Self, InvalidConfig> {
        if !(1e-9..=1e6).contains(&count) {
            return Err(InvalidConfig::new(parameter, count, ADVICE));
        }
        Ok(Self { interval: Interval::of(count), per_second: count })
    }

    /// Returns `count` in each `per`.
    ///
    /// # Errors
    ///
    /// No count, no time, or a rate outside 1e-9 to 1e6 per second.
    pub fn new(count: u32, per: Duration) -> Result<Self, InvalidConfig> {
        let (permits, nanos) = reduced(u128::from(count) * NANOS_PER_SECOND, per.as_nanos());
        let per_second = permits as f64 / nanos as f64;
        if !(1e-9..=1e6).contains(&per_second) {
            return Err(InvalidConfig::new("rate", format_args!("{count} per {per:?}"), ADVICE));
        }
        Ok(Self { interval: Interval::new(count.into(), per.as_nanos()), per_second })
    }

    /// Returns `count` per minute; errors as [`new`](Self::new).
    pub fn per_minute(count: u32) -> Result<Self, InvalidConfig> {
        Self::new(count, Duration::from_secs(60))
    }

    /// Returns `count` per hour; errors as [`new`](Self::new).
    pub fn per_hour(count: u32) -> Result<Self, InvalidConfig> {
        Self::new(count, Duration::from_secs(3600))
    }

    /// Reads a limit in words: a count, "/" or "per", a whole number if wanted, and a unit.
    ///
    /// A unit is a millisecond, second, minute, hour, day or week, singular or plural, or one of
    /// ms, s, sec, min, h, hr and d. Blanks are free, and case does not matter. "m" alone is
    /// refused: it may be a month.
    ///
    /// ```
    /// use limitpal::Rate;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Rate::per_minute(100)?, Rate::parse("100/minute")?);
    /// assert_eq!(Rate::new(10, Duration::from_secs(7200))?, "10 per 2 hours".parse()?);
    ///
    /// let error = Rate::parse("100/fortnight").unwrap_err();
    /// assert!(error.advice().starts_with("\"fortnight\" at character 5 is no unit"));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Words that are no limit: the error shows the text and the place where it ceases to be one.
    /// A rate outside 1e-9 to 1e6 per second.
    pub fn parse(text: &str) -> Result<Self, InvalidConfig> {
        Self::written(text).map(|(rate, _, _)| rate)
    }

    /// As [`parse`](Self::parse), with how many in how long, as they were written.
    #[doc(hidden)]
    pub fn written(text: &str) -> Result<(Self, u32, Duration), InvalidConfig> {
        let (count, per) = parse::parse(text)?;
        let out_of_range = |_| InvalidConfig::new("rate", parse::quoted(text), ADVICE);
        Ok((Self::new(count, per).map_err(out_of_range)?, count, per))
    }

    /// Returns how many per second.
    pub fn as_per_second(self) -> f64 {
        self.per_second
    }

    /// Returns the time from one permit to the next.
    pub(crate) fn interval(self) -> Interval {
        self.interval
    }
}

impl FromStr for Rate {
    type Err = InvalidConfig;

    fn from_str(text: &str) -> Result<Self, InvalidConfig> {
        Self::parse(text)
    }
}

impl PartialEq for Rate {
    fn eq(&self, other: &Self) -> bool {
        self.interval == other.interval
    }
}

impl Eq for Rate {}

impl Hash for Rate {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.interval.hash(hasher);
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per second", self.per_second)
    }
}

impl Interval {
    /// Returns the interval of `count` permits in `nanos` nanoseconds, reduced.
    fn new(count: u128, nanos: u128) -> Self {
        let (count, nanos) = reduced(count, nanos);
        let Ok(parts) = u32::try_from(count) else { return Self::rounded_up(count, nanos) };
        let (whole, part) = (nanos / count, nanos % count);
        Self { whole: saturate(whole), part: part as u32, parts }
    }

    /// Returns the interval a little longer, so that the rate is never on the generous side.
    fn rounded_up(count: u128, nanos: u128) -> Self {
        let (whole, rest) = (nanos / count, nanos % count);
        let part = (rest * u128::from(FINEST)).div_ceil(count);
        if part == u128::from(FINEST) {
            return Self { whole: saturate(whole + 1), part: 0, parts: FINEST };
        }
        Self { whole: saturate(whole), part: part as u32, parts: FINEST }
    }

    /// Returns the interval of a float rate, read as the simplest fraction that divides to it.
    fn of(per_second: f64) -> Self {
        let (count, seconds) = simplest_fraction(per_second);
        Self::new(count, seconds * NANOS_PER_SECOND)
    }
}

/// Returns the first convergent of the continued fraction of `value` that divides to `value`.
fn simplest_fraction(value: f64) -> (u128, u128) {
    // A float is mantissa * 2^exponent; from 1e-9 to 1e6 both sides fit in 128 bits.
    let (mut over, mut under) = exact_fraction(value);
    let (mut count, mut previous_count) = (1_u128, 0_u128);
    let (mut seconds, mut previous_seconds) = (0_u128, 1_u128);
    while under != 0 {
        let digit = over / under;
        (over, under) = (under, over % under);
        (count, previous_count) = (digit * count + previous_count, count);
        (seconds, previous_seconds) = (digit * seconds + previous_seconds, seconds);
        if count > 0 && count as f64 / seconds as f64 == value {
            break;
        }
    }
    (count, seconds)
}

/// Returns the numerator and denominator of a positive, finite float below 2^53.
fn exact_fraction(value: f64) -> (u128, u128) {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1075;
    let mantissa = u128::from((bits & ((1 << 52) - 1)) | (1 << 52));
    if exponent >= 0 { (mantissa << exponent, 1) } else { (mantissa, 1 << -exponent) }
}

/// Returns both divided by whatever divides both.
fn reduced(over: u128, under: u128) -> (u128, u128) {
    let (mut a, mut b) = (over, under);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let divisor = a.max(1);
    (over / divisor, under / divisor)
}

fn saturate(nanos: u128) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(per_second: f64) -> (i64, u32, u32) {
        let interval = Rate::per_second(per_second).unwrap().interval();
        (interval.whole, interval.part, interval.parts)
    }

    #[test]
    fn common_rates_are_exact_fractions() {
        assert_eq!((200_000_000, 0, 1), interval(5.0));
        assert_eq!((333_333_333, 1, 3), interval(3.0));
        assert_eq!((600_000_000, 0, 1), interval(100.0 / 60.0));
        assert_eq!((1_000, 0, 1), interval(1e6));
        assert_eq!((10_000_000_000, 0, 1), interval(0.1));
        assert_eq!((1_000_000_000_000_000_000, 0, 1), interval(1e-9));
    }

    #[test]
    fn equal_rates_are_equal_however_they_were_given() {
        let slow = Rate::new(7, Duration::from_millis(700)).unwrap();

        for same in [Rate::per_second(10.0), Rate::parse("36000/h"), Rate::parse("1 per 100 ms")] {
            let same = same.unwrap();
            assert_eq!((slow, slow.as_per_second()), (same, same.as_per_second()));
        }
        assert_ne!(slow, Rate::per_second(10.5).unwrap());
    }

    #[test]
    fn a_rate_no_small_fraction_names_is_rounded_to_the_slow_side() {
        for rate in [999_999.123_456_789, 1e-9 * std::f64::consts::PI, 314_159.265_358_979_3] {
            let (whole, part, parts) = interval(rate);

            let kept = 1e9 / (whole as f64 + f64::from(part) / f64::from(parts));

            assert!(kept <= rate * (1.0 + 1e-15), "{kept} for {rate}");
            assert!(kept >= rate * (1.0 - 1e-6), "{kept} for {rate}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-10, 1e6 + 1.0] {
            assert!(Rate::per_second(rate).is_err(), "{rate}");
        }
        assert!(Rate::new(0, Duration::from_secs(1)).is_err());
        assert!(Rate::new(1, Duration::ZERO).is_err());
    }
}
