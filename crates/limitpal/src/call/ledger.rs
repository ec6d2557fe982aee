//! What became of the runs of one plan: counted as each begins, and once more when it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::step::Stop;
use super::story::Stories;
use crate::refusal::StopReason;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{LANES, lane, own_lane};

/// What became of the runs of an executor, and of their attempts.
///
/// It adds up, in every reading: `calls = successes + failures + refusals() + cancelled + in_flight`,
/// and `attempts = firsts + retries + hedges`. Attempts are counted as their run ends. Read while runs
/// begin and end on other threads, it may be short of those that are just beginning or ending.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ExecutorStats {
    /// Runs that have begun.
    pub calls: u64,
    /// Those of them that have not ended.
    pub in_flight: u64,
    /// Runs that gave a value.
    pub successes: u64,
    /// Runs that ended with an error after at least one attempt.
    pub failures: u64,
    /// Runs that the limiter refused before the first attempt.
    pub refused_by_limiter: u64,
    /// Runs that the circuit breaker refused before the first attempt.
    pub refused_by_breaker: u64,
    /// Runs that found the bulkhead full before the first attempt.
    pub refused_by_bulkhead: u64,
    /// Runs whose time was over before the first attempt.
    pub refused_by_timeout: u64,
    /// Runs that ended without an answer: cancelled, dropped, or by a panic.
    pub cancelled: u64,
    /// Times that the function was called.
    pub attempts: u64,
    /// Runs whose function was called.
    pub firsts: u64,
    /// Attempts beyond the first of each run.
    pub retries: u64,
    /// Tries beyond the first of each attempt.
    pub hedges: u64,
    /// Hedges that gave the value.
    pub hedge_wins: u64,
    /// Blocking tries that were left behind, on a thread of their own, as their attempt ended.
    pub left_behind: u64,
    /// Those of them that have given a value since; nobody has it.
    pub late_values: u64,
    /// Those of them that have failed since. The others are still under way.
    pub late_errors: u64,
    /// Runs that gave a value after a retry.
    pub recovered: u64,
    /// Failures whose last error deserved another attempt, and the attempts were used up.
    pub exhausted: u64,
    /// Failures by [`TimeoutExceeded`](crate::TimeoutExceeded), of the run or of an attempt that
    /// deserved no other.
    pub timed_out: u64,
    /// Attempts whose time was over: cut short, or ended too late.
    pub timeouts: u64,
    /// Failures whose next attempt would have begun after `max_elapsed`, or at the deadline.
    pub out_of_time: u64,
    /// Failures whose retry budget had nothing left.
    pub out_of_budget: u64,
    /// Failures for which the circuit opened between two attempts.
    pub stopped_by_breaker: u64,
    /// Failures for which there was no quota for another attempt.
    pub stopped_by_limiter: u64,
    /// Failures that found the bulkhead full when another attempt was to begin.
    pub stopped_by_bulkhead: u64,
    /// Failures and refusals whose callers were given something else by a fallback.
    pub fallbacks: u64,
    /// How long runs have waited for quota, in all.
    pub waited: Duration,
    /// How long runs have slept between attempts, as planned.
    pub backed_off: Duration,
}

impl ExecutorStats {
    /// Returns how many runs were refused before the first attempt.
    pub const fn refusals(&self) -> u64 {
        self.refused_by_limiter
            + self.refused_by_breaker
            + self.refused_by_bulkhead
            + self.refused_by_timeout
    }

    /// Returns how many attempts there were for each run that has ended; none before the first.
    #[expect(clippy::cast_precision_loss, reason = "a ratio to look at")]
    pub fn amplification(&self) -> Option<f64> {
        let ended = self.calls - self.in_flight;
        (ended > 0).then(|| self.attempts as f64 / ended as f64)
    }

    /// Returns the share of retries that gave a value; none before the first retry.
    #[expect(clippy::cast_precision_loss, reason = "a ratio to look at")]
    pub fn retry_success(&self) -> Option<f64> {
        (self.retries > 0).then(|| self.recovered as f64 / self.retries as f64)
    }
}

/// Counts runs as they begin and end, on each thread apart. A copy counts with the first.
#[derive(Clone)]
pub struct Ledger(Arc<Books>);

/// What the runs of one plan have come to, and who hears of them.
struct Books {
    stories: Stories,
    lanes: [Counts; LANES + 1],
}

