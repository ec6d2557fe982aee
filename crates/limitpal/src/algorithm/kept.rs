//! A bucket as the store keeps it: its level in twelve bytes.

use std::fmt;
use std::time::Duration;

use super::{Algorithm, Bucket, Level, Mark};
use crate::decision::Decision;
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
    /// The level of a bucket that was never used.
    pub(crate) const FRESH: Self = Self::of(Level::FRESH);

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
    }

    #[inline]
    fn capacity(&self) -> u32 {
        self.capacity()
    }

    fn bound(&self, window: Duration) -> u64 {
        self.bound(window)
    }

    #[inline]
    fn fresh(&self) -> KeptLevel {
        KeptLevel::FRESH
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
