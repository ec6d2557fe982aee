//! `TokenBucket`: bursts up to its capacity, a rate in the long run.

use limitpal::parts::{Keyed, Pace};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::ask::Key;
use crate::given::Given;
use crate::limiter::KeyedLimiter;
use crate::live::{self, Kind};
use crate::options::{Numbers, Options};
use crate::rate;

/// Lets bursts of up to `capacity` pass, and `refill_rate` a second in the long run.
///
/// Each key has a bucket of its own, which starts full. The worst case in any window of W seconds
/// is `capacity + refill_rate * W`.
///
/// - `capacity`: the burst, a whole number from 1 to 2^32-1
/// - `refill_rate`: per second, from 1e-9 to 1e6, or a `Rate`; `capacity / refill_rate` is 100 years
///   at most
/// - `clock`: reads and sleeps; the monotonic one
/// - `ttl`: seconds after which an idle bucket that is full again is forgotten; never
/// - `max_buckets`: the most buckets kept, no limit. A newcomer takes the place of one that is full
///   again, least recently used first; where all are in use, see `evict`
/// - `cleanup_interval`: look for buckets past their `ttl` every so many calls; no decision depends
///   on it
/// - `initial`: how many each bucket has when the limiter is made, 0 to `capacity`; all. A key that
///   is first seen later has what has come in since
/// - `debt`: a call that costs several goes as soon as one is there, and owes up to so many, which
///   later calls wait for; 0. With it costs up to `capacity + debt` are served, and the worst case
///   is higher by `debt`
/// - `per_key`: False for one bucket for everybody
/// - `key_by`: maps the caller's key to the bucket's
/// - `evict`: what becomes of a newcomer where all of `max_buckets` are in use. "nearest_new": it
///   takes the place of the one nearest to full, which `evicted_live` counts; "refuse_new": it is
///   refused, which `refused_new` counts; "inherit": it takes over the one nearest to full as it is
/// - `quota`: a function from a key that is new to limits of its own: `(capacity, rate)`,
///   "100/minute", a `Rate`, or None for those of all
///
/// >>> from limitpal import MockClock, TokenBucket
/// >>> clock = MockClock()
/// >>> limiter = TokenBucket(capacity=1, refill_rate=2, clock=clock)
/// >>> limiter.allow("ann"), limiter.allow("ann"), limiter.allow("bob")
/// (True, False, True)
/// >>> clock.advance(0.5)
/// >>> limiter.allow("ann")
/// True
#[pyclass(frozen, subclass, extends = KeyedLimiter, module = "limitpal")]
pub(crate) struct TokenBucket;

#[pymethods]
impl TokenBucket {
    /// Takes whatever a subclass takes; the arguments are read by `__init__`.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(capacity, refill_rate, clock=None, ttl=None, max_buckets=None, cleanup_interval=100, *, initial=None, debt=0, per_key=True, key_by=None, evict='nearest_new', quota=None)")]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        PyClassInitializer::from(KeyedLimiter::default()).add_subclass(Self)
    }

    #[pyo3(signature = (capacity, refill_rate, clock=None, ttl=None, max_buckets=None, cleanup_interval=Given::LEFT_OUT, *, initial=None, debt=Given::LEFT_OUT, per_key=Given::LEFT_OUT, key_by=None, evict=Given::LEFT_OUT, quota=None))]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn __init__(
        slf: PyRef<'_, Self>,
        capacity: &Bound<'_, PyAny>,
        refill_rate: &Bound<'_, PyAny>,
        clock: Option<&Bound<'_, PyAny>>,
        ttl: Option<&Bound<'_, PyAny>>,
        max_buckets: Option<&Bound<'_, PyAny>>,
        cleanup_interval: Given<'_>,
        initial: Option<&Bound<'_, PyAny>>,
        debt: Given<'_>,
        per_key: Given<'_>,
        key_by: Option<&Bound<'_, PyAny>>,
        evict: Given<'_>,
        quota: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (rate, pace, debt) = (refill_rate, Pace::Burst, debt.get());
        slf.as_super().init(&Options {
            numbers: Numbers::Bucket { capacity, rate, pace, initial, debt },
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

    /// Make one of a limit in words, as `Rate.parse` reads it; the burst is the count unless given.
    ///
    /// A full bucket refills while it is emptied, so that "100/minute" admits 200 in the worst
    /// minute; `burst=10` makes that 110. See `bound`.
    ///
    /// >>> from limitpal import TokenBucket
    /// >>> limiter = TokenBucket.per("100/minute", burst=10)
    /// >>> limiter.capacity, limiter.bound(60)
    /// (10, 110)
    #[classmethod]
    #[pyo3(signature = (rate, burst = None, **options))]
    fn per<'py>(
        cls: &Bound<'py, PyType>,
        rate: &Bound<'py, PyAny>,
        burst: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        rate::bucket(cls, rate, ("burst", burst), options)
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

    /// The burst.
    #[getter]
    fn capacity(slf: PyRef<'_, Self>) -> PyResult<u32> {
        Ok(slf.as_super().keyed()?.store().bucket().capacity())
    }

    /// The rate per second in the long run.
    #[getter]
    fn refill_rate(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(slf.as_super().keyed()?.store().bucket().rate().as_per_second())
    }

    /// How many tokens each bucket had when the limiter was made.
    #[getter]
    fn initial(slf: PyRef<'_, Self>) -> PyResult<u32> {
        Ok(slf.as_super().keyed()?.store().bucket().initial())
    }

    /// How many permits may be owed.
    #[getter]
    fn debt(slf: PyRef<'_, Self>) -> PyResult<u32> {
        Ok(slf.as_super().keyed()?.store().bucket().debt())
    }

    /// Return the tokens that a key has now; none while some are owed.
    #[pyo3(signature = (key = Key::DEFAULT), text_signature = "($self, key='default')")]
    fn get_tokens(slf: PyRef<'_, Self>, key: Key<'_>) -> PyResult<f64> {
        slf.as_super().view(&key, Keyed::tokens)
    }
}
