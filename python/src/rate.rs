//! `Rate`: how many in how long, as a value.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use limitpal::Rate as CoreRate;
use limitpal::parts::strict_burst;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::ask::count;
use crate::given::Given;
use crate::{errors, seconds, unknown};

/// How many in how long, kept as an exact fraction; given wherever a rate is, as a float is.
///
/// - `count`: a whole number from 1 to 2^32-1
/// - `per`: in so many seconds
///
/// `count / per` is from 1e-9 to 1e6. A rate is a value: it compares, hashes, prints and pickles,
/// and `float(rate)` is how many a second. Rates are equal if what they admit is.
///
/// >>> from limitpal import Rate, TokenBucket
/// >>> rate = Rate.parse("100/minute")
/// >>> rate
/// Rate(100, per=60.0)
/// >>> rate == Rate(5, per=3)
/// True
/// >>> TokenBucket(capacity=10, refill_rate=rate).refill_rate
/// 1.6666666666666667
#[pyclass(frozen, eq, hash, module = "limitpal", weakref)]
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    count: u32,
    per: Duration,
    rate: CoreRate,
}

impl PartialEq for Rate {
    fn eq(&self, other: &Self) -> bool {
        self.rate == other.rate
    }
}

impl Hash for Rate {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.rate.hash(hasher);
    }
}

impl Rate {
    /// Returns so many in so long, if that is a rate.
    fn of(count: u32, per: Duration) -> Option<Self> {
        Some(Self { count, per, rate: CoreRate::new(count, per).ok()? })
    }

    /// Reads a limit in words.
    pub(crate) fn read(words: &Bound<'_, PyAny>) -> PyResult<Self> {
        const ADVICE: &str = "give a text such as \"100/minute\"";
        let py = words.py();
        let text = words.extract::<&str>();
        let text = text.map_err(|_| errors::invalid_config(py, "rate", words, ADVICE))?;
        let (rate, count, per) =
            CoreRate::written(text).map_err(|error| errors::from_core(py, &error, words))?;
        Ok(Self { count, per, rate })
    }
}

/// Returns a rate that was given: a number per second, or a `Rate`.
pub(crate) fn given(parameter: &'static str, value: &Bound<'_, PyAny>) -> PyResult<CoreRate> {
    const ADVICE: &str = "give a number from 1e-9 to 1e6 per second, or a Rate";
    if let Ok(rate) = value.cast::<Rate>() {
        return Ok(rate.get().rate);
    }
    if value.is_instance_of::<PyString>() {
        let advice = format!("{ADVICE}, such as Rate.parse(\"100/minute\")");
        return Err(errors::invalid_config(value.py(), parameter, value, &advice));
    }
    let number = seconds::number(parameter, value, ADVICE)?;
    CoreRate::named(parameter, number).map_err(|error| errors::from_core(value.py(), &error, value))
}

const ADVICE: &str = "give a whole number from 1 to 4294967295";

/// Makes a bucket of a limit in words: of `class`, with `capacity` (known as `name`) or the count.
pub(crate) fn bucket<'py>(
    class: &Bound<'py, PyType>,
    words: &Bound<'py, PyAny>,
    (name, capacity): (&str, Option<&Bound<'py, PyAny>>),
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    class.call(in_words(words, name, capacity)?, options)
}

/// Returns the capacity and the rate of a limit in words.
pub(crate) fn in_words(
    words: &Bound<'_, PyAny>,
    name: &str,
    capacity: Option<&Bound<'_, PyAny>>,
) -> PyResult<(u32, Rate)> {
    let rate = Rate::read(words)?;
    let capacity = capacity.map(|capacity| count(name, capacity, ADVICE)).transpose()?;
    Ok((capacity.unwrap_or(rate.count), rate))
}

