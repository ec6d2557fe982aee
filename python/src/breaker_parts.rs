//! What a circuit breaker is made of besides its state, and the options it is made by.

use std::sync::Arc;
use std::time::Duration;

use limitpal::{BreakerOptions, BreakerSettings, InvalidConfig};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::ask::count;
use crate::breaker_callbacks::Callbacks;
use crate::clock::PyClock;
use crate::coroutine::CoroutineType;
use crate::judge::Judge;
use crate::observe::Observers;
use crate::retry::seed_of;
use crate::trip_rules::rules_of;
use crate::{errors, seconds};

/// What breakers of several keys share, and a single one has for itself.
#[pyclass(frozen, module = "limitpal._limitpal", name = "_BreakerParts")]
pub(crate) struct BreakerParts {
    pub(crate) clock: PyClock,
    pub(crate) judge: Judge,
    pub(crate) coroutine: CoroutineType,
    /// The coroutine function behind `call_async`, asked for once.
    pub(crate) awaited: Py<PyAny>,
    pub(crate) callbacks: Arc<Callbacks>,
    pub(crate) observers: Observers,
    /// The options, as a repr shows them.
    pub(crate) shown: String,
}

#[pymethods]
impl BreakerParts {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.clock.traverse(&visit)?;
        self.judge.traverse(&visit)?;
        self.coroutine.traverse(&visit)?;
        visit.call(&self.awaited)?;
        self.callbacks.traverse(&visit)?;
        self.observers.traverse(&visit)
    }
}

/// The arguments of a constructor; those left out are none.
pub(crate) struct Arguments<'a, 'py> {
    pub(crate) failure_threshold: Option<&'a Bound<'py, PyAny>>,
    pub(crate) recovery_timeout: Option<&'a Bound<'py, PyAny>>,
    pub(crate) half_open_success_threshold: Option<&'a Bound<'py, PyAny>>,
    pub(crate) clock: Option<&'a Bound<'py, PyAny>>,
    pub(crate) trip_on: Option<&'a Bound<'py, PyAny>>,
    pub(crate) half_open_timeout: Option<&'a Bound<'py, PyAny>>,
    pub(crate) ramp: Option<&'a Bound<'py, PyAny>>,
    pub(crate) ramp_step: Option<&'a Bound<'py, PyAny>>,
    pub(crate) recovery_backoff: Option<&'a Bound<'py, PyAny>>,
    pub(crate) max_recovery_timeout: Option<&'a Bound<'py, PyAny>>,
    pub(crate) recovery_jitter: Option<&'a Bound<'py, PyAny>>,
    pub(crate) seed: Option<&'a Bound<'py, PyAny>>,
    pub(crate) failure_on: Option<&'a Bound<'py, PyAny>>,
    pub(crate) ignore: Option<&'a Bound<'py, PyAny>>,
    pub(crate) failure_on_result: Option<&'a Bound<'py, PyAny>>,
    pub(crate) count_successes: bool,
}

const COUNT: &str = "give a whole number from 1 to 4294967295";
const NUMBER: &str = "give a number";

impl Arguments<'_, '_> {
    /// Checks all of them.
    pub(crate) fn check(&self, py: Python<'_>) -> PyResult<(BreakerSettings, BreakerParts)> {
        let options = self.options()?;
        let settings =
            BreakerSettings::checked(options).map_err(|error| self.refusal(py, &error))?;
        let clock = PyClock::resolve(self.clock)?;
        let judge = Judge::new(py, self.failure_on, self.ignore, self.failure_on_result)?;
        let coroutine = CoroutineType::new(py)?;
        let awaited = py.import("limitpal._lent")?.getattr("call_guarded")?.unbind();
        let (callbacks, shown) = (Arc::default(), self.show(py, &settings)?);
        let observers = Observers::default();
        Ok((
            settings,
            BreakerParts { clock, judge, coroutine, awaited, callbacks, observers, shown },
        ))
    }

