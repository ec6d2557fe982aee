//! The hooks of a policy: what it tells the user's own functions about the attempts of a run.

use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use crate::attempt::Attempt;
use crate::coroutine::{callable, is_awaitable};

/// The three hooks, each optional.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) before_attempt: Option<Py<PyAny>>,
    pub(crate) after_attempt: Option<Py<PyAny>>,
    pub(crate) before_wait: Option<Py<PyAny>>,
}

impl Hooks {
    pub(crate) fn is_empty(&self) -> bool {
        self.before_attempt.is_none() && self.after_attempt.is_none() && self.before_wait.is_none()
    }

    pub(crate) fn before_attempt(&self, attempt: &Bound<'_, Attempt>) -> PyResult<()> {
        let Some(hook) = &self.before_attempt else { return Ok(()) };
        ended("before_attempt", &hook.bind(attempt.py()).call1((attempt,))?)
    }

    /// Tells how an attempt ended: with an error, or with a value. One that was cancelled has no
    /// end to tell of.
    pub(crate) fn after_attempt(
        &self,
        attempt: &Bound<'_, Attempt>,
        error: Option<&PyErr>,
    ) -> PyResult<()> {
        let py = attempt.py();
        let Some(hook) = &self.after_attempt else { return Ok(()) };
        if error.is_some_and(|error| !error.is_instance_of::<PyException>(py)) {
            return Ok(());
        }
        let value = error.map(|error| error.value(py));
        let answer = hook.bind(py).call1((attempt, value));
        let told = answer.and_then(|answer| ended("after_attempt", &answer));
        if let (Err(own), Some(value)) = (&told, value) {
            let _kept = own.value(py).setattr(intern!(py, "__context__"), value);
        }
        told
    }

    pub(crate) fn before_wait(&self, attempt: &Bound<'_, Attempt>, delay: f64) -> PyResult<()> {
        let Some(hook) = &self.before_wait else { return Ok(()) };
        ended("before_wait", &hook.bind(attempt.py()).call1((attempt, delay))?)
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.before_attempt)?;
        visit.call(&self.after_attempt)?;
        visit.call(&self.before_wait)
    }
}

/// Refuses what cannot be called, and a coroutine function.
pub(crate) fn hook_of(name: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Py<PyAny>>> {
    let Some(given) = given else { return Ok(None) };
    callable(name, given)?;
    let inspect = given.py().import("inspect")?;
    if inspect.call_method1("iscoroutinefunction", (given,))?.is_truthy()? {
        return Err(asynchronous(name));
    }
    Ok(Some(given.clone().unbind()))
}

/// Refuses an answer that is to be awaited.
fn ended(name: &str, answer: &Bound<'_, PyAny>) -> PyResult<()> {
    if answer.is_none() || !is_awaitable(answer)? {
        return Ok(());
    }
    if let Some(close) = answer.getattr_opt(intern!(answer.py(), "close"))? {
        close.call0()?;
    }
    Err(asynchronous(name))
}

fn asynchronous(name: &str) -> PyErr {
    let message = format!("{name} is async; give a plain function, nothing is awaited here");
    PyTypeError::new_err(message)
}
