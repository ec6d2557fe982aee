//! The circuits of many keys: found by key, and forgotten where there are too many.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::super::BreakerCell;
use super::super::callbacks::{BreakerEvent, CallbackId, Callbacks, EventKind};
use super::super::stats::KeyedBreakerStats;
use crate::breaker::{BreakerSettings, CircuitState};
use crate::config::{InvalidConfig, at_least_one};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, RwLock};
use crate::teller::Teller;
use crate::time::Instant;

/// Among how many the choice of who goes is exact.
const EXACT: usize = 1_024;
/// How many are looked at where there are more.
const LOOKED_AT: usize = 256;

/// A circuit for each key, for those who bring a clock that can fail.
#[derive(Debug)]
pub struct BreakerTable {
    settings: Arc<BreakerSettings>,
    callbacks: Arc<Callbacks>,
    max_breakers: Option<usize>,
    /// Counts uses, and so tells which came last.
    uses: AtomicU64,
    slots: RwLock<Slots>,
    /// What became of the calls of keys that are forgotten.
    gone: Mutex<KeyedBreakerStats>,
}

#[derive(Default, Debug)]
struct Slots {
    places: HashMap<Arc<str>, usize>,
    slots: Vec<Slot>,
    /// Where the search for one who goes continues.
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    cell: Arc<BreakerCell>,
    used: AtomicU64,
}

impl BreakerTable {
    /// Makes a table without keys.
    ///
    /// # Errors
    ///
    /// A `max_breakers` of 0.
    pub fn new(
        settings: BreakerSettings,
        max_breakers: Option<usize>,
    ) -> Result<Self, InvalidConfig> {
        if let Some(max) = max_breakers {
            at_least_one("max_breakers", max as u64)?;
        }
        let (callbacks, uses, slots) =
            (Arc::default(), AtomicU64::new(0), RwLock::new(Slots::default()));
        let counts_successes = settings.count_successes() || settings.hears_successes();
        let gone = Mutex::new(KeyedBreakerStats::nothing(counts_successes));
        Ok(Self { settings: Arc::new(settings), callbacks, max_breakers, uses, slots, gone })
    }

    /// Returns the settings of each circuit.
    pub fn settings(&self) -> &BreakerSettings {
        &self.settings
    }

    /// Returns how many are remembered at most.
    pub fn max_breakers(&self) -> Option<usize> {
        self.max_breakers
    }

