//! What a user holds to limit a rate: buckets, a clock, and a way to wait.

mod acquire;
mod adaptive_limiter;
mod ask;
mod builder;
mod bulkhead;
mod change;
mod composite;
mod concurrency;
mod enter;
mod explain;
mod fair_bucket;
mod fixed_window;
mod guarded;
mod handle;
mod keyed;
mod keys;
mod leaky_bucket;
mod observe;
mod part;
mod quota;
mod sliding_window_counter;
mod sliding_window_log;
mod strict;
mod token_bucket;
mod told;
mod turn;
mod warm_up_bucket;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use self::acquire::Acquire;
pub use self::adaptive_limiter::{
    AdaptiveCalls, AdaptiveError, AdaptiveLimiter, AdaptiveLimiterBuilder,
};
pub use self::ask::{Ask, Cost};
pub use self::builder::{BucketBuilder, WindowBuilder};
pub use self::bulkhead::{Bulkhead, BulkheadBuilder};
pub use self::change::{Change, Unused};
pub(crate) use self::composite::Denied;
use self::composite::Parts;
pub use self::composite::{
    Arrival, Behind, Composite, CompositeLimiter, CompositePermit, Held, HoldingLimiter, Step, Wish,
};
pub use self::concurrency::{
    ConcurrencyLimiter, ConcurrencyLimiterBuilder, ConcurrencyPermit, Door,
};
pub use self::fair_bucket::{FairBucket, FairBucketBuilder, FairKeyed};
pub use self::fixed_window::FixedWindow;
pub(crate) use self::guarded::{Guarded, Inside};
use self::handle::keyed_handle;
pub use self::keyed::{Keyed, KeyedOptions};
pub use self::keys::{KeyBy, Keys, QuotaBy};
pub use self::leaky_bucket::LeakyBucket;
pub use self::part::Part;
pub use self::quota::Quota;
pub use self::sliding_window_counter::SlidingWindowCounter;
pub use self::sliding_window_log::SlidingWindowLog;
pub use self::strict::{StrictBuilder, strict, strict_burst};
pub use self::token_bucket::TokenBucket;
pub use self::told::gave_up;
use self::turn::{come_blocking, come_told, come_within_blocking, request};
pub use self::warm_up_bucket::{WarmUpBucket, WarmUpBuilder};
use crate::algorithm::Window;
use crate::clock::SharedClock;
use crate::decision::Decision;
use crate::refusal::RateLimitExceeded;
use crate::store::Turn;

/// Any limiter: what [`TokenBucket`], [`LeakyBucket`], [`FixedWindow`], [`SlidingWindowCounter`],
/// [`SlidingWindowLog`] and [`CompositeLimiter`] have in common.
///
/// Each of them dereferences to it and turns into it with `into()`. Cloning is cheap and shares
/// the state. Every call takes a key, or a key and a [`Cost`]:
///
/// ```
/// use limitpal::{AnyLimiter, Cost, Rate, TokenBucket};
///
/// let limiter: AnyLimiter = TokenBucket::new(10, Rate::per_second(5.0)?)?.into();
/// assert!(limiter.allow("user:7"));
/// assert!(limiter.allow(("user:7", Cost::new(9)?)));
/// assert!(!limiter.allow("user:7"));
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct AnyLimiter(Kind);

#[derive(Clone)]
enum Kind {
    Keyed(Arc<Keyed<SharedClock>>),
    /// One that counts in another way.
    Part(Arc<dyn Part<SharedClock>>),
    /// Within a [`HoldingLimiter`] alone it may have doors: their permits are to be held.
    Composite(Arc<Composite<SharedClock>>),
}

