//! A blocking sleep that another thread can end.

use std::time::Duration;

use super::{Kind, SharedClock};

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
}
