//! Which bucket to forget for a newcomer, so that forgetting loses nothing.

mod hand;
mod queue;

use std::cell::Cell;
use std::collections::HashMap;

use self::hand::Hand;
use self::queue::Queue;
use super::EXACT;
use super::own::Own;
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
    /// That of keys that have none of their own.
    pub(super) bucket: &'s A,
    pub(super) own: Option<&'s Own<A>>,
}

impl<A: Stored> Clone for Buckets<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Stored> Copy for Buckets<'_, A> {}

impl<A: Stored> Buckets<'_, A> {
    /// Returns from when on a key is as new.
    #[inline]
    pub(super) fn fresh_at(&self, key: Fingerprint, state: &A::State) -> Instant {
        match self.own {
            Some(own) => own.fresh_at(key, state),
            None => self.bucket.fresh_at(state),
        }
    }

    fn seen(&self, slot: &Slot<A::State>) -> Seen {
        self.seen_as(slot, || self.fresh_at(slot.key(), &slot.state))
    }

    #[inline(always)] // a call for each slot looked at would cost more than the look
    fn seen_as(&self, slot: &Slot<A::State>, fresh_at: impl FnOnce() -> Instant) -> Seen {
        let awaited = !self.lines.is_empty() && has_line::<A>(self.lines, slot.key());
        Seen { fresh_at: fresh_at(), used: slot.used, awaited }
    }
}

#[inline(never)] // hashing would be prepared for in each look, and is seldom done
fn has_line<A: Stored>(lines: &Lines<A>, key: Fingerprint) -> bool {
    lines.contains_key(&key)
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

    /// Hears that one of so many buckets has been added, or is nearer to new than it was. Once in a
    /// while it says that it is to look at all of them: see [`relook`](Self::relook).
    #[inline]
    #[must_use]
    pub(super) fn lowered(&mut self, key: Fingerprint, seen: Seen, buckets: usize) -> bool {
        match &mut self.way {
            Way::Never => false,
            Way::Exact(queue) => {
                queue.push(key, seen);
                queue.is_littered(buckets)
            }
            Way::Sampled(hand) => {
                hand.lowered(seen.fresh_at);
                false
            }
        }
    }

    /// Looks at all buckets anew.
    pub(super) fn relook<A: Stored>(&mut self, buckets: Buckets<'_, A>) {
        if let Way::Exact(queue) = &mut self.way {
            let slots = buckets.table.iter();
            queue.rebuild(slots.map(|slot| (slot.key(), buckets.seen(slot))));
        }
    }

    /// Returns the bucket that is missed least; none if somebody waits for every one.
    #[inline] // so that whoever knows of nothing that is keys' own looks for nothing
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
        if let Some(slot) = slot
            && self.lowered(victim, buckets.seen(slot), buckets.table.len())
        {
            self.relook(buckets);
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
