//! What became of the runs of an executor, as Python sees it: a class of `_stats.py`.

use limitpal::ExecutorStats;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::seconds;

/// Makes an `ExecutorStats` of Python's.
pub(crate) fn of<'py>(py: Python<'py>, stats: &ExecutorStats) -> PyResult<Bound<'py, PyAny>> {
    let named = PyDict::new(py);
    for (name, count) in [
        ("calls", stats.calls),
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
    let class = py.import(intern!(py, "limitpal._stats"))?.getattr(intern!(py, "ExecutorStats"))?;
    class.call((), Some(&named))
}
