//! What happens under the lock of a bucket that is shared: who takes now, and who has to wait.

use std::task::Waker;
use std::time::Duration;

use super::super::answer::{Grant, Place, Request, Turn};
use super::super::tally::Tally;
use super::super::timeline::Timeline;
use super::line::{Line, Waiter};
use super::members::Members;
use crate::algorithm::{Bucket, Level, Share};
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::time::Instant;

/// The settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) bucket: Bucket,
    /// For how long a key has a share once it has asked.
    pub(super) active_for: Duration,
}

/// The one bucket, and those who share it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) time: Timeline,
    pub(super) level: Level,
    pub(super) members: Members,
    /// How much had been served, counted fairly, when the last who waited went: the start tag of
    /// start-time fair queueing (Goyal, Vin and Cheng, 1996).
    pub(super) served: u64,
    /// What all who wait want together.
    pub(super) wanted: u64,
    places: u32,
    /// Counts how often a key has begun to wait, or has gone on after its turn.
    pub(super) ranks: u64,
    /// Takes from before the last reset of all give nothing back.
    epoch: u64,
    pub(super) admitted: u64,
    pub(super) refused: u64,
    pub(super) tally: Tally,
}

impl State {
    pub(super) fn new(is_steady: bool) -> Self {
        Self {
            time: Timeline::new(is_steady),
            level: Level::FRESH,
            members: Members::default(),
            served: 0,
            wanted: 0,
            places: 0,
            ranks: 0,
            epoch: 0,
            admitted: 0,
            refused: 0,
            tally: Tally::default(),
        }
    }

    /// Counts one who asked.
    pub(super) fn count(&mut self, is_taken: bool) {
        if is_taken {
            self.admitted += 1;
        } else {
            self.refused += 1;
        }
    }

    /// Returns a key's share, whether or not it is active.
    pub(super) fn share(&self, key: Fingerprint) -> Share {
        let (own, others) = match self.members.find(key) {
            Some(member) => (member.level, self.members.len() - 1),
            None => (Level::FRESH, self.members.len()),
        };
        Share { whole: self.level, own, keys: others as u64 + 1 }
    }

    /// Returns whether nobody waits: else what the others leave is for those who do.
    fn has_spare(&self) -> bool {
        self.members.waiting.is_empty()
    }

    pub(super) fn line(&self, key: Fingerprint) -> Option<&Line> {
        self.members.find(key)?.line.as_deref()
    }

