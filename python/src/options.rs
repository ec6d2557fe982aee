//! The arguments of a keyed limiter's constructor, checked.

use std::sync::Arc;

use limitpal::parts::{
    Bucket, FairKeyed, FixedCount, KeyBy, Keyed, KeyedOptions, Pace, Part, SlidingCount,
    SlidingLog, StoreOptions, Stored, WarmUp,
};
use limitpal::{Align, Evict, TimeSource};
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::adaptive_limiter::AdaptiveNumbers;
use crate::ask::{Key, count};
use crate::clock::PyClock;
use crate::counting::{Counting, Windows};
use crate::live::{self, Kind};
use crate::{errors, rate, seconds};

const CAPACITY: &str = "give a whole number from 1 to 4294967295";

/// The arguments as given; `None` where they were left out.
pub(crate) struct Options<'a, 'py> {
    pub(crate) numbers: Numbers<'a, 'py>,
    pub(crate) clock: Option<&'a Bound<'py, PyAny>>,
    pub(crate) ttl: Option<&'a Bound<'py, PyAny>>,
    pub(crate) max_buckets: Option<&'a Bound<'py, PyAny>>,
    pub(crate) cleanup_interval: Option<&'a Bound<'py, PyAny>>,
    pub(crate) per_key: Option<&'a Bound<'py, PyAny>>,
    pub(crate) key_by: Option<&'a Bound<'py, PyAny>>,
    pub(crate) evict: Option<&'a Bound<'py, PyAny>>,
    pub(crate) quota: Option<&'a Bound<'py, PyAny>>,
}

/// The user's functions, each shared with the core.
#[derive(Clone, Copy)]
pub(crate) struct Functions<'a> {
    pub(crate) key_by: &'a Option<Arc<Py<PyAny>>>,
    pub(crate) quota: &'a Option<Arc<Py<PyAny>>>,
}

/// What and how a limiter counts.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a, 'py> {
    Bucket {
        capacity: &'a Bound<'py, PyAny>,
        rate: &'a Bound<'py, PyAny>,
        pace: Pace,
        initial: Option<&'a Bound<'py, PyAny>>,
        debt: Option<&'a Bound<'py, PyAny>>,
    },
    Ramp {
        capacity: &'a Bound<'py, PyAny>,
        rate: &'a Bound<'py, PyAny>,
        warm_up: &'a Bound<'py, PyAny>,
        cold_factor: Option<&'a Bound<'py, PyAny>>,
    },
    Fair {
        capacity: &'a Bound<'py, PyAny>,
        rate: &'a Bound<'py, PyAny>,
        active_for: Option<&'a Bound<'py, PyAny>>,
    },
    Window {
        limit: &'a Bound<'py, PyAny>,
        per: &'a Bound<'py, PyAny>,
        slide: Slide<'a, 'py>,
    },
    Adaptive(AdaptiveNumbers<'a, 'py>),
}

/// How a window goes on.
#[derive(Clone, Copy)]
pub(crate) enum Slide<'a, 'py> {
    Fixed(Option<&'a Bound<'py, PyAny>>),
    Counter,
    Log,
}

impl Options<'_, '_> {
    /// Makes what they describe.
    pub(crate) fn counting(&self, functions: Functions<'_>) -> PyResult<Counting> {
        match self.numbers {
            Numbers::Bucket { capacity, rate, pace, initial, debt } => {
                let bucket = with_debt(bucket(capacity, rate, pace)?, debt)?;
                let bucket = self.with_initial(bucket, initial)?;
                let kind = Kind::Bucket(pace.rate_name());
                Ok(Counting::Buckets(self.keyed(bucket, (rate, kind), functions)?))
            }
            Numbers::Ramp { capacity, rate, warm_up, cold_factor } => {
                let bucket = ramp(capacity, rate, warm_up, cold_factor)?;
                let kind = Kind::Bucket("refill_rate");
                Ok(Counting::Ramp(self.keyed(bucket, (rate, kind), functions)?))
            }
            Numbers::Fair { capacity, rate, active_for } => {
                let bucket = bucket(capacity, rate, Pace::Burst)?;
                let active_for = active_for.map(|span| seconds::positive("active_for", span));
                let key_by = functions.key_by.clone().map(call_from_core);
                let clock = PyClock::resolve(self.clock)?;
                let fair = FairKeyed::new(bucket, active_for.transpose()?, key_by, clock);
                let refuse = |error| errors::from_core(rate.py(), &error, rate);
                Ok(Counting::Fair(Arc::new(fair.map_err(refuse)?)))
            }
            Numbers::Window { limit, per, slide } => {
                self.windows(limit, per, slide, functions).map(Counting::Windows)
            }
            Numbers::Adaptive(numbers) => {
                let blamed = (numbers.max_rate, Kind::Adaptive);
                Ok(Counting::Adaptive(self.keyed(numbers.checked()?, blamed, functions)?))
            }
        }
    }

    fn windows(
        &self,
        given: &Bound<'_, PyAny>,
        per: &Bound<'_, PyAny>,
        slide: Slide<'_, '_>,
        functions: Functions<'_>,
    ) -> PyResult<Windows> {
        let (limit, per) = (count("limit", given, CAPACITY)?, seconds::positive("per", per)?);
        let refuse = |error| errors::from_core(given.py(), &error, given);
        let mut align = None;
        let part: Arc<dyn Part<PyClock>> = match slide {
            Slide::Fixed(start) => {
                let (name, start) = alignment(start)?;
                align = Some(name);
                let fixed = FixedCount::new(limit, per, start).map_err(refuse)?;
                self.keyed(fixed, (given, Kind::Window), functions)?
            }
            Slide::Counter => {
                let counter = SlidingCount::new(limit, per).map_err(refuse)?;
                self.keyed(counter, (given, Kind::Window), functions)?
            }
            Slide::Log => {
                let log = SlidingLog::new(limit, per).map_err(refuse)?;
                self.keyed(log, (given, Kind::Window), functions)?
            }
        };
        Ok(Windows { part, align })
    }

