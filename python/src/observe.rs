//! Who listens: from the core's events to Python's, which are in `_events.py`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use limitpal::parts::{Observer, Teller};
use limitpal::{Event, Outcome, Subscription as CoreSubscription};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use crate::{coroutine, errors, seconds};

/// The share of a limit from which on a key is near it, unless one says otherwise.
const NEAR: f64 = 0.8;
const SHARE: &str = "give a share of the limit, above 0 and 1 at most";

/// The observers of one limiter, so that the garbage collector sees them.
#[derive(Default)]
pub(crate) struct Observers(Arc<Mutex<Vec<Kept>>>);

struct Kept {
    subscription: CoreSubscription,
    /// The one reference to it is shared with the core.
    observer: Arc<Py<PyAny>>,
}

impl Observers {
    /// Adds one that is called with each event.
    pub(crate) fn add(
        &self,
        teller: &Teller,
        evicted_live: u64,
        observer: &Bound<'_, PyAny>,
        near_limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Subscription> {
        coroutine::callable("observer", observer)?;
        let share =
            near_limit.map_or(Ok(NEAR), |given| seconds::number("near_limit", given, SHARE))?;
        let observer_ref = Arc::new(observer.clone().unbind());
        let called = Arc::clone(&observer_ref);
        let hears: Observer = Arc::new(move |event| hear(&called, event));
        let subscribed = teller.observe(share, hears, evicted_live);
        let subscription = subscribed.map_err(|error| match near_limit {
            Some(given) => errors::from_core(given.py(), &error, given),
            None => errors::described(observer.py(), &error),
        })?;
        let kept = Kept { subscription: subscription.clone(), observer: observer_ref };
        enter(&self.0).push(kept);
        Ok(Subscription { subscription, observers: Arc::downgrade(&self.0) })
    }

    /// As `add`, of what is no limiter; `is_about` says which events it wants.
    pub(crate) fn add_plain(
        &self,
        teller: &Teller,
        observer: &Bound<'_, PyAny>,
        is_about: impl Fn(&Event) -> bool + Send + Sync + 'static,
    ) -> PyResult<Subscription> {
        coroutine::callable("observer", observer)?;
        let observer_ref = Arc::new(observer.clone().unbind());
        let called = Arc::clone(&observer_ref);
        let hears: Observer = Arc::new(move |event| {
            if is_about(event) {
                hear(&called, event);
            }
        });
        let subscribed = teller.observe(NEAR, hears, 0);
        let subscription = subscribed.map_err(|error| errors::described(observer.py(), &error))?;
        let kept = Kept { subscription: subscription.clone(), observer: observer_ref };
        enter(&self.0).push(kept);
        Ok(Subscription { subscription, observers: Arc::downgrade(&self.0) })
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(kept) = self.0.try_lock() else { return Ok(()) };
        kept.iter().try_for_each(|kept| visit.call(&*kept.observer))
    }
}

/// Calls an observer; its exception ends here, where Python shows those that nobody can catch.
fn hear(observer: &Py<PyAny>, event: &Event) {
    Python::attach(|py| {
        // A run that is dropped as an exception comes up tells of its end: not in place of it.
        let coming_up = PyErr::take(py);
        let called = of(py, event).and_then(|event| observer.call1(py, (event,)));
        if let Err(error) = called {
            error.write_unraisable(py, Some(observer.bind(py)));
        }
        if let Some(coming_up) = coming_up {
            coming_up.restore(py);
        }
    });
}

/// Makes an event of Python's.
fn of<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyAny>> {
    let class = |name: &str| py.import(intern!(py, "limitpal._events"))?.getattr(name);
    match event {
        Event::Refused { key, cost, retry_after, .. } => {
            let retry_after = seconds::retry_after(py, *retry_after)?;
            class("Refused")?.call1((&**key, *cost, retry_after))
        }
        Event::NearLimit { key, used, limit, share, .. } => {
            class("NearLimit")?.call1((&**key, *used, *limit, *share))
        }
        Event::KeysGrowLikeCalls { calls, new_keys, .. } => {
            class("KeysGrowLikeCalls")?.call1((*calls, *new_keys))
        }
        Event::EvictedLive { key, evicted, total, .. } => {
            class("EvictedLive")?.call1((&**key, *evicted, *total))
        }
        Event::BreakerMoved { key, from, to, reason, .. } => {
            class("BreakerMoved")?.call1((&**key, from.as_str(), to.as_str(), reason.as_str()))
        }
        Event::BreakerRefused { key, refusal, .. } => {
            let wait = refusal.retry_after().map(seconds::float);
            class("BreakerRefused")?.call1((&**key, wait, refusal.reason().as_str()))
        }
        Event::BreakerFailed { key, .. } => class("BreakerFailed")?.call1((&**key,)),
        event => of_run(py, event),
    }
}

/// Makes an event of a run.
fn of_run<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyAny>> {
    let class = |name: &str| py.import(intern!(py, "limitpal._events"))?.getattr(name);
    match event {
        Event::RunBegan { key, run, .. } => class("RunBegan")?.call1((&**key, *run)),
        Event::AttemptBegan { key, run, attempt, .. } => {
            class("AttemptBegan")?.call1((&**key, *run, *attempt))
        }
        Event::AttemptFailed { key, run, attempt, error, words, retryable, outcome, .. } => {
            let counted = outcome.map(|outcome| match outcome {
                Outcome::Success => "success",
                Outcome::Failure => "failure",
            });
            let about = (&**key, *run, *attempt, &**error, &**words, *retryable, counted);
            class("AttemptFailed")?.call1(about)
        }
        Event::RetryPlanned { key, run, attempt, delay, .. } => {
            class("RetryPlanned")?.call1((&**key, *run, *attempt, seconds::float(*delay)))
        }
        Event::HedgeStarted { key, run, attempt, hedge, .. } => {
            class("HedgeStarted")?.call1((&**key, *run, *attempt, *hedge))
        }
        Event::RunEnded { key, run, end, attempts, waited, backed_off, lasted, .. } => {
            let [waited, backed_off] = [*waited, *backed_off].map(seconds::float);
            let (reason, lasted) = (end.reason().map(|it| it.as_str()), lasted.map(seconds::float));
            let end = end.as_str();
            let about = (&**key, *run, end, reason, *attempts, waited, backed_off, lasted);
            class("RunEnded")?.call1(about)
        }
        _ => unreachable!("an event is one of these"),
    }
}

/// An observer that listens, until `close()` or for as long as what it listens to exists.
///
/// It is a context manager, which closes it.
#[pyclass(frozen, module = "limitpal", weakref)]
pub(crate) struct Subscription {
    subscription: CoreSubscription,
    observers: Weak<Mutex<Vec<Kept>>>,
}

#[pymethods]
impl Subscription {
    /// End it: calls that begin from now on are not told of.
    fn close(&self) {
        self.subscription.close();
        let Some(observers) = self.observers.upgrade() else { return };
        let is_open = |kept: &mut Kept| kept.subscription.is_open();
        let gone: Vec<_> = enter(&observers).extract_if(.., |kept| !is_open(kept)).collect();
        // An observer is dropped under no lock: it may be anything.
        drop(gone);
    }

    /// Whether it has not been closed, and what it listens to exists.
    #[getter]
    fn is_open(&self) -> bool {
        self.subscription.is_open()
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exc_info))]
    fn __exit__(&self, _exc_info: &Bound<'_, PyAny>) {
        self.close();
    }

    fn __repr__(&self) -> &'static str {
        if self.is_open() { "<Subscription, open>" } else { "<Subscription, closed>" }
    }
}

fn enter(observers: &Mutex<Vec<Kept>>) -> MutexGuard<'_, Vec<Kept>> {
    observers.lock().unwrap_or_else(PoisonError::into_inner)
}
