//! A concurrency limiter without its clock: the gates, and which of them a key stands before.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::super::keys::Keys;
use super::ConcurrencyPermit;
use crate::config::InvalidConfig;
use crate::gates::{Entry, Gates, Queued};
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;

/// A gate for each key, or one for everybody; a composite has these besides its rate limiters.
pub struct Door<E> {
    /// Shared with the permits, which need nothing else.
    gates: Arc<Gates>,
    keys: Keys<E>,
    is_bulkhead: bool,
}

/// The answer to one who asks for a permit.
#[derive(Debug)]
pub enum Entered {
    /// It has one.
    Now(ConcurrencyPermit),
    /// It waits for one.
    Waits(Queued),
    /// Nothing was taken.
    Refused(RetryAfter),
}

impl<E> Door<E> {
    /// Makes one of gates.
    pub fn new(gates: Gates, keys: Keys<E>) -> Self {
        Self { gates: Arc::new(gates), keys, is_bulkhead: false }
    }

    /// Makes that of a bulkhead: one gate for everybody, whose refusal has a name of its own.
    pub fn of_bulkhead(limit: u32, max_waiting: Option<u32>) -> Result<Self, InvalidConfig> {
        let gates = Gates::new(limit, max_waiting, true)?;
        Ok(Self { is_bulkhead: true, ..Self::new(gates, Keys::new(false, None)) })
    }

    /// Returns whether it refuses as a bulkhead does.
    pub fn is_bulkhead(&self) -> bool {
        self.is_bulkhead
    }

    /// Returns the gates.
    pub fn gates(&self) -> &Arc<Gates> {
        &self.gates
    }

    /// Returns which keys are told apart.
    pub fn keys(&self) -> &Keys<E> {
        &self.keys
    }

    /// Returns the gate that a key stands before.
    #[inline]
    pub fn fingerprint(&self, key: &str) -> Result<Fingerprint, E> {
        let mut mapped = String::new();
        Ok(match self.keys.text(key, &mut mapped)? {
            Some(text) => self.gates.fingerprint(text),
            None => Fingerprint::EVERYBODY,
        })
    }

    /// Returns whether nobody else may wait before the one gate of a bulkhead.
    pub fn has_full_line(&self) -> bool {
        let waiting = || self.gates.waiting(Fingerprint::EVERYBODY);
        self.gates.max_waiting().is_some_and(|most| waiting() >= most as usize)
    }

    /// Takes a permit, at once or not at all, or has one wait who is ready to.
    ///
    /// One with a ticket, who waits in several lines in turn, goes before those who came later and
    /// do the same.
    #[inline]
    pub fn enter(
        &self,
        key: &str,
        cost: u64,
        ticket: Option<NonZeroU64>,
        is_ready_to_wait: bool,
    ) -> Result<Entered, E> {
        let gate = self.fingerprint(key)?;
        Ok(match self.gates.enter_as(gate, cost, ticket, is_ready_to_wait) {
            Entry::Inside(cost) => Entered::Now(self.permit(gate, cost)),
            Entry::Waits(queued) => Entered::Waits(queued),
            Entry::Refused(after) => Entered::Refused(after),
        })
    }

    /// Says how long one would have to wait: not at all, never, or nobody knows.
    pub fn quote(&self, key: &str, cost: u64, ticket: Option<NonZeroU64>) -> Result<RetryAfter, E> {
        Ok(self.gates.quote(self.fingerprint(key)?, cost, ticket))
    }

    /// Returns the permit of one who has waited and is inside.
    pub fn permit(&self, gate: Fingerprint, cost: u32) -> ConcurrencyPermit {
        ConcurrencyPermit::new(Arc::clone(&self.gates), gate, cost)
    }
}

impl<E> Door<E> {
    /// Shows the limiter, with its clock where that is known.
    pub(super) fn show(
        &self,
        f: &mut fmt::Formatter<'_>,
        clock: Option<&dyn fmt::Debug>,
    ) -> fmt::Result {
        let mut debug =
            f.debug_struct(if self.is_bulkhead { "Bulkhead" } else { "ConcurrencyLimiter" });
        debug.field("limit", &self.gates.limit());
        if let Some(clock) = clock {
            debug.field("clock", clock);
        }
        if let Some(max_waiting) = self.gates.max_waiting() {
            debug.field("max_waiting", &max_waiting);
        }
        if !self.keys.per_key() && !self.is_bulkhead {
            debug.field("per_key", &false);
        }
        debug.finish_non_exhaustive()
    }
}

impl<E> fmt::Debug for Door<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f, None)
    }
}
