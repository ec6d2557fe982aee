//! `LeakyBucket`: what waits leaves one by one, evenly.

use limitpal::parts::{Keyed, Pace};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::ask::Key;
use crate::given::Given;
use crate::limiter::KeyedLimiter;
use crate::live::{self, Kind};
use crate::options::{Numbers, Options};
use crate::{rate, seconds};

/// The smooth one: a backlog drains at `leak_rate` a second.
///
/// - `allow` joins while the backlog is below `capacity`: policing.
/// - `acquire` leaves one `1 / leak_rate` after the one before it, the first at once: evenly,
///   without bursts. It never refuses for capacity; waiting is what the queue is for.
///
/// Its options are those of `TokenBucket`.
///
/// >>> from limitpal import LeakyBucket, MockClock
/// >>> clock = MockClock()
/// >>> limiter = LeakyBucket(capacity=20, leak_rate=10, clock=clock)
/// >>> for _ in range(3):
/// ...     limiter.acquire("jobs")
/// >>> clock.now()
/// 0.2
#[pyclass(frozen, subclass, extends = KeyedLimiter, module = "limitpal")]
pub(crate) struct LeakyBucket;

#[pymethods]
impl LeakyBucket {
    /// Takes whatever a subclass takes; the arguments are read by `__init__`.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(capacity, leak_rate, clock=None, ttl=None, max_buckets=None, cleanup_interval=100, *, per_key=True, key_by=None, evict='nearest_new', quota=None)")]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        PyClassInitializer::from(KeyedLimiter::default()).add_subclass(Self)
    }

    #[pyo3(signature = (capacity, leak_rate, clock=None, ttl=None, max_buckets=None, cleanup_interval=Given::LEFT_OUT, *, per_key=Given::LEFT_OUT, key_by=None, evict=Given::LEFT_OUT, quota=None))]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn __init__(
        slf: PyRef<'_, Self>,
        capacity: &Bound<'_, PyAny>,
        leak_rate: &Bound<'_, PyAny>,
        clock: Option<&Bound<'_, PyAny>>,
        ttl: Option<&Bound<'_, PyAny>>,
        max_buckets: Option<&Bound<'_, PyAny>>,
        cleanup_interval: Given<'_>,
        per_key: Given<'_>,
        key_by: Option<&Bound<'_, PyAny>>,
        evict: Given<'_>,
        quota: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (rate, pace) = (leak_rate, Pace::Even);
        slf.as_super().init(&Options {
            numbers: Numbers::Bucket { capacity, rate, pace, initial: None, debt: None },
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

    /// Make one of a limit in words, as `Rate.parse` reads it; the capacity is the count unless given.
    ///
    /// >>> from limitpal import LeakyBucket
    /// >>> limiter = LeakyBucket.per("100/minute", capacity=5)
    /// >>> limiter.capacity, limiter.bound(60)
    /// (5, 105)
    #[classmethod]
    #[pyo3(signature = (rate, capacity = None, **options))]
    fn per<'py>(
        cls: &Bound<'py, PyType>,
        rate: &Bound<'py, PyAny>,
        capacity: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        rate::bucket(cls, rate, ("capacity", capacity), options)
    }

    /// Change the limits of all keys that have none of their own; what is not said stays.
    ///
    /// - `carry="proportional"`: a bucket that was half full is half full
    /// - `"as_is"`: as many permits are left as were; what is counted stays counted
    /// - `"reset"`: all is as new
    ///
    /// Those who wait keep their order; who would now wait longer than its timeout, or asked for
    /// more than can ever be had, is turned away. Nonsense is refused, and all stays as it was.
    #[pyo3(signature = (*, capacity = None, leak_rate = None, carry = None), text_signature = "($self, *, capacity=None, leak_rate=None, carry='proportional')")]
    fn reconfigure(
        slf: PyRef<'_, Self>,
        capacity: Option<&Bound<'_, PyAny>>,
        leak_rate: Option<&Bound<'_, PyAny>>,
        carry: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        live::change(slf.as_super(), Kind::Bucket("leak_rate"), None, (capacity, leak_rate), carry)
    }

    /// Give a key limits of its own, or change them; `unconfigure` takes them away. Arguments as
    /// those of `reconfigure`. They stay, however long the key is not used.
    #[pyo3(signature = (key, *, capacity = None, leak_rate = None, carry = None), text_signature = "($self, key, *, capacity=None, leak_rate=None, carry='proportional')")]
    fn configure(
        slf: PyRef<'_, Self>,
        key: Key<'_>,
        capacity: Option<&Bound<'_, PyAny>>,
        leak_rate: Option<&Bound<'_, PyAny>>,
        carry: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        live::change(
            slf.as_super(),
            Kind::Bucket("leak_rate"),
            Some(&key),
            (capacity, leak_rate),
            carry,
        )
    }

    /// The backlog up to which `allow` joins.
    #[getter]
    fn capacity(slf: PyRef<'_, Self>) -> PyResult<u32> {
        Ok(slf.as_super().keyed()?.store().bucket().capacity())
    }

    /// The rate per second at which a backlog drains.
    #[getter]
    fn leak_rate(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(slf.as_super().keyed()?.store().bucket().rate().as_per_second())
    }

    /// Return a key's backlog, rounded up.
    #[pyo3(signature = (key = Key::DEFAULT), text_signature = "($self, key='default')")]
    fn get_queue_size(slf: PyRef<'_, Self>, key: Key<'_>) -> PyResult<u64> {
        slf.as_super().view(&key, Keyed::queued)
    }

    /// Return the seconds until `allow` would succeed.
    #[pyo3(signature = (key = Key::DEFAULT), text_signature = "($self, key='default')")]
    fn get_wait_time(slf: PyRef<'_, Self>, key: Key<'_>) -> PyResult<f64> {
        slf.as_super().view(&key, |keyed, bucket| {
            let wait = keyed.peek(bucket, 1)?.retry_after.duration();
            Ok(wait.map_or(f64::INFINITY, seconds::float))
        })
    }
}
