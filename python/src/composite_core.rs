//! All or nothing over limiters of ours: what `CompositeLimiter` and its async twin run on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use limitpal::parts::{Arrival, Composite, CompositeStep, Grant, Part, Wish};
use limitpal::{Instant, TimeSource};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::ask::{Cost, Key};
use crate::clock::PyClock;
use crate::decision::Decision;
use crate::limiter::{KeyedLimiter, WINDOW};
use crate::place::{Place, movable};
use crate::{errors, seconds, shared_clock};

/// What a composite with limiters of the user's own has in any case.
const CALLS: &str = "use allow() or acquire()";

/// The parts of ours in a composite; those of the user's own are asked elsewhere.
#[pyclass(frozen, name = "_CompositeCore", module = "limitpal._limitpal")]
pub(crate) struct CompositeCore {
    /// None where all parts are the user's own.
    ours: Option<Arc<Composite<PyClock>>>,
    limiters: Vec<Py<KeyedLimiter>>,
    has_own: bool,
    clock: PyClock,
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
        limiters: Vec<Py<KeyedLimiter>>,
        own: Own<'_>,
        clock: Option<&Bound<'_, PyAny>>,
        stack_level: i32,
    ) -> PyResult<Self> {
        let py = given.py();
        let part = |limiter: &Py<KeyedLimiter>| limiter.get().shared();
        let parts: Vec<Arc<dyn Part<PyClock>>> =
            limiters.iter().map(part).collect::<PyResult<_>>()?;
        let Own { exists: has_own, clocks } = own;
        let clocks: Vec<_> = parts.iter().map(|part| part.source()).chain(clocks).collect();
        let clock = shared_clock::resolve(py, clock, &clocks, stack_level)?;
        let ours = if parts.is_empty() {
            None
        } else {
            let composite = Composite::new(parts, clock.clone_ref(py));
            Some(Arc::new(composite.map_err(|error| errors::from_core(py, &error, given))?))
        };
        Ok(Self { ours, limiters, has_own, clock })
    }

    pub(crate) fn limiters(&self) -> &[Py<KeyedLimiter>] {
        &self.limiters
    }

    pub(crate) fn source(&self) -> &PyClock {
        &self.clock
    }

    pub(crate) fn ours(&self) -> Option<&Arc<Composite<PyClock>>> {
        self.ours.as_ref()
    }

    fn run(&self, key: &Key<'_>, cost: Cost, timeout: Option<Duration>) -> PyResult<CompositeRun> {
        let (ours, clock) = (self.ours.clone(), Python::attach(|py| self.clock.clone_ref(py)));
        let (key, start) = (key.as_str().to_owned(), clock.now()?);
        let (arrival, state) = (Arrival::next(), Mutex::default());
        Ok(CompositeRun { ours, clock, key, cost, timeout, start, arrival, state })
    }

    /// Returns the composite to ask for numbers, which parts of the user's own do not have.
    fn numbered(&self, call: &str, instead: &str) -> PyResult<&Composite<PyClock>> {
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
        has_own: bool,
        own_clocks: Vec<Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let resolve = |clock: &Bound<'_, PyAny>| PyClock::resolve(Some(clock));
        let clocks = own_clocks.iter().map(resolve).collect::<PyResult<Vec<_>>>()?;
        let own = Own { exists: has_own, clocks: &clocks };
        Self::join(given, limiters, own, clock, 2)
    }

    /// Take from all, or from none; return what can be given back, or None.
    pub(crate) fn take(&self, key: Key<'_>, cost: Cost) -> PyResult<Option<CompositeRun>> {
        let grants = match &self.ours {
            Some(ours) => ours.take(key.as_str(), cost.0)?,
            None => Some(Vec::new()),
        };
        let Some(grants) = grants else { return Ok(None) };
        let run = self.run(&key, cost, None)?;
        run.replace(State::Granted(grants));
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
        let ours = self.numbered("bound", "take the least of those that its parts have")?;
        Ok(ours.bound(seconds::window("window", window, WINDOW)?))
    }

    #[pyo3(signature = (key))]
    pub(crate) fn reset(&self, key: Option<Key<'_>>) -> PyResult<()> {
        match (&self.ours, key) {
            (Some(ours), Some(key)) => ours.reset(key.as_str()),
            (Some(ours), None) => ours.reset_all(),
            (None, _) => Ok(()),
        }
    }

    /// The limiters of ours, those of composites among them included.
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, &self.limiters)
    }

    #[getter]
    pub(crate) fn clock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.clock.for_python(py)
    }

    pub(crate) fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.limiters.iter().try_for_each(|limiter| visit.call(limiter))?;
        // The composite that the core shares has a reference of its own.
        if let Some(ours) = &self.ours {
            ours.source().traverse(&visit)?;
        }
        self.clock.traverse(&visit)
    }
}

