//! Any keyed limiter, however it counts: what composites and those who wait ask of it.

use std::fmt;
use std::task::Waker;
use std::time::Duration;

use super::keyed::Keyed;
use super::told;
use crate::algorithm::{Carry, Limits};
use crate::clock::TimeSource;
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::stats::LimiterStats;
use crate::store::{Grant, Pending, Place, Request, Sight, StoreOptions, Stored, Turn};
use crate::teller::Teller;
use crate::time::Instant;

/// Whether limits were changed: if they make no sense, or the clock has failed, all is as it was.
pub(in crate::limiter) type Changed<S> =
    Result<Result<(), InvalidConfig>, <S as TimeSource>::Error>;

/// A keyed limiter whose algorithm one need not know.
pub trait Part<S: TimeSource>: fmt::Debug + Send + Sync {
    /// Returns the clock it reads.
    fn source(&self) -> &S;

    /// Returns what it is called.
    fn name(&self) -> &'static str;

    /// Returns whether a function of the user's is asked about each key.
    fn has_rules(&self) -> bool;

    /// Returns who listens.
    fn teller(&self) -> &Teller;

    /// As `check`, for whoever is watched; at a reading that is there already, if one is.
    fn check_watched(
        &self,
        key: &str,
        cost: u64,
        now: Option<Instant>,
    ) -> Result<(Decision, Sight), S::Error>;

    /// As `reserve`, for whoever is watched.
    fn reserve_watched(&self, key: &str, request: Request) -> Result<(Turn, Sight), S::Error>;

    /// Returns the most permits admitted to one key in any window.
    fn bound(&self, window: Duration) -> u64;

    /// As `bound`, for one key, whatever quota it has.
    fn bound_of(&self, key: &str, window: Duration) -> Result<u64, S::Error>;

    /// Returns the limits of keys that have none of their own.
    fn limits(&self) -> Limits;

    /// Closes a key for so long, or longer; false if there is no room to remember it.
    fn penalise(&self, key: &str, span: Duration) -> Result<bool, S::Error>;

    /// Changes the limits of all keys that have none of their own, or those of one key.
    fn change(&self, key: Option<&str>, limits: &Limits, carry: Carry) -> Changed<S>;

    /// Takes a key's own limits away.
    fn unconfigure(&self, key: &str, carry: Carry) -> Result<(), S::Error>;

    /// Gives back so much of what a key took last.
    fn return_some(&self, key: &str, cost: u64) -> Result<(), S::Error>;

    /// Returns what it remembers.
    fn options(&self) -> &StoreOptions;

    /// Returns whether each key has a count of its own.
    fn per_key(&self) -> bool;

    /// Returns whether a key is remembered.
    fn contains(&self, key: &str) -> Result<bool, S::Error>;

    /// Returns how many keys are remembered.
    fn remembered(&self) -> Result<usize, S::Error>;

    /// Returns how many keys were forgotten though they were not as new.
    fn evicted_live(&self) -> u64;

    /// Returns how many newcomers were refused because there was no room for them.
    fn refused_new(&self) -> u64;

    /// Returns what became of all who asked.
    fn stats(&self) -> Result<LimiterStats, S::Error>;

    /// Writes down what is remembered.
    fn snapshot(&self) -> Result<Vec<u8>, S::Error>;

    /// Remembers what a snapshot does; refused whole, all is as it was.
    fn restore(&self, snapshot: &[u8]) -> Result<Result<(), InvalidConfig>, S::Error>;

    /// Takes if possible now; never waits.
    fn allow(&self, key: &str, cost: u64) -> Result<bool, S::Error>;

    /// Takes for each of several calls, in order, at one reading of the clock.
    fn allow_many(&self, asks: &[(&str, u64)]) -> Result<Vec<bool>, S::Error>;

    /// As `allow`, with the numbers.
    fn check(&self, key: &str, cost: u64) -> Result<Decision, S::Error>;

    /// Says what `check` would say, without taking.
    fn peek(&self, key: &str, cost: u64) -> Result<Decision, S::Error>;

    /// As `allow`, for whoever may give it back.
    fn take(&self, key: &str, cost: u64) -> Result<Option<Grant>, S::Error>;

