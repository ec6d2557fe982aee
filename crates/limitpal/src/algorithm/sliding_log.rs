//! Counting in a window that slides, exactly: when each take of the last `per` went.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::saved::{put_count, put_from};
use super::window::{Quantum, Undone, mark, plus, span};
use super::{Algorithm, Bytes, Carry, Limits, Mark, Saved, Window};
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
    entries: VecDeque<Entry>,
    /// What they add up to.
    sum: u64,
}

/// The takes of one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    at: i64,
    /// What all takes up to these add up to, round the end of the numbers: so what some of them do
    /// is a difference, and the one to wait for is found by halves.
    through: u64,
}

impl Log {
    /// Returns what all takes add up to before those that still count.
    fn base(&self) -> u64 {
        self.entries.back().map_or(0, |last| last.through.wrapping_sub(self.sum))
    }

    /// Returns what the takes of some entries at the front add up to.
    fn sum_of(&self, count: usize) -> u64 {
        let last = count.checked_sub(1).and_then(|last| self.entries.get(last));
        last.map_or(0, |last| last.through.wrapping_sub(self.base()))
    }

    /// Returns the first entry with which they add up to so much.
    fn reaching(&self, sum: u64) -> Option<&Entry> {
        let base = self.base();
        let index = self.entries.partition_point(|entry| entry.through.wrapping_sub(base) < sum);
        self.entries.get(index)
    }

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

    /// As `new`, of a window that counts with both of its ends: a nanosecond longer.
    pub fn strict(limit: u32, per: Duration) -> Result<Self, InvalidConfig> {
        Self::new(limit, per.saturating_add(Duration::from_nanos(1)))
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
        let mut over = None;
        while let Some(entry) = state.entries.front().filter(|it| self.end(it.at) <= now.as_nanos())
        {
            over = Some(entry.through);
            state.entries.pop_front();
        }
        if let Some(over) = over {
            state.sum = state.entries.back().map_or(0, |last| last.through.wrapping_sub(over));
        }
    }

    /// Returns what counts at an instant.
    fn count(&self, state: &Log, now: Instant) -> u64 {
        let is_over = |entry: &Entry| self.end(entry.at) <= now.as_nanos();
        state.sum - state.sum_of(state.entries.partition_point(is_over))
    }

    /// Returns when no more than this is left of what counts, from an instant on.
    #[inline]
    fn left_at(&self, state: &Log, room: u64, from: Instant) -> Instant {
        let Some(over) = state.sum.checked_sub(room).filter(|over| *over > 0) else { return from };
        let last = state.reaching(over).or(state.entries.back());
        last.map_or(from, |last| from.max(Instant::from_nanos(self.end(last.at))))
    }

