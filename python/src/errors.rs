//! The one place that makes exceptions. Their classes are Python's, in `_errors.py`.

use limitpal::parts::{Door, Part};
use limitpal::{CircuitBreakerOpen, InvalidConfig, OpenReason, RetryAfter, TimeoutExceeded};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::clock::PyClock;
use crate::seconds;

/// An exception class, imported once.
pub(crate) struct Class {
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

pub(crate) static LIMIT_PAL_ERROR: Class = Class::named("LimitPalError");
pub(crate) static RATE_LIMIT_EXCEEDED: Class = Class::named("RateLimitExceeded");
pub(crate) static BULKHEAD_FULL: Class = Class::named("BulkheadFull");
pub(crate) static CIRCUIT_BREAKER_OPEN: Class = Class::named("CircuitBreakerOpen");
pub(crate) static RETRY_EXHAUSTED: Class = Class::named("RetryExhausted");
pub(crate) static TIMEOUT_EXCEEDED: Class = Class::named("TimeoutExceeded");
pub(crate) static INVALID_CONFIG: Class = Class::named("InvalidConfigError");

impl Class {
    const fn named(name: &'static str) -> Self {
        Self { name, class: PyOnceLock::new() }
    }

    pub(crate) fn get<'py>(&'static self, py: Python<'py>) -> PyResult<&'py Bound<'py, PyType>> {
        self.class.import(py, "limitpal._errors", self.name)
    }

    pub(crate) fn raised_by(&'static self, py: Python<'_>, error: &PyErr) -> PyResult<bool> {
        Ok(error.is_instance(py, self.get(py)?.as_any()))
    }
}

