//! What the rest of the extension asks of a circuit breaker.

use std::sync::Arc;

use limitpal::{BreakerCell, BreakerMode, EventKind, Instant, Outcome, Permit, TimeSource};
use pyo3::prelude::*;

use super::CircuitBreaker;
use crate::breaker_callbacks::Told;
use crate::breaker_parts::BreakerParts;
use crate::{errors, seconds};

impl CircuitBreaker {
    pub(crate) fn cell(&self) -> &Arc<BreakerCell> {
        &self.cell
    }

    pub(crate) fn parts(&self) -> &BreakerParts {
        self.parts.get()
    }

    /// The breaker of one key, which shares its parts with the others.
    pub(crate) fn sharing(cell: Arc<BreakerCell>, parts: Py<BreakerParts>) -> Self {
        Self { cell, parts }
    }

    pub(super) fn now(&self) -> PyResult<Instant> {
        self.parts().clock.now()
    }

    pub(crate) fn admit(&self, py: Python<'_>) -> PyResult<Permit> {
        let admitted = self.cell.admit(|| self.now())?;
        admitted.map_err(|refusal| errors::circuit_breaker_open(py, refusal))
    }

    /// Returns when a call begins, if its time matters.
    pub(crate) fn begins(&self) -> PyResult<Option<Instant>> {
        if self.cell.times_calls() { self.now().map(Some) } else { Ok(None) }
    }

    /// Hears how a call under a permit ended.
    pub(crate) fn settle(
        &self,
        permit: Permit,
        outcome: Outcome,
        began: Option<Instant>,
    ) -> PyResult<()> {
        self.cell.record_since(permit, outcome, began, || self.now())
    }

    pub(super) fn record(&self, outcome: Outcome, took: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        const ADVICE: &str = "give how many seconds the call took, 0 or more";
        let took = took.map(|took| seconds::window("took", took, ADVICE)).transpose()?;
        self.cell.record_bare_after(outcome, took, || self.now())
    }

    pub(super) fn run_as(&self, mode: BreakerMode) -> PyResult<()> {
        self.cell.set_mode(mode, || self.now())
    }

    pub(super) fn listen<'py>(
        &self,
        kind: EventKind,
        callback: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let listen = |told: Told| self.cell.listen(kind, move |key, event| told(key, event));
        self.parts().callbacks.add(&callback, false, listen)?;
        Ok(callback)
    }
}
