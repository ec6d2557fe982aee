//! Which bucket of a large store to forget: a hand goes round the table and looks at a few.
//!
//! Slots lie in the order of a keyed hash, so the next few are a random sample. A level only
//! rises, so once the hand has gone round, the earliest instant at which any bucket it passed is
//! as new is known, and before that instant nobody need be looked for.

use hashbrown::HashTable;

use super::{Buckets, Fingerprint, Seen};
use crate::store::shard::Table;
use crate::store::slot::Slot;
use crate::store::stored::Stored;
use crate::time::Instant;

/// Buckets looked at in each call: the best of a few.
const FEW: usize = 8;
/// Buckets looked at where there may be an idle one. One in sixteen being idle, all of them are
/// busy once in fifteen million calls.
const MANY: usize = 256;

/// A hand that goes round one shard's table.
#[derive(Debug)]
pub(super) struct Hand {
    /// The slot it looks at next.
    at: usize,
    /// No bucket is as new before this.
    none_before: Instant,
    /// The earliest of those passed in this round and of those added since it began.
    earliest: Instant,
    /// Slots it has yet to pass until the round is complete.
    left: usize,
    /// How many slots the table had when the round began.
    slots: usize,
}

/// A bucket that may be forgotten: the idle first, by last use, then by when they are as new.
type Candidate = (Instant, i64, Instant, Fingerprint);
const NOBODY: Candidate = (Instant::MAX, i64::MAX, Instant::MAX, Fingerprint::EVERYBODY);

impl Hand {
    pub(super) fn new() -> Self {
        let never = Instant::MAX;
        Self { at: 0, none_before: never, earliest: never, left: 0, slots: 0 }
    }

    /// Hears that a bucket is about to be added, which may lay the table out anew.
    pub(super) fn adding<T>(&mut self, table: &HashTable<Slot<T>>, fresh_at: Instant) {
        if table.len() == table.capacity() {
            self.slots = 0;
        }
        self.lowered(fresh_at);
    }

    pub(super) fn lowered(&mut self, fresh_at: Instant) {
        self.none_before = self.none_before.min(fresh_at);
        self.earliest = self.earliest.min(fresh_at);
    }

    fn begin_round(&mut self, slots: usize) {
        (self.slots, self.left, self.earliest) = (slots, slots, Instant::MAX);
    }

    /// Returns the bucket to forget, and how many slots it has looked at.
    pub(super) fn choose<A: Stored>(
        &mut self,
        buckets: Buckets<'_, A>,
        now: Instant,
    ) -> (Option<Fingerprint>, u64) {
        let slots = buckets.table.num_buckets();
        if self.slots != slots {
            self.begin_round(slots);
        }
        let most = if now < self.none_before { FEW } else { MANY };
        let (mut best, mut looks) = (None, 0);
        // One of those for whom nobody waits must be found, however far it is.
        for _ in 0..slots {
            if looks >= FEW && is_found(best, looks < most, now) {
                break;
            }
            if let Some(slot) = self.next::<A>(buckets.table) {
                looks += 1;
                self.weigh(slot.key(), buckets.seen(slot), now, &mut best);
            }
            if self.left == 0 {
                let (_, _, best_at, _) = best.unwrap_or(NOBODY);
                self.none_before = self.earliest.min(best_at);
                self.begin_round(slots);
            }
        }
        (best.map(|(.., key)| key), looks as u64)
    }

    fn next<'t, A: Stored>(&mut self, table: &'t Table<A>) -> Option<&'t Slot<A::State>> {
        self.at = if self.at + 1 < self.slots { self.at + 1 } else { 0 };
        self.left -= 1;
        table.get_bucket(self.at)
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
