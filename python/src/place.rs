//! A place in a limiter's line, held by an asyncio task.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use limitpal::parts::{Grant, Part, Pending, Place as CorePlace, gave_up};
use limitpal::{Instant, RetryAfter, TimeSource};
use pyo3::prelude::*;

use crate::ask::Cost;
use crate::clock::PyClock;
use crate::{callback, errors, seconds};

/// A place in line. Whoever holds it waits, and then claims it, or leaves it.
///
/// It has no Python objects of its own: the clock is the limiter's, which shows it to the garbage
/// collector. Shown twice, it would look like garbage while it is in use.
#[pyclass(frozen, module = "limitpal._limitpal")]
pub(crate) struct Place {
    part: Arc<dyn Part<PyClock>>,
    /// What was asked for, to be named if it is refused after all.
    key: Box<str>,
    cost: Cost,
    state: Mutex<State>,
    /// How long the wait is, as far as is known when it begins.
    wait: Duration,
    /// Whether others may still go before: then it is claimed by the run it belongs to.
    provisional: bool,
    /// When it is given up, where the wait may become longer while it lasts.
    end: Option<Instant>,
}

/// What one asked for who waits, and how long it is ready to.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    pub(crate) key: &'a str,
    pub(crate) cost: Cost,
    pub(crate) timeout: Option<Duration>,
}

#[derive(Clone, Copy)]
enum State {
    Waiting(CorePlace),
    Granted(Grant),
    Gone,
}

impl Place {
    pub(crate) fn new(part: Arc<dyn Part<PyClock>>, place: CorePlace, wait: Duration) -> Self {
        let (state, key) = (Mutex::new(State::Waiting(place)), Box::default());
        Self { part, key, cost: Cost::ONE, state, wait, provisional: false, end: None }
    }

    /// Says what was asked for; it is given up in time, where the wait may become longer.
    pub(crate) fn within(mut self, patience: Patience<'_>) -> PyResult<Self> {
        let Patience { key, cost, timeout } = patience;
        (self.key, self.cost) = (key.into(), cost);
        if let Some(timeout) = timeout.filter(|_| self.part.waits_may_grow()) {
            self.end = Some(self.part.source().now()? + timeout);
        }
        Ok(self)
    }

    /// Returns how long one sleeps of a wait: as long as there is time for it.
    fn cut(&self, wait: Duration) -> PyResult<Duration> {
        let Some(end) = self.end else { return Ok(wait) };
        let left = end.saturating_duration_since(self.part.source().now()?);
        if left.is_zero() {
            self.leave();
            return Err(Python::attach(|py| self.refused(py, RetryAfter::Unknown)));
        }
        Ok(wait.min(left))
    }

    /// Makes the place of one who waits for several limiters in turn.
    pub(crate) fn provisional(
        part: Arc<dyn Part<PyClock>>,
        place: CorePlace,
        wait: Duration,
    ) -> Self {
        let mut place = Self::new(part, place, wait);
        place.provisional = true;
        place
    }

    /// Takes the grant out, for one who gives it back by other ways.
    pub(crate) fn grant(&self) -> Option<Grant> {
        match self.replace(State::Gone) {
            State::Granted(grant) => Some(grant),
            State::Waiting(_) | State::Gone => None,
        }
    }

    /// Returns the clock that it is waited for by.
    pub(crate) fn source(&self) -> &PyClock {
        self.part.source()
    }

    /// Hears what one who waits is answered: None to go, else the seconds still to sleep.
    fn answered(&self, py: Python<'_>, answer: Result<Grant, Pending>) -> PyResult<Option<f64>> {
        match answer {
            Ok(grant) => {
                self.replace(State::Granted(grant));
                Ok(None)
            }
            Err(Pending { refused: Some(refused), .. }) => {
                self.replace(State::Gone);
                // One that waits for several limiters asks all anew.
                if self.provisional {
                    return Ok(None);
                }
                Err(self.refused(py, refused))
            }
            Err(pending) => Ok(Some(seconds::float(self.cut(pending.wait)?))),
        }
    }

    fn refused(&self, py: Python<'_>, after: RetryAfter) -> PyErr {
        if !self.provisional {
            gave_up(&*self.part, &self.key, self.cost.0);
        }
        let refusal = errors::rate_limit_exceeded(py, &self.key, self.cost.0, after);
        errors::standing(py, refusal, &*self.part, (&self.key, self.cost.0))
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, state: State) -> State {
        let mut own = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut own, state)
    }
}

#[pymethods]
impl Place {
    /// The clock to wait by.
    #[getter]
    fn clock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part.source().for_python(py)
    }

    /// Whether the sleep can be moved: then `moved` is called when the place comes up earlier.
    #[getter]
    fn movable(&self) -> bool {
        movable(self.part.source())
    }

    /// Whether others may still go before; then nobody claims it when its time has come.
    #[getter(provisional)]
    fn is_provisional(&self) -> bool {
        self.provisional
    }

    /// Whether the wait may become longer while it lasts: then it is claimed after each sleep.
    #[getter]
    fn grows(&self) -> bool {
        self.part.waits_may_grow()
    }

    /// The seconds to sleep for one who cannot be moved.
    #[getter]
    fn wait(&self) -> f64 {
        seconds::float(self.wait)
    }

    /// Keep `moved` to be called when the place comes up earlier; return the seconds to sleep.
    fn arm(&self, moved: Py<PyAny>) -> PyResult<f64> {
        let State::Waiting(place) = self.state() else { return Ok(0.0) };
        let pending = self.part.arm(place, callback::waker(moved))?;
        Ok(seconds::float(self.cut(pending.wait)?))
    }

    /// Go if it is time, and return None; else return the seconds still to sleep.
    pub(crate) fn claim(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let State::Waiting(place) = self.state() else { return Ok(None) };
        let answer = self.part.claim(place, None)?;
        self.answered(py, answer)
    }

    /// Go: one who cannot be moved has slept for as long as it was told. If it was pushed back
    /// meanwhile, return the seconds still to sleep.
    fn arrive(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let State::Waiting(place) = self.state() else { return Ok(None) };
        self.answered(py, self.part.arrived(place))
    }

    /// Leave the line, or give back what was granted meanwhile.
    pub(crate) fn leave(&self) {
        match self.replace(State::Gone) {
            State::Waiting(place) => self.part.leave(place),
            State::Granted(grant) => self.part.give_back(grant),
            State::Gone => {}
        }
    }
}

impl Drop for Place {
    /// Leaves the line, where nobody has claimed or left the place.
    fn drop(&mut self) {
        if let State::Waiting(place) = self.replace(State::Gone) {
            self.part.leave(place);
        }
    }
}

/// Whether a blocking sleep cannot be moved: only where a wait may become longer is it one that can.
pub(crate) fn is_fixed(part: &dyn Part<PyClock>) -> bool {
    !(part.waits_may_grow() && matches!(part.source(), PyClock::Monotonic))
}

/// Whether sleeps by this clock can be moved: of a clock of the user's own nothing is known.
pub(crate) fn movable(clock: &PyClock) -> bool {
    match clock {
        PyClock::Monotonic | PyClock::Mock { .. } => true,
        PyClock::Python(_) => false,
    }
}
