//! Whose turn it is among those who wait for a bucket that is shared: the first of the key that has
//! been served least.

use std::task::Waker;
use std::time::Duration;

use super::super::answer::{Grant, Pending, Place};
use super::line::Waiter;
use super::members::Rank;
use super::state::{State, Terms};
use crate::algorithm::{Level, Share};
use crate::shards::Fingerprint;
use crate::time::Instant;
use crate::waiting::Spot;

impl State {
    /// Returns who goes next: of the key that has had least, the first.
    fn next(&self, now: Instant) -> Option<(Fingerprint, Spot)> {
        let first = |(_, key): &(Rank, Fingerprint)| Some((*key, self.line(*key)?.next(now)?));
        self.members.waiting.iter().find_map(first)
    }

    /// Returns when one who waits may go, if nobody else takes; the end of time while others are
    /// next, who will say when they are not.
    fn due(&self, terms: &Terms, key: Fingerprint, spot: Spot, now: Instant) -> Instant {
        let Some(waiter) = self.line(key).map(|line| line.get(spot)) else { return now };
        let share = self.share(key);
        let share = Share { own: terms.bucket.eased(share, waiter.cost, now), ..share };
        let due = terms.bucket.share_due(share, waiter.cost, true);
        if self.next(now) == Some((key, spot)) {
            return due;
        }
        if waiter.fixed {
            // Nobody can tell it: it looks again when another may have gone.
            return due.max(now.saturating_add(terms.bucket.spaced(waiter.cost)));
        }
        Instant::MAX
    }

    /// Keeps the waker of one who waits; returns the waker it had, and how long to sleep.
    pub(super) fn arm(
        &mut self,
        terms: &Terms,
        place: Place,
        waker: Option<Waker>,
        now: Instant,
    ) -> (Option<Waker>, Pending) {
        let found = self.line(place.key).and_then(|line| line.find(place.id));
        let Some(spot) = found else {
            return (
                waker,
                Pending { due: now, wait: Duration::ZERO, has_waker: false, refused: None },
            );
        };
        let due = self.due(terms, place.key, spot, now);
        let replaced = self.waiter(place.key, spot).and_then(|waiter| {
            waiter.armed = due;
            std::mem::replace(&mut waiter.waker, waker)
        });
        let wait = due.saturating_duration_since(now);
        (replaced, Pending { due, wait, has_waker: true, refused: None })
    }

    fn waiter(&mut self, key: Fingerprint, spot: Spot) -> Option<&mut Waiter> {
        Some(self.members.find_mut(key)?.line.as_mut()?.get_mut(spot))
    }

    /// Lets one who waits go if it is its time, with the waker of the next and its own.
    pub(super) fn claim(
        &mut self,
        terms: &Terms,
        place: Place,
        waker: Option<&Waker>,
        now: Instant,
    ) -> Result<(Grant, [Option<Waker>; 2]), Pending> {
        let Place { key, id } = place;
        self.members.forget_idle(terms.active_for, now);
        let Some(spot) = self.line(key).and_then(|line| line.find(id)) else {
            // Nobody knows the place any more: it has waited, so it goes, and returns nothing.
            return Ok((self.grant(key, 0, Level::ZERO), [None, None]));
        };
        if let Some(waiter) = self.waiter(key, spot).filter(|waiter| waiter.fixed) {
            waiter.armed = now; // it is awake
        }
        let due = self.due(terms, key, spot, now);
        if due <= now {
            return Ok(self.go(terms, place, spot, now));
        }
        let waiter = self.waiter(key, spot);
        let has_waker = waiter.is_some_and(|waiter| {
            waiter.armed = due;
            waiter.waker.as_ref().zip(waker).is_some_and(|(own, it)| own.will_wake(it))
        });
        Err(Pending { due, wait: due.saturating_duration_since(now), has_waker, refused: None })
    }

    fn go(
        &mut self,
        terms: &Terms,
        place: Place,
        spot: Spot,
        now: Instant,
    ) -> (Grant, [Option<Waker>; 2]) {
        let key = place.key;
        let share = self.share(key);
        let waiter = self.take_out(key, spot);
        let share = Share { own: terms.bucket.eased(share, waiter.cost, now), ..share };
        let after = terms.bucket.take_share(share, waiter.cost, true, now);
        let after = after.expect("who is due can take");
        let charged = terms.bucket.charged(share, after, now);
        self.level = after.whole;
        self.ranks += 1;
        let ranks = self.ranks;
        if let Some(member) = self.members.find_mut(key) {
            self.served = self.served.max(member.tag);
            (member.level, member.tag) = (after.own, member.tag + waiter.cost);
            let tag = member.tag;
            if let Some(line) = &mut member.line {
                let old = std::mem::replace(&mut line.rank, (tag, ranks));
                self.members.waiting.remove(&(old, key));
                self.members.waiting.insert(((tag, ranks), key));
            } else if self.members.waiting.is_empty() {
                self.served = self.served.max(tag);
            }
        }
        (self.grant(key, waiter.cost, charged), [self.oversleeper(terms, now), waiter.waker])
    }

    /// Takes one out of its line, and the line away with the last.
    fn take_out(&mut self, key: Fingerprint, spot: Spot) -> Waiter {
        let member = self.members.find_mut(key).expect("who waits is active");
        let line = member.line.as_mut().expect("a spot is in a line");
        let waiter = line.remove(spot);
        if line.is_empty() {
            let rank = line.rank;
            member.line = None;
            self.members.waiting.remove(&(rank, key));
        }
        self.wanted -= waiter.cost;
        waiter
    }

    /// Lets one who waits leave; returns the waker of the next, and its own.
    pub(super) fn leave(
        &mut self,
        terms: &Terms,
        place: Place,
        now: Instant,
    ) -> [Option<Waker>; 2] {
        let Some(spot) = self.line(place.key).and_then(|line| line.find(place.id)) else {
            return [None, None];
        };
        let waiter = self.take_out(place.key, spot);
        [self.oversleeper(terms, now), waiter.waker]
    }

    /// Returns the waker of who is next if it sleeps longer than it has to.
    pub(super) fn oversleeper(&mut self, terms: &Terms, now: Instant) -> Option<Waker> {
        let (key, spot) = self.next(now)?;
        let due = self.due(terms, key, spot, now);
        let waiter = self.waiter(key, spot)?;
        if waiter.armed <= due {
            return None;
        }
        waiter.armed = due;
        waiter.waker.clone()
    }
}