/// Returns the limit and the seconds of a strict limit in words, or the burst and the rate.
pub(crate) fn strictly<'py>(
    words: &Bound<'py, PyAny>,
    burst: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let (Rate { count: limit, per, .. }, py) = (Rate::read(words)?, words.py());
    let Some(given) = burst else {
        // A window that counts with both of its ends; of a long one the next float is further.
        let longer = per.as_secs_f64() + 1e-9;
        let longer = if seconds::duration(longer) > per { longer } else { longer.next_up() };
        return (limit, longer).into_pyobject(py);
    };
    let burst = match count("burst", given, ADVICE) {
        Ok(burst) => burst,
        Err(_) if given.extract::<f64>().is_ok_and(|burst| burst == 0.0) => 0,
        Err(error) => return Err(error),
    };
    let (burst, rate) =
        strict_burst(limit, per, burst).map_err(|error| errors::from_core(py, &error, given))?;
    let rate = Rate { rate, count: limit - burst, per };
    (burst, Py::new(py, rate)?).into_pyobject(py)
}

impl Rate {
    /// Returns how many, how fast, and in how long.
    pub(crate) fn parts(&self) -> (u32, limitpal::Rate, Duration) {
        (self.count, self.rate, self.per)
    }
}

#[pymethods]
impl Rate {
    #[new]
    #[pyo3(signature = (count, per = Given::LEFT_OUT, **unknown), text_signature = "(count, per=1.0)")]
    fn new(
        count: &Bound<'_, PyAny>,
        per: Given<'_>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        unknown::refuse::<Self>(count.py(), unknown)?;
        const COUNT: &str = "give a whole number from 1 to 4294967295";
        const PER: &str = "give a finite time in seconds above 0";
        const RANGE: &str = "give a count and a per with count / per from 1e-9 to 1e6 per second";
        let number = crate::ask::count("count", count, COUNT)?;
        let per = match per.get() {
            Some(given) => match seconds::window("per", given, PER)? {
                Duration::ZERO | Duration::MAX => {
                    return Err(errors::invalid_config(given.py(), "per", given, PER));
                }
                per => per,
            },
            None => Duration::from_secs(1),
        };
        Self::of(number, per)
            .ok_or_else(|| errors::invalid_config(count.py(), "count", count, RANGE))
    }

    /// Read a limit in words: a count, "/" or "per", a whole number if wanted, and a unit.
    ///
    /// A unit is a millisecond, second, minute, hour, day or week, singular or plural, or one of
    /// ms, s, sec, min, h, hr and d. Blanks are free, and case does not matter. "m" alone is
    /// refused: it may be a month. What is no limit is an `InvalidConfigError` that says where.
    ///
    /// >>> from limitpal import Rate
    /// >>> Rate.parse("20 per 500 ms"), Rate.parse("10 / 2 Hours")
    /// (Rate(20, per=0.5), Rate(10, per=7200.0))
    /// >>> Rate.parse("100/m")
    /// Traceback (most recent call last):
    /// limitpal._errors.InvalidConfigError: rate is '100/m'; "m" at character 5 is a minute or a ...
    #[staticmethod]
    fn parse(text: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::read(text)
    }

    /// How many.
    #[getter]
    fn count(&self) -> u32 {
        self.count
    }

    /// In how many seconds.
    #[getter]
    fn per(&self) -> f64 {
        seconds::float(self.per)
    }

    /// How many a second.
    #[getter]
    fn per_second(&self) -> f64 {
        self.rate.as_per_second()
    }

    fn __float__(&self) -> f64 {
        self.rate.as_per_second()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let per = seconds::float(self.per).into_pyobject(py)?.repr()?;
        Ok(format!("Rate({}, per={per})", self.count))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        // In parts, since a float need not have all nanoseconds of a long time.
        let Self { count, per, .. } = *slf.get();
        let arguments = (count, per.as_secs(), per.subsec_nanos());
        Ok((slf.get_type().getattr("_restore")?, arguments.into_pyobject(slf.py())?))
    }

    /// Return what was pickled.
    #[staticmethod]
    fn _restore(count: u32, seconds: u64, nanos: u32) -> PyResult<Self> {
        // An earlier or a later version may have other ranges.
        let rate = Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos.into()));
        let rate = rate.and_then(|per| Self::of(count, per));
        rate.ok_or_else(|| PyValueError::new_err("a Rate was pickled that is none here"))
    }
}
