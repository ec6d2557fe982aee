//! Counting in windows that follow one another: at most `limit` in each.

use std::fmt;
use std::time::Duration;

use super::saved::put_count;
use super::window::{Quantum, Undone, mark, minus, plus, span};
use super::{Algorithm, Bytes, Carry, Limits, Mark, Saved, Window};
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::time::Instant;

/// Where windows start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Align {
    /// At multiples of their length on the clock, the same for all keys.
    #[default]
    Clock,
    /// With the first use of a key since its last window ended.
    FirstUse,
}

/// The settings of fixed windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FixedCount {
    quantum: Quantum,
    align: Align,
    /// When the first window of the clock ends: later than it would after a restart.
    first: i64,
}

/// One key's window, and what has gone in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, packed(4))]
pub struct OneWindow {
    /// When it ends; nothing counts any more from then on.
    until: i64,
    count: u32,
}

impl FixedCount {
    /// Checks the settings.
    pub fn new(limit: u32, per: Duration, align: Align) -> Result<Self, InvalidConfig> {
        Ok(Self { quantum: Quantum::new(limit, per)?, align, first: i64::MIN })
    }

    /// Returns how long a window is.
    pub fn per(&self) -> Duration {
        self.quantum.per()
    }

    /// Returns where windows start.
    pub fn align(&self) -> Align {
        self.align
    }

    /// Returns when the window ends that starts or lies here.
    fn end(&self, at: Instant) -> i64 {
        match self.align {
            Align::Clock => self.quantum.end(at).max(self.first),
            Align::FirstUse => at.as_nanos().saturating_add(self.quantum.per),
        }
    }

    /// Returns when the window ends in which a take goes at `at`.
    fn end_of(&self, state: &OneWindow, at: Instant) -> i64 {
        if Self::count(state, at) == 0 { self.end(at) } else { state.until }
    }

    /// Returns when the first of those goes who follow one another, each at this cost, and how many
    /// fit into the window with it. All later windows hold as many as one is wide.
    fn first_of(&self, state: &OneWindow, cost: u64, from: Instant) -> (Instant, u64) {
        let first = self.turn(state, cost, from);
        (first, u64::from(self.quantum.limit - Self::count(state, first)) / cost)
    }

    /// Returns what counts at an instant.
    #[inline]
    fn count(state: &OneWindow, at: Instant) -> u32 {
        if at.as_nanos() < state.until { state.count } else { 0 }
    }
}

impl Algorithm for FixedCount {
    type State = OneWindow;

    fn name(&self) -> &'static str {
        "FixedWindow"
    }

    fn show(&self, into: &mut fmt::DebugStruct<'_, '_>) {
        into.field("limit", &self.quantum.limit).field("per", &self.per());
        into.field("align", &self.align);
    }

    fn limits(&self) -> Limits {
        self.quantum.limits()
    }

    fn changed(&self, limits: &Limits) -> Result<Self, InvalidConfig> {
        let (limit, per) = self.quantum.changed(limits);
        let changed = Self::new(limit, per, self.align)?;
        let first = if per == self.per() { self.first } else { i64::MIN };
        Ok(Self { first, ..changed })
    }

    fn capacity(&self) -> u32 {
        self.quantum.limit
    }

    /// As many windows as a time of this length can touch, from the last nanosecond of one on.
    fn bound(&self, window: Duration) -> u64 {
        let per = self.quantum.wide();
        self.quantum.times(1 + window.as_nanos().div_ceil(per))
    }

    fn fresh(&self) -> OneWindow {
        OneWindow { until: i64::MIN, count: 0 }
    }

    fn fresh_at(&self, state: &OneWindow) -> Instant {
        Instant::from_nanos(state.until)
    }

    #[inline]
    fn take(&self, state: &mut OneWindow, cost: u64, now: Instant) -> Option<Mark> {
        let count = u64::from(Self::count(state, now));
        if count.saturating_add(cost) > u64::from(self.quantum.limit) {
            return None;
        }
        Some(self.put(state, cost, now))
    }

    fn turn(&self, state: &OneWindow, cost: u64, now: Instant) -> Instant {
        let count = u64::from(Self::count(state, now));
        let is_now = count.saturating_add(cost) <= u64::from(self.quantum.limit);
        if is_now { now } else { Instant::from_nanos(state.until) }
    }

    fn retry_after(&self, state: &OneWindow, cost: u64, now: Instant) -> RetryAfter {
        if !self.serves(cost) {
            return RetryAfter::Never;
        }
        RetryAfter::wait(span(now, self.turn(state, cost, now)))
    }

    fn decision(&self, state: &OneWindow, answer: RetryAfter, now: Instant) -> Decision {
        let limit = self.quantum.limit;
        let remaining = limit.saturating_sub(Self::count(state, now));
        Decision::new(limit, remaining, answer, span(now, self.fresh_at(state)))
    }
}

