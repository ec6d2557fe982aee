//! What the two executors are made of, apart from the limiter.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use limitpal::{
    Call, Charge, Clocks, Failure as Failed, Instant, Outcome, Plan, Spacing, TimeSource,
};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::ask::Key;
use crate::attempt::Marker;
use crate::clock::PyClock;
use crate::exception_types::Failure;
use crate::guard::{Guard, guard_of};
use crate::guarded::Bulkhead;
use crate::observe::Observers;
use crate::retry::RetryPolicy;
use crate::retry_budget::{RetryBudget, budget_of};
use crate::story::{describe, describe_value};
use crate::timing::set_timeouts;
use crate::{errors, hedge, rehearsal, seconds, shared_clock};

/// What the two executors have in common.
pub(crate) struct Settings {
    pub(crate) plan: Arc<Plan>,
    pub(crate) retry: Option<Py<RetryPolicy>>,
    /// Whether the policy is a subclass that decides, or computes its delays, in its own way.
    decides: bool,
    delays: bool,
    /// Whether the policy has a say on values.
    pub(crate) judges: bool,
    pub(crate) breaker: Option<Guard>,
    budget: Option<Py<RetryBudget>>,
    pub(crate) bulkhead: Option<Bulkhead>,
    pub(crate) hedge: Option<Py<PyAny>>,
    pub(crate) clock: PyClock,
    pub(crate) marker: Marker,
    pub(crate) observers: Observers,
}

/// The arguments of the two constructors, the limiter apart.
pub(crate) struct Arguments<'a, 'py> {
    pub(crate) retry_policy: Option<&'a Bound<'py, PyAny>>,
    pub(crate) circuit_breaker: Option<&'a Bound<'py, PyAny>>,
    pub(crate) clock: Option<&'a Bound<'py, PyAny>>,
    pub(crate) charge: Option<&'a Bound<'py, PyAny>>,
    pub(crate) acquire_timeout: Option<&'a Bound<'py, PyAny>>,
    pub(crate) retry_budget: Option<&'a Bound<'py, PyAny>>,
    pub(crate) bulkhead: Option<&'a Bound<'py, PyAny>>,
    pub(crate) timeout: Option<&'a Bound<'py, PyAny>>,
    pub(crate) attempt_timeout: Option<&'a Bound<'py, PyAny>>,
    pub(crate) hedge: Option<&'a Bound<'py, PyAny>>,
    /// How far up the user's frame is, for a warning.
    pub(crate) stack_level: i32,
}

impl Settings {
    /// Checks the arguments; `limiter_clock` is none where there is no limiter with a clock.
    pub(crate) fn new(
        py: Python<'_>,
        arguments: &Arguments<'_, '_>,
        has_limiter: bool,
        limiter_clock: Option<&PyClock>,
    ) -> PyResult<Self> {
        let retry = arguments.retry_policy.map(policy_of).transpose()?;
        let breaker = arguments.circuit_breaker.map(guard_of).transpose()?;
        let budget = arguments.retry_budget.map(budget_of).transpose()?;
        let bulkhead = arguments.bulkhead.map(Bulkhead::of).transpose()?;
        let mut clocks: Vec<&PyClock> = limiter_clock.into_iter().collect();
        clocks.extend(breaker.as_ref().map(|breaker| &breaker.parts().clock));
        clocks.extend(budget.as_ref().map(|budget| budget.get().clock()));
        if let Some(bulkhead) = &bulkhead {
            clocks.extend(bulkhead.clock()?);
        }
        let clock = shared_clock::resolve(py, arguments.clock, &clocks, arguments.stack_level)?;
        let mut plan = Plan::default();
        let timed = retry.as_ref().is_some_and(|retry| retry.get().settings().is_timed());
        plan.hedge = arguments.hedge.map(hedge::cell_of).transpose()?;
        plan.keeps_time = retry.as_ref().is_some_and(|retry| !retry.get().rules().hooks.is_empty());
        let is_kept = plan.hedge.is_some() || bulkhead.is_some() || plan.keeps_time;
        plan.kept = timed || budget.is_some() || is_kept;
        plan.budget = budget.as_ref().map(|budget| budget.get().cell().clone());
        plan.retry = retry.as_ref().map(|retry| retry.get().settings().clone());
        plan.breaker = match &breaker {
            Some(Guard::One(breaker)) => Some(breaker.get().cell().clone()),
            Some(Guard::Keyed(_)) | None => None,
        };
        plan.has_limiter = has_limiter || bulkhead.is_some();
        plan.charge = arguments.charge.map_or(Ok(Charge::Call), charge_of)?;
        plan.acquire_timeout = match arguments.acquire_timeout {
            Some(timeout) => acquire_timeout_of(timeout)?,
            None => None,
        };
        set_timeouts(py, &mut plan, arguments)?;
        let overrides = |method| match &retry {
            Some(retry) => RetryPolicy::overrides(retry.bind(py), method),
            None => Ok(false),
        };
        let (decides, delays) = (overrides("should_retry")?, overrides("next_delay")?);
        let judges =
            retry.as_ref().is_some_and(|retry| retry.get().rules().retry_on_result.is_some());
        let plan = Arc::new(plan);
        let marker = Marker::new(py)?;
        let hedge = arguments.hedge.map(|hedge| hedge.clone().unbind());
        Ok(Self {
            plan,
            retry,
            decides,
            delays,
            judges,
            breaker,
            budget,
            bulkhead,
            hedge,
            clock,
            marker,
            observers: Observers::default(),
        })
    }

