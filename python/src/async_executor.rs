//! What `AsyncResilientExecutor` drives: its parts, and how a run begins and ends.

use std::sync::Arc;

use limitpal::{Call, CompositePermit as CorePermit, Permit};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::ask::Key;
use crate::attempt::any_marked;
use crate::clock::PyClock;
use crate::composite_core::CompositeCore;
use crate::composite_run::CompositeRun;
use crate::coroutine::callable;
use crate::guarded::{Guarded, beside_own};
use crate::limiter::KeyedLimiter;
use crate::observe::Subscription;
use crate::run::Run;
use crate::settings::{Arguments, Settings};
use crate::{seconds, stats};

/// The parts of an async executor.
#[pyclass(frozen, module = "limitpal._limitpal", name = "_ExecutorCore")]
pub(crate) struct ExecutorCore {
    pub(crate) settings: Settings,
    /// A keyed limiter of ours, asked here; any other is awaited in Python.
    pub(crate) limiter: Option<Py<KeyedLimiter>>,
    /// The bulkhead, and what stands behind it.
    guarded: Option<Guarded>,
    has_limiter: bool,
}

#[pymethods]
impl ExecutorCore {
    /// `limiter` is the core of an async limiter of ours, or None for one of the user's own;
    /// `limiter_clock` is the clock of one of ours, a subclass's too.
    #[new]
    #[pyo3(signature = (has_limiter, limiter, limiter_clock, retry_policy, circuit_breaker, clock, charge, acquire_timeout, retry_budget, bulkhead=None, timeout=None, attempt_timeout=None, hedge=None))]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn new(
        py: Python<'_>,
        has_limiter: bool,
        limiter: Option<&Bound<'_, PyAny>>,
        limiter_clock: Option<&Bound<'_, PyAny>>,
        retry_policy: Option<&Bound<'_, PyAny>>,
        circuit_breaker: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
        charge: &Bound<'_, PyAny>,
        acquire_timeout: Option<&Bound<'_, PyAny>>,
        retry_budget: Option<&Bound<'_, PyAny>>,
        bulkhead: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
        attempt_timeout: Option<&Bound<'_, PyAny>>,
        hedge: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let keyed = limiter.and_then(|limiter| limiter.cast::<KeyedLimiter>().ok());
        let limiter_clock = limiter_clock.map(|clock| PyClock::resolve(Some(clock))).transpose()?;
        let arguments = Arguments {
            retry_policy,
            circuit_breaker,
            clock,
            charge: Some(charge),
            acquire_timeout,
            retry_budget,
            bulkhead,
            timeout,
            attempt_timeout,
            hedge,
            stack_level: 3,
        };
        let settings = Settings::new(py, &arguments, has_limiter, limiter_clock.as_ref())?;
        let behind = || match limiter {
            None if has_limiter => Err(beside_own()),
            None => Ok(None),
            Some(limiter) => CompositeCore::behind(limiter).map(Some),
        };
        let guard = |bulkhead| Guarded::new(py, bulkhead, behind()?, &settings.clock);
        let guarded = settings.bulkhead.as_ref().map(guard).transpose()?;
        let limiter = keyed.map(|keyed| keyed.clone().unbind());
        Ok(Self { settings, limiter, guarded, has_limiter })
    }

    /// Begin to wait for a place in the bulkhead and for quota of the limiter behind it.
    fn enter(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<CompositeRun> {
        let guarded = self.guarded.as_ref().expect("only an executor with a bulkhead is entered");
        guarded.begin(py, &key, seconds::timeout("timeout", timeout)?)
    }

    /// Begin a run: up to its first attempt if nothing makes it wait.
    ///
    /// What stands for the run is true if an attempt is due, else something has to be awaited. A
    /// run of which nothing is to be kept is the number of its permit, and one.
    fn begin<'py>(
        slf: &Bound<'py, Self>,
        key: Key<'_>,
        func: &Bound<'py, PyAny>,
    ) -> PyResult<Begun<'py>> {
        callable("func", func)?;
        let core = slf.get();
        let plan = match core.settings.plan_of(&key)? {
            Some(own) => Arc::new(own),
            None => {
                if let Some(permit) = core.begin_at_once(&key)? {
                    return Ok(Begun::Number(permit + 1));
                }
                core.settings.plan.clone()
            }
        };
        let run = Run::new(slf, core.settings.call(slf.py(), plan, &key)?);
        let run = Bound::new(slf.py(), run)?;
        run.get().proceed(slf.py(), &key)?;
        Ok(Begun::Run(run))
    }

    /// Begin a run of a loop over attempts, which calls no function and notes the time; it ends at
    /// this time of the clock, if not before.
    #[pyo3(signature = (deadline=None))]
    fn begin_block(slf: &Bound<'_, Self>, deadline: Option<f64>) -> PyResult<Run> {
        let settings = &slf.get().settings;
        let deadline = deadline.map(|time| settings.clock.at(slf.py(), time)).transpose()?;
        let call = settings.call(slf.py(), settings.plan.clone(), &Key::DEFAULT)?.until(deadline);
        let run = Run::new(slf, call);
        run.proceed(slf.py(), &Key::DEFAULT)?;
        Ok(run)
    }

    /// The attempt gave a value. Return None if the run is over, and the run if it goes on.
    #[inline]
    fn succeeded<'py>(
        slf: &Bound<'py, Self>,
        run: Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, Run>>> {
        let settings = &slf.get().settings;
        let run = match run.cast_into::<Run>() {
            Ok(run) => run,
            Err(number) => {
                let number = number.into_inner().extract::<u64>()? - 1;
                if !settings.judges {
                    let outcome = settings.judge(value);
                    let outcome = outcome.inspect_err(|_| settings.plan.cancelled_in_attempt())?;
                    settings.plan.ledger.succeeded_at_once();
                    let Some(breaker) = &settings.plan.breaker else { return Ok(None) };
                    let permit = Permit::numbered(number);
                    breaker.record(permit, outcome, || settings.breaker_now())?;
                    return Ok(None);
                }
                Self::kept(slf, number)?
            }
        };
        let is_over = run.get().succeeded(value)?;
        Ok((!is_over).then_some(run))
    }

    /// The attempt ended with this error. Return the run if it goes on, None if it is over and
    /// the error is to be raised.
    fn failed<'py>(
        slf: &Bound<'py, Self>,
        run: Bound<'py, PyAny>,
        error: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, Run>>> {
        let py = slf.py();
        let run = match run.cast_into::<Run>() {
            Ok(run) => run,
            Err(number) => Self::kept(slf, number.into_inner().extract::<u64>()? - 1)?,
        };
        let is_over = run.get().failed(py, error)?;
        Ok((!is_over).then_some(run))
    }

    /// The attempt of a run that is a number did not begin: nothing has come of it.
    fn abandoned(&self) {
        self.settings.plan.cancelled_in_attempt();
    }

    /// The clock that waits between attempts.
    #[getter]
    fn clock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.settings.clock.for_python(py)
    }

    /// Call `observer` with each event of each run from now on; return what ends it.
    fn observe(&self, observer: &Bound<'_, PyAny>) -> PyResult<Subscription> {
        self.settings.observe(observer)
    }

    /// Return what became of the runs so far.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stats::of(py, &self.settings.plan.ledger.stats())
    }

    /// Count a run whose caller was given something else in place of its error.
    fn fell_back(&self) {
        self.settings.plan.ledger.fell_back();
    }

    fn show(&self, py: Python<'_>, name: &str, limiter: Option<Py<PyAny>>) -> PyResult<String> {
        self.settings.show(py, name, limiter.as_ref())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.limiter)?;
        if let Some(guarded) = &self.guarded {
            guarded.traverse(&visit)?;
        }
        self.settings.traverse(&visit)
    }
}