impl Window for FixedCount {
    fn held(&self) -> OneWindow {
        OneWindow { until: i64::MAX, count: u32::MAX }
    }

    #[inline]
    fn put(&self, state: &mut OneWindow, cost: u64, at: Instant) -> Mark {
        let count = Self::count(state, at);
        if count == 0 {
            state.until = self.end(at);
        }
        state.count = plus(count, cost);
        mark(at)
    }

    /// Windows of the clock count again in the window of now; those that begin with a use keep
    /// their beginning.
    fn carried(&self, old: &Self, state: &OneWindow, _carry: Carry, now: Instant) -> OneWindow {
        let count = Self::count(state, now);
        if count == 0 {
            return self.fresh();
        }
        let until = match (self.align, self.quantum.per == old.quantum.per) {
            (_, true) => state.until,
            (Align::Clock, false) => self.end(now),
            (Align::FirstUse, false) => {
                state.until.saturating_sub(old.quantum.per).saturating_add(self.quantum.per)
            }
        };
        OneWindow { until, count }
    }

    fn undo_last(&self, state: &mut OneWindow, cost: u64, now: Instant) {
        let count = Self::count(state, now);
        let left = minus(count, cost.min(count.into())).unwrap_or(0);
        *state = if left == 0 { self.fresh() } else { OneWindow { count: left, ..*state } };
    }

    fn undo(&self, state: &mut OneWindow, cost: u64, mark: Mark, _now: Instant) -> Undone {
        let at = mark.after.ceil();
        let start = state.until.saturating_sub(self.quantum.per);
        let is_here = (start..state.until).contains(&at.as_nanos());
        let Some(count) = minus(state.count, cost).filter(|_| is_here) else { return Undone::Not };
        if count == 0 {
            *state = self.fresh();
            return Undone::Wholly;
        }
        // Without the first take the window would have started with another.
        if self.align == Align::FirstUse && at.as_nanos() == start {
            return Undone::Not;
        }
        state.count = count;
        Undone::Wholly
    }

    /// A window that would have begun with one who leaves begins later, and so do those after it.
    fn leaving_delays(&self) -> bool {
        self.align == Align::FirstUse
    }

    fn put_many(&self, state: &mut OneWindow, cost: u64, count: u64, from: Instant) -> Instant {
        let Some(ahead) = count.checked_sub(1) else { return from };
        let last = self.turn_behind(state, cost, ahead, from);
        let (_, room) = self.first_of(state, cost, from);
        let beyond = ahead.checked_sub(room);
        let with_it = match beyond {
            None => ahead,
            Some(beyond) => {
                *state = self.fresh();
                beyond % (u64::from(self.quantum.limit) / cost)
            }
        };
        self.put(state, cost * (with_it + 1), last);
        last
    }

    fn turn_behind(&self, state: &OneWindow, cost: u64, ahead: u64, from: Instant) -> Instant {
        let (first, room) = self.first_of(state, cost, from);
        let Some(beyond) = ahead.checked_sub(room) else { return first };
        let each = u64::from(self.quantum.limit) / cost;
        Instant::from_nanos(self.quantum.later(self.end_of(state, first), beyond / each))
    }
}

impl Saved for FixedCount {
    fn numbers(&self) -> [u64; 4] {
        [self.quantum.limit.into(), self.quantum.per.unsigned_abs(), self.align as u64, 0]
    }

    fn save(&self, state: &OneWindow, now: Instant, into: &mut Vec<u8>) {
        self.quantum.save_end(state.until, now, into);
        put_count(state.count, into);
    }

    /// A window of the clock ends at the first boundary of the new one that is not too early.
    fn load(&self, from: &mut Bytes<'_>, now: Instant) -> Option<OneWindow> {
        let (until, count) = (self.quantum.load_end(from, now)?, from.u32()?);
        let until = match self.align {
            Align::Clock => self.quantum.rounded_up(until),
            Align::FirstUse => until,
        };
        Some(OneWindow { until, count })
    }

    /// The old window of a key of which nothing was written may have ended just before, so the
    /// first one of the new clock ends where it is no shorter than a window.
    fn restored(&self, now: Instant) -> Option<(Self, Instant)> {
        let first = self.quantum.rounded_up(now.as_nanos().saturating_add(self.quantum.per));
        let restored = (Self { first, ..*self }, Instant::from_nanos(first));
        (self.align == Align::Clock).then_some(restored)
    }
}
