//! Every way to be turned away, on one page.

mod explanation;
mod stood;

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::time::Duration;

pub use self::explanation::Explanation;
pub(crate) use self::stood::Stood;
use crate::config::InvalidConfig;
use crate::retry_after::RetryAfter;

/// No quota within the time one was willing to wait. Nothing was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimitExceeded {
    retry_after: RetryAfter,
}

impl RateLimitExceeded {
    /// Makes the refusal that counts until a further attempt would succeed at once.
    pub const fn new(retry_after: RetryAfter) -> Self {
        Self { retry_after }
    }

    /// Returns the time until acquiring without waiting would succeed, if nobody else takes.
    pub const fn retry_after(self) -> RetryAfter {
        self.retry_after
    }
}

impl fmt::Display for RateLimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after {
            RetryAfter::Now => f.write_str("no permit in time; try again now"),
            RetryAfter::After(wait) => write!(f, "no permit in time; next in {wait:.2?}"),
            RetryAfter::Never => f.write_str("the cost is above the capacity; lower the cost"),
            RetryAfter::Unknown => f.write_str("no permit in time"),
        }
    }
}

impl std::error::Error for RateLimitExceeded {}

/// The circuit is open, its probes are all out, or it was forced open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreakerOpen {
    /// In nanoseconds, and [`FORCED`] if nobody can say.
    retry_after: u64,
    stood: Stood,
}

/// No time, but that a circuit was forced open.
const FORCED: u64 = u64::MAX;

/// Why a circuit refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OpenReason {
    /// It is open.
    Open,
    /// It is half-open, and as many calls are out as may be.
    Probing,
    /// It is half-open, and lets a share of the calls through.
    Ramp,
    /// It was forced open.
    Forced,
}

impl OpenReason {
    /// Returns the reason as one word: `open`, `probing`, `ramp` or `forced`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Probing => "probing",
            Self::Ramp => "ramp",
            Self::Forced => "forced",
        }
    }
}

impl CircuitBreakerOpen {
    /// Makes the refusal that counts until the circuit may admit.
    pub const fn new(retry_after: Duration) -> Self {
        let nanos = retry_after.as_nanos();
        let nanos = if nanos < FORCED as u128 { nanos as u64 } else { FORCED - 1 };
        Self::after_nanos(nanos, Stood::unknown(OpenReason::Open))
    }

    /// Makes the refusal that counts for so long, of a circuit that stands so.
    #[inline]
    pub(crate) const fn after_nanos(retry_after: u64, stood: Stood) -> Self {
        Self { retry_after, stood }
    }

    /// Makes the refusal of a circuit that stays open until somebody says otherwise.
    pub const fn forced() -> Self {
        Self { retry_after: FORCED, stood: Stood::unknown(OpenReason::Forced) }
    }

    /// Returns it with how the circuit stood.
    #[inline]
    pub(crate) fn standing(self, stood: Stood) -> Self {
        Self { stood, ..self }
    }

    /// Returns why it refused.
    pub const fn reason(self) -> OpenReason {
        self.stood.reason()
    }

    /// Returns how often the circuit had opened since it last recovered, 65,535 at most.
    pub const fn trips(self) -> u32 {
        self.stood.trips()
    }

    /// Returns how many failures in a row there were when it last opened from the closed state.
    pub const fn failures(self) -> u32 {
        self.stood.failures()
    }

    /// Returns the time until the circuit may admit; while probes are out, until the oldest lapses;
    /// on a ramp, until it ends, where an earlier call may be admitted too. None if it was forced
    /// open: nobody can say.
    pub const fn retry_after(self) -> Option<Duration> {
        match self.retry_after {
            FORCED => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}

impl fmt::Debug for CircuitBreakerOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CircuitBreakerOpen");
        debug.field("retry_after", &self.retry_after()).field("stood", &self.stood).finish()
    }
}

impl fmt::Display for CircuitBreakerOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after() {
            Some(wait) => write!(f, "the circuit is open; it may admit in {wait:.2?}"),
            None => f.write_str("the circuit was forced open; nobody can say until when"),
        }
    }
}

impl std::error::Error for CircuitBreakerOpen {}

/// As many are at it as may be, and nobody else may wait, or waited long enough. Nothing was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BulkheadFull {
    limit: u32,
}

impl BulkheadFull {
    /// Makes the refusal of a bulkhead that lets so many in at a time.
    pub const fn new(limit: u32) -> Self {
        Self { limit }
    }

    /// Returns how many the bulkhead lets in at a time.
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// Returns [`Unknown`](RetryAfter::Unknown): nobody can say when a place is given back.
    pub const fn retry_after(self) -> RetryAfter {
        RetryAfter::Unknown
    }
}

impl fmt::Display for BulkheadFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bulkhead is full, {} at a time; nobody can say until when", self.limit)
    }
}

