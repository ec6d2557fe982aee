//! A circuit breaker for each key, and no more of them than allowed.

mod snapshot;
mod table;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

pub use self::table::BreakerTable;
use super::callbacks::{BreakerEvent, CallbackId, EventKind};
use super::{BreakerError, CircuitBreaker};
use crate::breaker::CircuitState;
use crate::clock::{SharedClock, TimeSource};
use crate::refusal::CircuitBreakerOpen;
use crate::time::Instant;

/// A circuit breaker for each key: a host, a tenant, a shard. One that fails stops nobody else.
///
/// Made by [`CircuitBreakerBuilder::build_keyed`](crate::CircuitBreakerBuilder::build_keyed) with
/// the options of a [`CircuitBreaker`]. At most `max_breakers` are remembered, however many keys
/// there are. A newcomer takes the place of one that is as new, the least recently used first:
/// that loses nothing. Where none is, it takes that of a closed one, then of a half-open one, and
/// only then of an open one; one that somebody holds, or that a call is in, goes last of all. Up
/// to 1,024 breakers the choice is exact, beyond them the best of 256 is taken.
///
/// It is a handle: a clone shares all of it.
///
/// ```
/// use limitpal::{CircuitBreaker, CircuitState};
///
/// let breakers = CircuitBreaker::builder().failure_threshold(1).build_keyed(Some(10_000))?;
/// breakers.record_failure("eu.example.com");
/// assert!(!breakers.allow("eu.example.com"));
/// assert!(breakers.allow("us.example.com"));
///
/// let eu = breakers.get("eu.example.com");
/// assert_eq!(CircuitState::Open, eu.state());
/// eu.reset();
/// assert_eq!(Ok(7), breakers.call_blocking("eu.example.com", || Ok::<_, String>(7)));
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct KeyedCircuitBreaker {
    table: Arc<BreakerTable>,
    clock: SharedClock,
}

impl KeyedCircuitBreaker {
    pub(super) fn new(table: BreakerTable, clock: SharedClock) -> Self {
        Self { table: Arc::new(table), clock }
    }

    /// Returns the breaker of a key, closed if there is none yet. It stays the key's own as long
    /// as it is held.
    pub fn get(&self, key: &str) -> CircuitBreaker {
        let Ok(cell) = self.table.cell(key, || self.now());
        CircuitBreaker { cell, clock: self.clock.clone() }
    }

    /// Returns whether a call of this key may go, as [`CircuitBreaker::allow`] does.
    pub fn allow(&self, key: &str) -> bool {
        self.get(key).allow()
    }

    /// Hears that a call of this key succeeded.
    pub fn record_success(&self, key: &str) {
        self.get(key).record_success();
    }

    /// Hears that a call of this key failed.
    pub fn record_failure(&self, key: &str) {
        self.get(key).record_failure();
    }

    /// Returns the state of a key's circuit. A key that is not remembered is closed, and is not
    /// remembered for being asked.
    pub fn state(&self, key: &str) -> CircuitState {
        match self.table.known(key) {
            None => CircuitState::Closed,
            Some(cell) => {
                let Ok(state) = cell.state(|| self.now());
                state
            }
        }
    }

    /// Closes the circuit of a key and forgets its counts.
    pub fn reset(&self, key: &str) {
        if let Some(cell) = self.table.known(key) {
            cell.reset();
        }
    }

    /// Calls `function` if the key's circuit lets it, as
    /// [`CircuitBreaker::call_blocking`] does.
    ///
    /// # Errors
    ///
    /// The function's own, or that the circuit is open.
    pub fn call_blocking<T, E: 'static>(
        &self,
        key: &str,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, BreakerError<E>> {
        self.get(key).call_blocking(function)
    }

    /// As [`call_blocking`](Self::call_blocking), for a function that returns a future.
    ///
    /// # Errors
    ///
    /// The function's own, or that the circuit is open.
    pub async fn call<T, E, F, Answer>(&self, key: &str, function: F) -> Result<T, BreakerError<E>>
    where
        E: 'static,
        F: FnOnce() -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        self.get(key).call(function).await
    }

    /// Returns how many keys are remembered.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether a key is remembered.
    pub fn contains(&self, key: &str) -> bool {
        self.table.known(key).is_some()
    }

    /// Calls back whenever a key's state has changed, as [`CircuitBreaker::on_transition`] does:
    /// with the key, the state before and the one after.
    pub fn on_transition(
        &self,
        callback: impl Fn(&str, CircuitState, CircuitState) + Send + Sync + 'static,
    ) -> CallbackId {
        self.table.listen(EventKind::Transition, move |key, event| {
            if let BreakerEvent::Transition(from, to, _) = event {
                callback(key, from, to);
            }
        })
    }

    /// Calls back with the key for each success that counts.
    pub fn on_success(&self, callback: impl Fn(&str) + Send + Sync + 'static) -> CallbackId {
        self.table.listen(EventKind::Success, move |key, _| callback(key))
    }

    /// Calls back with the key for each failure that counts.
    pub fn on_failure(&self, callback: impl Fn(&str) + Send + Sync + 'static) -> CallbackId {
        self.table.listen(EventKind::Failure, move |key, _| callback(key))
    }

    /// Calls back with the key for each call that is refused; in shadow, that would be.
    pub fn on_refused(
        &self,
        callback: impl Fn(&str, CircuitBreakerOpen) + Send + Sync + 'static,
    ) -> CallbackId {
        self.table.listen(EventKind::Refused, move |key, event| {
            if let BreakerEvent::Refused(refusal) = event {
                callback(key, refusal);
            }
        })
    }

    /// Removes a callback, and returns whether it was there.
    pub fn remove_callback(&self, id: CallbackId) -> bool {
        self.table.remove_callback(id)
    }

    pub(crate) fn table(&self) -> &BreakerTable {
        &self.table
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(crate) fn now(&self) -> Result<Instant, Infallible> {
        TimeSource::now(&self.clock)
    }
}

impl fmt::Debug for KeyedCircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("KeyedCircuitBreaker");
        self.table.settings().show(&mut debug);
        debug.field("max_breakers", &self.table.max_breakers());
        debug.field("clock", &self.clock).field("len", &self.len()).finish()
    }
}
