//! A bucket whose rate changes: what it has earned so far, and up to where that is taken.
//!
//! A permit has so many parts that whole rates a second are whole parts a nanosecond. Whatever the
//! rate was, what is taken is compared with what was earned: so a change of the rate changes
//! neither, and rounds nothing.

use crate::algorithm::{Bytes, Carry};
use crate::time::Instant;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// A permit in parts.
const PERMIT: i128 = NANOS_PER_SECOND << 40;
/// How much can be taken before it is earned, as those who wait may have it: far from overflow.
const MOST_BEHIND: i128 = i128::MAX / 4;
/// Up to where nobody can have earned.
const HELD: i128 = i128::MAX;

/// Returns the parts of a permit that come each nanosecond, never on the generous side.
pub(super) fn parts_per_nano(rate: f64) -> u64 {
    // At most 1e6 * 2^40, which is below 2^60; from 1e-9 on it is above 1000.
    (rate * (1_u64 << 40) as f64) as u64
}

/// What was earned and taken, in parts of a permit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Flow {
    /// Since when the rate has been what it is, and what had been earned by then.
    since: Instant,
    earned: i128,
    step: u64,
    /// Up to where what was earned, and what will be, is taken.
    taken: i128,
    /// When somebody last took, and what had been earned by then.
    last: Instant,
    earned_last: i128,
}

impl Flow {
    /// Makes a full one. What was earned starts at a number that only time decides, and that is no
    /// less than any earlier one can have come to.
    pub(super) fn new(step: u64, fastest: u64, now: Instant) -> Self {
        let earned = i128::from(now.as_nanos()) * i128::from(fastest);
        Self { since: now, earned, step, taken: earned, last: now, earned_last: earned }
    }

    /// Returns one that has nothing ever.
    pub(super) fn held(self) -> Self {
        Self { taken: HELD, ..self }
    }

    fn earned(&self, now: Instant) -> i128 {
        let elapsed = i128::from(now.as_nanos()) - i128::from(self.since.as_nanos());
        self.earned + elapsed.max(0) * i128::from(self.step)
    }

    /// Returns from when on so much is earned.
    fn earned_at(&self, parts: i128) -> Instant {
        let missing = parts.saturating_sub(self.earned);
        if missing <= 0 {
            return self.since;
        }
        let step = i128::from(self.step.max(1));
        let nanos = missing / step + i128::from(missing % step > 0);
        let at = i128::from(self.since.as_nanos()).saturating_add(nanos);
        Instant::from_nanos(i64::try_from(at).unwrap_or(i64::MAX))
    }

    /// Returns when it is full.
    pub(super) fn full_at(&self) -> Instant {
        self.earned_at(self.taken)
    }

    /// Returns up to where a take that comes now takes, beyond what a full bucket holds.
    fn target(&self, cost: u64, burst: u32, now: Instant) -> i128 {
        let more = i128::from(cost).saturating_mul(PERMIT);
        let after = self.taken.max(self.earned(now)).saturating_add(more);
        if after == HELD { HELD } else { after - i128::from(burst) * PERMIT }
    }

    /// Returns whether so much is there now.
    #[inline]
    pub(super) fn has(&self, cost: u64, burst: u32, now: Instant) -> bool {
        self.target(cost, burst, now) <= self.earned(now)
    }

    /// Returns when so much is there, for one who comes now.
    pub(super) fn due(&self, cost: u64, burst: u32, now: Instant) -> Instant {
        self.earned_at(self.target(cost, burst, now)).max(now)
    }

    /// Returns the whole permits that are there now.
    pub(super) fn left(&self, burst: u32, now: Instant) -> u32 {
        let backlog = self.taken.saturating_sub(self.earned(now)).max(0);
        let left = (i128::from(burst) * PERMIT).saturating_sub(backlog) / PERMIT;
        u32::try_from(left).unwrap_or(0)
    }

    /// Takes, whether or not it is there.
    #[inline]
    pub(super) fn put(&mut self, cost: u64, at: Instant) {
        let (earned, more) = (self.earned(at), i128::from(cost).saturating_mul(PERMIT));
        self.taken = self.taken.max(earned).saturating_add(more);
        (self.last, self.earned_last) = (at, earned);
    }

