//! Which takes can give nothing back any more, because their bucket was forgotten or they no
//! longer lie where they were told.

use std::collections::VecDeque;

use crate::shards::Fingerprint;
use crate::time::Instant;

/// The most buckets told apart; older entries void the earlier takes of every bucket.
const MOST: usize = 64;

/// The takes of one shard that are void. Each is told its epoch, which grows with each entry here.
#[derive(Debug, Default)]
pub(super) struct Voids {
    epoch: u64,
    /// Takes of earlier epochs are void, whoever took.
    everybody: u64,
    recent: VecDeque<Entry>,
}

/// Takes of this key of earlier epochs are void. It can be forgotten once the bucket would have
/// been as new: then there is nothing left to give back.
#[derive(Debug)]
struct Entry {
    key: Fingerprint,
    epoch: u64,
    fresh_at: Instant,
}

impl Voids {
    /// Returns the epoch of a take made now.
    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Voids all takes so far from a bucket that would be as new at `fresh_at`.
    pub(super) fn add(&mut self, key: Fingerprint, fresh_at: Instant, now: Instant) {
        self.epoch += 1;
        while self.recent.front().is_some_and(|oldest| oldest.fresh_at <= now) {
            self.recent.pop_front();
        }
        if self.recent.len() == MOST {
            let oldest = self.recent.pop_front();
            self.everybody = oldest.map_or(self.everybody, |oldest| oldest.epoch);
        }
        self.recent.push_back(Entry { key, epoch: self.epoch, fresh_at });
    }

    /// Voids all takes so far.
    pub(super) fn add_all(&mut self) {
        self.epoch += 1;
        self.everybody = self.epoch;
        self.recent.clear();
    }

    /// Returns whether a take can give nothing back.
    pub(super) fn has(&self, key: Fingerprint, epoch: u64) -> bool {
        let voids = |entry: &Entry| entry.key == key && entry.epoch > epoch;
        epoch < self.everybody || self.recent.iter().any(voids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Fingerprint = Fingerprint::chosen(7, 7);
    const OTHER: Fingerprint = Fingerprint::chosen(8, 8);

    #[test]
    fn earlier_takes_of_the_key_are_void_and_no_others() {
        let mut voids = Voids::default();
        let before = voids.epoch();
        voids.add(KEY, Instant::MAX, Instant::ZERO);

        assert!(voids.has(KEY, before));
        assert!(!voids.has(OTHER, before));
        assert!(!voids.has(KEY, voids.epoch()));
    }

    #[test]
    fn what_is_pushed_out_stays_void() {
        let mut voids = Voids::default();
        let before = voids.epoch();
        voids.add(KEY, Instant::MAX, Instant::ZERO);
        let between = voids.epoch();
        for _ in 0..MOST {
            voids.add(OTHER, Instant::MAX, Instant::ZERO);
        }

        assert!(voids.has(KEY, before));
        assert!(!voids.has(KEY, between));
    }

    #[test]
    fn entries_end_when_the_bucket_would_be_as_new() {
        let mut voids = Voids::default();
        for nanos in 0..10_000 {
            voids.add(KEY, Instant::from_nanos(nanos + 3), Instant::from_nanos(nanos));
        }

        assert_eq!(0, voids.everybody);
        assert!(voids.recent.len() < 5);
    }
}
