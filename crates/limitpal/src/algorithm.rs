//! How a limiter counts: pure functions of (state, cost, now).
//!
//! Token bucket and leaky bucket are one arithmetic, the generic cell rate algorithm (ITU-T
//! I.371): a bucket is a single instant, the one at which it is as new again. A permit moves it
//! `interval` further; it may lie `capacity * interval` ahead of now. The two differ in when one
//! who waits may go: see [`Pace`].

mod adaptive_rate;
mod carry;
mod fixed_count;
mod kept;
mod level;
mod opening;
mod pace;
mod saved;
mod share;
mod sliding_count;
mod sliding_log;
mod warm_up;
mod window;

use std::fmt;
use std::time::Duration;

pub use self::adaptive_rate::{AdaptiveRate, AdaptiveRateSettings, Heard, RateAlgorithm};
pub use self::carry::{Carry, Limits};
pub use self::fixed_count::{Align, FixedCount};
pub(crate) use self::kept::KeptLevel;
pub(crate) use self::level::Level;
pub use self::pace::Pace;
pub(crate) use self::pace::Spacing;
pub(crate) use self::saved::put_from;
pub use self::saved::{Bytes, Saved};
pub(crate) use self::share::Share;
pub use self::sliding_count::SlidingCount;
pub use self::sliding_log::SlidingLog;
pub use self::warm_up::WarmUp;
pub(crate) use self::window::Undone;
pub use self::window::Window;
pub(crate) use self::window::mark;
use crate::config::{HUNDRED_YEARS, InvalidConfig};
use crate::decision::Decision;
use crate::rate::{Interval, Rate};
use crate::retry_after::RetryAfter;
use crate::time::Instant;

/// How permits are counted: what is remembered of a key, and what may be taken when.
///
/// A state includes those who wait, where it says so; whoever holds it never goes back in time.
pub trait Algorithm: Clone + fmt::Debug + Send + Sync + 'static {
    /// What is remembered of a key, as it lies in the store.
    type State: fmt::Debug + Send + 'static;

    /// Returns what such a limiter is called.
    fn name(&self) -> &'static str;

    /// Writes its settings down by their names.
    fn show(&self, into: &mut fmt::DebugStruct<'_, '_>);

    /// Returns its limits.
    fn limits(&self) -> Limits;

    /// Returns the same with other limits.
    ///
    /// # Errors
    ///
    /// Limits that make no sense.
    fn changed(&self, limits: &Limits) -> Result<Self, InvalidConfig>;

    /// Returns the most permits that are ever there at once.
    fn capacity(&self) -> u32;

    /// Returns the most permits admitted to one key in any window, both ends included.
    fn bound(&self, window: Duration) -> u64;

    /// Returns whether a cost can ever be served.
    #[inline]
    fn serves(&self, cost: u64) -> bool {
        cost <= u64::from(self.capacity())
    }

    /// Returns the state of a key that was never used.
    fn fresh(&self) -> Self::State;

    /// Returns from when on a state is as new: nobody could tell whether it was forgotten.
    fn fresh_at(&self, state: &Self::State) -> Instant;

    /// Returns from when on all permits are there.
    fn full_at(&self, state: &Self::State) -> Instant {
        self.fresh_at(state)
    }

    /// Takes if possible now; a refusal changes nothing that anybody could tell.
    fn take(&self, state: &mut Self::State, cost: u64, now: Instant) -> Option<Mark>;

    /// As `take` once that has refused, where what is not there may be owed.
    fn take_owing(&self, state: &mut Self::State, cost: u64, now: Instant) -> Option<Mark> {
        let _ = (state, cost, now);
        None
    }

    /// Takes if one who waits would not have to; as `take`, unless waiting follows another rule.
    #[inline]
    fn take_in_turn(&self, state: &mut Self::State, cost: u64, now: Instant) -> Option<Mark> {
        self.take(state, cost, now)
    }

    /// Returns when one who comes now, and whose cost is served, may go at the latest.
    fn turn(&self, state: &Self::State, cost: u64, now: Instant) -> Instant;

    /// Returns when `take` would succeed, if nobody else takes.
    fn retry_after(&self, state: &Self::State, cost: u64, now: Instant) -> RetryAfter;

    /// Puts an answer together with how things stand.
    fn decision(&self, state: &Self::State, answer: RetryAfter, now: Instant) -> Decision;
}

/// Where a take lies, so that it can be given back.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// The level before it, where it went at once.
    pub(crate) before: Option<Level>,
    /// The level after it; of a window, the instant from which it counts.
    pub(crate) after: Level,
}

/// A bucket's settings: how much it holds and how fast it is as new again.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    capacity: u32,
    rate: Rate,
    pace: Pace,
    interval: Interval,
    /// `capacity * interval`: how far ahead of now the level may lie.
    full: Level,
    /// By how many permits one that costs several may overdraw.
    debt: u32,
    /// The highest cost that is ever served.
    most: u64,
    /// How many a bucket started with, and the level of a key that was never used.
    initial: u32,
    start: Level,
}

