//! `RetryPolicy`: which error deserves another attempt, and when.

use std::sync::Arc;

use limitpal::RetrySettings;
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyTuple};

use crate::ask::{count, whole};
use crate::exception_types::{Failure, is_one_of, tuple_of};
use crate::given::Given;
use crate::{errors, seconds};

/// Which errors deserve another attempt, how many attempts there are, and the delays between them.
///
/// The delay after attempt n (from 1) is `min(max_delay, base_delay * backoff ** (n - 1))`, times a
/// random number from `1 - jitter` to `1 + jitter`, then capped at `max_delay` again.
///
/// - `max_attempts`: at least 1, the first one included
/// - `base_delay`: seconds, at least 0
/// - `max_delay`: seconds, at least `base_delay`
/// - `backoff`: at least 1
/// - `jitter`: from 0 to 1
/// - `retry_on`: an exception type, or any iterable of them; other errors are raised as they are
/// - `seed`: a policy with a seed repeats its jitter
///
/// A policy is a value: it compares, prints and pickles.
///
/// >>> from limitpal import RetryPolicy
/// >>> policy = RetryPolicy(max_attempts=4, base_delay=0.5)
/// >>> [policy.next_delay(n) for n in (1, 2, 3)]
/// [0.5, 1.0, 2.0]
#[pyclass(frozen, subclass, module = "limitpal", weakref)]
pub(crate) struct RetryPolicy {
    settings: Arc<RetrySettings>,
    retry_on: Py<PyTuple>,
}

impl RetryPolicy {
    pub(crate) fn settings(&self) -> &Arc<RetrySettings> {
        &self.settings
    }

    /// Returns whether a subclass has a method of its own.
    pub(crate) fn overrides(policy: &Bound<'_, Self>, method: &str) -> PyResult<bool> {
        let ours = policy.py().get_type::<Self>();
        let kind = policy.get_type();
        Ok(!kind.is(&ours) && !kind.getattr(method)?.is(&ours.getattr(method)?))
    }

    /// Returns whether an error deserves another attempt, if there is one left.
    pub(crate) fn retries(&self, py: Python<'_>, error: &PyErr) -> bool {
        is_one_of(py, error, &self.retry_on)
    }
}

