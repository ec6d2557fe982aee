//! A permit to work, which returns itself.

use std::fmt;
use std::sync::Arc;

use crate::gates::Gates;
use crate::shards::Fingerprint;

/// A permit of a [`ConcurrencyLimiter`](crate::ConcurrencyLimiter). It goes back when it is
/// dropped, in whichever thread or task, and outlives the limiter's handles if it has to.
#[must_use = "a permit goes back when it is dropped; keep it while the work lasts"]
pub struct ConcurrencyPermit {
    gates: Arc<Gates>,
    key: Fingerprint,
    cost: u32,
}

impl ConcurrencyPermit {
    pub(in super::super) fn new(gates: Arc<Gates>, key: Fingerprint, cost: u32) -> Self {
        Self { gates, key, cost }
    }

    /// Returns as how many it counts.
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// Gives it back: dropping it by name.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        self.gates.let_out(self.key, self.cost);
    }
}

impl fmt::Debug for ConcurrencyPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyPermit").field("cost", &self.cost).finish_non_exhaustive()
    }
}
