//! What a user holds so that retries stay a small share of what is sent: counts and a clock.

mod cell;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::cell::BudgetCell;
pub use crate::budget::BudgetSettings;
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::time::Instant;

/// Keeps retries a share of the calls: in an outage an executor does not multiply its traffic.
///
/// In the last `window` there may be `ratio * calls + minimum_per_second * window` retries. So at a
/// total outage attempts never exceed `(1 + ratio) * calls` and that reserve, and a quiet client
/// may still retry. A run that would need one more ends, with
/// [`StopReason::Budget`](crate::StopReason::Budget).
///
/// - A call counts when its first attempt has ended. What it was refused for, or did not wait for,
///   is none.
/// - A retry is charged when it is decided on, before its wait; it is given back if there is none
///   after all: a cancelled wait, a breaker that opened, no quota.
/// - Counts are kept in 20 slices of the window and go by slices, so a call is remembered for a
///   whole window or up to a twentieth of it less.
///
/// | option | default | |
/// |---|---|---|
/// | `ratio` | 0.1 | one retry for ten calls, from 0 to 1 |
/// | `minimum_per_second` | 1.0 | so that a quiet client may retry; all of a window's may come at once |
/// | `window` | 10 s | |
/// | `clock` | [`MonotonicClock`](crate::MonotonicClock) | |
///
/// The rule is that of [Finagle], whose defaults are 0.2 and 10 a second. It is a handle: a clone
/// shares the counts, and any number of executors may share one.
///
/// ```
/// use limitpal::{MockClock, ResilientExecutor, RetryBudget, RetryPolicy};
///
/// let budget = RetryBudget::builder().minimum_per_second(0.5).clock(MockClock::new()).build()?;
/// let executor = ResilientExecutor::builder()
///     .retry_policy(RetryPolicy::default())
///     .retry_budget(budget.clone())
///     .clock(MockClock::new())
///     .build()?;
///
/// let mut attempts = 0;
/// for _ in 0..100 {
///     let _ = executor.run_blocking("api", || { attempts += 1; Err::<(), _>("down") });
/// }
/// assert_eq!(100 + 10 + 5, attempts);
/// assert_eq!(0, budget.left());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
///
/// [Finagle]: https://twitter.github.io/finagle/guide/Clients.html#retries
#[derive(Clone)]
pub struct RetryBudget {
    cell: Arc<BudgetCell>,
    clock: SharedClock,
}

impl RetryBudget {
    /// Returns a builder that has the defaults.
    pub fn builder() -> RetryBudgetBuilder {
        RetryBudgetBuilder::default()
    }

    /// Returns how many more retries there may be now.
    pub fn left(&self) -> u64 {
        let Ok(left) = self.cell.left(|| self.now());
        left
    }

    pub(crate) fn cell(&self) -> &Arc<BudgetCell> {
        &self.cell
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(crate) fn now(&self) -> Result<Instant, Infallible> {
        Ok(self.clock.now())
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.cell.settings();
        f.debug_struct("RetryBudget")
            .field("ratio", &settings.ratio())
            .field("minimum_per_second", &settings.minimum_per_second())
            .field("window", &settings.window())
            .finish_non_exhaustive()
    }
}

/// Puts a [`RetryBudget`] together, which lists the defaults.
#[derive(Debug)]
pub struct RetryBudgetBuilder {
    ratio: f64,
    minimum_per_second: f64,
    window: Duration,
    clock: Option<SharedClock>,
}

impl RetryBudgetBuilder {
    /// Sets how many retries there may be for each call: from 0 to 1.
    #[must_use]
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// Sets how many retries a second there may be besides: from 0 to a million.
    #[must_use]
    pub fn minimum_per_second(mut self, minimum_per_second: f64) -> Self {
        self.minimum_per_second = minimum_per_second;
        self
    }

    /// Sets for how long calls and retries are remembered: above 0, 100 years at most.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets the clock by which they are.
    #[must_use]
    pub fn clock(mut self, clock: impl Into<SharedClock>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// Builds the budget.
    ///
    /// # Errors
    ///
    /// An option outside its range.
    pub fn build(self) -> Result<RetryBudget, InvalidConfig> {
        let settings = BudgetSettings::new(self.ratio, self.minimum_per_second, self.window)?;
        let clock = self.clock.unwrap_or_default();
        Ok(RetryBudget { cell: Arc::new(BudgetCell::new(settings)), clock })
    }
}

impl Default for RetryBudgetBuilder {
    fn default() -> Self {
        Self { ratio: 0.1, minimum_per_second: 1.0, window: Duration::from_secs(10), clock: None }
    }
}
