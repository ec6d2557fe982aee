//! The numbers of a policy as they were given, and what is refused about them.

use limitpal::parts::exponential;
use limitpal::{InvalidConfig, Jitter, RetryOptions};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString};

use super::rules::Rules;
use crate::ask::count;
use crate::given::Given;
use crate::{errors, seconds};

/// The numbers of a policy as they were given.
pub(super) struct Numbers<'a, 'py> {
    pub(super) max_attempts: &'a Given<'py>,
    pub(super) base_delay: &'a Given<'py>,
    pub(super) backoff: &'a Given<'py>,
    pub(super) max_delay: &'a Given<'py>,
    pub(super) jitter: &'a Given<'py>,
    pub(super) min_delay: &'a Given<'py>,
    pub(super) max_server_delay: &'a Given<'py>,
}

impl Numbers<'_, '_> {
    /// Reads what a policy's settings are made of, but for time and seed.
    pub(super) fn options(&self, py: Python<'_>, rules: &Rules) -> PyResult<RetryOptions> {
        let mut options = RetryOptions::default();
        if let Some(value) = self.max_attempts.get() {
            const ADVICE: &str = "give a whole number from 1 to 4294967295, or None for as many as \
                                  it takes";
            options.max_attempts = match value.is_none() {
                true => None,
                false => Some(count("max_attempts", value, ADVICE)?),
            };
        }
        options.delays = match &rules.delays {
            Some(delays) => {
                let beside = [("base_delay", self.base_delay), ("backoff", self.backoff)];
                if let Some((name, value)) =
                    beside.into_iter().find_map(|(name, given)| Some((name, given.get()?)))
                {
                    let advice = "leave it out where delays are given";
                    return Err(errors::invalid_config(py, name, value, advice));
                }
                delays.core()
            }
            None => {
                let base = number("base_delay", self.base_delay, 0.1)?;
                exponential(base, number("backoff", self.backoff, 2.0)?)
                    .map_err(|error| self.refusal(py, &error))?
            }
        };
        options.classes = rules.delays_for.iter().map(|(_, delays)| delays.core()).collect();
        options.max_delay = number("max_delay", self.max_delay, options.max_delay)?;
        options.min_delay = number("min_delay", self.min_delay, options.min_delay)?;
        let longest = options.max_server_delay;
        options.max_server_delay = number("max_server_delay", self.max_server_delay, longest)?;
        if let Some(jitter) = self.jitter.get() {
            options.jitter = jitter_of(jitter)?;
        }
        Ok(options)
    }

    /// Returns the core's refusal about the value that was given.
    pub(super) fn refusal(&self, py: Python<'_>, error: &InvalidConfig) -> PyErr {
        let given = match error.parameter() {
            "base_delay" => self.base_delay,
            "backoff" => self.backoff,
            "max_delay" => self.max_delay,
            "jitter" => self.jitter,
            "min_delay" => self.min_delay,
            _ => self.max_server_delay,
        };
        match given.get() {
            Some(value) => errors::from_core(py, error, value),
            // A default that the other arguments make wrong: a base above the longest delay.
            None => {
                let default = error.value().parse().unwrap_or(f64::NAN);
                errors::from_core(py, error, PyFloat::new(py, default).as_any())
            }
        }
    }
}

fn number(parameter: &str, value: &Given<'_>, default: f64) -> PyResult<f64> {
    match value.get() {
        Some(value) => seconds::number(parameter, value, "give a number"),
        None => Ok(default),
    }
}

/// Reads a jitter: a number, or one of the names.
fn jitter_of(jitter: &Bound<'_, PyAny>) -> PyResult<Jitter> {
    const ADVICE: &str = "give a number from 0 to 1, \"full\", \"equal\", \"decorrelated\" or \
                          \"smoothed_decorrelated\"";
    if let Ok(name) = jitter.cast::<PyString>() {
        let named = Jitter::NAMED.into_iter().find(|named| named.as_str() == name.to_str().ok());
        return named.ok_or_else(|| errors::invalid_config(jitter.py(), "jitter", jitter, ADVICE));
    }
    Ok(Jitter::Share(seconds::number("jitter", jitter, ADVICE)?))
}
