//! Who tells the time and who sleeps: nothing else in this crate does either.

#[cfg(all(target_arch = "x86_64", target_os = "linux", any(test, not(loom))))]
mod counter;
mod deadline;
mod mock;
mod monotonic;
mod parking;
#[cfg(feature = "tokio")]
mod tokio;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use self::deadline::Deadline;
pub use self::mock::MockClock;
pub use self::monotonic::MonotonicClock;
use self::parking::OffRuntime;
pub(crate) use self::parking::unparker;
#[cfg(feature = "tokio")]
pub use self::tokio::TokioClock;
use crate::time::Instant;

/// A future that is ready when a sleep is over. Dropping it ends the sleep.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of time, of your own if you like.
///
/// Two readings of one clock can be compared; readings of two clocks cannot. A clock that steps
/// back is borne: a limiter admits at most one burst more and locks nobody out.
///
/// # Examples
///
/// A clock that runs twice as fast as its neighbour:
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use limitpal::{Clock, Instant, MonotonicClock, SharedClock, Sleep};
///
/// #[derive(Debug)]
/// struct Hasty;
///
/// impl Clock for Hasty {
///     fn now(&self) -> Instant {
///         Instant::from_nanos(MonotonicClock.now().as_nanos() * 2)
///     }
///
///     fn sleep_blocking(&self, span: Duration) {
///         MonotonicClock.sleep_blocking(span / 2);
///     }
///
///     fn sleep(&self, span: Duration) -> Sleep {
///         MonotonicClock.sleep(span / 2)
///     }
/// }
///
/// let clock = SharedClock::from(Arc::new(Hasty) as Arc<dyn Clock>);
/// let start = clock.now();
/// clock.sleep_blocking(Duration::from_millis(2));
/// assert!(clock.now() >= start + Duration::from_millis(2));
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the time since this clock's own zero.
    fn now(&self) -> Instant;

    /// Blocks the calling thread for `span`.
    fn sleep_blocking(&self, span: Duration);

    /// Returns a future that is ready after `span`, counted from this call.
    fn sleep(&self, span: Duration) -> Sleep;
}

/// A handle to a clock that limiters, breakers and executors share. Cloning shares the clock.
///
/// The default is [`MonotonicClock`].
///
/// ```
/// use std::time::Duration;
///
/// use limitpal::{MockClock, SharedClock};
///
/// let mock = MockClock::new();
/// let clock = SharedClock::from(mock.clone());
/// let start = clock.now();
/// mock.advance(Duration::from_secs(3));
/// assert_eq!(start + Duration::from_secs(3), clock.now());
/// ```
#[derive(Clone, Debug, Default)]
pub struct SharedClock(Kind);

/// The built-in clocks by name, so that reading one is no virtual call.
#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    Monotonic,
    Mock(MockClock),
    #[cfg(feature = "tokio")]
    Tokio,
    Custom(Arc<dyn Clock>),
}