    /// Returns how many are remembered.
    pub fn len(&self) -> usize {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).slots.len()
    }

    /// Returns whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the circuit of a key, if it is remembered.
    pub fn known(&self, key: &str) -> Option<Arc<BreakerCell>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.places.get(key).map(|place| self.used(&slots.slots[*place]))
    }

    /// Returns the circuit of a key, a new one where none is remembered.
    ///
    /// # Errors
    ///
    /// What `read` fails with. It is called where somebody has to go.
    pub fn cell<E>(
        &self,
        key: &str,
        read: impl FnOnce() -> Result<Instant, E>,
    ) -> Result<Arc<BreakerCell>, E> {
        if let Some(cell) = self.known(key) {
            return Ok(cell);
        }
        // Read before the lock: a clock of the user's may do as it likes.
        let now = match self.max_breakers {
            Some(max) if self.len() >= max => Some(read()?),
            _ => None,
        };
        let key: Arc<str> = key.into();
        let cell = self.made(key.clone());
        Ok(self.insert(key, Arc::new(cell), now))
    }

    /// Makes the closed circuit of a key.
    pub(super) fn made(&self, key: Arc<str>) -> BreakerCell {
        BreakerCell::of_key(self.settings.clone(), self.callbacks.clone(), key)
    }

    /// Returns all circuits, the one last used at the end.
    pub(super) fn by_last_use(&self) -> Vec<Arc<BreakerCell>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let mut used: Vec<_> = slots.slots.iter().collect();
        used.sort_by_cached_key(|slot| slot.used.load(Ordering::Relaxed));
        used.into_iter().map(|slot| slot.cell.clone()).collect()
    }

    /// Takes these circuits in, the one last used at the end; false if others are there.
    pub(super) fn fill(&self, cells: &[Arc<BreakerCell>]) -> bool {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if !slots.slots.is_empty() {
            return false;
        }
        for cell in cells {
            let place = slots.slots.len();
            slots.places.insert(cell.key().clone(), place);
            slots.slots.push(Slot { cell: cell.clone(), used: AtomicU64::new(self.next_use()) });
        }
        true
    }

    fn insert(
        &self,
        key: Arc<str>,
        cell: Arc<BreakerCell>,
        now: Option<Instant>,
    ) -> Arc<BreakerCell> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = slots.places.get(&key) {
            // Another thread was faster.
            return self.used(&slots.slots[*place]);
        }
        let slot = Slot { cell: cell.clone(), used: AtomicU64::new(self.next_use()) };
        let is_full = self.max_breakers.is_some_and(|max| slots.slots.len() >= max);
        let place = if is_full { slots.victim(now) } else { slots.slots.len() };
        if is_full {
            let gone = std::mem::replace(&mut slots.slots[place], slot);
            slots.places.remove(gone.cell.key());
            self.gone.lock().unwrap_or_else(PoisonError::into_inner).add_gone(&gone.cell);
        } else {
            slots.slots.push(slot);
        }
        slots.places.insert(key, place);
        // Whoever has begun to listen meanwhile has found it or is found by it.
        cell.refresh();
        cell
    }

    /// Adds a callback for all keys, those to come included.
    pub fn listen(
        &self,
        kind: EventKind,
        callback: impl Fn(&str, BreakerEvent) + Send + Sync + 'static,
    ) -> CallbackId {
        let id = self.callbacks.add(kind, Arc::new(callback));
        self.refresh();
        id
    }

    /// Returns who hears of what happens.
    pub fn teller(&self) -> &Teller {
        self.callbacks.teller()
    }

    /// Removes a callback, and returns whether it was there.
    pub fn remove_callback(&self, id: CallbackId) -> bool {
        let was_there = self.callbacks.remove(id);
        self.refresh();
        was_there
    }

    /// Returns what became of the calls of keys that are forgotten, and the circuits that are not.
    pub(in super::super) fn gone_and_there(&self) -> (KeyedBreakerStats, Vec<Arc<BreakerCell>>) {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (gone, slots.slots.iter().map(|slot| slot.cell.clone()).collect())
    }

    fn refresh(&self) {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.slots.iter().for_each(|slot| slot.cell.refresh());
    }

    fn used(&self, slot: &Slot) -> Arc<BreakerCell> {
        slot.used.store(self.next_use(), Ordering::Relaxed);
        slot.cell.clone()
    }

    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }
}

impl Slots {
    /// Returns whose place a newcomer takes, where there are as many as may be.
    fn victim(&mut self, now: Option<Instant>) -> usize {
        let count = self.slots.len();
        let looked_at = if count <= EXACT { count } else { LOOKED_AT };
        let places = (0..looked_at).map(|step| (self.hand + step) % count);
        let victim = places.min_by_key(|place| self.slots[*place].worth(now));
        self.hand = (self.hand + looked_at) % count;
        victim.expect("somebody is there")
    }
}

impl Slot {
    /// Returns how much would be lost without it: the least goes first.
    fn worth(&self, now: Option<Instant>) -> (bool, u8, u64) {
        let is_held = Arc::strong_count(&self.cell) > 1;
        let state = match self.cell.glance(now) {
            (_, true) => 0,
            (CircuitState::Closed, false) => 1,
            (CircuitState::HalfOpen, false) => 2,
            (CircuitState::Open, false) => 3,
        };
        (is_held, state, self.used.load(Ordering::Relaxed))
    }
}
