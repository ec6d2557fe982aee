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
    /// Its steps back; none for a clock that never does: then an older reading has lost a race,
    /// no more. Apart, since the shard's first line of the cache is full.
    steps: Option<Box<Steps>>,
}

/// A clock's steps back.
#[derive(Debug, Default)]
struct Steps {
    /// What they add up to.
    offset: i64,
    count: u32,
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
        Self { latest: Instant::MIN, steps: (!is_steady).then(Box::default) }
    }

    /// Returns the time it is, on the shard's own unbroken line.
    #[inline]
    pub(super) fn at(&mut self, reading: Reading) -> Result<Instant, Stale> {
        if reading.now < self.latest {
            return self.at_older(reading);
        }
        self.latest = reading.now;
        Ok(if self.steps.is_none() { reading.now } else { self.now() })
    }

    #[cold]
    fn at_older(&mut self, reading: Reading) -> Result<Instant, Stale> {
        let Some(steps) = &mut self.steps else { return Ok(self.latest) };
        let Some((seen, count)) = reading.seen else { return Err(Stale(self.latest, steps.count)) };
        if count == steps.count && reading.now < seen {
            let step = self.latest.saturating_duration_since(reading.now);
            steps.offset = steps.offset.saturating_add(crate::time::nanos(step));
            self.latest = reading.now;
            steps.count = steps.count.wrapping_add(1);
        }
        Ok(self.now())
    }

    /// Returns the latest time seen.
    #[inline]
    pub(super) fn now(&self) -> Instant {
        let offset = self.steps.as_ref().map_or(0, |steps| steps.offset);
        bounded(Instant::from_nanos(self.latest.as_nanos().saturating_add(offset)))
    }
}
