//! All or nothing over limiters of ours: what `CompositeLimiter` and its async twin run on.

use std::sync::Arc;
use std::time::Duration;

use limitpal::CompositePermit as CorePermit;
use limitpal::parts::{Behind, Composite, Part};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::ask::{Cost, Key};
use crate::clock::PyClock;
use crate::composite_run::CompositeRun;
use crate::concurrency::ConcurrencyLimiter;
use crate::decision::Decision;
use crate::guarded::beside_own;
use crate::limiter::{KeyedLimiter, WINDOW};
use crate::live;
use crate::observe::{Observers, Subscription};
use crate::{errors, seconds, shared_clock, stats};

/// What a composite with limiters of the user's own has in any case.
const CALLS: &str = "use allow() or acquire()";

/// What one that only counts how many are at it, or a limiter of the user's own, cannot tell.
const UNBOUNDED: &str = "a composite with limiters of your own, or of ConcurrencyLimiters alone, \
                         has no bound(); take the least of those that its parts have";

/// Only the limiters of ours are told of.
const UNTOLD: &str = "a composite of limiters of your own alone has no observe(); tell of their calls \
                      yourself";

/// A permit is not held while anybody waits for quota, and one's own may wait.
const BESIDE_OWN: &str = "limiters of your own would be waited for while a permit of the \
                          ConcurrencyLimiter is held; join them alone, and hold a permit within";

/// The parts of ours in a composite; those of the user's own are asked elsewhere.
#[pyclass(frozen, name = "_CompositeCore", module = "limitpal._limitpal")]
pub(crate) struct CompositeCore {
    /// None where all parts are the user's own.
    ours: Option<Arc<Composite<PyClock>>>,
    limiters: Vec<Py<KeyedLimiter>>,
    pools: Vec<Py<ConcurrencyLimiter>>,
    has_own: bool,
    clock: PyClock,
    observers: Observers,
}

/// What is known of the parts of the user's own.
pub(crate) struct Own<'a> {
    pub(crate) exists: bool,
    /// The clocks of those that are subclasses of ours.
    pub(crate) clocks: &'a [PyClock],
}

impl CompositeCore {
    /// Joins limiters of ours; `given` is what the user gave, for errors.
    pub(crate) fn join(
        given: &Bound<'_, PyAny>,
        (limiters, pools): (Vec<Py<KeyedLimiter>>, Vec<Py<ConcurrencyLimiter>>),
        own: Own<'_>,
        clock: Option<&Bound<'_, PyAny>>,
        stack_level: i32,
    ) -> PyResult<Self> {
        let py = given.py();
        let part = |limiter: &Py<KeyedLimiter>| limiter.get().shared();
        let parts: Vec<Arc<dyn Part<PyClock>>> =
            limiters.iter().map(part).collect::<PyResult<_>>()?;
        let Own { exists: has_own, clocks } = own;
        if has_own && !pools.is_empty() {
            return Err(PyTypeError::new_err(BESIDE_OWN));
        }
        let door = |pool: &Py<ConcurrencyLimiter>| pool.get().door().cloned();
        let doors: Vec<_> = pools.iter().map(door).collect::<PyResult<_>>()?;
        let mut clocks: Vec<_> = parts.iter().map(|part| part.source()).chain(clocks).collect();
        for pool in &pools {
            clocks.push(pool.get().source()?);
        }
        let clock = shared_clock::resolve(py, clock, &clocks, stack_level)?;
        let ours = if parts.is_empty() && doors.is_empty() {
            None
        } else {
            let composite = Composite::new(parts, doors, clock.clone_ref(py));
            Some(Arc::new(composite.map_err(|error| errors::from_core(py, &error, given))?))
        };
        let observers = Observers::default();
        Ok(Self { ours, limiters, pools, has_own, clock, observers })
    }

    /// Returns what stands behind a bulkhead, of the core of an async limiter.
    pub(crate) fn behind(limiter: &Bound<'_, PyAny>) -> PyResult<Behind<PyClock>> {
        if let Ok(keyed) = limiter.cast::<KeyedLimiter>() {
            return Ok(Behind::Part(keyed.get().shared()?));
        }
        let core = limiter.cast::<Self>()?.get();
        let ours = core.ours.clone().filter(|_| !core.has_own);
        ours.map(Behind::Composite).ok_or_else(beside_own)
    }

    pub(crate) fn limiters(&self) -> &[Py<KeyedLimiter>] {
        &self.limiters
    }

    pub(crate) fn pools(&self) -> &[Py<ConcurrencyLimiter>] {
        &self.pools
    }

    pub(crate) fn source(&self) -> &PyClock {
        &self.clock
    }

    pub(crate) fn ours(&self) -> Option<&Arc<Composite<PyClock>>> {
        self.ours.as_ref()
    }

    fn run(&self, key: &Key<'_>, cost: Cost, timeout: Option<Duration>) -> PyResult<CompositeRun> {
        let clock = Python::attach(|py| self.clock.clone_ref(py));
        CompositeRun::new(self.ours.clone(), clock, key, cost, timeout)
    }

    /// Returns the composite to ask for numbers, which parts of the user's own do not have.
    fn numbered(&self, call: &str, instead: &str) -> PyResult<&Composite<PyClock>> {
        self.refuse_bare(call)?;
        self.ours.as_deref().filter(|_| !self.has_own).ok_or_else(|| {
            PyTypeError::new_err(format!(
                "a composite with limiters of your own has no {call}(); {instead}"
            ))
        })
    }
}

