//! One that acquires from all parts of a composite, between two waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use limitpal::parts::{Arrival, Composite, CompositeStep, Door, Grant, Held, Wish};
use limitpal::{CompositePermit as CorePermit, Instant, TimeSource};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::ask::{Cost, Key};
use crate::clock::PyClock;
use crate::composite_permit::CompositePermit;
use crate::concurrency::shut;
use crate::concurrency_permit::ConcurrencyPermit;
use crate::place::{Patience, Place, movable};
use crate::{errors, seconds};

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
    /// What its observers are to hear of the keys, where there are any.
    watched: Option<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Begun,
    Waiting(usize, Py<Place>),
    /// Waiting before a door.
    Knocking(usize, Py<ConcurrencyPermit>),
    Granted(Vec<Grant>, CorePermit),
    Over,
}

/// What is waited for before the next step.
#[derive(IntoPyObject)]
enum Wait {
    Turn(Py<Place>),
    Permit(Py<ConcurrencyPermit>),
}

impl CompositeRun {
    pub(crate) fn new(
        ours: Option<Arc<Composite<PyClock>>>,
        clock: PyClock,
        key: &Key<'_>,
        cost: Cost,
        timeout: Option<Duration>,
    ) -> PyResult<Self> {
        let (key, start) = (key.as_str().to_owned(), clock.now()?);
        let (arrival, state) = (Arrival::next(), Mutex::default());
        let watched = ours.as_ref().map_or(Ok(None), |ours| ours.watch(&key))?;
        Ok(Self { ours, clock, key, cost, timeout, start, arrival, watched, state })
    }

    /// Ends it with what all parts have given.
    pub(crate) fn grant(&self, grants: Vec<Grant>, permit: CorePermit) {
        self.replace(State::Granted(grants, permit));
    }

    /// Spends the quota that was granted, and returns what is to be held.
    pub(crate) fn spend(&self) -> CorePermit {
        match self.replace(State::Over) {
            State::Granted(_, permit) => permit,
            State::Begun | State::Waiting(..) | State::Knocking(..) | State::Over => {
                CorePermit::default()
            }
        }
    }

    /// Returns what is left of the timeout.
    fn patience(&self) -> PyResult<Option<Duration>> {
        let Some(timeout) = self.timeout else { return Ok(None) };
        let waited = self.clock.now()?.saturating_duration_since(self.start);
        Ok(Some(timeout.saturating_sub(waited)))
    }

    fn waiting(&self, py: Python<'_>) -> Option<Py<Place>> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Waiting(_, place) => Some(place.clone_ref(py)),
            State::Begun | State::Knocking(..) | State::Granted(..) | State::Over => None,
        }
    }

    fn replace(&self, state: State) -> State {
        let mut own = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut own, state)
    }

    /// Returns what the wait that is over has brought.
    fn held(
        &self,
        py: Python<'_>,
        ours: &Composite<PyClock>,
        state: State,
    ) -> PyResult<Option<Held>> {
        Ok(match state {
            State::Waiting(part, place) => {
                place.get().grant().map(|grant| Held::Grant(part, grant))
            }
            State::Knocking(door, permit) => {
                Some(came(py, &ours.doors()[door], permit.get(), &self.key, self.cost)?)
                    .map(|permit| Held::Permit(door, permit))
            }
            State::Begun | State::Granted(..) | State::Over => None,
        })
    }
}

/// Ends the wait before a door: returns the permit, or raises as there is none in time.
pub(crate) fn came(
    py: Python<'_>,
    door: &Door<PyErr>,
    permit: &ConcurrencyPermit,
    key: &str,
    cost: Cost,
) -> PyResult<limitpal::ConcurrencyPermit> {
    permit.settle().map_err(|after| shut(py, door, Some(key), cost, after))?;
    let (gate, cost) = permit.take_held().expect("a wait that ends well ends with a permit");
    Ok(door.permit(gate, cost))
}

/// Says why one is refused: for lack of quota, or of a permit.
pub(crate) fn refusal(
    py: Python<'_>,
    ours: &Composite<PyClock>,
    (key, cost): (&str, Cost),
    (after, by): (limitpal::RetryAfter, usize),
) -> PyErr {
    let refusal = match after {
        // Only a permit's return is nobody's to tell.
        limitpal::RetryAfter::Unknown => errors::no_permit(py, key, cost.0, after),
        _ => errors::rate_limit_exceeded(py, key, cost.0, after),
    };
    match ours.parts().get(by) {
        Some(part) => errors::standing(py, refusal, &**part, (key, cost.0)),
        None => errors::shut(py, refusal, ours.doors().get(by - ours.parts().len()), cost.0),
    }
}

