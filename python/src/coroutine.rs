//! A sync call that turns out to be async: refused, and nothing is left unawaited.

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Refuses what cannot be called.
#[inline]
pub(crate) fn callable(parameter: &str, func: &Bound<'_, PyAny>) -> PyResult<()> {
    if func.is_callable() {
        return Ok(());
    }
    let shown = func.repr()?;
    let shown = crate::errors::shorten(&shown.to_string());
    Err(PyTypeError::new_err(format!("{parameter} is {shown}; give a function to call")))
}

/// The type of coroutines; whoever calls functions keeps it, so that telling them costs nothing.
pub(crate) struct CoroutineType(Py<PyType>);

impl CoroutineType {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let kind = py.import("types")?.getattr("CoroutineType")?;
        Ok(Self(kind.cast_into::<PyType>()?.unbind()))
    }

    /// Returns the value, unless it is a coroutine: that is closed, and its right place named.
    #[inline]
    pub(crate) fn refuse<'py>(
        &self,
        value: Bound<'py, PyAny>,
        func: &Bound<'py, PyAny>,
        instead: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        if value.get_type_ptr() != self.0.as_ptr().cast() {
            return Ok(value);
        }
        value.call_method0(intern!(value.py(), "close"))?;
        let name = match func.getattr_opt(intern!(value.py(), "__qualname__"))? {
            Some(name) => name.to_string(),
            None => crate::errors::shorten(&func.repr()?.to_string()),
        };
        Err(PyTypeError::new_err(format!(
            "{name} is async, it returned a coroutine; use {instead}"
        )))
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}