fn make<const N: usize>(
    py: Python<'_>,
    class: &'static Class,
    message: String,
    attributes: [(&str, Bound<'_, PyAny>); N],
) -> PyErr {
    let make = || {
        let named = PyDict::new(py);
        for (name, value) in attributes {
            named.set_item(name, value)?;
        }
        class.get(py)?.call((message,), Some(&named))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// Refuses an argument: `capacity is 0; give at least 1`.
pub(crate) fn invalid_config(
    py: Python<'_>,
    parameter: &str,
    value: &Bound<'_, PyAny>,
    advice: &str,
) -> PyErr {
    let shown =
        value.repr().map_or_else(|_| "of a type without repr".to_owned(), |r| r.to_string());
    let shown = shorten(&shown);
    let message = format!("{parameter} is {shown}; {advice}");
    let text = |text: &str| pyo3::types::PyString::new(py, text).into_any();
    let attributes =
        [("parameter", text(parameter)), ("value", value.clone()), ("reason", text(advice))];
    make(py, &INVALID_CONFIG, message, attributes)
}

/// Refuses what the core refused, with the value as the user gave it.
pub(crate) fn from_core(py: Python<'_>, error: &InvalidConfig, value: &Bound<'_, PyAny>) -> PyErr {
    invalid_config(py, error.parameter(), value, error.advice())
}

/// As `from_core`, where the core's words for the value say more than the value.
pub(crate) fn described(py: Python<'_>, error: &InvalidConfig) -> PyErr {
    let text = |text: &str| pyo3::types::PyString::new(py, text).into_any();
    let attributes = [
        ("parameter", text(error.parameter())),
        ("value", text(error.value())),
        ("reason", text(error.advice())),
    ];
    make(py, &INVALID_CONFIG, error.to_string(), attributes)
}

/// No quota in time.
pub(crate) fn rate_limit_exceeded(
    py: Python<'_>,
    key: &str,
    cost: u64,
    retry_after: RetryAfter,
) -> PyErr {
    let shown = shorten(key);
    let message = match retry_after {
        RetryAfter::Never => format!("cost {cost} is above the capacity for \"{shown}\"; lower it"),
        RetryAfter::Unknown => format!("no permit for \"{shown}\"; nobody can say when"),
        RetryAfter::After(wait) => {
            format!("no permit for \"{shown}\"; next in {}s", seconds::for_people(wait))
        }
        _ => format!("no permit for \"{shown}\" in time; try again now"),
    };
    refused(py, key, message, retry_after)
}

/// Says of a refusal how the limiter stands that has refused; nothing that would call the user's own
/// code for it.
pub(crate) fn standing(
    py: Python<'_>,
    refusal: PyErr,
    part: &dyn Part<PyClock>,
    (key, cost): (&str, u64),
) -> PyErr {
    let error = refusal.value(py);
    let set = |name: &str, value: u64| drop(error.setattr(name, value));
    drop(error.setattr("limiter", part.name()));
    set("cost", cost);
    if part.has_rules() || matches!(part.source(), PyClock::Python(_)) {
        return refusal;
    }
    if let Ok(seen) = part.peek(key, cost) {
        set("limit", seen.limit.into());
        set("remaining", seen.remaining.into());
    }
    refusal
}

/// As `standing`, of a limiter of how many are at it.
pub(crate) fn shut<D: std::ops::Deref<Target = Door<PyErr>>>(
    py: Python<'_>,
    refusal: PyErr,
    door: Option<&D>,
    cost: u64,
) -> PyErr {
    let error = refusal.value(py);
    drop(error.setattr("limiter", "ConcurrencyLimiter"));
    drop(error.setattr("cost", cost));
    if let Some(door) = door {
        drop(error.setattr("limit", door.gates().limit()));
    }
    refusal
}

/// None of so many at a time is free in time.
pub(crate) fn no_permit(py: Python<'_>, key: &str, cost: u64, retry_after: RetryAfter) -> PyErr {
    let shown = shorten(key);
    let message = match retry_after {
        RetryAfter::Never => format!("cost {cost} is above the limit for \"{shown}\"; lower it"),
        _ => format!("no permit for \"{shown}\"; one is free when somebody gives it back"),
    };
    by(py, refused(py, key, message, retry_after), "ConcurrencyLimiter")
}

/// As many are at it as may be; `key` is that of the run.
pub(crate) fn bulkhead_full(py: Python<'_>, key: Option<&str>, limit: u32) -> PyErr {
    let message = limitpal::BulkheadFull::new(limit).to_string();
    let none = || py.None().into_bound(py);
    let key = key.map_or_else(none, |key| pyo3::types::PyString::new(py, key).into_any());
    make(py, &BULKHEAD_FULL, message, [("key", key)])
}

fn refused(py: Python<'_>, key: &str, message: String, retry_after: RetryAfter) -> PyErr {
    let key = pyo3::types::PyString::new(py, key).into_any();
    let retry_after = match seconds::retry_after(py, retry_after) {
        Ok(retry_after) => retry_after,
        Err(error) => return error,
    };
    make(py, &RATE_LIMIT_EXCEEDED, message, [("key", key), ("retry_after", retry_after)])
}

/// Says who has refused.
fn by(py: Python<'_>, refusal: PyErr, limiter: &str) -> PyErr {
    drop(refusal.value(py).setattr("limiter", limiter));
    refusal
}

/// The lot fell against a request.
pub(crate) fn throttled(py: Python<'_>, probability: f64) -> PyErr {
    let message = format!(
        "the server rejects too much, so requests are refused by lot, with probability \
         {probability:.2}; nobody can say until when"
    );
    by(py, make(py, &RATE_LIMIT_EXCEEDED, message, []), "ClientThrottle")
}

/// As many calls are in flight as may be.
pub(crate) fn no_place(py: Python<'_>, limit: u32) -> PyErr {
    let message = format!("all places are taken, {limit} of them; nobody can say when one is free");
    by(py, make(py, &RATE_LIMIT_EXCEEDED, message, []), "AdaptiveConcurrency")
}

/// The circuit refuses. All is handed over by position: refusals are to be cheap, and neither names
/// nor a dict of them are made for it.
pub(crate) fn circuit_breaker_open(py: Python<'_>, refusal: CircuitBreakerOpen) -> PyErr {
    let wait = refusal.retry_after();
    let message = match wait {
        Some(wait) => {
            format!("the circuit is open; it may admit in {}s", seconds::for_people(wait))
        }
        None => "the circuit was forced open; nobody can say until when".to_owned(),
    };
    let reason = match refusal.reason() {
        OpenReason::Open => intern!(py, "open").clone(),
        other => pyo3::types::PyString::new(py, other.as_str()),
    };
    let wait = wait.map(|wait| wait.as_secs_f64());
    let arguments = (message, wait, reason, refusal.trips(), refusal.failures());
    let make = || CIRCUIT_BREAKER_OPEN.get(py)?.call1(arguments);
    make().map_or_else(|error| error, PyErr::from_value)
}

/// The time of a run is over, or that of an attempt.
pub(crate) fn timeout_exceeded(py: Python<'_>, timeout: TimeoutExceeded) -> PyErr {
    let span = seconds::for_people(timeout.timeout());
    let (scope, attempts) = (timeout.scope().as_str(), timeout.attempts());
    let message = match attempts {
        0 => format!("the {scope}'s time of {span}s was over before the first attempt"),
        n => format!("the {scope} took longer than {span}s; attempt {n}"),
    };
    let attributes = [
        ("timeout", pyo3::types::PyFloat::new(py, timeout.timeout().as_secs_f64()).into_any()),
        ("scope", pyo3::types::PyString::new(py, scope).into_any()),
        ("attempts", attempts.into_pyobject(py).expect("an integer converts").into_any()),
    ];
    make(py, &TIMEOUT_EXCEEDED, message, attributes)
}

/// A run stopped after an error worth another attempt.
pub(crate) fn retry_exhausted(
    py: Python<'_>,
    attempts: u32,
    last_error: PyErr,
    reason: &'static str,
) -> PyErr {
    let cause = last_error.value(py).clone().into_any();
    let kind = cause.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
    let end = format!("the last error was {kind}");
    let error = exhausted(py, attempts, reason, &end, ("last_error", cause));
    error.set_cause(py, Some(last_error));
    error
}

/// A run stopped after a value worth another attempt.
pub(crate) fn result_exhausted(
    py: Python<'_>,
    attempts: u32,
    last_result: Py<PyAny>,
    reason: &'static str,
) -> PyErr {
    let last = ("last_result", last_result.into_bound(py));
    exhausted(py, attempts, reason, "the last value was not good enough", last)
}

fn exhausted(
    py: Python<'_>,
    attempts: u32,
    reason: &'static str,
    end: &str,
    last: (&str, Bound<'_, PyAny>),
) -> PyErr {
    let times = if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
    let why = match reason {
        "circuit_open" => "the circuit opened",
        "rate_limited" => "no quota for another",
        "bulkhead_full" => "the bulkhead is full",
        "elapsed" => "no time left for another",
        "deadline" => "the deadline is too near for another",
        "budget" => "no retry left in the budget",
        _ => "no more are allowed",
    };
    let attributes = [
        ("attempts", attempts.into_pyobject(py).expect("an integer converts").into_any()),
        last,
        ("reason", pyo3::types::PyString::new(py, reason).into_any()),
    ];
    make(py, &RETRY_EXHAUSTED, format!("{times} failed and {why}; {end}"), attributes)
}

/// Keeps a text on one line, and cuts what would fill a screen.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 80;
    let shown: String = text.chars().take(MOST).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    let mut line = String::with_capacity(shown.len());
    for c in shown.chars() {
        if c.is_control() { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    line + more
}

/// Returns when one of our refusals says to come back.
pub(crate) fn retry_after(py: Python<'_>, refusal: &PyErr) -> PyResult<RetryAfter> {
    let seconds: Option<f64> = refusal.value(py).getattr("retry_after")?.extract()?;
    Ok(match seconds {
        None => RetryAfter::Unknown,
        Some(0.0) => RetryAfter::Now,
        Some(f64::INFINITY) => RetryAfter::Never,
        Some(seconds) => RetryAfter::After(seconds::duration(seconds)),
    })
}