    /// Takes, now or later.
    fn reserve(&self, key: &str, request: Request) -> Result<Turn, S::Error>;

    /// Takes, now or later, for whoever gives nothing back of what is there at once.
    fn enter(&self, key: &str, request: Request) -> Result<Turn<()>, S::Error>;

    /// Says how long one would have to wait.
    fn quote(&self, key: &str, request: Request) -> Result<RetryAfter, S::Error>;

    /// Returns whether a wait may become longer while it lasts, since others may go before; then
    /// whoever has no more time leaves, and whoever was told to sleep asks again after it.
    fn waits_may_grow(&self) -> bool {
        false
    }

    /// Takes if acquiring makes one wait not at all.
    fn take_at_once(&self, key: &str, request: Request) -> Result<Option<Grant>, S::Error> {
        let request = Request { timeout: Some(Duration::ZERO), ..request };
        match self.reserve(key, request)? {
            Turn::Now(grant) => Ok(Some(grant)),
            Turn::Wait(..) | Turn::Refused(_) => Ok(None),
        }
    }

    /// Keeps the waker of one who waits, and returns how long it has to sleep.
    fn arm(&self, place: Place, waker: Waker) -> Result<Pending, S::Error>;

    /// Lets one who waits go if it is its time; `waker` is that of the task that asks.
    fn claim(
        &self,
        place: Place,
        waker: Option<&Waker>,
    ) -> Result<Result<Grant, Pending>, S::Error>;

    /// Lets a sleeper that cannot be moved go: it has slept for as long as it was told. If it has
    /// been pushed back since, it is told for how long to sleep again.
    fn arrived(&self, place: Place) -> Result<Grant, Pending>;

    /// Lets one who waits leave.
    fn leave(&self, place: Place);

    /// Gives back what a take can still give.
    fn give_back(&self, grant: Grant);

    /// Forgets one key.
    fn reset(&self, key: &str) -> Result<(), S::Error>;

    /// Forgets all keys.
    fn reset_all(&self) -> Result<(), S::Error>;
}

impl<S: TimeSource, A: Stored> Part<S> for Keyed<S, A> {
    #[inline]
    fn source(&self) -> &S {
        self.source()
    }

