//! A permit of a concurrency limiter, from the place in line to its return.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use limitpal::RetryAfter;
use limitpal::parts::{Fingerprint, Gates, Queued, Standing};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::limiter::unpicklable;
use crate::{callback, seconds};

/// A permit to work. It goes back by `release()`, at the end of a `with` statement, or when nobody
/// refers to it any more.
///
/// >>> from limitpal import ConcurrencyLimiter
/// >>> limiter = ConcurrencyLimiter(1)
/// >>> permit = limiter.acquire("db")
/// >>> limiter.in_flight("db")
/// 1
/// >>> permit.release()
/// >>> limiter.in_flight("db")
/// 0
#[pyclass(frozen, module = "limitpal", weakref)]
pub(crate) struct ConcurrencyPermit {
    /// It has no Python objects of its own, so the garbage collector need not look into it.
    gates: Arc<Gates>,
    gate: Fingerprint,
    cost: u32,
    /// How long its holder is ready to wait for it.
    timeout: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    Waiting(Queued),
    Held,
    Refused(RetryAfter),
    Gone,
}

impl ConcurrencyPermit {
    pub(crate) fn held(gates: Arc<Gates>, gate: Fingerprint, cost: u32) -> Self {
        Self { gates, gate, cost, timeout: None, state: Mutex::new(State::Held) }
    }

    /// Makes the permit of one who waits for it.
    pub(crate) fn waiting(gates: Arc<Gates>, queued: Queued, timeout: Option<Duration>) -> Self {
        let (gate, cost) = (queued.key(), queued.cost());
        Self { gates, gate, cost, timeout, state: Mutex::new(State::Waiting(queued)) }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state(), State::Waiting(_))
    }

    /// Ends the wait: the permit is there, or its holder goes without.
    pub(crate) fn settle(&self) -> Result<(), RetryAfter> {
        // Leaving lets in others, and calls them: so no lock is held meanwhile.
        if let State::Waiting(queued) = self.state() {
            let standing = self.gates.give_up(queued);
            self.hear(standing, RetryAfter::Unknown);
        }
        match self.state() {
            State::Refused(after) => Err(after),
            State::Waiting(_) | State::Held | State::Gone => Ok(()),
        }
    }

    /// Takes out what is held, for one who gives it back by other ways.
    pub(crate) fn take_held(&self) -> Option<(Fingerprint, u32)> {
        match self.replace(State::Gone) {
            State::Held => Some((self.gate, self.cost)),
            State::Waiting(_) | State::Refused(_) | State::Gone => None,
        }
    }

    /// Notes what came of the wait; `refused` is what one is told who has left the line.
    fn hear(&self, standing: Standing, refused: RetryAfter) {
        self.replace(match standing {
            Standing::Inside => State::Held,
            Standing::TurnedAway => State::Refused(RetryAfter::Never),
            Standing::Waits { .. } => State::Refused(refused),
        });
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
impl ConcurrencyPermit {
    /// Give it back; a second time does nothing.
    pub(crate) fn release(&self) {
        match self.replace(State::Gone) {
            State::Waiting(queued) => self.gates.leave(queued),
            State::Held => self.gates.let_out(self.gate, self.cost),
            State::Refused(_) | State::Gone => {}
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.release();
    }

    /// Whether it is still waited for.
    #[getter]
    fn _waiting(&self) -> bool {
        self.is_waiting()
    }

    /// The seconds for which it is waited for at most.
    #[getter]
    fn _timeout(&self) -> Option<f64> {
        self.timeout.map(seconds::float)
    }

    /// Keep `ring` to be called, in any thread, once the wait is over; False if it is already.
    fn _arm(&self, ring: Py<PyAny>) -> bool {
        let State::Waiting(queued) = self.state() else { return false };
        let standing = self.gates.arm(queued, callback::waker(ring));
        if matches!(standing, Standing::Waits { .. }) {
            return true;
        }
        self.hear(standing, RetryAfter::Unknown);
        false
    }

    fn __repr__(&self) -> String {
        let state = match self.state() {
            State::Waiting(_) => "waited for",
            State::Held => "held",
            State::Refused(_) | State::Gone => "given back",
        };
        format!("<ConcurrencyPermit, cost {}, {state}>", self.cost)
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        self.release();
    }
}
