//! One bucket for everybody, of which each active key has a share, and those who wait for theirs.
//!
//! As everywhere in the store: nothing here reads a clock, and a waker is woken, and dropped,
//! outside the lock.

mod line;
mod members;
mod state;
mod turns;

use std::task::Waker;
use std::time::Duration;

use self::state::{State, Terms};
use super::answer::{Grant, Pending, Place, Request, Turn};
use super::timeline::Reading;
use crate::algorithm::Bucket;
use crate::config::{self, InvalidConfig};
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::{Fingerprint, LockGuard, Shards};
use crate::stats::LimiterStats;
use crate::time::Instant;

/// For how long a key is active at least, where nobody says for how long.
const MINUTE: Duration = Duration::from_secs(60);

/// One bucket, shared by the keys that are active.
#[derive(Debug)]
pub struct Shares {
    state: Shards<State>,
    terms: Terms,
}

impl Shares {
    /// Makes a full bucket; without `active_for`, a key is active for as long as the bucket takes
    /// to fill, and a minute at least.
    pub fn new(
        bucket: Bucket,
        active_for: Option<Duration>,
        is_steady: bool,
    ) -> Result<Self, InvalidConfig> {
        if let Some(active_for) = active_for {
            config::positive("active_for", active_for)?;
        }
        let active_for = active_for.unwrap_or_else(|| bucket.fills_in().max(MINUTE));
        let terms = Terms { bucket, active_for };
        Ok(Self { state: Shards::new(1, || State::new(is_steady)), terms })
    }

    /// Returns the bucket.
    pub fn bucket(&self) -> &Bucket {
        &self.terms.bucket
    }

    /// Returns for how long a key has a share once it has asked.
    pub fn active_for(&self) -> Duration {
        self.terms.active_for
    }

    /// Returns the fingerprint of a key.
    #[inline]
    pub fn fingerprint(&self, key: &str) -> Fingerprint {
        self.state.fingerprint(key)
    }

    /// Runs `step` under the lock, at a time that is not older than the last.
    fn with<T, E>(
        &self,
        mut read: impl FnMut() -> Result<Instant, E>,
        mut step: impl FnMut(&mut State, &Terms, Instant) -> T,
    ) -> Result<T, E> {
        let mut reading = Reading::first(read()?);
        loop {
            let mut state = self.lock();
            match state.time.at(reading) {
                Ok(now) => return Ok(step(&mut state, &self.terms, now)),
                Err(stale) => {
                    drop(state);
                    reading = stale.again(read()?);
                }
            }
        }
    }

