//! A bulkhead, and the limiter behind it: entered together, and nothing held while one waits.

use std::sync::Arc;
use std::time::Duration;

use limitpal::parts::{Behind, Composite, Door, Entry};
use limitpal::{CompositePermit as CorePermit, TimeSource};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use crate::ask::{Cost, Key};
use crate::clock::PyClock;
use crate::composite::take_all;
use crate::composite_permit::Taken;
use crate::composite_run::CompositeRun;
use crate::concurrency::ConcurrencyLimiter;
use crate::errors;
use crate::limiter::KeyedLimiter;

/// A bulkhead that was given to an executor.
pub(crate) struct Bulkhead {
    /// As it was given.
    pub(crate) given: Py<PyAny>,
    pool: Py<ConcurrencyLimiter>,
}

impl Bulkhead {
    /// Resolves an argument.
    pub(crate) fn of(bulkhead: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = bulkhead.py();
        let class = py.import("limitpal._bulkhead")?.getattr(intern!(py, "Bulkhead"))?;
        if !bulkhead.is_instance(&class)? {
            let advice = "give a Bulkhead, such as Bulkhead(10), or None";
            return Err(errors::invalid_config(py, "bulkhead", bulkhead, advice));
        }
        let pool = bulkhead.getattr(intern!(py, "_core"))?.cast_into::<ConcurrencyLimiter>()?;
        Ok(Self { given: bulkhead.clone().unbind(), pool: pool.unbind() })
    }

    /// Returns its clock, if it was given one: else those who wait go by the executor's.
    pub(crate) fn clock(&self) -> PyResult<Option<&PyClock>> {
        let clock = self.pool.get().source()?;
        Ok((!matches!(clock, PyClock::Monotonic)).then_some(clock))
    }
}

impl Bulkhead {
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.given)?;
        visit.call(&self.pool)
    }
}

/// A bulkhead, and the limiter behind it, if there is one.
pub(crate) struct Guarded {
    door: Arc<Door<PyErr>>,
    /// Both as one, for who has to wait.
    joined: Arc<Composite<PyClock>>,
}

impl Guarded {
    /// Puts a bulkhead before a limiter; timeouts go by this clock.
    pub(crate) fn new(
        py: Python<'_>,
        bulkhead: &Bulkhead,
        behind: Option<Behind<PyClock>>,
        clock: &PyClock,
    ) -> PyResult<Self> {
        let door = bulkhead.pool.get().door()?.clone();
        let joined = Composite::behind(door.clone(), behind, clock.clone_ref(py))
            .map_err(|error| errors::described(py, &error))?;
        Ok(Self { door, joined: Arc::new(joined) })
    }

    /// Takes from both if possible now; none: ask the two as one. Of a limiter that may be asked
    /// here, that is.
    #[inline]
    pub(crate) fn enter(
        &self,
        key: &Key<'_>,
        limiter: Option<Option<&KeyedLimiter>>,
    ) -> PyResult<Option<CorePermit>> {
        // Dropped, it goes back: also where a clock fails.
        let gate = self.door.fingerprint(key.as_str())?;
        let permit = match self.door.gates().enter(gate, 1, false) {
            Entry::Inside(cost) => self.door.permit(gate, cost),
            Entry::Waits(_) | Entry::Refused(_) => return Ok(None),
        };
        let takes = match limiter {
            None => true,
            Some(None) => false,
            // The user's own code is called once in a run, and who listens hears once.
            Some(Some(limiter)) => {
                !limiter.calls_python()?
                    && !limiter.part()?.teller().is_heard()
                    && limiter.takes_one(key)?
            }
        };
        Ok(takes.then(|| permit.into()))
    }

    /// Blocks the thread until both have given.
    pub(crate) fn acquire(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        timeout: Option<Duration>,
    ) -> PyResult<Taken> {
        let clock = self.joined.source();
        let start = clock.now()?;
        let left = || {
            let waited = clock.now()?.saturating_duration_since(start);
            PyResult::Ok(timeout.map(|timeout| timeout.saturating_sub(waited)))
        };
        take_all(py, &self.joined, key, Cost::ONE, left)
    }

    /// Begins to wait for both, to be awaited.
    pub(crate) fn begin(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        timeout: Option<Duration>,
    ) -> PyResult<CompositeRun> {
        let clock = self.joined.source().clone_ref(py);
        CompositeRun::new(Some(self.joined.clone()), clock, key, Cost::ONE, timeout)
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // The composite has a reference of its own.
        self.joined.source().traverse(visit)
    }
}

/// Refuses to wait for a limiter of the user's own while a place in the bulkhead is held.
pub(crate) fn beside_own() -> PyErr {
    PyTypeError::new_err(
        "a limiter of your own would be waited for while a place in the bulkhead is held; leave \
         bulkhead= out, and use `with bulkhead:` in the function",
    )
}
