//! The rules a circuit breaker trips by: `ConsecutiveFailures`, `FailureRate`, `SlowCallRate`.

use limitpal::TripRule;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::ask::count;
use crate::{errors, seconds, unknown};

const CALLS: &str = "give a whole number from 1 to 1000000";
const COUNT: &str = "give a whole number from 1 to 4294967295";

/// Trips after so many failures in a row: `failures`, at least 1.
///
/// >>> from limitpal import CircuitBreaker, ConsecutiveFailures
/// >>> CircuitBreaker(trip_on=ConsecutiveFailures(3))
/// CircuitBreaker(trip_on=ConsecutiveFailures(3), recovery_timeout=5.0, half_open_success_threshold=1, state="closed")
#[pyclass(frozen, eq, module = "limitpal")]
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct ConsecutiveFailures {
    /// How many failures in a row trip it.
    #[pyo3(get)]
    failures: u32,
}

/// Trips once at least this share of the calls looked back on has failed.
///
/// - `share`: above 0, at most 1; a rate that is equal trips: 10 of 20 at 0.5
/// - `calls`: how many calls it looks back on, 1 to 1,000,000; 100 if nothing is said
/// - `window`: instead of `calls`, over how many seconds; counted in 60 parts, so a call is
///   remembered for the whole time or up to a sixtieth less
/// - `minimum_calls`: with fewer calls than these the rate is unknown and trips nothing; 20, or
///   `calls` if that is less
///
/// The rate is worked out whenever a call ends.
///
/// >>> from limitpal import CircuitBreaker, FailureRate
/// >>> breaker = CircuitBreaker(trip_on=FailureRate(0.5, calls=10, minimum_calls=4))
/// >>> for succeeds in [True, False, True]:
/// ...     breaker.record_success() if succeeds else breaker.record_failure()
/// >>> breaker.state
/// 'closed'
/// >>> breaker.record_failure(); breaker.state
/// 'open'
#[pyclass(frozen, eq, module = "limitpal")]
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct FailureRate {
    /// Which share of the calls trips it.
    #[pyo3(get)]
    share: f64,
    /// How many calls it looks back on, as it was given.
    #[pyo3(get)]
    calls: Option<u32>,
    /// Over how many seconds it looks back, as it was given.
    #[pyo3(get)]
    window: Option<f64>,
    /// Before how many calls the rate is unknown, as it was given.
    #[pyo3(get)]
    minimum_calls: Option<u32>,
    rule: limitpal::FailureRate,
}

/// Trips once at least this share of the calls looked back on took longer than `slower_than`.
///
/// `slower_than` is in seconds; `share`, `calls`, `window` and `minimum_calls` are those of a
/// `FailureRate`. A call counts when it ends, however it ends, and a slow one counts against a
/// half-open circuit as a failure does. In an executor the time is that of the attempt that ended
/// the run.
///
/// >>> from limitpal import CircuitBreaker, MockClock, SlowCallRate
/// >>> clock = MockClock()
/// >>> slow = SlowCallRate(0.5, slower_than=2.0, minimum_calls=2)
/// >>> breaker = CircuitBreaker(trip_on=slow, clock=clock)
/// >>> breaker.call(clock.advance, 3.0); breaker.call(clock.advance, 1.0); breaker.state
/// 'open'
#[pyclass(frozen, eq, module = "limitpal")]
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct SlowCallRate {
    /// Which share of the calls trips it.
    #[pyo3(get)]
    share: f64,
    /// Longer than so many seconds is slow.
    #[pyo3(get)]
    slower_than: f64,
    /// How many calls it looks back on, as it was given.
    #[pyo3(get)]
    calls: Option<u32>,
    /// Over how many seconds it looks back, as it was given.
    #[pyo3(get)]
    window: Option<f64>,
    /// Before how many calls the rate is unknown, as it was given.
    #[pyo3(get)]
    minimum_calls: Option<u32>,
    rule: limitpal::SlowCallRate,
}

/// The arguments about what a rate looks back on.
struct LookBack<'a, 'py> {
    calls: Option<&'a Bound<'py, PyAny>>,
    window: Option<&'a Bound<'py, PyAny>>,
    minimum_calls: Option<&'a Bound<'py, PyAny>>,
}

impl LookBack<'_, '_> {
    fn calls(&self) -> PyResult<Option<u32>> {
        self.calls.map(|calls| count("calls", calls, CALLS)).transpose()
    }

    fn window(&self) -> PyResult<Option<std::time::Duration>> {
        self.window.map(|window| seconds::positive("window", window)).transpose()
    }

    fn minimum(&self) -> PyResult<Option<u32>> {
        self.minimum_calls.map(|minimum| count("minimum_calls", minimum, COUNT)).transpose()
    }

    /// Has the core check a rule, and names what it refuses as it was given.
    fn check(&self, share: &Bound<'_, PyAny>, rule: impl Into<TripRule>) -> PyResult<()> {
        rule.into().check().map_err(|error| {
            let given = match error.parameter() {
                "share" => Some(share),
                "calls" => self.calls,
                "minimum_calls" => self.minimum_calls,
                _ => None,
            };
            let described = || errors::described(share.py(), &error);
            given.map_or_else(described, |given| errors::from_core(share.py(), &error, given))
        })
    }
}

#[pymethods]
impl ConsecutiveFailures {
    #[new]
    #[pyo3(signature = (failures, **unknown), text_signature = "(failures)")]
    fn new(failures: &Bound<'_, PyAny>, unknown: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        unknown::refuse::<Self>(failures.py(), unknown)?;
        Ok(Self { failures: count("failures", failures, COUNT)? })
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        hash(slf.as_any(), &["failures"])
    }

