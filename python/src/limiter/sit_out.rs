//! Waiting for a turn as blocking Python does.

use std::sync::Arc;
use std::time::Duration;

use limitpal::RetryAfter;
use limitpal::parts::{Grant, Part, Pending, Place as CorePlace};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::clock::PyClock;
use crate::place::{Patience, Place};
use crate::seconds;

/// Sleeps through a wait, as blocking Python does; an error leaves the place to a newcomer. Who is
/// turned away meanwhile, since the limiter has changed, is told when its turn would come.
pub(crate) fn sit_out(
    py: Python<'_>,
    part: &Arc<dyn Part<PyClock>>,
    (place, mut wait): (CorePlace, Duration),
    patience: Patience<'_>,
) -> PyResult<Result<Grant, RetryAfter>> {
    if part.waits_may_grow() {
        let place = Bound::new(py, Place::new(part.clone(), place, wait).within(patience)?)?;
        py.import("limitpal._turn")?.getattr("sit_out")?.call1((&place,))?;
        let gone = || PyRuntimeError::new_err("the place was left while it was waited for");
        return place.get().grant().ok_or_else(gone).map(Ok);
    }
    loop {
        if let Err(error) = part.source().sleep(py, seconds::float(wait)) {
            part.leave(place);
            return Err(error);
        }
        match part.arrived(place) {
            Ok(grant) => return Ok(Ok(grant)),
            Err(Pending { refused: Some(refused), .. }) => return Ok(Err(refused)),
            Err(pending) => wait = pending.wait,
        }
    }
}
