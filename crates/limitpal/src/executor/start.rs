//! How a run starts of which little is to be known before its first attempt fails.

use std::time::Duration;

use super::Parts;
use super::error::{Last, RunError};
use crate::call::{Call, Clocks, Plan, Stop};
use crate::circuit_breaker::{Outcome, Permit};
use crate::limiter::{CompositePermit, Denied, Inside};
use crate::refusal::CircuitBreakerOpen;
use crate::time::Instant;

/// What such a run needs of its plan: all that is to be known of it is when it began and where it
/// is inside, and that only once its first attempt has ended.
pub(super) struct Light {
    /// Whether it matters when a run began.
    is_timed: bool,
    /// How long the first attempt may last.
    attempt: Option<Duration>,
    /// How long to wait for quota, which is of no use once the run's time is over.
    pub(super) patience: Option<Duration>,
}

/// What a run has as its first attempt begins.
pub(super) struct Start<'p> {
    permit: Option<Permit>,
    began: Option<Instant>,
    ends: Option<Instant>,
    pub(super) inside: Option<Inside<'p>>,
}

/// What a breaker lends a run.
pub(super) enum Lent {
    /// What calls share while the circuit is closed, and nobody misses; or there is no breaker.
    Shared(Option<Permit>),
    /// What it gives back, or of which it has to say when it began.
    Own(Permit),
}

/// What is known of quota, and of a place in the bulkhead, for the first attempt.
#[derive(Default)]
pub(super) enum Entry<T> {
    /// Nobody was asked yet.
    #[default]
    NotAsked,
    /// Bulkhead and limiter were asked one by one: they are to be waited for as one.
    Asked,
    /// This is what the limiter says.
    Known(T),
}

impl Light {
    /// Returns what runs through a plan need, if that is all.
    pub(super) fn of(plan: &Plan, is_per_key: bool) -> Option<Self> {
        if plan.hedge.is_some() || plan.keeps_time || is_per_key {
            return None;
        }
        let left = plan.timeout.map(|timeout| timeout - Duration::from_nanos(1));
        Some(Self {
            is_timed: plan.is_timed(),
            attempt: plan.attempt_timeout.or(plan.timeout),
            patience: plan.acquire_timeout.into_iter().chain(left).min(),
        })
    }
}

impl Start<'_> {
    /// Returns when the time of the first attempt is over.
    #[inline]
    pub(super) fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// Goes on as a run that is to acquire quota.
    pub(super) fn admitted<'p>(&self, plan: &'p Plan) -> Call<&'p Plan> {
        Call::admitted(plan, self.permit).since(self.began)
    }

    /// Goes on as a run whose first attempt has ended, of which the call has not heard.
    fn begun<'p>(&self, plan: &'p Plan) -> Call<&'p Plan> {
        Call::begun(plan, self.permit).since(self.began)
    }

    /// Returns what the run holds from now on.
    pub(super) fn keep(self) -> CompositePermit {
        self.inside.map(Inside::keep).map(CompositePermit::from).unwrap_or_default()
    }
}

impl<E> Parts<E> {
    /// Asks the breaker that all runs share, if there is one.
    #[inline(never)]
    pub(super) fn admit(&self) -> Result<Lent, CircuitBreakerOpen> {
        let Some(breaker) = &self.plan.breaker else { return Ok(Lent::Shared(None)) };
        if let Some(permit) = breaker.untimed_permit() {
            return Ok(Lent::Shared(Some(permit)));
        }
        let mut clocks = self;
        let Ok(lent) = breaker.admit(|| clocks.breaker());
        lent.map(Lent::Own)
    }

    /// Ends a run that the breaker refuses before its first attempt.
    pub(super) fn shut<T>(&self, refusal: CircuitBreakerOpen) -> RunError<T> {
        self.plan.ledger.began();
        self.plan.ledger.stopped(Stop::CircuitBreakerOpen(refusal), 0);
        RunError::CircuitBreakerOpen(refusal)
    }

    /// Starts a run under the permit that calls share while the circuit is closed.
    #[inline]
    pub(super) fn start(&self, light: &Light, permit: Option<Permit>) -> Start<'_> {
        let began = light.is_timed.then(|| self.clock.now());
        let ends = began.zip(light.attempt).map(|(began, attempt)| began + attempt);
        Start { permit, began, ends, inside: None }
    }

    /// Records the value of the first attempt.
    #[inline]
    pub(super) fn started_well(&self, start: &Start<'_>) {
        let in_time = start.ends.is_none_or(|ends| self.clock.now() <= ends);
        self.plan.ledger.succeeded_at_once();
        if !in_time {
            self.plan.ledger.timeout();
        }
        let outcome = if in_time { Outcome::Success } else { Outcome::Failure };
        if let (Some(breaker), Some(permit)) = (&self.plan.breaker, start.permit) {
            let mut clocks = self;
            let Ok(()) = breaker.record(permit, outcome, || clocks.breaker());
        }
        if let Some(budget) = &self.plan.budget {
            let mut clocks = self;
            let Ok(()) = budget.count_call(|| clocks.budget());
        }
    }

    /// Goes on with a run whose first attempt has failed; none: its time was over.
    #[cold]
    pub(super) fn started_badly(
        &self,
        start: &Start<'_>,
        error: Option<E>,
    ) -> (Call<&Plan>, Last<E>)
    where
        E: 'static,
    {
        let mut call = start.begun(&self.plan);
        let last = match error {
            Some(error) => {
                self.report(&mut call, &error);
                Last::Failed(error)
            }
            None => Last::TimedOut(self.report_timeout(&mut call)),
        };
        (call, last)
    }

    /// Ends a run that does not come in for its first attempt.
    #[cold]
    pub(super) fn turned_away<T>(&self, denied: Denied) -> RunError<T> {
        let stop = match denied {
            Denied::Quota(refusal) => return self.refused(refusal.retry_after()),
            Denied::Full(refusal) => Stop::full(0, refusal),
        };
        self.plan.ledger.began();
        self.plan.ledger.stopped(stop, 0);
        RunError::new(stop, 0, Last::Nothing)
    }
}
