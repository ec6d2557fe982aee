//! When something has to be over, on whichever clock it was set.

use std::time::Duration;

use super::SharedClock;
use crate::time::Instant;

/// When something has to be over, by the clock on which it was set.
///
/// ```
/// use limitpal::{Deadline, MockClock};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let deadline = Deadline::after(Duration::from_secs(3), clock.clone());
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(Duration::from_secs(1), deadline.remaining());
/// ```
#[derive(Clone, Debug)]
pub struct Deadline {
    at: Instant,
    clock: SharedClock,
}

impl Deadline {
    /// Sets a deadline at a reading of a clock.
    pub fn at(at: Instant, clock: impl Into<SharedClock>) -> Self {
        Self { at, clock: clock.into() }
    }

    /// Sets a deadline so long from now.
    pub fn after(span: Duration, clock: impl Into<SharedClock>) -> Self {
        let clock = clock.into();
        Self { at: clock.now() + span, clock }
    }

    /// Returns how much time is left, zero if it is over.
    pub fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(self.clock.now())
    }

    /// Returns it as a reading of another clock.
    pub(crate) fn on(&self, clock: &SharedClock) -> Instant {
        if self.clock.same(clock) { self.at } else { clock.now() + self.remaining() }
    }
}
