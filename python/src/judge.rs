//! What a call's end means for a circuit breaker: a success, a failure, or neither.

use limitpal::Outcome;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::errors;
use crate::exception_types::{Failure, is_one_of, tuple_of};

/// `failure_on`, `ignore` and `failure_on_result`.
pub(crate) struct Judge {
    failure_on: Option<FailureOn>,
    ignore: Py<PyTuple>,
    result: Option<Py<PyAny>>,
}

/// Which exceptions are failures.
enum FailureOn {
    Types(Py<PyTuple>),
    Predicate(Py<PyAny>),
}

impl Judge {
    pub(crate) fn new(
        py: Python<'_>,
        failure_on: Option<&Bound<'_, PyAny>>,
        ignore: Option<&Bound<'_, PyAny>>,
        result: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let failure_on = match failure_on {
            // A type can be called too.
            Some(given) if given.is_callable() && !given.is_instance_of::<PyType>() => {
                Some(FailureOn::Predicate(given.clone().unbind()))
            }
            Some(given) => Some(FailureOn::Types(tuple_of("failure_on", given)?.unbind())),
            None => None,
        };
        let ignore = match ignore {
            Some(types) => tuple_of("ignore", types)?,
            None => PyTuple::empty(py),
        };
        if let Some(given) = result
            && !given.is_callable()
        {
            let advice = "give a function of the result that says whether it is a failure";
            return Err(errors::invalid_config(py, "failure_on_result", given, advice));
        }
        let result = result.map(|given| given.clone().unbind());
        Ok(Self { failure_on, ignore: ignore.unbind(), result })
    }

    /// Says what an error means, whatever it is; none: neither.
    pub(crate) fn error(&self, py: Python<'_>, error: &PyErr) -> PyResult<Option<Outcome>> {
        match Failure::of(py, error)? {
            Failure::Failed => self.failed(py, error),
            Failure::Cancelled | Failure::OwnRefusal => Ok(None),
        }
    }

    /// Says what an error means that is neither a cancellation nor a refusal of ours.
    pub(crate) fn failed(&self, py: Python<'_>, error: &PyErr) -> PyResult<Option<Outcome>> {
        if is_one_of(py, error, &self.ignore) {
            return Ok(None);
        }
        let is_failure = match &self.failure_on {
            None => true,
            Some(FailureOn::Types(types)) => is_one_of(py, error, types),
            Some(FailureOn::Predicate(says)) => {
                says.bind(py).call1((error.value(py),))?.is_truthy()?
            }
        };
        // The other side has answered, if not as one would like.
        Ok(Some(if is_failure { Outcome::Failure } else { Outcome::Success }))
    }

    /// Says what a value means.
    #[inline]
    pub(crate) fn value(&self, value: &Bound<'_, PyAny>) -> PyResult<Outcome> {
        match &self.result {
            Some(says) if says.bind(value.py()).call1((value,))?.is_truthy()? => {
                Ok(Outcome::Failure)
            }
            _ => Ok(Outcome::Success),
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.failure_on {
            Some(FailureOn::Types(types)) => visit.call(types)?,
            Some(FailureOn::Predicate(says)) => visit.call(says)?,
            None => {}
        }
        visit.call(&self.ignore)?;
        visit.call(&self.result)
    }
}
