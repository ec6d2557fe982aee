//! A bulkhead: at most so many calls at a time, and at most so many who wait to be let in.

use std::fmt;
use std::time::Duration;

use super::concurrency::{ConcurrencyLimiter, ConcurrencyPermit};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::refusal::BulkheadFull;

/// What a bulkhead's one gate is asked for: its key is nobody's.
const EVERYBODY: &str = "";

/// Lets at most `limit` calls at a time reach whatever stands behind it, so that one slow service
/// does not take all threads, connections or memory along when it goes down.
///
/// It is the [`ConcurrencyLimiter`] with one key for everybody and a line with an end: those who
/// wait are let in in the order in which they came, and whoever finds the line full is refused at
/// once with [`BulkheadFull`]. By default nobody waits.
///
/// Give it to a [`ResilientExecutor`](crate::ResilientExecutor), or hold a permit while the work
/// lasts. It is a handle: a clone shares the state.
///
/// ```
/// use limitpal::{Bulkhead, BulkheadFull};
///
/// let bulkhead = Bulkhead::new(1)?;
/// let permit = bulkhead.acquire_blocking().expect("nobody is in it");
/// assert_eq!(Err(BulkheadFull::new(1)), bulkhead.acquire_blocking().map(drop));
///
/// drop(permit);
/// assert_eq!(0, bulkhead.in_flight());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct Bulkhead(ConcurrencyLimiter);

impl Bulkhead {
    /// Makes one in which nobody waits.
    ///
    /// # Errors
    ///
    /// A limit of 0.
    pub fn new(limit: u32) -> Result<Self, InvalidConfig> {
        Self::builder(limit).build()
    }

    /// Starts one with options.
    pub fn builder(limit: u32) -> BulkheadBuilder {
        BulkheadBuilder { limit, max_waiting: Some(0), clock: SharedClock::default() }
    }

    /// Takes a permit if there is one and nobody waits for it; never waits.
    pub fn try_acquire(&self) -> Option<ConcurrencyPermit> {
        self.0.try_acquire(EVERYBODY)
    }

    /// Waits for a permit, in order of arrival. It takes its place when it is first polled; a
    /// dropped future gives it to the next.
    ///
    /// ```
    /// use limitpal::Bulkhead;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bulkhead = Bulkhead::builder(10).max_waiting(100).build()?;
    /// let _permit = bulkhead.acquire().await?; // until it is dropped
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// At once, if as many wait already as may.
    pub async fn acquire(&self) -> Result<ConcurrencyPermit, BulkheadFull> {
        self.0.acquire(EVERYBODY).await.map_err(|_| self.full())
    }

    /// Waits for a permit, for at most `timeout` by the bulkhead's clock.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and once the time is over. At once with a timeout of zero.
    pub async fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ConcurrencyPermit, BulkheadFull> {
        self.0.acquire_timeout(EVERYBODY, timeout).await.map_err(|_| self.full())
    }

    /// Blocks the thread until there is a permit; otherwise as [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_blocking(&self) -> Result<ConcurrencyPermit, BulkheadFull> {
        self.0.acquire_blocking(EVERYBODY).map_err(|_| self.full())
    }

    /// Blocks the thread; otherwise as [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    pub fn acquire_timeout_blocking(
        &self,
        timeout: Duration,
    ) -> Result<ConcurrencyPermit, BulkheadFull> {
        self.0.acquire_timeout_blocking(EVERYBODY, timeout).map_err(|_| self.full())
    }

    /// Returns how many are inside.
    pub fn in_flight(&self) -> u32 {
        self.0.in_flight(EVERYBODY)
    }

    /// Returns how many wait to be let in.
    pub fn waiting(&self) -> usize {
        self.0.waiting(EVERYBODY)
    }

    /// Returns how many may be inside.
    pub fn limit(&self) -> u32 {
        self.0.limit()
    }

    /// Returns how many may wait; none: any number.
    pub fn max_waiting(&self) -> Option<u32> {
        self.0.door().gates().max_waiting()
    }

    /// Changes how many may be inside, while it is in use.
    ///
    /// With a higher limit more of those who wait go at once. With a lower one nobody is sent
    /// away, and nobody comes in until enough have left.
    ///
    /// # Errors
    ///
    /// A limit of 0; then the present one stays in force.
    pub fn set_limit(&self, limit: u32) -> Result<(), InvalidConfig> {
        self.0.set_limit(limit)
    }

    /// Returns the clock that timeouts go by.
    pub fn clock(&self) -> &SharedClock {
        self.0.clock()
    }

    /// Returns what it is made of.
    pub(crate) fn pool(&self) -> &ConcurrencyLimiter {
        &self.0
    }

    fn full(&self) -> BulkheadFull {
        BulkheadFull::new(self.limit())
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Builds a [`Bulkhead`]: by default nobody waits, on the monotonic clock.
#[must_use = "a builder makes nothing until `build` is called"]
#[derive(Debug)]
pub struct BulkheadBuilder {
    limit: u32,
    max_waiting: Option<u32>,
    clock: SharedClock,
}

impl BulkheadBuilder {
    /// Lets so many wait to be let in.
    pub fn max_waiting(mut self, max_waiting: u32) -> Self {
        self.max_waiting = Some(max_waiting);
        self
    }

    /// Lets any number wait.
    pub fn unbounded(mut self) -> Self {
        self.max_waiting = None;
        self
    }

    /// Counts timeouts by this clock.
    pub fn clock(mut self, clock: impl Into<SharedClock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Checks the options and makes the bulkhead.
    ///
    /// # Errors
    ///
    /// A limit of 0.
    pub fn build(self) -> Result<Bulkhead, InvalidConfig> {
        let Self { limit, max_waiting, clock } = self;
        ConcurrencyLimiter::bulkhead(limit, max_waiting, clock).map(Bulkhead)
    }
}
