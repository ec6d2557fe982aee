//! `delays=`: a value, delays in turn, or a function, as the core takes them.

use std::time::Duration;

use limitpal::parts::Shape;
use limitpal::{Delays, InvalidConfig};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::{errors, seconds};

const ADVICE: &str = "give Exponential, Constant, Linear or Fibonacci, seconds in turn such as \
                      [1, 5, 30], or a function of the attempt's number";
/// More than anybody lists; an iterator without end would be read for ever.
const MOST: usize = 10_000;

/// Delays as a user gave them.
pub(crate) struct GivenDelays {
    /// A value, a tuple of numbers or a function; what it was given as is not kept.
    pub(crate) kept: Py<PyAny>,
    /// The same for the core; nothing where a function computes them.
    core: Option<Delays>,
}

impl GivenDelays {
    pub(crate) fn of(parameter: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let kept = |core| Self { kept: given.clone().unbind(), core };
        if let Some(shape) = shape_of(given)? {
            let core = Delays::of(shape).map_err(|error| errors::described(given.py(), &error))?;
            return Ok(kept(Some(core)));
        }
        if given.is_callable() {
            return Ok(kept(None));
        }
        let refuse = || errors::invalid_config(given.py(), parameter, given, ADVICE);
        if given.is_instance_of::<PyString>() {
            return Err(refuse());
        }
        let Ok(each) = given.try_iter() else { return Err(refuse()) };
        let mut listed = Vec::new();
        for delay in each.take(MOST + 1) {
            let delay = delay?;
            let number = seconds::number(parameter, &delay, ADVICE)?;
            if !(0.0..f64::INFINITY).contains(&number) {
                return Err(errors::invalid_config(given.py(), parameter, &delay, ADVICE));
            }
            listed.push(number);
        }
        if listed.is_empty() || listed.len() > MOST {
            let advice = "give from 1 to 10000 delays, or a function of the attempt's number";
            return Err(errors::invalid_config(given.py(), parameter, given, advice));
        }
        let tuple = PyTuple::new(given.py(), &listed)?.into_any().unbind();
        Ok(Self { kept: tuple, core: Some(list(&listed)) })
    }

    /// Returns them for the core. Where a function computes them it knows of none.
    pub(crate) fn core(&self) -> Delays {
        self.core.clone().unwrap_or_else(|| Delays::constant(Duration::ZERO))
    }

    /// Returns the function that computes them.
    pub(crate) fn function(&self) -> Option<&Py<PyAny>> {
        self.core.is_none().then_some(&self.kept)
    }
}

fn list(listed: &[f64]) -> Delays {
    Delays::of(Shape::List(listed.into())).expect("each was looked at")
}

/// Reads one of the values of `_delays.py`; nothing if it is none.
fn shape_of(given: &Bound<'_, PyAny>) -> PyResult<Option<Shape>> {
    let py = given.py();
    let Some(kind) = given.getattr_opt(intern!(py, "_kind"))? else { return Ok(None) };
    let number = |name: &str| {
        let value = given.getattr(name)?;
        seconds::number(name, &value, "give a number")
    };
    Ok(Some(match kind.extract::<String>()?.as_str() {
        "exponential" => Shape::Exponential { base: number("base")?, factor: number("factor")? },
        "constant" => Shape::Constant { seconds: number("seconds")? },
        "linear" => {
            let base = number("base")?;
            let step = if given.getattr("step")?.is_none() { base } else { number("step")? };
            Shape::Linear { base, step }
        }
        "fibonacci" => Shape::Fibonacci { base: number("base")? },
        _ => return Ok(None),
    }))
}

/// Refuses a value of `_delays.py` that is outside its ranges, when it is made.
pub(crate) fn check(given: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(shape) = shape_of(given)? else { return Ok(()) };
    Delays::of(shape).map(drop).map_err(|error| refusal(given, &error))
}

fn refusal(given: &Bound<'_, PyAny>, error: &InvalidConfig) -> PyErr {
    match given.getattr(error.parameter()) {
        Ok(value) if !value.is_none() => errors::from_core(given.py(), error, &value),
        _ => errors::described(given.py(), error),
    }
}

/// Asks a function for the delay after an attempt.
pub(crate) fn computed(function: &Bound<'_, PyAny>, attempt: u32) -> PyResult<f64> {
    const ADVICE: &str = "return a finite number of seconds, at least 0";
    let delay = function.call1((attempt,))?;
    let number = seconds::number("delays()", &delay, ADVICE)?;
    if (0.0..f64::INFINITY).contains(&number) {
        return Ok(number);
    }
    Err(errors::invalid_config(function.py(), "delays()", &delay, ADVICE))
}
