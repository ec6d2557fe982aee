//! Values that are kept for a while, as many as fit: fresh at first, then stale, then gone.
//!
//! Nothing here knows the time: `now` is an argument. No value is cloned, dropped or looked at under
//! the lock; what is handed out is shared.

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use quick_cache::unsync::Cache;
use quick_cache::{Equivalent, Lifecycle, UnitWeighter};

use crate::config::InvalidConfig;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::Instant;

/// How long values are kept, and how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keeping {
    /// How long a value is fresh.
    pub ttl: Duration,
    /// How much longer it may stand in for an error.
    pub stale_for: Duration,
    /// How many there are at most.
    pub max_entries: u32,
}

impl Keeping {
    /// Checks the numbers.
    pub fn check(self) -> Result<Self, InvalidConfig> {
        if self.ttl.is_zero() {
            return Err(InvalidConfig::new("ttl", "0", "give a time above zero"));
        }
        if self.max_entries == 0 {
            return Err(InvalidConfig::new("max_entries", 0, "give a number of at least 1"));
        }
        Ok(self)
    }
}

/// What is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found<V> {
    /// As good as asked for anew.
    Fresh(V),
    /// Better than an error.
    Stale(V),
    /// Nothing that could be used.
    Nothing,
}

/// Counts what became of the calls that asked a cache.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct CacheStats {
    /// Calls that were answered by a fresh value, without a run.
    pub hits: u64,
    /// Calls for which a run was made.
    pub misses: u64,
    /// Calls that waited for the run of another, and were answered by it.
    pub coalesced: u64,
    /// Errors, of those runs, in place of which a caller was given a stale value.
    pub stale: u64,
}

/// The values by their keys.
pub struct Shelf<K, V> {
    keeping: Keeping,
    room: Mutex<Room<K, V>>,
    hits: AtomicU64,
    misses: AtomicU64,
    coalesced: AtomicU64,
    stale: AtomicU64,
}

struct Room<K, V> {
    kept: Cache<K, Kept<V>, UnitWeighter, RandomState, Leavers>,
    /// Counts how often something was forgotten by name: what was asked for before is not kept.
    epoch: u64,
}

/// A value, and when it came.
struct Kept<V> {
    value: Arc<V>,
    at: Instant,
}

/// Collects those that make room, to be dropped under no lock.
#[derive(Clone, Copy, Debug)]
struct Leavers;

impl<K, V> Lifecycle<K, Kept<V>> for Leavers {
    type RequestState = Vec<(K, Kept<V>)>;

    fn on_evict(&self, state: &mut Self::RequestState, key: K, kept: Kept<V>) {
        state.push((key, kept));
    }
}

impl<K: Eq + Hash, V> Shelf<K, V> {
    /// Makes an empty one.
    pub fn new(keeping: Keeping) -> Self {
        let most = keeping.max_entries;
        let items = most.min(1024) as usize;
        let (hasher, weighter) = (RandomState::default(), UnitWeighter);
        let kept = Cache::with(items, u64::from(most), weighter, hasher, Leavers);
        let room = Mutex::new(Room { kept, epoch: 0 });
        let (hits, misses, coalesced, stale) = Default::default();
        Self { keeping, room, hits, misses, coalesced, stale }
    }

    /// Returns how long values are kept, and how many.
    pub fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// Looks for a value, and says how often something was forgotten by name until now.
    pub fn find<Q>(&self, key: &Q, now: Instant) -> (Found<Arc<V>>, u64)
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let Keeping { ttl, stale_for, .. } = self.keeping;
        let mut room = self.room();
        let epoch = room.epoch;
        let Some(kept) = room.kept.get(key) else { return (Found::Nothing, epoch) };
        let age = now.saturating_duration_since(kept.at);
        if age < ttl {
            return (Found::Fresh(Arc::clone(&kept.value)), epoch);
        }
        if age - ttl < stale_for {
            return (Found::Stale(Arc::clone(&kept.value)), epoch);
        }
        let gone = room.kept.remove(key);
        drop(room);
        drop(gone);
        (Found::Nothing, epoch)
    }

    /// Keeps a value that was asked for in this epoch, unless something was forgotten since: what
    /// was asked for before may be what was to be forgotten.
    pub fn keep(&self, key: K, value: Arc<V>, now: Instant, epoch: u64) {
        let mut leavers = Vec::new();
        let mut room = self.room();
        if room.epoch == epoch {
            leavers.extend(room.kept.remove(&key));
            room.kept.insert_with_lifecycle(key, Kept { value, at: now }, &mut leavers);
        }
        drop(room);
        drop(leavers);
    }

    /// Forgets a value; false if there is none.
    pub fn forget<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let mut room = self.room();
        room.epoch += 1;
        let gone = room.kept.remove(key);
        drop(room);
        gone.is_some()
    }

    /// Forgets all.
    pub fn clear(&self) {
        let mut room = self.room();
        room.epoch += 1;
        let gone: Vec<_> = room.kept.drain().collect();
        drop(room);
        drop(gone);
    }

    /// Returns all values that are kept, the outdated ones too.
    pub fn values(&self) -> Vec<Arc<V>> {
        self.room().kept.iter().map(|(_, kept)| Arc::clone(&kept.value)).collect()
    }

    /// Shows each value to a visitor, unless somebody is in there; no value is kept alive by it.
    pub fn visit<X>(&self, mut visit: impl FnMut(&V) -> Result<(), X>) -> Result<(), X> {
        let Ok(room) = self.room.try_lock() else { return Ok(()) };
        room.kept.iter().try_for_each(|(_, kept)| visit(&kept.value))
    }

    /// Returns how many values are kept, the outdated ones too.
    pub fn len(&self) -> usize {
        self.room().kept.len()
    }

    /// Returns whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how often something was forgotten by name until now.
    pub fn epoch(&self) -> u64 {
        self.room().epoch
    }

    fn room(&self) -> MutexGuard<'_, Room<K, V>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Shelf<K, V> {
    /// Counts a call that was answered by a fresh value.
    pub fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call for which a run was made.
    pub fn missed(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call that was answered by the run of another.
    pub fn coalesced(&self) {
        self.coalesced.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an error in place of which there was a stale value.
    pub fn went_stale(&self) {
        self.stale.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns what was counted.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            coalesced: self.coalesced.load(Ordering::Relaxed),
            stale: self.stale.load(Ordering::Relaxed),
        }
    }
}

impl<K, V> fmt::Debug for Shelf<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("keeping", &self.keeping).finish_non_exhaustive()
    }
}
