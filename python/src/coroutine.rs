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

/// Returns whether `await` would take a value; its class alone, such as `Future`, is none.
pub(crate) fn is_awaitable(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    if value.get_type().hasattr(intern!(py, "__await__"))? {
        return Ok(true);
    }
    let generator = py.import(intern!(py, "types"))?.getattr(intern!(py, "GeneratorType"))?;
    Ok(value.is_instance(&generator)? && is_coroutine_generator(value)?)
}

/// Returns whether a generator was made a coroutine by `types.coroutine`.
fn is_coroutine_generator(generator: &Bound<'_, PyAny>) -> PyResult<bool> {
    /// `inspect.CO_ITERABLE_COROUTINE`
    const FLAG: u32 = 0x100;
    let py = generator.py();
    let code = generator.getattr(intern!(py, "gi_code"))?;
    Ok(code.getattr(intern!(py, "co_flags"))?.extract::<u32>()? & FLAG != 0)
}

/// The types of coroutines; whoever calls functions keeps it, so that telling them costs nothing.
pub(crate) struct CoroutineType {
    coroutine: Py<PyType>,
    generator: Py<PyType>,
}

impl CoroutineType {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let types = py.import("types")?;
        let kind = |name| PyResult::Ok(types.getattr(name)?.cast_into::<PyType>()?.unbind());
        Ok(Self { coroutine: kind("CoroutineType")?, generator: kind("GeneratorType")? })
    }

    /// Returns the value, unless it is a coroutine: that is closed, and its right place named.
    #[inline]
    pub(crate) fn refuse<'py>(
        &self,
        value: Bound<'py, PyAny>,
        func: &Bound<'py, PyAny>,
        instead: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let kind = value.get_type_ptr();
        let is_coroutine = kind == self.coroutine.as_ptr().cast()
            || kind == self.generator.as_ptr().cast() && is_coroutine_generator(&value)?;
        if !is_coroutine {
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
        visit.call(&self.coroutine)?;
        visit.call(&self.generator)
    }
}
