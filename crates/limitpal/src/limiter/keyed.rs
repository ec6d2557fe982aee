//! A limiter with a bucket for each key: a store and the clock it is read by.

use std::fmt;

use super::keys::{KeyBy, Keys, QuotaBy};
use super::told;
use crate::algorithm::Bucket;
use crate::clock::TimeSource;
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::store::{Evict, Grant, Request, Scope, Store, StoreOptions, Stored};
use crate::teller::Teller;

/// What a keyed limiter does besides counting.
pub struct KeyedOptions<E> {
    /// What is remembered, and how long.
    pub store: StoreOptions,
    /// A bucket for each key, or one for everybody.
    pub per_key: bool,
    /// Maps a caller's key to the bucket's.
    pub key_by: Option<KeyBy<E>>,
    /// Says what limits of its own a key has that is new.
    pub quota: Option<QuotaBy<E>>,
}

impl<E> Default for KeyedOptions<E> {
    fn default() -> Self {
        Self { store: StoreOptions::default(), per_key: true, key_by: None, quota: None }
    }
}

impl<E> fmt::Debug for KeyedOptions<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedOptions")
            .field("store", &self.store)
            .field("per_key", &self.per_key)
            .finish_non_exhaustive()
    }
}

/// Buckets by key, and the clock they are read by. The building block of every limiter; the
/// Python package reads clocks that can fail.
///
/// Nobody hears of what it is asked in its own words: those who listen are told of what is asked
/// of it as a `Part`.
pub struct Keyed<S: TimeSource, A: Stored = Bucket> {
    store: Store<A>,
    source: S,
    keys: Keys<S::Error>,
    teller: Teller,
}

impl<S: TimeSource, A: Stored> Keyed<S, A> {
    /// Makes a limiter of such buckets.
    pub fn new(
        bucket: A,
        options: KeyedOptions<S::Error>,
        source: S,
    ) -> Result<Self, InvalidConfig> {
        let KeyedOptions { store, per_key, key_by, quota } = options;
        if quota.is_some() && !per_key {
            let advice = "leave it out: one bucket for everybody has one quota";
            return Err(InvalidConfig::new("quota", "a function beside per_key=False", advice));
        }
        let scope = Scope { one_bucket: !per_key, steady_clock: source.is_steady() };
        let keys = Keys::with_quota(per_key, key_by, quota);
        let teller = Teller::default();
        Ok(Self { store: Store::new(bucket, store, scope)?, source, keys, teller })
    }

    /// Returns its buckets.
    pub fn store(&self) -> &Store<A> {
        &self.store
    }

    /// Returns the clock it reads.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Returns who listens.
    pub fn teller(&self) -> &Teller {
        &self.teller
    }

    /// Returns whether each key has a bucket of its own.
    pub fn per_key(&self) -> bool {
        self.keys.per_key()
    }

    /// Returns whether a function of the user's is asked about each key.
    pub fn has_rules(&self) -> bool {
        self.keys.has_rules()
    }

    /// Returns the bucket that a key belongs to.
    #[inline(always)] // so that a key in two registers stays there
    pub fn fingerprint(&self, key: &str) -> Result<Fingerprint, S::Error> {
        if self.keys.has_rules() {
            return self.fingerprint_by_rules(key);
        }
        Ok(match self.keys.per_key() {
            true => self.store.fingerprint(key),
            false => Fingerprint::EVERYBODY,
        })
    }

    /// As `fingerprint`, where one of the user's functions is asked; no lock is held meanwhile.
    #[inline(never)] // nobody prepares for the user's functions who has none
    fn fingerprint_by_rules(&self, key: &str) -> Result<Fingerprint, S::Error> {
        let mut mapped = String::new();
        let Some(text) = self.keys.text(key, &mut mapped)? else {
            return Ok(Fingerprint::EVERYBODY);
        };
        let key = self.store.fingerprint(text);
        if let Some(quota) = self.keys.quota().filter(|_| !self.store.knows(key)) {
            let limits = quota(text)?;
            let changed = |limits| self.store.bucket().changed(&limits).ok();
            self.store.introduce(key, limits.and_then(changed));
        }
        Ok(key)
    }

