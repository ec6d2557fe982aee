//! Which bucket to forget for a newcomer, so that forgetting loses nothing.

mod hand;
mod queue;

use std::cell::Cell;
use std::collections::HashMap;

use hashbrown::HashTable;

use self::hand::Hand;
use self::queue::Queue;
use super::EXACT;
use super::lineup::Lineup;
use super::slot::Slot;
use crate::algorithm::Level;
use crate::shards::Fingerprint;
use crate::time::Instant;

/// The lines of those who wait; a bucket that has one stays.
pub(super) type Lines = HashMap<Fingerprint, Lineup>;

/// What the store says of a bucket now.
#[derive(Clone, Copy, Debug)]
struct Seen {
    fresh_at: Instant,
    used: i64,
    awaited: bool,
}

impl Seen {
    fn new(slot: &Slot, lines: &Lines) -> Self {
        let awaited = !lines.is_empty() && lines.contains_key(&slot.key());
        Self { fresh_at: slot.level().ceil(), used: slot.used, awaited }
    }
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

    /// Hears that a bucket is about to be added to the table.
    #[inline]
    pub(super) fn adding(&mut self, table: &HashTable<Slot>, level: Level) {
        if let Way::Sampled(hand) = &mut self.way {
            hand.adding(table, level.ceil());
        }
    }

    /// Hears that a bucket has been added, or is nearer to new than it was.
    #[inline]
    pub(super) fn lowered(&mut self, table: &HashTable<Slot>, slot: &Slot, lines: &Lines) {
        match &mut self.way {
            Way::Never => {}
            Way::Exact(queue) => {
                queue.push(slot.key(), Seen::new(slot, lines));
                if queue.is_littered(table.len()) {
                    queue.rebuild(table.iter().map(|slot| (slot.key(), Seen::new(slot, lines))));
                }
            }
            Way::Sampled(hand) => hand.lowered(slot.level().ceil()),
        }
    }

    /// Returns the bucket that is missed least; none if somebody waits for every one.
    pub(super) fn choose(
        &mut self,
        table: &HashTable<Slot>,
        lines: &Lines,
        now: Instant,
    ) -> Option<Fingerprint> {
        match &mut self.way {
            Way::Never => None,
            Way::Exact(queue) => {
                let looks = Cell::new(0);
                let victim = queue.pop(now, |key| {
                    looks.set(looks.get() + 1);
                    let slot = table.find(key.low, |slot| slot.is_of(key));
                    slot.map(|slot| Seen::new(slot, lines))
                });
                self.looks += looks.get();
                victim
            }
            Way::Sampled(hand) => {
                let (victim, looks) = hand.choose(table, lines, now);
                self.looks += looks;
                victim
            }
        }
    }

    /// Returns how many slots it has looked at so far.
    pub(super) fn looks(&self) -> u64 {
        self.looks
    }
}
