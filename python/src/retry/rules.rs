//! What a policy asks of the user's own functions and types about an error.

use limitpal::Spacing;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple, PyType};

use super::delays::{GivenDelays, computed};
use super::hooks::Hooks;
use crate::coroutine::is_awaitable;
use crate::errors;
use crate::exception_types::{is_one_of, tuple_of};

/// The user's own functions and types of a policy.
pub(crate) struct Rules {
    pub(crate) retry_on: Py<PyTuple>,
    pub(crate) retry_if: Option<Py<PyAny>>,
    pub(crate) retry_on_result: Option<Py<PyAny>>,
    pub(crate) delays: Option<GivenDelays>,
    pub(crate) delays_for: Vec<(Py<PyTuple>, GivenDelays)>,
    pub(crate) delay_from: Option<Py<PyAny>>,
    pub(crate) hooks: Hooks,
}

impl Rules {
    /// Returns whether an error deserves another attempt, if there is one left.
    pub(crate) fn retries(&self, py: Python<'_>, error: &PyErr) -> PyResult<bool> {
        if !is_one_of(py, error, &self.retry_on) {
            return Ok(false);
        }
        match &self.retry_if {
            Some(retry_if) => says(retry_if.bind(py), "retry_if", error.value(py).as_any()),
            None => Ok(true),
        }
    }

    /// Returns whether a value is not good enough, and deserves another attempt.
    pub(crate) fn turns_down(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        match &self.retry_on_result {
            Some(predicate) => says(predicate.bind(value.py()), "retry_on_result", value),
            None => Ok(false),
        }
    }

    /// Returns by what the delay after an error is computed, which ended this attempt.
    pub(crate) fn spacing(&self, py: Python<'_>, error: &PyErr, attempt: u32) -> PyResult<Spacing> {
        if let Some(delay_from) = &self.delay_from
            && let Some(server) = server_delay(delay_from.bind(py), error)?
        {
            return Ok(server);
        }
        for (class, (kinds, delays)) in self.delays_for.iter().enumerate() {
            if is_one_of(py, error, kinds) {
                return match delays.function() {
                    Some(function) => Ok(Spacing::Given(computed(function.bind(py), attempt)?)),
                    None => Ok(Spacing::Class(class)),
                };
            }
        }
        self.plain_spacing(py, attempt)
    }

    /// Returns by what the delay is computed where the last attempt ended with no error.
    pub(crate) fn plain_spacing(&self, py: Python<'_>, attempt: u32) -> PyResult<Spacing> {
        match self.delays.as_ref().and_then(GivenDelays::function) {
            Some(function) => Ok(Spacing::Given(computed(function.bind(py), attempt)?)),
            None => Ok(Spacing::Policy),
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.retry_on)?;
        visit.call(&self.retry_if)?;
        visit.call(&self.retry_on_result)?;
        visit.call(&self.delay_from)?;
        self.hooks.traverse(visit)?;
        if let Some(delays) = &self.delays {
            visit.call(&delays.kept)?;
        }
        for (kinds, delays) in &self.delays_for {
            visit.call(kinds)?;
            visit.call(&delays.kept)?;
        }
        Ok(())
    }
}

/// Asks a predicate. One that is async would say yes to everything.
pub(crate) fn says(
    predicate: &Bound<'_, PyAny>,
    parameter: &str,
    about: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let answer = predicate.call1((about,))?;
    if is_awaitable(&answer)? {
        if let Some(close) = answer.getattr_opt(intern!(answer.py(), "close"))? {
            close.call0()?;
        }
        let message =
            format!("{parameter} is async; give a plain function, nothing is awaited here");
        return Err(PyTypeError::new_err(message));
    }
    answer.is_truthy()
}

/// Asks which delay the server wants; nothing if it wants none, or says what is no time.
fn server_delay(delay_from: &Bound<'_, PyAny>, error: &PyErr) -> PyResult<Option<Spacing>> {
    let delay = delay_from.call1((error.value(delay_from.py()),))?;
    if delay.is_instance_of::<PyBool>() {
        return Ok(None);
    }
    // What a header says is somebody else's: nonsense is no reason to fail.
    Ok(delay.extract::<f64>().ok().and_then(Spacing::server))
}

/// Reads `delays_for`: delays by exception type, or by several in a tuple.
pub(crate) fn classes_of(given: &Bound<'_, PyAny>) -> PyResult<Vec<(Py<PyTuple>, GivenDelays)>> {
    const ADVICE: &str = "give delays by exception type, such as {Throttled: Constant(2.0)}";
    let py = given.py();
    let refuse = || errors::invalid_config(py, "delays_for", given, ADVICE);
    let pairs = match given.call_method0(intern!(py, "items")) {
        Ok(items) => items,
        Err(_) => given.clone(),
    };
    let Ok(pairs) = pairs.try_iter() else { return Err(refuse()) };
    let mut classes = Vec::new();
    for pair in pairs {
        let Ok((kinds, delays)) = pair?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() else {
            return Err(refuse());
        };
        if !kinds.is_instance_of::<PyType>() && !kinds.is_instance_of::<PyTuple>() {
            return Err(refuse());
        }
        let kinds = tuple_of("delays_for", &kinds)?;
        classes.push((kinds.unbind(), GivenDelays::of("delays_for", &delays)?));
    }
    Ok(classes)
}
