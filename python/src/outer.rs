//! What stands around the runs of a sync executor: an `Outer` of `_outer.py`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::ask::Key;
use crate::executor::ResilientExecutor;
use crate::settings::Settings;

/// Makes it of a fallback and a cache; none where neither was given.
pub(crate) fn of(
    py: Python<'_>,
    fallback: Option<&Bound<'_, PyAny>>,
    cache: Option<&Bound<'_, PyAny>>,
    settings: &Settings,
) -> PyResult<Option<Py<PyAny>>> {
    if fallback.is_none() && cache.is_none() {
        return Ok(None);
    }
    let class = py.import("limitpal._outer")?.getattr("Outer")?;
    let clock = settings.clock.for_python(py)?;
    Ok(Some(class.call1((fallback, cache, clock))?.unbind()))
}

/// Runs a function with what stands around the run.
#[cold]
pub(crate) fn run<'py>(
    outer: &Bound<'py, PyAny>,
    executor: &Bound<'py, ResilientExecutor>,
    key: Key<'_>,
    (func, args, kwargs): (&Bound<'py, PyAny>, &Bound<'py, PyTuple>, Option<&Bound<'py, PyDict>>),
) -> PyResult<Bound<'py, PyAny>> {
    let py = outer.py();
    let key = key.for_python(py)?;
    outer.call_method1(intern!(py, "run"), (executor, key, func, args, kwargs))
}