/// One that acquires from all parts, between two waits.
#[pyclass(frozen, module = "limitpal._limitpal")]
pub(crate) struct CompositeRun {
    ours: Option<Arc<Composite<PyClock>>>,
    clock: PyClock,
    key: String,
    cost: Cost,
    timeout: Option<Duration>,
    start: Instant,
    arrival: Arrival,
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Begun,
    Waiting(usize, Py<Place>),
    Granted(Vec<Grant>),
    Over,
}

impl CompositeRun {
    /// Returns what is left of the timeout.
    fn patience(&self) -> PyResult<Option<Duration>> {
        let Some(timeout) = self.timeout else { return Ok(None) };
        let waited = self.clock.now()?.saturating_duration_since(self.start);
        Ok(Some(timeout.saturating_sub(waited)))
    }

    fn waiting(&self, py: Python<'_>) -> Option<Py<Place>> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Waiting(_, place) => Some(place.clone_ref(py)),
            State::Begun | State::Granted(_) | State::Over => None,
        }
    }

    fn replace(&self, state: State) -> State {
        let mut own = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut own, state)
    }
}

#[pymethods]
impl CompositeRun {
    /// Return the place to wait for before the next step, or None to go.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<Place>>> {
        let Some(ours) = &self.ours else { return Ok(None) };
        if let Some(place) = self.waiting(py) {
            match place.get().claim() {
                Ok(None) => {}
                // Who came first has gone before.
                Ok(Some(_)) => return Ok(Some(place)),
                Err(error) => {
                    place.get().leave();
                    return Err(error);
                }
            }
        }
        let held = self.replace(State::Over);
        let timeout = self.patience().inspect_err(|_| {
            if let State::Waiting(_, place) = &held {
                place.get().leave();
            }
        })?;
        let held = match held {
            State::Waiting(part, place) => place.get().grant().map(|grant| (part, grant)),
            State::Begun | State::Granted(_) | State::Over => None,
        };
        let fixed = |clock: &PyClock| !movable(clock);
        let (cost, arrival) = (self.cost.0, self.arrival);
        match ours.step(&self.key, Wish { cost, timeout, arrival }, held, fixed)? {
            CompositeStep::Go(grants) => {
                self.replace(State::Granted(grants));
                Ok(None)
            }
            CompositeStep::Wait(part, place, wait) => {
                let place = Place::provisional(ours.parts()[part].clone(), place, wait);
                let place = Py::new(py, place)?;
                self.replace(State::Waiting(part, place.clone_ref(py)));
                Ok(Some(place))
            }
            CompositeStep::Refused(retry_after) => {
                Err(errors::rate_limit_exceeded(py, &self.key, self.cost.0, retry_after))
            }
        }
    }

    /// Return the seconds left of the timeout, or None if there is none.
    fn left(&self) -> PyResult<Option<f64>> {
        Ok(self.patience()?.map(seconds::float))
    }

    /// Give back what was granted.
    pub(crate) fn leave(&self) {
        if let (State::Granted(grants), Some(ours)) = (self.replace(State::Over), &self.ours) {
            ours.give_back(grants);
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.clock.traverse(&visit)
    }
}
