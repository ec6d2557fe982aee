//! The concurrency limiter: at most so many at a time, for each key or in all.

pub(super) mod acquire;
mod builder;
mod door;
mod permit;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use self::acquire::{Acquire, RustDoor};
pub use self::builder::ConcurrencyLimiterBuilder;
pub use self::door::Door;
pub(super) use self::door::Entered;
pub use self::permit::ConcurrencyPermit;
use super::ask::Ask;
use super::sure;
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::gates::Gates;
use crate::refusal::RateLimitExceeded;
use crate::shards::Fingerprint;
use crate::stats::LimiterStats;

/// Lets at most `limit` work at a time, for each key. Whoever has a permit works; the permit
/// returns itself when it is dropped.
///
/// With one key for everybody (`per_key(false)`) this is a bulkhead. It is a handle: a clone
/// shares the state. Every call takes a key, or a key and a [`Cost`](crate::Cost).
///
/// - Those who wait for a key go in the order in which they came, each woken once. One who asks
///   for many is not overtaken by those behind who ask for few, nor by those who do not wait.
/// - A future that is dropped gives its place to the next, or its permit, if it had come already.
/// - A key is remembered while a permit of its is out, and no longer.
/// - Nobody knows when a permit comes back, so a refusal's
///   [`retry_after`](RateLimitExceeded::retry_after) is
///   [`Unknown`](crate::RetryAfter::Unknown), or [`Never`](crate::RetryAfter::Never) for a cost
///   above the limit.
///
/// ```
/// use limitpal::ConcurrencyLimiter;
///
/// let limiter = ConcurrencyLimiter::new(1)?;
/// let permit = limiter.try_acquire("db").expect("nobody has it");
/// assert!(limiter.try_acquire("db").is_none());
///
/// drop(permit);
/// assert!(limiter.try_acquire("db").is_some());
/// assert!(limiter.is_empty());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
///
/// A permit may be moved into a task, and takes nothing else along:
///
/// ```
/// use limitpal::ConcurrencyLimiter;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let limiter = ConcurrencyLimiter::new(2)?;
/// let mut tasks = Vec::new();
/// for page in 0..10 {
///     let permit = limiter.acquire("crawler").await?;
///     tasks.push(tokio::spawn(async move {
///         let _permit = permit; // until the page is there
///         page
///     }));
/// }
/// for task in tasks {
///     task.await?;
/// }
/// assert_eq!(0, limiter.in_flight("crawler"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ConcurrencyLimiter(Arc<Inner>);

struct Inner {
    /// Shared with the composites that it is part of.
    door: Arc<RustDoor>,
    clock: SharedClock,
}

impl ConcurrencyLimiter {
    /// Makes one with the defaults of [`ConcurrencyLimiterBuilder`].
    ///
    /// # Errors
    ///
    /// A limit of 0.
    pub fn new(limit: u32) -> Result<Self, InvalidConfig> {
        Self::builder(limit).build()
    }

    /// Starts one with options.
    pub fn builder(limit: u32) -> ConcurrencyLimiterBuilder {
        ConcurrencyLimiterBuilder::new(limit)
    }

