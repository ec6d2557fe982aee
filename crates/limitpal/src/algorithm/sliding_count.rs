//! Counting in a window that slides, from two counts: what went in the present window of the
//! clock, and so much of the one before as the sliding window still covers.

use std::fmt;
use std::time::Duration;

use super::saved::put_count;
use super::window::{Quantum, Undone, mark, minus, plus, span};
use super::{Algorithm, Bytes, Carry, Limits, Mark, Saved, Window};
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
        self.quantum.limit.saturating_sub(self.counted(rolled, at))
    }

    /// Returns what counts at `at`, rounded up.
    #[inline]
    fn counted(&self, rolled: &TwoWindows, at: Instant) -> u32 {
        let TwoWindows { until, before, count } = *rolled;
        if before == 0 {
            return count;
        }
        let still = u128::from(until.abs_diff(at.as_nanos()));
        let weighed = (u128::from(before) * still).div_ceil(self.quantum.wide());
        plus(count, u64::try_from(weighed).unwrap_or(u64::MAX))
    }

    /// Returns how many follow one another, each at this cost, before the present window ends.
    fn fits(&self, rolled: &TwoWindows, cost: u64) -> u64 {
        let TwoWindows { before, count, .. } = *rolled;
        // What went in the window before takes this much away until the last nanosecond.
        let taken = u128::from(before).div_ceil(self.quantum.wide()) as u64;
        u64::from(self.quantum.limit).saturating_sub(u64::from(count) + taken) / cost
    }

    /// Returns the windows at which one finds them who stands behind so many of its own cost, how
    /// many of these have gone in the present one, and from when on it looks.
    ///
    /// How many go in a window hangs on how many went in the one before, and the more did, the
    /// fewer go; so very soon every second window is like the first.
    fn behind(
        &self,
        state: &TwoWindows,
        cost: u64,
        mut ahead: u64,
        from: Instant,
    ) -> (TwoWindows, u64, Instant) {
        let (mut here, mut from) = (self.rolled(state, from), from);
        // How the window before this one began, and how many fitted into it.
        let mut previous = None;
        loop {
            let fits = self.fits(&here, cost);
            if ahead < fits {
                return (here, ahead, from);
            }
            ahead -= fits;
            let before = plus(here.count, cost * fits);
            let mut windows = 0;
            if let Some((_, others)) = previous.filter(|(old, _)| *old == before) {
                // The next two are like these two, and so on.
                let both = fits + others;
                windows = 2 * (ahead / both);
                ahead %= both;
            }
            previous = (here.count == 0).then_some((here.before, fits));
            let start = self.quantum.later(here.until, windows);
            from = Instant::from_nanos(start);
            here = TwoWindows { until: self.quantum.later(start, 1), before, count: 0 };
        }
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

    fn put(&self, state: &mut TwoWindows, cost: u64, at: Instant) -> Mark {
        let rolled = self.rolled(state, at);
        *state = TwoWindows { count: plus(rolled.count, cost), ..rolled };
        mark(at)
    }

    /// With another length, what counts now counts as if it had gone now.
    fn carried(&self, old: &Self, state: &TwoWindows, _carry: Carry, now: Instant) -> TwoWindows {
        let rolled = old.rolled(state, now);
        if self.quantum.per == old.quantum.per {
            return rolled;
        }
        let count = old.counted(&rolled, now);
        let until = self.quantum.end(now);
        if count == 0 { self.fresh() } else { TwoWindows { until, before: 0, count } }
    }

    fn undo_last(&self, state: &mut TwoWindows, cost: u64, now: Instant) {
        let TwoWindows { until, before, count } = self.rolled(state, now);
        let here = cost.min(count.into());
        let earlier = (cost - here).min(before.into());
        let count = minus(count, here).unwrap_or(0);
        *state = TwoWindows { until, before: minus(before, earlier).unwrap_or(0), count };
    }

    fn undo(&self, state: &mut TwoWindows, cost: u64, mark: Mark, _now: Instant) -> Undone {
        let TwoWindows { until, before, count } = *state;
        let old = self.quantum.end(mark.after.ceil());
        let undone = if old == until {
            minus(count, cost).map(|count| TwoWindows { count, ..*state })
        } else if old == until.saturating_sub(self.quantum.per) {
            minus(before, cost).map(|before| TwoWindows { before, ..*state })
        } else {
            None
        };
        *state = undone.unwrap_or(*state);
        Undone::wholly(undone.is_some())
    }

    fn put_many(&self, state: &mut TwoWindows, cost: u64, count: u64, from: Instant) -> Instant {
        let Some(ahead) = count.checked_sub(1) else { return from };
        let (here, with_it, from) = self.behind(state, cost, ahead, from);
        *state = TwoWindows { count: plus(here.count, cost * with_it), ..here };
        let last = self.turn_within(state, cost, from).unwrap_or(from);
        state.count = plus(state.count, cost);
        last
    }

    fn turn_behind(&self, state: &TwoWindows, cost: u64, ahead: u64, from: Instant) -> Instant {
        let mut state = *state;
        self.put_many(&mut state, cost, ahead + 1, from)
    }
}

impl Saved for SlidingCount {
    fn numbers(&self) -> [u64; 4] {
        [self.quantum.limit.into(), self.quantum.per.unsigned_abs(), 0, 0]
    }

    fn save(&self, state: &TwoWindows, now: Instant, into: &mut Vec<u8>) {
        let TwoWindows { until, before, count } = self.rolled(state, now);
        self.quantum.save_end(until, now, into);
        put_count(before, into);
        put_count(count, into);
    }

    /// The present window ends at the first boundary of the new clock that is not too early. Where
    /// that makes it longer than a window is, what still counted of the one before counts in it.
    fn load(&self, from: &mut Bytes<'_>, now: Instant) -> Option<TwoWindows> {
        let (end, before, count) = (self.quantum.load_end(from, now)?, from.u32()?, from.u32()?);
        let until = self.quantum.rounded_up(end);
        if until <= now.as_nanos().saturating_add(self.quantum.per) {
            return Some(TwoWindows { until, before, count });
        }
        let still = u128::from(before) * u128::from(end.abs_diff(now.as_nanos()));
        let weighed = still.div_ceil(self.quantum.wide());
        let count = count.saturating_add(u32::try_from(weighed).unwrap_or(u32::MAX));
        Some(TwoWindows { until, before: 0, count })
    }
}
