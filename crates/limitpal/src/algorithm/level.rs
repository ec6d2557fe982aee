//! An instant in nanoseconds and parts of one, so that three a second are exactly three a second.

use crate::rate::Interval;
use crate::time::Instant;

/// An instant, or a span, of `whole + part / parts` nanoseconds; `parts` is the bucket's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Level {
    pub(crate) whole: i64,
    pub(crate) part: u32,
}

impl Level {
    pub(crate) const ZERO: Self = Self { whole: 0, part: 0 };
    /// The level of a bucket that was never used.
    pub(crate) const FRESH: Self = Self::at(Instant::MIN);

    #[inline]
    pub(crate) const fn at(now: Instant) -> Self {
        Self { whole: now.as_nanos(), part: 0 }
    }

    #[inline]
    pub(crate) const fn of(interval: Interval) -> Self {
        Self { whole: interval.whole, part: interval.part }
    }

    /// Returns `interval * cost`.
    pub(crate) fn times(interval: Interval, cost: u64) -> Self {
        let cost = u128::from(cost);
        let parts = u128::from(interval.parts);
        let part = u128::from(interval.part) * cost;
        let whole = u128::from(interval.whole.unsigned_abs()) * cost + part / parts;
        Self { whole: i64::try_from(whole).unwrap_or(i64::MAX), part: (part % parts) as u32 }
    }

    #[inline]
    pub(crate) fn plus(self, span: Self, parts: u32) -> Self {
        let part = u64::from(self.part) + u64::from(span.part);
        let whole = self.whole.saturating_add(span.whole);
        if part >= u64::from(parts) {
            let part = (part - u64::from(parts)) as u32;
            return Self { whole: whole.saturating_add(1), part };
        }
        Self { whole, part: part as u32 }
    }

    #[inline]
    pub(crate) fn minus(self, span: Self, parts: u32) -> Self {
        let whole = self.whole.saturating_sub(span.whole);
        if self.part < span.part {
            let part = (u64::from(self.part) + u64::from(parts) - u64::from(span.part)) as u32;
            return Self { whole: whole.saturating_sub(1), part };
        }
        Self { whole, part: self.part - span.part }
    }

    /// Returns it moved by `whole + part / parts` nanoseconds, however many parts that are.
    pub(crate) fn moved(self, whole: i64, part: i64, parts: u32) -> Self {
        let (whole, part) = (self.whole.saturating_add(whole), i64::from(self.part) + part);
        let parts = i64::from(parts);
        if (0..parts).contains(&part) {
            return Self { whole, part: part as u32 };
        }
        let carried = whole.saturating_add(part.div_euclid(parts));
        Self { whole: carried, part: part.rem_euclid(parts) as u32 }
    }

    /// Returns so small a part of a span, rounded down.
    pub(crate) fn over(self, count: u64, parts: u32) -> Self {
        let (whole, rest) = (self.whole.unsigned_abs() / count, self.whole.unsigned_abs() % count);
        let rest = u128::from(rest) * u128::from(parts) + u128::from(self.part);
        Self { whole: whole.cast_signed(), part: (rest / u128::from(count)) as u32 }
    }

    /// Returns the first whole nanosecond that is not before it.
    #[inline]
    pub(crate) const fn ceil(self) -> Instant {
        Instant::from_nanos(self.whole.saturating_add((self.part > 0) as i64))
    }

    pub(crate) fn in_parts(self, parts: u32) -> i128 {
        i128::from(self.whole) * i128::from(parts) + i128::from(self.part)
    }
}
