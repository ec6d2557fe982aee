//! A bucket that is shared, and the clock it is read by.

use std::fmt;
use std::task::Waker;
use std::time::Duration;

use super::super::keys::{KeyBy, Keys};
use super::super::part::{Changed, Part};
use super::super::told;
use crate::algorithm::{Algorithm, Bucket, Carry, Limits};
use crate::clock::TimeSource;
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::stats::LimiterStats;
use crate::store::{Grant, Pending, Place, Request, Shares, Sight, StoreOptions, Turn};
use crate::teller::Teller;
use crate::time::Instant;

/// One bucket for everybody, of which each active key has a share. The building block of
/// `FairBucket`; the Python package reads clocks that can fail.
pub struct FairKeyed<S: TimeSource> {
    shares: Shares,
    source: S,
    keys: Keys<S::Error>,
    options: StoreOptions,
    teller: Teller,
}

impl<S: TimeSource> FairKeyed<S> {
    /// Makes a full one.
    pub fn new(
        bucket: Bucket,
        active_for: Option<Duration>,
        key_by: Option<KeyBy<S::Error>>,
        source: S,
    ) -> Result<Self, InvalidConfig> {
        let shares = Shares::new(bucket, active_for, source.is_steady())?;
        let (keys, options) = (Keys::new(true, key_by), StoreOptions::default());
        Ok(Self { shares, source, keys, options, teller: Teller::default() })
    }

    /// Returns the bucket and who shares it.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Returns the permits that the whole bucket has now, in fractions.
    pub fn tokens(&self) -> Result<f64, S::Error> {
        self.shares.tokens(|| self.source.now())
    }

    fn fingerprint(&self, key: &str) -> Result<Fingerprint, S::Error> {
        let mut mapped = String::new();
        Ok(match self.keys.text(key, &mut mapped)? {
            Some(text) => self.shares.fingerprint(text),
            None => Fingerprint::EVERYBODY,
        })
    }
}

impl<S: TimeSource> Part<S> for FairKeyed<S> {
    fn source(&self) -> &S {
        &self.source
    }

