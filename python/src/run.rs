//! One async run, between two awaits, of which something is to be kept.

mod marks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use limitpal::parts::Turn;
use limitpal::{
    BulkheadFull, Call, Charge, CompositePermit as CorePermit, Instant, Plan, RetryAfter, Step,
    TimeSource,
};
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use crate::ask::{Cost, Key};
use crate::async_executor::ExecutorCore;
use crate::attempt::{self, Attempt, Mark};
use crate::composite_run::CompositeRun;
use crate::errors;
use crate::place::{Patience, Place, movable};
use crate::race::{Owner, Race};
use crate::run_errors::Errors;
use crate::seconds;
use crate::settings::Settings;

/// One run. `None` as the next step means an attempt.
#[pyclass(frozen, module = "limitpal._limitpal", name = "_Run")]
pub(crate) struct Run {
    core: Py<ExecutorCore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// None once the run is over.
    call: Option<Call<Arc<Plan>>>,
    /// What comes before the next attempt.
    pending: Pending,
    /// Quota for an attempt that has not begun: an object with `leave`.
    held: Option<Py<PyAny>>,
    /// What is held while an attempt lasts, or the run. Dropped under no lock: it wakes others.
    permit: CorePermit,
    last: Option<Py<PyAny>>,
    /// The value of the last attempt, in place of an error.
    result: Option<Py<PyAny>>,
    refusal: Option<Py<PyAny>>,
    /// The attempt that is under way, if it is marked, and when its time is over.
    mark: Option<Mark>,
    ends: Option<Instant>,
}

#[derive(Default)]
enum Pending {
    #[default]
    Nothing,
    Sleep(Duration),
    Turn(Py<Place>, Instant),
    Acquire(Option<Duration>, Instant),
}

impl State {
    fn new(call: Call<Arc<Plan>>) -> Self {
        Self { call: Some(call), ..Self::default() }
    }

    fn call(&mut self) -> PyResult<&mut Call<Arc<Plan>>> {
        self.call.as_mut().ok_or_else(|| PyRuntimeError::new_err("the run is over"))
    }
}

impl Run {
    pub(crate) fn new(core: &Bound<'_, ExecutorCore>, call: Call<Arc<Plan>>) -> Self {
        Self { core: core.clone().unbind(), state: Mutex::new(State::new(call)) }
    }