    fn options(&self) -> PyResult<BreakerOptions> {
        let whole = |name, value: Option<&Bound<'_, PyAny>>| {
            value.map(|value| count(name, value, COUNT)).transpose()
        };
        let span = |name, value: Option<&Bound<'_, PyAny>>| {
            value.map(|value| seconds::positive(name, value)).transpose()
        };
        let number = |name, value: Option<&Bound<'_, PyAny>>| {
            value.map(|value| seconds::number(name, value, NUMBER)).transpose()
        };
        let usual = BreakerOptions::default();
        Ok(BreakerOptions {
            failure_threshold: whole("failure_threshold", self.failure_threshold)?,
            trip_on: self.trip_on.map_or(Ok(Vec::new()), rules_of)?,
            recovery_timeout: span("recovery_timeout", self.recovery_timeout)?
                .unwrap_or(usual.recovery_timeout),
            half_open_success_threshold: {
                let given = self.half_open_success_threshold;
                whole("half_open_success_threshold", given)?
                    .unwrap_or(usual.half_open_success_threshold)
            },
            half_open_timeout: span("half_open_timeout", self.half_open_timeout)?,
            ramp: self.ramp.map_or(Ok(Vec::new()), shares_of)?,
            ramp_step: span("ramp_step", self.ramp_step)?,
            recovery_backoff: number("recovery_backoff", self.recovery_backoff)?
                .unwrap_or(usual.recovery_backoff),
            max_recovery_timeout: span("max_recovery_timeout", self.max_recovery_timeout)?,
            recovery_jitter: number("recovery_jitter", self.recovery_jitter)?
                .unwrap_or(usual.recovery_jitter),
            seed: self.seed.map(seed_of).transpose()?,
            count_successes: self.count_successes,
        })
    }

    /// Names what the core refused as it was given.
    fn refusal(&self, py: Python<'_>, error: &InvalidConfig) -> PyErr {
        let given = match error.parameter() {
            "failure_threshold" => self.failure_threshold,
            "recovery_timeout" => self.recovery_timeout,
            "half_open_success_threshold" => self.half_open_success_threshold,
            "ramp" => self.ramp,
            "ramp_step" => self.ramp_step,
            "recovery_backoff" => self.recovery_backoff,
            "max_recovery_timeout" => self.max_recovery_timeout,
            "recovery_jitter" => self.recovery_jitter,
            _ => None,
        };
        let described = || errors::described(py, error);
        given.map_or_else(described, |given| errors::from_core(py, error, given))
    }

    /// Shows the options that say what it is, and those that differ from the defaults.
    fn show(&self, py: Python<'_>, settings: &BreakerSettings) -> PyResult<String> {
        let show = |span: Duration| {
            PyResult::Ok(seconds::float(span).into_pyobject(py)?.repr()?.to_string())
        };
        let mut parts = vec![match self.trip_on {
            Some(rules) => format!("trip_on={}", rules.repr()?),
            None => format!("failure_threshold={}", settings.failure_threshold().unwrap_or(5)),
        }];
        parts.push(format!("recovery_timeout={}", show(settings.recovery_timeout())?));
        let successes = settings.half_open_success_threshold();
        parts.push(format!("half_open_success_threshold={successes}"));
        if let Some(timeout) = settings.half_open_timeout() {
            parts.push(format!("half_open_timeout={}", show(timeout)?));
        }
        if let Some((shares, step)) = settings.ramp() {
            let shares = pyo3::types::PyTuple::new(py, shares)?.repr()?;
            parts.push(format!("ramp={shares}, ramp_step={}", show(step)?));
        }
        if settings.recovery_backoff() != 1.0 || settings.recovery_jitter() != 0.0 {
            parts.push(format!(
                "recovery_backoff={}, max_recovery_timeout={}, recovery_jitter={}",
                settings.recovery_backoff().into_pyobject(py)?.repr()?,
                show(settings.max_recovery_timeout())?,
                settings.recovery_jitter().into_pyobject(py)?.repr()?,
            ));
        }
        let functions =
            [("failure_on", self.failure_on), ("failure_on_result", self.failure_on_result)];
        for (name, given) in functions {
            if let Some(given) = given {
                parts.push(format!("{name}={}", given.repr()?));
            }
        }
        if self.count_successes {
            parts.push("count_successes=True".to_owned());
        }
        Ok(parts.join(", "))
    }
}

/// Returns the shares of a ramp: any iterable of numbers.
fn shares_of(given: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    const ADVICE: &str = "give growing shares above 0 and below 1, such as (0.05, 0.1, 0.25, 0.5)";
    let refuse = || errors::invalid_config(given.py(), "ramp", given, ADVICE);
    let each = given.try_iter().map_err(|_| refuse())?;
    let share = |share: PyResult<Bound<'_, PyAny>>| {
        seconds::number("ramp", &share?, ADVICE).map_err(|_| refuse())
    };
    let shares = each.map(share).collect::<PyResult<Vec<_>>>()?;
    if shares.is_empty() { Err(refuse()) } else { Ok(shares) }
}
