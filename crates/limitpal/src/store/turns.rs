//! Taking now or later: the calls of those who are ready to wait, and what they may give back.

use std::task::Waker;
use std::time::Duration;

use super::access::Way;
use super::answer::{Entered, Grant, Pending, Place, Request, Turn};
use super::shard::{Settings, Shard};
use super::stored::{Shortcut, Stored};
use super::timeline::bounded;
use super::{Full, Store};
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::time::Instant;

impl<A: Stored> Store<A> {
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
        let mut waits = None;
        Ok(self.enter_or(&mut waits, key, request, read)?.turn(waits))
    }

    /// As `enter`: answered in registers, since what goes through memory is waited for; but where
    /// and for how long one waits stands in `waits`.
    #[inline(always)] // so that it is written and read once
    pub(crate) fn enter_or<E>(
        &self,
        waits: &mut Option<(Place, Duration)>,
        key: Fingerprint,
        request: Request,
        mut read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Entered, E> {
        match self.way() {
            Way::Front(front) => return self.enter_in_front(front, waits, (key, request), read),
            Way::Lock => {
                let enter = |shard: &mut Shard<A>, now| {
                    shard.enter(&self.settings, key, request, now, waits)
                };
                if let Ok(entered) = self.with(key, &mut read, enter)? {
                    return Ok(entered);
                }
            }
            Way::Direct(_) => {}
        }
        Ok(self.reserve_as(key, request, read, drop)?.entered(waits))
    }

    #[inline(never)] // or it would be laid out wherever `enter` is
    fn reserve_as<T, E>(
        &self,
        key: Fingerprint,
        request: Request,
        mut read: impl FnMut() -> Result<Instant, E>,
        make: impl Fn(Grant) -> T + Copy,
    ) -> Result<Turn<T>, E> {
        let reserve =
            |shard: &mut Shard<A>, now| shard.reserve_as(&self.settings, key, request, now, make);
        let turn = match &self.direct {
            // A step of its own, so that it is laid out here: its answer would go through memory.
            None => match self.with(key, &mut read, |shard, now| {
                shard.reserve_as(&self.settings, key, request, now, make)
            })? {
                Ok(turn) => Some(turn),
                Err(Full) => self.with_room_made(key, read, reserve)?,
            },
            Some(direct) => {
                let (now, cost) = (read()?, request.cost);
                let bucket = &self.settings.bucket;
                let take = |state: &mut A::State| bucket.take_in_turn(state, cost, bounded(now));
                if let Ok(Some(grant)) = direct.change(cost, false, take) {
                    return Ok(Turn::Now(make(grant)));
                }
                self.with_room(key, || Ok(now), reserve)?
            }
        };
        Ok(turn.unwrap_or_else(|| Turn::Refused(self.room_after())))
    }

    /// Says how long `reserve` would have one wait, without taking.
    pub fn quote<E>(
        &self,
        key: Fingerprint,
        request: Request,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<RetryAfter, E> {
        let quote = |shard: &mut Shard<A>, now| {
            let settings = &*shard.terms(&self.settings, key);
            A::quote(shard, settings, key, request, now)
        };
        Ok(self.look(key, request.cost, read, quote)?.unwrap_or_else(|| self.room_after()))
    }

    /// Keeps the waker of one who waits, and returns how long it has to sleep.
    pub fn arm<E>(
        &self,
        place: Place,
        waker: Waker,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Pending, E> {
        let mut waker = Some(waker);
        let arm = |shard: &mut Shard<A>, now| {
            let settings = &*shard.terms(&self.settings, place.key);
            A::arm(shard, settings, place, waker.take(), now)
        };
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
        let claim = |shard: &mut Shard<A>, now| {
            if let Some(due) = shard.turned_away(place) {
                shard.tally.turned_away(now);
                return Err(Pending::refused(due, now));
            }
            let settings = &*shard.terms(&self.settings, place.key);
            match A::still(shard, settings, place, waker, now) {
                Some(pending) if pending.refused.is_some() => {
                    Ok((Err(pending), shard.turn_out(settings, place, now)))
                }
                Some(pending) => Err(pending),
                None => {
                    shard.has_come(now);
                    let (grant, wakers) = A::go(shard, settings, place, now);
                    Ok((Ok(grant), wakers))
                }
            }
        };
        let claimed = self.with(place.key, read, claim)?;
        Ok(claimed.and_then(|(answer, [next, _own])| {
            next.into_iter().for_each(Waker::wake);
            answer
        }))
    }

    /// Lets a sleeper that cannot be moved go: it has slept for as long as it was told. If it has
    /// been pushed back since, it is told for how long to sleep again.
    ///
    /// `now` is none where the clock itself has failed.
    pub fn arrived(&self, place: Place, now: Option<Instant>) -> Result<Grant, Pending> {
        let mut shard = self.shard(place.key);
        let now = Self::at_last(&mut shard, now);
        if let Some(due) = shard.turned_away(place) {
            let seen = now.min(shard.time.now());
            shard.tally.turned_away(seen);
            return Err(Pending::refused(due, now));
        }
        let settings = shard.terms(&self.settings, place.key);
        if let Some(pending) = A::pushed_back(&mut shard, &settings, place, now) {
            if pending.refused.is_some() {
                let [next, _own] = shard.turn_out(&settings, place, now);
                drop(shard);
                next.into_iter().for_each(Waker::wake);
            }
            return Err(pending);
        }
        let seen = now.min(shard.time.now());
        shard.has_come(seen);
        let (grant, [next, _own]) = A::go(&mut shard, &settings, place, now);
        drop(shard);
        next.into_iter().for_each(Waker::wake);
        Ok(grant)
    }

    /// Lets one who waits leave. `now` is none where the clock itself has failed.
    #[inline(never)] // seldom called, but by all that drops a future
    pub fn leave(&self, place: Place, now: Option<Instant>) {
        let mut shard = self.shard(place.key);
        let now = Self::at_last(&mut shard, now);
        let seen = now.min(shard.time.now());
        match shard.turned_away(place) {
            Some(_) => shard.tally.turned_away(seen),
            None => shard.tally.leaves(seen),
        }
        let settings = shard.terms(&self.settings, place.key);
        let [next, own] = A::leave(&mut shard, &settings, place, now);
        drop(shard);
        next.into_iter().for_each(Waker::wake);
        drop(own);
    }

    /// Gives back what a take can still give. `now` is none where the clock itself has failed.
    pub fn give_back(&self, mut grant: Grant, now: Option<Instant>) {
        let mut shard = self.shard(grant.key);
        if let Some(direct) = &self.direct {
            grant.epoch = direct.epoch(&shard, grant.epoch);
        }
        let now = Self::at_last(&mut shard, now);
        shard.tally.given_back += 1;
        let settings = shard.terms(&self.settings, grant.key);
        let next = A::give_back(&mut shard, &settings, grant, now);
        drop(shard);
        next.into_iter().for_each(Waker::wake);
    }
}

impl<A: Stored> Shard<A> {
    /// As `reserve_as`, for whoever gives nothing back of what is there at once; answered as
    /// `enter_or` is.
    #[inline(never)] // as `allow`
    pub(super) fn enter(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        request: Request,
        now: Instant,
        waits: &mut Option<(Place, Duration)>,
    ) -> Result<Entered, Full> {
        Ok(self.reserve_as(settings, key, request, now, drop)?.entered(waits))
    }

    /// Takes one out of the line whose turn would come too late by now.
    fn turn_out(
        &mut self,
        settings: &Settings<A>,
        place: Place,
        now: Instant,
    ) -> [Option<Waker>; 2] {
        self.tally.turned_away(now.min(self.time.now()));
        A::leave(self, settings, place, now)
    }
}