    fn settings(&self) -> &Settings {
        &self.core.get().settings
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on until something has to be awaited, or an attempt is due.
    pub(crate) fn proceed(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<()> {
        let settings = self.settings();
        loop {
            // Taken out, so that no lock is held while a clock of the user's is read.
            let Some(mut call) = self.state().call.take() else { return Ok(()) };
            let step = call.next(settings);
            let attempts = call.attempts();
            self.state().call = Some(call);
            match step? {
                Step::Attempt(_) => {
                    self.mark(py)?;
                    self.spend(py);
                    return Ok(());
                }
                Step::Wait(delay) => {
                    self.begin_wait(py, delay)?;
                    self.state().pending = Pending::Sleep(delay);
                    return Ok(());
                }
                Step::Acquire { timeout } => {
                    if !self.acquire(py, key, timeout)? {
                        return Ok(());
                    }
                }
                Step::Stop(stop) => {
                    let errors = self.errors(py);
                    self.close(py)?;
                    return Err(errors.stop(py, stop, attempts));
                }
                _ => unreachable!("a run has no other steps"),
            }
        }
    }

    /// Takes quota if that needs no wait; false if something has to be awaited.
    fn acquire(&self, py: Python<'_>, key: &Key<'_>, timeout: Option<Duration>) -> PyResult<bool> {
        let core = self.core.get();
        if let Some(permit) = core.enter_at_once(key)? {
            self.keep(permit);
            self.state().call()?.granted(Duration::ZERO);
            return Ok(true);
        }
        let Some(limiter) = core.limiter.as_ref().filter(|_| !core.is_guarded()) else {
            let start = self.settings().clock.now()?;
            self.state().pending = Pending::Acquire(timeout, start);
            return Ok(false);
        };
        let limiter = limiter.get();
        let part = limiter.part()?;
        match limiter.reserve(key, Cost::ONE, timeout, !movable(part.source()))? {
            Turn::Now(_) => {
                self.state().call()?.granted(Duration::ZERO);
                Ok(true)
            }
            Turn::Refused(retry_after) => {
                let refusal = limiter.refusal(py, key, Cost::ONE, retry_after);
                self.refuse(py, refusal)?;
                Ok(true)
            }
            Turn::Wait(place, wait) => {
                // If the clock fails now, the place is left as it is dropped.
                let patience = Patience { key: key.as_str(), cost: Cost::ONE, timeout };
                let place = Place::new(limiter.shared()?, place, wait).within(patience)?;
                let place = Py::new(py, place)?;
                let start = part.source().now()?;
                self.state().pending = Pending::Turn(place, start);
                Ok(false)
            }
        }
    }

    fn refuse(&self, py: Python<'_>, refusal: PyErr) -> PyResult<()> {
        let is_full = errors::BULKHEAD_FULL.raised_by(py, &refusal)?;
        let mut state = self.state();
        state.refusal = Some(refusal.into_value(py).into_any());
        match is_full {
            true => state.call()?.full(BulkheadFull::new(0)),
            false => state.call()?.refused(RetryAfter::Unknown),
        }
        Ok(())
    }

    fn errors(&self, py: Python<'_>) -> Errors {
        let mut state = self.state();
        let error = |error: Option<Py<PyAny>>| Some(PyErr::from_value(error?.into_bound(py)));
        let (last, refusal) = (error(state.last.take()), error(state.refusal.take()));
        Errors { last, result: state.result.take(), refusal }
    }

    /// Spends the quota: an attempt begins. The permit stays.
    fn spend(&self, py: Python<'_>) {
        let held = self.state().held.take();
        if let Some(run) = held.as_ref().and_then(|held| held.bind(py).cast::<CompositeRun>().ok())
        {
            self.keep(run.get().spend());
        }
    }

    /// Keeps a permit in place of the one before, which goes back.
    fn keep(&self, permit: CorePermit) {
        let before = std::mem::replace(&mut self.state().permit, permit);
        drop(before);
    }

    /// The attempt gave a value; false if that deserves another attempt, which is to be gone on to.
    pub(crate) fn succeeded(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.unmark(value.py(), None)?;
        let (call, _last, _result, permit) = {
            let mut state = self.state();
            let (call, permit) = (state.call.take(), std::mem::take(&mut state.permit));
            (call, state.last.take(), state.result.take(), permit)
        };
        let Some(mut call) = call else { return Ok(true) };
        if self.settings().heard(&mut call, value)? {
            return Ok(true);
        }
        {
            let mut state = self.state();
            state.call = Some(call);
            state.result = Some(value.clone().unbind());
        }
        if self.settings().plan.charge == Charge::Call {
            self.keep(permit);
        }
        Ok(false)
    }

    /// The attempt ended with this error; true if it is to be raised as it is.
    pub(crate) fn failed(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.hear(py, error, |call, raised| self.settings().hear(py, call, raised))
    }

    fn hear(
        &self,
        py: Python<'_>,
        error: &Bound<'_, PyAny>,
        tell: impl FnOnce(&mut Call<Arc<Plan>>, &PyErr) -> PyResult<bool>,
    ) -> PyResult<bool> {
        let raised = PyErr::from_value(error.clone());
        self.unmark(py, Some(&raised))?;
        let Some(mut call) = self.state().call.take() else { return Ok(true) };
        let permit = std::mem::take(&mut self.state().permit);
        // A cancelled call is dropped here, which gives its permit back.
        if !tell(&mut call, &raised)? || call.ends_unchanged() {
            return Ok(true);
        }
        let mut state = self.state();
        state.call = Some(call);
        let _before = (state.last.replace(error.clone().unbind()), state.result.take());
        drop(state);
        if self.settings().plan.charge == Charge::Call {
            self.keep(permit);
        }
        Ok(false)
    }

    /// Tells the call that quota is there.
    fn grant(&self, held: Option<Py<PyAny>>, waited: Duration) -> PyResult<()> {
        let mut state = self.state();
        state.held = held;
        state.pending = Pending::Nothing;
        state.call()?.granted(waited);
        Ok(())
    }
}

#[pymethods]
impl Run {
    /// Whether an attempt is due; else something has to be awaited before.
    fn __bool__(&self) -> bool {
        matches!(self.state().pending, Pending::Nothing)
    }

    /// Return what to await: ("sleep", seconds), ("turn", place), ("acquire", timeout) or None.
    fn next<'py>(&self, py: Python<'py>, key: Key<'_>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.__bool__() {
            self.proceed(py, &key)?;
        }
        Ok(Some(match &self.state().pending {
            Pending::Nothing => return Ok(None),
            Pending::Sleep(delay) => {
                ("sleep", seconds::float(*delay)).into_pyobject(py)?.into_any()
            }
            Pending::Turn(place, _) => ("turn", place.bind(py)).into_pyobject(py)?.into_any(),
            Pending::Acquire(timeout, _) => {
                ("acquire", timeout.map(seconds::float)).into_pyobject(py)?.into_any()
            }
        }))
    }

