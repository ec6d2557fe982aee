//! A key as 96 keyed bits: what the store keeps instead of the text.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZeroU64;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

/// The fingerprint of a key: equal keys have equal ones; that any two of ten million others share
/// one has a chance of 10^-15.
///
/// With it a bucket and all that is remembered about it fit into half a line of the cache.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint {
    /// Finds the slot. It is never zero, so that a slot that is empty needs no word to say so.
    pub(crate) low: NonZeroU64,
    /// Finds the shard.
    pub(crate) high: u32,
}

/// Makes fingerprints, under two random seeds of its own, so that nobody can aim at a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprinter {
    low: SeedableRandomState,
    high: SeedableRandomState,
}

impl Fingerprinter {
    pub(crate) fn new() -> Self {
        // The standard library's seeds come from the operating system.
        let seeded = || {
            // A model must go the same way again.
            let seed = if cfg!(loom) { 0 } else { RandomState::new().hash_one(0) };
            SeedableRandomState::with_seed(seed, SharedSeed::global_random())
        };
        Self { low: seeded(), high: seeded() }
    }

    #[inline(always)] // a call would cost as much as the hash
    pub(crate) fn of(&self, key: &str) -> Fingerprint {
        let half = |state: &SeedableRandomState| {
            let mut hasher = state.build_hasher();
            hasher.write(key.as_bytes());
            hasher.finish()
        };
        let low = NonZeroU64::new(half(&self.low)).unwrap_or(NonZeroU64::MIN);
        Fingerprint { low, high: half(&self.high) as u32 }
    }
}

impl Fingerprint {
    /// Returns a fingerprint that a model or a test has chosen.
    #[cfg(any(loom, test))]
    pub const fn chosen(low: u64, high: u32) -> Self {
        Self { low: NonZeroU64::new(low).expect("not zero"), high }
    }

    /// The one bucket of a limiter that tells no keys apart.
    pub(crate) const EVERYBODY: Self = Self { low: NonZeroU64::MIN, high: 0 };
}
