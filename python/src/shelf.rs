//! What a cache keeps: Python objects, told apart by `==`, on the core's shelf.
//!
//! The core tells them apart by numbers alone: so no code of the user's runs under its lock.

use std::sync::Arc;
use std::time::Duration;

use limitpal::TimeSource;
use limitpal::parts::{Found, Keeping, Shelf as Core};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::ask::count;
use crate::clock::PyClock;
use crate::{errors, seconds};

/// A hash, and which of those whose hash is the same.
type Number = (isize, u8);

/// How many values of one hash are kept.
const PLACES: u8 = 4;

struct Slot {
    number: Number,
    key: Py<PyAny>,
    value: Py<PyAny>,
}

/// Python objects by keys, for a time.
#[pyclass(frozen, module = "limitpal._limitpal", name = "_Shelf")]
pub(crate) struct Shelf {
    core: Core<Number, Slot>,
}

impl Shelf {
    /// Returns the place of a key: where it is, or else where it would be put.
    fn place(&self, key: &Bound<'_, PyAny>, clock: &PyClock) -> PyResult<(Number, Looked)> {
        let (hash, now) = (key.hash()?, clock.now()?);
        let mut first = 0;
        for rank in 0..PLACES {
            let (found, epoch) = self.core.find(&(hash, rank), now);
            if rank == 0 {
                first = epoch;
            }
            let slot = match &found {
                Found::Fresh(slot) | Found::Stale(slot) => slot,
                Found::Nothing => return Ok(((hash, rank), (found, first))),
            };
            // Compared under no lock: this is the user's code.
            if slot.key.bind(key.py()).eq(key)? {
                return Ok(((hash, rank), (found, first)));
            }
        }
        Ok(((hash, 0), (Found::Nothing, first)))
    }

    /// Forgets those that a function says are to be forgotten; false if there is none.
    fn forget_each(
        &self,
        values: Vec<Arc<Slot>>,
        mut is_meant: impl FnMut(&Slot) -> PyResult<bool>,
    ) -> PyResult<bool> {
        let mut any = false;
        for slot in values {
            if is_meant(&slot)? {
                any |= self.core.forget(&slot.number);
            }
        }
        // Also where nothing is kept: a run may be under way.
        self.core.forget(&(0, PLACES));
        Ok(any)
    }
}

type Looked = (Found<Arc<Slot>>, u64);

#[pymethods]
impl Shelf {
    #[new]
    fn new(
        ttl: &Bound<'_, PyAny>,
        max_entries: &Bound<'_, PyAny>,
        stale_for: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        const MOST: &str = "give a whole number from 1 to 4294967295";
        const STALE: &str = "give a time in seconds of at least 0, 100 years at most";
        let spare = seconds::number("stale_for", stale_for, STALE)?;
        let is_right = (0.0..=100.0 * 366.0 * 86400.0).contains(&spare);
        if !is_right {
            return Err(errors::invalid_config(ttl.py(), "stale_for", stale_for, STALE));
        }
        let keeping = Keeping {
            ttl: seconds::positive("ttl", ttl)?,
            stale_for: seconds::duration(spare),
            max_entries: count("max_entries", max_entries, MOST)?,
        };
        let keeping = keeping.check().map_err(|error| errors::described(ttl.py(), &error))?;
        Ok(Self { core: Core::new(keeping) })
    }

    /// Return what an executor with this clock uses.
    fn seen_by(slf: &Bound<'_, Self>, clock: &Bound<'_, PyAny>) -> PyResult<ShelfView> {
        Ok(ShelfView { shelf: slf.clone().unbind(), clock: PyClock::resolve(Some(clock))? })
    }

    /// Forget one key; False if there is nothing.
    fn forget(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (py, hash) = (key.py(), key.hash()?);
        let mut values = self.core.values();
        values.retain(|slot| slot.number.0 == hash);
        self.forget_each(values, |slot| slot.key.bind(py).eq(key))
    }

    /// Forget the keys for which a function returns true; False if there is none.
    fn forget_if(&self, is_meant: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = is_meant.py();
        let values = self.core.values();
        self.forget_each(values, |slot| is_meant.call1((slot.key.bind(py),))?.is_truthy())
    }

    fn clear(&self) {
        self.core.clear();
    }

    fn epoch(&self) -> u64 {
        self.core.epoch()
    }

    fn hit(&self) {
        self.core.hit();
    }

    fn missed(&self) {
        self.core.missed();
    }

    fn coalesced(&self) {
        self.core.coalesced();
    }

    fn went_stale(&self) {
        self.core.went_stale();
    }

    /// Return hits, misses, coalesced and stale.
    fn counts(&self) -> (u64, u64, u64, u64) {
        let stats = self.core.stats();
        (stats.hits, stats.misses, stats.coalesced, stats.stale)
    }

    /// Return ttl, max_entries and stale_for.
    fn keeping(&self) -> (f64, u32, f64) {
        let Keeping { ttl, stale_for, max_entries } = self.core.keeping();
        let float = |span: Duration| if span.is_zero() { 0.0 } else { seconds::float(span) };
        (float(ttl), max_entries, float(stale_for))
    }

    fn __len__(&self) -> usize {
        self.core.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.core.visit(|slot| {
            visit.call(&slot.key)?;
            visit.call(&slot.value)
        })
    }

    fn __clear__(&self) {
        self.core.clear();
    }
}

/// A shelf, by the clock of one executor.
#[pyclass(frozen, module = "limitpal._limitpal", name = "_ShelfView")]
pub(crate) struct ShelfView {
    shelf: Py<Shelf>,
    clock: PyClock,
}

#[pymethods]
impl ShelfView {
    /// Return whether there is a value (None: no; True: it is fresh), the value, and the epoch.
    fn find(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
    ) -> PyResult<(Option<bool>, Option<Py<PyAny>>, u64)> {
        let (_, (found, epoch)) = self.shelf.get().place(key, &self.clock)?;
        Ok(match found {
            Found::Fresh(slot) => (Some(true), Some(slot.value.clone_ref(py)), epoch),
            Found::Stale(slot) => (Some(false), Some(slot.value.clone_ref(py)), epoch),
            Found::Nothing => (None, None, epoch),
        })
    }

    /// Keep a value that was asked for in this epoch.
    fn keep(&self, key: &Bound<'_, PyAny>, value: Py<PyAny>, epoch: u64) -> PyResult<()> {
        let shelf = self.shelf.get();
        let (number, _) = shelf.place(key, &self.clock)?;
        let slot = Arc::new(Slot { number, key: key.clone().unbind(), value });
        shelf.core.keep(number, slot, self.clock.now()?, epoch);
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.shelf)?;
        self.clock.traverse(&visit)
    }
}