    /// The attempt that is under way, where it is marked.
    fn attempt(&self, py: Python<'_>) -> Option<Py<Attempt>> {
        self.state().mark.as_ref().map(|mark| mark.attempt.clone_ref(py))
    }

    /// Whether the attempt that is under way may last only so long.
    fn has_end(&self) -> bool {
        self.state().ends.is_some()
    }

    /// How many seconds are left of its time.
    fn left(&self) -> PyResult<Option<f64>> {
        let ends = self.state().ends;
        attempt::left(ends, &self.settings().clock)
    }

    /// The attempt was cut short by this cancellation. Return the error to raise if the run is over
    /// with it, and None if it goes on.
    fn cut<'py>(&self, cancelled: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = cancelled.py();
        let timeout = self.state().call()?.timeout();
        let error = errors::timeout_exceeded(py, timeout);
        error.set_cause(py, Some(PyErr::from_value(cancelled.clone())));
        let error = error.into_value(py).into_bound(py).into_any();
        let is_over = self.hear(py, &error, |call, raised| {
            self.settings().hear_timeout(py, call, raised).map(|()| true)
        })?;
        Ok(is_over.then_some(error))
    }

    /// Begin an attempt of several tries.
    fn race(&self, py: Python<'_>) -> PyResult<Race> {
        let ends = self.state().ends;
        let (attempt, run) = {
            let mut state = self.state();
            let call = state.call()?;
            (call.attempts().saturating_add(1), call.story())
        };
        Race::new(Owner::Async(self.core.clone_ref(py)), attempt, ends, run)
    }

    /// The sleep between two attempts is over.
    fn slept(&self) -> PyResult<()> {
        let mut state = self.state();
        state.pending = Pending::Nothing;
        state.call()?.slept();
        Ok(())
    }

    /// The turn has come.
    fn came(&self, py: Python<'_>) -> PyResult<()> {
        let pending = std::mem::replace(&mut self.state().pending, Pending::Nothing);
        let Pending::Turn(place, start) = pending else { return Ok(()) };
        // Held before the clock is read: if that fails, the quota goes back.
        self.state().held = Some(place.clone_ref(py).into_any());
        let waited = place.get().source().now()?.saturating_duration_since(start);
        self.grant(Some(place.into_any()), waited.max(Duration::from_nanos(1)))
    }

    /// A limiter that is awaited in Python has given quota; `held` can give it back, or is None.
    fn acquired(&self, held: Option<Py<PyAny>>) -> PyResult<()> {
        let pending = std::mem::replace(&mut self.state().pending, Pending::Nothing);
        let Pending::Acquire(_, start) = pending else { return Ok(()) };
        self.state().held = held;
        let waited = self.settings().clock.now()?.saturating_duration_since(start);
        let held = self.state().held.take();
        // By which clock a limiter waits is not known: the breaker is asked again in any case.
        self.grant(held, waited.max(Duration::from_nanos(1)))
    }

    /// A limiter that is awaited in Python has refused.
    fn refused(&self, refusal: &Bound<'_, PyAny>) -> PyResult<()> {
        self.state().pending = Pending::Nothing;
        self.refuse(refusal.py(), PyErr::from_value(refusal.clone()))
    }

    /// End the run: permit and quota go back.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let (call, held, permit) = {
            let mut state = self.state();
            state.pending = Pending::Nothing;
            (state.call.take(), state.held.take(), std::mem::take(&mut state.permit))
        };
        let mark = self.state().mark.take();
        if let Some(mark) = mark {
            self.settings().marker.unmark(py, mark);
        }
        drop((call, permit));
        if let Some(held) = held {
            held.call_method0(py, intern!(py, "leave"))?;
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.core)?;
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        if let Pending::Turn(place, _) = &state.pending {
            visit.call(place)?;
        }
        if let Some(mark) = &state.mark {
            mark.traverse(&visit)?;
        }
        visit.call(&state.held)?;
        visit.call(&state.last)?;
        visit.call(&state.result)?;
        visit.call(&state.refusal)
    }
}
