//! The arguments of a keyed limiter's constructor, checked.

use std::sync::Arc;

use limitpal::parts::{Bucket, KeyBy, Keyed, KeyedOptions, Pace, StoreOptions};
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::ask::{Key, count};
use crate::clock::PyClock;
use crate::{errors, rate, seconds};

/// The arguments as given; `None` where they were left out.
pub(crate) struct Options<'a, 'py> {
    pub(crate) capacity: &'a Bound<'py, PyAny>,
    pub(crate) rate: &'a Bound<'py, PyAny>,
    pub(crate) pace: Pace,
    pub(crate) clock: Option<&'a Bound<'py, PyAny>>,
    pub(crate) ttl: Option<&'a Bound<'py, PyAny>>,
    pub(crate) max_buckets: Option<&'a Bound<'py, PyAny>>,
    pub(crate) cleanup_interval: Option<&'a Bound<'py, PyAny>>,
    pub(crate) per_key: Option<&'a Bound<'py, PyAny>>,
    pub(crate) key_by: Option<&'a Bound<'py, PyAny>>,
}

impl Options<'_, '_> {
    /// Makes the limiter they describe.
    pub(crate) fn keyed(&self, key_by: Option<&Arc<Py<PyAny>>>) -> PyResult<Keyed<PyClock>> {
        let bucket = self.bucket()?;
        let options = KeyedOptions {
            store: self.store()?,
            per_key: per_key(self.per_key)?,
            key_by: key_by.cloned().map(call_from_core),
        };
        let clock = PyClock::resolve(self.clock)?;
        Keyed::new(bucket, options, clock)
            .map_err(|error| errors::from_core(self.rate.py(), &error, self.rate))
    }

    /// Returns the function from the caller's key to the bucket's.
    pub(crate) fn key_by(&self) -> PyResult<Option<Arc<Py<PyAny>>>> {
        key_by(self.key_by)
    }

    fn bucket(&self) -> PyResult<Bucket> {
        const ADVICE: &str = "give a whole number from 1 to 4294967295";
        let py = self.rate.py();
        let capacity = count("capacity", self.capacity, ADVICE)?;
        let name = self.pace.rate_name();
        let rate = rate::given(name, self.rate)?;
        Bucket::new(capacity, rate, self.pace)
            .map_err(|error| errors::from_core(py, &error, self.rate))
    }

    fn store(&self) -> PyResult<StoreOptions> {
        const ADVICE: &str = "give a whole number of at least 1";
        let size = |name, value: Option<&Bound<'_, PyAny>>| {
            value.map(|value| count::<usize>(name, value, ADVICE)).transpose()
        };
        let default = StoreOptions::default();
        Ok(StoreOptions {
            ttl: self.ttl.map(|ttl| seconds::positive("ttl", ttl)).transpose()?,
            max_buckets: size("max_buckets", self.max_buckets)?,
            cleanup_interval: size("cleanup_interval", self.cleanup_interval)?
                .unwrap_or(default.cleanup_interval),
        })
    }
}

/// Returns whether keys are told apart, as a user said.
pub(crate) fn per_key(given: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    let Some(per_key) = given else { return Ok(true) };
    match per_key.cast::<PyBool>() {
        Ok(per_key) => Ok(per_key.is_true()),
        Err(_) => {
            Err(errors::invalid_config(per_key.py(), "per_key", per_key, "give True or False"))
        }
    }
}

/// Returns a user's function from the caller's key to another.
pub(crate) fn key_by(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Arc<Py<PyAny>>>> {
    const ADVICE: &str = "give a function from the caller's key to the bucket's, or None";
    match given {
        Some(key_by) if !key_by.is_callable() => {
            Err(errors::invalid_config(key_by.py(), "key_by", key_by, ADVICE))
        }
        key_by => Ok(key_by.map(|key_by| Arc::new(key_by.clone().unbind()))),
    }
}

/// Lets the core call a function of the user's; its errors come out as they are.
pub(crate) fn call_from_core(key_by: Arc<Py<PyAny>>) -> KeyBy<PyErr> {
    Arc::new(move |key| {
        Python::attach(|py| {
            let mapped = key_by.bind(py).call1((key,))?;
            Ok(mapped.extract::<Key<'_>>()?.as_str().to_owned())
        })
    })
}
