//! The clock of every day: it only goes forward, and its sleeps are real.

use std::sync::OnceLock;
use std::time::Duration;

use super::{Clock, Sleep};
use crate::time::Instant;

/// Zero of the real clocks: when this process first asked for the time.
static START: OnceLock<std::time::Instant> = OnceLock::new();

/// Real time, which never steps back. The default clock everywhere.
///
/// Its async sleep works on any executor: inside a tokio runtime it uses tokio's own timer,
/// elsewhere a small timer thread. A runtime built by hand needs its time driver
/// (`Builder::enable_time` or `enable_all`); tokio panics without it.
///
/// ```
/// use std::time::Duration;
///
/// use limitpal::{Clock, MonotonicClock};
///
/// let start = MonotonicClock.now();
/// MonotonicClock.sleep_blocking(Duration::from_millis(1));
/// assert!(MonotonicClock.now() >= start + Duration::from_millis(1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonotonicClock;

impl Clock for MonotonicClock {
    #[inline]
    fn now(&self) -> Instant {
        #[cfg(all(target_arch = "x86_64", target_os = "linux", not(loom)))]
        if let Some(now) = super::counter::now() {
            return now;
        }
        system_now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    fn sleep_blocking(&self, span: Duration) {
        std::thread::sleep(span);
    }

    fn sleep(&self, span: Duration) -> Sleep {
        #[cfg(feature = "tokio")]
        if tokio::runtime::Handle::try_current().is_ok() {
            return Box::pin(tokio::time::sleep(span));
        }
        Box::pin(futures_timer::Delay::new(span))
    }
}

/// Reads the system's clock.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
pub(super) fn system_now() -> Instant {
    since_start(std::time::Instant::now())
}

/// Returns a reading of the system's clock as ours.
#[inline]
pub(super) fn since_start(reading: std::time::Instant) -> Instant {
    since(*START.get_or_init(|| reading), reading)
}

/// Returns the time from `start` to `reading`, negative for one before it.
#[inline]
fn since(start: std::time::Instant, reading: std::time::Instant) -> Instant {
    match reading.checked_duration_since(start) {
        Some(after) => Instant::ZERO.saturating_add(after),
        None => Instant::ZERO.saturating_sub(start.saturating_duration_since(reading)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    fn a_reading_before_the_start_is_negative() {
        // The first to ask may be a tokio runtime whose time was advanced by an hour.
        let (now, hour) = (std::time::Instant::now(), Duration::from_secs(3600));

        assert_eq!(Instant::ZERO + hour, since(now, now + hour));
        assert_eq!(Instant::ZERO.saturating_sub(hour), since(now + hour, now));
    }
}