    fn name(&self) -> &'static str {
        self.store().bucket().name()
    }

    fn has_rules(&self) -> bool {
        self.has_rules()
    }

    fn teller(&self) -> &Teller {
        self.teller()
    }

    fn check_watched(
        &self,
        key: &str,
        cost: u64,
        now: Option<Instant>,
    ) -> Result<(Decision, Sight), S::Error> {
        let read = told::read_from(self.source(), now);
        self.store().check_watched(self.fingerprint(key)?, cost, read)
    }

    fn reserve_watched(&self, key: &str, request: Request) -> Result<(Turn, Sight), S::Error> {
        self.store().reserve_watched(self.fingerprint(key)?, request, || self.source().now())
    }

    fn bound(&self, window: Duration) -> u64 {
        self.store().bucket().bound(window)
    }

    fn bound_of(&self, key: &str, window: Duration) -> Result<u64, S::Error> {
        Ok(self.store().bucket_of(self.fingerprint(key)?).bound(window))
    }

    fn limits(&self) -> Limits {
        self.store().bucket().limits()
    }

    fn penalise(&self, key: &str, span: Duration) -> Result<bool, S::Error> {
        self.store().penalise(self.fingerprint(key)?, span, || self.source().now())
    }

    fn change(&self, key: Option<&str>, limits: &Limits, carry: Carry) -> Changed<S> {
        let (read, changed) = (|| self.source().now(), |bucket: &A| bucket.changed(limits));
        match key {
            Some(key) => self.store().configure(self.fingerprint(key)?, changed, carry, read),
            None => self.store().reconfigure(changed, carry, read),
        }
    }

    fn unconfigure(&self, key: &str, carry: Carry) -> Result<(), S::Error> {
        self.store().unconfigure(self.fingerprint(key)?, carry, || self.source().now())
    }

    fn return_some(&self, key: &str, cost: u64) -> Result<(), S::Error> {
        self.store().return_some(self.fingerprint(key)?, cost, self.source().now().ok());
        Ok(())
    }

    fn options(&self) -> &StoreOptions {
        self.store().options()
    }

    fn per_key(&self) -> bool {
        self.per_key()
    }

    fn contains(&self, key: &str) -> Result<bool, S::Error> {
        self.contains(self.fingerprint(key)?)
    }

    fn remembered(&self) -> Result<usize, S::Error> {
        self.remembered()
    }

    fn evicted_live(&self) -> u64 {
        self.store().evicted_live()
    }

    fn refused_new(&self) -> u64 {
        self.store().refused_new()
    }

    fn stats(&self) -> Result<LimiterStats, S::Error> {
        self.store().stats(|| self.source().now())
    }

    fn snapshot(&self) -> Result<Vec<u8>, S::Error> {
        self.snapshot()
    }

    fn restore(&self, snapshot: &[u8]) -> Result<Result<(), InvalidConfig>, S::Error> {
        self.restore(snapshot)
    }

    fn allow(&self, key: &str, cost: u64) -> Result<bool, S::Error> {
        if self.teller().is_heard() {
            return Ok(told::check(self, key, cost)?.allowed);
        }
        if A::ONE_WORD {
            // Laid out here as well, `allow` would be slower where buckets are asked directly.
            return Ok(Part::take(self, key, cost)?.is_some());
        }
        self.allow(self.fingerprint(key)?, cost)
    }

    fn allow_many(&self, asks: &[(&str, u64)]) -> Result<Vec<bool>, S::Error> {
        if self.teller().is_heard() {
            return told::allow_many(self, asks);
        }
        let of = |(key, cost): &(&str, u64)| Ok((self.fingerprint(key)?, *cost));
        self.allow_many(&asks.iter().map(of).collect::<Result<Vec<_>, _>>()?, |ask| *ask)
    }

    fn check(&self, key: &str, cost: u64) -> Result<Decision, S::Error> {
        if self.teller().is_heard() {
            return told::check(self, key, cost);
        }
        self.check(self.fingerprint(key)?, cost)
    }

    fn peek(&self, key: &str, cost: u64) -> Result<Decision, S::Error> {
        self.peek(self.fingerprint(key)?, cost)
    }

    fn take(&self, key: &str, cost: u64) -> Result<Option<Grant>, S::Error> {
        self.store().take(self.fingerprint(key)?, cost, || self.source().now())
    }

    fn reserve(&self, key: &str, request: Request) -> Result<Turn, S::Error> {
        if self.teller().is_heard() && !request.is_of_several() {
            return told::reserve(self, key, request);
        }
        self.store().reserve(self.fingerprint(key)?, request, || self.source().now())
    }

    #[inline]
    fn enter(&self, key: &str, request: Request) -> Result<Turn<()>, S::Error> {
        if self.teller().is_heard() && !request.is_of_several() {
            return Ok(told::reserve(self, key, request)?.map(drop));
        }
        self.store().enter(self.fingerprint(key)?, request, || self.source().now())
    }

    fn quote(&self, key: &str, request: Request) -> Result<RetryAfter, S::Error> {
        self.quote(self.fingerprint(key)?, request)
    }

    fn arm(&self, place: Place, waker: Waker) -> Result<Pending, S::Error> {
        self.store().arm(place, waker, || self.source().now())
    }

    fn claim(
        &self,
        place: Place,
        waker: Option<&Waker>,
    ) -> Result<Result<Grant, Pending>, S::Error> {
        self.store().claim_for(place, waker, || self.source().now())
    }

    fn arrived(&self, place: Place) -> Result<Grant, Pending> {
        self.store().arrived(place, self.source().now().ok())
    }

    fn leave(&self, place: Place) {
        self.store().leave(place, self.source().now().ok());
    }

    fn give_back(&self, grant: Grant) {
        self.give_back(grant);
    }

    fn reset(&self, key: &str) -> Result<(), S::Error> {
        self.reset(self.fingerprint(key)?)
    }

    fn reset_all(&self) -> Result<(), S::Error> {
        self.reset_all()
    }
}
