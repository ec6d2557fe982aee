//! Puts a circuit breaker together.

use std::sync::Arc;
use std::time::Duration;

use super::{BreakerCell, BreakerTable, CircuitBreaker, KeyedCircuitBreaker};
use crate::breaker::{BreakerOptions, BreakerSettings, TripRule};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;

/// Puts a [`CircuitBreaker`] together, which lists the defaults.
#[derive(Clone, Default, Debug)]
pub struct CircuitBreakerBuilder {
    options: BreakerOptions,
    clock: SharedClock,
}

impl CircuitBreakerBuilder {
    /// Sets how many failures in a row open the circuit: at least 1. Where
    /// [`trip_on`](Self::trip_on) says when it trips, this is left out.
    #[must_use]
    pub fn failure_threshold(mut self, failure_threshold: u32) -> Self {
        self.options.failure_threshold = Some(failure_threshold);
        self
    }

    /// Adds a rule; any of those that were added opens the circuit.
    ///
    /// ```
    /// use limitpal::{CircuitBreaker, ConsecutiveFailures, FailureRate};
    /// use std::time::Duration;
    ///
    /// let breaker = CircuitBreaker::builder()
    ///     .trip_on(ConsecutiveFailures::new(10))
    ///     .trip_on(FailureRate::new(0.5).window(Duration::from_secs(60)).minimum_calls(20))
    ///     .build()?;
    /// # let _: CircuitBreaker = breaker;
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn trip_on(mut self, rule: impl Into<TripRule>) -> Self {
        self.options.trip_on.push(rule.into());
        self
    }

    /// Sets how long the circuit stays open, and how long a half-open call's permit lasts.
    #[must_use]
    pub fn recovery_timeout(mut self, recovery_timeout: Duration) -> Self {
        self.options.recovery_timeout = recovery_timeout;
        self
    }

    /// Sets what the time that it stays open is multiplied by with each trip: at least 1. After a
    /// full recovery, the ramp included, it is the first one again.
    #[must_use]
    pub fn recovery_backoff(mut self, recovery_backoff: f64) -> Self {
        self.options.recovery_backoff = recovery_backoff;
        self
    }

    /// Sets the longest time that it stays open, jitter included: at least `recovery_timeout`.
    #[must_use]
    pub fn max_recovery_timeout(mut self, max_recovery_timeout: Duration) -> Self {
        self.options.max_recovery_timeout = Some(max_recovery_timeout);
        self
    }

    /// Sets how far the time that it stays open may stray, as a share of it: from 0 to 1. So many
    /// clients do not all come back at once.
    #[must_use]
    pub fn recovery_jitter(mut self, recovery_jitter: f64) -> Self {
        self.options.recovery_jitter = recovery_jitter;
        self
    }

    /// Makes the jitter repeatable.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Sets how many successes close the half-open circuit, and how many calls may then be out at
    /// a time: at least 1.
    #[must_use]
    pub fn half_open_success_threshold(mut self, half_open_success_threshold: u32) -> Self {
        self.options.half_open_success_threshold = half_open_success_threshold;
        self
    }

    /// Sets the longest time in half-open, from the first call that is let out: if the circuit has
    /// not closed by then it opens again. Without calls it waits for one.
    #[must_use]
    pub fn half_open_timeout(mut self, half_open_timeout: Duration) -> Self {
        self.options.half_open_timeout = Some(half_open_timeout);
        self
    }

    /// Sets which shares of the calls are admitted after recovery, one after the other: growing,
    /// above 0 and below 1. They are counted: at 0.25 every fourth call goes.
    #[must_use]
    pub fn ramp(mut self, shares: impl Into<Vec<f64>>) -> Self {
        self.options.ramp = shares.into();
        self
    }

    /// Sets how long each share lasts.
    #[must_use]
    pub fn ramp_step(mut self, ramp_step: Duration) -> Self {
        self.options.ramp_step = Some(ramp_step);
        self
    }

    /// Counts each success, for [`stats`](CircuitBreaker::stats), also while the circuit is healthy
    /// and nothing hangs on it; that costs an addition that threads share. Where a rule looks at a
    /// share of calls all are counted in any case.
    #[must_use]
    pub fn count_successes(mut self, count_successes: bool) -> Self {
        self.options.count_successes = count_successes;
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Into<SharedClock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Builds the breaker, closed.
    ///
    /// # Errors
    ///
    /// A number outside its range, or options that contradict each other.
    pub fn build(self) -> Result<CircuitBreaker, InvalidConfig> {
        let settings = BreakerSettings::checked(self.options)?;
        Ok(CircuitBreaker { cell: Arc::new(BreakerCell::new(settings)), clock: self.clock })
    }

    /// Builds a breaker for each key, of which at most `max_breakers` are remembered: at least 1,
    /// or none for as many as there are keys.
    ///
    /// # Errors
    ///
    /// A number outside its range, or options that contradict each other.
    pub fn build_keyed(
        self,
        max_breakers: Option<usize>,
    ) -> Result<KeyedCircuitBreaker, InvalidConfig> {
        let settings = BreakerSettings::checked(self.options)?;
        let table = BreakerTable::new(settings, max_breakers)?;
        Ok(KeyedCircuitBreaker::new(table, self.clock))
    }
}
