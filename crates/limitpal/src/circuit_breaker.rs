//! What a user holds to stop calling what keeps failing: the state machine and a clock.

mod cell;
mod error;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use self::cell::BreakerCell;
pub use self::error::BreakerError;
pub use crate::breaker::{BreakerSettings, CircuitState, Permit};
use crate::clock::{SharedClock, TimeSource};
use crate::config::InvalidConfig;
pub use crate::outcome::Outcome;
use crate::refusal::{CircuitBreakerOpen, is_own_refusal};
use crate::time::Instant;

/// Stops calling what keeps failing, and finds out by itself when it is back.
///
/// - **closed**: calls go through. `failure_threshold` failures in a row open it.
/// - **open**: calls are refused until `recovery_timeout` has passed.
/// - **half-open**: at most `half_open_success_threshold` calls are out at a time. That many
///   successes close it, one failure opens it again. A call's permit lapses after
///   `recovery_timeout`, so one that hangs locks nobody out; its late result does not count.
///
/// | option | default |
/// |---|---|
/// | `failure_threshold` | 5 |
/// | `recovery_timeout` | 5 s |
/// | `half_open_success_threshold` | 1 |
/// | `clock` | [`MonotonicClock`](crate::MonotonicClock) |
///
/// It is a handle: a clone shares the state. While the circuit is closed and healthy, a call costs
/// two atomic loads.
///
/// ```
/// use limitpal::{BreakerError, CircuitBreaker, CircuitState, MockClock};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let breaker = CircuitBreaker::builder().failure_threshold(2).clock(clock.clone()).build()?;
/// for _ in 0..2 {
///     let answer = breaker.call_blocking(|| Err::<(), _>("timed out"));
///     assert_eq!(Err(BreakerError::Failed("timed out")), answer);
/// }
/// assert_eq!(CircuitState::Open, breaker.state());
///
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(Ok(7), breaker.call_blocking(|| Ok::<_, &str>(7)));
/// assert_eq!(CircuitState::Closed, breaker.state());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    cell: Arc<BreakerCell>,
    clock: SharedClock,
}

impl CircuitBreaker {
    /// Returns a builder that has the defaults.
    pub fn builder() -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::default()
    }

    /// Returns whether a call may go now. Report how it went with
    /// [`record_success`](Self::record_success) or [`record_failure`](Self::record_failure).
    ///
    /// Where you can, let [`call`](Self::call) do all three: it also tells calls apart that
    /// overlap, and those that were cancelled.
    ///
    /// ```
    /// use limitpal::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::builder().failure_threshold(1).build()?;
    /// assert!(breaker.allow());
    /// breaker.record_failure();
    /// assert!(!breaker.allow());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    #[inline]
    pub fn allow(&self) -> bool {
        let Ok(allowed) = self.cell.allow(|| self.now());
        allowed
    }

    /// Hears of a success. While the circuit is open it is ignored.
    ///
    /// In the half-open state it is taken for the oldest call that [`allow`](Self::allow) let
    /// through; without such a call it counts all the same.
    #[inline]
    pub fn record_success(&self) {
        let Ok(()) = self.cell.record_bare(Outcome::Success, || self.now());
    }

    /// Hears of a failure, as [`record_success`](Self::record_success) does of a success.
    pub fn record_failure(&self) {
        let Ok(()) = self.cell.record_bare(Outcome::Failure, || self.now());
    }

    /// Closes the circuit and forgets all counts. Calls that are under way no longer count.
    pub fn reset(&self) {
        self.cell.reset();
    }

    /// Returns the state now. It is a function of time: an open circuit reads half-open once the
    /// recovery timeout has passed, whoever asks first.
    pub fn state(&self) -> CircuitState {
        let Ok(state) = self.cell.state(|| self.now());
        state
    }

    /// Calls `function` if the circuit lets it, and records how it went.
    ///
    /// An error is a failure, except a refusal of ours (`RateLimitExceeded`, `CircuitBreakerOpen`,
    /// `InvalidConfig`, also in a `Box<dyn Error + Send + Sync>`): that counts as neither, and so
    /// does a panic. No lock is held while the function runs.
    ///
    /// # Errors
    ///
    /// The function's own, or that the circuit is open.
    #[inline]
    pub fn call_blocking<T, E: 'static>(
        &self,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, BreakerError<E>> {
        let loan = self.lend()?;
        loan.settle(function())
    }

    /// As [`call_blocking`](Self::call_blocking), for a function that returns a future. Dropping
    /// the call before it is done counts as neither success nor failure.
    ///
    /// ```
    /// use limitpal::CircuitBreaker;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let breaker = CircuitBreaker::builder().build()?;
    /// let answer = breaker.call(|| async { Ok::<_, std::io::Error>(7) }).await?;
    /// assert_eq!(7, answer);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The function's own, or that the circuit is open.
    pub async fn call<T, E, F, Answer>(&self, function: F) -> Result<T, BreakerError<E>>
    where
        E: 'static,
        F: FnOnce() -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let loan = self.lend()?;
        loan.settle(function().await)
    }

    /// Returns the shared state, for a [`Plan`](crate::Plan).
    pub fn cell(&self) -> &Arc<BreakerCell> {
        &self.cell
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(crate) fn now(&self) -> Result<Instant, Infallible> {
        TimeSource::now(&self.clock)
    }

    #[inline]
    fn lend(&self) -> Result<Loan<'_>, CircuitBreakerOpen> {
        let Ok(lent) = self.cell.admit(|| self.now());
        lent.map(|permit| Loan { breaker: self, permit: Some(permit) })
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.cell.settings();
        f.debug_struct("CircuitBreaker")
            .field("failure_threshold", &settings.failure_threshold())
            .field("recovery_timeout", &settings.recovery_timeout())
            .field("half_open_success_threshold", &settings.half_open_success_threshold())
            .field("clock", &self.clock)
            .field("state", &format_args!("{}", self.state()))
            .finish()
    }
}

