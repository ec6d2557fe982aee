//! `hedge=`: a value of `_hedge.py`, as the core takes it.

use std::sync::Arc;

use limitpal::parts::{HedgeCell, HedgeSettings};
use pyo3::intern;
use pyo3::prelude::*;

use crate::ask::count;
use crate::{errors, seconds};

const DELAY: &str = "give a time in seconds of at least 0, 100 years at most, or None";
const HEDGES: &str = "give a whole number from 1 to 10";
const SAMPLES: &str = "give a whole number of at least 1";

/// Reads a hedge as the user gave it, and refuses what is out of range.
pub(crate) fn settings_of(hedge: &Bound<'_, PyAny>) -> PyResult<HedgeSettings> {
    let py = hedge.py();
    let value = |name: &str| hedge.getattr(name);
    let number = |name: &str| seconds::number(name, &value(name)?, "give a number");
    let given = |name: &str| PyResult::Ok(Some(value(name)?).filter(|value| !value.is_none()));
    let mut settings = HedgeSettings::default();
    if let Some(delay) = given("delay")? {
        let number = seconds::number("delay", &delay, DELAY)?;
        if !(0.0..=100.0 * 31_557_600.0).contains(&number) {
            return Err(errors::invalid_config(py, "delay", &delay, DELAY));
        }
        settings.delay = Some(seconds::duration(number));
    }
    if let Some(percentile) = given("percentile")? {
        settings.percentile = Some(seconds::number("percentile", &percentile, "give a number")?);
    }
    settings.max_hedges = count("max_hedges", &value("max_hedges")?, HEDGES)?;
    settings.max_extra_load = number("max_extra_load")?;
    settings.minimum_per_second = number("minimum_per_second")?;
    settings.min_samples = count("min_samples", &value("min_samples")?, SAMPLES)?;
    settings.window = seconds::positive("window", &value("window")?)?;
    settings.checked().map_err(|error| match value(error.parameter()) {
        Ok(given) if !given.is_none() => errors::from_core(py, &error, &given),
        _ => errors::described(py, &error),
    })
}

/// Reads the argument `hedge`.
pub(crate) fn cell_of(hedge: &Bound<'_, PyAny>) -> PyResult<Arc<HedgeCell>> {
    let py = hedge.py();
    let class = py.import(intern!(py, "limitpal._hedge"))?.getattr(intern!(py, "Hedge"))?;
    if !hedge.is_instance(&class)? {
        return Err(errors::invalid_config(py, "hedge", hedge, "give a Hedge, or None"));
    }
    let cell = HedgeCell::new(settings_of(hedge)?);
    cell.map(Arc::new).map_err(|error| errors::described(py, &error))
}
