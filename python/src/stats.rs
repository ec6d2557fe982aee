//! What was counted, as Python sees it: classes of `_stats.py`.

use limitpal::{BreakerStats, ExecutorStats, KeyedBreakerStats, LimiterStats};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::seconds;

/// Makes an `ExecutorStats` of Python's.
pub(crate) fn of<'py>(py: Python<'py>, stats: &ExecutorStats) -> PyResult<Bound<'py, PyAny>> {
    let named = PyDict::new(py);
    for (name, count) in [
        ("calls", stats.calls),
        ("in_flight", stats.in_flight),
        ("successes", stats.successes),
        ("failures", stats.failures),
        ("refused_by_limiter", stats.refused_by_limiter),
        ("refused_by_breaker", stats.refused_by_breaker),
        ("refused_by_bulkhead", stats.refused_by_bulkhead),
        ("refused_by_timeout", stats.refused_by_timeout),
        ("cancelled", stats.cancelled),
        ("attempts", stats.attempts),
        ("firsts", stats.firsts),
        ("retries", stats.retries),
        ("hedges", stats.hedges),
        ("hedge_wins", stats.hedge_wins),
        ("left_behind", stats.left_behind),
        ("late_values", stats.late_values),
        ("late_errors", stats.late_errors),
        ("recovered", stats.recovered),
        ("exhausted", stats.exhausted),
        ("timed_out", stats.timed_out),
        ("timeouts", stats.timeouts),
        ("out_of_time", stats.out_of_time),
        ("out_of_budget", stats.out_of_budget),
        ("stopped_by_breaker", stats.stopped_by_breaker),
        ("stopped_by_limiter", stats.stopped_by_limiter),
        ("stopped_by_bulkhead", stats.stopped_by_bulkhead),
        ("fallbacks", stats.fallbacks),
    ] {
        named.set_item(name, count)?;
    }
    named.set_item("waited", seconds::float(stats.waited))?;
    named.set_item("backed_off", seconds::float(stats.backed_off))?;
    made(py, "ExecutorStats", &named)
}

/// Makes a `LimiterStats` of Python's.
pub(crate) fn of_limiter<'py>(
    py: Python<'py>,
    stats: &LimiterStats,
) -> PyResult<Bound<'py, PyAny>> {
    let named = PyDict::new(py);
    for (name, count) in [
        ("admitted", stats.admitted),
        ("refused", stats.refused),
        ("waited", stats.waited),
        ("left", stats.left),
        ("waiting", stats.waiting),
        ("given_back", stats.given_back),
        ("keys", stats.keys as u64),
        ("evicted_live", stats.evicted_live),
        ("refused_new", stats.refused_new),
        ("in_flight", stats.in_flight),
    ] {
        named.set_item(name, count)?;
    }
    named.set_item("time_waited", seconds::float(stats.time_waited))?;
    named.set_item("refused_by", PyTuple::new(py, &stats.refused_by)?)?;
    made(py, "LimiterStats", &named)
}

/// Makes a `BreakerStats` of Python's.
pub(crate) fn of_breaker<'py>(
    py: Python<'py>,
    stats: &BreakerStats,
) -> PyResult<Bound<'py, PyAny>> {
    let named = PyDict::new(py);
    named.set_item("state", stats.state.as_str())?;
    named.set_item("mode", stats.mode.as_str())?;
    named.set_item("successes", stats.successes)?;
    for (name, count) in [
        ("trips", stats.trips),
        ("refused", stats.refused),
        ("shadowed", stats.shadowed),
        ("failures", stats.failures),
        ("ignored", stats.ignored),
        ("late", stats.late),
        ("probes", stats.probes),
    ] {
        named.set_item(name, count)?;
    }
    made(py, "BreakerStats", &named)
}

/// Makes a `KeyedBreakerStats` of Python's.
pub(crate) fn of_breakers<'py>(
    py: Python<'py>,
    stats: &KeyedBreakerStats,
) -> PyResult<Bound<'py, PyAny>> {
    let named = PyDict::new(py);
    named.set_item("successes", stats.successes)?;
    for (name, count) in [
        ("keys", stats.keys as u64),
        ("open", stats.open as u64),
        ("half_open", stats.half_open as u64),
        ("trips", stats.trips),
        ("refused", stats.refused),
        ("shadowed", stats.shadowed),
        ("failures", stats.failures),
        ("ignored", stats.ignored),
        ("late", stats.late),
        ("probes", stats.probes),
    ] {
        named.set_item(name, count)?;
    }
    made(py, "KeyedBreakerStats", &named)
}

fn made<'py>(
    py: Python<'py>,
    class: &str,
    named: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import(intern!(py, "limitpal._stats"))?.getattr(class)?.call((), Some(named))
}
