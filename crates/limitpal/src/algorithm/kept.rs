//! A bucket as the store keeps it: its level in twelve bytes.

use std::fmt;
use std::time::Duration;

use super::saved::{put_count, put_from};
use super::{Algorithm, Bucket, Bytes, Level, Limits, Mark, Saved};
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::rate::Interval;
use crate::retry_after::RetryAfter;
use crate::time::Instant;

/// A level without the gap that a whole and a part would leave behind them.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub struct KeptLevel {
    whole: i64,
    part: u32,
}

impl KeptLevel {
    #[inline]
    pub(crate) const fn of(level: Level) -> Self {
        let Level { whole, part } = level;
        Self { whole, part }
    }

    #[inline]
    pub(crate) const fn level(self) -> Level {
        Level { whole: self.whole, part: self.part }
    }
}

impl Algorithm for Bucket {
    type State = KeptLevel;

    fn name(&self) -> &'static str {
        self.name()
    }

    fn show(&self, into: &mut fmt::DebugStruct<'_, '_>) {
        into.field("capacity", &self.capacity()).field(self.rate_name(), &self.rate());
        if self.initial() < self.capacity() {
            into.field("initial", &self.initial());
        }
        if self.debt() > 0 {
            into.field("debt", &self.debt());
        }
    }

    fn limits(&self) -> Limits {
        let (most, rate) = (Some(self.capacity()), Some(self.rate()));
        Limits { most, rate, per: None }
    }

    fn changed(&self, limits: &Limits) -> Result<Self, InvalidConfig> {
        let capacity = limits.most.unwrap_or(self.capacity());
        let rate = limits.rate.unwrap_or(self.rate());
        Ok(Self::new(capacity, rate, self.pace())?.with_debt(self.debt())?.started_as(self))
    }

    #[inline]
    fn capacity(&self) -> u32 {
        self.capacity()
    }

    fn bound(&self, window: Duration) -> u64 {
        self.bound(window)
    }

    #[inline]
    fn serves(&self, cost: u64) -> bool {
        self.serves(cost)
    }

    #[inline]
    fn fresh(&self) -> KeptLevel {
        KeptLevel::of(self.start())
    }

    #[inline]
    fn fresh_at(&self, state: &KeptLevel) -> Instant {
        state.level().ceil()
    }

    #[inline(always)] // it is small, and what it returns is seldom looked at
    fn take(&self, state: &mut KeptLevel, cost: u64, now: Instant) -> Option<Mark> {
        let before = state.level();
        let after = self.take(before, cost, now)?;
        *state = KeptLevel::of(after);
        Some(Mark { before: Some(before), after })
    }

    fn take_owing(&self, state: &mut KeptLevel, cost: u64, now: Instant) -> Option<Mark> {
        if self.debt() == 0 {
            return None;
        }
        let before = state.level();
        let after = self.take_owing(before, cost, now)?;
        *state = KeptLevel::of(after);
        Some(Mark { before: Some(before), after })
    }

    #[inline(always)] // as `take`
    fn take_in_turn(&self, state: &mut KeptLevel, cost: u64, now: Instant) -> Option<Mark> {
        let before = state.level();
        let after = self.take_in_turn(before, cost, now)?;
        *state = KeptLevel::of(after);
        Some(Mark { before: Some(before), after })
    }

    #[inline]
    fn turn(&self, state: &KeptLevel, cost: u64, now: Instant) -> Instant {
        self.due(self.after(state.level(), cost, now), cost)
    }

    fn retry_after(&self, state: &KeptLevel, cost: u64, now: Instant) -> RetryAfter {
        self.retry_after(state.level(), cost, now)
    }

    fn decision(&self, state: &KeptLevel, answer: RetryAfter, now: Instant) -> Decision {
        self.decision(state.level(), answer, now)
    }
}

/// The furthest ahead that a level may lie: as far as those who wait may have pushed it.
pub(super) const FURTHEST: i64 = i64::MAX / 2;

impl Saved for Bucket {
    fn numbers(&self) -> [u64; 4] {
        let Interval { whole, part, parts } = self.interval;
        let numbers = u64::from(self.capacity) | u64::from(self.debt) << 32;
        [numbers, whole.unsigned_abs(), part.into(), parts.into()]
    }

    fn save(&self, state: &KeptLevel, now: Instant, into: &mut Vec<u8>) {
        let Level { whole, part } = state.level();
        put_from(now, whole, into);
        put_count(part, into);
    }

    fn load(&self, from: &mut Bytes<'_>, now: Instant) -> Option<KeptLevel> {
        let (ahead, part) = (from.i64()?, from.u32()?);
        let is_one = (0..=FURTHEST).contains(&ahead) && part < self.interval.parts;
        let whole = now.as_nanos().saturating_add(ahead);
        is_one.then(|| KeptLevel::of(Level { whole, part }))
    }
}
