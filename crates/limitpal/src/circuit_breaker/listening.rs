//! Callbacks of one circuit breaker: added and removed while it is in use.

use super::CircuitBreaker;
use super::callbacks::{BreakerEvent, CallbackId, EventKind};
use crate::breaker::CircuitState;
use crate::refusal::CircuitBreakerOpen;

/// Callbacks run on the thread of the call that made something happen, outside every lock, so they
/// may use the breaker. A panic in one is printed as any is, and changes nothing else.
impl CircuitBreaker {
    /// Calls back whenever the state has changed, with the one before and the one after: one
    /// change at a time, in the order they happened. One that time alone makes is told when
    /// somebody next uses the breaker.
    ///
    /// ```
    /// use limitpal::{CircuitBreaker, MockClock};
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    ///
    /// let clock = MockClock::new();
    /// let breaker = CircuitBreaker::builder().failure_threshold(1).clock(clock.clone()).build()?;
    /// let heard = Arc::new(Mutex::new(Vec::new()));
    /// let log = heard.clone();
    /// let id = breaker.on_transition(move |from, to| {
    ///     log.lock().unwrap().push(format!("{from} -> {to}"));
    /// });
    ///
    /// breaker.record_failure();
    /// clock.advance(Duration::from_secs(5));
    /// breaker.record_success();
    /// let expected = ["closed -> open", "open -> half_open", "half_open -> closed"];
    /// assert_eq!(expected, heard.lock().unwrap()[..]);
    ///
    /// assert!(breaker.remove_callback(id));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn on_transition(
        &self,
        callback: impl Fn(CircuitState, CircuitState) + Send + Sync + 'static,
    ) -> CallbackId {
        self.listen(EventKind::Transition, move |event| {
            if let BreakerEvent::Transition(from, to, _) = event {
                callback(from, to);
            }
        })
    }

    /// Calls back for each success that counts. While it is there, successes of a healthy circuit
    /// take the lock and read the clock.
    pub fn on_success(&self, callback: impl Fn() + Send + Sync + 'static) -> CallbackId {
        self.listen(EventKind::Success, move |_| callback())
    }

    /// Calls back for each failure that counts.
    pub fn on_failure(&self, callback: impl Fn() + Send + Sync + 'static) -> CallbackId {
        self.listen(EventKind::Failure, move |_| callback())
    }

    /// Calls back for each call that is refused; in shadow, that would be.
    pub fn on_refused(
        &self,
        callback: impl Fn(CircuitBreakerOpen) + Send + Sync + 'static,
    ) -> CallbackId {
        self.listen(EventKind::Refused, move |event| {
            if let BreakerEvent::Refused(refusal) = event {
                callback(refusal);
            }
        })
    }

    /// Removes a callback, and returns whether it was there. One that is running ends first.
    pub fn remove_callback(&self, id: CallbackId) -> bool {
        self.cell.remove_callback(id)
    }

    fn listen(
        &self,
        kind: EventKind,
        callback: impl Fn(BreakerEvent) + Send + Sync + 'static,
    ) -> CallbackId {
        self.cell.listen(kind, move |_, event| callback(event))
    }
}