    /// Takes so many times the same, each as soon as it is there and not before `from`; returns
    /// when the last goes. A burst that is all taken at once loses what comes between the instant
    /// at which it is there and the next whole nanosecond.
    pub(super) fn put_many(
        &mut self,
        (cost, count): (u64, u64),
        burst: u32,
        from: Instant,
    ) -> Instant {
        let Some(more) = count.checked_sub(1) else { return from };
        let first = self.due(cost, burst, from);
        self.put(cost, first);
        if more == 0 {
            return first;
        }
        let each = i128::from(cost).saturating_mul(PERMIT);
        let last = if cost == u64::from(burst) {
            let step = i128::from(self.step.max(1));
            let gap = each / step + i128::from(each % step > 0);
            let at = i128::from(first.as_nanos()).saturating_add(gap.saturating_mul(more.into()));
            Instant::from_nanos(i64::try_from(at).unwrap_or(i64::MAX))
        } else {
            self.taken = self.taken.saturating_add(each.saturating_mul((more - 1).into()));
            self.due(cost, burst, first)
        };
        self.put(cost, last);
        last
    }

    /// Writes how much is taken that is not yet earned.
    pub(super) fn save(&self, now: Instant, into: &mut Vec<u8>) {
        let behind = self.taken.saturating_sub(self.earned(now)).max(0);
        into.extend(behind.to_le_bytes());
    }

    /// Reads how much is taken that is not yet earned.
    pub(super) fn load_behind(from: &mut Bytes<'_>) -> Option<i128> {
        let behind = i128::from_le_bytes(from.array()?);
        (0..=MOST_BEHIND).contains(&behind).then_some(behind)
    }

    /// Returns how much is taken that is not yet earned, as it is where another burst may go at
    /// once; never on the generous side.
    pub(super) fn behind_as(&self, (old, new): (u32, u32), carry: Carry, now: Instant) -> i128 {
        let behind = self.taken.saturating_sub(self.earned(now)).max(0);
        let (old, new) = (i128::from(old), i128::from(new));
        match carry {
            _ if behind == 0 || carry == Carry::Reset => 0,
            Carry::AsIs | Carry::Reset => behind.saturating_add((new - old) * PERMIT).max(0),
            // In two steps, since those who wait may have it far from zero.
            Carry::Proportional => {
                let (bursts, left) = (behind / old, behind % old);
                bursts.saturating_mul(new).saturating_add((left * new + old - 1) / old)
            }
        }
        .min(MOST_BEHIND)
    }

    /// Gives back so much of what was taken and is not yet earned; false if that is nothing.
    pub(super) fn undo_last(&mut self, cost: u64, now: Instant) -> bool {
        let behind = self.taken.saturating_sub(self.earned(now)).max(0);
        let left = i128::from(cost).saturating_mul(PERMIT).min(behind);
        self.taken -= left;
        left > 0
    }

    /// Returns one of which so much is taken already.
    pub(super) fn behind(self, parts: i128) -> Self {
        Self { taken: self.taken.saturating_add(parts), ..self }
    }

    /// Earns at another rate from now on.
    pub(super) fn change(&mut self, step: u64, now: Instant) {
        let now = now.max(self.since);
        self.earned = self.earned(now);
        (self.since, self.step) = (now, step);
    }

    /// Gives back what is left of a take that went at `at`; false if that is nothing.
    ///
    /// What it would have held since, had the take never happened, may have run over whenever
    /// somebody took later: by what was earned from `at` until then, at most.
    pub(super) fn undo(&mut self, cost: u64, at: Instant, fastest: u64) -> bool {
        if at > self.last {
            return false;
        }
        let step = if at >= self.since { self.step } else { fastest };
        let elapsed = i128::from(self.last.as_nanos()) - i128::from(at.as_nanos());
        let left = i128::from(cost).saturating_mul(PERMIT) - elapsed * i128::from(step);
        if left <= 0 {
            return false;
        }
        self.taken -= left;
        true
    }
}