/// What runs have come to on one thread, in lines of the cache of its own.
#[derive(Default)]
#[repr(align(128))]
struct Counts {
    /// Runs that have begun. Whoever begins one sees to it that its end is counted, however it ends.
    begun: AtomicU64,
    /// Runs whose first attempt gave a value: nearly all of them, so this is all they count.
    at_once: AtomicU64,
    recovered: AtomicU64,
    failed: AtomicU64,
    exhausted: AtomicU64,
    out_of_time: AtomicU64,
    out_of_budget: AtomicU64,
    stopped_by_breaker: AtomicU64,
    stopped_by_limiter: AtomicU64,
    stopped_by_bulkhead: AtomicU64,
    refused_by_limiter: AtomicU64,
    refused_by_breaker: AtomicU64,
    refused_by_bulkhead: AtomicU64,
    refused_by_timeout: AtomicU64,
    timed_out: AtomicU64,
    timeouts: AtomicU64,
    cancelled: AtomicU64,
    /// Cancelled runs that had begun their first attempt.
    cancelled_in_attempt: AtomicU64,
    retries: AtomicU64,
    fallbacks: AtomicU64,
    hedges: AtomicU64,
    hedge_wins: AtomicU64,
    left_behind: AtomicU64,
    late_values: AtomicU64,
    late_errors: AtomicU64,
    waited: AtomicU64,
    backed_off: AtomicU64,
}

