//! The options of a concurrency limiter, checked when it is built.

use std::convert::Infallible;
use std::sync::Arc;

use super::super::keys::{KeyBy, Keys};
use super::{ConcurrencyLimiter, Door, Inner};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::gates::Gates;

/// Builds a [`ConcurrencyLimiter`].
///
/// Defaults: a limit for each key, any number may wait, the monotonic clock.
///
/// ```
/// use limitpal::ConcurrencyLimiter;
///
/// let bulkhead = ConcurrencyLimiter::builder(10).per_key(false).max_waiting(100).build()?;
/// let permit = bulkhead.try_acquire("whoever");
/// assert_eq!(1, bulkhead.in_flight("somebody else"));
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct ConcurrencyLimiterBuilder {
    limit: u32,
    max_waiting: Option<u32>,
    per_key: bool,
    key_by: Option<KeyBy<Infallible>>,
    clock: SharedClock,
}

impl ConcurrencyLimiterBuilder {
    pub(super) fn new(limit: u32) -> Self {
        let clock = SharedClock::default();
        Self { limit, max_waiting: None, per_key: true, key_by: None, clock }
    }

    /// With `false`, one limit for everybody, whatever the key: a bulkhead.
    pub fn per_key(mut self, per_key: bool) -> Self {
        self.per_key = per_key;
        self
    }

    /// Maps the caller's key to the one that is limited: a user to its tenant, say.
    pub fn key_by(mut self, map: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.key_by = Some(Arc::new(move |key| Ok(map(key))));
        self
    }

    /// Refuses at once whoever would wait for a key that so many wait for already; 0 lets nobody
    /// wait.
    pub fn max_waiting(mut self, max_waiting: u32) -> Self {
        self.max_waiting = Some(max_waiting);
        self
    }

    /// Counts timeouts by this clock.
    pub fn clock(mut self, clock: impl Into<SharedClock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Checks the options and makes the limiter.
    ///
    /// # Errors
    ///
    /// A limit of 0.
    pub fn build(self) -> Result<ConcurrencyLimiter, InvalidConfig> {
        let Self { limit, max_waiting, per_key, key_by, clock } = self;
        let gates = Gates::new(limit, max_waiting, !per_key)?;
        let door = Arc::new(Door::new(gates, Keys::new(per_key, key_by)));
        Ok(ConcurrencyLimiter(Arc::new(Inner { door, clock })))
    }
}

impl std::fmt::Debug for ConcurrencyLimiterBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConcurrencyLimiterBuilder")
            .field("limit", &self.limit)
            .field("max_waiting", &self.max_waiting)
            .field("per_key", &self.per_key)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
