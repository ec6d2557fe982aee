//! `RetryPolicy`: which error deserves another attempt, and when.

pub(crate) mod delays;
mod fields;
mod hooks;
mod numbers;
mod rules;

use std::sync::Arc;

use limitpal::RetrySettings;
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyTuple};

use self::delays::{GivenDelays, computed};
use self::hooks::{Hooks, hook_of};
use self::numbers::Numbers;
use self::rules::{Rules, classes_of};
use crate::ask::whole;
use crate::coroutine::callable;
use crate::exception_types::{Failure, tuple_of};
use crate::given::Given;
use crate::{errors, seconds, unknown};

/// Which errors deserve another attempt, how many attempts there are, and the delays between them.
///
/// The delay after attempt n (from 1) is `min(max_delay, base_delay * backoff ** (n - 1))`, times a
/// random number from `1 - jitter` to `1 + jitter`, then at least `min_delay`, then capped at
/// `max_delay` again.
///
/// - `max_attempts`: at least 1, the first one included; None for as many as it takes: without
///   `max_elapsed` that may be for ever, and so it is on a mock clock with it but without any delay
/// - `base_delay`: seconds, at least 0
/// - `max_delay`: seconds, at least `base_delay`, and at least every delay of a list
/// - `backoff`: at least 1
/// - `jitter`: from 0 to 1, or "full", "equal", "decorrelated" or "smoothed_decorrelated"
/// - `retry_on`: an exception type, or any iterable of them; other errors are raised as they are
/// - `delays`: in place of `base_delay` and `backoff`: `Exponential`, `Constant`, `Linear` or
///   `Fibonacci`, seconds in turn of which the last repeats, or a function of the attempt's number
/// - `min_delay`: seconds, at most `max_delay`
/// - `delays_for`: other `delays` after errors of some types, the first type that fits
/// - `retry_if`: a function that says of an error, besides `retry_on`, whether it deserves another
///   attempt
/// - `retry_on_result`: a function that says of a value whether it deserves another attempt; when
///   attempts run out, `RetryExhausted` has it as `last_result`
/// - `max_elapsed`: seconds after its beginning for which a run may begin another attempt; a wait
///   that would end later is not begun
/// - `delay_from`: a function that reads from an error how many seconds the server wants to pass, or
///   None; that is the delay then, without jitter, and what is no time is passed over
/// - `max_server_delay`: the longest delay in seconds that `delay_from` may ask for
/// - `seed`: a policy with a seed repeats its jitter
/// - `before_attempt(attempt)`, `after_attempt(attempt, error)` and `before_wait(attempt, delay)`:
///   plain functions to call; `error` is None where the attempt gave a value, and `before_wait` is
///   given the attempt that will follow. An error of theirs comes out of the run
///
/// A policy is a value: it compares, prints and pickles, if the functions in it do.
///
/// >>> from limitpal import RetryPolicy
/// >>> policy = RetryPolicy(max_attempts=4, base_delay=0.5)
/// >>> [policy.next_delay(n) for n in (1, 2, 3)]
/// [0.5, 1.0, 2.0]
#[pyclass(frozen, subclass, module = "limitpal", weakref)]
pub(crate) struct RetryPolicy {
    settings: Arc<RetrySettings>,
    rules: Rules,
}

