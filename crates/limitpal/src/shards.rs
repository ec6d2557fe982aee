//! What keys have, in locked shards; a key is kept as its fingerprint.

mod apart;
mod fingerprint;

use self::apart::Apart;
pub use self::fingerprint::Fingerprint;
use self::fingerprint::Fingerprinter;
use crate::sync::MutexGuard;

/// How many there are where nobody says how many. Two are enough to model what several do to each
/// other.
pub(crate) const MANY: usize = if cfg!(loom) { 2 } else { 64 };

/// Locked shards, and which of them a key belongs to.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    shards: Box<[Apart<T>]>,
    fingerprinter: Fingerprinter,
    /// Which shard a key belongs to, by the first bits of its fingerprint.
    ranges: Ranges,
}

impl<T> Shards<T> {
    /// Makes so many, at most [`MANY`].
    pub(crate) fn new(count: usize, make: impl Fn() -> T) -> Self {
        Self {
            shards: (0..count).map(|_| Apart::new(make())).collect(),
            fingerprinter: Fingerprinter::new(),
            ranges: Ranges::over(count),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.len()
    }

    /// Returns the fingerprint of a key, which is these shards' own.
    #[inline]
    pub(crate) fn fingerprint(&self, key: &str) -> Fingerprint {
        self.fingerprinter.of(key)
    }

    /// Returns the rank of a key's shard.
    #[inline]
    pub(crate) fn index(&self, key: Fingerprint) -> usize {
        self.ranges.shard_of(key)
    }

    #[inline]
    pub(crate) fn lock(&self, index: usize) -> MutexGuard<'_, T> {
        self.shards[index].lock()
    }
}

/// How many ranges of fingerprints there are.
const RANGES: usize = 512;

/// Which shard a range of fingerprints belongs to.
///
/// The last shard has twice as many as the first, in even steps: so the tables do not all double
/// at the same number of keys, and a key takes about 54 bytes however many there are.
#[derive(Debug)]
struct Ranges([u8; RANGES]);

impl Ranges {
    fn over(shards: usize) -> Self {
        let share = |shard: usize| (shard as f64 / shards as f64).exp2();
        let all: f64 = (0..shards).map(share).sum();
        let (mut of, mut ahead) = ([0; RANGES], 0.0);
        for shard in 0..shards {
            let from = (ahead / all * RANGES as f64).round() as usize;
            ahead += share(shard);
            of[from..].fill(shard as u8);
        }
        Self(of)
    }

    #[inline]
    fn shard_of(&self, key: Fingerprint) -> usize {
        self.0[(key.high >> (u32::BITS - RANGES.ilog2())) as usize].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_its_share_and_the_last_twice_that_of_the_first() {
        for shards in [1_usize, 2, 8, 64] {
            let Ranges(of) = Ranges::over(shards);
            let share = |shard: usize| of.iter().filter(|of| usize::from(**of) == shard).count();

            assert_eq!(RANGES, (0..shards).map(share).sum());
            assert!(of.is_sorted());
            let (first, last) = (share(0) as f64, share(shards - 1) as f64);
            let grown = 2_f64.powf((shards - 1) as f64 / shards as f64);
            assert!((last / first - grown).abs() < 0.25, "{shards} shards: {first}, {last}");
        }
    }
}
