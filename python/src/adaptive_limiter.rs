//! `AdaptiveLimiter`: as many calls a second as the other side takes.

use std::sync::{Arc, OnceLock};

use limitpal::parts::{AdaptiveRate, AdaptiveRateSettings, Algorithm, Heard, Keyed};
use limitpal::{InvalidConfig, RateAlgorithm};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::ask::{Cost, Key, count};
use crate::clock::PyClock;
use crate::coroutine::{CoroutineType, callable};
use crate::exception_types::{Failure, is_one_of, tuple_of};
use crate::given::Given;
use crate::limiter::KeyedLimiter;
use crate::live::{self, Kind};
use crate::options::{Numbers, Options};
use crate::{errors, rate, seconds};

/// Lets as many calls a second through as the other side takes, and finds out how many that is.
///
/// Each key has a bucket whose rate falls when the other side throttles (answers 429, say) and rises
/// with each call that succeeds, up to `max_rate`. Until it has throttled once, the rate is where it
/// began.
///
/// - `max_rate`: the highest rate, per second, from 1e-9 to 1e6, or a `Rate`; the worst case in any
///   window of W seconds is `burst + max_rate * W`
/// - `algorithm`: "cubic" comes back to `0.4 * (t - k)**3 + peak`, t seconds after throttling at
///   `peak`, where k is the cube root of `peak * (1 - decrease) / 0.4`, as the AWS SDKs do; "aimd"
///   rises by `increase` a second where all of the rate is used
/// - `min_rate`, `initial_rate`: the lowest rate (0.5, or `max_rate`) and the first (`max_rate`)
/// - `burst`: how many may go at once after a pause
/// - `decrease`: what is left of the rate when throttled; 0.7, with "aimd" 0.9
/// - `increase`: of "aimd" alone, permits a second gained in a second; `max_rate / 300`
/// - `cooldown`: seconds in which further throttling does not count
/// - `forget_after`: seconds after which an idle key starts over
/// - `throttled_on`: for `call`: an exception type, or any iterable of them, that means throttled
///
/// The other options are those of `TokenBucket`. A success never leaves the rate above twice what
/// goes, measured for half a second at a time.
///
/// >>> from limitpal import AdaptiveLimiter, MockClock
/// >>> clock = MockClock()
/// >>> limiter = AdaptiveLimiter(max_rate=100, clock=clock)
/// >>> for _ in range(50):
/// ...     limiter.acquire("api")
/// ...     clock.advance(0.02)  # fifty a second
/// >>> limiter.record_throttled("api")
/// >>> limiter.rate("api")
/// 35.0
#[pyclass(frozen, subclass, extends = KeyedLimiter, module = "limitpal")]
#[derive(Default)]
pub(crate) struct AdaptiveLimiter {
    /// Set by `__init__`.
    told: OnceLock<Told>,
}

/// How a call that ends is told.
struct Told {
    throttled_on: Option<Py<PyTuple>>,
    coroutine: CoroutineType,
}

/// The numbers as given; `None` where they were left out.
#[derive(Clone, Copy)]
pub(crate) struct AdaptiveNumbers<'a, 'py> {
    pub(crate) max_rate: &'a Bound<'py, PyAny>,
    algorithm: Option<&'a Bound<'py, PyAny>>,
    min_rate: Option<&'a Bound<'py, PyAny>>,
    initial_rate: Option<&'a Bound<'py, PyAny>>,
    burst: Option<&'a Bound<'py, PyAny>>,
    decrease: Option<&'a Bound<'py, PyAny>>,
    increase: Option<&'a Bound<'py, PyAny>>,
    cooldown: Option<&'a Bound<'py, PyAny>>,
    forget_after: Option<&'a Bound<'py, PyAny>>,
}

