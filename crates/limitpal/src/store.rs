//! One bucket for each key, in locked shards, and the lines of those who wait.
//!
//! Nothing here reads a clock: every call is handed `read`, calls it outside the lock, and again
//! if the reading lost a race. A waker is woken, and dropped, outside the lock too.

mod access;
mod answer;
mod batch;
mod direct;
mod evict;
mod leaving;
mod lineup;
mod moving;
mod options;
mod queueing;
mod shard;
mod slot;
mod timeline;
mod voids;

use std::task::Waker;
use std::time::Duration;

pub use self::answer::{Grant, Pending, Place, Request, Turn};
use self::direct::Direct;
pub use self::options::{Scope, StoreOptions};
use self::shard::{Settings, Shard};
use self::slot::Slot;
use self::timeline::bounded;
use crate::algorithm::{Bucket, Level};
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::{self, Fingerprint, Shards};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::time::Instant;

/// The largest store that is one shard, so that looking for a bucket to forget is exact.
const EXACT: usize = if cfg!(loom) { 1 } else { 1024 };

/// There is no room for another bucket: somebody waits for every one.
#[derive(Debug)]
struct Full;

/// Buckets by key.
#[derive(Debug)]
pub struct Store {
    shards: Shards<Shard>,
    settings: Settings,
    /// The only bucket, where there is one for everybody and nothing else to know of it.
    direct: Option<Direct>,
}

impl Store {
    /// Makes an empty store of such buckets.
    pub fn new(bucket: Bucket, options: StoreOptions, scope: Scope) -> Result<Self, InvalidConfig> {
        let options = options.checked()?;
        let shards = match options.max_buckets {
            _ if scope.one_bucket => 1,
            Some(max) if max <= EXACT => 1,
            Some(max) => (max / EXACT).next_power_of_two().min(shards::MANY),
            None => shards::MANY,
        };
        let shard = || Shard::new(&options, scope.steady_clock);
        let is_direct = scope.one_bucket && scope.steady_clock && options.ttl.is_none();
        let (count, evicted_live) = (AtomicUsize::new(0), AtomicU64::new(0));
        Ok(Self {
            shards: Shards::new(shards, shard),
            settings: Settings { bucket, options, count, evicted_live },
            direct: is_direct.then(Direct::new),
        })
    }

    /// Returns what its buckets are.
    pub fn bucket(&self) -> &Bucket {
        &self.settings.bucket
    }

    /// Returns what it remembers.
    pub fn options(&self) -> &StoreOptions {
        &self.settings.options
    }

    /// Returns how many buckets were forgotten though they were not as new.
    pub fn evicted_live(&self) -> u64 {
        self.settings.evicted_live.load(Ordering::Relaxed)
    }

    /// Returns how many slots have been looked at so far to find buckets to forget.
    pub fn looks(&self) -> u64 {
        (0..self.shards.len()).map(|index| self.lock(index).looks()).sum()
    }

    /// Returns the fingerprint of a key, which is this store's own.
    #[inline]
    pub fn fingerprint(&self, key: &str) -> Fingerprint {
        self.shards.fingerprint(key)
    }

    /// Takes if possible now.
    #[inline]
    pub fn take<E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Option<Grant>, E> {
        let step = |shard: &mut Shard, now| shard.take(&self.settings, key, cost, now);
        self.take_as(key, cost, read, step, |grant| grant)
    }

    /// As `take`, for whoever gives nothing back.
    #[inline]
    pub fn allow<E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<bool, E> {
        let step = |shard: &mut Shard, now| shard.allow(&self.settings, key, cost, now);
        Ok(self.take_as(key, cost, read, step, drop)?.is_some())
    }

    #[inline]
    fn take_as<T, E>(
        &self,
        key: Fingerprint,
        cost: u64,
        mut read: impl FnMut() -> Result<Instant, E>,
        step: impl FnMut(&mut Shard, Instant) -> Result<Option<T>, Full>,
        make: impl FnOnce(Grant) -> T,
    ) -> Result<Option<T>, E> {
        let Some(direct) = &self.direct else {
            return Ok(self.with_room(key, read, step)?.flatten());
        };
        let now = read()?;
        let take = |level| self.bucket().take(level, cost, bounded(now));
        match direct.take(cost, take) {
            Ok(grant) => Ok(grant.map(make)),
            Err(_held) => Ok(self.with_room(key, || Ok(now), step)?.flatten()),
        }
    }