impl SharedClock {
    /// Returns the time since the clock's own zero.
    ///
    /// A [`MockClock`] that was set back stands still here until it is moved forward again.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Kind::Monotonic => MonotonicClock.now(),
            Kind::Mock(clock) => clock.steady(),
            #[cfg(feature = "tokio")]
            Kind::Tokio => TokioClock.now(),
            Kind::Custom(clock) => clock.now(),
        }
    }

    /// Blocks the calling thread for `span`; see the clock it stands for.
    pub fn sleep_blocking(&self, span: Duration) {
        match &self.0 {
            Kind::Monotonic => MonotonicClock.sleep_blocking(span),
            Kind::Mock(clock) => clock.sleep_blocking(span),
            #[cfg(feature = "tokio")]
            Kind::Tokio => TokioClock.sleep_blocking(span),
            Kind::Custom(clock) => clock.sleep_blocking(span),
        }
    }

    /// Returns a future that is ready after `span`; see the clock it stands for.
    pub fn sleep(&self, span: Duration) -> Sleep {
        match &self.0 {
            Kind::Monotonic => MonotonicClock.sleep(span),
            Kind::Mock(clock) => clock.sleep(span),
            #[cfg(feature = "tokio")]
            Kind::Tokio => TokioClock.sleep(span),
            Kind::Custom(clock) => clock.sleep(span),
        }
    }

    /// Returns a future that is ready at `due`, which was `wait` away when the clock was read. The
    /// time since then counts where it can be told: on a clock that never steps back.
    pub(crate) fn sleep_until(&self, due: Instant, wait: Duration) -> Sleep {
        match &self.0 {
            Kind::Monotonic => MonotonicClock.sleep(due.saturating_duration_since(self.now())),
            Kind::Mock(clock) => clock.sleep_until(due),
            #[cfg(feature = "tokio")]
            Kind::Tokio => TokioClock.sleep(wait),
            Kind::Custom(clock) => clock.sleep(wait),
        }
    }

    /// Returns a clock that reads the same, and whose sleeps end also where the thread blocks that
    /// drives an async runtime.
    pub(crate) fn off_runtime(&self) -> Self {
        match &self.0 {
            Kind::Mock(_) | Kind::Custom(_) => self.clone(),
            Kind::Monotonic => Self(Kind::Custom(Arc::new(OffRuntime(self.clone())))),
            #[cfg(feature = "tokio")]
            Kind::Tokio => Self(Kind::Custom(Arc::new(OffRuntime(self.clone())))),
        }
    }

    /// Returns whether both are handles to one clock, so that their readings can be compared.
    pub fn same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Monotonic, Kind::Monotonic) => true,
            (Kind::Mock(one), Kind::Mock(another)) => one.same(another),
            #[cfg(feature = "tokio")]
            (Kind::Tokio, Kind::Tokio) => true,
            (Kind::Custom(one), Kind::Custom(another)) => Arc::ptr_eq(one, another),
            _ => false,
        }
    }

    /// Returns whether this is a [`MockClock`].
    pub fn is_mock(&self) -> bool {
        matches!(self.0, Kind::Mock(_))
    }

    /// Returns whether a sleep of this clock ends when its future is dropped, so that somebody who
    /// waits can be told to sleep anew. Of a clock of the user's own nothing is known.
    pub fn moves_sleepers(&self) -> bool {
        !matches!(self.0, Kind::Custom(_))
    }
}

impl From<MonotonicClock> for SharedClock {
    fn from(_: MonotonicClock) -> Self {
        Self(Kind::Monotonic)
    }
}

impl From<MockClock> for SharedClock {
    fn from(clock: MockClock) -> Self {
        Self(Kind::Mock(clock))
    }
}

impl From<&MockClock> for SharedClock {
    fn from(clock: &MockClock) -> Self {
        clock.clone().into()
    }
}

#[cfg(feature = "tokio")]
impl From<TokioClock> for SharedClock {
    fn from(_: TokioClock) -> Self {
        Self(Kind::Tokio)
    }
}

impl From<Arc<dyn Clock>> for SharedClock {
    fn from(clock: Arc<dyn Clock>) -> Self {
        Self(Kind::Custom(clock))
    }
}

/// Where a limiter or breaker reads the time; the Python glue has one that can fail.
#[doc(hidden)]
pub trait TimeSource: fmt::Debug + Send + Sync + 'static {
    /// What a reading can fail with.
    type Error;

    /// Returns whether no reading is older than one before it.
    fn is_steady(&self) -> bool;

    /// Reads the clock.
    ///
    /// # Errors
    ///
    /// Whatever the clock fails with.
    fn now(&self) -> Result<Instant, Self::Error>;
}

impl TimeSource for SharedClock {
    type Error = Infallible;

    fn is_steady(&self) -> bool {
        matches!(self.0, Kind::Monotonic | Kind::Mock(_))
    }

    #[inline]
    fn now(&self) -> Result<Instant, Infallible> {
        Ok(Self::now(self))
    }
}
