//! What limiters cannot do without: they hash the key, read the clock, and change one slot of 32
//! bytes in an array that is three quarters full. Those behind locks take one of 64 besides. They
//! look for nothing and decide nothing.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicI64, Ordering};

use foldhash::fast::RandomState;
use limitpal::{Clock, MonotonicClock};
use spin::mutex::SpinMutex;

const LOCKS: usize = 64;

/// A lock on cache lines of its own, and what it guards.
#[repr(align(128))]
struct Guarded(SpinMutex<Vec<[i64; 4]>>);

/// With locks.
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

/// Half a line of the cache, whose first word one step changes.
#[derive(Default)]
#[repr(align(32))]
struct Slot(AtomicI64);

/// Without any lock: its slots are where they were made, for as many keys as there will be.
pub(crate) struct Lockless {
    hasher: RandomState,
    clock: MonotonicClock,
    slots: Vec<Slot>,
}

impl Lockless {
    pub(crate) fn new(keys: usize) -> Self {
        let count = (keys * 4 / 3).next_power_of_two();
        let slots = (0..count).map(|_| Slot::default()).collect();
        Self { hasher: RandomState::default(), clock: MonotonicClock, slots }
    }

    pub(crate) fn call(&self, key: &str) -> bool {
        let hash = self.hasher.hash_one(key) as usize;
        let now = self.clock.now().as_nanos();
        let Slot(slot) = &self.slots[hash & (self.slots.len() - 1)];
        let later = |then| (now >= then).then_some(now);
        slot.fetch_update(Ordering::AcqRel, Ordering::Relaxed, later).is_ok()
    }
}