    /// Takes if possible now, and says how things stand then.
    pub fn check<E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Decision, E> {
        let bucket = self.bucket();
        let decision = self.with_room(key, read, |shard, now| {
            let answer = match shard.take(&self.settings, key, cost, now)? {
                Some(_) => RetryAfter::Now,
                None => self.retry_after(shard, key, cost, now),
            };
            Ok(bucket.decision(shard.level(key), answer, now))
        })?;
        Ok(decision.unwrap_or_else(|| self.no_room()))
    }

    /// Says what `check` would say, without taking.
    pub fn peek<E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Decision, E> {
        if !self.has_room_for(key) {
            return Ok(self.no_room());
        }
        self.with(key, read, |shard, now| {
            let answer = self.retry_after(shard, key, cost, now);
            self.bucket().decision(shard.level(key), answer, now)
        })
    }

    /// Answers where somebody waits for every bucket: nobody can say when there is room for more.
    fn no_room(&self) -> Decision {
        Decision::new(self.bucket().capacity(), 0, RetryAfter::Unknown, Duration::ZERO)
    }

    /// Returns whether a key has a bucket, or could have one.
    fn has_room_for(&self, key: Fingerprint) -> bool {
        let Some(max) = self.settings.options.max_buckets else { return true };
        self.settings.count.load(Ordering::Relaxed) < max
            || self.shard(key).slot(key).is_some()
            || (0..self.shards.len()).any(|index| self.lock(index).has_idlers())
    }

    fn retry_after(&self, shard: &Shard, key: Fingerprint, cost: u64, now: Instant) -> RetryAfter {
        let bucket = self.bucket();
        let answer = bucket.retry_after(shard.level(key), cost, now);
        match shard.find_freed(bucket, key, cost, now) {
            Some(place) => answer.min(RetryAfter::wait(place.due.saturating_duration_since(now))),
            None => answer,
        }
    }

