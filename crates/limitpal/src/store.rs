//! One bucket for each key, in locked shards, and the lines of those who wait.
//!
//! Nothing here reads a clock: every call is handed `read`, calls it outside the lock, and again
//! if the reading lost a race. A waker is woken, and dropped, outside the lock too.

mod answer;
mod evict;
mod fingerprint;
mod options;
mod queueing;
mod shard;
mod timeline;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

pub use self::answer::{Grant, Pending, Place, Request, Turn};
pub use self::fingerprint::Fingerprint;
use self::fingerprint::Fingerprinter;
pub use self::options::StoreOptions;
use self::shard::{Settings, Shard};
use self::timeline::Reading;
use crate::algorithm::{Bucket, Level};
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::time::Instant;

const SHARDS: usize = 64;
/// The largest store that is one shard, so that looking for a bucket to forget is exact.
const EXACT: usize = 1024;

/// There is no room for another bucket: somebody waits for every one.
#[derive(Debug)]
struct Full;

/// Buckets by key.
#[derive(Debug)]
pub struct Store {
    shards: Box<[Mutex<Shard>]>,
    settings: Settings,
    fingerprinter: Fingerprinter,
}

impl Store {
    /// Makes an empty store of such buckets.
    pub fn new(bucket: Bucket, options: StoreOptions) -> Result<Self, InvalidConfig> {
        let options = options.checked()?;
        let shards = match options.max_buckets {
            Some(max) if max <= EXACT => 1,
            Some(max) => (max / EXACT).next_power_of_two().min(SHARDS),
            None => SHARDS,
        };
        let (count, evicted_live) = (AtomicUsize::new(0), AtomicU64::new(0));
        Ok(Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::new(&options))).collect(),
            settings: Settings { bucket, options, count, evicted_live },
            fingerprinter: Fingerprinter::new(),
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

    /// Returns the fingerprint of a key, which is this store's own.
    #[inline]
    pub fn fingerprint(&self, key: &str) -> Fingerprint {
        self.fingerprinter.of(key)
    }

    /// Takes if possible now.
    #[inline]
    pub fn take<E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Option<Grant>, E> {
        let take = |shard: &mut Shard, now| shard.take(&self.settings, key, cost, now);
        Ok(self.with_room(key, read, take)?.flatten())
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
            || self.shards.iter().any(|shard| lock(shard).has_idlers())
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
        let reserve = |shard: &mut Shard, now| shard.reserve(&self.settings, key, request, now);
        Ok(self.with_room(key, read, reserve)?.unwrap_or(Turn::Refused(RetryAfter::Unknown)))
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
        let arm = |shard: &mut Shard, now| shard.arm(place, waker.take(), now);
        let (_replaced, pending) = self.with(place.key, read, arm)?;
        Ok(pending)
    }

    /// Lets one who waits go if it is its time, else says how long it still is.
    pub fn claim<E>(
        &self,
        place: Place,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<Grant, Pending>, E> {
        let claimed = self.with(place.key, read, |shard, now| match shard.still(place, now) {
            Some(pending) => Err(pending),
            None => Ok(shard.go(&self.settings, place, now)),
        })?;
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
                let keys: Vec<_> = shard.table.iter().map(|slot| slot.key).collect();
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

    /// Runs `step`; if it finds no room in this shard, makes some in another and runs it again.
    #[inline]
    fn with_room<T, E>(
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
    fn evict_elsewhere(&self) -> bool {
        self.shards.iter().any(|shard| {
            let mut shard = lock(shard);
            let now = shard.time.now();
            let found = shard.evict(&self.settings, now);
            if found {
                self.settings.count.fetch_sub(1, Ordering::Relaxed);
            }
            found
        })
    }

    #[inline]
    fn with<T, E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
        step: impl FnMut(&mut Shard, Instant) -> T,
    ) -> Result<T, E> {
        self.with_shard(self.index(key), read, step)
    }

    /// Runs `step` under the lock, at a time that is not older than the shard's own.
    #[inline]
    fn with_shard<T, E>(
        &self,
        index: usize,
        mut read: impl FnMut() -> Result<Instant, E>,
        mut step: impl FnMut(&mut Shard, Instant) -> T,
    ) -> Result<T, E> {
        let mut reading = Reading::first(read()?);
        loop {
            let mut shard = lock(&self.shards[index]);
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
    fn at_last(shard: &mut Shard, now: Option<Instant>) -> Instant {
        let Some(now) = now else { return Instant::MAX };
        shard.time.at(Reading::first(now)).unwrap_or_else(|_| shard.time.now())
    }

    fn shard(&self, key: Fingerprint) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.index(key)])
    }

    #[inline]
    fn index(&self, key: Fingerprint) -> usize {
        key.high as usize & (self.shards.len() - 1)
    }
}

#[inline]
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