impl std::error::Error for BulkheadFull {}

/// Why a run stopped after an error that deserved another attempt.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum StopReason {
    /// The attempts are used up.
    Attempts,
    /// The circuit opened meanwhile.
    CircuitOpen,
    /// No quota for another attempt within `acquire_timeout`.
    RateLimited,
    /// The bulkhead was full when another attempt was to begin.
    BulkheadFull,
    /// Another attempt would begin after `max_elapsed`.
    Elapsed,
    /// The retry budget has no other attempt.
    Budget,
    /// Another attempt would begin at the run's deadline or after it.
    Deadline,
}

impl StopReason {
    /// Returns the reason as one word: `attempts`, `circuit_open`, `rate_limited`, `bulkhead_full`,
    /// `elapsed`, `budget` or `deadline`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::CircuitOpen => "circuit_open",
            Self::RateLimited => "rate_limited",
            Self::BulkheadFull => "bulkhead_full",
            Self::Elapsed => "elapsed",
            Self::Budget => "budget",
            Self::Deadline => "deadline",
        }
    }
}

impl StopReason {
    /// Says what would have to change for there to be another attempt.
    pub(crate) const fn change(self) -> &'static str {
        match self {
            Self::Attempts => "allow more attempts, or mend what the last error says",
            Self::CircuitOpen => "wait until the circuit lets calls through again",
            Self::RateLimited => "come back when there is quota, or be ready to wait longer for it",
            Self::BulkheadFull => "come back when others have ended, or let more in at a time",
            Self::Elapsed | Self::Deadline => "allow more time, or delay attempts less",
            Self::Budget => {
                "come back when fewer calls fail; the budget keeps retries a share of them"
            }
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a time is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TimeoutScope {
    /// The whole run.
    Run,
    /// One attempt.
    Attempt,
}

impl TimeoutScope {
    /// Returns the scope as one word: `run` or `attempt`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Attempt => "attempt",
        }
    }
}

impl fmt::Display for TimeoutScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The time of a run is over, or that of its last attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeoutExceeded {
    timeout: Duration,
    scope: TimeoutScope,
    attempts: u32,
    reason: Option<StopReason>,
}

impl TimeoutExceeded {
    /// Makes what ends a run after so many attempts, the one that was cut short included.
    pub const fn new(timeout: Duration, scope: TimeoutScope, attempts: u32) -> Self {
        Self { timeout, scope, attempts, reason: None }
    }

    /// Returns it with why there was no other attempt, which an attempt's timeout deserves.
    #[must_use]
    pub const fn because(self, reason: StopReason) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// Returns how long it could have lasted: for a run that was given a deadline, what was left
    /// until that when it began.
    pub const fn timeout(self) -> Duration {
        self.timeout
    }

    /// Returns whose time is over.
    pub const fn scope(self) -> TimeoutScope {
        self.scope
    }

    /// Returns how often the function was called, the attempt included that was cut short. After
    /// none the error says nothing about the other side.
    pub const fn attempts(self) -> u32 {
        self.attempts
    }

    /// Returns why there was no other attempt, where the last one deserved another.
    pub const fn reason(self) -> Option<StopReason> {
        self.reason
    }

    pub(crate) fn ends_run(self) -> bool {
        self.scope == TimeoutScope::Run
    }
}

impl fmt::Display for TimeoutExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { timeout, scope, attempts, .. } = self;
        match (scope, attempts) {
            (TimeoutScope::Run, 0) => {
                write!(f, "the run's time of {timeout:.2?} was over before the first attempt")
            }
            (scope, n) => write!(f, "the {scope} took longer than {timeout:.2?}; attempt {n}"),
        }
    }
}

impl std::error::Error for TimeoutExceeded {}

/// Returns whether an error is a refusal of ours, which says nothing about the other side.
pub(crate) fn is_own_refusal<E: 'static>(error: &E) -> bool {
    let error: &dyn Any = error;
    let in_box = error.downcast_ref::<Box<dyn Error + Send + Sync>>().is_some_and(|error| {
        error.is::<RateLimitExceeded>()
            || error.is::<CircuitBreakerOpen>()
            || error.is::<BulkheadFull>()
            || error.is::<InvalidConfig>()
            || error.downcast_ref().is_some_and(is_before_any_attempt)
    });
    let is_before_any = error.downcast_ref().is_some_and(is_before_any_attempt);
    in_box
        || is_before_any
        || error.is::<RateLimitExceeded>()
        || error.is::<CircuitBreakerOpen>()
        || error.is::<BulkheadFull>()
        || error.is::<InvalidConfig>()
}

fn is_before_any_attempt(timeout: &TimeoutExceeded) -> bool {
    timeout.attempts == 0
}
