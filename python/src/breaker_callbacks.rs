//! What Python wants to hear of a circuit breaker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use limitpal::{BreakerEvent, CallbackId, EventKind};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::coroutine::callable;
use crate::seconds;

/// Calls back for one kind of event.
pub(crate) type Told = Arc<dyn Fn(&str, BreakerEvent) + Send + Sync>;

/// The callbacks of a breaker, or of one for each key. The core holds them weakly: so they are
/// shown to the garbage collector, by the one who owns this.
#[derive(Default)]
pub(crate) struct Callbacks {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    list: Arc<Vec<Entry>>,
    added: u64,
}

struct Entry {
    number: u64,
    id: Option<CallbackId>,
    function: Py<PyAny>,
}

impl Callbacks {
    /// Adds a function; `listen` adds what calls it to the core.
    pub(crate) fn add(
        self: &Arc<Self>,
        function: &Bound<'_, PyAny>,
        has_keys: bool,
        listen: impl FnOnce(Told) -> CallbackId,
    ) -> PyResult<()> {
        callable("callback", function)?;
        let number = {
            let mut entries = self.lock();
            entries.added += 1;
            entries.added
        };
        self.change(function.py(), |py, list| {
            let function = function.clone().unbind().clone_ref(py);
            list.push(Entry { number, id: None, function });
        });
        let weak = Arc::downgrade(self);
        let id = listen(Arc::new(move |key, event| tell(&weak, number, has_keys, key, event)));
        self.change(function.py(), |_, list| {
            if let Some(entry) = list.iter_mut().find(|entry| entry.number == number) {
                entry.id = Some(id);
            }
        });
        Ok(())
    }

    /// Removes a function wherever it was added; returns what the core knows it by.
    pub(crate) fn remove(&self, function: &Bound<'_, PyAny>) -> PyResult<Vec<CallbackId>> {
        let list = self.lock().list.clone();
        let mut gone = Vec::new();
        for entry in list.iter() {
            if entry.function.bind(function.py()).eq(function)? {
                gone.push(entry.number);
            }
        }
        let ids = list.iter().filter(|entry| gone.contains(&entry.number));
        let ids = ids.filter_map(|entry| entry.id).collect();
        self.change(function.py(), |_, list| list.retain(|entry| !gone.contains(&entry.number)));
        Ok(ids)
    }

    /// Puts another list in the place of the present one, which is dropped without a lock.
    fn change(&self, py: Python<'_>, change: impl FnOnce(Python<'_>, &mut Vec<Entry>)) {
        let before = self.lock().list.clone();
        let copy = |entry: &Entry| Entry {
            number: entry.number,
            id: entry.id,
            function: entry.function.clone_ref(py),
        };
        let mut list: Vec<Entry> = before.iter().map(copy).collect();
        change(py, &mut list);
        let _replaced = std::mem::replace(&mut self.lock().list, Arc::new(list));
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(entries) = self.entries.try_lock() else { return Ok(()) };
        entries.list.iter().try_for_each(|entry| visit.call(&entry.function))
    }
}

/// Calls a function of the user's. What it raises is reported, and changes nothing.
fn tell(callbacks: &Weak<Callbacks>, number: u64, has_keys: bool, key: &str, event: BreakerEvent) {
    Python::attach(|py| {
        let Some(callbacks) = callbacks.upgrade() else { return };
        let list = callbacks.lock().list.clone();
        let Some(entry) = list.iter().find(|entry| entry.number == number) else { return };
        let function = entry.function.bind(py);
        let told = arguments(py, has_keys.then_some(key), event)
            .and_then(|arguments| function.call1(arguments));
        if let Err(error) = told {
            error.write_unraisable(py, Some(function));
        }
    });
}

fn arguments<'py>(
    py: Python<'py>,
    key: Option<&str>,
    event: BreakerEvent,
) -> PyResult<Bound<'py, PyTuple>> {
    let mut arguments = Vec::new();
    if let Some(key) = key {
        arguments.push(key.into_pyobject(py)?.into_any());
    }
    match event {
        BreakerEvent::Transition(from, to, _) => {
            arguments.push(from.as_str().into_pyobject(py)?.into_any());
            arguments.push(to.as_str().into_pyobject(py)?.into_any());
        }
        BreakerEvent::Refused(refusal) => {
            let wait = refusal.retry_after().map(seconds::float);
            arguments.push(wait.into_pyobject(py)?.into_any());
        }
        _ => {}
    }
    PyTuple::new(py, arguments)
}

/// The kinds of events, as methods name them.
pub(crate) const TRANSITION: EventKind = EventKind::Transition;
pub(crate) const SUCCESS: EventKind = EventKind::Success;
pub(crate) const FAILURE: EventKind = EventKind::Failure;
pub(crate) const REFUSED: EventKind = EventKind::Refused;
