//! A bucket in the store: its level includes those who wait, and without them is one word.

use std::task::Waker;

use super::answer::{Grant, Pending, Place, Request, Turn};
use super::direct::Direct;
use super::front::Places;
use super::lineup::Lineup;
use super::shard::{Settings, Shard};
use super::stored::Stored;
use super::{Full, Store};
use crate::algorithm::{Algorithm, Bucket, Carry, KeptLevel, Level};
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::time::Instant;

impl Shard {
    /// Returns the level of a key, whether or not it is remembered.
    pub(super) fn level(&self, settings: &Settings, key: Fingerprint) -> Level {
        let slot = self.table.find(key);
        slot.map_or(settings.bucket.start(), |slot| slot.state.level())
    }
}

impl Store {
    /// Reads something off a key's level.
    pub fn view<T, E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
        view: impl Fn(&Bucket, Level, Instant) -> T,
    ) -> Result<T, E> {
        self.with(key, read, |shard, now| {
            let terms = shard.terms(&self.settings, key);
            view(&terms.bucket, shard.level(&terms, key), shard.opens(key, now))
        })
    }
}

impl Stored for Bucket {
    type Line = Lineup;
    type Shortcut = Direct;
    type Front = Places;
    const ONE_WORD: bool = true;

    fn converted(&self, old: &Self, state: &KeptLevel, now: Instant) -> KeptLevel {
        KeptLevel::of(self.carried(old, state.level(), Carry::Proportional, now))
    }

    /// The level says it, and counts those who wait as well.
    fn facts<'l>(&self, _line: &'l mut Lineup, _now: Instant) -> Option<&'l KeptLevel> {
        None
    }

    #[inline]
    fn take_beside(
        shard: &mut Shard,
        settings: &Settings,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Grant> {
        if settings.bucket.debt() == 0 && shard.lines.is_empty() {
            return None;
        }
        shard.take_owing_or_freed(settings, key, cost, now)
    }

    fn retry_in(
        shard: &mut Shard,
        settings: &Settings,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> RetryAfter {
        let (bucket, opens) = (&settings.bucket, shard.opens(key, now));
        let mut answer = bucket.retry_after(shard.level(settings, key), cost, opens);
        if let Some(place) = shard.find_freed(bucket, key, cost, opens) {
            answer = answer.min(RetryAfter::wait(place.due.saturating_duration_since(opens)));
        }
        answer.later(opens.saturating_duration_since(now))
    }

    fn standing(
        shard: &mut Shard,
        settings: &Settings,
        key: Fingerprint,
        answer: RetryAfter,
        now: Instant,
    ) -> Decision {
        let opens = shard.opens(key, now);
        settings.bucket.decision(shard.level(settings, key), answer, opens).while_closed(now, opens)
    }

    fn reserve(
        shard: &mut Shard,
        settings: &Settings,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> Result<Turn, Full> {
        shard.reserve(settings, key, request, now)
    }

    fn quote(
        shard: &mut Shard,
        settings: &Settings,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> RetryAfter {
        shard.quote(settings, key, request, now)
    }

    fn arm(
        shard: &mut Shard,
        settings: &Settings,
        place: Place,
        waker: Option<Waker>,
        now: Instant,
    ) -> (Option<Waker>, Pending) {
        shard.arm(settings, place, waker, now)
    }

    fn still(
        shard: &mut Shard,
        settings: &Settings,
        place: Place,
        waker: Option<&Waker>,
        now: Instant,
    ) -> Option<Pending> {
        shard.still(settings, place, waker, now)
    }

    fn go(
        shard: &mut Shard,
        settings: &Settings,
        place: Place,
        now: Instant,
    ) -> (Grant, [Option<Waker>; 2]) {
        shard.go(settings, place, now)
    }

    fn leave(
        shard: &mut Shard,
        settings: &Settings,
        place: Place,
        now: Instant,
    ) -> [Option<Waker>; 2] {
        shard.leave(settings, place, now)
    }

    fn give_back(
        shard: &mut Shard,
        settings: &Settings,
        grant: Grant,
        now: Instant,
    ) -> Option<Waker> {
        shard.give_back(settings, grant, now)
    }

    fn pushed_back(
        shard: &mut Shard,
        settings: &Settings,
        place: Place,
        now: Instant,
    ) -> Option<Pending> {
        let lineup = shard.lines.get_mut(&place.key)?;
        let spot = lineup.find(place.id)?;
        let due = lineup.position(&settings.bucket, spot).due;
        let due = lineup.line.waiter_mut(spot).push_back(due, false)?;
        (due > now).then(|| Pending::sleeps(due, now))
    }

    fn rebuild(
        shard: &mut Shard,
        (old, settings): (&Settings, &Settings),
        key: Fingerprint,
        carry: Option<Carry>,
        now: Instant,
    ) -> Vec<Waker> {
        shard.rebuild((old, settings), key, carry, now)
    }

    fn return_some(
        shard: &mut Shard,
        settings: &Settings,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Waker> {
        shard.return_some(settings, key, cost, now)
    }

    fn reset(
        shard: &mut Shard,
        settings: &Settings,
        key: Fingerprint,
        now: Instant,
    ) -> Option<Waker> {
        shard.reset(settings, key, now)
    }
}

impl Shard {
    #[inline(never)] // seldom, and the frame of those who are refused is smaller without
    fn take_owing_or_freed(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Grant> {
        if settings.bucket.debt() > 0
            && let Some(slot) = self.slot(key)
            && let Some(mark) = Algorithm::take_owing(&settings.bucket, &mut slot.state, cost, now)
        {
            return Some(self.grant(key, cost, mark));
        }
        self.take_freed(settings, key, cost, now)
    }
}
