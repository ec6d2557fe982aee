//! Tells a reading that lost a race from a clock that stepped back.

use crate::time::Instant;

/// The time as one shard has seen it: it never runs backwards.
///
/// Threads race: a reading taken before the lock may be older than the shard's last one. It is
/// then read again, outside the lock. If the fresh reading is older than what the shard had seen
/// before, the clock has stepped back: time stands still for the step, and runs on from there.
/// A clock known to be steady need not be asked again: the time it lost to is as good.
#[derive(Debug)]
pub(super) struct Timeline {
    /// The latest reading.
    latest: Instant,
    /// What the steps back add up to.
    offset: i64,
    steps: u32,
    /// Whether the clock never steps back: then an older reading has lost a race, no more.
    is_steady: bool,
}

/// A reading of the clock, and what the shard had seen before it was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    now: Instant,
    seen: Option<(Instant, u32)>,
}

impl Reading {
    #[inline]
    pub(super) fn first(now: Instant) -> Self {
        Self { now: bounded(now), seen: None }
    }
}

/// A reading older than one before: read again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stale(Instant, u32);

impl Stale {
    pub(super) fn again(self, now: Instant) -> Reading {
        Reading { now: bounded(now), seen: Some((self.0, self.1)) }
    }
}

/// Returns the reading, not further from zero than 146 years: a level may lie a hundred years
/// ahead of it, and one that saturated would never refuse.
#[inline]
pub(super) fn bounded(now: Instant) -> Instant {
    const FURTHEST: i64 = i64::MAX / 2;
    Instant::from_nanos(now.as_nanos().clamp(-FURTHEST, FURTHEST))
}

impl Timeline {
    pub(super) fn new(is_steady: bool) -> Self {
        Self { latest: Instant::MIN, offset: 0, steps: 0, is_steady }
    }

    /// Returns the time it is, on the shard's own unbroken line.
    #[inline]
    pub(super) fn at(&mut self, reading: Reading) -> Result<Instant, Stale> {
        if reading.now >= self.latest {
            self.latest = reading.now;
            return Ok(if self.offset == 0 { reading.now } else { self.now() });
        }
        self.at_older(reading)
    }

    #[cold]
    fn at_older(&mut self, reading: Reading) -> Result<Instant, Stale> {
        if self.is_steady {
            return Ok(self.now());
        }
        let Some((seen, steps)) = reading.seen else { return Err(Stale(self.latest, self.steps)) };
        if steps == self.steps && reading.now < seen {
            let step = self.latest.saturating_duration_since(reading.now);
            self.offset = self.offset.saturating_add(crate::time::nanos(step));
            self.latest = reading.now;
            self.steps = self.steps.wrapping_add(1);
        }
        Ok(self.now())
    }

    /// Returns the latest time seen.
    #[inline]
    pub(super) fn now(&self) -> Instant {
        bounded(Instant::from_nanos(self.latest.as_nanos().saturating_add(self.offset)))
    }
}
