//! Taking, now or later.

use std::time::Duration;

use limitpal::parts::{Turn, gave_up};
use limitpal::{RetryAfter, TimeSource};
use pyo3::prelude::*;

use super::{KeyedLimiter, sit_out};
use crate::ask::{Cost, Key};
use crate::counting::Counting;
use crate::errors;
use crate::place::Patience;

impl KeyedLimiter {
    /// As `reserve`, for whoever gives nothing back of what is there at once.
    #[inline(always)] // else the key goes through memory
    pub(super) fn enter(
        &self,
        key: &Key<'_>,
        cost: Cost,
        timeout: Option<Duration>,
        fixed: bool,
    ) -> PyResult<Turn<()>> {
        let request = cost.request(timeout, fixed);
        match &self.inner()?.counting {
            Counting::Buckets(keyed) if !keyed.teller().is_heard() => {
                let (key, source) = (keyed.fingerprint(key.as_str())?, keyed.source());
                keyed.store().enter(key, request, || source.now())
            }
            other => other.part().enter(key.as_str(), request),
        }
    }

    /// Takes, and sleeps until the turn comes.
    #[inline]
    pub(crate) fn wait_for(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        timeout: Option<Duration>,
        cost: Cost,
    ) -> PyResult<()> {
        let refused = match self.enter(key, cost, timeout, self.is_fixed()?)? {
            Turn::Now(()) => return Ok(()),
            Turn::Wait(place, wait) => {
                let patience = Patience { key: key.as_str(), cost, timeout };
                match sit_out(py, &self.shared()?, (place, wait), patience)? {
                    Ok(_) => return Ok(()),
                    Err(refused) => {
                        gave_up(self.part()?, patience.key, cost.0);
                        refused
                    }
                }
            }
            Turn::Refused(retry_after) => retry_after,
        };
        Err(self.refusal(py, key, cost, refused))
    }

    /// Makes the refusal, with how it stands.
    pub(crate) fn refusal(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        cost: Cost,
        retry_after: RetryAfter,
    ) -> PyErr {
        let (text, cost) = (key.as_str(), cost.0);
        let refusal = errors::rate_limit_exceeded(py, text, cost, retry_after);
        match self.part() {
            Ok(part) => errors::standing(py, refusal, part, (text, cost)),
            Err(_) => refusal,
        }
    }

    /// Takes one permit if it is there; never waits.
    #[inline]
    pub(crate) fn takes_one(&self, key: &Key<'_>) -> PyResult<bool> {
        let turn = self.enter(key, Cost::ONE, Some(Duration::ZERO), true)?;
        Ok(matches!(turn, Turn::Now(())))
    }

    /// Takes, now or later.
    #[inline]
    pub(crate) fn reserve(
        &self,
        key: &Key<'_>,
        cost: Cost,
        timeout: Option<Duration>,
        fixed: bool,
    ) -> PyResult<Turn> {
        let request = cost.request(timeout, fixed);
        match &self.inner()?.counting {
            Counting::Buckets(keyed) if !keyed.teller().is_heard() => {
                let (key, source) = (keyed.fingerprint(key.as_str())?, keyed.source());
                keyed.store().reserve(key, request, || source.now())
            }
            other => other.part().reserve(key.as_str(), request),
        }
    }
}
