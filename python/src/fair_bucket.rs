//! `FairBucket`: one limit for all, of which every active key has its share.

use limitpal::parts::Shares;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::limiter::KeyedLimiter;
use crate::options::{Numbers, Options};
use crate::seconds;

/// One token bucket for everybody, which no key can empty for the others.
///
/// Of n active keys each has a share, `refill_rate / n` with a burst of `capacity / n`, that nobody
/// else can take. What others do not use is there for whoever asks: a key that is alone has it all.
///
/// - `allow` goes within the share if the bucket has room, and beyond it while that leaves the
///   others' shares of the capacity untouched, or when the bucket is full.
/// - Those who wait go in max-min fair order: the first of the key that has been served least,
///   within a key in the order in which they came. A wait may become longer when other keys come, so
///   one with a timeout may be refused when its time is over, and not at once.
/// - Over any time a key that asks gets at least min(demand, limit / n), less one burst of
///   `capacity / n`; all together never get more than `bound` says, which is that of one bucket.
///
/// A cost above `capacity / n` goes once, and then not before its share has paid for it, or the
/// bucket is full: give a capacity of several times the number of keys.
///
/// - `capacity`, `refill_rate`, `clock`: as those of `TokenBucket`, for all together
/// - `active_for`: seconds for which a key has its share after it has asked; as long as the bucket
///   takes to fill, and a minute at least. About 90 bytes are kept for each active key
/// - `key_by`: maps the caller's key to the one that has a share
///
/// >>> from limitpal import FairBucket, MockClock
/// >>> limiter = FairBucket(capacity=10, refill_rate=10, clock=MockClock())
/// >>> limiter.allow("quiet")
/// True
/// >>> sum(limiter.allow("hot") for _ in range(100))  # half of the burst is the other's
/// 5
/// >>> limiter.allow("quiet"), len(limiter)
/// (True, 2)
#[pyclass(frozen, subclass, extends = KeyedLimiter, module = "limitpal")]
pub(crate) struct FairBucket;

#[pymethods]
impl FairBucket {
    /// Takes whatever a subclass takes; the arguments are read by `__init__`.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(capacity, refill_rate, clock=None, *, active_for=None, key_by=None)")]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        PyClassInitializer::from(KeyedLimiter::default()).add_subclass(Self)
    }

    #[pyo3(signature = (capacity, refill_rate, clock=None, *, active_for=None, key_by=None))]
    fn __init__(
        slf: PyRef<'_, Self>,
        capacity: &Bound<'_, PyAny>,
        refill_rate: &Bound<'_, PyAny>,
        clock: Option<&Bound<'_, PyAny>>,
        active_for: Option<&Bound<'_, PyAny>>,
        key_by: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let rate = refill_rate;
        slf.as_super().init(&Options {
            numbers: Numbers::Fair { capacity, rate, active_for },
            clock,
            ttl: None,
            max_buckets: None,
            evict: None,
            quota: None,
            cleanup_interval: None,
            per_key: None,
            key_by,
        })
    }

    /// The burst of all together.
    #[getter]
    fn capacity(slf: PyRef<'_, Self>) -> PyResult<u32> {
        Ok(slf.as_super().fair()?.shares().bucket().capacity())
    }

    /// The rate per second of all together.
    #[getter]
    fn refill_rate(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(slf.as_super().fair()?.shares().bucket().rate().as_per_second())
    }

    /// The seconds for which a key has its share after it has asked.
    #[getter]
    fn active_for(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(seconds::float(slf.as_super().fair()?.shares().active_for()))
    }

    /// Return the tokens of the whole bucket; what a key can take of them is `peek(key).remaining`.
    fn get_tokens(slf: PyRef<'_, Self>) -> PyResult<f64> {
        slf.as_super().fair()?.tokens()
    }
}

/// Writes the settings down as they are given.
pub(crate) fn settings(py: Python<'_>, shares: &Shares) -> PyResult<String> {
    let bucket = shares.bucket();
    let float = |value: f64| PyResult::Ok(value.into_pyobject(py)?.repr()?.to_string());
    let rate = float(bucket.rate().as_per_second())?;
    let active_for = float(seconds::float(shares.active_for()))?;
    let capacity = bucket.capacity();
    Ok(format!("capacity={capacity}, refill_rate={rate}, active_for={active_for}"))
}
