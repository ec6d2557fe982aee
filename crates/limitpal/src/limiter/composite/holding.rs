//! What a user holds of limiters of which some are to be held while the work lasts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Composite, CompositePermit};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::limiter::{AnyLimiter, Ask, ConcurrencyLimiter, Kind, Parts, Quota, sure};
use crate::refusal::RateLimitExceeded;
use crate::stats::LimiterStats;
use crate::teller::{Event, Subscription};

/// Limiters of any kinds as one, concurrency limiters too: a call goes if all of them let it, and
/// holds a permit while it lasts.
///
/// It is a [`CompositeLimiter`](crate::CompositeLimiter) that has something to give back: it is
/// made of what turns into one, any limiter and [`ConcurrencyLimiter`] as well, and an executor
/// takes it. There is no `allow`: a permit that nobody holds would limit nothing.
///
/// - All or nothing: a refusal leaves every part as it was. Between the asking and the refusal
///   another thread may see a permit taken, for an instant; it goes back, and nothing else does.
/// - When the permit is dropped, its places go back. Quota is spent.
/// - One who waits stands in one line at a time and holds nothing: neither a permit while it waits
///   for quota, nor one while it waits for another. So nobody deadlocks, in whatever order the
///   limiters are given. Who came first goes first among those who wait for several limiters.
/// - Nobody knows when a permit comes back: where there is none, a refusal's
///   [`retry_after`](RateLimitExceeded::retry_after) is
///   [`Unknown`](crate::RetryAfter::Unknown), and a timeout runs to its end. Where quota alone is
///   missing the refusal is exact, and comes at once.
///
/// ```
/// use limitpal::{ConcurrencyLimiter, HoldingLimiter, MockClock, Rate, TokenBucket};
///
/// let clock = MockClock::new();
/// let bucket = TokenBucket::builder(3, Rate::per_second(1.0)?).clock(clock.clone()).build()?;
/// let pool = ConcurrencyLimiter::builder(1).clock(clock).build()?;
/// let limiter = HoldingLimiter::new([bucket.clone().into(), pool.clone().into()])?;
///
/// let permit = limiter.try_acquire("db").expect("both have one");
/// assert!(limiter.try_acquire("db").is_none(), "one at a time");
/// assert_eq!(2.0, bucket.tokens("db"), "and the refusal took nothing");
///
/// drop(permit);
/// assert_eq!(0, pool.in_flight("db"));
/// assert_eq!(2.0, bucket.tokens("db"), "what was taken is spent");
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct HoldingLimiter(AnyLimiter);

impl HoldingLimiter {
    /// Joins limiters; one of several among them counts as its parts.
    ///
    /// Its own clock, by which timeouts go, is the one its parts share, else the monotonic one.
    ///
    /// # Errors
    ///
    /// No limiter at all, or the same one twice.
    pub fn new(limiters: impl IntoIterator<Item = Self>) -> Result<Self, InvalidConfig> {
        Parts::of(limiters.into_iter().map(|limiter| limiter.0)).join().map(Self)
    }

