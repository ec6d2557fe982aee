//! Which bucket of a large store to forget: a hand goes round the table and looks at a few.
//!
//! Slots lie in the order of a keyed hash, so the next few are a random sample. A level only
//! rises, so once the hand has gone round, the earliest instant at which any bucket it passed is
//! as new is known, and before that instant nobody need be looked for. A round goes from the first
//! place to the last: a bucket that an insertion moves is never moved out of its way.

use super::{Buckets, Fingerprint, Seen};
use crate::store::slot::Slot;
use crate::store::stored::Stored;
use crate::store::table::{Moved, Table};
use crate::time::Instant;

/// Buckets looked at in each call: the best of a few.
const FEW: usize = 8;
/// Buckets looked at where there may be an idle one. One in sixteen being idle, all of them are
/// busy once in fifteen million calls.
const MANY: usize = 256;

/// A hand that goes round one shard's table.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    /// The place it looks at next.
    at: usize,
    /// No bucket is as new before this.
    none_before: Instant,
    /// The earliest of those passed in this round and of those added since it began.
    earliest: Instant,
    /// How many places the table had when the round began.
    places: usize,
}

/// A bucket that may be forgotten: the idle first, by last use, then by when they are as new.
type Candidate = (Instant, i64, Instant, Fingerprint);
const NOBODY: Candidate = (Instant::MAX, i64::MAX, Instant::MAX, Fingerprint::EVERYBODY);

impl Hand {
    pub(super) fn new() -> Self {
        let never = Instant::MAX;
        Self { at: 0, none_before: never, earliest: never, places: 0 }
    }

    /// Hears that a bucket is gone. If the one to be looked at next has moved to behind the hand, so
    /// does the hand.
    pub(super) fn removed(&mut self, moved: Moved) {
        if (moved.from + 1..=moved.to).contains(&self.at) {
            self.at -= 1;
        }
    }

    /// Hears that all may have moved.
    pub(super) fn moved(&mut self) {
        self.begin_round(self.places);
    }

    pub(super) fn lowered(&mut self, fresh_at: Instant) {
        self.none_before = self.none_before.min(fresh_at);
        self.earliest = self.earliest.min(fresh_at);
    }

    fn begin_round(&mut self, places: usize) {
        (self.places, self.at, self.earliest) = (places, 0, Instant::MAX);
    }

    /// Returns the bucket to forget, and how many slots it has looked at.
    #[inline]
    pub(super) fn choose<A: Stored>(
        &mut self,
        buckets: Buckets<'_, A>,
        now: Instant,
    ) -> (Option<Fingerprint>, u64) {
        if buckets.own.is_some() {
            return self.choose_own(buckets, now);
        }
        // One look for what keys have of their own, and not one for each slot.
        let seen =
            |slot: &Slot<A::State>| buckets.seen_as(slot, || buckets.bucket.fresh_at(&slot.state));
        self.choose_by(buckets.table, seen, now)
    }

    #[cold]
    #[inline(never)]
    fn choose_own<A: Stored>(
        &mut self,
        buckets: Buckets<'_, A>,
        now: Instant,
    ) -> (Option<Fingerprint>, u64) {
        self.choose_by(buckets.table, |slot| buckets.seen(slot), now)
    }

    #[inline(always)] // in each of the two above
    fn choose_by<T>(
        &mut self,
        table: &Table<T>,
        seen: impl Fn(&Slot<T>) -> Seen,
        now: Instant,
    ) -> (Option<Fingerprint>, u64) {
        let places = table.places();
        if self.places != places {
            self.begin_round(places);
        }
        let most = if now < self.none_before { FEW } else { MANY };
        let (mut best, mut looks) = (None, 0);
        // One of those for whom nobody waits must be found, however far it is.
        for _ in 0..places {
            if looks >= FEW && is_found(best, looks < most, now) {
                break;
            }
            self.at += 1;
            if let Some(slot) = table.at(self.at - 1) {
                looks += 1;
                self.weigh(slot.key(), seen(slot), now, &mut best);
            }
            if self.at == places {
                let (_, _, best_at, _) = best.unwrap_or(NOBODY);
                self.none_before = self.earliest.min(best_at);
                self.begin_round(places);
            }
        }
        (best.map(|(.., key)| key), looks as u64)
    }

    /// Keeps the better of two; the other stays, and counts for when the next one is as new.
    fn weigh(&mut self, key: Fingerprint, seen: Seen, now: Instant, best: &mut Option<Candidate>) {
        let Seen { fresh_at, used, awaited } = seen;
        let candidate = (fresh_at.max(now), used, fresh_at, key);
        let stays = if awaited {
            fresh_at
        } else if best.is_none_or(|best| candidate < best) {
            best.replace(candidate).map_or(Instant::MAX, |(_, _, fresh_at, _)| fresh_at)
        } else {
            fresh_at
        };
        self.earliest = self.earliest.min(stays);
    }
}

/// Returns whether the search is over: an idle bucket, or any where no more are to be looked at.
fn is_found(best: Option<Candidate>, goes_on: bool, now: Instant) -> bool {
    best.is_some_and(|(rank, ..)| !goes_on || rank <= now)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_round_passes_every_bucket_though_those_it_has_passed_go() {
        const STEP: u64 = u64::MAX / 500;
        let mut table = Table::new();
        for rank in 1..=200 {
            // Crowds of ten around one home, so that one that goes moves others.
            let key = Fingerprint::chosen(rank / 10 * 10 * STEP + rank, 0);
            table.insert(Slot::new(key, (), 0));
        }
        let (mut hand, mut passed) = (Hand::new(), Vec::new());
        hand.begin_round(table.places());
        while hand.at < table.places() {
            hand.at += 1;
            let Some(key) = table.at(hand.at - 1).map(Slot::key) else { continue };
            passed.push(key);
            if passed.len() % 3 == 0 {
                hand.removed(table.remove(key).expect("it is there"));
            }
        }
        assert_eq!(200, passed.len());
    }
}
