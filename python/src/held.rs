//! What a sync run holds: quota for an attempt that has not begun, and the permit.

use limitpal::CompositePermit as CorePermit;
use pyo3::prelude::*;

use crate::composite_permit::CompositePermit;
use crate::quota::{Quota, QuotaSource};

/// Quota for an attempt that has not begun; it goes back if the run ends before. And the permit.
pub(crate) struct Held<'l> {
    limiter: Option<&'l QuotaSource>,
    pub(crate) quota: Option<Quota>,
    pub(crate) permit: CorePermit,
    /// The permit, where tries on threads may outlive the run: it goes back once nobody has it.
    pub(crate) shared: Option<Py<CompositePermit>>,
}

impl<'l> Held<'l> {
    pub(crate) fn new(limiter: Option<&'l QuotaSource>) -> Self {
        Self { limiter, quota: None, permit: CorePermit::default(), shared: None }
    }

    /// Begins an attempt on threads: returns what each of its tries is to have until it ends.
    #[cold]
    pub(crate) fn share(&mut self, py: Python<'_>) -> PyResult<Option<Py<CompositePermit>>> {
        if self.quota.is_some() {
            self.spend();
            let permit = CompositePermit::new(std::mem::take(&mut self.permit));
            self.shared = Some(Py::new(py, permit)?);
        }
        Ok(self.shared.as_ref().map(|permit| permit.clone_ref(py)))
    }

    /// Lets go of the permit.
    pub(crate) fn rest(&mut self) {
        self.permit = CorePermit::default();
        self.shared = None;
    }

    /// Spends the quota: an attempt was made. The permit stays.
    #[inline]
    pub(crate) fn spend(&mut self) {
        if let Some(quota) = self.quota.take() {
            self.permit = quota.into_permit();
        }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if let (Some(limiter), Some(quota)) = (self.limiter, self.quota.take()) {
            limiter.give_back(quota);
        }
    }
}
