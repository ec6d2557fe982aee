//! Quota for a sync run: from a limiter of ours, or from one of the user's own.

use std::sync::Arc;
use std::time::Duration;

use limitpal::parts::{Behind, Grant, Part, Turn};
use limitpal::{CompositePermit as CorePermit, TimeSource};
use pyo3::prelude::*;

use crate::ask::{Cost, Key};
use crate::clock::PyClock;
use crate::composite::CompositeLimiter;
use crate::composite_parts::{Limiter, acquire_own, clock_of};
use crate::composite_permit::Taken;
use crate::errors;
use crate::guarded::{Guarded, beside_own};
use crate::limiter::{KeyedLimiter, sit_out};
use crate::place::Patience;
use crate::settings::Settings;

/// Where a run gets its quota.
pub(crate) enum QuotaSource {
    Keyed(Py<KeyedLimiter>, Arc<dyn Part<PyClock>>),
    Composite(Py<CompositeLimiter>),
    Own(Py<PyAny>),
    /// A bulkhead, and what stands behind it.
    Guarded(Guarded, Option<Box<QuotaSource>>),
}

/// Quota that can be given back, except to a limiter of the user's own.
pub(crate) struct Quota {
    waited: Duration,
    taken: QuotaTaken,
}

enum QuotaTaken {
    Keyed(Grant),
    Composite(Taken),
    /// A place in a bulkhead, with which there was quota at once.
    Place(CorePermit),
    Own,
}

impl Quota {
    /// Spends it; what is left is the permit to hold.
    #[inline]
    pub(crate) fn into_permit(self) -> CorePermit {
        match self.taken {
            QuotaTaken::Composite(taken) => taken.into_permit(),
            QuotaTaken::Place(permit) => permit,
            QuotaTaken::Keyed(_) | QuotaTaken::Own => CorePermit::default(),
        }
    }

    #[inline]
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }
}

impl QuotaSource {
    pub(crate) fn of(limiter: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(match Limiter::of(limiter, "limiter")? {
            Limiter::Keyed(limiter) => {
                let part = limiter.get().shared()?;
                Self::Keyed(limiter.unbind(), part)
            }
            Limiter::Composite(limiter) => Self::Composite(limiter.unbind()),
            Limiter::Concurrency(pool) => {
                let composite = limiter.py().get_type::<CompositeLimiter>().call1(((pool,),))?;
                Self::Composite(composite.cast_into::<CompositeLimiter>()?.unbind())
            }
            Limiter::Own(limiter) => Self::Own(limiter.unbind()),
        })
    }

    /// Puts the bulkhead of an executor before its limiter, if there is one.
    pub(crate) fn behind(
        py: Python<'_>,
        limiter: Option<Self>,
        settings: &Settings,
    ) -> PyResult<Option<Self>> {
        let Some(bulkhead) = &settings.bulkhead else { return Ok(limiter) };
        let behind = limiter.as_ref().map(|limiter| match limiter {
            Self::Keyed(_, part) => Ok(Behind::Part(part.clone())),
            Self::Composite(composite) if composite.get().own()?.is_empty() => {
                let ours = composite.get().core()?.ours().cloned();
                ours.map(Behind::Composite).ok_or_else(beside_own)
            }
            Self::Composite(_) | Self::Own(_) | Self::Guarded(..) => Err(beside_own()),
        });
        let guarded = Guarded::new(py, bulkhead, behind.transpose()?, &settings.clock)?;
        Ok(Some(Self::Guarded(guarded, limiter.map(Box::new))))
    }

    /// Returns the limiter, if it is one that is asked here.
    fn keyed(&self) -> Option<&KeyedLimiter> {
        match self {
            Self::Keyed(limiter, _) => Some(limiter.get()),
            Self::Composite(_) | Self::Own(_) | Self::Guarded(..) => None,
        }
    }

