//! Who wants to hear what happens to a circuit breaker, as one value for each event.

use std::sync::Arc;

use super::{CircuitBreaker, KeyedCircuitBreaker};
use crate::teller::{Event, Observer, Subscription, Teller};

impl CircuitBreaker {
    /// Calls `observer` with each [`Event`] from now on: [`Event::BreakerMoved`],
    /// [`Event::BreakerRefused`] and [`Event::BreakerFailed`]. A move says why: by which rule, or by
    /// whom. Successes are not told of: a healthy
    /// circuit does not hear of them.
    ///
    /// It is called as that of a limiter ([`AnyLimiter::observe`](crate::AnyLimiter::observe)): in the
    /// thread or task whose call it tells of, under no lock, and its panic ends in it. Moves are told
    /// in their order, by one thread at a time.
    ///
    /// ```
    /// use limitpal::{CircuitBreaker, CircuitState, Event, MockClock};
    /// use std::sync::mpsc;
    ///
    /// let builder = CircuitBreaker::builder().failure_threshold(1).clock(MockClock::new());
    /// let breaker = builder.build()?;
    /// let (events, heard) = mpsc::sync_channel(1000);
    /// let subscription = breaker.observe(move |event| {
    ///     let _full = events.try_send(event.clone());
    /// });
    /// breaker.record_failure();
    /// assert!(!breaker.allow());
    /// subscription.close();
    ///
    /// let heard: Vec<_> = heard.try_iter().collect();
    /// assert!(matches!(heard[0], Event::BreakerMoved { to: CircuitState::Open, .. }));
    /// assert!(matches!(heard[1], Event::BreakerFailed { .. }));
    /// assert!(matches!(heard[2], Event::BreakerRefused { .. }));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn observe(&self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Subscription {
        // It shares its callbacks with other keys where there are some; these are about its own.
        let own = Arc::downgrade(&self.cell);
        let about_own = move |event: &Event| {
            if own.upgrade().is_some_and(|cell| cell.is_about(event)) {
                observer(event);
            }
        };
        listen(self.cell.teller(), Arc::new(about_own))
    }
}

impl KeyedCircuitBreaker {
    /// Calls `observer` with each event of each key from now on, as [`CircuitBreaker::observe`] does.
    pub fn observe(&self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Subscription {
        listen(self.table().teller(), Arc::new(observer))
    }
}

fn listen(teller: &Teller, observer: Observer) -> Subscription {
    teller.observe(1.0, observer, 0).expect("all of it is a share")
}
