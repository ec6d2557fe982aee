//! An argument that may be left out, which is not the same as None.

use std::convert::Infallible;

use pyo3::prelude::*;

/// The argument, if it was given.
pub(crate) struct Given<'py>(Option<Bound<'py, PyAny>>);

impl<'py> Given<'py> {
    /// What a signature has as the default.
    pub(crate) const LEFT_OUT: Self = Self(None);

    pub(crate) fn get(&self) -> Option<&Bound<'py, PyAny>> {
        self.0.as_ref()
    }
}

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = Infallible;

    fn extract(argument: Borrowed<'_, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self(Some(argument.to_owned())))
    }
}
