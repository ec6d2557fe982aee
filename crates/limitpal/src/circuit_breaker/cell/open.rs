//! How an open circuit refuses: read by all who come without its lock.

use std::time::Duration;

use super::{BreakerCell, OPEN};
use crate::breaker::Breaker;
use crate::refusal::{CircuitBreakerOpen, Stood};
use crate::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use crate::time::Instant;

/// Until when a circuit is open, for how long in all, and how it stands. Good while the word that
/// was read before it says that it is open, and has not changed.
#[derive(Debug)]
pub(super) struct Open {
    until: AtomicI64,
    span: AtomicU64,
    stood: AtomicU64,
    /// Calls refused by what is read here.
    refused: AtomicU64,
}

impl Open {
    pub(super) fn new() -> Self {
        let (until, span) = (AtomicI64::new(0), AtomicU64::new(0));
        Self { until, span, stood: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// Sets it, under the circuit's lock and while the word says that it is not open.
    pub(super) fn set(&self, until: Instant, span: Duration, stood: Stood) {
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        // Whoever sees one of these sees the word that was there before.
        self.until.store(until.as_nanos(), Ordering::Release);
        self.span.store(span, Ordering::Release);
        self.stood.store(stood.to_bits(), Ordering::Release);
    }

    /// Returns the refusal at `now`; none where the circuit has to move, or the clock was set back.
    #[inline]
    pub(super) fn refusal(&self, now: Instant) -> Option<CircuitBreakerOpen> {
        let until = self.until.load(Ordering::Acquire);
        let span = self.span.load(Ordering::Acquire);
        let stood = self.stood.load(Ordering::Acquire);
        let left = until.checked_sub(now.as_nanos())?.cast_unsigned();
        // One below zero is a large one.
        let is_plain = left.wrapping_sub(1) < span;
        is_plain.then(|| CircuitBreakerOpen::after_nanos(left, Stood::from_bits(stood)))
    }

    pub(super) fn count(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many have been counted.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl BreakerCell {
    /// Returns the refusal of a circuit that is open and stays so.
    #[inline]
    pub(super) fn refuses_plainly(&self, now: Instant) -> Option<CircuitBreakerOpen> {
        let word = self.word.load(Ordering::Acquire);
        if word & OPEN == 0 {
            return None;
        }
        let refusal = self.open.refusal(now)?;
        if self.word.load(Ordering::Acquire) != word {
            return None;
        }
        self.open.count();
        Some(refusal)
    }

    /// Says how the machine stands to those who do not take its lock.
    pub(super) fn publish(&self, breaker: &Breaker) {
        if let Some((until, span, stood)) = breaker.open_until() {
            self.word.store(0, Ordering::Relaxed);
            self.open.set(until, span, stood);
        }
        self.word.store(self.word_of(breaker), Ordering::Release);
    }
}
