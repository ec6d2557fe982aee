//! One attempt that several tries make, of which at least the second leaves the caller's own task
//! or thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use limitpal::parts::{Race as CoreRace, RunNumber, TryCharge, TryEnd, Verdict};
use limitpal::{Charge, CompositePermit as CorePermit, Instant, Plan, TimeSource};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::ask::Key;
use crate::async_executor::ExecutorCore;
use crate::composite_permit::CompositePermit;
use crate::errors;
use crate::exception_types::Failure;
use crate::executor::ResilientExecutor;
use crate::settings::Settings;

/// One attempt that several tries make; without a hedge there is one, which can be left behind.
#[pyclass(frozen, module = "limitpal._limitpal", name = "_Race")]
pub(crate) struct Race {
    owner: Owner,
    /// The attempt's number, counted from 1.
    attempt: u32,
    /// When its time is over.
    ends: Option<Instant>,
    is_cut: AtomicBool,
    state: Mutex<State>,
}

/// Whose attempt it is.
pub(crate) enum Owner {
    Sync(Py<ResilientExecutor>),
    Async(Py<ExecutorCore>),
}

struct State {
    race: Option<CoreRace<Arc<Plan>>>,
    charge: Option<TryCharge>,
}

impl Race {
    /// Begins an attempt, with its first try.
    pub(crate) fn new(
        owner: Owner,
        attempt: u32,
        ends: Option<Instant>,
        run: Option<RunNumber>,
    ) -> PyResult<Self> {
        let begin =
            |settings: &Settings| CoreRace::begin(settings.plan.clone(), attempt, ends, settings);
        let race = begin(owner.settings()?)?.map(|race| race.told_as(run, attempt));
        let (is_cut, state) = (AtomicBool::new(false), State { race, charge: None });
        Ok(Self { owner, attempt, ends, is_cut, state: Mutex::new(state) })
    }

    /// Returns whether the attempt was cut short, since its time is over.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the race under no lock, since clocks of the user's are read meanwhile.
    fn with<R>(
        &self,
        act: impl FnOnce(&mut CoreRace<Arc<Plan>>, &Settings) -> PyResult<R>,
    ) -> PyResult<Option<R>> {
        let Some(mut race) = self.state().race.take() else { return Ok(None) };
        let done = self.owner.settings().and_then(|settings| act(&mut race, settings));
        self.state().race = Some(race);
        done.map(Some)
    }

