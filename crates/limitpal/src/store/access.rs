//! Getting at a shard: under its lock, and at a time that is not older than its own.

use std::hint;
use std::sync::{PoisonError, TryLockError};

use super::direct::Locked;
use super::fingerprint::Fingerprint;
use super::shard::Shard;
use super::timeline::Reading;
use super::{Full, Store};
use crate::sync::{Mutex, MutexGuard};
use crate::time::Instant;

/// For how many pauses a thread stands back from a lock that another holds: at first as long as a
/// decision takes, then a microsecond or more.
/// A model has no such times.
const STAND_BACK: &[u32] = if cfg!(loom) { &[] } else { &[4, 32, 64, 128] };

/// A shard on cache lines of its own, so that threads at work in different ones do not meet.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Apart(Mutex<Shard>);

impl Apart {
    pub(super) fn new(shard: Shard) -> Self {
        Self(Mutex::new(shard))
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Shard> {
        match self.0.try_lock() {
            Ok(shard) => shard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => self.lock_in_time(),
        }
    }

    /// Stands back for longer and longer, and at last waits: a thread that is left alone for a
    /// microsecond decides many times in it, where two that fight for a line decide a few.
    #[cold]
    fn lock_in_time(&self) -> MutexGuard<'_, Shard> {
        for pauses in STAND_BACK {
            (0..*pauses).for_each(|_| hint::spin_loop());
            if let Ok(shard) = self.0.try_lock() {
                return shard;
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many ranges of fingerprints there are.
const RANGES: usize = 512;

/// Which shard a range of fingerprints belongs to.
///
/// The last shard has twice as many as the first, in even steps: so the tables do not all double
/// at the same number of keys, and a key takes about 54 bytes however many there are.
#[derive(Debug)]
pub(super) struct Ranges([u8; RANGES]);

impl Ranges {
    pub(super) fn over(shards: usize) -> Self {
        let share = |shard: usize| (shard as f64 / shards as f64).exp2();
        let all: f64 = (0..shards).map(share).sum();
        let (mut of, mut ahead) = ([0; RANGES], 0.0);
        for shard in 0..shards {
            let from = (ahead / all * RANGES as f64).round() as usize;
            ahead += share(shard);
            of[from..].fill(shard as u8);
        }
        Self(of)
    }

    #[inline]
    fn shard_of(&self, key: Fingerprint) -> usize {
        self.0[(key.high >> (u32::BITS - RANGES.ilog2())) as usize].into()
    }
}

impl Store {
    /// Runs `step`; if it finds no room in this shard, makes some in another and runs it again.
    #[inline]
    pub(super) fn with_room<T, E>(
        &self,
        key: Fingerprint,
        mut read: impl FnMut() -> Result<Instant, E>,
        mut step: impl FnMut(&mut Shard, Instant) -> Result<T, Full>,
    ) -> Result<Option<T>, E> {
        loop {
            if let Ok(done) = self.with(key, &mut read, &mut step)? {
                return Ok(Some(done));
            }
            if !self.evict_elsewhere() {
                return Ok(None);
            }
        }
    }

    #[cold]
    pub(super) fn evict_elsewhere(&self) -> bool {
        (0..self.shards.len()).any(|index| {
            let mut shard = self.lock(index);
            let now = shard.time.now();
            let found = shard.evict(&self.settings, now);
            self.settings.forgot(found.into());
            found
        })
    }

    #[inline]
    pub(super) fn with<T, E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
        step: impl FnMut(&mut Shard, Instant) -> T,
    ) -> Result<T, E> {
        self.with_shard(self.index(key), read, step)
    }

    /// Runs `step` under the lock, at a time that is not older than the shard's own.
    #[inline]
    pub(super) fn with_shard<T, E>(
        &self,
        index: usize,
        mut read: impl FnMut() -> Result<Instant, E>,
        step: impl FnMut(&mut Shard, Instant) -> T,
    ) -> Result<T, E> {
        let now = read()?;
        self.with_shard_at(index, now, read, step)
    }

    /// As [`with_shard`](Self::with_shard), at a reading that is there already.
    #[inline]
    pub(super) fn with_shard_at<T, E>(
        &self,
        index: usize,
        now: Instant,
        mut read: impl FnMut() -> Result<Instant, E>,
        mut step: impl FnMut(&mut Shard, Instant) -> T,
    ) -> Result<T, E> {
        let mut reading = Reading::first(now);
        loop {
            let mut shard = self.lock(index);
            match shard.time.at(reading) {
                Ok(now) => return Ok(step(&mut shard, now)),
                Err(stale) => {
                    drop(shard);
                    reading = stale.again(read()?);
                }
            }
        }
    }

    /// Returns the time for a step that must not fail: a reading that lost a race is as good as
    /// the one it lost to; without one, what is in doubt is not given back.
    pub(super) fn at_last(shard: &mut Shard, now: Option<Instant>) -> Instant {
        let Some(now) = now else { return Instant::MAX };
        shard.time.at(Reading::first(now)).unwrap_or_else(|_| shard.time.now())
    }

    pub(super) fn shard(&self, key: Fingerprint) -> Locked<'_> {
        self.lock(self.index(key))
    }

    /// Returns the rank of a key's shard, so that a model knows what it models.
    #[cfg(loom)]
    pub fn shard_of(&self, key: Fingerprint) -> usize {
        self.index(key)
    }

    #[inline]
    pub(super) fn index(&self, key: Fingerprint) -> usize {
        self.ranges.shard_of(key)
    }

    #[inline]
    pub(super) fn lock(&self, index: usize) -> Locked<'_> {
        Locked::new(self.shards[index].lock(), self.direct.as_ref(), &self.settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_its_share_and_the_last_twice_that_of_the_first() {
        for shards in [1_usize, 2, 8, 64] {
            let Ranges(of) = Ranges::over(shards);
            let share = |shard: usize| of.iter().filter(|of| usize::from(**of) == shard).count();

            assert_eq!(RANGES, (0..shards).map(share).sum());
            assert!(of.is_sorted());
            let (first, last) = (share(0) as f64, share(shards - 1) as f64);
            let grown = 2_f64.powf((shards - 1) as f64 / shards as f64);
            assert!((last / first - grown).abs() < 0.25, "{shards} shards: {first}, {last}");
        }
    }
}
