//! Limits that change while a limiter is in use: their arguments, checked.

use std::sync::Arc;
use std::time::Duration;

use limitpal::parts::QuotaBy;
use limitpal::{Carry, Limits};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString, PyTuple};

use crate::ask::{Key, count};
use crate::limiter::KeyedLimiter;
use crate::rate::{self, Rate};
use crate::{errors, seconds};

const MOST: &str = "give a whole number from 1 to 4294967295";

/// Whether limits are a bucket's, a window's, or those of a rate that adapts.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Bucket(&'static str),
    Window,
    Adaptive,
}

impl Kind {
    fn most(self) -> &'static str {
        match self {
            Self::Bucket(_) => "capacity",
            Self::Window => "limit",
            Self::Adaptive => "burst",
        }
    }

    fn pace(self) -> &'static str {
        match self {
            Self::Bucket(name) => name,
            Self::Window => "per",
            Self::Adaptive => "max_rate",
        }
    }
}

/// An argument that may be left out.
type Maybe<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// Changes the limits of all keys, or of one.
pub(crate) fn change(
    limiter: &KeyedLimiter,
    kind: Kind,
    key: Option<&Key<'_>>,
    (most, pace): (Maybe<'_, '_>, Maybe<'_, '_>),
    how: Maybe<'_, '_>,
) -> PyResult<()> {
    let carry = carry(how)?;
    let limits = read(kind, most, pace)?;
    let changed = limiter.part()?.change(key.map(Key::as_str), &limits, carry)?;
    changed.map_err(|error| {
        let blame = if error.parameter() == kind.most() { most } else { pace };
        match blame {
            Some(given) => errors::from_core(given.py(), &error, given),
            // What stays as it was does not go with what changes.
            None => Python::attach(|py| {
                let value = error.value().parse().unwrap_or(f64::NAN);
                errors::from_core(py, &error, PyFloat::new(py, value).as_any())
            }),
        }
    })
}

fn read(kind: Kind, most: Maybe<'_, '_>, pace: Maybe<'_, '_>) -> PyResult<Limits> {
    let most = most.map(|most| count(kind.most(), most, MOST)).transpose()?;
    let name = kind.pace();
    Ok(match kind {
        Kind::Bucket(_) | Kind::Adaptive => {
            Limits::some(most, pace.map(|rate| rate::given(name, rate)).transpose()?, None)
        }
        Kind::Window => {
            Limits::some(most, None, pace.map(|per| seconds::positive(name, per)).transpose()?)
        }
    })
}

/// Returns what becomes of what keys have.
pub(crate) fn carry(given: Option<&Bound<'_, PyAny>>) -> PyResult<Carry> {
    let Some(given) = given else { return Ok(Carry::default()) };
    match given.extract::<&str>() {
        Ok("proportional") => Ok(Carry::Proportional),
        Ok("as_is") => Ok(Carry::AsIs),
        Ok("reset") => Ok(Carry::Reset),
        _ => {
            let advice = "give 'proportional', 'as_is' or 'reset'";
            Err(errors::invalid_config(given.py(), "carry", given, advice))
        }
    }
}

/// Returns for how long a key is closed.
pub(crate) fn span(given: &Bound<'_, PyAny>) -> PyResult<Duration> {
    const ADVICE: &str = "give a time in seconds, 0 or more, 100 years at most";
    const MOST: Duration = Duration::from_secs(100 * 31_557_600);
    let span = seconds::window("seconds", given, ADVICE)?;
    if span > MOST {
        return Err(errors::invalid_config(given.py(), "seconds", given, ADVICE));
    }
    Ok(span)
}

/// Lets the core call a function of the user's; its errors come out as they are.
pub(crate) fn call_from_core(quota: Arc<Py<PyAny>>, kind: Kind) -> QuotaBy<PyErr> {
    Arc::new(move |key| {
        Python::attach(|py| {
            let given = quota.bind(py).call1((key,))?;
            if given.is_none() { Ok(None) } else { answered(kind, &given).map(Some) }
        })
    })
}

/// Reads what a function says of a key: a limit in words, a `Rate`, or both numbers.
fn answered(kind: Kind, given: &Bound<'_, PyAny>) -> PyResult<Limits> {
    let refuse = || {
        let advice = match kind {
            Kind::Bucket(_) => "give (capacity, rate), \"100/minute\", a Rate, or None",
            Kind::Window => "give (limit, per), \"100/minute\", a Rate, or None",
            Kind::Adaptive => "give (burst, max_rate), \"100/minute\", a Rate, or None",
        };
        errors::invalid_config(given.py(), "quota", given, advice)
    };
    let check = |most, pace: Result<limitpal::Rate, Duration>| {
        let limits = match pace {
            Ok(rate) => Limits::bucket(most, rate),
            Err(per) => Limits::window(most, per),
        };
        limits.map_err(|error| errors::from_core(given.py(), &error, given))
    };
    if let Ok(pair) = given.cast::<PyTuple>() {
        if pair.len() != 2 {
            return Err(refuse());
        }
        let (most, pace) = (pair.get_item(0)?, pair.get_item(1)?);
        return match read(kind, Some(&most), Some(&pace))?.get() {
            (Some(most), Some(rate), _) => check(most, Ok(rate)),
            (Some(most), _, Some(per)) => check(most, Err(per)),
            _ => Err(refuse()),
        };
    }
    let rate = match given.cast::<Rate>() {
        Ok(rate) => *rate.get(),
        Err(_) if given.is_instance_of::<PyString>() => Rate::read(given)?,
        Err(_) => return Err(refuse()),
    };
    let (most, rate, per) = rate.parts();
    match kind {
        Kind::Bucket(_) => check(most, Ok(rate)),
        Kind::Window => check(most, Err(per)),
        // A count in words is no burst there, whose sense is to go evenly.
        Kind::Adaptive => Ok(Limits::some(None, Some(rate), None)),
    }
}
