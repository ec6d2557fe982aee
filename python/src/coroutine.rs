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
    let message = format!("{parameter} is {shown}; give a function to call");
    Err(mistake(func.py(), message))
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
    /// Those of what runs only later: `LAZY` of `_awaitable.py`.
    lazy: Vec<Py<PyType>>,
}

impl CoroutineType {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let types = py.import("types")?;
        let kind = |name| PyResult::Ok(types.getattr(name)?.cast_into::<PyType>()?.unbind());
        let lazy = py.import("limitpal._awaitable")?.getattr("LAZY")?.try_iter()?;
        let lazy = lazy.map(|kind| Ok(kind?.cast_into::<PyType>()?.unbind()));
        let lazy = lazy.collect::<PyResult<Vec<_>>>()?;
        Ok(Self { coroutine: kind("CoroutineType")?, generator: kind("GeneratorType")?, lazy })
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
            if self.lazy.iter().any(|lazy| kind == lazy.as_ptr().cast()) {
                return Err(lazy(&value, func)?);
            }
            return Ok(value);
        }
        value.call_method0(intern!(value.py(), "close"))?;
        let name = name_of(func)?;
        let message = format!("{name} is async, it returned a coroutine; use {instead}");
        Err(mistake(value.py(), message))
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.coroutine)?;
        visit.call(&self.generator)?;
        self.lazy.iter().try_for_each(|lazy| visit.call(lazy))
    }
}

/// Returns the error about a function whose body runs only later, outside of the call.
#[cold]
pub(crate) fn lazy(value: &Bound<'_, PyAny>, func: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let (name, kind) = (name_of(func)?, value.get_type().name()?.to_string());
    let (what, instead) = match kind.trim_start_matches('_').ends_with("ContextManager") {
        true => ("a context manager", "enter it inside of a function and call that"),
        false => ("a generator", "use it up inside of the function, as list() does"),
    };
    let message = format!(
        "{name} returned {what}, whose body has not run yet and would not be retried; {instead}"
    );
    Ok(mistake(value.py(), message))
}

/// Makes the error about a function that cannot be run: no fallback hides that.
#[cold]
fn mistake(py: Python<'_>, message: String) -> PyErr {
    let error = PyTypeError::new_err(message);
    match error.value(py).setattr(intern!(py, "_limitpal_mistake"), true) {
        Ok(()) => error,
        Err(error) => error,
    }
}

fn name_of(func: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(match func.getattr_opt(intern!(func.py(), "__qualname__"))? {
        Some(name) => name.to_string(),
        None => crate::errors::shorten(&func.repr()?.to_string()),
    })
}
