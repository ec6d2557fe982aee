//! A sync call that turns out to be async: refused, and nothing is left unawaited.

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

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
        instead: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        if value.get_type_ptr() != self.0.as_ptr().cast() {
            return Ok(value);
        }
        value.call_method0(intern!(value.py(), "close"))?;
        Err(PyTypeError::new_err(format!(
            "the function is async: it returned a coroutine; use {instead} for it"
        )))
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}
