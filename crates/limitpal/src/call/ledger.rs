//! What became of the runs of one plan: counted once each, when it ends.

use std::fmt;
use std::time::Duration;

use super::step::Stop;
use crate::refusal::StopReason;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What became of the runs of an executor that have ended, and of their attempts.
///
/// It adds up: `calls = successes + failures + refusals() + cancelled`, and
/// `attempts = firsts + retries`. Read while runs end on other threads, it may be short of those
/// that are just ending.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ExecutorStats {
    /// Runs that have ended.
    pub calls: u64,
    /// Runs that gave a value.
    pub successes: u64,
    /// Runs that ended with an error after at least one attempt.
    pub failures: u64,
    /// Runs that the limiter refused before the first attempt.
    pub refused_by_limiter: u64,
    /// Runs that the circuit breaker refused before the first attempt.
    pub refused_by_breaker: u64,
    /// Runs that ended without an answer: cancelled, dropped, or by a panic.
    pub cancelled: u64,
    /// Times that the function was called.
    pub attempts: u64,
    /// Runs whose function was called.
    pub firsts: u64,
    /// Attempts beyond the first of each run.
    pub retries: u64,
    /// Runs that gave a value after a retry.
    pub recovered: u64,
    /// Failures whose last error deserved another attempt, and the attempts were used up.
    pub exhausted: u64,
    /// Failures whose next attempt would have begun after `max_elapsed`.
    pub out_of_time: u64,
    /// Failures whose retry budget had nothing left.
    pub out_of_budget: u64,
    /// Failures for which the circuit opened between two attempts.
    pub stopped_by_breaker: u64,
    /// Failures for which there was no quota for another attempt.
    pub stopped_by_limiter: u64,
    /// How long runs have waited for quota, in all.
    pub waited: Duration,
    /// How long runs have slept between attempts, as planned.
    pub backed_off: Duration,
}

impl ExecutorStats {
    /// Returns how many runs were refused before the first attempt.
    pub const fn refusals(&self) -> u64 {
        self.refused_by_limiter + self.refused_by_breaker
    }

    /// Returns how many attempts there were for each run; none before the first run.
    #[expect(clippy::cast_precision_loss, reason = "a ratio to look at")]
    pub fn amplification(&self) -> Option<f64> {
        (self.calls > 0).then(|| self.attempts as f64 / self.calls as f64)
    }

    /// Returns the share of retries that gave a value; none before the first retry.
    #[expect(clippy::cast_precision_loss, reason = "a ratio to look at")]
    pub fn retry_success(&self) -> Option<f64> {
        (self.retries > 0).then(|| self.recovered as f64 / self.retries as f64)
    }
}

/// Counts runs as they end. Apart from what all runs read, in lines of the cache of its own.
#[derive(Default)]
#[repr(align(128))]
pub struct Ledger {
    /// Runs whose first attempt gave a value: nearly all of them, so this is all they count.
    at_once: AtomicU64,
    recovered: AtomicU64,
    failed: AtomicU64,
    exhausted: AtomicU64,
    out_of_time: AtomicU64,
    out_of_budget: AtomicU64,
    stopped_by_breaker: AtomicU64,
    stopped_by_limiter: AtomicU64,
    refused_by_limiter: AtomicU64,
    refused_by_breaker: AtomicU64,
    cancelled: AtomicU64,
    /// Cancelled runs that had begun their first attempt.
    cancelled_in_attempt: AtomicU64,
    retries: AtomicU64,
    waited: AtomicU64,
    backed_off: AtomicU64,
}

