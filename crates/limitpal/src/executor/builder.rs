//! Puts an executor together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Light, Parts, Predicate, ResilientExecutor};
use crate::call::{Charge, Ledger, Plan};
use crate::circuit_breaker::{CircuitBreaker, KeyedCircuitBreaker};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::hedge::{Hedge, HedgeCell};
use crate::limiter::{AnyLimiter, Bulkhead, Guarded, HoldingLimiter};
use crate::retry::RetryPolicy;
use crate::retry_budget::RetryBudget;

/// Puts a [`ResilientExecutor`] together, which lists the defaults.
pub struct ResilientExecutorBuilder<E> {
    limiter: Option<AnyLimiter>,
    retry_policy: Option<RetryPolicy<E>>,
    breaker: Option<CircuitBreaker>,
    budget: Option<RetryBudget>,
    breakers: Option<KeyedCircuitBreaker>,
    bulkhead: Option<Bulkhead>,
    clock: Option<SharedClock>,
    charge: Charge,
    acquire_timeout: Option<Duration>,
    timeout: Option<Duration>,
    attempt_timeout: Option<Duration>,
    ignore: Option<Predicate<E>>,
    hedge: Option<Hedge>,
}

impl<E> ResilientExecutorBuilder<E> {
    /// Sets the limiter to take quota from, and to hold: any limiter turns into one.
    #[must_use]
    pub fn limiter(mut self, limiter: impl Into<HoldingLimiter>) -> Self {
        self.limiter = Some(limiter.into().into_inner());
        self
    }

    /// Sets which errors deserve another attempt, and when.
    #[must_use]
    pub fn retry_policy(mut self, policy: RetryPolicy<E>) -> Self {
        self.retry_policy = Some(policy);
        self
    }

