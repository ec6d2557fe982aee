//! Counting in a window that slides, exactly: when each take of the last `per` went.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::window::{Quantum, mark, minus, plus, span};
use super::{Algorithm, Mark, Window};
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::time::Instant;

/// The settings of a sliding window that is exact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlidingLog {
    quantum: Quantum,
}

/// One key's takes, the oldest first; those of one instant are one entry. Without those who wait
/// they are at most `limit`, of 16 bytes each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    entries: VecDeque<(i64, u32)>,
    /// What they add up to.
    sum: u64,
}

impl Log {
    #[cfg(all(test, not(loom)))]
    pub(super) fn capacity(&self) -> usize {
        self.entries.capacity()
    }
}

/// What no limit has room for.
const HELD: u64 = u64::MAX;

impl SlidingLog {
    /// Checks the settings.
    pub fn new(limit: u32, per: Duration) -> Result<Self, InvalidConfig> {
        Ok(Self { quantum: Quantum::new(limit, per)? })
    }

    /// Returns how long the window is.
    pub fn per(&self) -> Duration {
        self.quantum.per()
    }

    /// Returns when a take that went at `at` counts no more.
    #[inline]
    fn end(&self, at: i64) -> i64 {
        at.saturating_add(self.quantum.per)
    }

    /// Forgets what counts no more.
    #[inline]
    fn prune(&self, state: &mut Log, now: Instant) {
        while let Some((at, cost)) = state.entries.front().copied() {
            if self.end(at) > now.as_nanos() {
                return;
            }
            state.entries.pop_front();
            state.sum -= u64::from(cost);
        }
    }

    /// Returns what counts at an instant.
    fn count(&self, state: &Log, now: Instant) -> u64 {
        let over = state.entries.iter().take_while(|(at, _)| self.end(*at) <= now.as_nanos());
        state.sum - over.map(|(_, cost)| u64::from(*cost)).sum::<u64>()
    }

    /// Adds an entry. The ring grows to twice its length at most, and not beyond the limit while
    /// nobody waits.
    #[inline]
    fn push(&self, state: &mut Log, cost: u64, at: Instant) {
        let Log { entries, sum } = state;
        let kept = plus(0, cost);
        *sum = sum.saturating_add(kept.into());
        if let Some((_, last)) = entries.back_mut().filter(|(last, _)| *last == at.as_nanos()) {
            *last = plus(*last, cost);
            return;
        }
        if entries.len() == entries.capacity() {
            let (len, limit) = (entries.len(), self.quantum.limit as usize);
            entries.reserve_exact(len.clamp(4, limit.saturating_sub(len).max(4)));
        }
        entries.push_back((at.as_nanos(), kept));
    }
}

impl Algorithm for SlidingLog {
    type State = Log;

    fn name(&self) -> &'static str {
        "SlidingWindowLog"
    }

    fn show(&self, into: &mut fmt::DebugStruct<'_, '_>) {
        into.field("limit", &self.quantum.limit).field("per", &self.per());
    }

    fn capacity(&self) -> u32 {
        self.quantum.limit
    }

    /// Both ends count: of a time that is exactly as long as the window, each may have its own.
    fn bound(&self, window: Duration) -> u64 {
        self.quantum.times(1 + window.as_nanos() / self.quantum.wide())
    }

    fn fresh(&self) -> Log {
        Log { entries: VecDeque::new(), sum: 0 }
    }

    fn fresh_at(&self, state: &Log) -> Instant {
        let last = state.entries.back().map(|(at, _)| self.end(*at));
        Instant::from_nanos(last.unwrap_or(if state.sum == HELD { i64::MAX } else { i64::MIN }))
    }

    #[inline]
    fn take(&self, state: &mut Log, cost: u64, now: Instant) -> Option<Mark> {
        self.prune(state, now);
        if state.sum.saturating_add(cost) > u64::from(self.quantum.limit) {
            return None;
        }
        self.push(state, cost, now);
        Some(mark(now))
    }

    fn turn(&self, state: &Log, cost: u64, now: Instant) -> Instant {
        let (mut sum, mut from) = (state.sum, now);
        for (at, old) in &state.entries {
            if sum.saturating_add(cost) <= u64::from(self.quantum.limit) {
                break;
            }
            sum -= u64::from(*old);
            from = from.max(Instant::from_nanos(self.end(*at)));
        }
        from
    }

    fn retry_after(&self, state: &Log, cost: u64, now: Instant) -> RetryAfter {
        if !self.serves(cost) {
            return RetryAfter::Never;
        }
        RetryAfter::wait(span(now, self.turn(state, cost, now)))
    }

    fn decision(&self, state: &Log, answer: RetryAfter, now: Instant) -> Decision {
        let limit = self.quantum.limit;
        let left = u64::from(limit).saturating_sub(self.count(state, now));
        Decision::new(limit, left as u32, answer, span(now, self.fresh_at(state)))
    }
}

impl Window for SlidingLog {
    fn held(&self) -> Log {
        Log { entries: VecDeque::new(), sum: HELD }
    }

    fn put(&self, state: &mut Log, cost: u64, at: Instant) {
        self.prune(state, at);
        self.push(state, cost, at);
    }

    fn undo(&self, state: &mut Log, cost: u64, at: Instant) -> bool {
        let Ok(index) = state.entries.binary_search_by_key(&at.as_nanos(), |(at, _)| *at) else {
            return false;
        };
        let Some(left) = minus(state.entries[index].1, cost) else { return false };
        state.entries[index].1 = left;
        state.sum -= cost;
        if left == 0 {
            state.entries.remove(index);
        }
        true
    }
}
