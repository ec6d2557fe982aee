//! The 128-bit atomic that loom does not have: a narrow one that says which value it is.

use std::sync::atomic::Ordering;

use loom::sync::atomic::AtomicUsize;

/// All values there ever were, each once, and by its rank the present one. So loom sees every
/// load, store and exchange with its ordering; looking up a value is no step of its own.
#[derive(Debug)]
pub(crate) struct AtomicU128 {
    rank: AtomicUsize,
    values: std::sync::Mutex<Vec<u128>>,
}

impl AtomicU128 {
    pub(crate) fn new(value: u128) -> Self {
        Self { rank: AtomicUsize::new(0), values: std::sync::Mutex::new(vec![value]) }
    }

    fn rank(&self, value: u128) -> usize {
        let mut values = self.values.lock().expect("nothing panics under it");
        values.iter().position(|other| *other == value).unwrap_or_else(|| {
            values.push(value);
            values.len() - 1
        })
    }

    fn value(&self, rank: usize) -> u128 {
        self.values.lock().expect("nothing panics under it")[rank]
    }

    pub(crate) fn load(&self, order: Ordering) -> u128 {
        self.value(self.rank.load(order))
    }

    pub(crate) fn store(&self, value: u128, order: Ordering) {
        self.rank.store(self.rank(value), order);
    }

    pub(crate) fn compare_exchange(
        &self,
        old: u128,
        new: u128,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u128, u128> {
        let (old, new) = (self.rank(old), self.rank(new));
        let exchanged = self.rank.compare_exchange(old, new, success, failure);
        exchanged.map(|rank| self.value(rank)).map_err(|rank| self.value(rank))
    }

    pub(crate) fn compare_exchange_weak(
        &self,
        old: u128,
        new: u128,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u128, u128> {
        self.compare_exchange(old, new, success, failure)
    }

    pub(crate) fn fetch_or(&self, bits: u128, order: Ordering) -> u128 {
        let or = |rank| Some(self.rank(self.value(rank) | bits));
        let old = self.rank.fetch_update(order, Ordering::Relaxed, or);
        self.value(old.unwrap_or_else(|rank| rank))
    }
}
