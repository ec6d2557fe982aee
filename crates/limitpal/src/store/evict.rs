//! Which bucket to forget for a newcomer, so that forgetting loses nothing.
//!
//! Two heaps hold every bucket once: `live` by when it will be as new, `idle` (as new already) by
//! when it was last used. Entries are not moved when a bucket is used; they are put right when
//! they come to the top, and since a level only rises, an entry is never late. So a flood of
//! newcomers costs each of them a heap's top, whether all buckets are idle or none is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::fingerprint::Fingerprint;
use crate::time::Instant;

/// The most entries put right in one call, in stores where looking is bounded.
pub(super) const LOOKS: usize = 64;

/// What the store says of a bucket now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) fresh_at: Instant,
    pub(super) used: i64,
    /// Somebody waits for it: it stays.
    pub(super) awaited: bool,
}

/// The bucket to forget.
#[derive(Clone, Copy, Debug)]
pub(super) enum Victim {
    /// The least recently used of the idle, else the nearest to new.
    Chosen(Fingerprint),
    /// The looks were used up on outdated entries; this is the nearest to new of them.
    Undecided(Fingerprint),
    /// Somebody waits for every one.
    None,
}

/// A bucket by when it is as new, then by last use.
type Entry = Reverse<(Instant, i64, Fingerprint)>;

fn entry(key: Fingerprint, seen: Seen) -> Entry {
    Reverse((seen.fresh_at, seen.used, key))
}

/// The buckets of one shard in the order in which they may be forgotten.
#[derive(Debug)]
pub(super) struct Queue {
    live: BinaryHeap<Entry>,
    idle: BinaryHeap<Reverse<(i64, Fingerprint)>>,
    looks: usize,
}

impl Queue {
    pub(super) fn new(looks: usize) -> Self {
        Self { live: BinaryHeap::new(), idle: BinaryHeap::new(), looks }
    }

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
    pub(super) fn pop(
        &mut self,
        now: Instant,
        look: impl Fn(Fingerprint) -> Option<Seen>,
    ) -> Victim {
        let mut looks = self.looks;
        let mut awaited = Vec::new();
        self.settle(now, &look);
        let victim = match self.pop_idle(now, &look, &mut looks, &mut awaited) {
            Some(key) => Victim::Chosen(key),
            None => self.pop_live(&look, &mut looks, &mut awaited),
        };
        self.live.extend(awaited);
        victim
    }

    /// Moves what has become as new over to the idle ones.
    fn settle(&mut self, now: Instant, look: &impl Fn(Fingerprint) -> Option<Seen>) {
        let mut looks = self.looks;
        while looks > 0 && self.live.peek().is_some_and(|Reverse(top)| top.0 <= now) {
            let Some(Reverse((_, _, key))) = self.live.pop() else { return };
            looks -= 1;
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
        looks: &mut usize,
        awaited: &mut Vec<Entry>,
    ) -> Option<Fingerprint> {
        while *looks > 0 {
            let Reverse((used, key)) = self.idle.pop()?;
            *looks -= 1;
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
        looks: &mut usize,
        awaited: &mut Vec<Entry>,
    ) -> Victim {
        let mut nearest = None;
        while let Some(Reverse((fresh_at, used, key))) = self.live.pop() {
            match look(key) {
                Some(seen) if seen.awaited => awaited.push(entry(key, seen)),
                Some(seen) if (seen.fresh_at, seen.used) == (fresh_at, used) => {
                    return Victim::Chosen(key);
                }
                Some(seen) => {
                    self.push(key, seen);
                    let candidate = (seen.fresh_at, seen.used, key);
                    nearest = Some(nearest.map_or(candidate, |best| candidate.min(best)));
                }
                None => {}
            }
            if *looks == 0 {
                if let Some((_, _, key)) = nearest {
                    return Victim::Undecided(key);
                }
            } else {
                *looks -= 1;
            }
        }
        Victim::None
    }
}
