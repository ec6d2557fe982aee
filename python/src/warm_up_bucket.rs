//! `WarmUpBucket`: a token bucket that is slow when it is cold, and warms up under load.

use limitpal::parts::Algorithm;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::ask::Key;
use crate::given::Given;
use crate::limiter::KeyedLimiter;
use crate::live::{self, Kind};
use crate::options::{Numbers, Options};
use crate::seconds;

/// As `TokenBucket`, for a service that is slow when it has not been used for a while.
///
/// A key that is cold, as a new one is, gets its permits at `refill_rate / cold_factor` a second.
/// Under load it gets them ever faster, and after `warm_up` seconds of it at `refill_rate`; idle it
/// cools again. A call goes as soon as a warm bucket would have it; its own price, which may be
/// higher, is paid by those after it. So a burst at a cold key is about `capacity / cold_factor`.
/// The worst case in any window of W seconds is that of a warm bucket, `capacity + refill_rate * W`.
///
/// - `warm_up`: seconds, above 0, 30 days at most
/// - `cold_factor`: how many times slower a cold key is, 1.001 to 1000 in thousandths; 3
///
/// The other options are those of `TokenBucket`, where "full" is full and cold; `initial` and `debt`
/// are not among them.
///
/// >>> from limitpal import MockClock, WarmUpBucket
/// >>> clock = MockClock()
/// >>> limiter = WarmUpBucket(capacity=1, refill_rate=10, warm_up=60, clock=clock)
/// >>> limiter.allow("ann"), round(limiter.check("ann").retry_after, 2)
/// (True, 0.3)
/// >>> for _ in range(500):
/// ...     limiter.acquire("ann")
/// >>> round(limiter.check("ann").retry_after, 2)
/// 0.1
#[pyclass(frozen, subclass, extends = KeyedLimiter, module = "limitpal")]
pub(crate) struct WarmUpBucket;

#[pymethods]
impl WarmUpBucket {
    /// Takes whatever a subclass takes; the arguments are read by `__init__`.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(capacity, refill_rate, warm_up, clock=None, ttl=None, max_buckets=None, cleanup_interval=100, *, cold_factor=3.0, per_key=True, key_by=None, evict='nearest_new', quota=None)")]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        PyClassInitializer::from(KeyedLimiter::default()).add_subclass(Self)
    }

    #[pyo3(signature = (capacity, refill_rate, warm_up, clock=None, ttl=None, max_buckets=None, cleanup_interval=Given::LEFT_OUT, *, cold_factor=Given::LEFT_OUT, per_key=Given::LEFT_OUT, key_by=None, evict=Given::LEFT_OUT, quota=None))]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn __init__(
        slf: PyRef<'_, Self>,
        capacity: &Bound<'_, PyAny>,
        refill_rate: &Bound<'_, PyAny>,
        warm_up: &Bound<'_, PyAny>,
        clock: Option<&Bound<'_, PyAny>>,
        ttl: Option<&Bound<'_, PyAny>>,
        max_buckets: Option<&Bound<'_, PyAny>>,
        cleanup_interval: Given<'_>,
        cold_factor: Given<'_>,
        per_key: Given<'_>,
        key_by: Option<&Bound<'_, PyAny>>,
        evict: Given<'_>,
        quota: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (rate, cold_factor) = (refill_rate, cold_factor.get());
        slf.as_super().init(&Options {
            numbers: Numbers::Ramp { capacity, rate, warm_up, cold_factor },
            clock,
            ttl,
            max_buckets,
            cleanup_interval: cleanup_interval.get(),
            per_key: per_key.get(),
            key_by,
            evict: evict.get(),
            quota,
        })
    }

    /// Change the limits of all keys that have none of their own; what is not said stays.
    ///
    /// - `carry="proportional"`: a bucket that was half full is half full
    /// - `"as_is"`: as many permits are left as were; what is counted stays counted
    /// - `"reset"`: all is as new
    ///
    /// Those who wait keep their order; who would now wait longer than its timeout, or asked for
    /// more than can ever be had, is turned away. Nonsense is refused, and all stays as it was.
    #[pyo3(signature = (*, capacity = None, refill_rate = None, carry = None), text_signature = "($self, *, capacity=None, refill_rate=None, carry='proportional')")]
    fn reconfigure(
        slf: PyRef<'_, Self>,
        capacity: Option<&Bound<'_, PyAny>>,
        refill_rate: Option<&Bound<'_, PyAny>>,
        carry: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        live::change(
            slf.as_super(),
            Kind::Bucket("refill_rate"),
            None,
            (capacity, refill_rate),
            carry,
        )
    }

    /// Give a key limits of its own, or change them; `unconfigure` takes them away. Arguments as
    /// those of `reconfigure`. They stay, however long the key is not used.
    #[pyo3(signature = (key, *, capacity = None, refill_rate = None, carry = None), text_signature = "($self, key, *, capacity=None, refill_rate=None, carry='proportional')")]
    fn configure(
        slf: PyRef<'_, Self>,
        key: Key<'_>,
        capacity: Option<&Bound<'_, PyAny>>,
        refill_rate: Option<&Bound<'_, PyAny>>,
        carry: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        live::change(
            slf.as_super(),
            Kind::Bucket("refill_rate"),
            Some(&key),
            (capacity, refill_rate),
            carry,
        )
    }

    /// The burst of a warm key.
    #[getter]
    fn capacity(slf: PyRef<'_, Self>) -> PyResult<u32> {
        Ok(Algorithm::capacity(&slf.as_super().ramp()?))
    }

    /// The rate per second of a warm key.
    #[getter]
    fn refill_rate(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(slf.as_super().ramp()?.rate().as_per_second())
    }

    /// The seconds of load after which a key is warm.
    #[getter]
    fn warm_up(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(seconds::float(slf.as_super().ramp()?.warm_up()))
    }

    /// How many times slower a cold key is.
    #[getter]
    fn cold_factor(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(slf.as_super().ramp()?.cold_factor())
    }
}