/// Tells those who listen of one who has come from all parts, or was refused by one.
pub(crate) fn tell(
    py: Python<'_>,
    ours: &Composite<PyClock>,
    (key, cost): (&str, Cost),
    watched: Option<bool>,
    error: Option<&PyErr>,
) -> PyResult<()> {
    if watched.is_none() {
        return Ok(());
    }
    let refused = match error {
        None => None,
        Some(error) if errors::RATE_LIMIT_EXCEEDED.raised_by(py, error)? => {
            Some(errors::retry_after(py, error)?)
        }
        // A clock that fails, Ctrl-C, and a full bulkhead are no refusals of a limiter's.
        Some(_) => return Ok(()),
    };
    ours.tell((key, cost.0), watched, refused)
}

#[pymethods]
impl CompositeRun {
    /// Return the place, or the permit, to wait for before the next step, or None to go.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Wait>> {
        let Some(ours) = &self.ours else { return Ok(None) };
        let next = self.step(py, ours);
        if !matches!(next, Ok(Some(_))) {
            tell(py, ours, (&self.key, self.cost), self.watched, next.as_ref().err())?;
        }
        next
    }

    /// Return the seconds left of the timeout, or None if there is none.
    fn left(&self) -> PyResult<Option<f64>> {
        Ok(self.patience()?.map(seconds::float))
    }

    /// Spend what was granted, and return the permit to hold.
    pub(crate) fn hold(&self) -> CompositePermit {
        CompositePermit::new(self.spend())
    }

    /// Give back what was granted, or leave the line before a door.
    pub(crate) fn leave(&self) {
        match (self.replace(State::Over), &self.ours) {
            (State::Granted(grants, permit), Some(ours)) => {
                drop(permit);
                ours.give_back(grants);
            }
            (State::Knocking(_, permit), _) => permit.get().release(),
            _ => {}
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.clock.traverse(&visit)
    }
}

impl CompositeRun {
    fn step(&self, py: Python<'_>, ours: &Arc<Composite<PyClock>>) -> PyResult<Option<Wait>> {
        if let Some(place) = self.waiting(py) {
            match place.get().claim(py) {
                Ok(None) => {}
                // Who came first has gone before.
                Ok(Some(_)) => return Ok(Some(Wait::Turn(place))),
                Err(error) => {
                    place.get().leave();
                    return Err(error);
                }
            }
        }
        let before = self.replace(State::Over);
        let timeout = self.patience().inspect_err(|_| {
            if let State::Waiting(_, place) = &before {
                place.get().leave();
            }
        })?;
        let held = self.held(py, ours, before)?;
        let fixed = |clock: &PyClock| !movable(clock);
        let (cost, arrival) = (self.cost.0, self.arrival);
        match ours.step(&self.key, Wish { cost, timeout, arrival }, held, fixed)? {
            CompositeStep::Go(grants, permit) => {
                self.grant(grants, permit);
                Ok(None)
            }
            CompositeStep::Wait(part, place, wait) => {
                let place = Place::provisional(ours.parts()[part].clone(), place, wait);
                let patience = Patience { key: &self.key, cost: self.cost, timeout };
                let place = Py::new(py, place.within(patience)?)?;
                self.replace(State::Waiting(part, place.clone_ref(py)));
                Ok(Some(Wait::Turn(place)))
            }
            CompositeStep::Knock(door, queued) => {
                let gates = ours.doors()[door].gates().clone();
                let permit = Py::new(py, ConcurrencyPermit::waiting(gates, queued, timeout))?;
                self.replace(State::Knocking(door, permit.clone_ref(py)));
                Ok(Some(Wait::Permit(permit)))
            }
            CompositeStep::Refused(after, by) => {
                Err(refusal(py, ours, (&self.key, self.cost), (after, by)))
            }
            CompositeStep::Shut(door, after) => {
                Err(shut(py, &ours.doors()[door], Some(&self.key), self.cost, after))
            }
        }
    }
}