impl ExecutorCore {
    /// Returns whether quota is asked for through a bulkhead.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded.is_some()
    }

    /// Takes a place in the bulkhead, and quota, if both are there at once.
    pub(crate) fn enter_at_once(&self, key: &Key<'_>) -> PyResult<Option<CorePermit>> {
        let Some(guarded) = &self.guarded else { return Ok(None) };
        let keyed = self.limiter.as_ref().map(Py::get);
        guarded.enter(key, self.has_limiter.then_some(keyed))
    }

    /// Makes an object of a run that was a number, now that something is to be kept.
    fn kept<'py>(slf: &Bound<'py, Self>, number: u64) -> PyResult<Bound<'py, Run>> {
        let plan = &slf.get().settings.plan;
        let permit = plan.breaker.as_ref().map(|_| Permit::numbered(number));
        Bound::new(slf.py(), Run::new(slf, Call::begun(plan.clone(), permit)))
    }

    /// Begins a run of which nothing is to be kept: the circuit is closed, and quota is there.
    #[inline]
    fn begin_at_once(&self, key: &Key<'_>) -> PyResult<Option<u64>> {
        let plan = &self.settings.plan;
        if plan.is_kept() || any_marked() {
            return Ok(None);
        }
        let permit = match plan.breaker.as_ref().map(|breaker| breaker.untimed_permit()) {
            None => 0,
            Some(Some(permit)) => permit.number(),
            Some(None) => return Ok(None),
        };
        if plan.has_limiter {
            let Some(limiter) = &self.limiter else { return Ok(None) };
            let limiter = limiter.get();
            // The user's own code is called once in a run, and it may have to wait.
            if limiter.calls_python()? || !limiter.takes_one(key)? {
                return Ok(None);
            }
        }
        plan.ledger.began();
        Ok(Some(permit))
    }
}

/// What stands for a run that has begun.
#[derive(IntoPyObject)]
enum Begun<'py> {
    Number(u64),
    Run(Bound<'py, Run>),
}
