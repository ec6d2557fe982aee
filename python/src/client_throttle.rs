//! `ClientThrottle`: sends a server no more than it can bear.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use limitpal::TimeSource;
use limitpal::parts::{Answer, Counted, ThrottleCell, ThrottleSettings};
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::clock::PyClock;
use crate::coroutine::{CoroutineType, callable};
use crate::exception_types::{Failure, is_one_of, tuple_of};
use crate::given::Given;
use crate::limiter::unpicklable;
use crate::retry::seed_of;
use crate::{errors, seconds, unknown};

/// Sends a server that rejects requests few more than it accepts, and refuses the rest here.
///
/// The adaptive throttling of the book "Site Reliability Engineering", chapter 21: of the requests
/// of the last `window` seconds, a share is refused by lot, with the probability
/// `max(0, (requests - k * accepts) / (requests + 1))`. So `k` requests are sent for each that is
/// accepted. Until somebody is turned away nobody is refused, however many requests are still out.
///
/// - `k`: above 1; 1.1 wastes less of the server's work, and notices later that it is back
/// - `window`: seconds, longer than any answer takes; counts go by slices, 60 to a window
/// - `max_rejection`: the largest share refused; 0.9 lets one in ten through at worst
/// - `reject_on`: an exception type, or any iterable of them, that says the server did not do its
///   work; any other error is an answer of the server's, and so an accept
/// - `seed`: a throttle with a seed repeats its lots
///
/// A request counts when it is attempted, also one that is refused here. Refusals of our own and
/// cancelled calls never came to the server: they are taken back.
///
/// >>> from limitpal import ClientThrottle, MockClock
/// >>> throttle = ClientThrottle(seed=7, clock=MockClock())
/// >>> [throttle.allow() for _ in range(9)].count(True)
/// 9
/// >>> throttle.record_rejection()
/// >>> throttle.requests, throttle.accepts, throttle.rejection_probability
/// (9, 0, 0.9)
#[pyclass(frozen, subclass, module = "limitpal", weakref)]
pub(crate) struct ClientThrottle {
    cell: ThrottleCell,
    clock: PyClock,
    reject_on: Py<PyTuple>,
    coroutine: CoroutineType,
    /// The coroutine function behind `call_async`, asked for once.
    awaited: Py<PyAny>,
}

impl ClientThrottle {
    fn admit(&self, py: Python<'_>) -> PyResult<Counted> {
        let admitted = self.cell.admit(|| self.clock.now())?;
        admitted.map_err(|probability| errors::throttled(py, probability))
    }

    fn answered(&self, counted: Counted, answer: Answer) -> PyResult<()> {
        self.cell.settle(counted, answer, || self.clock.now())
    }

    /// Hears how a call ended with an error.
    fn failed(&self, py: Python<'_>, counted: Counted, error: &PyErr) -> PyResult<()> {
        match Failure::of(py, error)? {
            Failure::Failed if is_one_of(py, error, &self.reject_on) => {
                self.answered(counted, Answer::Rejected)
            }
            Failure::Failed => self.answered(counted, Answer::Accepted),
            Failure::Cancelled | Failure::OwnRefusal => {
                self.cell.take_back(counted);
                Ok(())
            }
        }
    }
}

