//! Changing limits while they are in use: a key's, or everybody's.
//!
//! A change is checked before anything is changed, and made shard by shard: each key goes by the
//! old limits or by the new ones, and no call is between them.

use std::task::Waker;
use std::time::Duration;

use super::Store;
use super::shard::Shard;
use super::slot::Slot;
use super::stored::Stored;
use crate::algorithm::Carry;
use crate::config::InvalidConfig;
use crate::shards::Fingerprint;
use crate::sync::MutexGuard;
use crate::time::Instant;

impl<A: Stored> Store<A> {
    /// Closes a key for so long, or longer where it is closed already; those who wait for it go
    /// in their order once it is open. False if there is no room to remember it.
    pub fn penalise<E>(
        &self,
        key: Fingerprint,
        span: Duration,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<bool, E> {
        let woken = self.with_room(key, read, |shard, now| {
            let until = now.saturating_add(span);
            if until <= shard.opens(key, now) {
                return Ok(Some(Vec::new()));
            }
            let settings = &*shard.terms(&self.settings, key);
            if shard.slot(key).is_none() {
                let state = settings.bucket.fresh();
                shard.put(settings, key, state, now)?;
            }
            shard.close(&self.settings, key, until);
            Ok(Some(A::rebuild(shard, (settings, settings), key, None, now)))
        })?;
        let woken = woken.flatten();
        let is_closed = woken.is_some();
        woken.into_iter().flatten().for_each(Waker::wake);
        Ok(is_closed)
    }

    /// Changes the limits of all keys that have none of their own. If the new ones make no sense,
    /// or the clock fails, all is as it was.
    pub fn reconfigure<E>(
        &self,
        change: impl FnOnce(&A) -> Result<A, InvalidConfig>,
        carry: Carry,
        mut read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<(), InvalidConfig>, E> {
        // One after the other, or two would leave some shards with the one and some with the other.
        let alone = self.alone();
        let bucket = match change(&self.bucket()) {
            Ok(bucket) => bucket,
            Err(error) => return Ok(Err(error)),
        };
        let now = read()?;
        let mut woken = Vec::new();
        for index in 0..self.shards.len() {
            let mut shard = self.lock(index);
            let now = Self::at_last(&mut shard, Some(now));
            let old = shard.own_mut(&self.settings).common.clone();
            let settings = old.with(bucket.clone());
            shard.set_common(&self.settings, settings.clone(), Instant::MAX);
            let keys: Vec<_> = shard.table.iter().map(Slot::key).collect();
            for key in keys {
                if !shard.has_quota(key) {
                    woken.extend(A::rebuild(&mut shard, (&old, &settings), key, Some(carry), now));
                }
            }
            shard.voids.add_all();
        }
        drop(alone);
        woken.into_iter().for_each(Waker::wake);
        Ok(Ok(()))
    }

    /// Gives a key limits of its own, starting from those that it has.
    pub fn configure<E>(
        &self,
        key: Fingerprint,
        change: impl FnOnce(&A) -> Result<A, InvalidConfig>,
        carry: Carry,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<(), InvalidConfig>, E> {
        let mut change = Some(change);
        let changed = self.with(key, read, |shard, now| {
            let change = change.take().expect("a step is done once");
            let bucket = change(&shard.terms(&self.settings, key).bucket)?;
            Ok(self.set_quota(shard, key, Some(bucket), carry, now))
        })?;
        Ok(changed.map(|woken| woken.into_iter().for_each(Waker::wake)))
    }

    /// Takes a key's own limits away; a key without any stays as it is.
    pub fn unconfigure<E>(
        &self,
        key: Fingerprint,
        carry: Carry,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        let woken = self.with(key, read, |shard, now| match shard.has_quota(key) {
            true => self.set_quota(shard, key, None, carry, now),
            false => Vec::new(),
        })?;
        woken.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Returns whether the quota of a key is known, so that nobody need be asked for it.
    pub fn knows(&self, key: Fingerprint) -> bool {
        self.shard(key).is_known(key)
    }

    /// Gives a key that is new the limits that somebody was asked for, if it has any.
    pub fn introduce(&self, key: Fingerprint, bucket: Option<A>) {
        let mut shard = self.shard(key);
        if !shard.is_known(key) {
            shard.sweep_quotas();
            let now = shard.time.now();
            let old = shard.terms(&self.settings, key);
            shard.set_quota(&self.settings, key, (bucket, false));
            let settings = shard.terms(&self.settings, key);
            // It may be remembered since a snapshot was restored; then nobody waits for it.
            A::rebuild(&mut shard, (&old, &settings), key, Some(Carry::Proportional), now);
        }
    }

    /// Returns whether a cost can ever be served.
    pub(super) fn serves(&self, key: Fingerprint, cost: u64) -> bool {
        match &self.direct {
            Some(_) => self.bucket_of(key).serves(cost),
            None => self.shard(key).terms(&self.settings, key).bucket.serves(cost),
        }
    }

    fn set_quota(
        &self,
        shard: &mut Shard<A>,
        key: Fingerprint,
        quota: Option<A>,
        carry: Carry,
        now: Instant,
    ) -> Vec<Waker> {
        let fresh_at = shard.fresh_at(&self.settings, key);
        let old = shard.terms(&self.settings, key);
        match quota {
            Some(bucket) => shard.set_quota(&self.settings, key, (Some(bucket), true)),
            None => shard.drop_quota(key),
        }
        let settings = shard.terms(&self.settings, key);
        let woken = A::rebuild(shard, (&old, &settings), key, Some(carry), now);
        let fresh_at = fresh_at.max(shard.fresh_at(&self.settings, key));
        shard.voids.add(key, fresh_at, now);
        woken
    }

    /// Gives back so much of what a key took last: at most what it lacks to be as new.
    pub fn return_some(&self, key: Fingerprint, cost: u64, now: Option<Instant>) {
        let mut shard = self.shard(key);
        let now = Self::at_last(&mut shard, now);
        let settings = shard.terms(&self.settings, key);
        let next = A::return_some(&mut shard, &settings, key, cost, now);
        drop(shard);
        next.into_iter().for_each(Waker::wake);
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        let alone = self.changing.lock();
        alone.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