    fn __repr__(&self) -> String {
        format!("ConsecutiveFailures({})", self.failures)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        reduce(slf.as_any(), &["failures"])
    }
}

#[pymethods]
impl FailureRate {
    #[new]
    #[pyo3(signature = (share, calls=None, window=None, minimum_calls=None, **unknown), text_signature = "(share, calls=None, window=None, minimum_calls=None)")]
    fn new(
        share: &Bound<'_, PyAny>,
        calls: Option<&Bound<'_, PyAny>>,
        window: Option<&Bound<'_, PyAny>>,
        minimum_calls: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        unknown::refuse::<Self>(share.py(), unknown)?;
        let look_back = LookBack { calls, window, minimum_calls };
        let number = seconds::number("share", share, SHARE)?;
        let (calls, window, minimum) =
            (look_back.calls()?, look_back.window()?, look_back.minimum()?);
        let mut rule = limitpal::FailureRate::new(number);
        rule = calls.map_or(rule, |calls| rule.calls(calls));
        rule = window.map_or(rule, |window| rule.window(window));
        rule = minimum.map_or(rule, |minimum| rule.minimum_calls(minimum));
        look_back.check(share, rule)?;
        let window = window.map(seconds::float);
        Ok(Self { share: number, calls, window, minimum_calls: minimum, rule })
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        hash(slf.as_any(), &FIELDS)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &FIELDS)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        reduce(slf.as_any(), &FIELDS)
    }
}

#[pymethods]
impl SlowCallRate {
    #[new]
    #[pyo3(signature = (share, slower_than, calls=None, window=None, minimum_calls=None, **unknown), text_signature = "(share, slower_than, calls=None, window=None, minimum_calls=None)")]
    fn new(
        share: &Bound<'_, PyAny>,
        slower_than: &Bound<'_, PyAny>,
        calls: Option<&Bound<'_, PyAny>>,
        window: Option<&Bound<'_, PyAny>>,
        minimum_calls: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        unknown::refuse::<Self>(share.py(), unknown)?;
        let look_back = LookBack { calls, window, minimum_calls };
        let number = seconds::number("share", share, SHARE)?;
        let slower_than = seconds::positive("slower_than", slower_than)?;
        let (calls, window, minimum) =
            (look_back.calls()?, look_back.window()?, look_back.minimum()?);
        let mut rule = limitpal::SlowCallRate::new(number, slower_than);
        rule = calls.map_or(rule, |calls| rule.calls(calls));
        rule = window.map_or(rule, |window| rule.window(window));
        rule = minimum.map_or(rule, |minimum| rule.minimum_calls(minimum));
        look_back.check(share, rule)?;
        let (slower_than, window) = (seconds::float(slower_than), window.map(seconds::float));
        Ok(Self { share: number, slower_than, calls, window, minimum_calls: minimum, rule })
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        hash(slf.as_any(), &SLOW_FIELDS)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        show(slf.as_any(), &SLOW_FIELDS)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        reduce(slf.as_any(), &SLOW_FIELDS)
    }
}

const SHARE: &str = "give a number above 0, 1 at most; 0.5 is every second call";
/// In the order of the constructors; what is left out is None.
const FIELDS: [&str; 4] = ["share", "calls", "window", "minimum_calls"];
const SLOW_FIELDS: [&str; 5] = ["share", "slower_than", "calls", "window", "minimum_calls"];

fn values<'py>(rule: &Bound<'py, PyAny>, fields: &[&str]) -> PyResult<Bound<'py, PyTuple>> {
    let values = fields.iter().map(|field| rule.getattr(*field)).collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(rule.py(), values)
}

fn hash(rule: &Bound<'_, PyAny>, fields: &[&str]) -> PyResult<isize> {
    values(rule, fields)?.hash()
}

fn reduce<'py>(rule: &Bound<'py, PyAny>, fields: &[&str]) -> PyResult<Bound<'py, PyTuple>> {
    (rule.get_type(), values(rule, fields)?).into_pyobject(rule.py())
}

fn show(rule: &Bound<'_, PyAny>, fields: &[&str]) -> PyResult<String> {
    let mut parts = Vec::new();
    for field in fields {
        let value = rule.getattr(*field)?;
        match *field {
            "share" => parts.push(value.repr()?.to_string()),
            _ if value.is_none() => {}
            _ => parts.push(format!("{field}={}", value.repr()?)),
        }
    }
    Ok(format!("{}({})", rule.get_type().name()?, parts.join(", ")))
}

/// Returns a rule, or any iterable of them.
pub(crate) fn rules_of(given: &Bound<'_, PyAny>) -> PyResult<Vec<TripRule>> {
    const ADVICE: &str = "give a FailureRate, a SlowCallRate or ConsecutiveFailures, or several";
    let refuse = || errors::invalid_config(given.py(), "trip_on", given, ADVICE);
    if let Some(rule) = rule_of(given) {
        return Ok(vec![rule]);
    }
    if given.is_instance_of::<PyType>() {
        return Err(refuse());
    }
    let Ok(each) = given.try_iter() else { return Err(refuse()) };
    let rules =
        each.map(|rule| rule_of(&rule?).ok_or_else(refuse)).collect::<PyResult<Vec<_>>>()?;
    if rules.is_empty() { Err(refuse()) } else { Ok(rules) }
}

fn rule_of(given: &Bound<'_, PyAny>) -> Option<TripRule> {
    if let Ok(rule) = given.cast::<ConsecutiveFailures>() {
        return Some(limitpal::ConsecutiveFailures::new(rule.get().failures).into());
    }
    if let Ok(rule) = given.cast::<FailureRate>() {
        return Some(rule.get().rule.into());
    }
    given.cast::<SlowCallRate>().ok().map(|rule| rule.get().rule.into())
}