    /// Says what a try's end means to its attempt.
    fn ended(&self, number: u32, end: TryEnd) -> PyResult<&'static str> {
        let verdict = self.with(|race, settings| race.ended(number, end, settings))?;
        Ok(match verdict.unwrap_or(Verdict::This) {
            Verdict::Kept => "kept",
            Verdict::Keep => "keep",
            Verdict::Forget => "forget",
            _ => "this",
        })
    }

    /// Takes quota for a try where attempts are charged; none: there is none at once.
    fn quota(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<CorePermit>> {
        if self.owner.settings()?.plan.charge == Charge::Call {
            return Ok(Some(CorePermit::default()));
        }
        match &self.owner {
            Owner::Async(core) => match &core.get().limiter {
                // With a bulkhead both are asked as one, in Python.
                Some(_) if core.get().is_guarded() => Ok(Some(CorePermit::default())),
                Some(limiter) => Ok(limiter.get().takes_one(key)?.then(CorePermit::default)),
                None => Ok(Some(CorePermit::default())),
            },
            Owner::Sync(executor) => {
                let Some(limiter) = executor.get().limiter()? else {
                    return Ok(Some(CorePermit::default()));
                };
                let clock = &self.owner.settings()?.clock;
                match limiter.acquire(py, key, Some(Duration::ZERO), clock) {
                    Ok(quota) => Ok(Some(quota.into_permit())),
                    Err(error) if errors::RATE_LIMIT_EXCEEDED.raised_by(py, &error)? => Ok(None),
                    Err(error) if limiter.refuses_as_full(py, &error)? => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

impl Owner {
    fn settings(&self) -> PyResult<&Settings> {
        match self {
            Self::Sync(executor) => executor.get().settings(),
            Self::Async(core) => Ok(&core.get().settings),
        }
    }
}

#[pymethods]
impl Race {
    /// Return in how many seconds the next try is due, or None if there is no other.
    fn wait(&self) -> PyResult<Option<f64>> {
        let Some(due) = self.state().race.as_ref().and_then(CoreRace::due) else {
            return Ok(None);
        };
        let now = self.owner.settings()?.clock.now()?;
        Ok(Some(crate::seconds::float(due.saturating_duration_since(now))))
    }

    /// Return how many seconds are left of the attempt's time, or None if it has no end.
    fn left(&self) -> PyResult<Option<f64>> {
        let Some(ends) = self.ends else { return Ok(None) };
        let now = self.owner.settings()?.clock.now()?;
        Ok(Some(crate::seconds::float(ends.saturating_duration_since(now))))
    }

    /// The attempt is cut short.
    fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
    }

    /// Whether quota for a try is to be awaited in Python, between `charge` and `begun`.
    #[getter]
    fn awaits_quota(&self) -> PyResult<bool> {
        let plan = &self.owner.settings()?.plan;
        let asked_here = match &self.owner {
            Owner::Async(core) => core.get().limiter.is_some() && !core.get().is_guarded(),
            Owner::Sync(_) => true,
        };
        Ok(plan.has_limiter && plan.charge == Charge::Attempt && !asked_here)
    }

    /// Begin another try, which is due: its number and the permit it holds, or None if there is
    /// none.
    fn start(&self, py: Python<'_>, key: Key<'_>) -> PyResult<Option<(u32, CompositePermit)>> {
        if !self.charge()? {
            return Ok(None);
        }
        match self.quota(py, &key) {
            Ok(Some(permit)) => Ok(Some((self.begun()?, CompositePermit::new(permit)))),
            none => {
                self.give_back();
                none.map(|_| None)
            }
        }
    }

    /// Charge the cap and the budget for another try; false if there is none.
    fn charge(&self) -> PyResult<bool> {
        let charge = self.with(|race, settings| race.charge(settings))?.flatten();
        let charged = charge.is_some();
        self.state().charge = charge;
        Ok(charged)
    }

    /// There is no quota for the try that was charged, and there will be no other.
    fn give_back(&self) {
        let mut state = self.state();
        let charge = state.charge.take();
        if let (Some(race), Some(charge)) = (&mut state.race, charge) {
            race.give_back(charge);
        }
    }

    /// The try that was charged begins; return its number.
    fn begun(&self) -> PyResult<u32> {
        let begun = self.with(|race, settings| Ok(race.begun(settings.clock.now()?)));
        match begun {
            Ok(number) => {
                self.state().charge = None;
                Ok(number.unwrap_or_default())
            }
            Err(error) => {
                self.give_back();
                Err(error)
            }
        }
    }

    /// A try gave a value. Return "this" if the attempt ends so, "kept" if it ends as the try that
    /// was kept, "keep" if this one is to be kept, or "forget".
    fn gave(&self, number: u32, value: &Bound<'_, PyAny>) -> PyResult<&'static str> {
        let settings = self.owner.settings()?;
        let turned_down = settings.judges && settings.turns_down(value)?;
        self.ended(number, if turned_down { TryEnd::Failure } else { TryEnd::Value })
    }

    /// A try ended with an error; return as `gave` does.
    fn failed(
        &self,
        py: Python<'_>,
        number: u32,
        error: &Bound<'_, PyAny>,
    ) -> PyResult<&'static str> {
        let settings = self.owner.settings()?;
        let raised = PyErr::from_value(error.clone());
        let end = match Failure::of(py, &raised)? {
            Failure::Cancelled => TryEnd::FinalFailure,
            Failure::OwnRefusal => TryEnd::Refusal,
            Failure::Failed if settings.retry.is_none() => TryEnd::Failure,
            Failure::Failed => match settings.retries(py, &raised, self.attempt)? {
                true => TryEnd::Failure,
                false => TryEnd::FinalFailure,
            },
        };
        self.ended(number, end)
    }

    /// End the attempt. This many tries are left behind, and go on.
    fn close(&self, left_behind: u32) -> PyResult<()> {
        let race = self.state().race.take();
        drop(race);
        self.owner.settings()?.plan.ledger.left_behind(left_behind);
        Ok(())
    }

    /// A try that was left behind has ended.
    fn came_late(&self, failed: bool) -> PyResult<()> {
        self.owner.settings()?.plan.ledger.came_late(failed);
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.owner {
            Owner::Sync(executor) => visit.call(executor),
            Owner::Async(core) => visit.call(core),
        }
    }
}