#[pymethods]
impl RetryPolicy {
    #[new]
    #[pyo3(signature = (max_attempts=Given::LEFT_OUT, base_delay=Given::LEFT_OUT, max_delay=Given::LEFT_OUT, backoff=Given::LEFT_OUT, jitter=Given::LEFT_OUT, retry_on=Given::LEFT_OUT, *, seed=None), text_signature = "(max_attempts=3, base_delay=0.1, max_delay=5.0, backoff=2.0, jitter=0.0, retry_on=..., *, seed=None)")]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn new(
        py: Python<'_>,
        max_attempts: Given<'_>,
        base_delay: Given<'_>,
        max_delay: Given<'_>,
        backoff: Given<'_>,
        jitter: Given<'_>,
        retry_on: Given<'_>,
        seed: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let number = |parameter: &str, value: &Given<'_>, default: f64| match value.get() {
            Some(value) => seconds::number(parameter, value, "give a number"),
            None => Ok(default),
        };
        let attempts = match max_attempts.get() {
            Some(value) => {
                count("max_attempts", value, "give a whole number from 1 to 4294967295")?
            }
            None => 3,
        };
        let settings = RetrySettings::new(
            attempts,
            (number("base_delay", &base_delay, 0.1)?, number("max_delay", &max_delay, 5.0)?),
            number("backoff", &backoff, 2.0)?,
            number("jitter", &jitter, 0.0)?,
            seed.map(seed_of).transpose()?,
        );
        let settings = settings.map_err(|error| {
            let given = match error.parameter() {
                "base_delay" => &base_delay,
                "max_delay" => &max_delay,
                "backoff" => &backoff,
                _ => &jitter,
            };
            match given.get() {
                Some(value) => errors::from_core(py, &error, value),
                // A default that the other arguments make wrong: a base above the longest delay.
                None => {
                    let default = error.value().parse().unwrap_or(f64::NAN);
                    errors::from_core(py, &error, PyFloat::new(py, default).as_any())
                }
            }
        })?;
        let retry_on = match retry_on.get() {
            Some(types) => tuple_of("retry_on", types)?,
            None => PyTuple::new(py, [py.get_type::<PyException>()])?,
        };
        Ok(Self { settings: Arc::new(settings), retry_on: retry_on.unbind() })
    }

    /// How many attempts there are, the first one included.
    #[getter]
    fn max_attempts(&self) -> u32 {
        self.settings.max_attempts()
    }

    /// The seconds after the first attempt.
    #[getter]
    fn base_delay(&self) -> f64 {
        self.settings.base_delay()
    }

    /// The longest delay in seconds, jitter included.
    #[getter]
    fn max_delay(&self) -> f64 {
        self.settings.max_delay()
    }

    /// What each delay is multiplied by to give the next.
    #[getter]
    fn backoff(&self) -> f64 {
        self.settings.backoff()
    }

    /// How far a delay may stray, as a share of it.
    #[getter]
    fn jitter(&self) -> f64 {
        self.settings.jitter()
    }

    /// The exception types that deserve another attempt.
    #[getter]
    fn retry_on(&self, py: Python<'_>) -> Py<PyTuple> {
        self.retry_on.clone_ref(py)
    }

    /// What the jitter starts from, or None.
    #[getter]
    fn seed(&self) -> Option<u64> {
        self.settings.seed()
    }

    /// Return the seconds to wait after this attempt, counted from 1; jitter is drawn anew.
    fn next_delay(&self, attempt: &Bound<'_, PyAny>) -> PyResult<f64> {
        Ok(self.settings.delay_secs(attempt_of(attempt)?))
    }

    /// Return whether an error that ended this attempt, counted from 1, deserves another.
    fn should_retry(&self, exc: &Bound<'_, PyAny>, attempt: &Bound<'_, PyAny>) -> PyResult<bool> {
        let is_left = self.settings.has_attempt_after(attempt_of(attempt)?);
        let error = PyErr::from_value(exc.clone());
        let is_failure = Failure::of(exc.py(), &error)? == Failure::Failed;
        Ok(is_left && is_failure && self.retries(exc.py(), &error))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let Ok(other) = other.cast::<Self>() else { return Ok(py.NotImplemented()) };
        let other = other.get();
        let equal = self.settings == other.settings
            && self.retry_on.bind(py).eq(other.retry_on.bind(py))?;
        Ok(PyBool::new(py, equal).to_owned().into_any().unbind())
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        slf.get().arguments(slf.py())?.hash()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (policy, py) = (slf.get(), slf.py());
        let mut names = Vec::new();
        for kind in policy.retry_on.bind(py) {
            names.push(kind.getattr("__name__")?.extract::<String>()?);
        }
        let comma = if names.len() == 1 { "," } else { "" };
        let show = |number: f64| PyResult::Ok(number.into_pyobject(py)?.repr()?.to_string());
        let settings = &policy.settings;
        let mut text = format!(
            "{}(max_attempts={}, base_delay={}, max_delay={}, backoff={}, jitter={}, \
             retry_on=({}{comma})",
            slf.get_type().name()?,
            settings.max_attempts(),
            show(settings.base_delay())?,
            show(settings.max_delay())?,
            show(settings.backoff())?,
            show(settings.jitter())?,
            names.join(", "),
        );
        if let Some(seed) = settings.seed() {
            text += &format!(", seed={seed}");
        }
        Ok(text + ")")
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let kwargs = PyDict::new(py);
        kwargs.set_item("seed", slf.get().seed())?;
        let partial = py.import("functools")?.getattr("partial")?;
        let make = partial.call((slf.get_type(),), Some(&kwargs))?;
        (make, slf.get().arguments(py)?.get_slice(0, 6)).into_pyobject(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.retry_on)
    }
}

impl RetryPolicy {
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let settings = &self.settings;
        (
            settings.max_attempts(),
            settings.base_delay(),
            settings.max_delay(),
            settings.backoff(),
            settings.jitter(),
            self.retry_on.bind(py),
            settings.seed(),
        )
            .into_pyobject(py)
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
