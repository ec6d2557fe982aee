//! How long to wait before another attempt: exponential, jittered, capped.

use std::time::Duration;

/// Delays that grow by a factor up to a cap, in seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Backoff {
    /// The delay after the first attempt.
    pub(crate) base: f64,
    /// What each delay is multiplied by to give the next.
    pub(crate) factor: f64,
    /// The longest delay.
    pub(crate) cap: f64,
    /// How far a delay may stray, as a share of it.
    pub(crate) jitter: f64,
}

impl Backoff {
    /// Returns the seconds to wait after attempt `n`, counted from 1:
    /// `min(cap, base * factor^(n-1))`, then `* U(1-jitter, 1+jitter)`, then capped again.
    ///
    /// `unit` is asked for a number from 0 to 1 when there is jitter. Nothing overflows: a power
    /// too large for a float is the cap, and no delay at all stays none.
    pub(crate) fn delay(self, n: u32, unit: impl FnOnce() -> f64) -> f64 {
        if self.base == 0.0 {
            return 0.0;
        }
        let delay = self.cap.min(self.base * self.factor.powf(f64::from(n.saturating_sub(1))));
        if self.jitter == 0.0 {
            return delay;
        }
        let spread = 1.0 - self.jitter + 2.0 * self.jitter * unit();
        self.cap.min(delay * spread)
    }
}

/// Returns seconds that are not negative as a duration, the longest one if they are too many.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Returns a duration in seconds, never rounded up: a float cannot name every long one.
pub(crate) fn seconds(span: Duration) -> f64 {
    let seconds = span.as_secs_f64();
    if duration(seconds) > span { seconds.next_down() } else { seconds }
}
