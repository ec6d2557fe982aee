//! What no limiter behind locks can do without: it hashes the key, takes a lock of 64, reads the
//! clock, and changes one slot of 32 bytes in an array that is three quarters full. It looks for
//! nothing and decides nothing.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use limitpal::{Clock, MonotonicClock};
use spin::mutex::SpinMutex;

const LOCKS: usize = 64;

/// A lock on cache lines of its own, and what it guards.
#[repr(align(128))]
struct Guarded(SpinMutex<Vec<[i64; 4]>>);

pub(crate) struct Floor {
    hasher: RandomState,
    clock: MonotonicClock,
    shards: Vec<Guarded>,
}

impl Floor {
    pub(crate) fn new(keys: usize) -> Self {
        let slots = (keys * 4 / 3 / LOCKS).next_power_of_two();
        let shards = (0..LOCKS).map(|_| Guarded(SpinMutex::new(vec![[0; 4]; slots]))).collect();
        Self { hasher: RandomState::default(), clock: MonotonicClock, shards }
    }

    pub(crate) fn call(&self, key: &str) -> bool {
        let hash = self.hasher.hash_one(key) as usize;
        let now = self.clock.now().as_nanos();
        let Guarded(shard) = &self.shards[hash % LOCKS];
        let mut slots = shard.lock();
        let mask = slots.len() - 1;
        let slot = &mut slots[hash / LOCKS & mask];
        let is_later = now >= slot[0];
        slot[0] = now;
        is_later
    }
}