    /// Takes if possible now; never waits.
    #[inline]
    pub fn allow(&self, key: Fingerprint, cost: u64) -> Result<bool, S::Error> {
        self.store.allow(key, cost, || self.source.now())
    }

    /// As `allow`, for whoever may be heard.
    #[inline]
    pub fn allow_or_tell(&self, key: &str, cost: u64) -> Result<bool, S::Error> {
        if self.teller.is_heard() {
            return told::allow(self, key, cost);
        }
        self.allow(self.fingerprint(key)?, cost)
    }

    /// Takes for each of several calls, in order, at one reading of the clock; `of` says whose and
    /// how much.
    pub fn allow_many<T>(
        &self,
        asks: &[T],
        of: impl Fn(&T) -> (Fingerprint, u64),
    ) -> Result<Vec<bool>, S::Error> {
        self.store.take_many(asks, of, || self.source.now())
    }

    /// As `allow`, with the numbers.
    pub fn check(&self, key: Fingerprint, cost: u64) -> Result<Decision, S::Error> {
        self.store.check(key, cost, || self.source.now())
    }

    /// Says what `check` would say, without taking.
    pub fn peek(&self, key: Fingerprint, cost: u64) -> Result<Decision, S::Error> {
        self.store.peek(key, cost, || self.source.now())
    }

    /// Says how long one would have to wait to acquire.
    pub fn quote(&self, key: Fingerprint, request: Request) -> Result<RetryAfter, S::Error> {
        self.store.quote(key, request, || self.source.now())
    }

    /// Gives back what a take can still give.
    pub fn give_back(&self, grant: Grant) {
        self.store.give_back(grant, self.source.now().ok());
    }

    /// Forgets one key.
    pub fn reset(&self, key: Fingerprint) -> Result<(), S::Error> {
        self.store.reset(key, || self.source.now())
    }

    /// Forgets all keys.
    pub fn reset_all(&self) -> Result<(), S::Error> {
        self.store.reset_all(|| self.source.now())
    }

    /// Writes down what is remembered.
    pub fn snapshot(&self) -> Result<Vec<u8>, S::Error> {
        self.store.snapshot(|| self.source.now())
    }

    /// Remembers what a snapshot does.
    pub fn restore(&self, snapshot: &[u8]) -> Result<Result<(), InvalidConfig>, S::Error> {
        self.store.restore(snapshot, || self.source.now())
    }

    /// Returns whether a key is remembered.
    pub fn contains(&self, key: Fingerprint) -> Result<bool, S::Error> {
        self.store.contains(key, || self.source.now())
    }

    /// Returns how many keys are remembered.
    pub fn remembered(&self) -> Result<usize, S::Error> {
        self.store.len(|| self.source.now())
    }
}

impl<S: TimeSource> Keyed<S> {
    /// Returns the permits left now, in fractions.
    pub fn tokens(&self, key: Fingerprint) -> Result<f64, S::Error> {
        self.store.view(key, || self.source.now(), Bucket::tokens)
    }

    /// Returns the backlog in whole permits, rounded up.
    pub fn queued(&self, key: Fingerprint) -> Result<u64, S::Error> {
        self.store.view(key, || self.source.now(), Bucket::queued)
    }
}

impl<S: TimeSource, A: Stored> fmt::Debug for Keyed<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bucket, options) = (self.store.bucket(), self.store.options());
        let mut debug = f.debug_struct(bucket.name());
        bucket.show(&mut debug);
        debug.field("clock", &self.source);
        if let Some(ttl) = options.ttl {
            debug.field("ttl", &ttl);
        }
        if let Some(max_buckets) = options.max_buckets {
            debug.field("max_buckets", &max_buckets);
        }
        if options.evict != Evict::default() {
            debug.field("evict", &options.evict);
        }
        if !self.per_key() {
            debug.field("per_key", &false);
        }
        debug.finish_non_exhaustive()
    }
}
