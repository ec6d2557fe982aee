//! One bucket as the table keeps it: half a line of the cache, and never across two.

use std::time::Duration;

use crate::algorithm::Level;
use crate::shards::Fingerprint;
use crate::time::{Instant, nanos};

/// A key's bucket. Its fields lie so that there is no gap between them.
#[derive(Clone, Debug)]
#[repr(C, align(32))]
pub(super) struct Slot {
    low: u64,
    whole: i64,
    /// When it was last used; no two slots of a shard share an instant.
    pub(super) used: i64,
    part: u32,
    high: u32,
}

impl Slot {
    pub(super) fn new(key: Fingerprint, level: Level, used: i64) -> Self {
        let Level { whole, part } = level;
        Self { low: key.low, high: key.high, whole, part, used }
    }

    #[inline]
    pub(super) fn is_of(&self, key: Fingerprint) -> bool {
        self.low == key.low && self.high == key.high
    }

    #[inline]
    pub(super) fn key(&self) -> Fingerprint {
        Fingerprint { low: self.low, high: self.high }
    }

    /// Returns what the table finds it by.
    #[inline]
    pub(super) fn hash(&self) -> u64 {
        self.low
    }

    #[inline]
    pub(super) fn level(&self) -> Level {
        Level { whole: self.whole, part: self.part }
    }

    #[inline]
    pub(super) fn set_level(&mut self, level: Level) {
        Level { whole: self.whole, part: self.part } = level;
    }

    /// Returns whether it is as new and idle for so long.
    pub(super) fn is_expired(&self, ttl: Duration, now: Instant) -> bool {
        let idle = now.as_nanos().saturating_sub(self.used);
        idle >= nanos(ttl) && self.level().ceil() <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_slots_fill_a_line_of_the_cache() {
        assert_eq!(32, size_of::<Slot>());
    }
}
