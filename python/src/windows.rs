//! The windows: at most so many in a stretch of time, counted in three ways.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::ask::Key;
use crate::given::Given;
use crate::limiter::KeyedLimiter;
use crate::live::{self, Kind};
use crate::options::{Numbers, Options, Slide};
use crate::seconds;

/// What all windows have, however they count. Each is made by a class of its own.
#[pyclass(frozen, subclass, extends = KeyedLimiter, module = "limitpal", name = "_Window")]
pub(crate) struct Window;

impl Window {
    fn base() -> PyClassInitializer<Self> {
        PyClassInitializer::from(KeyedLimiter::default()).add_subclass(Self)
    }
}

#[pymethods]
impl Window {
    /// Change the limits of all keys that have none of their own; what is not said stays.
    ///
    /// - `carry="proportional"`: windows know no share: as `"as_is"`
    /// - `"as_is"`: as many permits are left as were; what is counted stays counted
    /// - `"reset"`: all is as new
    ///
    /// Those who wait keep their order; who would now wait longer than its timeout, or asked for
    /// more than can ever be had, is turned away. Nonsense is refused, and all stays as it was.
    #[pyo3(signature = (*, limit = None, per = None, carry = None), text_signature = "($self, *, limit=None, per=None, carry='proportional')")]
    fn reconfigure(
        slf: PyRef<'_, Self>,
        limit: Option<&Bound<'_, PyAny>>,
        per: Option<&Bound<'_, PyAny>>,
        carry: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        live::change(slf.as_super(), Kind::Window, None, (limit, per), carry)
    }

    /// Give a key limits of its own, or change them; `unconfigure` takes them away. Arguments as
    /// those of `reconfigure`. They stay, however long the key is not used.
    #[pyo3(signature = (key, *, limit = None, per = None, carry = None), text_signature = "($self, key, *, limit=None, per=None, carry='proportional')")]
    fn configure(
        slf: PyRef<'_, Self>,
        key: Key<'_>,
        limit: Option<&Bound<'_, PyAny>>,
        per: Option<&Bound<'_, PyAny>>,
        carry: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        live::change(slf.as_super(), Kind::Window, Some(&key), (limit, per), carry)
    }

    /// How many go in a window.
    #[getter]
    fn limit(slf: PyRef<'_, Self>) -> PyResult<u32> {
        Ok(slf.as_super().windows()?.limits().0)
    }

    /// The seconds that a window lasts.
    #[getter]
    fn per(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(seconds::float(slf.as_super().windows()?.limits().1))
    }
}

/// Lets `limit` pass in each window of `per` seconds, for each key.
///
/// Windows start at multiples of `per` on the clock (`align="clock"`), or with a key's first use
/// since its last window ended (`align="first_use"`). What goes at the end of one does not count in
/// the next: the worst case in any stretch of `per` seconds is `2 * limit`.
/// The other options are those of `TokenBucket`; `max_buckets` is the most keys kept.
///
/// >>> from limitpal import FixedWindow, MockClock
/// >>> clock = MockClock()
/// >>> limiter = FixedWindow(limit=2, per=60, clock=clock)
/// >>> [limiter.allow("ann") for _ in range(3)]
/// [True, True, False]
/// >>> clock.advance(60)
/// >>> limiter.allow("ann")
/// True
#[pyclass(frozen, subclass, extends = Window, module = "limitpal")]
pub(crate) struct FixedWindow;

