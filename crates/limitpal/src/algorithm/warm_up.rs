//! A token bucket that is slow when it is cold: idle it cools, under load it warms up.
//!
//! The ramp is that of Guava's `SmoothWarmingUp` and Sentinel's `WarmUpController`, counted in time
//! instead of permits, in which a rate does not occur. Idle time is stored, up to `max`; a permit
//! takes its interval out of the store. What lies above `warning` costs more: with a warm-up of
//! `T`, a cold factor of `c`,
//!
//! - `warning = T / (c - 1)`, `max = warning + 2 T / (1 + c)`
//! - a permit at a store of `s` takes `1 + (c² - 1) / 2T * (s - warning)` times its interval, from
//!   `c` times at `max` to once at `warning`
//!
//! so that drawing `s` down to `warning` costs `excess(s) = (c² - 1) / 4T * (s - warning)²` beyond
//! the intervals; from `max` that is `T` in all. Between two calls only sums count: whatever the
//! steps, they are the same, and less than a nanosecond off.

#[cfg(all(test, not(loom)))]
mod tests;

use std::fmt;
use std::time::Duration;

use super::kept::FURTHEST;
use super::saved::{put_count, put_from};
use super::window::{Undone, Window};
use super::{Algorithm, Bucket, Bytes, Carry, KeptLevel, Level, Limits, Mark, Pace, Saved};
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::rate::Rate;
use crate::retry_after::RetryAfter;
use crate::time::{Instant, nanos};

/// A cold factor is kept in thousandths.
const WHOLE: u32 = 1000;
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// The settings of a bucket that warms up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WarmUp {
    /// What it is when it is warm.
    bucket: Bucket,
    warm_up: Duration,
    /// In thousandths, above one.
    cold: u32,
    /// So much stored time makes no permit dearer.
    warning: i64,
    /// The most that is stored.
    max: i64,
}

/// One key's bucket: as [`Bucket`] has it, and what was stored at its level, or now if that lies
/// ahead.
#[derive(Clone, Copy, Debug)]
pub struct Warmth {
    level: KeptLevel,
    stored: KeptLevel,
}

impl WarmUp {
    /// Checks the settings.
    pub fn new(
        capacity: u32,
        rate: Rate,
        warm_up: Duration,
        cold_factor: f64,
    ) -> Result<Self, InvalidConfig> {
        let bucket = Bucket::new(capacity, rate, Pace::Burst)?;
        if warm_up.is_zero() || warm_up > LONGEST {
            let advice = "give a time above 0, 30 days at most";
            return Err(InvalidConfig::new("warm_up", format_args!("{warm_up:?}"), advice));
        }
        if !(1.001..=1000.0).contains(&cold_factor) {
            let advice = "give a number from 1.001 to 1000";
            return Err(InvalidConfig::new("cold_factor", cold_factor, advice));
        }
        let cold = (cold_factor * f64::from(WHOLE)).round() as u32;
        let wide = i128::from(nanos(warm_up));
        // Rounded so that a bucket is a little too cold.
        let warning = wide * i128::from(WHOLE) / i128::from(cold - WHOLE);
        let above = (2 * wide * i128::from(WHOLE) + i128::from(cold)) / i128::from(WHOLE + cold);
        let warning = i64::try_from(warning).unwrap_or(i64::MAX);
        let max = warning.saturating_add(i64::try_from(above).unwrap_or(i64::MAX));
        Ok(Self { bucket, warm_up, cold, warning, max })
    }

    /// Returns how fast it is when it is warm.
    pub fn rate(&self) -> Rate {
        self.bucket.rate()
    }

    /// Returns how long it takes to warm up.
    pub fn warm_up(&self) -> Duration {
        self.warm_up
    }

    /// Returns how many times slower it is when it is cold.
    pub fn cold_factor(&self) -> f64 {
        f64::from(self.cold) / f64::from(WHOLE)
    }

    /// Returns what it costs beyond the intervals to draw so much down to `warning`, in
    /// nanoseconds, rounded up.
    fn excess(&self, stored: Level) -> i64 {
        let above = stored.ceil().as_nanos().saturating_sub(self.warning).max(0).unsigned_abs();
        let (cold, whole) = (u128::from(self.cold), u128::from(WHOLE));
        // At most 4 T² * 10^6 over, below 2^127 for a `T` of 30 days.
        let over = (cold * cold - whole * whole) * u128::from(above) * u128::from(above);
        let under = 4 * self.warm_up.as_nanos() * whole * whole;
        i64::try_from(over.div_ceil(under)).unwrap_or(i64::MAX)
    }

