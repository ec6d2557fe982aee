//! Getting at a shard: under its lock, and at a time that is not older than its own.

use std::ops::{Deref, DerefMut};

use super::answer::Outcome;
use super::shard::Shard;
use super::stored::{Front, Shortcut, Stored};
use super::timeline::Reading;
use super::{Full, Store};
use crate::shards::{Fingerprint, LockGuard};
use crate::sync::atomic::Ordering;
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

    /// Runs `step` for a key under its shard's lock, at a time that is not older than the shard's own.
    #[inline]
    pub(super) fn with<T, E>(
        &self,
        key: Fingerprint,
        mut read: impl FnMut() -> Result<Instant, E>,
        step: impl FnMut(&mut Shard<A>, Instant) -> T,
    ) -> Result<T, E> {
        let now = read()?;
        Self::at_that_time(|| self.shard(key), now, read, step)
    }

    /// As `with`, for all keys of a shard.
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
        read: impl FnMut() -> Result<Instant, E>,
        step: impl FnMut(&mut Shard<A>, Instant) -> T,
    ) -> Result<T, E> {
        Self::at_that_time(|| self.lock(index), now, read, step)
    }

    #[inline]
    fn at_that_time<'s, T, E>(
        lock: impl Fn() -> Locked<'s, A>,
        now: Instant,
        mut read: impl FnMut() -> Result<Instant, E>,
        mut step: impl FnMut(&mut Shard<A>, Instant) -> T,
    ) -> Result<T, E>
    where
        A: 's,
    {
        let mut reading = Reading::first(now);
        loop {
            let mut shard = lock();
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

    /// Locks the shard of a key that is to be looked at or changed, and of no other.
    #[inline(always)] // a call would cost as much as the lock
    pub(super) fn shard(&self, key: Fingerprint) -> Locked<'_, A> {
        let mut shard = self.shards.lock_or(self.index(key), || self.open_front());
        // Only now: a front is there before any key of this shard has a place in it.
        let direct = if self.has_past() { self.hold_past(&mut shard, key) } else { None };
        Locked { shard, direct }
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

    /// Locks a shard of which all keys may be looked at or changed.
    pub(super) fn lock(&self, index: usize) -> Locked<'_, A> {
        let mut shard = self.shards.lock_or(index, || self.open_front());
        if let Some(direct) = &self.direct {
            direct.hold(&mut shard, &self.settings);
        }
        if let Some(front) = self.front.get() {
            front.hold_all(&mut shard, index);
        }
        Locked { shard, direct: self.direct.as_ref() }
    }

    /// Has all who come for a key go through the lock.
    #[inline(never)] // where all do in any case nobody prepares for it
    fn hold_past(&self, shard: &mut Shard<A>, key: Fingerprint) -> Option<&A::Shortcut> {
        match self.way() {
            Way::Lock => None,
            Way::Front(front) => {
                front.hold(shard, self.index(key), key);
                None
            }
            Way::Direct(direct) => {
                direct.hold(shard, &self.settings);
                Some(direct)
            }
        }
    }

    /// Returns whether there is a way past the locks.
    #[inline]
    fn has_past(&self) -> bool {
        self.has_past.load(Ordering::Acquire)
    }

    /// Returns the way of those who take and give nothing back.
    #[inline(always)] // it is one look where there is nothing but locks
    pub(super) fn way(&self) -> Way<'_, A> {
        if !self.has_past() {
            return Way::Lock;
        }
        match (&self.direct, self.front.get()) {
            (Some(direct), _) => Way::Direct(direct),
            (None, Some(front)) => Way::Front(front),
            (None, None) => Way::Lock,
        }
    }

    /// Gives keys places in front of the locks from now on, since two have met at one.
    #[cold]
    pub fn open_front(&self) {
        if self.may_have_front && !self.has_past() {
            let front = || A::Front::new(self.shards.len());
            if let Some(front) = front()
                && self.front.set(front).is_ok()
            {
                self.has_past.store(true, Ordering::Release);
            }
        }
    }
}

/// How one comes by what a key has.
pub(super) enum Way<'s, A: Stored> {
    /// Under its shard's lock.
    Lock,
    /// By the word of the only bucket.
    Direct(&'s A::Shortcut),
    /// By a place in front of the lock, if it has one.
    Front(&'s A::Front),
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