fn add(cell: &AtomicU64, more: u64) {
    cell.fetch_add(more, Ordering::Relaxed);
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Ledger {
    /// Counts a run whose first attempt gave a value.
    #[inline]
    pub fn succeeded_at_once(&self) {
        add(&self.at_once, 1);
    }

    /// Counts a run that gave a value in this attempt.
    #[inline]
    pub(super) fn succeeded(&self, attempts: u32) {
        match attempts {
            1 => self.succeeded_at_once(),
            _ => self.recovered_in(attempts),
        }
    }

    #[cold]
    fn recovered_in(&self, attempts: u32) {
        add(&self.recovered, 1);
        self.retried(attempts);
    }

    /// Counts a run that ends without a value after so many attempts.
    #[cold]
    pub fn stopped(&self, stop: Stop, attempts: u32) {
        self.retried(attempts);
        let cell = match stop {
            Stop::RateLimitExceeded(_) => &self.refused_by_limiter,
            Stop::CircuitBreakerOpen(_) => &self.refused_by_breaker,
            Stop::RetryExhausted(StopReason::Attempts) => &self.exhausted,
            Stop::RetryExhausted(StopReason::Elapsed) => &self.out_of_time,
            Stop::RetryExhausted(StopReason::Budget) => &self.out_of_budget,
            Stop::RetryExhausted(StopReason::CircuitOpen) => &self.stopped_by_breaker,
            Stop::RetryExhausted(StopReason::RateLimited) => &self.stopped_by_limiter,
            Stop::Failed => &self.failed,
        };
        add(cell, 1);
    }

    /// Counts a run that ends without an answer, after so many attempts have begun.
    #[cold]
    pub fn cancelled(&self, attempts: u32) {
        self.retried(attempts);
        add(&self.cancelled, 1);
        add(&self.cancelled_in_attempt, u64::from(attempts > 0));
    }

    #[cold]
    pub(super) fn waited(&self, span: Duration) {
        add(&self.waited, nanos(span));
    }

    pub(super) fn backed_off(&self, span: Duration) {
        add(&self.backed_off, nanos(span));
    }

    fn retried(&self, attempts: u32) {
        add(&self.retries, attempts.saturating_sub(1).into());
    }

    /// Adds it all up.
    pub fn stats(&self) -> ExecutorStats {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let recovered = read(&self.recovered);
        let [exhausted, out_of_time, out_of_budget] =
            [&self.exhausted, &self.out_of_time, &self.out_of_budget].map(read);
        let [by_breaker, by_limiter] =
            [&self.stopped_by_breaker, &self.stopped_by_limiter].map(read);
        let successes = read(&self.at_once) + recovered;
        let exhausted_in_all = exhausted + out_of_time + out_of_budget + by_breaker + by_limiter;
        let failures = read(&self.failed) + exhausted_in_all;
        let cancelled = read(&self.cancelled);
        let [refused_by_limiter, refused_by_breaker] =
            [&self.refused_by_limiter, &self.refused_by_breaker].map(read);
        let firsts = successes + failures + read(&self.cancelled_in_attempt);
        let retries = read(&self.retries);
        ExecutorStats {
            calls: successes + failures + refused_by_limiter + refused_by_breaker + cancelled,
            successes,
            failures,
            refused_by_limiter,
            refused_by_breaker,
            cancelled,
            attempts: firsts + retries,
            firsts,
            retries,
            recovered,
            exhausted,
            out_of_time,
            out_of_budget,
            stopped_by_breaker: by_breaker,
            stopped_by_limiter: by_limiter,
            waited: Duration::from_nanos(read(&self.waited)),
            backed_off: Duration::from_nanos(read(&self.backed_off)),
        }
    }
}

/// A plan that is copied begins to count anew.
impl Clone for Ledger {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}

/// The only attempt of a run of which nothing else is kept: dropped, the run was cancelled.
#[must_use = "dropped, it counts a run that was cancelled"]
pub(crate) struct OnlyAttempt<'l>(Option<&'l Ledger>);

impl<'l> OnlyAttempt<'l> {
    #[inline]
    pub(crate) fn of(ledger: &'l Ledger) -> Self {
        Self(Some(ledger))
    }

    /// The attempt has ended; what became of it is counted elsewhere.
    #[inline]
    pub(crate) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for OnlyAttempt<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ledger) = self.0 {
            ledger.cancelled(1);
        }
    }
}