#[pymethods]
impl CompositeCore {
    #[new]
    fn new(
        given: &Bound<'_, PyAny>,
        limiters: Vec<Py<KeyedLimiter>>,
        pools: Vec<Py<ConcurrencyLimiter>>,
        has_own: bool,
        own_clocks: Vec<Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let resolve = |clock: &Bound<'_, PyAny>| PyClock::resolve(Some(clock));
        let clocks = own_clocks.iter().map(resolve).collect::<PyResult<Vec<_>>>()?;
        let own = Own { exists: has_own, clocks: &clocks };
        Self::join(given, (limiters, pools), own, clock, 3)
    }

    /// Take from all, or from none; return what can be given back, or None.
    pub(crate) fn take(&self, key: Key<'_>, cost: Cost) -> PyResult<Option<CompositeRun>> {
        let taken = match &self.ours {
            Some(ours) => {
                let (key, cost) = (key.as_str(), cost.0);
                let watched = ours.watch(key)?;
                let taken = ours.take(key, cost)?;
                let is_refused = watched.is_some() && taken.is_none();
                let until = is_refused.then(|| ours.refused_until(key, cost)).transpose()?;
                ours.tell((key, cost), watched, until)?;
                taken
            }
            None => Some((Vec::new(), CorePermit::default())),
        };
        let Some((grants, permit)) = taken else { return Ok(None) };
        let run = self.run(&key, cost, None)?;
        run.grant(grants, permit);
        Ok(Some(run))
    }

    /// Begin to acquire, step by step.
    fn begin(
        &self,
        key: Key<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
        cost: Cost,
    ) -> PyResult<CompositeRun> {
        self.run(&key, cost, seconds::timeout("timeout", timeout)?)
    }

    pub(crate) fn check(&self, key: Key<'_>, cost: Cost) -> PyResult<Decision> {
        self.numbered("check", CALLS)?.check(key.as_str(), cost.0).map(Decision::from)
    }

    pub(crate) fn peek(&self, key: Key<'_>, cost: Cost) -> PyResult<Decision> {
        self.numbered("peek", CALLS)?.peek(key.as_str(), cost.0).map(Decision::from)
    }

    pub(crate) fn bound(&self, window: &Bound<'_, PyAny>) -> PyResult<u64> {
        let window = seconds::window("window", window, WINDOW)?;
        let bound =
            self.ours.as_ref().filter(|_| !self.has_own).and_then(|ours| ours.bound(window));
        bound.ok_or_else(|| PyTypeError::new_err(UNBOUNDED))
    }

    pub(crate) fn observe(
        &self,
        observer: &Bound<'_, PyAny>,
        near_limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Subscription> {
        match &self.ours {
            Some(ours) => self.observers.add(ours.teller(), 0, observer, near_limit),
            None => Err(PyTypeError::new_err(UNTOLD)),
        }
    }

    pub(crate) fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let counted = self.ours.as_ref().map(|ours| ours.stats()).transpose()?;
        stats::of_limiter(py, &counted.unwrap_or_default())
    }

    #[pyo3(signature = (key))]
    pub(crate) fn reset(&self, key: Option<Key<'_>>) -> PyResult<()> {
        match (&self.ours, key) {
            (Some(ours), Some(key)) => ours.reset(key.as_str()),
            (Some(ours), None) => ours.reset_all(),
            (None, _) => Ok(()),
        }
    }

    pub(crate) fn penalise(&self, key: Key<'_>, seconds: &Bound<'_, PyAny>) -> PyResult<bool> {
        let span = live::span(seconds)?;
        self.ours.as_ref().map_or(Ok(true), |ours| ours.penalise(key.as_str(), span))
    }

    pub(crate) fn give_back(&self, key: Key<'_>, cost: Cost) -> PyResult<()> {
        self.ours.as_ref().map_or(Ok(()), |ours| ours.return_some(key.as_str(), cost.0))
    }

    /// The limiters of ours, those of composites among them included, and those that hold.
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
        Ok((PyList::new(py, &self.limiters)?, PyList::new(py, &self.pools)?))
    }

    /// Refuse a call whose permit nobody would hold.
    pub(crate) fn refuse_bare(&self, call: &str) -> PyResult<()> {
        if self.holds() {
            return Err(PyTypeError::new_err(format!(
                "a composite with a ConcurrencyLimiter has no {call}(): a permit is held while the \
                 work lasts; call try_acquire(), which returns one or None"
            )));
        }
        Ok(())
    }

    /// Whether a permit is to be held.
    #[getter]
    pub(crate) fn holds(&self) -> bool {
        !self.pools.is_empty()
    }

    #[getter]
    pub(crate) fn clock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.clock.for_python(py)
    }

    pub(crate) fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.observers.traverse(&visit)?;
        self.limiters.iter().try_for_each(|limiter| visit.call(limiter))?;
        self.pools.iter().try_for_each(|pool| visit.call(pool))?;
        // The composite that the core shares has a reference of its own.
        if let Some(ours) = &self.ours {
            ours.source().traverse(&visit)?;
        }
        self.clock.traverse(&visit)
    }
}