    /// Returns the clock that the limiter reads, as far as we know it.
    pub(crate) fn clock(&self, py: Python<'_>) -> Option<PyClock> {
        match self {
            Self::Keyed(_, part) => Some(part.source().clone_ref(py)),
            Self::Composite(limiter) => clock_of(limiter.bind(py)),
            // A subclass of ours that acquires in its own way still has a clock of ours.
            Self::Own(limiter) => clock_of(limiter.bind(py)),
            Self::Guarded(..) => None,
        }
    }

    /// Waits for quota; what refuses raises `RateLimitExceeded`.
    #[inline]
    pub(crate) fn acquire(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        timeout: Option<Duration>,
        clock: &PyClock,
    ) -> PyResult<Quota> {
        match self {
            Self::Keyed(limiter, part) => {
                let fixed = limiter.get().is_fixed()?;
                let turn = limiter.get().reserve(key, Cost::ONE, timeout, fixed)?;
                let (waited, grant) = match turn {
                    Turn::Now(grant) => (Duration::ZERO, grant),
                    Turn::Wait(place, wait) => {
                        let patience = Patience { key: key.as_str(), cost: Cost::ONE, timeout };
                        match sit_out(py, part, (place, wait), patience)? {
                            Ok(grant) => (wait, grant),
                            Err(refused) => {
                                return Err(limiter.get().refusal(py, key, Cost::ONE, refused));
                            }
                        }
                    }
                    Turn::Refused(refused) => {
                        return Err(limiter.get().refusal(py, key, Cost::ONE, refused));
                    }
                };
                Ok(Quota { waited, taken: QuotaTaken::Keyed(grant) })
            }
            Self::Composite(limiter) => {
                timed(clock, || limiter.get().take(py, key, timeout, Cost::ONE))
            }
            Self::Guarded(guarded, limiter) => {
                let keyed = limiter.as_ref().map(|limiter| limiter.keyed());
                match guarded.enter(key, keyed)? {
                    Some(permit) => {
                        Ok(Quota { waited: Duration::ZERO, taken: QuotaTaken::Place(permit) })
                    }
                    None => timed(clock, || guarded.acquire(py, key, timeout)),
                }
            }
            Self::Own(limiter) => {
                let start = clock.now()?;
                acquire_own(limiter.bind(py), key, Cost::ONE, timeout)?;
                let waited = clock.now()?.saturating_duration_since(start);
                // By which clock it waits is not known: the breaker is asked again in any case.
                let waited = waited.max(Duration::from_nanos(1));
                Ok(Quota { waited, taken: QuotaTaken::Own })
            }
        }
    }

    /// Gives back quota that was not used.
    pub(crate) fn give_back(&self, quota: Quota) {
        match (self, quota.taken) {
            (Self::Keyed(_, part), QuotaTaken::Keyed(grant)) => part.give_back(grant),
            (_, QuotaTaken::Composite(taken)) => taken.give_back(),
            _ => {}
        }
    }

    /// Returns whether an error says that the bulkhead is full.
    pub(crate) fn refuses_as_full(&self, py: Python<'_>, error: &PyErr) -> PyResult<bool> {
        Ok(matches!(self, Self::Guarded(..)) && errors::BULKHEAD_FULL.raised_by(py, error)?)
    }

    pub(crate) fn traverse(
        &self,
        visit: &pyo3::gc::PyVisit<'_>,
    ) -> Result<(), pyo3::gc::PyTraverseError> {
        match self {
            Self::Keyed(limiter, _) => visit.call(limiter),
            Self::Composite(limiter) => visit.call(limiter),
            Self::Own(limiter) => visit.call(limiter),
            Self::Guarded(guarded, limiter) => {
                guarded.traverse(visit)?;
                limiter.as_ref().map_or(Ok(()), |limiter| limiter.traverse(visit))
            }
        }
    }
}

/// Takes from several limiters, and says how long that took.
fn timed(clock: &PyClock, take: impl FnOnce() -> PyResult<Taken>) -> PyResult<Quota> {
    let start = clock.now()?;
    let taken = take()?;
    match clock.now() {
        Ok(now) => {
            let waited = now.saturating_duration_since(start);
            Ok(Quota { waited, taken: QuotaTaken::Composite(taken) })
        }
        Err(error) => {
            taken.give_back();
            Err(error)
        }
    }
}
