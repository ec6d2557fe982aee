//! What a function is told about the attempt that it is.

use std::fmt;
use std::time::Duration;

use crate::clock::{Deadline, SharedClock};
use crate::time::Instant;

/// One attempt of a run, for the function that makes it.
///
/// ```
/// use limitpal::{MockClock, ResilientExecutor, RetryPolicy};
/// use std::time::Duration;
///
/// let executor = ResilientExecutor::builder()
///     .retry_policy(RetryPolicy::default())
///     .timeout(Duration::from_secs(2))
///     .clock(MockClock::new())
///     .build()?;
///
/// let answer = executor.run_attempts_blocking("api", |attempt| match attempt.last_error() {
///     None => Err("busy"),
///     Some(error) => Ok((attempt.number(), *error, attempt.elapsed(), attempt.remaining())),
/// });
/// let millis = Duration::from_millis;
/// assert_eq!((2, "busy", millis(100), Some(millis(1900))), answer.unwrap());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
pub struct Attempt<'a, E> {
    number: u32,
    elapsed: Duration,
    ends: Option<Instant>,
    last_error: Option<&'a E>,
    clock: &'a SharedClock,
}

impl<'a, E> Attempt<'a, E> {
    pub(crate) fn new(
        number: u32,
        (elapsed, ends): (Duration, Option<Instant>),
        last_error: Option<&'a E>,
        clock: &'a SharedClock,
    ) -> Self {
        Self { number, elapsed, ends, last_error, clock }
    }

    /// Returns when its time is over, by the executor's clock.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.ends
    }

    pub(super) fn clock(&self) -> &'a SharedClock {
        self.clock
    }

    /// Returns its number, counted from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns the time from the run's beginning to that of this attempt.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns the error of the attempt before; none for the first, and after one that was cut
    /// short.
    pub fn last_error(&self) -> Option<&'a E> {
        self.last_error
    }

    /// Returns when its time is over, to hand on; none if it may last as long as it takes.
    pub fn deadline(&self) -> Option<Deadline> {
        self.ends.map(|ends| Deadline::at(ends, self.clock.clone()))
    }

    /// Returns how much of its time is left now, zero if it is over; none if it has no end.
    pub fn remaining(&self) -> Option<Duration> {
        self.ends.map(|ends| ends.saturating_duration_since(self.clock.now()))
    }
}

impl<E: fmt::Debug> fmt::Debug for Attempt<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("number", &self.number)
            .field("elapsed", &self.elapsed)
            .field("last_error", &self.last_error)
            .field("remaining", &self.remaining())
            .finish()
    }
}
