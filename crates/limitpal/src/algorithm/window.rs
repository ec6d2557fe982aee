//! Counting by windows of time: what fixed and sliding windows have in common.

#[cfg(all(test, not(loom)))]
mod tests;

use std::time::Duration;

use super::saved::put_from;
use super::{Bytes, Carry, Level, Limits, Mark, Saved};
use crate::config::{self, InvalidConfig};
use crate::time::{Instant, nanos};

/// An algorithm that counts takes by when they went, so that those who wait are not in its state.
///
/// What it is asked about a state is asked at the time of its last take or later.
pub trait Window: Saved<State: Clone> {
    /// Returns a state that admits nothing ever: that of a key for which somebody waits.
    fn held(&self) -> Self::State;

    /// Counts a take that goes at `at`, whether or not it may.
    fn put(&self, state: &mut Self::State, cost: u64, at: Instant) -> Mark;

    /// Returns a state of the same with other limits as it is of these: what counts goes on
    /// counting, never on the generous side.
    fn carried(&self, old: &Self, state: &Self::State, carry: Carry, now: Instant) -> Self::State;

    /// Takes so much out of the count again, the latest first, as far as it still counts.
    fn undo_last(&self, state: &mut Self::State, cost: u64, now: Instant);

    /// Takes a take out of the count again, if it still counts and all is then as if it had never
    /// been.
    fn undo(&self, state: &mut Self::State, cost: u64, mark: Mark, now: Instant) -> Undone;

    /// Returns whether those who wait may have to wait longer when somebody leaves ahead of them.
    fn leaving_delays(&self) -> bool {
        false
    }

    /// Counts so many takes of one cost, each as soon as it may go and not before `from` or the one
    /// ahead; returns when the last of them goes.
    fn put_many(&self, state: &mut Self::State, cost: u64, count: u64, from: Instant) -> Instant {
        (0..count).fold(from, |from, _| {
            let due = self.turn(state, cost, from);
            self.put(state, cost, due);
            due
        })
    }

    /// Returns when one goes who stands behind so many of its own cost, counted as `put_many` does.
    fn turn_behind(&self, state: &Self::State, cost: u64, ahead: u64, from: Instant) -> Instant {
        let mut state = state.clone();
        let last = self.put_many(&mut state, cost, ahead, from);
        self.turn(&state, cost, last)
    }
}

/// What became of a take that was to be undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undone {
    /// It stays, and nothing has changed.
    Not,
    /// All is as if it had never been.
    Wholly,
    /// It is undone, and takes that came after it no longer lie where they were told.
    Amid,
}

impl Undone {
    /// Says it of a take that either is in the count or is not.
    pub(super) fn wholly(undone: bool) -> Self {
        if undone { Self::Wholly } else { Self::Not }
    }
}

/// Returns what a take that goes at `at` can be given back by.
pub(crate) fn mark(at: Instant) -> Mark {
    Mark { before: None, after: Level::at(at) }
}

/// So many permits in so long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Quantum {
    pub(super) limit: u32,
    /// In nanoseconds, at least one.
    pub(super) per: i64,
}

impl Quantum {
    /// Checks the numbers.
    pub(super) fn new(limit: u32, per: Duration) -> Result<Self, InvalidConfig> {
        if limit == 0 {
            let advice = "give a whole number from 1 to 4294967295";
            return Err(InvalidConfig::new("limit", limit, advice));
        }
        config::positive("per", per)?;
        Ok(Self { limit, per: nanos(per) })
    }

    pub(super) fn limits(self) -> Limits {
        Limits { most: Some(self.limit), rate: None, per: Some(self.per()) }
    }

    /// Returns a limit and a length, of which some may be others.
    pub(super) fn changed(self, limits: &Limits) -> (u32, Duration) {
        (limits.most.unwrap_or(self.limit), limits.per.unwrap_or(self.per()))
    }

    pub(super) fn per(self) -> Duration {
        Duration::from_nanos(self.per.unsigned_abs())
    }

    /// Returns so many times the limit, in whole permits.
    pub(super) fn times(self, count: u128) -> u64 {
        u64::try_from(u128::from(self.limit).saturating_mul(count)).unwrap_or(u64::MAX)
    }

    /// Returns the length in nanoseconds.
    pub(super) fn wide(self) -> u128 {
        u128::from(self.per.unsigned_abs())
    }

    /// Returns the instant that lies so many windows after another.
    pub(super) fn later(self, at: i64, windows: u64) -> i64 {
        let far = i128::from(self.per).saturating_mul(windows.into());
        i64::try_from(far.saturating_add(at.into())).unwrap_or(i64::MAX)
    }

    /// Returns when the window ends that an instant lies in, where windows start at multiples of
    /// their length.
    #[inline]
    pub(super) fn end(self, at: Instant) -> i64 {
        let at = at.as_nanos();
        at.saturating_sub(at.rem_euclid(self.per)).saturating_add(self.per)
    }

    /// Returns the first boundary of windows that is not before an instant.
    pub(super) fn rounded_up(self, at: i64) -> i64 {
        self.end(Instant::from_nanos(at.saturating_sub(1)))
    }

    /// Writes how long it is until a window ends that has begun. One that was read from elsewhere
    /// may be longer than a window is; what it counts would have ended after one.
    pub(super) fn save_end(self, until: i64, now: Instant, into: &mut Vec<u8>) {
        put_from(now, until.min(now.as_nanos().saturating_add(self.per)), into);
    }

    /// Reads when a window ends that has begun.
    pub(super) fn load_end(self, from: &mut Bytes<'_>, now: Instant) -> Option<i64> {
        let left = from.i64().filter(|left| (1..=self.per).contains(left))?;
        Some(now.as_nanos().saturating_add(left))
    }
}

/// Returns a count with a cost put on.
pub(super) fn plus(count: u32, cost: u64) -> u32 {
    count.saturating_add(u32::try_from(cost).unwrap_or(u32::MAX))
}

/// Returns a count with a cost taken off, if it is in there.
pub(super) fn minus(count: u32, cost: u64) -> Option<u32> {
    count.checked_sub(u32::try_from(cost).ok()?)
}

/// Returns the time from one instant, in nanoseconds, to another.
pub(super) fn span(from: Instant, to: Instant) -> Duration {
    to.saturating_duration_since(from)
}