impl<'a, 'py> AdaptiveNumbers<'a, 'py> {
    /// Checks them.
    pub(crate) fn checked(&self) -> PyResult<AdaptiveRate> {
        let max_rate = rate::given("max_rate", self.max_rate)?;
        let refuse = |error: InvalidConfig| self.refusal(&error);
        let mut settings = AdaptiveRateSettings::new(max_rate).map_err(refuse)?;
        if let Some(algorithm) = self.algorithm {
            settings.algorithm = algorithm_of(algorithm)?;
        }
        if let Some(min_rate) = self.min_rate {
            settings.min_rate = rate::given("min_rate", min_rate)?;
        }
        if let Some(initial_rate) = self.initial_rate {
            settings.initial_rate = rate::given("initial_rate", initial_rate)?;
        }
        if let Some(burst) = self.burst {
            const ADVICE: &str = "give a whole number from 1 to 4294967295";
            settings.burst = count("burst", burst, ADVICE)?;
        }
        let number = |name, value: Option<&Bound<'py, PyAny>>| {
            value.map(|value| seconds::number(name, value, "give a number")).transpose()
        };
        settings.decrease = number("decrease", self.decrease)?;
        settings.increase = number("increase", self.increase)?;
        if let Some(cooldown) = self.cooldown {
            const ADVICE: &str = "give a time in seconds of at least 0, 100 years at most";
            settings.cooldown = seconds::window("cooldown", cooldown, ADVICE)?;
        }
        if let Some(forget_after) = self.forget_after {
            settings.forget_after = seconds::positive("forget_after", forget_after)?;
        }
        AdaptiveRate::new(settings).map_err(refuse)
    }

    /// Shows the number that is wrong as it was given.
    fn refusal(&self, error: &InvalidConfig) -> PyErr {
        let given = match error.parameter() {
            "min_rate" => self.min_rate,
            "initial_rate" => self.initial_rate,
            "burst" => self.burst,
            "decrease" => self.decrease,
            "increase" => self.increase,
            "cooldown" => self.cooldown,
            _ => None,
        };
        let given = given.unwrap_or(self.max_rate);
        errors::from_core(given.py(), error, given)
    }
}

/// Returns the keyed limiter behind one, and writes its settings down as they are given.
pub(crate) fn shown(py: Python<'_>, keyed: &Keyed<PyClock, AdaptiveRate>) -> PyResult<String> {
    let settings = *keyed.store().bucket().settings();
    let number = |number: f64| PyResult::Ok(number.into_pyobject(py)?.repr()?.to_string());
    let mut text = format!(
        "max_rate={}, algorithm='{}', min_rate={}, initial_rate={}, burst={}, decrease={}",
        number(settings.max_rate.as_per_second())?,
        settings.algorithm.as_str(),
        number(settings.min_rate.as_per_second())?,
        number(settings.initial_rate.as_per_second())?,
        settings.burst,
        number(settings.decrease())?,
    );
    if settings.algorithm == RateAlgorithm::Aimd {
        text += &format!(", increase={}", number(settings.increase())?);
    }
    let (cooldown, forget) = (settings.cooldown, settings.forget_after);
    text += &format!(", cooldown={}", number(seconds::float(cooldown))?);
    text += &format!(", forget_after={}", number(seconds::float(forget))?);
    Ok(text)
}

impl AdaptiveLimiter {
    fn keyed<'s>(slf: &'s PyRef<'_, Self>) -> PyResult<&'s Arc<Keyed<PyClock, AdaptiveRate>>> {
        slf.as_super().adaptive()
    }

    fn hear(slf: &PyRef<'_, Self>, key: &Key<'_>, heard: Heard) -> PyResult<()> {
        let keyed = Self::keyed(slf)?;
        keyed.hear(keyed.fingerprint(key.as_str())?, heard)
    }

    /// Returns what means throttled, and how to tell a coroutine.
    fn told(&self) -> PyResult<(&Py<PyTuple>, &CoroutineType)> {
        let told =
            self.told.get().and_then(|told| Some((told.throttled_on.as_ref()?, &told.coroutine)));
        told.ok_or_else(|| {
            PyTypeError::new_err(
                "call() does not know what means throttled; make the limiter with throttled_on, \
                 an exception type or several in a tuple",
            )
        })
    }
}

