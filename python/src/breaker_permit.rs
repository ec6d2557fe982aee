//! A permit of a circuit breaker while a call lasts: in Rust's hands, or in a coroutine's.

use std::sync::{Mutex, PoisonError};

use limitpal::{Instant, Outcome, Permit};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::breaker::CircuitBreaker;

/// A permit that goes back when it is dropped.
pub(crate) struct Lent<'b> {
    breaker: &'b CircuitBreaker,
    permit: Option<Permit>,
    began: Option<Instant>,
}

impl<'b> Lent<'b> {
    pub(crate) fn by(breaker: &'b CircuitBreaker, py: Python<'_>) -> PyResult<Self> {
        let permit = Some(breaker.admit(py)?);
        // From here on it goes back if the clock fails.
        let lent = Self { breaker, permit, began: None };
        let began = breaker.begins()?;
        Ok(Self { began, permit: lent.into_permit(), breaker })
    }

    /// Tells the breaker how the call ended, if that is a success or a failure.
    pub(crate) fn settle(self, outcome: Option<Outcome>) -> PyResult<()> {
        let Some(outcome) = outcome else { return Ok(()) };
        let (breaker, began) = (self.breaker, self.began);
        match self.into_permit() {
            Some(permit) => breaker.settle(permit, outcome, began),
            None => Ok(()),
        }
    }

    fn into_permit(mut self) -> Option<Permit> {
        self.permit.take()
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.breaker.cell().ignore(permit);
        }
    }
}

/// A permit in the hands of a coroutine; it goes back when it is dropped.
#[pyclass(frozen, module = "limitpal._limitpal", name = "_LentPermit")]
pub(crate) struct LentPermit {
    pub(crate) breaker: Py<CircuitBreaker>,
    permit: Mutex<Option<Permit>>,
    began: Option<Instant>,
}

impl LentPermit {
    pub(crate) fn by(breaker: &Bound<'_, CircuitBreaker>) -> PyResult<Self> {
        let lent = Lent::by(breaker.get(), breaker.py())?;
        let began = lent.began;
        let permit = Mutex::new(lent.into_permit());
        Ok(Self { breaker: breaker.clone().unbind(), permit, began })
    }

    fn take(&self) -> Option<Permit> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells the breaker how the call ended. If that cannot be said, the permit goes back at once:
    /// a traceback may keep this for long.
    fn settle(&self, outcome: PyResult<Option<Outcome>>) -> PyResult<()> {
        let Some(permit) = self.take() else { return Ok(()) };
        let breaker = self.breaker.get();
        match outcome {
            Ok(Some(outcome)) => breaker.settle(permit, outcome, self.began),
            Ok(None) | Err(_) => {
                breaker.cell().ignore(permit);
                outcome.map(drop)
            }
        }
    }
}

#[pymethods]
impl LentPermit {
    /// Whose permit it is.
    #[getter]
    fn breaker(&self, py: Python<'_>) -> Py<CircuitBreaker> {
        self.breaker.clone_ref(py)
    }

    /// The call succeeded.
    fn succeeded(&self) -> PyResult<()> {
        self.settle(Ok(Some(Outcome::Success)))
    }

    /// The call returned this value.
    fn returned(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let outcome = self.breaker.get().parts().judge.value(value);
        self.settle(outcome.map(Some))
    }

    /// The call ended with this error.
    fn failed(&self, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let raised = PyErr::from_value(error.clone());
        let outcome = self.breaker.get().parts().judge.error(error.py(), &raised);
        self.settle(outcome)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.breaker)
    }
}

impl Drop for LentPermit {
    fn drop(&mut self) {
        if let Some(permit) = self.take() {
            self.breaker.get().cell().ignore(permit);
        }
    }
}
