//! One bucket for each key, in locked shards, and the lines of those who wait.
//!
//! Nothing here reads a clock: every call is handed `read`, calls it outside the lock, and again
//! if the reading lost a race. A waker is woken, and dropped, outside the lock too.

mod access;
mod answer;
mod batch;
mod buckets;
mod changing;
#[cfg(all(test, not(loom)))]
mod crowd;
mod direct;
mod evict;
mod feedback;
mod forgetting;
mod front;
mod leaving;
mod lineup;
mod moving;
mod no_shortcut;
mod options;
mod own;
mod queue;
mod queueing;
mod rebuilding;
mod replanning;
mod room;
mod settings;
mod shard;
mod shares;
mod sight;
mod slot;
mod snapshot;
mod stored;
mod table;
mod tally;
mod timeline;
mod turns;
mod voids;
mod windows;
mod word;

use std::sync::OnceLock;
use std::task::Waker;
use std::time::Duration;

use self::access::Way;
pub(crate) use self::answer::Entered;
pub use self::answer::{Grant, Pending, Place, Request, Turn};
pub use self::options::{Evict, Scope, StoreOptions};
use self::shard::{Settings, Shard};
pub use self::shares::Shares;
pub use self::sight::Sight;
use self::slot::Slot;
pub(crate) use self::snapshot::checksum;
use self::stored::Shortcut;
pub use self::stored::Stored;
use self::timeline::bounded;
use crate::algorithm::Bucket;
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::{self, Fingerprint, Shards};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::time::Instant;

/// The largest store that is one shard, so that looking for a bucket to forget is exact.
const EXACT: usize = if cfg!(loom) { 1 } else { 1024 };

/// There is no room for another bucket: somebody waits for every one.
#[derive(Debug)]
pub struct Full;

/// Buckets by key.
#[derive(Debug)]
pub struct Store<A: Stored = Bucket> {
    shards: Shards<Shard<A>>,
    settings: Settings<A>,
    /// The only bucket, where there is one for everybody and nothing else to know of it.
    direct: Option<A::Shortcut>,
    /// Whether there is a way past the locks: one look for those who have none.
    has_past: AtomicBool,
    /// Places in front of the locks, once two threads have met at one.
    front: OnceLock<A::Front>,
    /// Whether there may be: nothing is ever forgotten then but by name, and no clock steps back.
    may_have_front: bool,
    one_bucket: bool,
    /// Held by whoever changes the limits of all.
    changing: Mutex<()>,
}

impl<A: Stored> Store<A> {
    /// Makes an empty store of such buckets.
    pub fn new(bucket: A, options: StoreOptions, scope: Scope) -> Result<Self, InvalidConfig> {
        let options = options.checked()?;
        let shards = match options.max_buckets {
            _ if scope.one_bucket => 1,
            Some(max) if max <= EXACT => 1,
            Some(max) => (max / EXACT).next_power_of_two().min(shards::MANY),
            None => shards::MANY,
        };
        let shard = || Shard::new(&options, scope.steady_clock);
        let is_direct = scope.one_bucket && scope.steady_clock && options.ttl.is_none();
        let direct = is_direct.then(|| A::Shortcut::new(&bucket)).flatten();
        let forgets = options.ttl.is_some() || options.max_buckets.is_some();
        let has_past = AtomicBool::new(direct.is_some());
        let store = Self {
            shards: Shards::new(shards, shard),
            settings: Settings::new(bucket, options),
            direct,
            has_past,
            front: OnceLock::new(),
            may_have_front: scope.steady_clock && !scope.one_bucket && !forgets,
            one_bucket: scope.one_bucket,
            changing: Mutex::new(()),
        };
        if cfg!(always_in_front) {
            store.open_front();
        }
        Ok(store)
    }

    /// Returns what its buckets are now, but for keys that have a quota of their own.
    pub fn bucket(&self) -> A {
        let shard = self.lock(0);
        shard.own.as_ref().map_or(&self.settings, |own| &own.common).bucket.clone()
    }

