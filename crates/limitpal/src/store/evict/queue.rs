//! Which bucket of a small store to forget, exactly.
//!
//! Two heaps hold every bucket once: `live` by when it will be as new, `idle` (as new already) by
//! when it was last used. Entries are not moved when a bucket is used; they are put right when
//! they come to the top, and since a level only rises, an entry is never late. So a flood of
//! newcomers costs each of them a heap's top, whether all buckets are idle or none is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Fingerprint, Seen};
use crate::time::Instant;

/// A bucket by when it is as new, then by last use.
type Entry = Reverse<(Instant, i64, Fingerprint)>;

fn entry(key: Fingerprint, seen: Seen) -> Entry {
    Reverse((seen.fresh_at, seen.used, key))
}

/// The buckets of one shard in the order in which they may be forgotten.
#[derive(Debug, Default)]
pub(super) struct Queue {
    live: BinaryHeap<Entry>,
    idle: BinaryHeap<Reverse<(i64, Fingerprint)>>,
}

impl Queue {
    /// Adds a bucket, or says that one is nearer to new than it was.
    pub(super) fn push(&mut self, key: Fingerprint, seen: Seen) {
        self.live.push(entry(key, seen));
    }

    /// Returns whether entries of forgotten buckets outnumber the others.
    pub(super) fn is_littered(&self, buckets: usize) -> bool {
        self.live.len() + self.idle.len() > 2 * buckets + 64
    }

    /// Starts over with these buckets.
    pub(super) fn rebuild(&mut self, buckets: impl Iterator<Item = (Fingerprint, Seen)>) {
        self.idle.clear();
        self.live = buckets.map(|(key, seen)| entry(key, seen)).collect();
    }

    /// Takes the next to forget out of the queue; `look` answers for a bucket, if it is there.
    ///
    /// That is the least recently used of the idle, else the nearest to new; none if somebody
    /// waits for every one.
    pub(super) fn pop(
        &mut self,
        now: Instant,
        look: impl Fn(Fingerprint) -> Option<Seen>,
    ) -> Option<Fingerprint> {
        let mut awaited = Vec::new();
        self.settle(now, &look);
        let idle = self.pop_idle(now, &look, &mut awaited);
        let victim = idle.or_else(|| self.pop_live(&look, &mut awaited));
        self.live.extend(awaited);
        victim
    }

    /// Returns from when on the first is as new, where none is yet.
    pub(super) fn soonest(
        &mut self,
        look: impl Fn(Fingerprint) -> Option<Seen>,
    ) -> Option<Instant> {
        while let Some(Reverse((fresh_at, _, key))) = self.live.peek().copied() {
            match look(key) {
                Some(seen) if seen.fresh_at == fresh_at => return Some(fresh_at),
                Some(seen) => {
                    self.live.pop();
                    self.push(key, seen);
                }
                None => {
                    self.live.pop();
                }
            }
        }
        None
    }

    /// Moves what has become as new over to the idle ones.
    fn settle(&mut self, now: Instant, look: &impl Fn(Fingerprint) -> Option<Seen>) {
        while self.live.peek().is_some_and(|Reverse(top)| top.0 <= now) {
            let Some(Reverse((_, _, key))) = self.live.pop() else { return };
            match look(key) {
                Some(seen) if seen.fresh_at <= now => self.idle.push(Reverse((seen.used, key))),
                Some(seen) => self.push(key, seen),
                None => {}
            }
        }
    }

    fn pop_idle(
        &mut self,
        now: Instant,
        look: &impl Fn(Fingerprint) -> Option<Seen>,
        awaited: &mut Vec<Entry>,
    ) -> Option<Fingerprint> {
        while let Some(Reverse((used, key))) = self.idle.pop() {
            match look(key) {
                Some(seen) if seen.awaited => awaited.push(entry(key, seen)),
                Some(seen) if seen.fresh_at > now => self.push(key, seen),
                Some(seen) if seen.used != used => self.idle.push(Reverse((seen.used, key))),
                Some(_) => return Some(key),
                None => {}
            }
        }
        None
    }

    fn pop_live(
        &mut self,
        look: &impl Fn(Fingerprint) -> Option<Seen>,
        awaited: &mut Vec<Entry>,
    ) -> Option<Fingerprint> {
        while let Some(Reverse((fresh_at, used, key))) = self.live.pop() {
            match look(key) {
                Some(seen) if seen.awaited => awaited.push(entry(key, seen)),
                Some(seen) if (seen.fresh_at, seen.used) == (fresh_at, used) => return Some(key),
                Some(seen) => self.push(key, seen),
                None => {}
            }
        }
        None
    }
}