impl Bucket {
    /// Checks the settings.
    pub fn new(capacity: u32, rate: Rate, pace: Pace) -> Result<Self, InvalidConfig> {
        if capacity == 0 {
            let advice = "give a whole number from 1 to 4294967295";
            return Err(InvalidConfig::new("capacity", capacity, advice));
        }
        let interval = rate.interval();
        let full = Level::times(interval, capacity.into());
        let (debt, most, initial, start) = (0, capacity.into(), capacity, Level::FRESH);
        let bucket = Self { capacity, rate, pace, interval, full, debt, most, initial, start };
        if full.ceil() > Instant::ZERO + HUNDRED_YEARS {
            let name = bucket.rate_name();
            let advice = format!("raise it, so that capacity / {name} is 100 years at most");
            return Err(InvalidConfig::new(name, rate.as_per_second(), advice));
        }
        Ok(bucket)
    }

    /// Returns what such a bucket is called.
    pub fn name(&self) -> &'static str {
        match self.pace {
            Pace::Burst => "TokenBucket",
            Pace::Even => "LeakyBucket",
        }
    }

    /// Returns what its rate is called.
    pub fn rate_name(&self) -> &'static str {
        self.pace.rate_name()
    }

    /// Returns when one who waits for it may go.
    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// Returns how much it holds.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Returns how fast it is as new again.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Returns the most permits admitted in any window, both ends included:
    /// `capacity + debt + rate * W`, rounded down.
    pub fn bound(&self, window: Duration) -> u64 {
        let parts = u128::from(self.interval.parts);
        let whole = u128::from(self.interval.whole.unsigned_abs());
        // 2^94 nanoseconds at most, in 2^32 parts.
        let refilled = window.as_nanos() * parts / (whole * parts + u128::from(self.interval.part));
        u64::try_from(u128::from(self.most) + refilled).unwrap_or(u64::MAX)
    }

    /// Returns whether a cost can ever be served.
    #[inline]
    pub(crate) fn serves(&self, cost: u64) -> bool {
        cost <= self.most
    }

    /// Takes if possible now, without owing: the level after it.
    #[inline]
    pub(crate) fn take(&self, level: Level, cost: u64, now: Instant) -> Option<Level> {
        let after = self.after(level, cost, now);
        (self.serves(cost) && after <= self.limit(now)).then_some(after)
    }

    /// Takes if one who waits would not have to, without owing: the level after it.
    #[inline]
    pub(crate) fn take_in_turn(&self, level: Level, cost: u64, now: Instant) -> Option<Level> {
        let after = self.after(level, cost, now);
        let is_turn = after.minus(self.ahead(cost), self.interval.parts).ceil() <= now;
        (self.serves(cost) && is_turn).then_some(after)
    }

    /// Takes if possible now, and owes what is not there: the level after it.
    pub(crate) fn take_owing(&self, level: Level, cost: u64, now: Instant) -> Option<Level> {
        let after = self.after(level, cost, now);
        (self.serves(cost) && self.due(after, cost) <= now).then_some(after)
    }

    /// Returns the level once `cost` has been taken, whether or not it may be.
    #[inline]
    pub(crate) fn after(&self, level: Level, cost: u64, now: Instant) -> Level {
        level.max(Level::at(now)).plus(self.span(cost), self.interval.parts)
    }

    /// Returns when one who waits, and leaves the bucket at `after`, may go.
    pub(crate) fn due(&self, after: Level, cost: u64) -> Instant {
        let ahead = match self.debt {
            0 => self.ahead(cost),
            _ => self.pushed(self.full, self.span(self.owed(cost))),
        };
        after.minus(ahead, self.interval.parts).ceil()
    }

    /// Returns whether one may go by then who leaves the bucket at `after`, as far as it may owe:
    /// one in another's place may owe less, if it wants less.
    pub(crate) fn may_owe(&self, after: Level, cost: u64, due: Instant) -> bool {
        self.debt == 0 || self.due(after, cost) <= due
    }

    /// Returns when one may go who takes the rest of a place, from where the part before it ends.
    pub(crate) fn due_of_rest(&self, (begin, after): (Level, Level), cost: u64) -> Instant {
        match self.pace {
            Pace::Burst => self.due(after, cost),
            // In the nanosecond in which the part before it ends, so that it ends before those
            // behind it begin. That is within what the bucket holds: it is never all of it.
            Pace::Even => Instant::from_nanos(begin.whole),
        }
    }

    /// Returns how far ahead of now one who waits leaves the level when it goes, without owing.
    #[inline]
    fn ahead(&self, cost: u64) -> Level {
        match self.pace {
            Pace::Burst => self.full,
            Pace::Even => self.span(cost),
        }
    }

    /// Returns the level from which a take that leaves the bucket at `after` counts.
    pub(crate) fn started(&self, after: Level, cost: u64) -> Level {
        self.pulled(after, self.span(cost))
    }

    /// Returns how many permits a call leaves owing at most: it goes when one is there, and pays
    /// the others later, `debt` of them at most.
    fn owed(&self, cost: u64) -> u64 {
        u64::from(self.debt).min(cost.saturating_sub(1))
    }

    /// Returns how those who wait follow one another; nothing if only some go as soon as a whole
    /// nanosecond allows, so that who moves up may round where it did not before.
    pub(crate) fn spacing(&self, cost: u64) -> Option<Spacing> {
        let capacity = u64::from(self.capacity);
        match self.pace {
            _ if self.interval.part == 0 => Some(Spacing::Exact),
            Pace::Even => Some(Spacing::Whole),
            Pace::Burst if capacity == 1 => Some(Spacing::Whole),
            Pace::Burst => (cost < capacity + self.owed(cost)).then_some(Spacing::Exact),
        }
    }

    /// Returns `level` moved by nanoseconds and parts of one, of which there may be many.
    pub(crate) fn moved(&self, level: Level, whole: i64, part: i64) -> Level {
        level.moved(whole, part, self.interval.parts)
    }

    /// Answers for a bucket at `level`: with `cost` taken from it already, or still to be taken.
    pub(crate) fn decision(&self, level: Level, answer: RetryAfter, now: Instant) -> Decision {
        let remaining = self.count(self.limit(now), level.max(Level::at(now)));
        Decision::new(self.capacity, remaining, answer, self.fresh_after(level, now))
    }

    /// Returns when `take` would succeed, if nobody else takes.
    pub(crate) fn retry_after(&self, level: Level, cost: u64, now: Instant) -> RetryAfter {
        if !self.serves(cost) {
            return RetryAfter::Never;
        }
        let after = self.after(level, cost, now);
        let ahead = self.pushed(self.full, self.span(self.owed(cost)));
        let due = self.pulled(after, ahead).ceil();
        RetryAfter::wait(due.saturating_duration_since(now))
    }

    /// Returns what a take that left the bucket at `after` can still give back: nothing once it
    /// has refilled since, whatever others took (then `after` lies behind now).
    pub(crate) fn refund(&self, after: Level, cost: u64, now: Instant) -> Level {
        let left = after.minus(Level::at(now), self.interval.parts);
        left.clamp(Level::ZERO, self.span(cost))
    }

    /// Returns whether all of a take can still be given back.
    pub(crate) fn refunds_all(&self, after: Level, cost: u64, now: Instant) -> bool {
        self.pulled(after, self.span(cost)) >= Level::at(now)
    }

    /// Returns `level` with a refund taken off.
    pub(crate) fn pulled(&self, level: Level, refund: Level) -> Level {
        level.minus(refund, self.interval.parts)
    }

    /// Returns `level` with a span put on.
    pub(crate) fn pushed(&self, level: Level, span: Level) -> Level {
        level.plus(span, self.interval.parts)
    }

    /// Returns the time until a bucket is as new.
    pub(crate) fn fresh_after(&self, level: Level, now: Instant) -> Duration {
        level.ceil().saturating_duration_since(now)
    }

    /// Returns the permits left now, in fractions: `capacity - (level - now) / interval`.
    pub(crate) fn tokens(&self, level: Level, now: Instant) -> f64 {
        (f64::from(self.capacity) - self.backlog(level, now)).max(0.0)
    }

    /// Returns the permits not yet drained, in fractions: `(level - now) / interval`.
    pub(crate) fn backlog(&self, level: Level, now: Instant) -> f64 {
        let (over, under) = self.ratio(level.max(Level::at(now)), Level::at(now));
        over as f64 / under as f64
    }

    /// Returns the backlog in whole permits, rounded up.
    pub(crate) fn queued(&self, level: Level, now: Instant) -> u64 {
        let (over, under) = self.ratio(level.max(Level::at(now)), Level::at(now));
        u64::try_from(over.unsigned_abs().div_ceil(under.unsigned_abs())).unwrap_or(u64::MAX)
    }

    /// Returns how long an empty bucket takes to be full.
    pub(crate) fn fills_in(&self) -> Duration {
        Duration::from_nanos(self.full.ceil().as_nanos().unsigned_abs())
    }

    #[inline]
    fn limit(&self, now: Instant) -> Level {
        Level::at(now).plus(self.full, self.interval.parts)
    }

    #[inline]
    pub(crate) fn span(&self, cost: u64) -> Level {
        if cost == 1 { Level::of(self.interval) } else { Level::times(self.interval, cost) }
    }

    /// Returns the whole permits between two levels, none if they are out of order.
    fn count(&self, later: Level, earlier: Level) -> u32 {
        let (over, under) = self.ratio(later, earlier);
        u32::try_from(over.max(0) / under).unwrap_or(u32::MAX)
    }

    /// Returns `later - earlier` over the interval, both in parts of a nanosecond.
    fn ratio(&self, later: Level, earlier: Level) -> (i128, i128) {
        let parts = self.interval.parts;
        (later.in_parts(parts) - earlier.in_parts(parts), Level::of(self.interval).in_parts(parts))
    }
}
