//! Tokio's time, which a test can pause and advance.

use std::time::Duration;

use super::monotonic::since_start;
use super::{Clock, MonotonicClock, Sleep};
use crate::time::Instant;

/// The time of the tokio runtime one is in, paused time included.
///
/// In a test under `#[tokio::test(start_paused = true)]` time jumps to the next timer as soon as
/// every task waits, and `tokio::time::advance` moves it by hand.
///
/// Outside a runtime it reads real time. A blocking sleep is real even when tokio's time is
/// paused; a test of blocking calls takes [`MockClock`](crate::MockClock).
///
/// # Panics
///
/// Its async sleep panics outside a tokio runtime, and inside one without its time driver.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use limitpal::{Clock, TokioClock};
///
/// # tokio::runtime::Builder::new_current_thread()
/// #     .enable_time()
/// #     .start_paused(true)
/// #     .build()
/// #     .unwrap()
/// #     .block_on(async {
/// // in a test marked #[tokio::test(start_paused = true)]
/// let start = TokioClock.now();
/// TokioClock.sleep(Duration::from_secs(3600)).await;
/// assert_eq!(start + Duration::from_secs(3600), TokioClock.now());
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        since_start(tokio::time::Instant::now().into_std())
    }

    fn sleep_blocking(&self, span: Duration) {
        MonotonicClock.sleep_blocking(span);
    }

    fn sleep(&self, span: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(span))
    }
}
