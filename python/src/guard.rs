//! What an executor asks before it calls: one breaker, or one for each key.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::breaker::CircuitBreaker;
use crate::breaker_parts::BreakerParts;
use crate::errors;
use crate::keyed_breaker::KeyedCircuitBreaker;

/// What an executor asks before it calls: one breaker, or one for each key.
pub(crate) enum Guard {
    One(Py<CircuitBreaker>),
    Keyed(Py<KeyedCircuitBreaker>),
}

impl Guard {
    pub(crate) fn parts(&self) -> &BreakerParts {
        match self {
            Self::One(breaker) => breaker.get().parts(),
            Self::Keyed(breakers) => breakers.get().shared_parts().get(),
        }
    }

    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::One(breaker) => breaker.bind(py).clone().into_any(),
            Self::Keyed(breakers) => breakers.bind(py).clone().into_any(),
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::One(breaker) => visit.call(breaker),
            Self::Keyed(breakers) => visit.call(breakers),
        }
    }
}

/// Refuses what is no circuit breaker.
pub(crate) fn guard_of(breaker: &Bound<'_, PyAny>) -> PyResult<Guard> {
    match breaker.cast::<KeyedCircuitBreaker>() {
        Ok(breakers) => Ok(Guard::Keyed(breakers.clone().unbind())),
        Err(_) => breaker_of(breaker).map(Guard::One),
    }
}

/// Refuses what is no circuit breaker.
fn breaker_of(breaker: &Bound<'_, PyAny>) -> PyResult<Py<CircuitBreaker>> {
    let py = breaker.py();
    let refuse = |advice: &str| errors::invalid_config(py, "circuit_breaker", breaker, advice);
    let Ok(ours) = breaker.cast::<CircuitBreaker>() else {
        return Err(refuse("give a CircuitBreaker or a KeyedCircuitBreaker, or None"));
    };
    let (kind, base) = (breaker.get_type(), py.get_type::<CircuitBreaker>());
    for method in ["allow", "record_success", "record_failure", "state"] {
        if !kind.getattr(method)?.is(&base.getattr(method)?) {
            let name = kind.name()?;
            return Err(refuse(&format!(
                "{name} overrides {method}, which an executor would not call; leave it as it is"
            )));
        }
    }
    Ok(ours.clone().unbind())
}