    /// Returns the level from which one takes now, and what is stored then.
    fn at(&self, state: &Warmth, now: Instant) -> (Level, Level) {
        let (level, stored, at) = (state.level.level(), state.stored.level(), Level::at(now));
        if level >= at {
            return (level, stored);
        }
        let idle = self.bucket.pulled(at, level);
        (at, self.bucket.pushed(stored, idle).min(self.max()))
    }

    fn max(&self) -> Level {
        Level { whole: self.max, part: 0 }
    }

    /// Returns what is stored once a cost is out of it.
    fn drawn(&self, stored: Level, span: Level) -> Level {
        self.bucket.pulled(stored, span).max(Level::ZERO)
    }

    /// Returns how far the level moves by what is drawn beyond the intervals.
    fn surcharge(&self, before: Level, after: Level) -> Level {
        Level { whole: self.excess(before).saturating_sub(self.excess(after)), part: 0 }
    }

    /// Returns the level at which a take from here ends, whether or not it may, and what is stored.
    fn after(&self, (base, stored): (Level, Level), cost: u64) -> (Level, Level) {
        let span = self.bucket.span(cost);
        let left = self.drawn(stored, span);
        let paid = self.bucket.pushed(span, self.surcharge(stored, left));
        (self.bucket.pushed(base, paid), left)
    }

    /// Returns how many go now one by one; one call for more may go all the same.
    fn remaining(&self, from: (Level, Level), now: Instant) -> u32 {
        let goes = |count: u32| {
            let before = if count > 1 { self.after(from, u64::from(count - 1)) } else { from };
            self.bucket.take(before.0, 1, now).is_some()
        };
        let (mut least, mut most) = (0, self.bucket.capacity());
        while least < most {
            let middle = least + (most - least).div_ceil(2);
            if goes(middle) {
                least = middle;
            } else {
                most = middle - 1;
            }
        }
        least
    }
}

impl Algorithm for WarmUp {
    type State = Warmth;

    fn name(&self) -> &'static str {
        "WarmUpBucket"
    }

    fn show(&self, into: &mut fmt::DebugStruct<'_, '_>) {
        into.field("capacity", &self.capacity()).field("refill_rate", &self.rate());
        into.field("warm_up", &self.warm_up).field("cold_factor", &self.cold_factor());
    }

    fn limits(&self) -> Limits {
        self.bucket.limits()
    }

    fn changed(&self, limits: &Limits) -> Result<Self, InvalidConfig> {
        Ok(Self { bucket: self.bucket.changed(limits)?, ..*self })
    }

    fn capacity(&self) -> u32 {
        self.bucket.capacity()
    }

    /// No permit is cheaper than when it is warm.
    fn bound(&self, window: Duration) -> u64 {
        self.bucket.bound(window)
    }

    fn fresh(&self) -> Warmth {
        Warmth { level: KeptLevel::of(Level::FRESH), stored: KeptLevel::of(self.max()) }
    }

    fn fresh_at(&self, state: &Warmth) -> Instant {
        if state.level.level() == Level::FRESH {
            return Instant::MIN;
        }
        let missing = self.bucket.pulled(self.max(), state.stored.level());
        self.bucket.pushed(state.level.level(), missing).ceil()
    }

    fn take(&self, state: &mut Warmth, cost: u64, now: Instant) -> Option<Mark> {
        // Its own price counts only for those after it: else a cold bucket could never serve a
        // cost near its capacity.
        self.bucket.take(state.level.level(), cost, now)?;
        Some(self.put(state, cost, now))
    }

    fn turn(&self, state: &Warmth, cost: u64, now: Instant) -> Instant {
        let after = self.bucket.after(state.level.level(), cost, now);
        self.bucket.due(after, cost).max(now)
    }

    fn retry_after(&self, state: &Warmth, cost: u64, now: Instant) -> RetryAfter {
        self.bucket.retry_after(state.level.level(), cost, now)
    }

    fn decision(&self, state: &Warmth, answer: RetryAfter, now: Instant) -> Decision {
        let remaining = self.remaining(self.at(state, now), now);
        let reset_after = self.fresh_at(state).saturating_duration_since(now);
        Decision::new(self.capacity(), remaining, answer, reset_after)
    }
}

impl Window for WarmUp {
    fn held(&self) -> Warmth {
        let level = KeptLevel::of(Level::at(Instant::MAX));
        Warmth { level, stored: KeptLevel::of(Level::ZERO) }
    }