    /// Has the bucket start with so many, from now on.
    fn with_initial(&self, bucket: Bucket, initial: Option<&Bound<'_, PyAny>>) -> PyResult<Bucket> {
        let Some(given) = initial else { return Ok(bucket) };
        let advice = format!("give a whole number from 0 to the capacity, {}", bucket.capacity());
        let initial = none_or_more("initial", given, &advice)?;
        let now = PyClock::resolve(self.clock)?.now()?;
        bucket
            .with_initial(initial, now)
            .map_err(|error| errors::from_core(given.py(), &error, given))
    }

    fn keyed<A: Stored>(
        &self,
        algorithm: A,
        (blame, kind): (&Bound<'_, PyAny>, Kind),
        functions: Functions<'_>,
    ) -> PyResult<Arc<Keyed<PyClock, A>>> {
        let options = KeyedOptions {
            store: self.store()?,
            per_key: per_key(self.per_key)?,
            key_by: functions.key_by.clone().map(call_from_core),
            quota: functions.quota.clone().map(|quota| live::call_from_core(quota, kind)),
        };
        let clock = PyClock::resolve(self.clock)?;
        let keyed = Keyed::new(algorithm, options, clock);
        Ok(Arc::new(keyed.map_err(|error| errors::from_core(blame.py(), &error, blame))?))
    }

    /// Returns the function from the caller's key to the bucket's.
    pub(crate) fn key_by(&self) -> PyResult<Option<Arc<Py<PyAny>>>> {
        key_by(self.key_by)
    }

    /// Returns the function from a key to its own limits.
    pub(crate) fn quota(&self) -> PyResult<Option<Arc<Py<PyAny>>>> {
        const ADVICE: &str = "give a function from a key to its limits, or None";
        match self.quota {
            Some(quota) if !quota.is_callable() => {
                Err(errors::invalid_config(quota.py(), "quota", quota, ADVICE))
            }
            quota => Ok(quota.map(|quota| Arc::new(quota.clone().unbind()))),
        }
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
            evict: evict(self.evict)?,
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

fn bucket(capacity: &Bound<'_, PyAny>, given: &Bound<'_, PyAny>, pace: Pace) -> PyResult<Bucket> {
    let capacity = count("capacity", capacity, CAPACITY)?;
    let rate = rate::given(pace.rate_name(), given)?;
    Bucket::new(capacity, rate, pace).map_err(|error| errors::from_core(given.py(), &error, given))
}

/// Returns a whole number that may be 0.
fn none_or_more(name: &str, given: &Bound<'_, PyAny>, advice: &str) -> PyResult<u32> {
    let is_none =
        !given.is_instance_of::<PyBool>() && given.extract::<f64>().is_ok_and(|n| n == 0.0);
    if is_none { Ok(0) } else { count(name, given, advice) }
}

fn with_debt(bucket: Bucket, debt: Option<&Bound<'_, PyAny>>) -> PyResult<Bucket> {
    let Some(given) = debt else { return Ok(bucket) };
    let debt = none_or_more("debt", given, "give a whole number, 0 for none")?;
    bucket.with_debt(debt).map_err(|error| errors::from_core(given.py(), &error, given))
}

fn ramp(
    capacity: &Bound<'_, PyAny>,
    given: &Bound<'_, PyAny>,
    warm_up: &Bound<'_, PyAny>,
    cold_factor: Option<&Bound<'_, PyAny>>,
) -> PyResult<WarmUp> {
    const COLD: &str = "give a number from 1.001 to 1000";
    let capacity = count("capacity", capacity, CAPACITY)?;
    let (rate, span) = (rate::given("refill_rate", given)?, seconds::positive("warm_up", warm_up)?);
    let cold = cold_factor.map(|cold| seconds::number("cold_factor", cold, COLD)).transpose()?;
    WarmUp::new(capacity, rate, span, cold.unwrap_or(3.0)).map_err(|error| {
        let blamed = match (error.parameter(), cold_factor) {
            ("warm_up", _) => warm_up,
            ("cold_factor", Some(cold)) => cold,
            _ => given,
        };
        errors::from_core(given.py(), &error, blamed)
    })
}

/// Returns where windows start, and what that is called.
fn alignment(given: Option<&Bound<'_, PyAny>>) -> PyResult<(&'static str, Align)> {
    let Some(given) = given else { return Ok(("clock", Align::Clock)) };
    match given.extract::<&str>() {
        Ok("clock") => Ok(("clock", Align::Clock)),
        Ok("first_use") => Ok(("first_use", Align::FirstUse)),
        _ => {
            let advice = "give 'clock' or 'first_use'";
            Err(errors::invalid_config(given.py(), "align", given, advice))
        }
    }
}

/// Returns what becomes of a newcomer where every bucket is in use.
fn evict(given: Option<&Bound<'_, PyAny>>) -> PyResult<Evict> {
    let Some(given) = given else { return Ok(Evict::default()) };
    let advice = "give 'nearest_new', 'refuse_new' or 'inherit'";
    let refuse = || errors::invalid_config(given.py(), "evict", given, advice);
    given.extract::<&str>().ok().and_then(Evict::named).ok_or_else(refuse)
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