impl RetryPolicy {
    pub(crate) fn settings(&self) -> &Arc<RetrySettings> {
        &self.settings
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns whether a subclass has a method of its own.
    pub(crate) fn overrides(policy: &Bound<'_, Self>, method: &str) -> PyResult<bool> {
        let ours = policy.py().get_type::<Self>();
        let kind = policy.get_type();
        Ok(!kind.is(&ours) && !kind.getattr(method)?.is(&ours.getattr(method)?))
    }
}

#[pymethods]
impl RetryPolicy {
    #[new]
    #[pyo3(signature = (max_attempts=Given::LEFT_OUT, base_delay=Given::LEFT_OUT, max_delay=Given::LEFT_OUT, backoff=Given::LEFT_OUT, jitter=Given::LEFT_OUT, retry_on=Given::LEFT_OUT, *, delays=None, min_delay=Given::LEFT_OUT, delays_for=None, retry_if=None, retry_on_result=None, max_elapsed=None, delay_from=None, max_server_delay=Given::LEFT_OUT, seed=None, before_attempt=None, after_attempt=None, before_wait=None, **unknown), text_signature = "(max_attempts=3, base_delay=0.1, max_delay=5.0, backoff=2.0, jitter=0.0, retry_on=..., *, delays=None, min_delay=0.0, delays_for=None, retry_if=None, retry_on_result=None, max_elapsed=None, delay_from=None, max_server_delay=60.0, seed=None, before_attempt=None, after_attempt=None, before_wait=None)")]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn new(
        py: Python<'_>,
        max_attempts: Given<'_>,
        base_delay: Given<'_>,
        max_delay: Given<'_>,
        backoff: Given<'_>,
        jitter: Given<'_>,
        retry_on: Given<'_>,
        delays: Option<&Bound<'_, PyAny>>,
        min_delay: Given<'_>,
        delays_for: Option<&Bound<'_, PyAny>>,
        retry_if: Option<&Bound<'_, PyAny>>,
        retry_on_result: Option<&Bound<'_, PyAny>>,
        max_elapsed: Option<&Bound<'_, PyAny>>,
        delay_from: Option<&Bound<'_, PyAny>>,
        max_server_delay: Given<'_>,
        seed: Option<&Bound<'_, PyAny>>,
        before_attempt: Option<&Bound<'_, PyAny>>,
        after_attempt: Option<&Bound<'_, PyAny>>,
        before_wait: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        unknown::refuse::<Self>(py, unknown)?;
        let function = |name, given: Option<&Bound<'_, PyAny>>| match given {
            Some(given) => callable(name, given).map(|()| Some(given.clone().unbind())),
            None => Ok(None),
        };
        let rules = Rules {
            retry_on: match retry_on.get() {
                Some(types) => tuple_of("retry_on", types)?.unbind(),
                None => PyTuple::new(py, [py.get_type::<PyException>()])?.unbind(),
            },
            retry_if: function("retry_if", retry_if)?,
            retry_on_result: function("retry_on_result", retry_on_result)?,
            delays: delays.map(|delays| GivenDelays::of("delays", delays)).transpose()?,
            delays_for: delays_for.map(classes_of).transpose()?.unwrap_or_default(),
            delay_from: function("delay_from", delay_from)?,
            hooks: Hooks {
                before_attempt: hook_of("before_attempt", before_attempt)?,
                after_attempt: hook_of("after_attempt", after_attempt)?,
                before_wait: hook_of("before_wait", before_wait)?,
            },
        };
        let numbers = Numbers {
            max_attempts: &max_attempts,
            base_delay: &base_delay,
            backoff: &backoff,
            max_delay: &max_delay,
            jitter: &jitter,
            min_delay: &min_delay,
            max_server_delay: &max_server_delay,
        };
        let mut options = numbers.options(py, &rules)?;
        options.max_elapsed =
            max_elapsed.map(|span| seconds::positive("max_elapsed", span)).transpose()?;
        options.seed = seed.map(seed_of).transpose()?;
        let settings = RetrySettings::of(options).map_err(|error| numbers.refusal(py, &error))?;
        Ok(Self { settings: Arc::new(settings), rules })
    }

    /// How many attempts there are, the first one included, or None.
    #[getter]
    fn max_attempts(&self) -> Option<u32> {
        self.settings.max_attempts()
    }

    /// The seconds after the first attempt, without jitter.
    #[getter]
    fn base_delay(&self, py: Python<'_>) -> PyResult<f64> {
        match self.rules.delays.as_ref().and_then(GivenDelays::function) {
            Some(function) => computed(function.bind(py), 1),
            None => Ok(self.settings.base_delay()),
        }
    }

    /// The longest delay in seconds, jitter included.
    #[getter]
    fn max_delay(&self) -> f64 {
        self.settings.max_delay()
    }

    /// What each delay is multiplied by to give the next, or None where delays grow otherwise.
    #[getter]
    fn backoff(&self) -> Option<f64> {
        self.settings.backoff()
    }

    /// How a delay may stray: a share of it, or the name of a jitter.
    #[getter]
    fn jitter<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        fields::jitter(py, self.settings.jitter())
    }

    /// The exception types that deserve another attempt.
    #[getter]
    fn retry_on(&self, py: Python<'_>) -> Py<PyTuple> {
        self.rules.retry_on.clone_ref(py)
    }

    /// How delays grow: as given, or an `Exponential`.
    #[getter]
    fn delays<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.rules.delays {
            Some(delays) => Ok(delays.kept.bind(py).clone()),
            None => {
                let arguments = (self.settings.base_delay(), self.settings.backoff());
                py.import("limitpal._delays")?.getattr("Exponential")?.call1(arguments)
            }
        }
    }

    /// The shortest delay in seconds, jitter included.
    #[getter]
    fn min_delay(&self) -> f64 {
        self.settings.min_delay()
    }

    /// Other delays by exception type.
    #[getter]
    fn delays_for<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let classes = PyDict::new(py);
        for (kinds, delays) in &self.rules.delays_for {
            let kinds = kinds.bind(py);
            let one = if kinds.len() == 1 { kinds.get_item(0)? } else { kinds.clone().into_any() };
            classes.set_item(one, &delays.kept)?;
        }
        Ok(classes)
    }

    /// The function that says of an error whether it deserves another attempt, or None.
    #[getter]
    fn retry_if(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.rules.retry_if.as_ref().map(|function| function.clone_ref(py))
    }

    /// The function that says of a value whether it deserves another attempt, or None.
    #[getter]
    fn retry_on_result(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.rules.retry_on_result.as_ref().map(|function| function.clone_ref(py))
    }

    /// For how many seconds after its beginning a run may begin another attempt, or None.
    #[getter]
    fn max_elapsed(&self) -> Option<f64> {
        self.settings.max_elapsed().map(seconds::float)
    }

    /// The function that reads from an error when the server wants the next attempt, or None.
    #[getter]
    fn delay_from(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.rules.delay_from.as_ref().map(|function| function.clone_ref(py))
    }

    /// The longest delay in seconds that `delay_from` may ask for.
    #[getter]
    fn max_server_delay(&self) -> f64 {
        self.settings.max_server_delay()
    }

    /// What the jitter starts from, or None.
    #[getter]
    fn seed(&self) -> Option<u64> {
        self.settings.seed()
    }

    /// What is called before each attempt, or None.
    #[getter]
    fn before_attempt(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.rules.hooks.before_attempt.as_ref().map(|hook| hook.clone_ref(py))
    }

    /// What is called after each attempt, or None.
    #[getter]
    fn after_attempt(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.rules.hooks.after_attempt.as_ref().map(|hook| hook.clone_ref(py))
    }

    /// What is called before each wait between attempts, or None.
    #[getter]
    fn before_wait(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.rules.hooks.before_wait.as_ref().map(|hook| hook.clone_ref(py))
    }

    /// Return the seconds to wait after this attempt, counted from 1; jitter is drawn anew.
    ///
    /// Where a delay depends on the one before it, those before are drawn as well, at most 64.
    fn next_delay(&self, attempt: &Bound<'_, PyAny>) -> PyResult<f64> {
        let n = attempt_of(attempt)?;
        match self.rules.delays.as_ref().and_then(GivenDelays::function) {
            Some(function) => {
                Ok(self.settings.given_secs(computed(function.bind(attempt.py()), n)?))
            }
            None => Ok(self.settings.delay_secs(n)),
        }
    }

    /// Return whether an error that ended this attempt, counted from 1, deserves another.
    fn should_retry(&self, exc: &Bound<'_, PyAny>, attempt: &Bound<'_, PyAny>) -> PyResult<bool> {
        let is_left = self.settings.has_attempt_after(attempt_of(attempt)?);
        let error = PyErr::from_value(exc.clone());
        let is_failure = Failure::of(exc.py(), &error)? == Failure::Failed;
        Ok(is_left && is_failure && self.rules.retries(exc.py(), &error)?)
    }

    /// Return an equal policy but for these options.
    #[pyo3(signature = (**changes))]
    fn replace<'py>(
        slf: &Bound<'py, Self>,
        changes: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let keywords = fields::keywords(slf.py(), &slf.get().fields(slf.py())?)?;
        if let Some(changes) = changes {
            keywords.update(changes.as_mapping())?;
        }
        slf.get_type().call((), Some(&keywords))
    }

    /// Return the attempts of a block of code: `for attempt in policy.attempts(): with attempt: …`.
    ///
    /// `clock` waits between attempts; `budget` is a `RetryBudget`; `deadline` is a time of the
    /// clock. No wait is begun that would end then or later: that is a `RetryExhausted` with the
    /// reason `deadline`, at once. A loop that begins then or later is a `TimeoutExceeded`.
    #[pyo3(signature = (clock=None, *, budget=None, deadline=None))]
    fn attempts<'py>(
        slf: &Bound<'py, Self>,
        clock: Option<&Bound<'py, PyAny>>,
        budget: Option<&Bound<'py, PyAny>>,
        deadline: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let module = slf.py().import("limitpal._attempts")?;
        module.getattr("Attempts")?.call1((slf, clock, budget, deadline))
    }

    /// The async twin of `attempts`: `async for attempt in policy.attempts_async(): …`.
    #[pyo3(signature = (clock=None, *, budget=None, deadline=None))]
    fn attempts_async<'py>(
        slf: &Bound<'py, Self>,
        clock: Option<&Bound<'py, PyAny>>,
        budget: Option<&Bound<'py, PyAny>>,
        deadline: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let module = slf.py().import("limitpal._attempts")?;
        module.getattr("AsyncAttempts")?.call1((slf, clock, budget, deadline))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let Ok(other) = other.cast::<Self>() else { return Ok(py.NotImplemented()) };
        let ours = fields::keywords(py, &self.fields(py)?)?;
        let equal = ours.eq(fields::keywords(py, &other.get().fields(py)?)?)?;
        Ok(PyBool::new(py, equal).to_owned().into_any().unbind())
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        PyTuple::new(slf.py(), slf.get().fields(slf.py())?)?.hash()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let fields = slf.get().fields(slf.py())?;
        Ok(format!("{}({})", slf.get_type().name()?, fields::shown(&fields)?))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let keywords = fields::keywords(py, &slf.get().fields(py)?)?;
        let partial = py.import("functools")?.getattr("partial")?;
        let make = partial.call((slf.get_type(),), Some(&keywords))?;
        (make, PyTuple::empty(py)).into_pyobject(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.rules.traverse(&visit)
    }
}

impl RetryPolicy {
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<fields::Fields<'py>> {
        fields::fields(py, &self.settings, &self.rules)
    }
}

fn attempt_of(attempt: &Bound<'_, PyAny>) -> PyResult<u32> {
    let attempt = whole("attempt", attempt, "give a whole number of at least 1")?;
    // No delay grows beyond its cap, so the last number that fits stands for all above it.
    Ok(attempt.and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(u32::MAX))
}

/// Returns what a user gave a generator to start at.
pub(crate) fn seed_of(seed: &Bound<'_, PyAny>) -> PyResult<u64> {
    const ADVICE: &str = "give a whole number from 0 to 2^64-1, or None";
    let refuse = || errors::invalid_config(seed.py(), "seed", seed, ADVICE);
    if seed.is_instance_of::<PyBool>() || !seed.is_instance_of::<PyInt>() {
        return Err(refuse());
    }
    seed.extract().map_err(|_| refuse())
}
