//! `AdaptiveConcurrency`: as many calls in flight as pay.

use std::sync::{Mutex, PoisonError};

use limitpal::parts::{AdaptiveCell, AdaptiveSettings, Partitions, Taken};
use limitpal::{AdaptiveAlgorithm, TimeSource};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::ask::count;
use crate::clock::PyClock;
use crate::exception_types::{Failure, is_one_of, tuple_of};
use crate::given::Given;
use crate::limiter::unpicklable;
use crate::retry::seed_of;
use crate::{errors, seconds, unknown};

/// Lets as many calls be in flight as the other side bears, and finds out how many that is.
///
/// Up to some number of calls at a time each more brings more throughput; beyond it calls queue,
/// and only their latency grows. The limit follows the latencies of calls that succeeded and falls
/// with those that were dropped. It moves once in a round: as many calls as the limit, ten at least.
///
/// - `algorithm`: "gradient2" compares the latency with its long average, "vegas" reckons from the
///   lowest one how many calls queue, "aimd" knows drops alone
/// - `min`, `max`, `initial`: whole numbers; left out, `initial` is 20 or the bound nearest to it
/// - `drop_on`: an exception type, or any iterable of them, that means overload: a timeout, a 503
/// - `partitions`: classes of calls and their shares of the limit, which sum to 1. `acquire("live")`
///   is never refused while fewer of its class are in flight than its share, rounded up; beyond it
///   a class goes while the whole has room
/// - `seed`: with one, "vegas" repeats when it measures its lowest latency anew
///
/// Nobody waits for a place: `acquire()` raises `RateLimitExceeded` when all are taken.
///
/// >>> from limitpal import AdaptiveConcurrency, MockClock
/// >>> clock = MockClock()
/// >>> limiter = AdaptiveConcurrency("vegas", initial=2, clock=clock)
/// >>> with limiter.acquire():
/// ...     clock.advance(0.05)  # your request goes here
/// ...     limiter.in_flight
/// 1
/// >>> limiter.in_flight, limiter.limit
/// (0, 2)
#[pyclass(frozen, subclass, module = "limitpal", weakref)]
pub(crate) struct AdaptiveConcurrency {
    cell: AdaptiveCell,
    clock: PyClock,
    drop_on: Py<PyTuple>,
}

impl AdaptiveConcurrency {
    /// Returns the rank of a class that a user named.
    fn class(&self, partition: &Bound<'_, PyAny>) -> PyResult<usize> {
        // No class is the empty text, so what is no text is refused with the same advice.
        let name = partition.cast::<PyString>().ok().and_then(|name| name.to_str().ok());
        let found = self.cell.class(name.unwrap_or_default());
        found.map_err(|error| errors::from_core(partition.py(), &error, partition))
    }
}

#[pymethods]
impl AdaptiveConcurrency {
    #[new]
    #[pyo3(signature = (algorithm=Given::LEFT_OUT, *, min=Given::LEFT_OUT, max=Given::LEFT_OUT, initial=Given::LEFT_OUT, drop_on=Given::LEFT_OUT, partitions=None, seed=None, clock=None, **unknown), text_signature = "(algorithm='gradient2', *, min=1, max=200, initial=20, drop_on=(), partitions=None, seed=None, clock=None)")]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn new(
        py: Python<'_>,
        algorithm: Given<'_>,
        min: Given<'_>,
        max: Given<'_>,
        initial: Given<'_>,
        drop_on: Given<'_>,
        partitions: Option<&Bound<'_, PyAny>>,
        seed: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        unknown::refuse::<Self>(py, unknown)?;
        let number = |name, value: &Given<'_>| {
            let advice = "give a whole number from 1 to 4294967295";
            value.get().map(|value| count::<u32>(name, value, advice)).transpose()
        };
        let bounds = (
            number("min", &min)?.unwrap_or(AdaptiveSettings::MIN),
            number("max", &max)?.unwrap_or(AdaptiveSettings::MAX),
        );
        let algorithm = algorithm.get().map_or(Ok(AdaptiveAlgorithm::default()), algorithm_of)?;
        let settings = AdaptiveSettings::new(algorithm, bounds, number("initial", &initial)?);
        let settings = settings.map_err(|error| {
            let given = match error.parameter() {
                "min" => &min,
                "max" => &max,
                _ => &initial,
            };
            match given.get() {
                Some(value) => errors::from_core(py, &error, value),
                // The default for the highest limit, with a lowest one above it.
                None => match bounds.1.into_pyobject(py) {
                    Ok(value) => errors::from_core(py, &error, value.as_any()),
                    Err(never) => match never {},
                },
            }
        })?;
        let drop_on = match drop_on.get() {
            Some(types) => tuple_of("drop_on", types)?,
            None => PyTuple::empty(py),
        };
        let partitions = partitions.map(partitions_of).transpose()?;
        let seed = seed.map(seed_of).transpose()?;
        let cell = AdaptiveCell::partitioned(settings, partitions, seed);
        Ok(Self { cell, clock: PyClock::resolve(clock)?, drop_on: drop_on.unbind() })
    }

    /// How many calls may be in flight.
    #[getter]
    fn limit(&self) -> u32 {
        self.cell.limit()
    }

    /// How many calls are in flight.
    #[getter]
    fn in_flight(&self) -> u32 {
        self.cell.in_flight()
    }

    /// Take a place for one call, of a class if there are some; raise `RateLimitExceeded` if there
    /// is none left.
    #[pyo3(signature = (partition = None))]
    fn acquire(
        slf: &Bound<'_, Self>,
        partition: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<AdaptivePermit> {
        let full = || errors::no_place(slf.py(), slf.get().limit());
        Self::try_acquire(slf, partition)?.ok_or_else(full)
    }

    /// Take a place for one call, of a class if there are some, or return None if there is none
    /// left.
    #[pyo3(signature = (partition = None))]
    fn try_acquire(
        slf: &Bound<'_, Self>,
        partition: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<AdaptivePermit>> {
        let limiter = slf.get();
        let class = partition.map(|partition| limiter.class(partition)).transpose()?;
        let taken = limiter.cell.try_acquire_as(class, || limiter.clock.now())?;
        let permit = |taken| AdaptivePermit {
            limiter: slf.clone().unbind(),
            taken: Mutex::new(Some(taken)),
        };
        Ok(taken.map(permit))
    }

    /// Return how many calls of a class are in flight.
    fn in_flight_of(&self, partition: &Bound<'_, PyAny>) -> PyResult<u32> {
        Ok(self.cell.in_flight_of(self.class(partition)?))
    }

    /// Return how many calls in flight a class is guaranteed now: its share, rounded up.
    fn places_of(&self, partition: &Bound<'_, PyAny>) -> PyResult<u32> {
        Ok(self.cell.places_of(self.class(partition)?))
    }

    fn __repr__(&self) -> String {
        let settings = self.cell.settings();
        format!(
            "AdaptiveConcurrency('{}', min={}, max={}, limit={}, in_flight={})",
            settings.algorithm().as_str(),
            settings.min(),
            settings.max(),
            self.limit(),
            self.in_flight(),
        )
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.drop_on)?;
        self.clock.traverse(&visit)
    }
}

