//! What keys have, in locked shards; a key is kept as its fingerprint.

mod apart;
mod fingerprint;

use self::apart::Apart;
pub(crate) use self::apart::LockGuard;
pub use self::fingerprint::Fingerprint;
use self::fingerprint::Fingerprinter;
pub(crate) use self::fingerprint::Seeds;

/// How many there are where nobody says how many. Two are enough to model what several do to each
/// other.
pub(crate) const MANY: usize = if cfg!(loom) { 2 } else { 64 };

/// Locked shards, and which of them a key belongs to.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    shards: Box<[Apart<T>]>,
    fingerprinter: Fingerprinter,
}

impl<T> Shards<T> {
    /// Makes so many, at most [`MANY`].
    pub(crate) fn new(count: usize, make: impl Fn() -> T) -> Self {
        Self {
            shards: (0..count).map(|_| Apart::new(make())).collect(),
            fingerprinter: Fingerprinter::new(),
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

    /// Returns what the fingerprints depend on, if there has been a key.
    pub(crate) fn seeds(&self) -> Option<Seeds> {
        self.fingerprinter.seeds()
    }

    /// Makes fingerprints under these seeds from now on; false if there are others already.
    pub(crate) fn seed(&self, seeds: Seeds) -> bool {
        self.fingerprinter.seed(seeds)
    }

    /// Returns the rank of a key's shard.
    #[inline]
    pub(crate) fn index(&self, key: Fingerprint) -> usize {
        ((u64::from(key.high) * self.shards.len() as u64) >> u32::BITS) as usize
    }

    #[inline]
    pub(crate) fn lock(&self, index: usize) -> LockGuard<'_, T> {
        self.lock_or(index, || ())
    }

    /// As `lock`; whoever finds it held says so before it waits.
    #[inline]
    pub(crate) fn lock_or(&self, index: usize, met: impl FnOnce()) -> LockGuard<'_, T> {
        self.shards[index].lock(met)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_its_share() {
        for count in [1_usize, 2, 8, 64] {
            let shards = Shards::new(count, || ());
            let mut shares = vec![0; count];
            let fingerprint = |rank: u32| Fingerprint::chosen(1, rank << 20);
            (0..1 << 12).for_each(|rank| shares[shards.index(fingerprint(rank))] += 1);
            assert_eq!(vec![(1 << 12) / count; count], shares);
        }
    }
}
