//! `ResilientExecutor`: the sync loop over a run.

mod on_threads;

use std::sync::OnceLock;
use std::time::Duration;

use limitpal::{BulkheadFull, Call, Charge, Plan, RetryAfter, Step};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use self::on_threads::{Cut, on_threads_of};
use crate::ask::Key;
use crate::coroutine::{CoroutineType, callable};
use crate::given::Given;
use crate::held::Held;
use crate::limiter::unpicklable;
use crate::observe::Subscription;
use crate::quota::QuotaSource;
use crate::run_errors::Errors;
use crate::settings::{Arguments, Settings};
use crate::{errors, outer, seconds, stats};

/// Runs a function behind a circuit breaker, a limiter and a retry policy, each of them optional.
///
/// 1. Breaker: open means `CircuitBreakerOpen` at once; no quota is taken.
/// 2. Bulkhead and limiter: wait for a place and for quota, at most `acquire_timeout` seconds in the
///    whole run. Nobody holds a place while it waits for quota.
/// 3. Attempts: call; on a retryable error wait, then call again.
/// 4. Record: the breaker hears how it went.
///
/// - `charge="call"`: quota and breaker count runs; `charge="attempt"`: both count attempts, for a
///   provider that counts every request.
/// - `limiter`: the permit of a `ConcurrencyLimiter`, alone or in a composite, is held while the run
///   lasts, or with `charge="attempt"` while an attempt does; it goes back however that ends.
/// - `acquire_timeout`: 0 refuses instead of waiting; None waits as long as it takes.
/// - `retry_budget`: how many retries there may be for so many calls; None for as many as the policy
///   says
/// - `bulkhead`: how many runs may be at it at a time, or with `charge="attempt"` attempts
/// - `fallback`: what the caller gets in place of an error; `cache`: what calls gave, for a time
/// - `timeout`: how many seconds a run may last; no wait is begun that would end later
/// - `attempt_timeout`: how many seconds an attempt may last: at most `timeout`. Nobody can end a
///   function that does not return; `current_attempt().remaining()` says how long it has. A value
///   that comes too late is returned, and is a failure to the breaker.
/// - `hedge`: when a slow attempt gets another try, in a thread of its own
/// - `on_threads`: True calls the function in threads of its own, so that an attempt ends when its
///   time is over. The call is left behind then: it goes on, and its effects happen.
/// - `clock`: the one the parts share, else the monotonic one.
///
/// With a retry policy, a run that stops after a retryable error raises `RetryExhausted` from it.
/// Other errors come out as they are.
///
/// >>> from limitpal import MockClock, ResilientExecutor, RetryPolicy
/// >>> clock = MockClock()
/// >>> executor = ResilientExecutor(retry_policy=RetryPolicy(base_delay=1.0), clock=clock)
/// >>> answers = iter([TimeoutError("slow"), "fine"])
/// >>> def call():
/// ...     answer = next(answers)
/// ...     if isinstance(answer, Exception):
/// ...         raise answer
/// ...     return answer
/// >>> executor.run("api", call), clock.now()
/// ('fine', 1.0)
#[pyclass(frozen, subclass, module = "limitpal", weakref)]
#[derive(Default)]
pub(crate) struct ResilientExecutor {
    /// Set by `__init__`, so that subclasses may have an `__init__` of their own.
    inner: OnceLock<Inner>,
}

struct Inner {
    settings: Settings,
    /// What makes an attempt on threads: a function of `_threads.py`, where they are wanted.
    on_threads: Option<Py<PyAny>>,
    limiter: Option<QuotaSource>,
    /// As it was given.
    given: Option<Py<PyAny>>,
    /// What stands around a whole run, of `_outer.py`.
    outer: Option<Py<PyAny>>,
    coroutine: CoroutineType,
}

impl ResilientExecutor {
    #[inline]
    fn inner(&self) -> PyResult<&Inner> {
        self.inner.get().ok_or_else(|| {
            PyTypeError::new_err("the executor is not made yet; call super().__init__() first")
        })
    }

    pub(crate) fn settings(&self) -> PyResult<&Settings> {
        Ok(&self.inner()?.settings)
    }

    pub(crate) fn limiter(&self) -> PyResult<Option<&QuotaSource>> {
        Ok(self.inner()?.limiter.as_ref())
    }
}