    /// Takes from all if possible now; never waits.
    pub fn try_acquire<'k>(&self, ask: impl Into<Ask<'k>>) -> Option<CompositePermit> {
        let ask = ask.into();
        match &self.0.0 {
            Kind::Keyed(_) | Kind::Part(_) => self.0.allow(ask).then(CompositePermit::default),
            Kind::Composite(composite) => {
                let (key, cost) = (ask.key(), ask.cost());
                let watched = sure(composite.watch(key));
                let taken = sure(composite.take(key, cost));
                let until = || sure(composite.refused_until(key, cost));
                let refused = (watched.is_some() && taken.is_none()).then(until);
                sure(composite.tell((key, cost), watched, refused));
                taken.map(|(_, permit)| permit)
            }
        }
    }

    /// Waits for all parts, in order of arrival. It takes its place when it is first polled; a
    /// dropped future gives it to the next, and what it had taken with it.
    ///
    /// # Errors
    ///
    /// At once: a cost above what a part ever gives, and too many who wait for a permit.
    pub async fn acquire<'k>(
        &self,
        ask: impl Into<Ask<'k>>,
    ) -> Result<CompositePermit, RateLimitExceeded> {
        self.0.acquire_quota(ask, None).await.map(Quota::into_permit)
    }

    /// Waits for all parts, for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); at once if quota would come too late, and once the time is
    /// over if there is no permit. With a timeout of zero it never waits.
    ///
    /// ```
    /// use limitpal::{ConcurrencyLimiter, FixedWindow, HoldingLimiter, RetryAfter};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hour = Duration::from_secs(3600);
    /// let (window, pool) = (FixedWindow::new(2, hour)?, ConcurrencyLimiter::new(1)?);
    /// let limiter = HoldingLimiter::new([window.into(), pool.into()])?;
    ///
    /// let permit = limiter.acquire("api").await?;
    /// let refusal = limiter.acquire_timeout("api", Duration::from_millis(1)).await.unwrap_err();
    /// assert_eq!(RetryAfter::Unknown, refusal.retry_after(), "somebody has the permit");
    ///
    /// drop(permit);
    /// let _permit = limiter.acquire("api").await?;
    /// let refusal = limiter.acquire_timeout(("api", limitpal::Cost::new(2)?), hour).await;
    /// assert_eq!(RetryAfter::Never, refusal.unwrap_err().retry_after(), "one at a time");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn acquire_timeout<'k>(
        &self,
        ask: impl Into<Ask<'k>>,
        timeout: Duration,
    ) -> Result<CompositePermit, RateLimitExceeded> {
        self.0.acquire_quota(ask, Some(timeout)).await.map(Quota::into_permit)
    }

    /// Blocks the thread; otherwise as [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_blocking<'k>(
        &self,
        ask: impl Into<Ask<'k>>,
    ) -> Result<CompositePermit, RateLimitExceeded> {
        self.0.acquire_quota_blocking(ask, None).map(Quota::into_permit)
    }

    /// Blocks the thread; otherwise as [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    pub fn acquire_timeout_blocking<'k>(
        &self,
        ask: impl Into<Ask<'k>>,
        timeout: Duration,
    ) -> Result<CompositePermit, RateLimitExceeded> {
        self.0.acquire_quota_blocking(ask, Some(timeout)).map(Quota::into_permit)
    }

    /// Returns the most permits that one key can be admitted in any window of this length, as
    /// [`AnyLimiter::bound`] does; none where only how many are at it is limited.
    pub fn bound(&self, window: Duration) -> Option<u64> {
        match &self.0.0 {
            Kind::Keyed(_) | Kind::Part(_) => Some(self.0.bound(window)),
            Kind::Composite(composite) => composite.bound(window),
        }
    }

    /// Calls `observer` with each event from now on, as [`AnyLimiter::observe`] does; near a limit
    /// are those of its parts that count how often something goes.
    pub fn observe(&self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Subscription {
        self.0.observe(observer)
    }

    /// Returns what became of its calls, as [`AnyLimiter::stats`] does.
    pub fn stats(&self) -> LimiterStats {
        self.0.stats()
    }

    /// Forgets what a key has taken of quota. Permits stay out.
    pub fn reset(&self, key: &str) {
        self.0.reset(key);
    }

    /// Forgets what all keys have taken of quota. Permits stay out.
    pub fn reset_all(&self) {
        self.0.reset_all();
    }

    /// Returns the clock that timeouts go by.
    pub fn clock(&self) -> &SharedClock {
        self.0.clock()
    }

    pub(in crate::limiter) fn any(&self) -> &AnyLimiter {
        &self.0
    }

    /// Returns what an executor asks, and holds.
    pub(crate) fn into_inner(self) -> AnyLimiter {
        self.0
    }
}

impl<L: Into<AnyLimiter>> From<L> for HoldingLimiter {
    fn from(limiter: L) -> Self {
        Self(limiter.into())
    }
}

impl From<ConcurrencyLimiter> for HoldingLimiter {
    fn from(limiter: ConcurrencyLimiter) -> Self {
        let doors = vec![Arc::clone(limiter.door())];
        let composite = Composite::new(Vec::new(), doors, limiter.clock().clone());
        let composite = composite.expect("one limiter is not none, and not twice the same");
        Self(AnyLimiter(Kind::Composite(Arc::new(composite))))
    }
}

impl fmt::Debug for HoldingLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
