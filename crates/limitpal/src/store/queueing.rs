//! What a shard does for those who come: take, now or later, at a place in line.

use std::num::NonZeroU64;
use std::task::Waker;
use std::time::Duration;

use super::lineup::{Lineup, Position};
use super::moving::Move;
use super::shard::{Settings, Shard};
use super::{Full, Grant, Pending, Place, Request, Turn};
use crate::algorithm::{Bucket, KeptLevel, Level, Mark};
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::time::Instant;
use crate::waiting::{Freed, Spot, Waiter};

/// Where one more would go, and when.
#[derive(Clone, Copy)]
struct Plan {
    position: Position,
    freed: Option<Freed<Level>>,
    /// The first of those who give way to it.
    juniors: Option<Spot>,
}

impl Shard {
    /// Takes, now or later; refuses what would wait longer than the timeout, without taking.
    pub(super) fn reserve(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> Result<Turn, Full> {
        let Request { cost, timeout, .. } = request;
        if !settings.bucket.serves(cost) {
            return Ok(Turn::Refused(RetryAfter::Never));
        }
        let Plan { position, freed, juniors } = self.plan(settings, key, request, now);
        let Position { before, after, due } = position;
        let wait = due.saturating_duration_since(now);
        if timeout.is_some_and(|timeout| wait > timeout) {
            return Ok(Turn::Refused(RetryAfter::After(wait)));
        }
        match (freed, juniors) {
            (Some(place), _) => {
                self.use_freed(key, place, now);
                self.keep_rest(&settings.bucket, key, place, (cost, after));
            }
            (None, Some(junior)) => self.push_back(settings, key, junior, position, now)?,
            (None, None) => self.put(settings, key, KeptLevel::of(after), now)?,
        }
        if wait.is_zero() {
            let before = freed.is_none().then_some(before);
            return Ok(Turn::Now(self.grant(key, cost, Mark { before, after })));
        }
        let id = self.join(settings, key, request, (position, request.until(now)));
        Ok(Turn::Wait(Place { key, id }, wait))
    }

    /// Adds one who waits to the line; returns what it is called there.
    fn join(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        request: Request,
        (position, until): (Position, Instant),
    ) -> NonZeroU64 {
        let Request { cost, fixed, ticket, .. } = request;
        let cost = u32::try_from(cost).expect("only what the capacity can serve waits");
        let mut waiter = Waiter::new(cost, ticket, fixed, position.due);
        waiter.until = until;
        self.places = self.places.wrapping_add(1);
        let lineup = self.lines.entry(key).or_insert_with(Lineup::new);
        lineup.join(&settings.bucket, waiter, self.places, position)
    }

    /// Moves those from one on behind a take that goes before them.
    fn push_back(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        junior: Spot,
        Position { before, after, .. }: Position,
        now: Instant,
    ) -> Result<(), Full> {
        let (mut top, opens) = (self.level(settings, key), self.opens(key, now));
        if let Some(lineup) = self.lines.get_mut(&key) {
            let back = Move::Chain { old: before, new: after };
            top = lineup.move_up(&settings.bucket, (Some(junior), Level::FRESH), back, top, opens);
        }
        self.put(settings, key, KeptLevel::of(top), now)
    }

    /// Says how long a reservation would have to wait.
    pub(super) fn quote(
        &self,
        settings: &Settings,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> RetryAfter {
        if !settings.bucket.serves(request.cost) {
            return RetryAfter::Never;
        }
        let plan = self.plan(settings, key, request, now);
        RetryAfter::wait(plan.position.due.saturating_duration_since(now))
    }

    /// Finds the earliest place for one more: behind everybody, one that was freed, or before
    /// those who give way.
    fn plan(&self, settings: &Settings, key: Fingerprint, request: Request, now: Instant) -> Plan {
        let (bucket, Request { cost, ticket, .. }) = (&settings.bucket, request);
        let (real, now) = (now, self.opens(key, now));
        // A bucket that is closed is as new when it opens, at the earliest.
        let top = self.level(settings, key);
        let top = if now > real { top.max(Level::at(now)) } else { top };
        let behind = |before: Level| {
            let due = bucket.due(bucket.after(before, cost, now), cost).max(now);
            // One goes at a whole nanosecond and is counted from there: the bound holds to the
            // last.
            let position = Position { before, after: bucket.after(before, cost, due), due };
            Plan { position, freed: None, juniors: None }
        };
        let plan = behind(top);
        if plan.position.due <= now {
            return plan;
        }
        if let Some(place) = self.find_freed(bucket, key, cost, now) {
            let position = Self::position_in(bucket, place, cost, now);
            return Plan { position, freed: Some(place), ..plan };
        }
        let Some((lineup, ticket)) = self.lines.get(&key).zip(ticket) else { return plan };
        let Some(junior) = lineup.line.juniors(ticket) else { return plan };
        Plan { juniors: Some(junior), ..behind(lineup.position(bucket, junior).before) }
    }

    /// Finds where one goes from a place that was freed who wants less than all of it: from its
    /// beginning if it comes in time, else from its end.
    fn position_in(bucket: &Bucket, place: Freed<Level>, cost: u64, now: Instant) -> Position {
        let before = place.before;
        let due = bucket.due(bucket.after(before, cost, Instant::MIN), cost).min(place.due);
        if cost < place.cost && now <= due && before < place.after {
            return Position { before, after: bucket.after(before, cost, due), due };
        }
        let end = if cost < place.cost { bucket.started(place.after, cost) } else { before };
        Position { before: before.max(end), after: place.after, due: place.due.max(now) }
    }

    /// Takes a place that a sleeper behind others has left, if one can be had this very moment.
    pub(super) fn take_freed(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Grant> {
        if self.lines.is_empty() {
            return None;
        }
        let place = self.find_freed(&settings.bucket, key, cost, now)?;
        if place.due > now {
            return None;
        }
        self.use_freed(key, place, now);
        self.keep_rest(&settings.bucket, key, place, (cost, place.after));
        Some(self.grant(key, cost, Mark { before: None, after: place.after }))
    }

    /// Returns the earliest freed place that still gives back the whole cost when it is due.
    pub(super) fn find_freed(
        &self,
        bucket: &Bucket,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Freed<Level>> {
        let line = &self.lines.get(&key)?.line;
        line.find_freed(|place| {
            let is_good = now <= place.due || bucket.refunds_all(place.after, cost, now);
            place.cost >= cost && is_good && bucket.may_owe(place.after, cost, place.due)
        })
    }

    fn use_freed(&mut self, key: Fingerprint, place: Freed<Level>, now: Instant) {
        if let Some(lineup) = self.lines.get_mut(&key) {
            lineup.line.take_freed(place);
        }
        let used = self.stamp(now);
        if let Some(slot) = self.slot(key) {
            slot.used = used;
        }
    }

    /// Keeps what is left of a place that one has taken who wants less.
    fn keep_rest(
        &mut self,
        bucket: &Bucket,
        key: Fingerprint,
        place: Freed<Level>,
        (cost, after): (u64, Level),
    ) {
        if cost >= place.cost {
            return;
        }
        let cost_left = place.cost - cost;
        let rest = if after < place.after {
            let due = bucket.due_of_rest((after, place.after), cost_left);
            Freed { cost: cost_left, before: after, due, ..place }
        } else {
            // Who comes when it is due already goes from its end.
            Freed { cost: cost_left, after: bucket.pulled(place.after, bucket.span(cost)), ..place }
        };
        self.lines.entry(key).or_insert_with(Lineup::new).line.free(rest);
    }

    /// Keeps the waker of one who waits; returns the waker it had, and how long to sleep.
    pub(super) fn arm(
        &mut self,
        settings: &Settings,
        place: Place,
        waker: Option<Waker>,
        now: Instant,
    ) -> (Option<Waker>, Pending) {
        let lineup = self.lines.get_mut(&place.key);
        let found = lineup.and_then(|lineup| Some((lineup.find(place.id)?, lineup)));
        let Some((spot, lineup)) = found else {
            return (
                waker,
                Pending { due: now, wait: Duration::ZERO, has_waker: false, refused: None },
            );
        };
        let due = lineup.position(&settings.bucket, spot).due;
        let waiter = lineup.line.waiter_mut(spot);
        waiter.armed = due;
        let replaced = std::mem::replace(&mut waiter.waker, waker);
        let wait = due.saturating_duration_since(now);
        (replaced, Pending { due, wait, has_waker: true, refused: None })
    }

    /// Returns how long one who waits still has to, if at all.
    pub(super) fn still(
        &mut self,
        settings: &Settings,
        place: Place,
        waker: Option<&Waker>,
        now: Instant,
    ) -> Option<Pending> {
        let lineup = self.lines.get_mut(&place.key)?;
        let spot = lineup.find(place.id)?;
        let due = lineup.position(&settings.bucket, spot).due;
        if due <= now {
            return None;
        }
        // Told so, it sleeps until then, though it was to wake earlier once and is not armed anew.
        let waiter = lineup.line.waiter_mut(spot);
        waiter.armed = due;
        let has_waker = waiter.waker.as_ref().zip(waker).is_some_and(|(own, it)| own.will_wake(it));
        let wait = due.saturating_duration_since(now);
        Some(Pending { due, wait, has_waker, refused: None })
    }
}