    fn name(&self) -> &'static str {
        "FairBucket"
    }

    fn has_rules(&self) -> bool {
        self.keys.has_rules()
    }

    fn teller(&self) -> &Teller {
        &self.teller
    }

    // What is within a key's share moves with those who are active: here the two looks are apart.
    fn check_watched(
        &self,
        key: &str,
        cost: u64,
        now: Option<Instant>,
    ) -> Result<(Decision, Sight), S::Error> {
        let (key, read) = (self.fingerprint(key)?, || told::read_from(&self.source, now));
        let is_new = !self.shares.contains(key, read())?;
        let decision = self.shares.check(key, cost, read())?;
        Ok((decision, Sight::behind(&decision, cost, is_new)))
    }

    fn reserve_watched(&self, key: &str, request: Request) -> Result<(Turn, Sight), S::Error> {
        let is_new = !self.contains(key)?;
        let id = self.fingerprint(key)?;
        let turn = self.shares.reserve(id, request, || self.source.now())?;
        let allowed = matches!(turn, Turn::Now(_));
        let decision = Decision { allowed, ..self.peek(key, 1)? };
        Ok((turn, Sight::behind(&decision, request.cost, is_new)))
    }

    fn bound(&self, window: Duration) -> u64 {
        self.shares.bucket().bound(window)
    }

    fn bound_of(&self, _key: &str, window: Duration) -> Result<u64, S::Error> {
        Ok(self.bound(window))
    }

    fn limits(&self) -> Limits {
        self.shares.bucket().limits()
    }

    /// Each key has its share of the one bucket, and nothing of its own to be closed.
    fn penalise(&self, _key: &str, _span: Duration) -> Result<bool, S::Error> {
        Ok(false)
    }

    fn change(&self, _key: Option<&str>, _limits: &Limits, _carry: Carry) -> Changed<S> {
        let advice = "make another: a bucket that is shared keeps its limits";
        Ok(Err(InvalidConfig::new("capacity", "changed", advice)))
    }

    fn unconfigure(&self, _key: &str, _carry: Carry) -> Result<(), S::Error> {
        Ok(())
    }

    /// What went was taken from all, and is given back by who has its grant.
    fn return_some(&self, _key: &str, _cost: u64) -> Result<(), S::Error> {
        Ok(())
    }

    fn options(&self) -> &StoreOptions {
        &self.options
    }

    fn per_key(&self) -> bool {
        true
    }

    fn contains(&self, key: &str) -> Result<bool, S::Error> {
        self.shares.contains(self.fingerprint(key)?, || self.source.now())
    }

    fn remembered(&self) -> Result<usize, S::Error> {
        self.shares.len(|| self.source.now())
    }

    fn evicted_live(&self) -> u64 {
        0
    }

    fn refused_new(&self) -> u64 {
        0
    }

    fn stats(&self) -> Result<LimiterStats, S::Error> {
        self.shares.stats(|| self.source.now())
    }

    fn snapshot(&self) -> Result<Vec<u8>, S::Error> {
        Ok(Vec::new())
    }

    fn restore(&self, _snapshot: &[u8]) -> Result<Result<(), InvalidConfig>, S::Error> {
        let advice = "leave it out: a bucket that is shared begins full";
        Ok(Err(InvalidConfig::new("snapshot", "one of keys", advice)))
    }

    fn allow(&self, key: &str, cost: u64) -> Result<bool, S::Error> {
        if self.teller.is_heard() {
            return Ok(told::check(self, key, cost)?.allowed);
        }
        Ok(self.take(key, cost)?.is_some())
    }

    fn allow_many(&self, asks: &[(&str, u64)]) -> Result<Vec<bool>, S::Error> {
        if self.teller.is_heard() {
            return told::allow_many(self, asks);
        }
        let of = |(key, cost): &(&str, u64)| Ok((self.fingerprint(key)?, *cost));
        let asks = asks.iter().map(of).collect::<Result<Vec<_>, _>>()?;
        self.shares.take_many(&asks, || self.source.now())
    }

    fn check(&self, key: &str, cost: u64) -> Result<Decision, S::Error> {
        if self.teller.is_heard() {
            return told::check(self, key, cost);
        }
        self.shares.check(self.fingerprint(key)?, cost, || self.source.now())
    }

    fn peek(&self, key: &str, cost: u64) -> Result<Decision, S::Error> {
        self.shares.peek(self.fingerprint(key)?, cost, || self.source.now())
    }

    fn take(&self, key: &str, cost: u64) -> Result<Option<Grant>, S::Error> {
        self.shares.take(self.fingerprint(key)?, cost, || self.source.now())
    }

    fn reserve(&self, key: &str, request: Request) -> Result<Turn, S::Error> {
        if self.teller.is_heard() && !request.is_of_several() {
            return told::reserve(self, key, request);
        }
        self.shares.reserve(self.fingerprint(key)?, request, || self.source.now())
    }

    fn enter(&self, key: &str, request: Request) -> Result<Turn<()>, S::Error> {
        Ok(self.reserve(key, request)?.map(drop))
    }

    fn quote(&self, key: &str, request: Request) -> Result<RetryAfter, S::Error> {
        self.shares.quote(self.fingerprint(key)?, request, || self.source.now())
    }

    fn waits_may_grow(&self) -> bool {
        true
    }

    fn arm(&self, place: Place, waker: Waker) -> Result<Pending, S::Error> {
        self.shares.arm(place, waker, || self.source.now())
    }

    fn claim(
        &self,
        place: Place,
        waker: Option<&Waker>,
    ) -> Result<Result<Grant, Pending>, S::Error> {
        self.shares.claim(place, waker, || self.source.now())
    }

    fn arrived(&self, _place: Place) -> Result<Grant, Pending> {
        unreachable!("a wait that may grow ends with a claim")
    }

    fn leave(&self, place: Place) {
        self.shares.leave(place, self.source.now().ok());
    }

    fn give_back(&self, grant: Grant) {
        self.shares.give_back(grant, self.source.now().ok());
    }

    fn reset(&self, key: &str) -> Result<(), S::Error> {
        self.shares.reset(self.fingerprint(key)?, || self.source.now())
    }

    fn reset_all(&self) -> Result<(), S::Error> {
        self.shares.reset_all(|| self.source.now())
    }
}

impl<S: TimeSource> fmt::Debug for FairKeyed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bucket = self.shares.bucket();
        f.debug_struct("FairBucket")
            .field("capacity", &bucket.capacity())
            .field("refill_rate", &bucket.rate())
            .field("clock", &self.source)
            .field("active_for", &self.shares.active_for())
            .finish_non_exhaustive()
    }
}