#[pymethods]
impl FixedWindow {
    /// Takes whatever a subclass takes; the arguments are read by `__init__`.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(limit, per, clock=None, ttl=None, max_buckets=None, cleanup_interval=100, *, align='clock', per_key=True, key_by=None, evict='nearest_new', quota=None)")]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        Window::base().add_subclass(Self)
    }

    #[pyo3(signature = (limit, per, clock=None, ttl=None, max_buckets=None, cleanup_interval=Given::LEFT_OUT, *, align=Given::LEFT_OUT, per_key=Given::LEFT_OUT, key_by=None, evict=Given::LEFT_OUT, quota=None))]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn __init__(
        slf: PyRef<'_, Self>,
        limit: &Bound<'_, PyAny>,
        per: &Bound<'_, PyAny>,
        clock: Option<&Bound<'_, PyAny>>,
        ttl: Option<&Bound<'_, PyAny>>,
        max_buckets: Option<&Bound<'_, PyAny>>,
        cleanup_interval: Given<'_>,
        align: Given<'_>,
        per_key: Given<'_>,
        key_by: Option<&Bound<'_, PyAny>>,
        evict: Given<'_>,
        quota: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        slf.as_super().as_super().init(&Options {
            numbers: Numbers::Window { limit, per, slide: Slide::Fixed(align.get()) },
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

    /// Where windows start: 'clock' or 'first_use'.
    #[getter]
    fn align(slf: PyRef<'_, Self>) -> PyResult<Option<&'static str>> {
        Ok(slf.as_super().as_super().windows()?.align)
    }
}

/// Lets about `limit` pass in any `per` seconds, for each key, remembering two counts.
///
/// It takes it that what went in the window of the clock before the present one went evenly. Where
/// it did not, the worst case in any stretch of `per` seconds is `2 * limit - 1`; for a promise
/// there is `SlidingWindowLog`.
/// The other options are those of `TokenBucket`; `max_buckets` is the most keys kept.
///
/// >>> from limitpal import MockClock, SlidingWindowCounter
/// >>> clock = MockClock()
/// >>> limiter = SlidingWindowCounter(limit=4, per=60, clock=clock)
/// >>> limiter.allow_many(["ann"] * 5)
/// [True, True, True, True, False]
/// >>> clock.advance(90)
/// >>> limiter.peek("ann").remaining
/// 2
#[pyclass(frozen, subclass, extends = Window, module = "limitpal")]
pub(crate) struct SlidingWindowCounter;

#[pymethods]
impl SlidingWindowCounter {
    /// Takes whatever a subclass takes; the arguments are read by `__init__`.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(limit, per, clock=None, ttl=None, max_buckets=None, cleanup_interval=100, *, per_key=True, key_by=None, evict='nearest_new', quota=None)")]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        Window::base().add_subclass(Self)
    }

    #[pyo3(signature = (limit, per, clock=None, ttl=None, max_buckets=None, cleanup_interval=Given::LEFT_OUT, *, per_key=Given::LEFT_OUT, key_by=None, evict=Given::LEFT_OUT, quota=None))]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn __init__(
        slf: PyRef<'_, Self>,
        limit: &Bound<'_, PyAny>,
        per: &Bound<'_, PyAny>,
        clock: Option<&Bound<'_, PyAny>>,
        ttl: Option<&Bound<'_, PyAny>>,
        max_buckets: Option<&Bound<'_, PyAny>>,
        cleanup_interval: Given<'_>,
        per_key: Given<'_>,
        key_by: Option<&Bound<'_, PyAny>>,
        evict: Given<'_>,
        quota: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        slf.as_super().as_super().init(&Options {
            numbers: Numbers::Window { limit, per, slide: Slide::Counter },
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
}

/// Lets `limit` pass in any `per` seconds and never more, for each key, remembering each take.
///
/// That costs 16 bytes for each take of the last `per` seconds. Who is the first to wait for a key
/// copies its log.
/// The other options are those of `TokenBucket`; `max_buckets` is the most keys kept.
///
/// >>> from limitpal import MockClock, SlidingWindowLog
/// >>> clock = MockClock()
/// >>> limiter = SlidingWindowLog(limit=2, per=60, clock=clock)
/// >>> limiter.allow("ann"), clock.advance(50), limiter.allow("ann"), limiter.allow("ann")
/// (True, None, True, False)
/// >>> limiter.check("ann").retry_after
/// 10.0
#[pyclass(frozen, subclass, extends = Window, module = "limitpal")]
pub(crate) struct SlidingWindowLog;

#[pymethods]
impl SlidingWindowLog {
    /// Takes whatever a subclass takes; the arguments are read by `__init__`.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(limit, per, clock=None, ttl=None, max_buckets=None, cleanup_interval=100, *, per_key=True, key_by=None, evict='nearest_new', quota=None)")]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        Window::base().add_subclass(Self)
    }

    #[pyo3(signature = (limit, per, clock=None, ttl=None, max_buckets=None, cleanup_interval=Given::LEFT_OUT, *, per_key=Given::LEFT_OUT, key_by=None, evict=Given::LEFT_OUT, quota=None))]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn __init__(
        slf: PyRef<'_, Self>,
        limit: &Bound<'_, PyAny>,
        per: &Bound<'_, PyAny>,
        clock: Option<&Bound<'_, PyAny>>,
        ttl: Option<&Bound<'_, PyAny>>,
        max_buckets: Option<&Bound<'_, PyAny>>,
        cleanup_interval: Given<'_>,
        per_key: Given<'_>,
        key_by: Option<&Bound<'_, PyAny>>,
        evict: Given<'_>,
        quota: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        slf.as_super().as_super().init(&Options {
            numbers: Numbers::Window { limit, per, slide: Slide::Log },
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
}
