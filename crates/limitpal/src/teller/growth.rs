//! Whether distinct keys grow as fast as calls: the mistake of a key such as `job:{id}`.

use std::hash::BuildHasher;

/// How many calls are looked at, one lot after another.
pub(super) const CALLS: u32 = 4096;
/// So many of them with a new key are too many: nine in ten, rounded up.
const MOST: u32 = (CALLS * 9).div_ceil(10);
/// Two keys may share a bit: a new one then counts as seen, as 3 in 100 do at most on average.
const BITS: u64 = 1 << 16;

/// The keys of some thousand calls, as bits: 8 KiB from the first call on.
#[derive(Default)]
pub(super) struct Growth {
    hasher: foldhash::fast::RandomState,
    seen: Vec<u64>,
    calls: u32,
    new_keys: u32,
    /// Whether the last lot was told of.
    told: bool,
}

impl Growth {
    /// Counts a call. At the end of a lot that is nearly all new keys it returns how many they are,
    /// unless it did so for the lot before.
    pub(super) fn count(&mut self, key: &str, is_new: bool) -> Option<u32> {
        if self.seen.is_empty() {
            self.seen = vec![0; (BITS / 64) as usize];
        }
        let bit = self.hasher.hash_one(key) % BITS;
        let (word, mask) = (&mut self.seen[(bit / 64) as usize], 1 << (bit % 64));
        let is_first = *word & mask == 0;
        *word |= mask;
        self.calls += 1;
        self.new_keys += u32::from(is_new && is_first);
        if self.calls < CALLS {
            return None;
        }
        let new_keys = self.new_keys;
        let grows = new_keys >= MOST;
        let is_news = grows && !self.told;
        self.told = grows;
        (self.calls, self.new_keys) = (0, 0);
        self.seen.fill(0);
        is_news.then_some(new_keys)
    }
}