#[pymethods]
impl ClientThrottle {
    #[new]
    #[pyo3(signature = (k=Given::LEFT_OUT, window=Given::LEFT_OUT, *, max_rejection=Given::LEFT_OUT, reject_on=Given::LEFT_OUT, seed=None, clock=None, **unknown), text_signature = "(k=2.0, window=120.0, *, max_rejection=1.0, reject_on=..., seed=None, clock=None)")]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn new(
        py: Python<'_>,
        k: Given<'_>,
        window: Given<'_>,
        max_rejection: Given<'_>,
        reject_on: Given<'_>,
        seed: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        unknown::refuse::<Self>(py, unknown)?;
        let number = |parameter: &str, value: &Given<'_>, default: f64| match value.get() {
            Some(value) => seconds::number(parameter, value, "give a number"),
            None => Ok(default),
        };
        let settings = ThrottleSettings::new(
            number("k", &k, 2.0)?,
            match window.get() {
                Some(value) => seconds::positive("window", value)?,
                None => Duration::from_secs(120),
            },
            number("max_rejection", &max_rejection, 1.0)?,
        );
        let settings = settings.map_err(|error| {
            let given = if error.parameter() == "k" { &k } else { &max_rejection };
            let given = given.get().expect("the defaults are in range");
            errors::from_core(py, &error, given)
        })?;
        let reject_on = match reject_on.get() {
            Some(types) => tuple_of("reject_on", types)?,
            None => PyTuple::new(py, [py.get_type::<PyException>()])?,
        };
        let cell = ThrottleCell::new(settings, seed.map(seed_of).transpose()?);
        let (clock, coroutine) = (PyClock::resolve(clock)?, CoroutineType::new(py)?);
        let awaited = py.import("limitpal._lent")?.getattr("call_async")?.unbind();
        Ok(Self { cell, clock, reject_on: reject_on.unbind(), coroutine, awaited })
    }

    /// The share of requests that is refused now, from 0 to `max_rejection`.
    #[getter]
    fn rejection_probability(&self) -> PyResult<f64> {
        self.cell.rejection_probability(|| self.clock.now())
    }

    /// How many requests there were in the last window, those refused here included.
    #[getter]
    fn requests(&self) -> PyResult<u64> {
        self.cell.requests(|| self.clock.now())
    }

    /// How many requests the server accepted in the last window.
    #[getter]
    fn accepts(&self) -> PyResult<u64> {
        self.cell.accepts(|| self.clock.now())
    }

    /// Count a request and return whether to send it; report with `record_accept` or
    /// `record_rejection`.
    fn allow(&self) -> PyResult<bool> {
        Ok(self.cell.admit(|| self.clock.now())?.is_ok())
    }

    /// Hear that the server accepted a request.
    fn record_accept(&self) -> PyResult<()> {
        self.cell.record(Answer::Accepted, || self.clock.now())
    }

    /// Hear that the server rejected a request, or did not answer it.
    fn record_rejection(&self) -> PyResult<()> {
        self.cell.record(Answer::Rejected, || self.clock.now())
    }

    /// Forget all counts; calls that are under way no longer count.
    fn reset(&self) {
        self.cell.reset();
    }

    /// Call a function unless the lot falls against it; raise `RateLimitExceeded` if it does.
    #[pyo3(signature = (func, /, *args, **kwargs))]
    fn call(
        &self,
        func: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let py = func.py();
        callable("func", func)?;
        let lent = Lent::by(self, py)?;
        match func.call(args, kwargs) {
            Ok(value) => {
                let value = self.coroutine.refuse(value, func, TWIN)?;
                self.answered(lent.into_counted(), Answer::Accepted)?;
                Ok(value.unbind())
            }
            Err(error) => {
                self.failed(py, lent.into_counted(), &error)?;
                Err(error)
            }
        }
    }

    /// Call a coroutine function, or a plain one, and await what it returns.
    #[pyo3(signature = (func, /, *args, **kwargs))]
    fn call_async<'py>(
        slf: &Bound<'py, Self>,
        func: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        callable("func", func)?;
        // A real coroutine, with tracebacks and cancellation as everyone expects, is Python's.
        slf.get().awaited.bind(slf.py()).call1((slf, func, args, kwargs))
    }

    /// Count a request of a call that is awaited.
    fn _lend(slf: &Bound<'_, Self>) -> PyResult<LentRequest> {
        let counted = slf.get().admit(slf.py())?;
        Ok(LentRequest { throttle: slf.clone().unbind(), counted: Mutex::new(Some(counted)) })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let settings = self.cell.settings();
        let show = |number: f64| PyResult::Ok(number.into_pyobject(py)?.repr()?.to_string());
        let seed = self.cell.seed().map_or_else(|| "None".to_owned(), |seed| seed.to_string());
        let probability = match self.rejection_probability() {
            Ok(probability) => show(probability)?,
            Err(_) => "unknown".to_owned(),
        };
        Ok(format!(
            "ClientThrottle(k={}, window={}, max_rejection={}, seed={seed}, \
             rejection_probability={probability})",
            show(settings.k())?,
            show(seconds::float(settings.window()))?,
            show(settings.max_rejection())?,
        ))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.reject_on)?;
        visit.call(&self.awaited)?;
        self.coroutine.traverse(&visit)?;
        self.clock.traverse(&visit)
    }
}

const TWIN: &str = "call_async()";

/// A request that is taken back when it is dropped.
struct Lent<'t> {
    throttle: &'t ClientThrottle,
    counted: Option<Counted>,
}

impl<'t> Lent<'t> {
    fn by(throttle: &'t ClientThrottle, py: Python<'_>) -> PyResult<Self> {
        Ok(Self { throttle, counted: Some(throttle.admit(py)?) })
    }

    fn into_counted(mut self) -> Counted {
        self.counted.take().expect("a request is taken out once")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(counted) = self.counted.take() {
            self.throttle.cell.take_back(counted);
        }
    }
}

/// A request in the hands of a coroutine; it is taken back when it is dropped.
#[pyclass(frozen, module = "limitpal._limitpal", name = "_LentRequest")]
pub(crate) struct LentRequest {
    throttle: Py<ClientThrottle>,
    counted: Mutex<Option<Counted>>,
}

impl LentRequest {
    fn take(&self) -> Option<Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl LentRequest {
    /// The server answered.
    fn succeeded(&self) -> PyResult<()> {
        let Some(counted) = self.take() else { return Ok(()) };
        self.throttle.get().answered(counted, Answer::Accepted)
    }

    /// The call ended with this error.
    fn failed(&self, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(counted) = self.take() else { return Ok(()) };
        self.throttle.get().failed(error.py(), counted, &PyErr::from_value(error.clone()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.throttle)
    }
}

impl Drop for LentRequest {
    fn drop(&mut self) {
        if let Some(counted) = self.take() {
            self.throttle.get().cell.take_back(counted);
        }
    }
}
