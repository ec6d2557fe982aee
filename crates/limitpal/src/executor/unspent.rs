//! Quota that was acquired for an attempt that has not begun.

use crate::limiter::{AnyLimiter, CompositePermit, Quota};

/// Quota that no attempt has spent. Dropped, it goes back.
pub(super) struct Unspent<'a> {
    limiter: &'a AnyLimiter,
    quota: Option<Quota>,
}

impl<'a> Unspent<'a> {
    pub(super) fn new(limiter: &'a AnyLimiter, quota: Quota) -> Self {
        Self { limiter, quota: Some(quota) }
    }

    /// An attempt begins: what is left is the permit to hold.
    pub(super) fn spend(mut self, held: &mut CompositePermit) {
        if let Some(quota) = self.quota.take() {
            *held = quota.into_permit();
        }
    }
}

impl Drop for Unspent<'_> {
    fn drop(&mut self) {
        if let Some(quota) = self.quota.take() {
            self.limiter.give_back(quota);
        }
    }
}
