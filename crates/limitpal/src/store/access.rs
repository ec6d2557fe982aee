//! Getting at a shard: under its lock, and at a time that is not older than its own.

use std::ops::{Deref, DerefMut};

use super::answer::Outcome;
use super::shard::Shard;
use super::stored::{Shortcut, Stored};
use super::timeline::Reading;
use super::{Full, Store};
use crate::shards::{Fingerprint, LockGuard};
use crate::time::Instant;

impl<A: Stored> Store<A> {
    /// Runs `step`; if it finds no room in this shard, makes some in another and runs it again.
    #[inline]
    pub(super) fn with_room<T: Outcome, E>(
        &self,
        key: Fingerprint,
        mut read: impl FnMut() -> Result<Instant, E>,
        step: impl Fn(&mut Shard<A>, Instant) -> Result<T, Full> + Copy,
    ) -> Result<Option<T>, E> {
        match self.with(key, &mut read, step)? {
            Ok(done) => Ok(Some(done)),
            Err(Full) => self.with_room_made(key, read, step),
        }
    }

    /// As `with_room`, where there was none.
    #[cold]
    #[inline(never)]
    pub(super) fn with_room_made<T: Outcome, E>(
        &self,
        key: Fingerprint,
        mut read: impl FnMut() -> Result<Instant, E>,
        step: impl Fn(&mut Shard<A>, Instant) -> Result<T, Full> + Copy,
    ) -> Result<Option<T>, E> {
        let settings = &self.settings;
        let admit = move |shard: &mut Shard<A>, now| shard.admit_again(settings, key, now, step);
        loop {
            if let Ok(done) = self.with(key, &mut read, admit)? {
                return Ok(Some(done));
            }
            if !self.makes_room() {
                return Ok(None);
            }
        }
    }

    #[inline]
    pub(super) fn with<T, E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
        step: impl FnMut(&mut Shard<A>, Instant) -> T,
    ) -> Result<T, E> {
        self.with_shard(self.index(key), read, step)
    }

    /// Runs `step` under the lock, at a time that is not older than the shard's own.
    #[inline]
    pub(super) fn with_shard<T, E>(
        &self,
        index: usize,
        mut read: impl FnMut() -> Result<Instant, E>,
        step: impl FnMut(&mut Shard<A>, Instant) -> T,
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
        mut step: impl FnMut(&mut Shard<A>, Instant) -> T,
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
    pub(super) fn at_last(shard: &mut Shard<A>, now: Option<Instant>) -> Instant {
        let Some(now) = now else { return Instant::MAX };
        shard.time.at(Reading::first(now)).unwrap_or_else(|_| shard.time.now())
    }

    pub(super) fn shard(&self, key: Fingerprint) -> Locked<'_, A> {
        self.lock(self.index(key))
    }

    /// Returns the rank of a key's shard, so that a model knows what it models.
    #[cfg(loom)]
    pub fn shard_of(&self, key: Fingerprint) -> usize {
        self.index(key)
    }

    #[inline]
    pub(super) fn index(&self, key: Fingerprint) -> usize {
        self.shards.index(key)
    }

    #[inline]
    pub(super) fn lock(&self, index: usize) -> Locked<'_, A> {
        let mut shard = self.shards.lock(index);
        let direct = self.direct.as_ref();
        if direct.is_some() {
            self.hold_direct(&mut shard);
        }
        Locked { shard, direct }
    }

    #[inline(never)] // stores without such a bucket do not prepare for it
    fn hold_direct(&self, shard: &mut Shard<A>) {
        if let Some(direct) = &self.direct {
            direct.hold(shard, &self.settings);
        }
    }
}

/// A shard under its lock, with the bucket's shortcut held while it lasts.
pub(super) struct Locked<'s, A: Stored> {
    shard: LockGuard<'s, Shard<A>>,
    direct: Option<&'s A::Shortcut>,
}

impl<A: Stored> Deref for Locked<'_, A> {
    type Target = Shard<A>;

    #[inline]
    fn deref(&self) -> &Shard<A> {
        &self.shard
    }
}

impl<A: Stored> DerefMut for Locked<'_, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Shard<A> {
        &mut self.shard
    }
}

impl<A: Stored> Drop for Locked<'_, A> {
    #[inline]
    fn drop(&mut self) {
        if let Some(direct) = self.direct {
            direct.release(&self.shard);
        }
    }
}
