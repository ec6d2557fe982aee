//! Which bucket to forget for a newcomer, so that forgetting loses nothing.

mod hand;
mod queue;

use std::cell::Cell;
use std::collections::HashMap;

use self::hand::Hand;
use self::queue::Queue;
use super::EXACT;
use super::slot::Slot;
use super::stored::Stored;
use super::table::{Moved, Table};
use crate::shards::Fingerprint;
use crate::time::Instant;

/// The lines of those who wait; a bucket that has one stays.
pub(super) type Lines<A> = HashMap<Fingerprint, <A as Stored>::Line>;

/// The buckets among which one is chosen.
pub(super) struct Buckets<'s, A: Stored> {
    pub(super) table: &'s Table<A::State>,
    pub(super) lines: &'s Lines<A>,
    pub(super) bucket: &'s A,
}

impl<A: Stored> Clone for Buckets<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Stored> Copy for Buckets<'_, A> {}

impl<A: Stored> Buckets<'_, A> {
    fn seen(&self, slot: &Slot<A::State>) -> Seen {
        let awaited = !self.lines.is_empty() && self.lines.contains_key(&slot.key());
        Seen { fresh_at: self.bucket.fresh_at(&slot.state), used: slot.used, awaited }
    }
}

/// What the store says of a bucket now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) fresh_at: Instant,
    pub(super) used: i64,
    pub(super) awaited: bool,
}

/// Chooses among the buckets of one shard.
#[derive(Debug)]
pub(super) struct Evictor {
    way: Way,
    looks: u64,
}

#[derive(Debug)]
enum Way {
    /// There is no cap.
    Never,
    Exact(Queue),
    Sampled(Hand),
}

impl Evictor {
    pub(super) fn new(max_buckets: Option<usize>) -> Self {
        let way = match max_buckets {
            None => Way::Never,
            Some(max) if max <= EXACT => Way::Exact(Queue::default()),
            Some(_) => Way::Sampled(Hand::new()),
        };
        Self { way, looks: 0 }
    }

    /// Hears that a bucket is gone, and which have moved by that.
    pub(super) fn removed(&mut self, moved: Moved) {
        if let Way::Sampled(hand) = &mut self.way {
            hand.removed(moved);
        }
    }

    /// Hears that all buckets may have moved.
    pub(super) fn moved(&mut self) {
        if let Way::Sampled(hand) = &mut self.way {
            hand.moved();
        }
    }

    /// Hears that a bucket has been added, or is nearer to new than it was.
    #[inline]
    pub(super) fn lowered<A: Stored>(
        &mut self,
        buckets: Buckets<'_, A>,
        key: Fingerprint,
        seen: Seen,
    ) {
        match &mut self.way {
            Way::Never => {}
            Way::Exact(queue) => {
                queue.push(key, seen);
                if queue.is_littered(buckets.table.len()) {
                    let slots = buckets.table.iter();
                    queue.rebuild(slots.map(|slot| (slot.key(), buckets.seen(slot))));
                }
            }
            Way::Sampled(hand) => hand.lowered(seen.fresh_at),
        }
    }

    /// Returns the bucket that is missed least; none if somebody waits for every one.
    pub(super) fn choose<A: Stored>(
        &mut self,
        buckets: Buckets<'_, A>,
        now: Instant,
    ) -> Option<Fingerprint> {
        match &mut self.way {
            Way::Never => None,
            Way::Exact(queue) => {
                let looks = Cell::new(0);
                let victim = queue.pop(now, |key| {
                    looks.set(looks.get() + 1);
                    let slot = buckets.table.find(key);
                    slot.map(|slot| buckets.seen(slot))
                });
                self.looks += looks.get();
                victim
            }
            Way::Sampled(hand) => {
                let (victim, looks) = hand.choose(buckets, now);
                self.looks += looks;
                victim
            }
        }
    }

    /// As `choose`, but the bucket stays where it is among the others, and so does the hand.
    pub(super) fn foresee<A: Stored>(
        &mut self,
        buckets: Buckets<'_, A>,
        now: Instant,
    ) -> Option<Fingerprint> {
        if let Way::Sampled(hand) = &mut self.way {
            let (victim, looks) = hand.clone().choose(buckets, now);
            self.looks += looks;
            return victim;
        }
        let victim = self.choose(buckets, now)?;
        let slot = buckets.table.find(victim);
        if let Some(slot) = slot {
            self.lowered(buckets, victim, buckets.seen(slot));
        }
        Some(victim)
    }

    /// Returns from when on a bucket is as new; none if that is not known.
    pub(super) fn soonest<A: Stored>(&mut self, buckets: Buckets<'_, A>) -> Option<Instant> {
        let Way::Exact(queue) = &mut self.way else { return None };
        queue.soonest(|key| {
            let slot = buckets.table.find(key);
            slot.map(|slot| buckets.seen(slot))
        })
    }

    /// Returns whether it chooses among all.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.way, Way::Exact(_))
    }

    /// Returns how many slots it has looked at so far.
    pub(super) fn looks(&self) -> u64 {
        self.looks
    }
}
