//! From old settings to new ones: what becomes of what is there.

use std::time::Duration;

use super::{Algorithm, Bucket, Level, Pace, SlidingCount};
use crate::config::InvalidConfig;
use crate::rate::Rate;
use crate::time::Instant;

/// What becomes of what a key has when its limits change.
///
/// Windows know no share: they count what went, and go on doing so. There the default is `AsIs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Carry {
    /// A bucket that was half full is half full: the default of buckets.
    #[default]
    Proportional,
    /// As many permits are left as were, at most the new capacity; a bucket that is full is full. A
    /// leaky bucket's backlog and what a window has counted stay.
    AsIs,
    /// As if it were new.
    Reset,
}

/// A key's own limits, or those that change.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Limits {
    /// A bucket's capacity, or how many go in a window.
    pub(crate) most: Option<u32>,
    pub(crate) rate: Option<Rate>,
    /// How long a window is.
    pub(crate) per: Option<Duration>,
}

impl Limits {
    /// Returns those of a bucket.
    ///
    /// # Errors
    ///
    /// A capacity of 0, or a bucket that takes more than 100 years to fill.
    pub fn bucket(capacity: u32, rate: Rate) -> Result<Self, InvalidConfig> {
        Ok(Bucket::new(capacity, rate, Pace::Burst)?.limits())
    }

    /// Returns those of a window.
    ///
    /// # Errors
    ///
    /// A limit of 0, or a window of no length or of more than 100 years.
    pub fn window(limit: u32, per: Duration) -> Result<Self, InvalidConfig> {
        Ok(SlidingCount::new(limit, per)?.limits())
    }

    /// Returns those that are said; the others stay.
    #[doc(hidden)]
    pub fn some(most: Option<u32>, rate: Option<Rate>, per: Option<Duration>) -> Self {
        Self { most, rate, per }
    }

    /// Returns the capacity or limit, the rate and the length, as far as they are said.
    #[doc(hidden)]
    pub fn get(&self) -> (Option<u32>, Option<Rate>, Option<Duration>) {
        (self.most, self.rate, self.per)
    }
}

impl Bucket {
    /// Returns a level of a bucket with other settings as it is in this one, never on the generous
    /// side.
    pub(crate) fn carried(&self, old: &Self, level: Level, carry: Carry, now: Instant) -> Level {
        let backlog = old.over(level, now);
        if carry == Carry::Reset || backlog == 0 {
            return Level::FRESH;
        }
        let (of, to) = (Level::of(old.interval), Level::of(self.interval));
        let same = |backlog| scaled(backlog, self.wide(to), old.wide(of));
        let backlog = match carry {
            Carry::Proportional => scaled(backlog, self.wide(self.full), old.wide(old.full)),
            Carry::AsIs if self.pace == Pace::Even => same(backlog),
            Carry::AsIs => {
                // capacity - (old capacity - backlog)
                let grown = self.wide(to) * u128::from(self.capacity);
                let shrunk = self.wide(to) * u128::from(old.capacity);
                same(backlog).saturating_add(grown).saturating_sub(shrunk)
            }
            Carry::Reset => 0,
        };
        self.pushed(Level::at(now), self.narrow(backlog))
    }

    /// Returns it with keys that were never used as those of another.
    pub(crate) fn started_as(self, old: &Self) -> Self {
        if old.start == Level::FRESH {
            return self;
        }
        let initial = old.initial.min(self.capacity);
        Self { initial, start: Level::at(old.start.ceil()), ..self }
    }

    /// Returns a span of a bucket with other settings, for as many permits of this one.
    pub(crate) fn respanned(&self, old: &Self, span: Level) -> Level {
        let (of, to) = (Level::of(old.interval), Level::of(self.interval));
        self.narrow(scaled(old.wide(span), self.wide(to), old.wide(of)))
    }

    /// Returns the whole permits in a span.
    pub(crate) fn permits(&self, span: Level) -> u64 {
        self.count(span, Level::ZERO).into()
    }

    /// Returns by how much a level lies ahead of now, in parts of a nanosecond.
    fn over(&self, level: Level, now: Instant) -> u128 {
        let level = level.max(Level::at(now));
        self.wide(self.pulled(level, Level::at(now)))
    }

    fn wide(&self, span: Level) -> u128 {
        span.in_parts(self.interval.parts).unsigned_abs()
    }

    fn narrow(&self, span: u128) -> Level {
        let parts = u128::from(self.interval.parts);
        let whole = i64::try_from(span / parts).unwrap_or(i64::MAX);
        Level { whole, part: (span % parts) as u32 }
    }
}

/// Returns `value * over / under`, rounded up.
fn scaled(value: u128, over: u128, under: u128) -> u128 {
    let (value, under) = reduced(value, under);
    let (over, under) = reduced(over, under);
    let (mut value, mut over, mut under) = (value, over, under);
    // Whatever does not fit is rounded to the same side.
    while value.checked_mul(over).is_none() {
        let large = if value > over { &mut value } else { &mut over };
        *large = large.div_ceil(2);
        under = (under / 2).max(1);
    }
    (value * over).div_ceil(under)
}

fn reduced(one: u128, other: u128) -> (u128, u128) {
    let (mut a, mut b) = (one, other);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let divisor = a.max(1);
    (one / divisor, other / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_where_it_can_be_and_else_rounded_up() {
        assert_eq!(3, scaled(9, 1, 3));
        assert_eq!(4, scaled(10, 1, 3));
        assert_eq!(0, scaled(0, 7, 3));
        let large = 1 << 94;
        assert_eq!(large, scaled(large, large, large));
        let (got, want) = (scaled(large - 1, large - 3, large - 7), large + 3);
        assert!((want..want + want / 1_000_000).contains(&got), "{got} for {want}");
    }
}
