//! Counting in a window that slides, from two counts: what went in the present window of the
//! clock, and so much of the one before as the sliding window still covers.

use std::fmt;
use std::time::Duration;

use super::window::{Quantum, mark, minus, plus, span};
use super::{Algorithm, Mark, Window};
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::time::Instant;

/// The settings of a sliding window that is estimated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlidingCount {
    quantum: Quantum,
}

/// One key's present window of the clock, and the one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TwoWindows {
    /// When the present window ends.
    until: i64,
    before: u32,
    count: u32,
}

impl SlidingCount {
    /// Checks the settings.
    pub fn new(limit: u32, per: Duration) -> Result<Self, InvalidConfig> {
        Ok(Self { quantum: Quantum::new(limit, per)? })
    }

    /// Returns how long the window is.
    pub fn per(&self) -> Duration {
        self.quantum.per()
    }

    /// Returns the windows as they are at an instant, not before the present one began.
    #[inline]
    fn rolled(&self, state: &TwoWindows, at: Instant) -> TwoWindows {
        let TwoWindows { until, count, .. } = *state;
        if at.as_nanos() < until {
            return *state;
        }
        let next = until.saturating_add(self.quantum.per);
        let before = if at.as_nanos() < next { count } else { 0 };
        TwoWindows { until: self.quantum.end(at), before, count: 0 }
    }

    /// Returns the permits that are left once the windows are as they are at `at`: the most for
    /// which `before * (until - at) / per + count + permits <= limit`.
    #[inline]
    fn left(&self, rolled: &TwoWindows, at: Instant) -> u32 {
        let TwoWindows { until, before, count } = *rolled;
        let left = self.quantum.limit.saturating_sub(count);
        if before == 0 {
            return left;
        }
        let still = u128::from(until.abs_diff(at.as_nanos()));
        let weighed = (u128::from(before) * still).div_ceil(self.quantum.wide());
        left.saturating_sub(u32::try_from(weighed).unwrap_or(u32::MAX))
    }

    /// Returns when `cost` is first let in before the present window ends, if it is.
    fn turn_within(&self, rolled: &TwoWindows, cost: u64, from: Instant) -> Option<Instant> {
        let TwoWindows { until, before, count } = *rolled;
        let room = u64::from(self.quantum.limit).checked_sub(u64::from(count) + cost)?;
        if before == 0 {
            return Some(from);
        }
        // before * (until - at) <= room * per
        let still = u128::from(room) * self.quantum.wide() / u128::from(before);
        let still = i64::try_from(still).unwrap_or(i64::MAX);
        let at = Instant::from_nanos(until.saturating_sub(still)).max(from);
        (at.as_nanos() < until).then_some(at)
    }
}

impl Algorithm for SlidingCount {
    type State = TwoWindows;

    fn name(&self) -> &'static str {
        "SlidingWindowCounter"
    }

    fn show(&self, into: &mut fmt::DebugStruct<'_, '_>) {
        into.field("limit", &self.quantum.limit).field("per", &self.per());
    }

    fn capacity(&self) -> u32 {
        self.quantum.limit
    }

    /// What went at the end of a window stops counting evenly over the next: as a bucket refills.
    fn bound(&self, window: Duration) -> u64 {
        let grown = u128::from(self.quantum.limit) * window.as_nanos() / self.quantum.wide();
        self.quantum.times(1).saturating_add(u64::try_from(grown).unwrap_or(u64::MAX))
    }

    fn fresh(&self) -> TwoWindows {
        TwoWindows { until: i64::MIN, before: 0, count: 0 }
    }

    fn fresh_at(&self, state: &TwoWindows) -> Instant {
        let TwoWindows { until, before, count } = *state;
        Instant::from_nanos(match (before, count) {
            (0, 0) => i64::MIN,
            (_, 0) => until,
            _ => until.saturating_add(self.quantum.per),
        })
    }

    #[inline]
    fn take(&self, state: &mut TwoWindows, cost: u64, now: Instant) -> Option<Mark> {
        let rolled = self.rolled(state, now);
        if cost > u64::from(self.left(&rolled, now)) {
            return None;
        }
        *state = TwoWindows { count: plus(rolled.count, cost), ..rolled };
        Some(mark(now))
    }

    fn turn(&self, state: &TwoWindows, cost: u64, now: Instant) -> Instant {
        let mut from = now;
        // In the window after the next nothing of today counts.
        for _ in 0..2 {
            let rolled = self.rolled(state, from);
            if let Some(at) = self.turn_within(&rolled, cost, from) {
                return at;
            }
            from = Instant::from_nanos(rolled.until);
        }
        from
    }

    fn retry_after(&self, state: &TwoWindows, cost: u64, now: Instant) -> RetryAfter {
        if !self.serves(cost) {
            return RetryAfter::Never;
        }
        RetryAfter::wait(span(now, self.turn(state, cost, now)))
    }

    fn decision(&self, state: &TwoWindows, answer: RetryAfter, now: Instant) -> Decision {
        let remaining = self.left(&self.rolled(state, now), now);
        Decision::new(self.quantum.limit, remaining, answer, span(now, self.fresh_at(state)))
    }
}

impl Window for SlidingCount {
    fn held(&self) -> TwoWindows {
        TwoWindows { until: i64::MAX, before: u32::MAX, count: u32::MAX }
    }

    fn put(&self, state: &mut TwoWindows, cost: u64, at: Instant) {
        let rolled = self.rolled(state, at);
        *state = TwoWindows { count: plus(rolled.count, cost), ..rolled };
    }

    fn undo(&self, state: &mut TwoWindows, cost: u64, at: Instant) -> bool {
        let TwoWindows { until, before, count } = *state;
        let old = self.quantum.end(at);
        let undone = if old == until {
            minus(count, cost).map(|count| TwoWindows { count, ..*state })
        } else if old == until.saturating_sub(self.quantum.per) {
            minus(before, cost).map(|before| TwoWindows { before, ..*state })
        } else {
            None
        };
        *state = undone.unwrap_or(*state);
        undone.is_some()
    }
}
