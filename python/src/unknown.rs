//! A keyword that a constructor does not have, and which was meant.

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Refuses what a constructor was given by names that it does not know.
///
/// # Errors
///
/// A `TypeError` as Python's own, with the name that was meant if one is like it.
#[inline]
pub(crate) fn refuse<T: PyTypeInfo>(
    py: Python<'_>,
    unknown: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    unknown.map_or(Ok(()), |unknown| Err(unexpected::<T>(py, unknown)))
}

#[cold]
fn unexpected<T: PyTypeInfo>(py: Python<'_>, unknown: &Bound<'_, PyDict>) -> PyErr {
    let make = || {
        py.import("limitpal._meant")?.getattr("unexpected")?.call1((py.get_type::<T>(), unknown))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}