/// A permit while the user's function runs. Dropped unsettled, by a panic or with a cancelled
/// future, it goes back.
struct Loan<'a> {
    breaker: &'a CircuitBreaker,
    permit: Option<Permit>,
}

impl Loan<'_> {
    #[inline]
    fn settle<T, E: 'static>(mut self, answer: Result<T, E>) -> Result<T, BreakerError<E>> {
        let outcome = match &answer {
            Ok(_) => Outcome::Success,
            Err(error) if is_own_refusal(error) => return answer.map_err(BreakerError::Failed),
            Err(_) => Outcome::Failure,
        };
        if let Some(permit) = self.permit {
            let Ok(()) = self.breaker.cell.record(permit, outcome, || self.breaker.now());
            self.permit = None;
        }
        answer.map_err(BreakerError::Failed)
    }
}

impl Drop for Loan<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(permit) = self.permit {
            self.breaker.cell.give_back(permit);
        }
    }
}

/// Puts a [`CircuitBreaker`] together, which lists the defaults.
#[derive(Clone, Debug)]
pub struct CircuitBreakerBuilder {
    failure_threshold: u32,
    recovery_timeout: Duration,
    half_open_success_threshold: u32,
    clock: SharedClock,
}

impl CircuitBreakerBuilder {
    /// Sets how many failures in a row open the circuit: at least 1.
    #[must_use]
    pub fn failure_threshold(mut self, failure_threshold: u32) -> Self {
        self.failure_threshold = failure_threshold;
        self
    }

    /// Sets how long the circuit stays open, and how long a half-open call's permit lasts.
    #[must_use]
    pub fn recovery_timeout(mut self, recovery_timeout: Duration) -> Self {
        self.recovery_timeout = recovery_timeout;
        self
    }

    /// Sets how many successes close the half-open circuit, and how many calls may then be out at
    /// a time: at least 1.
    #[must_use]
    pub fn half_open_success_threshold(mut self, half_open_success_threshold: u32) -> Self {
        self.half_open_success_threshold = half_open_success_threshold;
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Into<SharedClock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Builds the breaker, closed.
    ///
    /// # Errors
    ///
    /// A threshold of 0, no recovery timeout or one above 100 years.
    pub fn build(self) -> Result<CircuitBreaker, InvalidConfig> {
        let settings = BreakerSettings::new(
            self.failure_threshold,
            self.recovery_timeout,
            self.half_open_success_threshold,
        )?;
        Ok(CircuitBreaker { cell: Arc::new(BreakerCell::new(settings)), clock: self.clock })
    }
}

impl Default for CircuitBreakerBuilder {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            recovery_timeout: Duration::from_secs(5),
            half_open_success_threshold: 1,
            clock: SharedClock::default(),
        }
    }
}
