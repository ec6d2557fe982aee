//! What is held of a composite while the work lasts.

use std::sync::{Arc, Mutex, PoisonError};

use limitpal::CompositePermit as CorePermit;
use limitpal::parts::{Composite, Grant};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::clock::PyClock;
use crate::limiter::unpicklable;

/// A permit of each concurrency limiter in a composite. They go back by `release()`, at the end of
/// a `with` statement, or when nobody refers to it any more; quota that was taken is spent.
///
/// >>> from limitpal import CompositeLimiter, ConcurrencyLimiter, TokenBucket
/// >>> pool = ConcurrencyLimiter(1)
/// >>> limiter = CompositeLimiter([TokenBucket(10, 5), pool])
/// >>> permit = limiter.acquire("db")
/// >>> pool.in_flight("db")
/// 1
/// >>> permit.release()
/// >>> pool.in_flight("db")
/// 0
#[pyclass(frozen, module = "limitpal", weakref)]
pub(crate) struct CompositePermit {
    /// It has no Python objects of its own, so the garbage collector need not look into it.
    held: Mutex<Option<CorePermit>>,
}

impl CompositePermit {
    pub(crate) fn new(permit: CorePermit) -> Self {
        Self { held: Mutex::new(Some(permit)) }
    }

    fn take(&self) -> Option<CorePermit> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl CompositePermit {
    /// Give it back; a second time does nothing.
    fn release(&self) {
        // Whoever is let in by that is called: so no lock is held meanwhile.
        drop(self.take());
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.release();
    }

    fn __repr__(&self) -> &'static str {
        match &*self.held.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(_) => "<CompositePermit, held>",
            None => "<CompositePermit, given back>",
        }
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }
}

/// What was taken from all parts of ours.
pub(crate) struct Taken {
    pub(crate) ours: Option<Arc<Composite<PyClock>>>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) permit: CorePermit,
}

impl Taken {
    pub(crate) fn give_back(self) {
        drop(self.permit);
        if let Some(ours) = self.ours {
            ours.give_back(self.grants);
        }
    }

    /// Spends the quota; what is left is the permit to hold.
    pub(crate) fn into_permit(self) -> CorePermit {
        self.permit
    }
}
