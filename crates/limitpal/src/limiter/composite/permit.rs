//! What is held of a composite while the work lasts.

use super::super::concurrency::ConcurrencyPermit;

/// A permit of each concurrency limiter in a [`HoldingLimiter`](crate::HoldingLimiter). They go
/// back when it is dropped, in whichever thread or task; quota that was taken with them is spent.
///
/// Where there is no concurrency limiter it holds nothing.
#[must_use = "a permit goes back when it is dropped; keep it while the work lasts"]
#[derive(Default, Debug)]
pub struct CompositePermit {
    /// One word, and none of the heap where nothing is held: every run has room for it.
    permits: Option<Box<Permits>>,
}

#[derive(Debug)]
struct Permits {
    _each: Vec<ConcurrencyPermit>,
}

impl CompositePermit {
    pub(in super::super) fn new(permits: Vec<ConcurrencyPermit>) -> Self {
        Self { permits: (!permits.is_empty()).then(|| Box::new(Permits { _each: permits })) }
    }

    /// Returns whether there is nothing that would go back.
    pub fn is_empty(&self) -> bool {
        self.permits.is_none()
    }

    /// Gives it back: dropping it by name.
    pub fn release(self) {
        drop(self);
    }
}

impl CompositePermit {
    /// Apart, so that a run without a permit has none of this in its way.
    #[cold]
    #[inline(never)]
    fn give_back(&mut self) {
        self.permits = None;
    }
}

impl Drop for CompositePermit {
    #[inline]
    fn drop(&mut self) {
        if !self.is_empty() {
            self.give_back();
        }
    }
}