/// A place among the calls in flight, which measures how long its call takes.
///
/// As a context manager it counts as a success when the block ends, as dropped when it raises an
/// exception that `drop_on` names, and is ignored for any other. Said before, that holds; saying it
/// twice is harmless. Forgotten, it goes back ignored.
#[pyclass(frozen, module = "limitpal._limitpal")]
pub(crate) struct AdaptivePermit {
    limiter: Py<AdaptiveConcurrency>,
    taken: Mutex<Option<Taken>>,
}

impl AdaptivePermit {
    fn take(&self) -> Option<Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl AdaptivePermit {
    /// The call did what it should, and its latency counts.
    fn success(&self) -> PyResult<()> {
        let limiter = self.limiter.get();
        match self.take() {
            Some(taken) => limiter.cell.succeeded(taken, || limiter.clock.now()),
            None => Ok(()),
        }
    }

    /// The call timed out or was thrown out for overload; the limit falls.
    fn dropped(&self) {
        if let Some(taken) = self.take() {
            self.limiter.get().cell.dropped(taken);
        }
    }

    /// The call tells nothing about the load: it was cancelled, or failed for a reason of its own.
    fn ignore(&self) {
        if let Some(taken) = self.take() {
            self.limiter.get().cell.ignore(taken);
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(
        &self,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (kind, trace);
        if error.is_none() {
            return self.success();
        }
        let (py, raised) = (error.py(), PyErr::from_value(error.clone()));
        let is_named = is_one_of(py, &raised, &self.limiter.get().drop_on);
        if is_named && Failure::of(py, &raised)? == Failure::Failed {
            self.dropped();
        } else {
            self.ignore();
        }
        Ok(())
    }

    fn __repr__(&self) -> &'static str {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.is_some() { "<AdaptivePermit in flight>" } else { "<AdaptivePermit given back>" }
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.limiter)
    }
}

impl Drop for AdaptivePermit {
    fn drop(&mut self) {
        self.ignore();
    }
}

/// Reads the shares of classes by their names.
fn partitions_of(given: &Bound<'_, PyAny>) -> PyResult<Partitions> {
    const ADVICE: &str = "give a dict of classes and shares, such as {'live': 0.8, 'batch': 0.2}";
    let refuse = || errors::invalid_config(given.py(), "partitions", given, ADVICE);
    let mut shares = Vec::new();
    for (name, share) in given.cast::<PyDict>().map_err(|_| refuse())? {
        let name = name.cast::<PyString>().ok().and_then(|name| name.to_str().ok());
        let name = name.filter(|name| !name.is_empty()).ok_or_else(refuse)?;
        shares.push((name.to_owned(), seconds::number("partitions", &share, ADVICE)?));
    }
    Partitions::new(shares).map_err(|error| errors::from_core(given.py(), &error, given))
}

fn algorithm_of(algorithm: &Bound<'_, PyAny>) -> PyResult<AdaptiveAlgorithm> {
    let text = algorithm.cast::<PyString>().ok().and_then(|text| text.to_str().ok());
    match text {
        Some("gradient2") => Ok(AdaptiveAlgorithm::Gradient2),
        Some("vegas") => Ok(AdaptiveAlgorithm::Vegas),
        Some("aimd") => Ok(AdaptiveAlgorithm::Aimd),
        _ => {
            let advice = "give \"gradient2\", \"vegas\" or \"aimd\"";
            Err(errors::invalid_config(algorithm.py(), "algorithm", algorithm, advice))
        }
    }
}