    /// Sets the circuit breaker.
    #[must_use]
    pub fn circuit_breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.breaker = Some(breaker);
        self.breakers = None;
        self
    }

    /// Sets a circuit breaker for each key, in place of one for all: that of a run's key is asked.
    #[must_use]
    pub fn circuit_breaker_per_key(mut self, breakers: KeyedCircuitBreaker) -> Self {
        self.breakers = Some(breakers);
        self.breaker = None;
        self
    }

    /// Sets how many runs may be at it at a time, and how many may wait for that; with
    /// [`Charge::Attempt`], how many attempts. Who waits for it goes by the executor's clock.
    #[must_use]
    pub fn bulkhead(mut self, bulkhead: Bulkhead) -> Self {
        self.bulkhead = Some(bulkhead);
        self
    }

    /// Sets how many retries there may be for so many calls; other executors may share it.
    #[must_use]
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Sets when a slow attempt gets another try, in [`run`](ResilientExecutor::run) and
    /// [`run_on_threads`](ResilientExecutor::run_on_threads).
    #[must_use]
    pub fn hedge(mut self, hedge: Hedge) -> Self {
        self.hedge = Some(hedge);
        self
    }

    /// Sets the clock that sleeps between attempts. Limiter and breaker keep their own.
    #[must_use]
    pub fn clock(mut self, clock: impl Into<SharedClock>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// Sets what quota and breaker count.
    #[must_use]
    pub fn charge(mut self, charge: Charge) -> Self {
        self.charge = charge;
        self
    }

    /// Sets how long to wait for quota in the whole run. None at all means refuse, never wait.
    #[must_use]
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = Some(timeout);
        self
    }

    /// Sets how long a run may last, waits and retries included: above 0, 100 years at most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long an attempt may last: above 0, and at most `timeout`.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Sets which errors the breaker counts as neither success nor failure.
    #[must_use]
    pub fn ignore(mut self, ignore: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.ignore = Some(Arc::new(ignore));
        self
    }

    /// Builds the executor.
    ///
    /// # Errors
    ///
    /// A timeout of 0 or above 100 years, an `attempt_timeout` above `timeout`, and a hedge whose
    /// delay is no shorter than these.
    pub fn build(self) -> Result<ResilientExecutor<E>, InvalidConfig> {
        let clock = self.clock.clone().unwrap_or_else(|| self.shared_clock());
        let retry = self.retry_policy.as_ref();
        let timed = retry.is_some_and(|policy| policy.settings().is_timed());
        let hedge = self.hedge.map(|hedge| HedgeCell::new(hedge.settings())).transpose()?;
        let kept = self.budget.is_some() || timed || hedge.is_some() || self.bulkhead.is_some();
        let mut plan = Plan {
            kept,
            hedge: hedge.map(Arc::new),
            budget: self.budget.as_ref().map(|budget| budget.cell().clone()),
            retry: self.retry_policy.as_ref().map(|policy| policy.settings().clone()),
            breaker: self.breaker.as_ref().map(|breaker| breaker.cell().clone()),
            has_limiter: self.limiter.is_some() || self.bulkhead.is_some(),
            charge: self.charge,
            acquire_timeout: self.acquire_timeout,
            ledger: Ledger::default(),
            timeout: None,
            attempt_timeout: None,
            keeps_time: retry.is_some_and(|policy| !policy.hooks().is_empty()),
        };
        plan.kept |= plan.keeps_time;
        plan.set_timeouts(self.timeout, self.attempt_timeout)?;
        let Self { limiter, retry_policy, breaker, breakers, budget, ignore, .. } = self;
        let times_calls = plan.breaker.as_ref().is_some_and(|cell| cell.times_calls());
        let guarded =
            self.bulkhead.map(|bulkhead| Guarded::new(bulkhead, limiter.clone(), clock.clone()));
        let parts = Parts {
            asks_more: plan.kept || breakers.is_some() || times_calls,
            light: Light::of(&plan, breakers.is_some()),
            limiter,
            guarded,
            retry_policy,
            breaker,
            breakers,
            budget,
            clock,
            ignore,
            words: Arc::default(),
            sight: None,
            plan,
        };
        Ok(ResilientExecutor { parts: Arc::new(parts) })
    }

    /// Returns the clock that the parts share, else the monotonic one.
    fn shared_clock(&self) -> SharedClock {
        let limiter = self.limiter.as_ref().map(AnyLimiter::clock);
        let breaker = self.breaker.as_ref().map(CircuitBreaker::clock);
        let breaker = breaker.or(self.breakers.as_ref().map(KeyedCircuitBreaker::clock));
        let budget = self.budget.as_ref().map(RetryBudget::clock);
        // One that was not given has no say: who waits for a place goes by the executor's.
        let was_given = |clock: &&SharedClock| !clock.same(&SharedClock::default());
        let bulkhead = self.bulkhead.as_ref().map(Bulkhead::clock).filter(was_given);
        let mut clocks = [limiter, breaker, budget, bulkhead].into_iter().flatten();
        match clocks.next() {
            Some(clock) if clocks.all(|other| clock.same(other)) => clock.clone(),
            _ => SharedClock::default(),
        }
    }
}

impl<E> Default for ResilientExecutorBuilder<E> {
    fn default() -> Self {
        Self {
            limiter: None,
            retry_policy: None,
            breaker: None,
            budget: None,
            breakers: None,
            bulkhead: None,
            clock: None,
            charge: Charge::default(),
            acquire_timeout: None,
            timeout: None,
            attempt_timeout: None,
            ignore: None,
            hedge: None,
        }
    }
}

impl<E> fmt::Debug for ResilientExecutorBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientExecutorBuilder")
            .field("limiter", &self.limiter)
            .field("retry_policy", &self.retry_policy)
            .field("circuit_breaker", &self.breaker)
            .field("circuit_breaker_per_key", &self.breakers)
            .field("bulkhead", &self.bulkhead)
            .field("clock", &self.clock)
            .field("charge", &self.charge)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("timeout", &self.timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("hedge", &self.hedge)
            .finish_non_exhaustive()
    }
}