    fn lock(&self) -> LockGuard<'_, State> {
        self.state.lock(0)
    }

    /// As `with`, for a step that must not fail; without a reading nothing is given back.
    fn at_last<T>(
        &self,
        now: Option<Instant>,
        step: impl FnOnce(&mut State, &Terms, Instant) -> T,
    ) -> T {
        let mut state = self.lock();
        let now = match now {
            Some(now) => state.time.at(Reading::first(now)).unwrap_or_else(|_| state.time.now()),
            None => Instant::MAX,
        };
        step(&mut state, &self.terms, now)
    }

    /// Takes if possible now.
    pub fn take<E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Option<Grant>, E> {
        self.with(read, |state, terms, now| {
            let taken = state.take(terms, key, cost, now);
            state.count(taken.is_some());
            taken
        })
    }

    /// Takes for each of several calls, in order, at one reading of the clock.
    pub fn take_many<E>(
        &self,
        asks: &[(Fingerprint, u64)],
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Vec<bool>, E> {
        self.with(read, |state, terms, now| {
            let take = |(key, cost): &(_, _)| {
                let is_taken = state.take(terms, *key, *cost, now).is_some();
                state.count(is_taken);
                is_taken
            };
            asks.iter().map(take).collect()
        })
    }

    /// Takes if possible now, and says how things stand then.
    pub fn check<E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Decision, E> {
        self.with(read, |state, terms, now| {
            let taken = state.take(terms, key, cost, now);
            state.count(taken.is_some());
            let answer = match taken {
                Some(_) => RetryAfter::Now,
                None => state.retry_in(terms, key, cost, now),
            };
            state.standing(terms, key, answer, now)
        })
    }

    /// Says what `check` would say, without taking, and without making the key active.
    pub fn peek<E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Decision, E> {
        self.with(read, |state, terms, now| {
            state.members.forget_idle(terms.active_for, now);
            let answer = state.retry_in(terms, key, cost, now);
            state.standing(terms, key, answer, now)
        })
    }

    /// Takes, now or later.
    pub fn reserve<E>(
        &self,
        key: Fingerprint,
        request: Request,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Turn, E> {
        self.with(read, |state, terms, now| {
            let turn = state.reserve(terms, key, request, now);
            match turn {
                Turn::Now(_) => state.count(true),
                Turn::Wait(..) => state.tally.comes(now),
                Turn::Refused(_) => state.count(false),
            }
            turn
        })
    }

    /// Says how long `reserve` would have one wait, without taking.
    pub fn quote<E>(
        &self,
        key: Fingerprint,
        request: Request,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<RetryAfter, E> {
        self.with(read, |state, terms, now| {
            state.members.forget_idle(terms.active_for, now);
            state.quote(terms, key, request.cost, now)
        })
    }

    /// Keeps the waker of one who waits, and returns how long it has to sleep.
    pub fn arm<E>(
        &self,
        place: Place,
        waker: Waker,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Pending, E> {
        let mut waker = Some(waker);
        let arm =
            |state: &mut State, terms: &Terms, now| state.arm(terms, place, waker.take(), now);
        let (_replaced, pending) = self.with(read, arm)?;
        Ok(pending)
    }

    /// Lets one who waits go if it is its time, else says how long it still is.
    pub fn claim<E>(
        &self,
        place: Place,
        waker: Option<&Waker>,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<Grant, Pending>, E> {
        let claimed = self.with(read, |state, terms, now| {
            let claimed = state.claim(terms, place, waker, now);
            if claimed.is_ok() {
                state.tally.goes(now);
                state.count(true);
            }
            claimed
        })?;
        Ok(claimed.map(|(grant, [next, _own])| {
            next.into_iter().for_each(Waker::wake);
            grant
        }))
    }

    /// Lets one who waits leave. `now` is none where the clock itself has failed.
    pub fn leave(&self, place: Place, now: Option<Instant>) {
        let [next, own] = self.at_last(now, |state, terms, now| {
            let now = seen(state, now);
            state.tally.leaves(now);
            state.leave(terms, place, now)
        });
        next.into_iter().for_each(Waker::wake);
        drop(own);
    }

    /// Gives back what a take can still give. `now` is none where the clock itself has failed.
    pub fn give_back(&self, grant: Grant, now: Option<Instant>) {
        let next = self.at_last(now, |state, terms, now| {
            state.tally.given_back += 1;
            state.give_back(terms, grant, now)
        });
        next.into_iter().for_each(Waker::wake);
    }

    /// Forgets what one key has had of its share; the whole stays as it is.
    pub fn reset<E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        let next = self.with(read, |state, terms, now| state.reset(terms, key, now))?;
        next.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Fills the bucket, and forgets what all have had.
    pub fn reset_all<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<(), E> {
        let next = self.with(read, |state, terms, now| state.reset_all(terms, now))?;
        next.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Returns whether a key is active.
    pub fn contains<E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<bool, E> {
        self.with(read, |state, terms, now| {
            state.members.forget_idle(terms.active_for, now);
            state.members.find(key).is_some()
        })
    }

    /// Returns how many keys are active.
    pub fn len<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<usize, E> {
        self.with(read, |state, terms, now| {
            state.members.forget_all_idle(terms.active_for, now);
            state.members.len()
        })
    }

    /// Returns what became of all who asked; its keys are those that are active.
    pub fn stats<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<LimiterStats, E> {
        self.with(read, |state, terms, now| {
            state.members.forget_all_idle(terms.active_for, now);
            let mut stats = LimiterStats {
                admitted: state.admitted,
                refused: state.refused,
                keys: state.members.len(),
                ..LimiterStats::default()
            };
            state.tally.add_to(&mut stats, now);
            stats
        })
    }

    /// Returns the permits that the whole bucket has now, in fractions.
    pub fn tokens<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<f64, E> {
        self.with(read, |state, terms, now| terms.bucket.tokens(state.level, now))
    }
}

/// Returns the time of a step that must not fail: never ahead of what has been seen.
fn seen(state: &State, now: Instant) -> Instant {
    now.min(state.time.now())
}
