//! Why a run gave no value.

use std::error::Error;
use std::fmt;

use crate::call::Stop;
use crate::refusal::{
    BulkheadFull, CircuitBreakerOpen, RateLimitExceeded, StopReason, TimeoutExceeded,
};

/// Why a run gave no value.
///
/// ```
/// use limitpal::{ResilientExecutor, RetryPolicy, RunError, StopReason};
/// use std::time::Duration;
///
/// let policy = RetryPolicy::builder().base_delay(Duration::ZERO).build()?;
/// let executor = ResilientExecutor::builder().retry_policy(policy).build()?;
///
/// match executor.run_blocking("user:7", || Err::<(), _>("timed out")) {
///     Err(RunError::RetryExhausted(end)) => {
///         assert_eq!("timed out", end.last_error);
///         assert_eq!(StopReason::Attempts, end.reason);
///         assert_eq!("gave up after 3 attempts", end.to_string());
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RunError<E> {
    /// There was no quota in time; the function was not called.
    RateLimitExceeded(RateLimitExceeded),
    /// The circuit is open; the function was not called.
    CircuitBreakerOpen(CircuitBreakerOpen),
    /// The bulkhead is full; the function was not called.
    BulkheadFull(BulkheadFull),
    /// The time of the run is over, or that of its last attempt. Where that deserved another
    /// attempt, its [`reason`](TimeoutExceeded::reason) says why there was none.
    TimeoutExceeded(TimeoutExceeded),
    /// The last error deserved another attempt, which there was not.
    RetryExhausted(RetryExhausted<E>),
    /// The function failed with this error of its own, which deserved no other attempt.
    Failed(E),
}

impl<E> RunError<E> {
    /// Returns whether the function was not called at all, which says nothing about it.
    ///
    /// An executor within another should neither be retried nor counted then:
    ///
    /// ```
    /// use limitpal::{ResilientExecutor, RetryPolicy, RunError};
    ///
    /// type InnerError = RunError<std::io::Error>;
    ///
    /// let policy = RetryPolicy::builder().retry_if(|e: &InnerError| !e.is_refusal()).build()?;
    /// let outer = ResilientExecutor::builder()
    ///     .retry_policy(policy)
    ///     .ignore(InnerError::is_refusal)
    ///     .build()?;
    /// # let _: ResilientExecutor<InnerError> = outer;
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::RateLimitExceeded(_) | Self::CircuitBreakerOpen(_) | Self::BulkheadFull(_) => {
                true
            }
            Self::TimeoutExceeded(timeout) => timeout.attempts() == 0,
            Self::RetryExhausted(_) | Self::Failed(_) => false,
        }
    }

    /// Returns how a run ends for its caller.
    pub(super) fn new(stop: Stop, attempts: u32, last: Last<E>) -> Self {
        match (stop, last) {
            (Stop::RateLimitExceeded(refusal), _) => Self::RateLimitExceeded(refusal),
            (Stop::CircuitBreakerOpen(refusal), _) => Self::CircuitBreakerOpen(refusal),
            (Stop::BulkheadFull(refusal), _) => Self::BulkheadFull(refusal),
            (Stop::TimeoutExceeded(timeout), _) => Self::TimeoutExceeded(timeout),
            (Stop::RetryExhausted(reason), Last::TimedOut(timeout)) => {
                Self::TimeoutExceeded(timeout.because(reason))
            }
            (Stop::RetryExhausted(reason), Last::Failed(last_error)) => {
                Self::RetryExhausted(RetryExhausted { attempts, last_error, reason })
            }
            (Stop::Failed, Last::Failed(error)) => Self::Failed(error),
            (stop, _) => unreachable!("{stop:?} after no attempt"),
        }
    }
}

/// How the last attempt of a run ended.
pub(super) enum Last<E> {
    Nothing,
    Failed(E),
    TimedOut(TimeoutExceeded),
}

impl<E> Last<E> {
    pub(super) fn error(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Nothing | Self::TimedOut(_) => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for RunError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimitExceeded(refusal) => refusal.fmt(f),
            Self::CircuitBreakerOpen(refusal) => refusal.fmt(f),
            Self::BulkheadFull(refusal) => refusal.fmt(f),
            Self::TimeoutExceeded(timeout) => timeout.fmt(f),
            Self::RetryExhausted(end) => end.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

/// Shows and explains itself as the error it holds.
impl<E: Error + 'static> Error for RunError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::RateLimitExceeded(_)
            | Self::CircuitBreakerOpen(_)
            | Self::BulkheadFull(_)
            | Self::TimeoutExceeded(_) => None,
            Self::RetryExhausted(end) => end.source(),
            Self::Failed(error) => error.source(),
        }
    }
}

/// A run that stopped after an error that deserved another attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RetryExhausted<E> {
    /// How often the function was called.
    pub attempts: u32,
    /// The error of the last attempt.
    pub last_error: E,
    /// Why there was no other attempt.
    pub reason: StopReason,
}

impl<E> fmt::Display for RetryExhausted<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(f, "gave up after {} attempt{plural}", self.attempts)?;
        match self.reason {
            StopReason::Attempts => Ok(()),
            StopReason::CircuitOpen => f.write_str("; the circuit opened meanwhile"),
            StopReason::RateLimited => f.write_str("; no permit in time for another"),
            StopReason::BulkheadFull => f.write_str("; the bulkhead is full"),
            StopReason::Elapsed => f.write_str("; there is no time left for another"),
            StopReason::Deadline => f.write_str("; its deadline is too near for another"),
            StopReason::Budget => f.write_str("; the retry budget has no other"),
        }
    }
}

impl<E: Error + 'static> Error for RetryExhausted<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.last_error)
    }
}