    /// Returns the plan of a run that goes through its key's own breaker; none: they share one.
    #[inline]
    pub(crate) fn plan_of(&self, key: &Key<'_>) -> PyResult<Option<Plan>> {
        let Some(Guard::Keyed(breakers)) = &self.breaker else { return Ok(None) };
        let cell = breakers.get().table().cell(key.as_str(), || self.breaker_now())?;
        let mut plan = Plan::clone(&self.plan);
        plan.breaker = Some(cell);
        Ok(Some(plan))
    }

    /// Reads the breaker's clock; only a run with a breaker asks for it.
    #[inline]
    pub(crate) fn breaker_now(&self) -> PyResult<Instant> {
        match &self.breaker {
            Some(breaker) => breaker.parts().clock.now(),
            None => self.clock.now(),
        }
    }

    /// Tells a call how its attempt failed. False if it was cancelled, which a call never hears.
    pub(crate) fn hear<P: Deref<Target = Plan>>(
        &self,
        py: Python<'_>,
        call: &mut Call<P>,
        error: &PyErr,
    ) -> PyResult<bool> {
        let failure = Failure::of(py, error)?;
        if call.story().is_some() && failure != Failure::Cancelled {
            describe(py, call, error);
        }
        match failure {
            Failure::Cancelled => return Ok(false),
            Failure::OwnRefusal => call.own_refusal(),
            Failure::Failed => {
                let attempt = call.attempts().saturating_add(1);
                call.failed(self.failure(py, attempt, error)?, self)?;
            }
        }
        Ok(true)
    }

    /// Tells a call that its attempt was cut short, with this error.
    pub(crate) fn hear_timeout<P: Deref<Target = Plan>>(
        &self,
        py: Python<'_>,
        call: &mut Call<P>,
        error: &PyErr,
    ) -> PyResult<()> {
        if call.story().is_some() {
            describe(py, call, error);
        }
        let failure = self.failure(py, call.attempts().saturating_add(1), error)?;
        call.timed_out(failure, self)
    }

    /// Says what an error means that ended this attempt.
    fn failure(&self, py: Python<'_>, attempt: u32, error: &PyErr) -> PyResult<Failed> {
        let outcome = match &self.breaker {
            Some(breaker) => breaker.parts().judge.failed(py, error)?,
            None => None,
        };
        let retryable = self.retries(py, error, attempt)?;
        let failed = Failed::new(retryable, true).counted_as(outcome);
        let spacing = match retryable {
            true => self.spacing(py, Some(error), attempt)?,
            false => Spacing::Policy,
        };
        Ok(failed.spaced(spacing).rehearsed(rehearsal::present()))
    }

    /// Tells a call that its attempt gave a value. False if that deserves another attempt.
    #[inline]
    pub(crate) fn heard<P: Deref<Target = Plan>>(
        &self,
        call: &mut Call<P>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        if self.judges && self.turns_down(value)? {
            if call.story().is_some() {
                describe_value(call, value);
            }
            let attempt = call.attempts().saturating_add(1);
            let failed = Failed::answered().counted_as(Some(self.judge(value)?));
            let failed = failed.spaced(self.spacing(value.py(), None, attempt)?);
            call.failed(failed.rehearsed(rehearsal::present()), self)?;
            return Ok(false);
        }
        call.ended(self.judge(value)?, self)?;
        Ok(true)
    }

    /// Returns whether a value deserves another attempt.
    pub(crate) fn turns_down(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.retry.as_ref().map_or(Ok(false), |retry| retry.get().rules().turns_down(value))
    }

    /// Says what the value of an attempt means for the breaker.
    #[inline]
    pub(crate) fn judge(&self, value: &Bound<'_, PyAny>) -> PyResult<Outcome> {
        match &self.breaker {
            Some(breaker) => breaker.parts().judge.value(value),
            None => Ok(Outcome::Success),
        }
    }

    /// Returns whether an error deserves another attempt, if there is one left.
    pub(crate) fn retries(&self, py: Python<'_>, error: &PyErr, attempt: u32) -> PyResult<bool> {
        match &self.retry {
            Some(retry) if self.decides => {
                let arguments = (error.value(py), attempt);
                retry.bind(py).call_method1("should_retry", arguments)?.is_truthy()
            }
            Some(retry) => retry.get().rules().retries(py, error),
            None => Ok(false),
        }
    }