    /// Returns what the bucket of a key is now.
    pub fn bucket_of(&self, key: Fingerprint) -> A {
        self.shard(key).terms(&self.settings, key).bucket.clone()
    }

    /// Returns what it remembers.
    pub fn options(&self) -> &StoreOptions {
        &self.settings.options
    }

    /// Returns how many buckets were forgotten though they were not as new.
    pub fn evicted_live(&self) -> u64 {
        self.settings.counts.evicted_live.load(Ordering::Relaxed)
    }

    /// Returns how many newcomers were refused because there was no room for them.
    pub fn refused_new(&self) -> u64 {
        self.settings.counts.refused_new.load(Ordering::Relaxed)
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
        let settings = &self.settings;
        let step = move |shard: &mut Shard<A>, now| shard.take(settings, key, cost, now);
        self.take_as(self.way(), (key, cost), read, step, |grant| grant)
    }

    /// As `take`, for whoever gives nothing back.
    #[inline]
    pub fn allow<E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<bool, E> {
        let settings = &self.settings;
        let way = self.way();
        if let Way::Front(front) = way {
            return self.allow_in_front(front, key, cost, read);
        }
        let step = move |shard: &mut Shard<A>, now| shard.allow(settings, key, cost, now);
        Ok(self.take_as(way, (key, cost), read, step, drop)?.is_some())
    }

    #[inline]
    fn take_as<T, E>(
        &self,
        way: Way<'_, A>,
        (key, cost): (Fingerprint, u64),
        mut read: impl FnMut() -> Result<Instant, E>,
        step: impl Fn(&mut Shard<A>, Instant) -> Result<Option<T>, Full> + Copy,
        make: impl FnOnce(Grant) -> T,
    ) -> Result<Option<T>, E> {
        let Way::Direct(direct) = way else {
            return Ok(self.with_room(key, read, step)?.flatten());
        };
        let now = read()?;
        let take = |state: &mut A::State| self.settings.bucket.take(state, cost, bounded(now));
        match direct.change(cost, true, take) {
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
        let decision = self.with_room(key, read, |shard, now| {
            let settings = &*shard.terms(&self.settings, key);
            let answer = match shard.take(settings, key, cost, now)? {
                Some(_) => RetryAfter::Now,
                None => A::retry_in(shard, settings, key, cost, now),
            };
            Ok(A::standing(shard, settings, key, answer, now))
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
        let decision = self.look(key, cost, read, |shard, now| {
            let settings = &*shard.terms(&self.settings, key);
            let answer = A::retry_in(shard, settings, key, cost, now);
            A::standing(shard, settings, key, answer, now)
        })?;
        Ok(decision.unwrap_or_else(|| self.no_room()))
    }

    /// Answers where there is no room for one more.
    fn no_room(&self) -> Decision {
        Decision::new(self.bucket().capacity(), 0, self.room_after(), Duration::ZERO)
    }

    /// Forgets one key.
    pub fn reset<E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        let next = self.with(key, read, |shard, now| self.reset_one(shard, key, now))?;
        next.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Forgets one key of a shard; its quota stays, and it is open.
    fn reset_one(&self, shard: &mut Shard<A>, key: Fingerprint, now: Instant) -> Option<Waker> {
        let settings = &*shard.terms(&self.settings, key);
        shard.open(key);
        A::reset(shard, settings, key, now)
    }

    /// Forgets all keys.
    pub fn reset_all<E>(&self, mut read: impl FnMut() -> Result<Instant, E>) -> Result<(), E> {
        for index in 0..self.shards.len() {
            let next = self.with_shard(index, &mut read, |shard, now| {
                let keys: Vec<_> = shard.table.iter().map(Slot::key).collect();
                let reset = |key| self.reset_one(shard, key, now);
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
}