    /// Takes if possible now; nobody overtakes those who wait for the same key.
    pub(super) fn take(
        &mut self,
        terms: &Terms,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Grant> {
        if !terms.bucket.serves(cost) {
            return None;
        }
        self.members.forget_idle(terms.active_for, now);
        let (whole, has_spare, served) = (self.level, self.has_spare(), self.served);
        let (member, keys) = self.members.touch(key, now);
        let share = Share { whole, own: member.level, keys };
        member.level = terms.bucket.eased(share, cost, now);
        if member.line.is_some() {
            return None;
        }
        let share = Share { own: member.level, ..share };
        let after = terms.bucket.take_share(share, cost, has_spare, now)?;
        let charged = terms.bucket.charged(share, after, now);
        member.level = after.own;
        if !has_spare {
            member.tag = member.tag.max(served) + cost;
        }
        self.level = after.whole;
        Some(self.grant(key, cost, charged))
    }

    /// Returns a take as one that can be given back; what its share was charged stands where others
    /// have the level before it.
    pub(super) fn grant(&self, key: Fingerprint, cost: u64, charged: Level) -> Grant {
        Grant { key, cost, after: self.level, before: Some(charged), epoch: self.epoch }
    }

    /// Returns when a take would succeed, if nobody else takes.
    pub(super) fn retry_in(
        &self,
        terms: &Terms,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> RetryAfter {
        if !terms.bucket.serves(cost) {
            return RetryAfter::Never;
        }
        if self.line(key).is_some() {
            return RetryAfter::After(self.wait(terms, key, cost, now));
        }
        let share = self.share(key);
        let share = Share { own: terms.bucket.eased(share, cost, now), ..share };
        let due = terms.bucket.share_due(share, cost, self.has_spare());
        RetryAfter::wait(due.saturating_duration_since(now))
    }

    /// Puts an answer together with how things stand for a key.
    pub(super) fn standing(
        &self,
        terms: &Terms,
        key: Fingerprint,
        answer: RetryAfter,
        now: Instant,
    ) -> Decision {
        let (bucket, share) = (&terms.bucket, self.share(key));
        let waits = self.line(key).is_some();
        let left = if waits { 0 } else { bucket.share_left(share, self.has_spare(), now) };
        let fresh = bucket.fresh_after(share.whole.max(share.own), now);
        Decision::new(bucket.capacity(), left, answer, fresh)
    }

    /// Returns how long one more would have to wait behind those who do, as things stand.
    fn wait(&self, terms: &Terms, key: Fingerprint, cost: u64, now: Instant) -> Duration {
        let (share, line) = (self.share(key), self.line(key));
        if self.has_spare() {
            let share = Share { own: terms.bucket.eased(share, cost, now), ..share };
            let due = terms.bucket.share_due(share, cost, true);
            return due.saturating_duration_since(now);
        }
        // Of each other key that waits as much goes before as this key has had by then.
        let own = line.map_or(0, Line::cost);
        let others = self.members.waiting.len() - usize::from(line.is_some());
        let ahead = own + (self.wanted - own).min((own + cost).saturating_mul(others as u64));
        let due = terms.bucket.pace_due(share, ahead + cost);
        due.saturating_duration_since(now).max(Duration::from_nanos(1))
    }

    /// Says how long a reservation would have to wait.
    pub(super) fn quote(
        &self,
        terms: &Terms,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> RetryAfter {
        match self.retry_in(terms, key, cost, now) {
            RetryAfter::After(_) => RetryAfter::After(self.wait(terms, key, cost, now)),
            answer => answer,
        }
    }

    /// Takes now, or waits behind those who have had less.
    pub(super) fn reserve(
        &mut self,
        terms: &Terms,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> Turn {
        let Request { cost, timeout, fixed, .. } = request;
        if !terms.bucket.serves(cost) {
            return Turn::Refused(RetryAfter::Never);
        }
        if let Some(grant) = self.take(terms, key, cost, now) {
            return Turn::Now(grant);
        }
        let wait = self.wait(terms, key, cost, now);
        if timeout.is_some_and(|timeout| wait > timeout) {
            return Turn::Refused(RetryAfter::After(wait));
        }
        self.places = self.places.wrapping_add(1);
        self.wanted += cost;
        let (number, served) = (self.places, self.served);
        self.ranks += 1;
        let (ranks, (member, _)) = (self.ranks, self.members.touch(key, now));
        let is_first = member.line.is_none();
        let line = member.line.get_or_insert_with(|| Box::new(Line::new()));
        let armed = if fixed { now + wait } else { Instant::MAX };
        let id = line.join(Waiter { waker: None, cost, armed, fixed }, number);
        if is_first {
            member.tag = member.tag.max(served);
            line.rank = (member.tag, ranks);
            let rank = line.rank;
            self.members.waiting.insert((rank, key));
        }
        Turn::Wait(Place { key, id }, wait)
    }

    /// Gives back what a take can still give; returns the waker of one who sleeps too long by it.
    pub(super) fn give_back(&mut self, terms: &Terms, grant: Grant, now: Instant) -> Option<Waker> {
        let Grant { key, cost, after, before: charged, epoch } = grant;
        let bucket = &terms.bucket;
        // Without a reading of the clock it is in doubt what there is to give.
        if epoch != self.epoch || now > self.time.now() {
            return None;
        }
        let refund = bucket.refund(after, cost, now);
        self.level = bucket.pulled(self.level, refund);
        if let Some((member, charged)) = self.members.find_mut(key).zip(charged) {
            member.level = bucket.pulled(member.level, charged);
        }
        self.oversleeper(terms, now)
    }

    /// Forgets what one key has had of its share.
    pub(super) fn reset(&mut self, terms: &Terms, key: Fingerprint, now: Instant) -> Option<Waker> {
        match self.members.find_mut(key) {
            Some(member) if member.line.is_some() => member.level = Level::FRESH,
            _ => self.members.remove(key),
        }
        self.oversleeper(terms, now)
    }

    /// Fills the bucket, and forgets what all have had.
    pub(super) fn reset_all(&mut self, terms: &Terms, now: Instant) -> Option<Waker> {
        self.epoch += 1;
        self.level = Level::FRESH;
        self.members.each().for_each(|member| member.level = Level::FRESH);
        self.members.forget_all_idle(Duration::ZERO, now);
        self.oversleeper(terms, now)
    }
}
