//! What an observer sees of a step: how things stood just before it, and how they stand after it.

use super::answer::{Grant, Outcome, Request, Turn};
use super::shard::Shard;
use super::stored::Stored;
use super::{Full, Store};
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::time::Instant;

/// How things stood before a step, and how they stand after it, under one lock.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// How many permits there are in all.
    pub limit: u32,
    /// How many were left before.
    pub before: u32,
    /// How many are left now.
    pub after: u32,
    /// Whether the key was not remembered.
    pub is_new: bool,
}

impl Sight {
    /// Guesses what was before from what a call took, where nothing is ever owed.
    pub fn behind(decision: &Decision, cost: u64, is_new: bool) -> Self {
        let Decision { limit, remaining: after, allowed, .. } = *decision;
        let taken = if allowed { u32::try_from(cost).unwrap_or(u32::MAX) } else { 0 };
        Self { limit, before: after.saturating_add(taken).min(limit), after, is_new }
    }
}

/// What came of a step, and what there was to see.
struct Watched<T>(T, Sight);

impl<T: Outcome> Outcome for Watched<T> {
    fn is_taken(&self) -> bool {
        self.0.is_taken()
    }

    fn in_doubt(self) -> Self {
        Self(self.0.in_doubt(), self.1)
    }
}

impl<A: Stored> Store<A> {
    /// As `check`, for whoever is watched.
    pub fn check_watched<E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(Decision, Sight), E> {
        let settings = &self.settings;
        let seen = self.watched(key, read, |shard, now| {
            let answer = match shard.allow(settings, key, cost, now)? {
                Some(()) => RetryAfter::Now,
                None => A::retry_in(shard, &shard.terms(settings, key), key, cost, now),
            };
            Ok(A::standing(shard, &shard.terms(settings, key), key, answer, now))
        })?;
        Ok(seen.unwrap_or_else(|| (self.no_room(), self.nothing())))
    }

    /// As `reserve`, for whoever is watched.
    pub fn reserve_watched<E>(
        &self,
        key: Fingerprint,
        request: Request,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(Turn, Sight), E> {
        let settings = &self.settings;
        let same = |grant: Grant| grant;
        let reserve =
            |shard: &mut Shard<A>, now| shard.reserve_as(settings, key, request, now, same);
        let seen = self.watched(key, read, reserve)?;
        Ok(seen.unwrap_or_else(|| (Turn::Refused(self.room_after()), self.nothing())))
    }

    /// Runs a step between two looks.
    fn watched<T: Outcome, E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
        step: impl Fn(&mut Shard<A>, Instant) -> Result<T, Full> + Copy,
    ) -> Result<Option<(T, Sight)>, E> {
        let settings = &self.settings;
        let watch = move |shard: &mut Shard<A>, now| {
            let is_new = shard.slot(key).is_none();
            let look = |shard: &mut Shard<A>| {
                let terms = shard.terms(settings, key);
                A::standing(shard, &terms, key, RetryAfter::Now, now)
            };
            let Decision { remaining: before, limit, .. } = look(shard);
            let done = step(shard, now)?;
            let after = look(shard).remaining;
            Ok(Watched(done, Sight { limit, before, after, is_new }))
        };
        Ok(self.with_room(key, read, watch)?.map(|Watched(done, sight)| (done, sight)))
    }

    /// What there is to see where there is no room.
    fn nothing(&self) -> Sight {
        Sight { limit: self.bucket().capacity(), before: 0, after: 0, is_new: true }
    }
}
