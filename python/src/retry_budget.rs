//! `RetryBudget`: keeps retries a share of the calls.

use std::sync::Arc;
use std::time::Duration;

use limitpal::TimeSource;
use limitpal::parts::{BudgetCell, BudgetSettings};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::clock::PyClock;
use crate::given::Given;
use crate::limiter::unpicklable;
use crate::{errors, seconds, unknown};

/// Keeps retries a share of the calls: in an outage an executor does not multiply its traffic.
///
/// In the last `window` seconds there may be `ratio * calls + minimum_per_second * window` retries.
/// So at a total outage attempts never exceed `(1 + ratio) * calls` and that reserve, and a quiet
/// client may still retry. A run that would need one more raises `RetryExhausted` with the reason
/// "budget".
///
/// - `ratio`: from 0 to 1; 0.1 is one retry for ten calls
/// - `minimum_per_second`: from 0 to 1000000; all of a window's may come at once
/// - `window`: seconds for which calls and retries are remembered, in 20 slices
///
/// A call counts when its first attempt has ended. A retry is charged when it is decided on, before
/// its wait, and given back if there is none after all. Any number of executors may share a budget.
///
/// >>> from limitpal import MockClock, ResilientExecutor, RetryBudget, RetryExhausted, RetryPolicy
/// >>> clock = MockClock()
/// >>> budget = RetryBudget(minimum_per_second=0.5, clock=clock)
/// >>> executor = ResilientExecutor(retry_policy=RetryPolicy(), retry_budget=budget, clock=clock)
/// >>> budget.left
/// 5
#[pyclass(frozen, module = "limitpal", weakref)]
pub(crate) struct RetryBudget {
    cell: Arc<BudgetCell>,
    clock: PyClock,
}

impl RetryBudget {
    pub(crate) fn cell(&self) -> &Arc<BudgetCell> {
        &self.cell
    }

    pub(crate) fn clock(&self) -> &PyClock {
        &self.clock
    }
}

#[pymethods]
impl RetryBudget {
    #[new]
    #[pyo3(signature = (ratio=Given::LEFT_OUT, minimum_per_second=Given::LEFT_OUT, window=Given::LEFT_OUT, *, clock=None, **unknown), text_signature = "(ratio=0.1, minimum_per_second=1.0, window=10.0, *, clock=None)")]
    fn new(
        py: Python<'_>,
        ratio: Given<'_>,
        minimum_per_second: Given<'_>,
        window: Given<'_>,
        clock: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        unknown::refuse::<Self>(py, unknown)?;
        let number = |parameter: &str, value: &Given<'_>, default: f64| match value.get() {
            Some(value) => seconds::number(parameter, value, "give a number"),
            None => Ok(default),
        };
        let settings = BudgetSettings::new(
            number("ratio", &ratio, 0.1)?,
            number("minimum_per_second", &minimum_per_second, 1.0)?,
            match window.get() {
                Some(value) => seconds::positive("window", value)?,
                None => Duration::from_secs(10),
            },
        );
        let settings = settings.map_err(|error| {
            let given = if error.parameter() == "ratio" { &ratio } else { &minimum_per_second };
            let given = given.get().expect("the defaults are in range");
            errors::from_core(py, &error, given)
        })?;
        let cell = Arc::new(BudgetCell::new(settings));
        Ok(Self { cell, clock: PyClock::resolve(clock)? })
    }

    /// How many retries there may be for each call.
    #[getter]
    fn ratio(&self) -> f64 {
        self.cell.settings().ratio()
    }

    /// How many retries a second there may be besides.
    #[getter]
    fn minimum_per_second(&self) -> f64 {
        self.cell.settings().minimum_per_second()
    }

    /// For how many seconds calls and retries are remembered.
    #[getter]
    fn window(&self) -> f64 {
        seconds::float(self.cell.settings().window())
    }

    /// How many more retries there may be now.
    #[getter]
    fn left(&self) -> PyResult<u64> {
        self.cell.left(|| self.clock.now())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let show = |number: f64| PyResult::Ok(number.into_pyobject(py)?.repr()?.to_string());
        Ok(format!(
            "RetryBudget(ratio={}, minimum_per_second={}, window={})",
            show(self.ratio())?,
            show(self.minimum_per_second())?,
            show(self.window())?,
        ))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.clock.traverse(&visit)
    }
}

/// Reads the argument `retry_budget`.
pub(crate) fn budget_of(budget: &Bound<'_, PyAny>) -> PyResult<Py<RetryBudget>> {
    budget.cast::<RetryBudget>().map(|budget| budget.clone().unbind()).map_err(|_| {
        let advice = "give a RetryBudget, or None";
        errors::invalid_config(budget.py(), "retry_budget", budget, advice)
    })
}
