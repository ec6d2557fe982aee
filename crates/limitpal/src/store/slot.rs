//! One key's state as the table keeps it: a bucket fills half a line of the cache, and never lies
//! across two.

use std::num::NonZeroU64;

use crate::shards::Fingerprint;

/// What is remembered of a key. The fields lie so that there is no gap between them where a state
/// takes twelve bytes.
#[derive(Debug)]
#[repr(C, align(32))]
pub(super) struct Slot<T> {
    low: NonZeroU64,
    pub(super) state: T,
    high: u32,
    /// When it was last used; no two slots of a shard share an instant.
    pub(super) used: i64,
}

impl<T> Slot<T> {
    #[inline]
    pub(super) fn new(key: Fingerprint, state: T, used: i64) -> Self {
        Self { low: key.low, high: key.high, state, used }
    }

    #[inline]
    pub(super) fn is_of(&self, key: Fingerprint) -> bool {
        self.low == key.low && self.high == key.high
    }

    #[inline]
    pub(super) fn key(&self) -> Fingerprint {
        Fingerprint { low: self.low, high: self.high }
    }

    /// Returns what the table orders it by.
    #[inline]
    pub(super) fn hash(&self) -> NonZeroU64 {
        self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::KeptLevel;

    #[test]
    fn two_buckets_fill_a_line_of_the_cache() {
        assert_eq!(32, size_of::<Option<Slot<KeptLevel>>>());
    }
}