#[pymethods]
impl AdaptiveLimiter {
    /// Takes whatever a subclass takes; the arguments are read by `__init__`.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(max_rate, clock=None, ttl=None, max_buckets=None, cleanup_interval=100, *, algorithm='cubic', min_rate=None, initial_rate=None, burst=1, decrease=None, increase=None, cooldown=0.5, forget_after=600.0, throttled_on=None, per_key=True, key_by=None, evict='nearest_new', quota=None)")]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        PyClassInitializer::from(KeyedLimiter::default()).add_subclass(Self::default())
    }

    #[pyo3(signature = (max_rate, clock=None, ttl=None, max_buckets=None, cleanup_interval=Given::LEFT_OUT, *, algorithm=Given::LEFT_OUT, min_rate=None, initial_rate=None, burst=Given::LEFT_OUT, decrease=None, increase=None, cooldown=Given::LEFT_OUT, forget_after=Given::LEFT_OUT, throttled_on=None, per_key=Given::LEFT_OUT, key_by=None, evict=Given::LEFT_OUT, quota=None))]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn __init__(
        slf: PyRef<'_, Self>,
        max_rate: &Bound<'_, PyAny>,
        clock: Option<&Bound<'_, PyAny>>,
        ttl: Option<&Bound<'_, PyAny>>,
        max_buckets: Option<&Bound<'_, PyAny>>,
        cleanup_interval: Given<'_>,
        algorithm: Given<'_>,
        min_rate: Option<&Bound<'_, PyAny>>,
        initial_rate: Option<&Bound<'_, PyAny>>,
        burst: Given<'_>,
        decrease: Option<&Bound<'_, PyAny>>,
        increase: Option<&Bound<'_, PyAny>>,
        cooldown: Given<'_>,
        forget_after: Given<'_>,
        throttled_on: Option<&Bound<'_, PyAny>>,
        per_key: Given<'_>,
        key_by: Option<&Bound<'_, PyAny>>,
        evict: Given<'_>,
        quota: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let types = throttled_on.map(|types| tuple_of("throttled_on", types)).transpose()?;
        let told = Told {
            throttled_on: types.map(Bound::unbind),
            coroutine: CoroutineType::new(slf.py())?,
        };
        slf.as_super().init(&Options {
            numbers: Numbers::Adaptive(AdaptiveNumbers {
                max_rate,
                algorithm: algorithm.get(),
                min_rate,
                initial_rate,
                burst: burst.get(),
                decrease,
                increase,
                cooldown: cooldown.get(),
                forget_after: forget_after.get(),
            }),
            clock,
            ttl,
            max_buckets,
            cleanup_interval: cleanup_interval.get(),
            per_key: per_key.get(),
            key_by,
            evict: evict.get(),
            quota,
        })?;
        // Nobody else has: `init` lets one through.
        let _ = slf.told.set(told);
        Ok(())
    }

    /// Hear that the other side did what a call asked for: the rate may rise.
    #[pyo3(signature = (key = Key::DEFAULT), text_signature = "($self, key='default')")]
    fn record_success(slf: PyRef<'_, Self>, key: Key<'_>) -> PyResult<()> {
        Self::hear(&slf, &key, Heard::Success)
    }

    /// Hear that the other side throttled a call: the rate falls, unless it just has.
    #[pyo3(signature = (key = Key::DEFAULT), text_signature = "($self, key='default')")]
    fn record_throttled(slf: PyRef<'_, Self>, key: Key<'_>) -> PyResult<()> {
        Self::hear(&slf, &key, Heard::Throttled)
    }

    /// Wait for the turn, call a function, and record what comes of it.
    ///
    /// A result is a success, an exception that `throttled_on` names is throttling. Any other says
    /// nothing about the rate, and neither do cancellation and refusals of our own.
    ///
    /// >>> from limitpal import AdaptiveLimiter, MockClock
    /// >>> limiter = AdaptiveLimiter(100, throttled_on=ConnectionRefusedError, clock=MockClock())
    /// >>> limiter.call("api", str.upper, "done")
    /// 'DONE'
    #[pyo3(signature = (key, func, /, *args, **kwargs))]
    fn call(
        slf: PyRef<'_, Self>,
        key: Key<'_>,
        func: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        callable("func", func)?;
        let (_, coroutine) = slf.told()?;
        slf.as_super().wait_for(func.py(), &key, None, Cost::ONE)?;
        match func.call(args, kwargs) {
            Ok(value) => {
                let value = coroutine.refuse(value, func, "AsyncAdaptiveLimiter")?;
                Self::hear(&slf, &key, Heard::Success)?;
                Ok(value.unbind())
            }
            Err(error) => {
                Self::failed(&slf, &key, &error)?;
                Err(error)
            }
        }
    }

    /// Return a key's rate now, in permits a second.
    #[pyo3(signature = (key = Key::DEFAULT), text_signature = "($self, key='default')")]
    fn rate(slf: PyRef<'_, Self>, key: Key<'_>) -> PyResult<f64> {
        let keyed = Self::keyed(&slf)?;
        keyed.rate(keyed.fingerprint(key.as_str())?)
    }

    /// Change the limits of all keys that have none of their own; what is not said stays.
    ///
    /// `max_rate` is the highest rate; `min_rate` and `initial_rate` are no higher, and an
    /// `initial_rate` that was the highest stays that. What was learned of a key stays, within that.
    /// `burst` is how many may go at once, and goes by `carry`:
    ///
    /// - `carry="proportional"`: a burst that was half there is half there
    /// - `"as_is"`: as many permits are left as were
    /// - `"reset"`: all is as new, what was learned too
    ///
    /// Those who wait keep their order; who would now wait longer than its timeout, or asked for
    /// more than can ever be had, is turned away. Nonsense is refused, and all stays as it was.
    #[pyo3(signature = (*, max_rate = None, burst = None, carry = None), text_signature = "($self, *, max_rate=None, burst=None, carry='proportional')")]
    fn reconfigure(
        slf: PyRef<'_, Self>,
        max_rate: Option<&Bound<'_, PyAny>>,
        burst: Option<&Bound<'_, PyAny>>,
        carry: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        live::change(slf.as_super(), Kind::Adaptive, None, (burst, max_rate), carry)
    }

    /// Give a key limits of its own, or change them; `unconfigure` takes them away. Arguments as
    /// those of `reconfigure`. They stay, however long the key is not used.
    #[pyo3(signature = (key, *, max_rate = None, burst = None, carry = None), text_signature = "($self, key, *, max_rate=None, burst=None, carry='proportional')")]
    fn configure(
        slf: PyRef<'_, Self>,
        key: Key<'_>,
        max_rate: Option<&Bound<'_, PyAny>>,
        burst: Option<&Bound<'_, PyAny>>,
        carry: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        live::change(slf.as_super(), Kind::Adaptive, Some(&key), (burst, max_rate), carry)
    }

    /// The highest rate, per second.
    #[getter]
    fn max_rate(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(Self::keyed(&slf)?.store().bucket().settings().max_rate.as_per_second())
    }

    /// The lowest rate, per second.
    #[getter]
    fn min_rate(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(Self::keyed(&slf)?.store().bucket().settings().min_rate.as_per_second())
    }

    /// How the rate moves: 'cubic' or 'aimd'.
    #[getter]
    fn algorithm(slf: PyRef<'_, Self>) -> PyResult<&'static str> {
        Ok(Self::keyed(&slf)?.store().bucket().settings().algorithm.as_str())
    }

    /// How many may go at once.
    #[getter]
    fn burst(slf: PyRef<'_, Self>) -> PyResult<u32> {
        Ok(Self::keyed(&slf)?.store().bucket().capacity())
    }

    /// Refuse what is no function, or if nothing is known to mean throttled; for the async twin.
    fn _ready(&self, func: &Bound<'_, PyAny>) -> PyResult<()> {
        callable("func", func)?;
        self.told().map(drop)
    }

    /// Hear how a call ended with an exception; for the async twin.
    fn _failed(slf: PyRef<'_, Self>, key: Key<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::failed(&slf, &key, &PyErr::from_value(error.clone()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(told) = self.told.get() else { return Ok(()) };
        visit.call(&told.throttled_on)?;
        told.coroutine.traverse(&visit)
    }
}

impl AdaptiveLimiter {
    fn failed(slf: &PyRef<'_, Self>, key: &Key<'_>, error: &PyErr) -> PyResult<()> {
        let py = slf.py();
        let is_throttled = is_one_of(py, error, slf.told()?.0);
        if is_throttled && Failure::of(py, error)? == Failure::Failed {
            Self::hear(slf, key, Heard::Throttled)?;
        }
        Ok(())
    }
}

fn algorithm_of(algorithm: &Bound<'_, PyAny>) -> PyResult<RateAlgorithm> {
    match algorithm.extract::<&str>() {
        Ok("cubic") => Ok(RateAlgorithm::Cubic),
        Ok("aimd") => Ok(RateAlgorithm::Aimd),
        _ => {
            let advice = "give \"cubic\" or \"aimd\"";
            Err(errors::invalid_config(algorithm.py(), "algorithm", algorithm, advice))
        }
    }
}