/// Changes a count that nobody else writes.
#[inline]
fn own_count(count: &AtomicU64, next: impl Fn(u64) -> u64) {
    count.store(next(count.load(Ordering::Relaxed)), Ordering::Relaxed);
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Ledger {
    #[inline]
    fn add(&self, to: impl Fn(&Counts) -> &AtomicU64, more: u64) {
        // No count of runs ever comes round, so no instruction looks at that.
        self.change(to, |count| count.wrapping_add(more));
    }

    fn add_span(&self, to: impl Fn(&Counts) -> &AtomicU64, span: Duration) {
        self.change(to, |count| count.saturating_add(nanos(span)));
    }

    #[inline]
    fn change(&self, to: impl Fn(&Counts) -> &AtomicU64, next: impl Fn(u64) -> u64) {
        match own_lane() {
            Some(own) => own_count(to(&self.0.lanes[own]), next),
            None => self.change_late(to, next),
        }
    }

    /// As `change`, for a thread that has no lane yet, or never gets one.
    #[cold]
    #[inline(never)]
    fn change_late(&self, to: impl Fn(&Counts) -> &AtomicU64, next: impl Fn(u64) -> u64) {
        let lane = lane();
        let count = to(&self.0.lanes[lane]);
        if lane < LANES {
            return own_count(count, next);
        }
        let add = |count| Some(next(count));
        let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn sum(&self, of: impl Fn(&Counts) -> &AtomicU64) -> u64 {
        let counts = self.0.lanes.iter().map(|counts| of(counts).load(Ordering::Relaxed));
        counts.fold(0, u64::saturating_add)
    }

    #[inline]
    pub(super) fn stories(&self) -> &Stories {
        &self.0.stories
    }

    /// Counts a run that begins.
    #[inline]
    pub fn began(&self) {
        self.add(|counts| &counts.begun, 1);
    }

    /// Counts a run whose first attempt gave a value.
    #[inline]
    pub fn succeeded_at_once(&self) {
        self.add(|counts| &counts.at_once, 1);
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
        self.add(|counts| &counts.recovered, 1);
        self.retried(attempts);
    }

    /// Counts a run that ends without a value after so many attempts.
    #[inline]
    pub fn stopped(&self, stop: Stop, attempts: u32) {
        self.retried(attempts);
        self.add(
            |counts| match stop {
                Stop::RateLimitExceeded(_) => &counts.refused_by_limiter,
                Stop::CircuitBreakerOpen(_) => &counts.refused_by_breaker,
                Stop::BulkheadFull(_) => &counts.refused_by_bulkhead,
                Stop::RetryExhausted(StopReason::Attempts) => &counts.exhausted,
                Stop::TimeoutExceeded(timeout) if timeout.attempts() == 0 => {
                    &counts.refused_by_timeout
                }
                Stop::TimeoutExceeded(_) => &counts.timed_out,
                Stop::RetryExhausted(StopReason::Elapsed | StopReason::Deadline) => {
                    &counts.out_of_time
                }
                Stop::RetryExhausted(StopReason::Budget) => &counts.out_of_budget,
                Stop::RetryExhausted(StopReason::CircuitOpen) => &counts.stopped_by_breaker,
                Stop::RetryExhausted(StopReason::RateLimited) => &counts.stopped_by_limiter,
                Stop::RetryExhausted(StopReason::BulkheadFull) => &counts.stopped_by_bulkhead,
                Stop::Failed => &counts.failed,
            },
            1,
        );
    }

    /// Counts a run that ends without an answer, after so many attempts have begun.
    #[cold]
    pub fn cancelled(&self, attempts: u32) {
        self.retried(attempts);
        self.add(|counts| &counts.cancelled, 1);
        self.add(|counts| &counts.cancelled_in_attempt, u64::from(attempts > 0));
    }

    /// Counts an attempt whose time was over.
    #[cold]
    pub(crate) fn timeout(&self) {
        self.add(|counts| &counts.timeouts, 1);
    }

    /// Counts the hedges of an attempt, and whether one of them gave the value.
    pub(super) fn hedged(&self, hedges: u32, won: bool) {
        if hedges > 0 {
            self.add(|counts| &counts.hedges, hedges.into());
            self.add(|counts| &counts.hedge_wins, won.into());
        }
    }

    /// Counts tries that go on without their attempt.
    #[cold]
    pub fn left_behind(&self, tries: u32) {
        self.add(|counts| &counts.left_behind, tries.into());
    }

    /// Counts a try that was left behind, and has ended.
    #[cold]
    pub fn came_late(&self, failed: bool) {
        self.add(|counts| if failed { &counts.late_errors } else { &counts.late_values }, 1);
    }

    #[cold]
    pub(super) fn waited(&self, span: Duration) {
        self.add_span(|counts| &counts.waited, span);
    }

    pub(super) fn backed_off(&self, span: Duration) {
        self.add_span(|counts| &counts.backed_off, span);
    }

    /// Counts a run whose caller was given something else in place of its error.
    #[cold]
    pub fn fell_back(&self) {
        self.add(|counts| &counts.fallbacks, 1);
    }

    fn retried(&self, attempts: u32) {
        if attempts > 1 {
            self.add(|counts| &counts.retries, u64::from(attempts) - 1);
        }
    }

    /// Adds it all up.
    pub fn stats(&self) -> ExecutorStats {
        let recovered = self.sum(|counts| &counts.recovered);
        let exhausted = self.sum(|counts| &counts.exhausted);
        let out_of_time = self.sum(|counts| &counts.out_of_time);
        let out_of_budget = self.sum(|counts| &counts.out_of_budget);
        let by_breaker = self.sum(|counts| &counts.stopped_by_breaker);
        let by_limiter = self.sum(|counts| &counts.stopped_by_limiter);
        let by_bulkhead = self.sum(|counts| &counts.stopped_by_bulkhead);
        let successes = self.sum(|counts| &counts.at_once) + recovered;
        let stopped = by_breaker + by_limiter + by_bulkhead;
        let exhausted_in_all = exhausted + out_of_time + out_of_budget + stopped;
        let timed_out = self.sum(|counts| &counts.timed_out);
        let failures = self.sum(|counts| &counts.failed) + timed_out + exhausted_in_all;
        let cancelled = self.sum(|counts| &counts.cancelled);
        let refused_by_limiter = self.sum(|counts| &counts.refused_by_limiter);
        let refused_by_breaker = self.sum(|counts| &counts.refused_by_breaker);
        let refused_by_bulkhead = self.sum(|counts| &counts.refused_by_bulkhead);
        let refused_by_timeout = self.sum(|counts| &counts.refused_by_timeout);
        let by_parts = refused_by_limiter + refused_by_breaker + refused_by_bulkhead;
        let refusals = by_parts + refused_by_timeout;
        let firsts = successes + failures + self.sum(|counts| &counts.cancelled_in_attempt);
        let retries = self.sum(|counts| &counts.retries);
        let hedges = self.sum(|counts| &counts.hedges);
        let ended = successes + failures + refusals + cancelled;
        // Read last: of a run that has ended the beginning is seen too.
        let in_flight = self.sum(|counts| &counts.begun).saturating_sub(ended);
        ExecutorStats {
            calls: ended + in_flight,
            in_flight,
            successes,
            failures,
            refused_by_limiter,
            refused_by_breaker,
            refused_by_bulkhead,
            refused_by_timeout,
            cancelled,
            attempts: firsts + retries + hedges,
            firsts,
            retries,
            hedges,
            hedge_wins: self.sum(|counts| &counts.hedge_wins),
            left_behind: self.sum(|counts| &counts.left_behind),
            late_values: self.sum(|counts| &counts.late_values),
            late_errors: self.sum(|counts| &counts.late_errors),
            recovered,
            exhausted,
            timed_out,
            timeouts: self.sum(|counts| &counts.timeouts),
            out_of_time,
            out_of_budget,
            stopped_by_breaker: by_breaker,
            stopped_by_limiter: by_limiter,
            stopped_by_bulkhead: by_bulkhead,
            fallbacks: self.sum(|counts| &counts.fallbacks),
            waited: Duration::from_nanos(self.sum(|counts| &counts.waited)),
            backed_off: Duration::from_nanos(self.sum(|counts| &counts.backed_off)),
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        let lanes = std::array::from_fn(|_| Counts::default());
        Self(Arc::new(Books { stories: Stories::default(), lanes }))
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}
