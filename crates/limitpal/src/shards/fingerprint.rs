//! A key as 96 keyed bits: what the store keeps instead of the text.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZeroU64;
use std::sync::OnceLock;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

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

/// Makes fingerprints, under random seeds of its own, so that nobody can aim at a bucket.
pub(crate) struct Fingerprinter(OnceLock<Seeded>);

/// What fingerprints depend on besides the key.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seeds {
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) shared: u64,
}

/// The seeds, and what is worked out from them once.
struct Seeded {
    seeds: Seeds,
    shared: SharedSeed,
}

impl Seeded {
    fn new(seeds: Seeds) -> Self {
        Self { seeds, shared: SharedSeed::from_u64(seeds.shared) }
    }

    #[inline(always)] // a call would cost as much as the hash
    fn of(&self, key: &str) -> Fingerprint {
        let half = |seed| {
            let mut hasher = FoldHasher::with_seed(seed, &self.shared);
            hasher.write(key.as_bytes());
            hasher.finish()
        };
        let low = NonZeroU64::new(half(self.seeds.low)).unwrap_or(NonZeroU64::MIN);
        Fingerprint { low, high: half(self.seeds.high) as u32 }
    }
}

impl Fingerprinter {
    /// Makes one that has no seeds yet: the first key brings random ones.
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Returns the seeds, if there has been a key.
    pub(crate) fn seeds(&self) -> Option<Seeds> {
        self.0.get().map(|seeded| seeded.seeds)
    }

    /// Makes fingerprints under these seeds from now on; false if there are others already.
    pub(crate) fn seed(&self, seeds: Seeds) -> bool {
        self.0.get_or_init(|| Seeded::new(seeds)).seeds == seeds
    }

    #[inline(always)] // a call would cost as much as the hash
    pub(crate) fn of(&self, key: &str) -> Fingerprint {
        match self.0.get() {
            Some(seeded) => seeded.of(key),
            None => self.first(key),
        }
    }

    #[cold]
    #[inline(never)]
    fn first(&self, key: &str) -> Fingerprint {
        // The standard library's seeds come from the operating system; a model must go the same
        // way again.
        let random = || if cfg!(loom) { 0 } else { RandomState::new().hash_one(0) };
        let seeds = || Seeds { low: random(), high: random(), shared: random() };
        self.0.get_or_init(|| Seeded::new(seeds())).of(key)
    }
}

/// Seeds are nobody's to see.
impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprinter").finish_non_exhaustive()
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
