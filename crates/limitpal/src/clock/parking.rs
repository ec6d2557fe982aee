//! A blocking sleep that another thread can end.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use super::{Clock, Kind, MockClock, MonotonicClock, SharedClock, Sleep};
use crate::sync::thread::{self, Thread};
use crate::time::{Instant, nanos};

/// Returns a waker that ends the present thread's sleep.
pub(crate) fn unparker() -> Waker {
    Waker::from(Arc::new(Parked(thread::current())))
}

/// Wakes a parked thread.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl SharedClock {
    /// Returns whether [`park`](Self::park) sleeps by this clock.
    pub(crate) fn parks(&self) -> bool {
        matches!(self.0, Kind::Monotonic)
    }

    /// Sleeps until the span is over or the thread is unparked, whichever comes first.
    #[expect(clippy::disallowed_methods, reason = "this is where the monotonic clock sleeps")]
    pub(crate) fn park(&self, span: Duration) {
        std::thread::park_timeout(span);
    }

    /// Sets an alarm for a thread that parks: after so long from now, or never.
    pub(crate) fn alarm(&self, span: Option<Duration>) -> Alarm {
        let Some(span) = span else { return Alarm::Never };
        match &self.0 {
            Kind::Monotonic => Alarm::Real(MonotonicClock.now() + span),
            Kind::Mock(clock) => Alarm::Mock(clock.clone(), span),
            // As a blocking sleep of tokio's is: real even where its time is paused.
            #[cfg(feature = "tokio")]
            Kind::Tokio => Alarm::Real(MonotonicClock.now() + span),
            // A clock of the user's may count in what is no longer than 292 years.
            Kind::Custom(clock) => {
                Alarm::Own(clock.sleep(Duration::from_nanos(nanos(span).unsigned_abs())))
            }
        }
    }
}

/// A clock whose sleeps need no runtime: they are real, as blocking ones are.
#[derive(Debug)]
pub(super) struct OffRuntime(pub(super) SharedClock);

impl Clock for OffRuntime {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_blocking(&self, span: Duration) {
        self.0.sleep_blocking(span);
    }

    fn sleep(&self, span: Duration) -> Sleep {
        Box::pin(futures_timer::Delay::new(span))
    }
}

/// When a parked thread stops waiting.
pub(crate) enum Alarm {
    Never,
    Real(Instant),
    /// Nobody waits by a mock clock that a thread sleeps on: it moves, and the alarm rings.
    Mock(MockClock, Duration),
    /// Its blocking sleep could not be ended, and this one can.
    Own(Sleep),
}

impl Alarm {
    /// Parks the thread whose [`unparker`] this is; returns whether the alarm has rung. It may
    /// return for no reason, as every park does.
    #[expect(clippy::disallowed_methods, reason = "this is where the monotonic clock sleeps")]
    pub(crate) fn park(&mut self, unparker: &Waker) -> bool {
        match self {
            Self::Never => thread::park(),
            Self::Real(due) => {
                let left = due.saturating_duration_since(MonotonicClock.now());
                if left.is_zero() {
                    return true;
                }
                std::thread::park_timeout(left);
            }
            Self::Mock(clock, span) => {
                clock.sleep_blocking(*span);
                return true;
            }
            Self::Own(sleep) => {
                if sleep.as_mut().poll(&mut Context::from_waker(unparker)).is_ready() {
                    return true;
                }
                thread::park();
            }
        }
        false
    }
}
