//! A waker that calls back into Python; the core does so outside its locks.

use std::sync::Arc;
use std::task::{Wake, Waker};

use pyo3::prelude::*;

/// Returns a waker that calls a function without arguments.
pub(crate) fn waker(function: Py<PyAny>) -> Waker {
    Waker::from(Arc::new(Callback(function)))
}

struct Callback(Py<PyAny>);

impl Wake for Callback {
    fn wake(self: Arc<Self>) {
        Python::attach(|py| {
            if let Err(error) = self.0.call0(py) {
                error.write_unraisable(py, Some(self.0.bind(py)));
            }
        });
    }
}