    /// Takes, now or later.
    pub fn reserve<E>(
        &self,
        key: Fingerprint,
        request: Request,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Turn, E> {
        self.reserve_as(key, request, read, |grant| grant)
    }

    /// As `reserve`, for whoever gives nothing back of what is there at once.
    #[inline]
    pub fn enter<E>(
        &self,
        key: Fingerprint,
        request: Request,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Turn<()>, E> {
        self.reserve_as(key, request, read, drop)
    }

    #[inline]
    fn reserve_as<T, E>(
        &self,
        key: Fingerprint,
        request: Request,
        mut read: impl FnMut() -> Result<Instant, E>,
        make: impl Fn(Grant) -> T,
    ) -> Result<Turn<T>, E> {
        let reserve =
            |shard: &mut Shard, now| shard.reserve_as(&self.settings, key, request, now, &make);
        let turn = match &self.direct {
            None => self.with_room(key, read, reserve)?,
            Some(direct) => {
                let (now, cost) = (read()?, request.cost);
                let take = |level| self.bucket().take_in_turn(level, cost, bounded(now));
                if let Ok(Some(grant)) = direct.take(cost, take) {
                    return Ok(Turn::Now(make(grant)));
                }
                self.with_room(key, || Ok(now), reserve)?
            }
        };
        Ok(turn.unwrap_or(Turn::Refused(RetryAfter::Unknown)))
    }

    /// Says how long `reserve` would have one wait, without taking.
    pub fn quote<E>(
        &self,
        key: Fingerprint,
        request: Request,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<RetryAfter, E> {
        if !self.has_room_for(key) {
            return Ok(RetryAfter::Unknown);
        }
        self.with(key, read, |shard, now| shard.quote(&self.settings, key, request, now))
    }

    /// Keeps the waker of one who waits, and returns how long it has to sleep.
    pub fn arm<E>(
        &self,
        place: Place,
        waker: Waker,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Pending, E> {
        let mut waker = Some(waker);
        let arm = |shard: &mut Shard, now| shard.arm(&self.settings, place, waker.take(), now);
        let (_replaced, pending) = self.with(place.key, read, arm)?;
        Ok(pending)
    }

    /// Lets one who waits go if it is its time, else says how long it still is.
    pub fn claim<E>(
        &self,
        place: Place,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<Grant, Pending>, E> {
        self.claim_for(place, None, read)
    }

    /// As `claim`; says too whether the waker that is kept would wake the task that asks.
    pub fn claim_for<E>(
        &self,
        place: Place,
        waker: Option<&Waker>,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<Grant, Pending>, E> {
        let settings = &self.settings;
        let claim = |shard: &mut Shard, now| match shard.still(settings, place, waker, now) {
            Some(pending) => Err(pending),
            None => Ok(shard.go(settings, place, now)),
        };
        let claimed = self.with(place.key, read, claim)?;
        Ok(claimed.map(|(grant, [next, _own])| {
            next.into_iter().for_each(Waker::wake);
            grant
        }))
    }

    /// Lets a sleeper that cannot be moved go: it has slept for as long as it was told.
    ///
    /// `now` is none where the clock itself has failed.
    pub fn arrived(&self, place: Place, now: Option<Instant>) -> Grant {
        let mut shard = self.shard(place.key);
        let now = Self::at_last(&mut shard, now);
        let (grant, [next, _own]) = shard.go(&self.settings, place, now);
        drop(shard);
        next.into_iter().for_each(Waker::wake);
        grant
    }

    /// Lets one who waits leave. `now` is none where the clock itself has failed.
    pub fn leave(&self, place: Place, now: Option<Instant>) {
        let mut shard = self.shard(place.key);
        let now = Self::at_last(&mut shard, now);
        let [next, own] = shard.leave(&self.settings, place, now);
        drop(shard);
        next.into_iter().for_each(Waker::wake);
        drop(own);
    }

    /// Gives back what a take can still give. `now` is none where the clock itself has failed.
    pub fn give_back(&self, grant: Grant, now: Option<Instant>) {
        let mut shard = self.shard(grant.key);
        let now = Self::at_last(&mut shard, now);
        let next = shard.give_back(&self.settings, grant, now);
        drop(shard);
        next.into_iter().for_each(Waker::wake);
    }

    /// Forgets one key.
    pub fn reset<E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        let reset = |shard: &mut Shard, now| shard.reset(&self.settings, key, now);
        let next = self.with(key, read, reset)?;
        next.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Forgets all keys.
    pub fn reset_all<E>(&self, mut read: impl FnMut() -> Result<Instant, E>) -> Result<(), E> {
        for index in 0..self.shards.len() {
            let next = self.with_shard(index, &mut read, |shard, now| {
                let keys: Vec<_> = shard.table.iter().map(Slot::key).collect();
                let reset = |key| shard.reset(&self.settings, key, now);
                keys.into_iter().filter_map(reset).collect::<Vec<_>>()
            })?;
            next.into_iter().for_each(Waker::wake);
        }
        Ok(())
    }

    /// Returns whether a key is remembered.
    pub fn contains<E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<bool, E> {
        self.with(key, read, |shard, now| shard.contains(&self.settings, key, now))
    }

    /// Returns how many keys are remembered, once those past their `ttl` are forgotten.
    pub fn len<E>(&self, mut read: impl FnMut() -> Result<Instant, E>) -> Result<usize, E> {
        let mut total = 0;
        for index in 0..self.shards.len() {
            total += self.with_shard(index, &mut read, |shard, now| {
                shard.forget_expired(&self.settings, now);
                shard.table.len()
            })?;
        }
        Ok(total)
    }

    /// Reads something off a key's level.
    pub fn view<T, E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
        view: impl Fn(&Bucket, Level, Instant) -> T,
    ) -> Result<T, E> {
        self.with(key, read, |shard, now| view(self.bucket(), shard.level(key), now))
    }
}