    /// Adds an entry. The ring grows to twice its length at most, and not beyond the limit while
    /// nobody waits.
    #[inline]
    fn push(&self, state: &mut Log, cost: u64, at: Instant) {
        let Log { entries, sum } = state;
        let kept = u64::from(plus(0, cost));
        *sum = sum.saturating_add(kept);
        let at = at.as_nanos();
        let through = match entries.back_mut() {
            Some(last) if last.at == at => {
                last.through = last.through.wrapping_add(kept);
                return;
            }
            Some(last) => last.through.wrapping_add(kept),
            None => kept,
        };
        if entries.len() == entries.capacity() {
            let (len, limit) = (entries.len(), self.quantum.limit as usize);
            entries.reserve_exact(len.clamp(4, limit.saturating_sub(len).max(4)));
        }
        entries.push_back(Entry { at, through });
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

    fn limits(&self) -> Limits {
        self.quantum.limits()
    }

    fn changed(&self, limits: &Limits) -> Result<Self, InvalidConfig> {
        let (limit, per) = self.quantum.changed(limits);
        Self::new(limit, per)
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
        let last = state.entries.back().map(|last| self.end(last.at));
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
        self.left_at(state, u64::from(self.quantum.limit).saturating_sub(cost), now)
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

    fn put(&self, state: &mut Log, cost: u64, at: Instant) -> Mark {
        self.prune(state, at);
        self.push(state, cost, at);
        mark(at)
    }

    fn carried(&self, old: &Self, state: &Log, _carry: Carry, now: Instant) -> Log {
        let mut state = state.clone();
        old.prune(&mut state, now);
        self.prune(&mut state, now);
        state
    }

    fn undo_last(&self, state: &mut Log, cost: u64, now: Instant) {
        self.prune(state, now);
        let mut cost = cost;
        while cost > 0 && !state.entries.is_empty() {
            let len = state.entries.len();
            let there = state.sum_of(len) - state.sum_of(len - 1);
            let undone = cost.min(there);
            if undone == there {
                state.entries.pop_back();
            } else if let Some(last) = state.entries.back_mut() {
                last.through = last.through.wrapping_sub(undone);
            }
            (state.sum, cost) = (state.sum - undone, cost - undone);
        }
    }

    fn undo(&self, state: &mut Log, cost: u64, mark: Mark, _now: Instant) -> Undone {
        let at = mark.after.ceil();
        let Ok(index) = state.entries.binary_search_by_key(&at.as_nanos(), |entry| entry.at) else {
            return Undone::Not;
        };
        let there = state.sum_of(index + 1) - state.sum_of(index);
        let Some(left) = there.checked_sub(cost) else { return Undone::Not };
        if left == 0 {
            state.entries.remove(index);
        }
        for entry in state.entries.range_mut(index..) {
            entry.through = entry.through.wrapping_sub(cost);
        }
        state.sum -= cost;
        Undone::Wholly
    }

    /// Those who went before the last `limit / cost` do not count any more when the last goes.
    fn put_many(&self, state: &mut Log, cost: u64, count: u64, from: Instant) -> Instant {
        let at_once = u64::from(self.quantum.limit) / cost;
        let ahead = count.saturating_sub(at_once)..count;
        let dues: Vec<_> = ahead.map(|ahead| self.turn_behind(state, cost, ahead, from)).collect();
        for due in &dues {
            self.put(state, cost, *due);
        }
        dues.last().copied().unwrap_or(from)
    }

    /// The first `limit / cost` wait for what is there already, all others for those before them.
    fn turn_behind(&self, state: &Log, cost: u64, ahead: u64, from: Instant) -> Instant {
        let limit = u64::from(self.quantum.limit);
        let at_once = limit / cost;
        let room = limit - cost * (ahead % at_once + 1);
        let first = self.left_at(state, room, from);
        Instant::from_nanos(self.quantum.later(first.as_nanos(), ahead / at_once))
    }
}

impl Saved for SlidingLog {
    fn numbers(&self) -> [u64; 4] {
        [self.quantum.limit.into(), self.quantum.per.unsigned_abs(), 0, 0]
    }

    fn save(&self, state: &Log, now: Instant, into: &mut Vec<u8>) {
        let over = |entry: &Entry| self.end(entry.at) <= now.as_nanos();
        let first = state.entries.partition_point(over);
        put_count((state.entries.len() - first) as u32, into);
        for (index, entry) in state.entries.iter().enumerate().skip(first) {
            put_from(now, entry.at, into);
            put_count((state.sum_of(index + 1) - state.sum_of(index)) as u32, into);
        }
    }

    fn load(&self, from: &mut Bytes<'_>, now: Instant) -> Option<Log> {
        const ENTRY: usize = 12;
        let count = from.u32()? as usize;
        let mut rest = Bytes(from.slice(count.checked_mul(ENTRY)?)?);
        let mut log = Log { entries: VecDeque::with_capacity(count), sum: 0 };
        let mut last = -self.quantum.per;
        for _ in 0..count {
            let (since, cost) = (rest.i64()?, rest.u32()?);
            if !(last < since && since <= 0) || cost == 0 {
                return None;
            }
            last = since;
            log.sum += u64::from(cost);
            let at = now.as_nanos().saturating_add(since);
            log.entries.push_back(Entry { at, through: log.sum });
        }
        (count > 0).then_some(log)
    }
}