impl Inner {
    fn run<'py>(
        &self,
        executor: &Bound<'py, ResilientExecutor>,
        key: &Key<'_>,
        function: &Function<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, settings) = (executor.py(), &self.settings);
        callable("func", function.func)?;
        let own = settings.plan_of(key)?;
        let mut call = settings.call(py, own.as_ref().unwrap_or(&settings.plan), key)?;
        let mut held = Held::new(self.limiter.as_ref());
        let mut errors = Errors::default();
        loop {
            match call.next(settings)? {
                Step::Acquire { timeout } => {
                    self.acquire(py, key, timeout, &mut call, &mut held, &mut errors)?;
                }
                Step::Wait(delay) => {
                    if settings.plan.charge == Charge::Attempt {
                        held.rest();
                    }
                    settings.begin_wait(py, &mut call, delay, || errors.last_value(py))?;
                    settings.clock.sleep(py, seconds::float(delay))?;
                    call.slept();
                }
                Step::Attempt(_) => {
                    let mark = settings.mark(py, &mut call, || errors.last_value(py))?;
                    let answer = match &self.on_threads {
                        None => Ok(function.call()),
                        Some(make) => {
                            self.on_threads(make, executor, key, function, &call, &mut held)?
                        }
                    };
                    let error =
                        answer.as_ref().map_or_else(|Cut(cut)| Some(cut), |it| it.as_ref().err());
                    // If a hook fails, the attempt was made all the same.
                    settings.unmark(py, mark, error).inspect_err(|_| held.spend())?;
                    match answer {
                        Ok(Ok(value)) => {
                            // A coroutine has not run: quota and permit go back.
                            let value = self.coroutine.refuse(value, function.func, TWIN)?;
                            held.spend();
                            if settings.heard(&mut call, &value)? {
                                return Ok(value);
                            }
                            errors = Errors { result: Some(value.unbind()), ..Errors::default() };
                        }
                        Ok(Err(error)) => {
                            held.spend();
                            if !settings.hear(py, &mut call, &error)? {
                                return Err(error);
                            }
                            errors.last = Some(error);
                        }
                        Err(Cut(error)) => {
                            settings.hear_timeout(py, &mut call, &error)?;
                            errors.last = Some(error);
                        }
                    }
                }
                Step::Stop(stop) => return Err(errors.stop(py, stop, call.attempts())),
                _ => unreachable!("a run has no other steps"),
            }
        }
    }

    /// Takes quota, waiting if need be, and tells the call.
    fn acquire(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        timeout: Option<Duration>,
        call: &mut Call<&Plan>,
        held: &mut Held<'_>,
        errors: &mut Errors,
    ) -> PyResult<()> {
        let limiter = self.limiter.as_ref().expect("only a plan with a limiter acquires");
        match limiter.acquire(py, key, timeout, &self.settings.clock) {
            Ok(quota) => {
                call.granted(quota.waited());
                held.quota = Some(quota);
            }
            Err(error) if errors::RATE_LIMIT_EXCEEDED.raised_by(py, &error)? => {
                call.refused(RetryAfter::Unknown);
                errors.refusal = Some(error);
            }
            Err(error) if limiter.refuses_as_full(py, &error)? => {
                call.full(BulkheadFull::new(0));
                errors.refusal = Some(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

const TWIN: &str = "AsyncResilientExecutor";

/// What is to be called, and with what.
struct Function<'a, 'py> {
    func: &'a Bound<'py, PyAny>,
    args: &'a Bound<'py, PyTuple>,
    kwargs: Option<&'a Bound<'py, PyDict>>,
}

impl<'py> Function<'_, 'py> {
    #[inline]
    fn call(&self) -> PyResult<Bound<'py, PyAny>> {
        self.func.call(self.args, self.kwargs)
    }
}

#[pymethods]
impl ResilientExecutor {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(limiter=None, retry_policy=None, circuit_breaker=None, clock=None, *, charge='call', acquire_timeout=None, retry_budget=None, bulkhead=None, fallback=None, cache=None, timeout=None, attempt_timeout=None, hedge=None, on_threads=False)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::default()
    }

    #[pyo3(signature = (limiter=None, retry_policy=None, circuit_breaker=None, clock=None, *, charge=Given::LEFT_OUT, acquire_timeout=None, retry_budget=None, bulkhead=None, fallback=None, cache=None, timeout=None, attempt_timeout=None, hedge=None, on_threads=Given::LEFT_OUT))]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn __init__(
        &self,
        py: Python<'_>,
        limiter: Option<&Bound<'_, PyAny>>,
        retry_policy: Option<&Bound<'_, PyAny>>,
        circuit_breaker: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
        charge: Given<'_>,
        acquire_timeout: Option<&Bound<'_, PyAny>>,
        retry_budget: Option<&Bound<'_, PyAny>>,
        bulkhead: Option<&Bound<'_, PyAny>>,
        fallback: Option<&Bound<'_, PyAny>>,
        cache: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
        attempt_timeout: Option<&Bound<'_, PyAny>>,
        hedge: Option<&Bound<'_, PyAny>>,
        on_threads: Given<'_>,
    ) -> PyResult<()> {
        let given = limiter.map(|limiter| limiter.clone().unbind());
        let limiter = limiter.map(QuotaSource::of).transpose()?;
        let limiter_clock = limiter.as_ref().and_then(|limiter| limiter.clock(py));
        let arguments = Arguments {
            retry_policy,
            circuit_breaker,
            clock,
            charge: charge.get(),
            acquire_timeout,
            retry_budget,
            bulkhead,
            timeout,
            attempt_timeout,
            hedge,
            stack_level: 2,
        };
        let settings = Settings::new(py, &arguments, limiter.is_some(), limiter_clock.as_ref())?;
        let limiter = QuotaSource::behind(py, limiter, &settings)?;
        let outer = outer::of(py, fallback, cache, &settings)?;
        let is_threaded = match on_threads.get() {
            Some(flag) => on_threads_of(flag)?,
            None => false,
        };
        let on_threads = match is_threaded || settings.hedge.is_some() {
            true => Some(py.import("limitpal._threads")?.getattr("attempt")?.unbind()),
            false => None,
        };
        let coroutine = CoroutineType::new(py)?;
        let inner = Inner { settings, on_threads, limiter, given, outer, coroutine };
        let again = |_| PyTypeError::new_err("__init__() was called before; make another executor");
        self.inner.set(inner).map_err(again)
    }

    /// Run a function through the pipeline; quota and state are those of `key`.
    #[pyo3(signature = (key, func, *args, **kwargs))]
    fn run<'py>(
        slf: &Bound<'py, Self>,
        key: Key<'_>,
        func: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (inner, function) = (slf.get().inner()?, Function { func, args, kwargs });
        if let Some(outer) = &inner.outer {
            return outer::run(outer.bind(slf.py()), slf, key, (func, args, kwargs));
        }
        inner.run(slf, &key, &function)
    }

    /// Run a function, whatever stands around the run.
    fn _run<'py>(
        slf: &Bound<'py, Self>,
        key: Key<'_>,
        func: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.get().inner()?.run(slf, &key, &Function { func, args, kwargs })
    }

    /// Count a run whose caller was given something else in place of its error.
    fn _fell_back(&self) -> PyResult<()> {
        self.inner()?.settings.plan.ledger.fell_back();
        Ok(())
    }

    /// Call `observer` with each event of each run from now on; return what ends it.
    ///
    /// `RunBegan`, `AttemptBegan`, `AttemptFailed`, `RetryPlanned`, `HedgeStarted`, `RunEnded`.
    ///
    /// >>> from limitpal import ResilientExecutor
    /// >>> executor = ResilientExecutor()
    /// >>> events = []
    /// >>> with executor.observe(events.append):
    /// ...     executor.run("api", int)
    /// 0
    /// >>> [type(event).__name__ for event in events]
    /// ['RunBegan', 'AttemptBegan', 'RunEnded']
    fn observe(&self, observer: &Bound<'_, PyAny>) -> PyResult<Subscription> {
        self.inner()?.settings.observe(observer)
    }

    /// Return what became of the runs so far, and how many are in flight.
    ///
    /// >>> from limitpal import MockClock, ResilientExecutor, RetryPolicy
    /// >>> executor = ResilientExecutor(retry_policy=RetryPolicy(), clock=MockClock())
    /// >>> answers = iter([TimeoutError("slow"), 7, 8])
    /// >>> def call():
    /// ...     answer = next(answers)
    /// ...     if isinstance(answer, Exception):
    /// ...         raise answer
    /// ...     return answer
    /// >>> [executor.run("api", call) for _ in range(2)]
    /// [7, 8]
    /// >>> stats = executor.stats()
    /// >>> stats.calls, stats.attempts, stats.amplification, stats.retry_success
    /// (2, 3, 1.5, 1.0)
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stats::of(py, &self.inner()?.settings.plan.ledger.stats())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let inner = slf.get().inner()?;
        let name = slf.get_type().name()?.to_string();
        let mut shown = inner.settings.show(slf.py(), &name, inner.given.as_ref())?;
        if let Some(outer) = &inner.outer {
            shown.truncate(shown.len() - 1);
            shown += &format!("{})", outer.bind(slf.py()).repr()?);
        }
        Ok(shown)
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(inner) = self.inner.get() else { return Ok(()) };
        visit.call(&inner.given)?;
        visit.call(&inner.outer)?;
        if let Some(limiter) = &inner.limiter {
            limiter.traverse(&visit)?;
        }
        inner.coroutine.traverse(&visit)?;
        visit.call(&inner.on_threads)?;
        inner.settings.traverse(&visit)
    }
}