    fn put(&self, state: &mut Warmth, cost: u64, at: Instant) -> Mark {
        let (base, before) = self.at(state, at);
        let (after, stored) = self.after((base, before), cost);
        *state = Warmth { level: KeptLevel::of(after), stored: KeptLevel::of(stored) };
        Mark { before: Some(before), after }
    }

    /// It is as cold as it was.
    fn carried(&self, old: &Self, state: &Warmth, carry: Carry, now: Instant) -> Warmth {
        let (level, stored) = old.at(state, now);
        let level = self.bucket.carried(&old.bucket, level, carry, now).max(Level::at(now));
        let stored = Level::at(stored.ceil()).min(self.max());
        Warmth { level: KeptLevel::of(level), stored: KeptLevel::of(stored) }
    }

    /// What is given back is as cold as it can be.
    fn undo_last(&self, state: &mut Warmth, cost: u64, now: Instant) {
        let (level, stored) = self.at(state, now);
        let refund = self.bucket.refund(level, cost, now);
        let level = self.bucket.pulled(level, refund);
        let stored = self.bucket.pushed(stored, refund).min(self.max());
        *state = Warmth { level: KeptLevel::of(level), stored: KeptLevel::of(stored) };
    }

    /// The mark of a take has what was stored before it.
    fn undo(&self, state: &mut Warmth, cost: u64, mark: Mark, now: Instant) -> Undone {
        let Some(before) = mark.before else { return Undone::Not };
        let (level, stored) = (state.level.level(), state.stored.level());
        let span = self.bucket.span(cost);
        let left = self.drawn(before, span);
        let is_last = level == mark.after && stored == left;
        let paid = self.bucket.pushed(span, self.surcharge(before, left));
        // What was taken before it may have run out since: then the bucket would have cooled
        // meanwhile, and those after it would have paid more.
        if !is_last && self.bucket.pulled(mark.after, paid) < Level::at(now) {
            return Undone::Not;
        }
        let (again, paid) = match stored {
            _ if is_last => (before, paid),
            // What was not there to be drawn is not known any more: it is given back cold.
            Level::ZERO => (before.min(span), span),
            _ => {
                let again = self.bucket.pushed(stored, span).min(self.max());
                (again, self.bucket.pushed(span, self.surcharge(again, stored)))
            }
        };
        let level = self.bucket.pulled(level, paid);
        *state = Warmth { level: KeptLevel::of(level), stored: KeptLevel::of(again) };
        if self.fresh_at(state) <= now {
            *state = self.fresh();
        }
        if is_last { Undone::Wholly } else { Undone::Amid }
    }

    /// While nobody goes it cools.
    fn leaving_delays(&self) -> bool {
        true
    }

    /// In one step: who waits goes while the bucket is not empty of others' takes yet, so that none
    /// of them changes what another costs. Only a cost of all there is waits for that, and goes at a
    /// whole nanosecond after it.
    fn put_many(&self, state: &mut Warmth, cost: u64, count: u64, from: Instant) -> Instant {
        let Some(ahead) = count.checked_sub(1) else { return from };
        let next = |state: &mut Warmth, from: Instant| {
            let due = self.turn(state, cost, from);
            self.put(state, cost, due);
            due
        };
        if cost >= self.capacity().into() && self.bucket.interval.part > 0 {
            return (0..count).fold(from, |from, _| next(state, from));
        }
        if ahead > 0 {
            self.put(state, cost.saturating_mul(ahead), from);
        }
        next(state, from)
    }
}

impl Saved for WarmUp {
    fn numbers(&self) -> [u64; 4] {
        let [capacity, whole, part, parts] = self.bucket.numbers();
        [
            capacity | u64::from(self.cold) << 32,
            whole,
            part | parts << 32,
            nanos(self.warm_up) as u64,
        ]
    }

    fn save(&self, state: &Warmth, now: Instant, into: &mut Vec<u8>) {
        let (level, stored) = self.at(state, now);
        put_from(now, level.whole, into);
        put_count(level.part, into);
        into.extend(stored.whole.to_le_bytes());
        put_count(stored.part, into);
    }

    fn load(&self, from: &mut Bytes<'_>, now: Instant) -> Option<Warmth> {
        let (ahead, part) = (from.i64()?, from.u32()?);
        let stored = Level { whole: from.i64()?, part: from.u32()? };
        let parts = self.bucket.interval.parts;
        let is_one = (0..=FURTHEST).contains(&ahead) && part < parts && stored.part < parts;
        let level = Level { whole: now.as_nanos().saturating_add(ahead), part };
        (is_one && (Level::ZERO..=self.max()).contains(&stored))
            .then(|| Warmth { level: KeptLevel::of(level), stored: KeptLevel::of(stored) })
    }
}