    /// Takes a permit if there is one and nobody waits for it; never waits.
    ///
    /// ```
    /// use limitpal::{ConcurrencyLimiter, Cost};
    ///
    /// let limiter = ConcurrencyLimiter::new(3)?;
    /// let large = limiter.try_acquire(("report", Cost::new(2)?)).expect("three are free");
    /// assert_eq!((2, 2), (large.cost(), limiter.in_flight("report")));
    /// assert!(limiter.try_acquire(("report", Cost::new(2)?)).is_none());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    #[inline]
    pub fn try_acquire<'k>(&self, ask: impl Into<Ask<'k>>) -> Option<ConcurrencyPermit> {
        match self.0.enter(ask.into(), false) {
            Entered::Now(permit) => Some(permit),
            Entered::Waits(_) | Entered::Refused(_) => None,
        }
    }

    /// Waits for a permit, in order of arrival. It takes its place when it is first polled; a
    /// dropped future gives it to the next.
    ///
    /// # Errors
    ///
    /// At once: a cost above the limit, which would never be served, and too many who wait. Later,
    /// if the limit is set below the cost.
    pub fn acquire<'l>(
        &'l self,
        ask: impl Into<Ask<'l>>,
    ) -> impl Future<Output = Result<ConcurrencyPermit, RateLimitExceeded>> + Send {
        Acquire::Asking(&self.0, ask.into(), None)
    }

    /// Waits for a permit, for at most `timeout` by the limiter's clock.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and once the time is over: nobody can say beforehand how
    /// long it will be. At once with a timeout of zero.
    ///
    /// ```
    /// use limitpal::{ConcurrencyLimiter, RetryAfter};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = ConcurrencyLimiter::new(1)?;
    /// let _permit = limiter.acquire("db").await?;
    /// let refusal = limiter.acquire_timeout("db", Duration::from_millis(1)).await.unwrap_err();
    /// assert_eq!(RetryAfter::Unknown, refusal.retry_after());
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire_timeout<'l>(
        &'l self,
        ask: impl Into<Ask<'l>>,
        timeout: Duration,
    ) -> impl Future<Output = Result<ConcurrencyPermit, RateLimitExceeded>> + Send {
        Acquire::Asking(&self.0, ask.into(), Some(timeout))
    }

    /// Blocks the thread until there is a permit; otherwise as [`acquire`](Self::acquire).
    ///
    /// It waits for another thread, whatever the clock: on a [`MockClock`](crate::MockClock) too.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_blocking<'k>(
        &self,
        ask: impl Into<Ask<'k>>,
    ) -> Result<ConcurrencyPermit, RateLimitExceeded> {
        self.0.acquire_blocking(ask.into(), None)
    }

    /// Blocks the thread; otherwise as [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// A [`MockClock`](crate::MockClock) is moved to the end of the timeout, as its blocking sleep
    /// would. On a clock of your own it polls [`Clock::sleep`](crate::Clock::sleep), which another
    /// thread can end, where a blocking sleep would outlast the permit's coming.
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    pub fn acquire_timeout_blocking<'k>(
        &self,
        ask: impl Into<Ask<'k>>,
        timeout: Duration,
    ) -> Result<ConcurrencyPermit, RateLimitExceeded> {
        self.0.acquire_blocking(ask.into(), Some(timeout))
    }

    /// Returns how many permits of a key are out: the sum of their costs.
    pub fn in_flight(&self, key: &str) -> u32 {
        self.0.gates().inside(self.0.fingerprint(key))
    }

    /// Returns what became of its calls: how many have a permit now, were refused, wait.
    pub fn stats(&self) -> LimiterStats {
        self.0.gates().stats()
    }

    /// Returns how many wait for a key.
    pub fn waiting(&self, key: &str) -> usize {
        self.0.gates().waiting(self.0.fingerprint(key))
    }

    /// Returns how many permits of a key may be out.
    pub fn limit(&self) -> u32 {
        self.0.gates().limit()
    }

    /// Changes the limit of all keys while it is in use.
    ///
    /// With a higher one more of those who wait go at once. With a lower one no permit is taken
    /// away, and there are no new ones until enough have come back; who waits for more than the
    /// new limit is refused, or nobody behind it would ever go.
    ///
    /// ```
    /// use limitpal::ConcurrencyLimiter;
    ///
    /// let limiter = ConcurrencyLimiter::new(1)?;
    /// let first = limiter.try_acquire("db");
    /// limiter.set_limit(2)?;
    /// assert!(limiter.try_acquire("db").is_some());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A limit of 0; then the present one stays in force.
    pub fn set_limit(&self, limit: u32) -> Result<(), InvalidConfig> {
        self.0.gates().set_limit(limit)
    }

    /// Returns whether a permit of a key is out.
    pub fn contains(&self, key: &str) -> bool {
        self.0.gates().contains(self.0.fingerprint(key))
    }

    /// Returns of how many keys permits are out.
    pub fn len(&self) -> usize {
        self.0.gates().len()
    }

    /// Returns whether no permit is out.
    pub fn is_empty(&self) -> bool {
        self.0.gates().is_empty()
    }

    /// Returns the clock that timeouts go by.
    pub fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    /// Makes that of a bulkhead.
    pub(super) fn bulkhead(
        limit: u32,
        max_waiting: Option<u32>,
        clock: SharedClock,
    ) -> Result<Self, InvalidConfig> {
        let door = Arc::new(Door::of_bulkhead(limit, max_waiting)?);
        Ok(Self(Arc::new(Inner { door, clock })))
    }

    pub(super) fn door(&self) -> &Arc<RustDoor> {
        &self.0.door
    }
}

impl Inner {
    fn fingerprint(&self, key: &str) -> Fingerprint {
        sure(self.door.fingerprint(key))
    }

    fn gates(&self) -> &Gates {
        self.door.gates()
    }
}

impl fmt::Debug for ConcurrencyLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.door.show(f, Some(&self.0.clock))
    }
}
