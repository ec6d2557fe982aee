//! What a user holds to stop calling what keeps failing: the state machine and a clock.

mod builder;
mod callbacks;
mod calls;
mod cell;
mod error;
mod keyed;
mod listening;
mod observe;
mod snapshot;
mod stats;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::builder::CircuitBreakerBuilder;
pub use self::callbacks::{BreakerEvent, CallbackId, EventKind};
pub use self::cell::BreakerCell;
pub use self::error::BreakerError;
pub use self::keyed::{BreakerTable, KeyedCircuitBreaker};
pub use self::stats::{BreakerStats, KeyedBreakerStats};
pub use crate::breaker::{
    BreakerMode, BreakerOptions, BreakerSettings, CircuitState, ConsecutiveFailures, FailureRate,
    MoveReason, Permit, SlowCallRate, TripRule,
};
use crate::clock::{SharedClock, TimeSource};
use crate::config::InvalidConfig;
pub use crate::outcome::Outcome;
use crate::refusal::{CircuitBreakerOpen, Explanation};
use crate::time::Instant;

/// Stops calling what keeps failing, and finds out by itself when it is back.
///
/// - **closed**: calls go through. Any of the rules of `trip_on` opens it; where nothing is said,
///   5 failures in a row do.
/// - **open**: calls are refused until `recovery_timeout` has passed. With a `recovery_backoff`
///   that time grows with each trip until the circuit has recovered.
/// - **half-open**: at most `half_open_success_threshold` calls are out at a time. That many
///   successes close it, one failure opens it again. A call's permit lapses after
///   `recovery_timeout`, so one that hangs locks nobody out; its late result does not count. With
///   a `half_open_timeout` it opens again that long after its first call was let out. With a
///   `ramp` it stays half-open after that success, admits a growing share of the calls, and trips
///   by its rules meanwhile.
///
/// | option | default | |
/// |---|---|---|
/// | `failure_threshold` | 5 | failures in a row; short for `trip_on(ConsecutiveFailures::new(5))` |
/// | `trip_on` | none | [`ConsecutiveFailures`], [`FailureRate`], [`SlowCallRate`], any of several |
/// | `recovery_timeout` | 5 s | |
/// | `recovery_backoff` | 1.0 | the n-th trip in a row lasts `recovery_timeout * recovery_backoff^(n-1)` |
/// | `max_recovery_timeout` | 60 s, or `recovery_timeout` if that is longer | the longest of these |
/// | `recovery_jitter` | 0.0 | 0.1 means up to 10 % more or less |
/// | `seed` | none | seeded, a breaker repeats its jitter |
/// | `half_open_success_threshold` | 1 | |
/// | `half_open_timeout` | none | |
/// | `ramp` | none | such as 0.05, 0.1, 0.25, 0.5 |
/// | `ramp_step` | 5 s | how long each share lasts |
/// | `count_successes` | false | each, for [`stats`](Self::stats), while nothing hangs on it |
/// | `clock` | [`MonotonicClock`](crate::MonotonicClock) | |
///
/// It is a handle: a clone shares the state. While the circuit is closed and healthy, and no rule
/// looks at a share of calls, a call costs two atomic loads.
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

    /// Hears how a call went and how long it took, as [`record_success`](Self::record_success)
    /// does: for whoever has a [`SlowCallRate`] and calls without the breaker.
    pub fn record(&self, outcome: Outcome, took: Duration) {
        let Ok(()) = self.cell.record_bare_after(outcome, Some(took), || self.now());
    }

    /// Closes the circuit and forgets all counts. Calls that are under way no longer count. The
    /// [`mode`](Self::mode) stays.
    pub fn reset(&self) {
        self.cell.reset();
    }

    /// Writes down what it remembers (state, counts, mode, how often it has tripped), for
    /// [`restore`](Self::restore) in another process. Instants are kept by how far from now they
    /// are, so the time in between counts as none; calls that are out end with the process.
    pub fn snapshot(&self) -> Vec<u8> {
        let Ok(bytes) = self.cell.snapshot(|| self.now());
        bytes
    }

    /// Goes on from a snapshot. Calls that are under way no longer count.
    ///
    /// ```
    /// use limitpal::{CircuitBreaker, CircuitState};
    ///
    /// let build = || CircuitBreaker::builder().failure_threshold(1).build();
    /// let (before, after) = (build()?, build()?);
    /// before.record_failure();
    /// after.restore(&before.snapshot())?;
    /// assert_eq!(CircuitState::Open, after.state());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A snapshot that is damaged, of another version, or of a breaker with other options. All is
    /// then as it was.
    pub fn restore(&self, snapshot: &[u8]) -> Result<(), InvalidConfig> {
        let Ok(restored) = self.cell.restore(snapshot, || self.now());
        restored
    }

    /// Returns in which mode it is run: at first, [`Enforce`](BreakerMode::Enforce).
    pub fn mode(&self) -> BreakerMode {
        self.cell.mode()
    }

    /// Counts, and refuses when it is open, as it did at first. From [`shadow`](Self::shadow) it
    /// goes on in the state it is in; after the other modes it begins closed, as new.
    pub fn enforce(&self) {
        self.run_as(BreakerMode::Enforce);
    }

    /// Counts and changes its state as ever, but refuses nobody: whoever would be refused is let
    /// through, [`on_refused`](Self::on_refused) is told, and the outcome does not count.
    ///
    /// ```
    /// use limitpal::{BreakerMode, CircuitBreaker, CircuitState};
    ///
    /// let breaker = CircuitBreaker::builder().failure_threshold(1).build()?;
    /// breaker.shadow();
    /// breaker.record_failure();
    /// assert_eq!(CircuitState::Open, breaker.state());
    /// assert!(breaker.allow());
    ///
    /// breaker.enforce();
    /// assert!(!breaker.allow());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn shadow(&self) {
        self.run_as(BreakerMode::Shadow);
    }

    /// Lets all calls through and counts nothing, until [`enforce`](Self::enforce) or another mode.
    pub fn disable(&self) {
        self.run_as(BreakerMode::Disabled);
    }

    /// Refuses all calls until [`enforce`](Self::enforce) or another mode; nobody can say when
    /// that is, so refusals have no `retry_after`.
    pub fn force_open(&self) {
        self.run_as(BreakerMode::ForcedOpen);
    }

    fn run_as(&self, mode: BreakerMode) {
        let Ok(()) = self.cell.set_mode(mode, || self.now());
    }

    /// Returns the state now. It is a function of time: an open circuit reads half-open once the
    /// recovery timeout has passed, whoever asks first.
    pub fn state(&self) -> CircuitState {
        let Ok(state) = self.cell.state(|| self.now());
        state
    }

    /// Explains a refusal of this breaker: [`CircuitBreakerOpen::explain`], with how many failures in a
    /// row open it, if that is all that does.
    pub fn explain(&self, refusal: CircuitBreakerOpen) -> Explanation {
        let explained = refusal.explain();
        match self.cell.settings().failure_threshold() {
            Some(threshold) => explained.with("threshold", threshold),
            None => explained,
        }
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
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CircuitBreaker");
        self.cell.settings().show(&mut debug);
        debug.field("clock", &self.clock).field("state", &format_args!("{}", self.state()));
        match self.mode() {
            BreakerMode::Enforce => {}
            mode => drop(debug.field("mode", &format_args!("{mode}"))),
        }
        debug.finish()
    }
}
