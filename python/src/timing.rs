//! What the executors do about time: their timeouts, and what each attempt knows of its own.

use std::ops::Deref;
use std::time::Duration;

use limitpal::{Call, Plan, TimeSource};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::ask::Key;
use crate::attempt::{Attempt, Mark, any_marked};
use crate::retry::RetryPolicy;
use crate::settings::{Arguments, Settings};
use crate::{errors, seconds};

impl Settings {
    /// Begins a run, which has the deadline of the attempt that it is part of.
    #[inline]
    pub(crate) fn call<P: Deref<Target = Plan>>(
        &self,
        py: Python<'_>,
        plan: P,
        key: &Key<'_>,
    ) -> PyResult<Call<P>> {
        let mut call = Call::new(plan);
        call.observe(key.as_str(), || self.reading(py));
        if !any_marked() {
            return Ok(call);
        }
        match self.marker.deadline(py, &self.clock)? {
            None => Ok(call),
            deadline => Ok(call.until(deadline)),
        }
    }

    /// Marks an attempt that is about to begin, if it is more than the first of a run that waited
    /// for nothing, or such a one is within another that is marked.
    #[inline]
    pub(crate) fn mark<P: Deref<Target = Plan>>(
        &self,
        py: Python<'_>,
        call: &mut Call<P>,
        last_error: impl FnOnce() -> Option<Py<PyAny>>,
    ) -> PyResult<Option<Mark>> {
        let number = call.attempts().saturating_add(1);
        if number == 1 && !call.is_timed() && call.elapsed().is_zero() && !any_marked() {
            return Ok(None);
        }
        if number > 1 {
            self.note_time(py, call)?;
        }
        let attempt = self.attempt(py, call, last_error());
        let mark = self.marker.mark(py, attempt)?;
        if let Some(retry) = self.hooked()
            && let Err(error) = retry.get().rules().hooks.before_attempt(mark.attempt.bind(py))
        {
            call.withdraw();
            self.marker.unmark(py, mark);
            return Err(error);
        }
        Ok(Some(mark))
    }

    /// Ends an attempt, with an error or a value that the call has not heard of yet.
    #[inline]
    pub(crate) fn unmark(
        &self,
        py: Python<'_>,
        mark: Option<Mark>,
        error: Option<&PyErr>,
    ) -> PyResult<()> {
        let Some(mark) = mark else { return Ok(()) };
        let told = match self.hooked() {
            Some(retry) => retry.get().rules().hooks.after_attempt(mark.attempt.bind(py), error),
            None => Ok(()),
        };
        self.marker.unmark(py, mark);
        told
    }

    /// Prepares for a wait between two attempts: a hook hears of it, and the time is noted.
    pub(crate) fn begin_wait<P: Deref<Target = Plan>>(
        &self,
        py: Python<'_>,
        call: &mut Call<P>,
        delay: Duration,
        last_error: impl FnOnce() -> Option<Py<PyAny>>,
    ) -> PyResult<()> {
        self.note_time(py, call)?;
        let Some(retry) = self.hooked() else { return Ok(()) };
        let attempt = Bound::new(py, self.attempt(py, call, last_error()))?;
        retry.get().rules().hooks.before_wait(&attempt, seconds::float(delay))
    }

    /// Returns the policy, if it has hooks.
    fn hooked(&self) -> Option<&Py<RetryPolicy>> {
        if self.plan.keeps_time { self.retry.as_ref() } else { None }
    }

    /// Returns the attempt that begins now, or after the wait that comes now.
    fn attempt<P: Deref<Target = Plan>>(
        &self,
        py: Python<'_>,
        call: &Call<P>,
        last_error: Option<Py<PyAny>>,
    ) -> Attempt {
        let (number, clock) = (call.attempts().saturating_add(1), self.clock.clone_ref(py));
        Attempt::begin(number, call.elapsed(), call.ends(), clock, last_error)
    }

    /// Tells a run the time that does not note it, so that its attempts can say what has elapsed. A
    /// clock that fails ends no run for that.
    pub(crate) fn note_time<P: Deref<Target = Plan>>(
        &self,
        py: Python<'_>,
        call: &mut Call<P>,
    ) -> PyResult<()> {
        if call.is_timed() {
            return Ok(());
        }
        match self.clock.now() {
            Ok(now) => call.note_time(now),
            Err(error) if error.is_instance_of::<PyException>(py) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Checks and sets the two timeouts.
pub(crate) fn set_timeouts(
    py: Python<'_>,
    plan: &mut Plan,
    arguments: &Arguments<'_, '_>,
) -> PyResult<()> {
    let Arguments { timeout, attempt_timeout, .. } = arguments;
    let run = timeout.map(|span| seconds::positive("timeout", span)).transpose()?;
    let attempt = attempt_timeout.map(|span| seconds::positive("attempt_timeout", span));
    plan.set_timeouts(run, attempt.transpose()?).map_err(|error| match attempt_timeout {
        Some(given) if error.parameter() == "attempt_timeout" => {
            errors::from_core(py, &error, given)
        }
        _ => errors::described(py, &error),
    })
}