/// How a limiter is asked.
enum View<'l> {
    Keyed(&'l Keyed<SharedClock>),
    /// One that counts in another way, or that tells what it is asked.
    Part(&'l dyn Part<SharedClock>),
    Composite(&'l Composite<SharedClock>),
}

impl AnyLimiter {
    /// Takes if possible now; never waits.
    #[inline]
    pub fn allow<'k>(&self, ask: impl Into<Ask<'k>>) -> bool {
        let ask = ask.into();
        sure(match &self.0 {
            Kind::Keyed(keyed) => keyed.allow_or_tell(ask.key(), ask.cost()),
            Kind::Part(part) => part.allow(ask.key(), ask.cost()),
            Kind::Composite(composite) => composite.allow(ask.key(), ask.cost()),
        })
    }

    /// Asks for many at once, in order, at one reading of the clock: several times as fast as
    /// one [`allow`](Self::allow) after another. A limiter of several asks them one by one.
    ///
    /// ```
    /// use limitpal::{Rate, TokenBucket};
    ///
    /// let limiter = TokenBucket::new(1, Rate::per_second(5.0)?)?;
    /// assert_eq!(vec![true, true, false], limiter.allow_many(["ann", "bob", "ann"]));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn allow_many<'k, A: Into<Ask<'k>>>(&self, asks: impl IntoIterator<Item = A>) -> Vec<bool> {
        let asks = asks.into_iter().map(Into::into);
        match self.view() {
            View::Keyed(keyed) => {
                let of = |ask: Ask<'_>| (sure(keyed.fingerprint(ask.key())), ask.cost());
                sure(keyed.allow_many(&asks.map(of).collect::<Vec<_>>(), |ask| *ask))
            }
            View::Part(part) => {
                let asks: Vec<_> = asks.map(|ask| (ask.key(), ask.cost())).collect();
                sure(part.allow_many(&asks))
            }
            View::Composite(composite) => {
                asks.map(|ask| sure(composite.allow(ask.key(), ask.cost()))).collect()
            }
        }
    }

    /// As [`allow`](Self::allow), with the numbers.
    pub fn check<'k>(&self, ask: impl Into<Ask<'k>>) -> Decision {
        let ask = ask.into();
        sure(match self.view() {
            View::Keyed(keyed) => keyed.check(sure(keyed.fingerprint(ask.key())), ask.cost()),
            View::Part(part) => part.check(ask.key(), ask.cost()),
            View::Composite(composite) => composite.check(ask.key(), ask.cost()),
        })
    }

    /// Says what [`check`](Self::check) would say, without taking and without creating the key.
    pub fn peek<'k>(&self, ask: impl Into<Ask<'k>>) -> Decision {
        let ask = ask.into();
        sure(match &self.0 {
            Kind::Keyed(keyed) => keyed.peek(sure(keyed.fingerprint(ask.key())), ask.cost()),
            Kind::Part(part) => part.peek(ask.key(), ask.cost()),
            Kind::Composite(composite) => composite.peek(ask.key(), ask.cost()),
        })
    }

    /// Waits for the turn, in order of arrival. A dropped future gives its place to the next.
    ///
    /// # Errors
    ///
    /// A cost above the capacity, at once: it would never be served.
    pub fn acquire<'l>(
        &'l self,
        ask: impl Into<Ask<'l>>,
    ) -> impl Future<Output = Result<(), RateLimitExceeded>> + Send {
        Acquire::Asking(self, ask.into(), None)
    }

    /// Waits for the turn, unless that would take longer than `timeout`.
    ///
    /// # Errors
    ///
    /// At once, without waiting and without taking, if it would.
    pub fn acquire_timeout<'l>(
        &'l self,
        ask: impl Into<Ask<'l>>,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), RateLimitExceeded>> + Send {
        Acquire::Asking(self, ask.into(), Some(timeout))
    }

    /// Blocks the thread until the turn comes; otherwise as [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// A cost above the capacity, at once: it would never be served.
    pub fn acquire_blocking<'k>(&self, ask: impl Into<Ask<'k>>) -> Result<(), RateLimitExceeded> {
        self.enter_blocking(ask.into(), None).map(drop)
    }

    /// Blocks the thread; otherwise as [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Errors
    ///
    /// At once, without waiting and without taking, if it would take longer than `timeout`.
    pub fn acquire_timeout_blocking<'k>(
        &self,
        ask: impl Into<Ask<'k>>,
        timeout: Duration,
    ) -> Result<(), RateLimitExceeded> {
        self.enter_blocking(ask.into(), Some(timeout)).map(drop)
    }

    /// Acquires what can be given back; `None` waits as long as it takes.
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    pub async fn acquire_quota<'k>(
        &self,
        ask: impl Into<Ask<'k>>,
        timeout: Option<Duration>,
    ) -> Result<Quota, RateLimitExceeded> {
        let ask = ask.into();
        match self.view() {
            View::Keyed(keyed) => match keyed.reserve(ask, timeout, false) {
                Turn::Now(grant) => Ok(Quota::one(grant, Duration::ZERO)),
                Turn::Refused(retry_after) => Err(RateLimitExceeded::new(retry_after)),
                Turn::Wait(place, _) => keyed.come(place).await,
            },
            // In a box, or who waits for a bucket would be as large as who waits for several.
            View::Part(part) => match sure(part.reserve(ask.key(), request(ask, timeout, false))) {
                Turn::Now(grant) => Ok(Quota::one(grant, Duration::ZERO)),
                Turn::Refused(retry_after) => Err(RateLimitExceeded::new(retry_after)),
                Turn::Wait(place, _) => Box::pin(come_told(part, place, ask, timeout)).await,
            },
            View::Composite(composite) => Box::pin(composite.acquire(ask, timeout)).await,
        }
    }

    /// Blocks the thread; otherwise as [`acquire_quota`](Self::acquire_quota).
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    pub fn acquire_quota_blocking<'k>(
        &self,
        ask: impl Into<Ask<'k>>,
        timeout: Option<Duration>,
    ) -> Result<Quota, RateLimitExceeded> {
        let ask = ask.into();
        match self.view() {
            View::Keyed(keyed) => match keyed.reserve(ask, timeout, !keyed.source().parks()) {
                Turn::Now(grant) => Ok(Quota::one(grant, Duration::ZERO)),
                Turn::Refused(retry_after) => Err(RateLimitExceeded::new(retry_after)),
                Turn::Wait(place, wait) => come_blocking(keyed, place, wait),
            },
            View::Part(part) => {
                let request = request(ask, timeout, !part.source().parks());
                match sure(part.reserve(ask.key(), request)) {
                    Turn::Now(grant) => Ok(Quota::one(grant, Duration::ZERO)),
                    Turn::Refused(retry_after) => Err(RateLimitExceeded::new(retry_after)),
                    Turn::Wait(place, wait) => {
                        let came = come_within_blocking(part, place, (wait, timeout));
                        came.inspect_err(|_| told::gave_up(part, ask.key(), ask.cost()))
                    }
                }
            }
            View::Composite(composite) => composite.acquire_blocking(ask, timeout),
        }
    }

    /// Forgets one key; those who wait for it then go in their order.
    pub fn reset(&self, key: &str) {
        sure(match &self.0 {
            Kind::Keyed(keyed) => keyed.reset(sure(keyed.fingerprint(key))),
            Kind::Part(part) => part.reset(key),
            Kind::Composite(composite) => composite.reset(key),
        });
    }

    /// Forgets all keys; those who wait then go in their order.
    pub fn reset_all(&self) {
        sure(match &self.0 {
            Kind::Keyed(keyed) => keyed.reset_all(),
            Kind::Part(part) => part.reset_all(),
            Kind::Composite(composite) => composite.reset_all(),
        });
    }

    /// Returns the most permits that one key can be admitted in any window of this length, both
    /// ends included: `capacity + rate * window`, rounded down; of a limiter of several, the least.
    ///
    /// It is what the worst caller gets, nearly: a permit due between two nanoseconds goes at the
    /// later one. A reset, and an eviction that `evicted_live` counts, begin a bucket anew, with a
    /// burst that is not counted here.
    ///
    /// ```
    /// use limitpal::TokenBucket;
    /// use std::time::Duration;
    ///
    /// let limiter = TokenBucket::per("100/minute")?.burst(10).build()?;
    /// assert_eq!(10, limiter.bound(Duration::ZERO));
    /// assert_eq!(110, limiter.bound(Duration::from_secs(60)));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn bound(&self, window: Duration) -> u64 {
        match &self.0 {
            Kind::Keyed(keyed) => keyed.bound(window),
            Kind::Part(part) => part.bound(window),
            Kind::Composite(composite) => {
                composite.bound(window).expect("what only holds is no rate limiter")
            }
        }
    }

    /// Returns the clock it reads.
    pub fn clock(&self) -> &SharedClock {
        match &self.0 {
            Kind::Keyed(keyed) => keyed.source(),
            Kind::Part(part) => part.source(),
            Kind::Composite(composite) => composite.source(),
        }
    }
}

impl fmt::Debug for AnyLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Keyed(keyed) => keyed.fmt(f),
            Kind::Part(part) => part.fmt(f),
            Kind::Composite(composite) => composite.fmt(f),
        }
    }
}

impl From<Arc<Keyed<SharedClock>>> for AnyLimiter {
    fn from(keyed: Arc<Keyed<SharedClock>>) -> Self {
        Self(Kind::Keyed(keyed))
    }
}

impl<W: Window> From<Arc<Keyed<SharedClock, W>>> for AnyLimiter {
    fn from(keyed: Arc<Keyed<SharedClock, W>>) -> Self {
        Self(Kind::Part(keyed))
    }
}

/// Unwraps what a clock of Rust's cannot fail with.
fn sure<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}