    /// Returns by what the delay after a retryable error, or a value, is computed.
    fn spacing(&self, py: Python<'_>, error: Option<&PyErr>, attempt: u32) -> PyResult<Spacing> {
        let Some(retry) = &self.retry else { return Ok(Spacing::Policy) };
        if !retry.get().settings().has_attempt_after(attempt) {
            return Ok(Spacing::Policy);
        }
        if !self.delays {
            let rules = retry.get().rules();
            return match error {
                Some(error) => rules.spacing(py, error, attempt),
                None => rules.plain_spacing(py, attempt),
            };
        }
        // A subclass computes its delays in its own way.
        let delay = retry.bind(py).call_method1("next_delay", (attempt,))?;
        const ADVICE: &str = "return a finite number of seconds, at least 0";
        let seconds = seconds::number("next_delay()", &delay, ADVICE)?;
        if !(0.0..f64::INFINITY).contains(&seconds) {
            return Err(errors::invalid_config(py, "next_delay()", &delay, ADVICE));
        }
        Ok(Spacing::Exactly(seconds::duration(seconds)))
    }

    pub(crate) fn show(
        &self,
        py: Python<'_>,
        name: &str,
        limiter: Option<&Py<PyAny>>,
    ) -> PyResult<String> {
        let mut parts = Vec::new();
        if let Some(limiter) = limiter {
            parts.push(format!("limiter={}", limiter.bind(py).repr()?));
        }
        if let Some(retry) = &self.retry {
            parts.push(format!("retry_policy={}", retry.bind(py).repr()?));
        }
        if let Some(breaker) = &self.breaker {
            parts.push(format!("circuit_breaker={}", breaker.bind(py).repr()?));
        }
        if let Some(budget) = &self.budget {
            parts.push(format!("retry_budget={}", budget.bind(py).repr()?));
        }
        if let Some(bulkhead) = &self.bulkhead {
            parts.push(format!("bulkhead={}", bulkhead.given.bind(py).repr()?));
        }
        if let Some(hedge) = &self.hedge {
            parts.push(format!("hedge={}", hedge.bind(py).repr()?));
        }
        if !matches!(self.clock, PyClock::Monotonic) {
            parts.push(format!("clock={}", self.clock.for_python(py)?.repr()?));
        }
        parts.push(format!("charge='{}'", self.plan.charge));
        if let Some(timeout) = self.plan.acquire_timeout {
            let timeout = seconds::float(timeout).into_pyobject(py)?.repr()?;
            parts.push(format!("acquire_timeout={timeout}"));
        }
        let plan = &self.plan;
        for (name, span) in [("timeout", plan.timeout), ("attempt_timeout", plan.attempt_timeout)] {
            if let Some(span) = span {
                let span = seconds::float(span).into_pyobject(py)?.repr()?;
                parts.push(format!("{name}={span}"));
            }
        }
        Ok(format!("{name}({})", parts.join(", ")))
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.retry)?;
        if let Some(breaker) = &self.breaker {
            breaker.traverse(visit)?;
        }
        visit.call(&self.budget)?;
        if let Some(bulkhead) = &self.bulkhead {
            bulkhead.traverse(visit)?;
        }
        self.marker.traverse(visit)?;
        visit.call(&self.hedge)?;
        self.observers.traverse(visit)?;
        self.clock.traverse(visit)
    }
}

impl Clocks for &Settings {
    type Error = PyErr;

    #[inline]
    fn breaker(&mut self) -> PyResult<Instant> {
        self.breaker_now()
    }

    #[inline]
    fn run(&mut self) -> PyResult<Instant> {
        self.clock.now()
    }

    fn budget(&mut self) -> PyResult<Instant> {
        match &self.budget {
            Some(budget) => budget.get().clock().now(),
            None => self.clock.now(),
        }
    }
}

fn policy_of(policy: &Bound<'_, PyAny>) -> PyResult<Py<RetryPolicy>> {
    policy.cast::<RetryPolicy>().map(|policy| policy.clone().unbind()).map_err(|_| {
        let advice = "give a RetryPolicy, or None";
        errors::invalid_config(policy.py(), "retry_policy", policy, advice)
    })
}

fn charge_of(charge: &Bound<'_, PyAny>) -> PyResult<Charge> {
    let text = charge.cast::<PyString>().ok().and_then(|text| text.to_str().ok());
    match text {
        Some("call") => Ok(Charge::Call),
        Some("attempt") => Ok(Charge::Attempt),
        _ => {
            let advice = "give \"call\" or \"attempt\"";
            Err(errors::invalid_config(charge.py(), "charge", charge, advice))
        }
    }
}

fn acquire_timeout_of(timeout: &Bound<'_, PyAny>) -> PyResult<Option<Duration>> {
    const ADVICE: &str =
        "give a time in seconds of at least 0, or None to wait as long as it takes";
    let seconds = seconds::number("acquire_timeout", timeout, ADVICE)?;
    if !(0.0..f64::INFINITY).contains(&seconds) {
        return Err(errors::invalid_config(timeout.py(), "acquire_timeout", timeout, ADVICE));
    }
    seconds::timeout("acquire_timeout", Some(timeout))
}
