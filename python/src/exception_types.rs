//! Exception types that a user names, and what an exception means to a run.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::errors;

/// Returns an exception type, or any iterable of them, as a tuple.
pub(crate) fn tuple_of<'py>(
    parameter: &str,
    types: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTuple>> {
    const ADVICE: &str = "give an exception type such as TimeoutError, or several in a tuple";
    let py = types.py();
    let refuse = || errors::invalid_config(py, parameter, types, ADVICE);
    let is_exception = |kind: &Bound<'_, PyAny>| match kind.cast::<PyType>() {
        Ok(kind) => kind.is_subclass_of::<PyException>(),
        Err(_) => Ok(false),
    };
    if types.is_instance_of::<PyType>() {
        return if is_exception(types)? { PyTuple::new(py, [types]) } else { Err(refuse()) };
    }
    let Ok(each) = types.try_iter() else { return Err(refuse()) };
    let each = each.collect::<PyResult<Vec<_>>>()?;
    for kind in &each {
        if !is_exception(kind)? {
            return Err(refuse());
        }
    }
    PyTuple::new(py, each)
}

/// What an exception of the user's function means to a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// Cancellation, Ctrl-C and the like: neither counted nor retried.
    Cancelled,
    /// A refusal of our own, from within: neither counted nor retried.
    OwnRefusal,
    /// Any other exception.
    Failed,
}

impl Failure {
    pub(crate) fn of(py: Python<'_>, error: &PyErr) -> PyResult<Self> {
        if !error.is_instance_of::<PyException>(py) {
            return Ok(Self::Cancelled);
        }
        if errors::LIMIT_PAL_ERROR.raised_by(py, error)? {
            for refusal in [
                &errors::RATE_LIMIT_EXCEEDED,
                &errors::CIRCUIT_BREAKER_OPEN,
                &errors::BULKHEAD_FULL,
                &errors::INVALID_CONFIG,
            ] {
                if refusal.raised_by(py, error)? {
                    return Ok(Self::OwnRefusal);
                }
            }
            if errors::TIMEOUT_EXCEEDED.raised_by(py, error)?
                && error.value(py).getattr(intern!(py, "attempts"))?.eq(0)?
            {
                return Ok(Self::OwnRefusal);
            }
        }
        // The one cancellation that is an `Exception`; who raised it has imported its module.
        let modules = py.import(intern!(py, "sys"))?.getattr(intern!(py, "modules"))?;
        if let Ok(futures) = modules.get_item(intern!(py, "concurrent.futures"))
            && error.is_instance(py, &futures.getattr(intern!(py, "CancelledError"))?)
        {
            return Ok(Self::Cancelled);
        }
        Ok(Self::Failed)
    }
}

/// Returns whether an error is an instance of one of these types.
pub(crate) fn is_one_of(py: Python<'_>, error: &PyErr, types: &Py<PyTuple>) -> bool {
    error.is_instance(py, types.bind(py))
}
