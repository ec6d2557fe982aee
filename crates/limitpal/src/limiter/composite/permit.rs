//! What is held of a composite while the work lasts.

use super::super::concurrency::ConcurrencyPermit;

/// A permit of each concurrency limiter in a [`HoldingLimiter`](crate::HoldingLimiter). They go
/// back when it is dropped, in whichever thread or task; quota that was taken with them is spent.
///
/// Where there is no concurrency limiter it holds nothing.
#[must_use = "a permit goes back when it is dropped; keep it while the work lasts"]
#[derive(Default, Debug)]
pub struct CompositePermit {
    permits: Permits,
}

#[derive(Default, Debug)]
enum Permits {
    #[default]
    Nothing,
    /// Nothing of the heap: an executor with a bulkhead holds one in every run.
    One {
        _permit: ConcurrencyPermit,
    },
    Each {
        _permits: Vec<ConcurrencyPermit>,
    },
}

impl CompositePermit {
    pub(in super::super) fn new(mut permits: Vec<ConcurrencyPermit>) -> Self {
        let permits = match permits.len() {
            0 => Permits::Nothing,
            1 => permits.pop().map_or(Permits::Nothing, |permit| Permits::One { _permit: permit }),
            _ => Permits::Each { _permits: permits },
        };
        Self { permits }
    }

    /// Returns whether there is nothing that would go back.
    pub fn is_empty(&self) -> bool {
        matches!(self.permits, Permits::Nothing)
    }

    /// Gives it back: dropping it by name.
    pub fn release(self) {
        drop(self);
    }
}

impl From<ConcurrencyPermit> for CompositePermit {
    #[inline]
    fn from(permit: ConcurrencyPermit) -> Self {
        Self { permits: Permits::One { _permit: permit } }
    }
}

impl CompositePermit {
    /// Apart, so that a run without a permit has none of this in its way.
    #[inline(never)]
    fn give_back(&mut self) {
        self.permits = Permits::Nothing;
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
