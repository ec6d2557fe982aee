//! What is told about the attempts of an async run, and marks them while they last.

use std::time::Duration;

use pyo3::prelude::*;

use super::Run;

impl Run {
    /// Marks the attempt that is about to begin.
    pub(super) fn mark(&self, py: Python<'_>) -> PyResult<()> {
        let (call, last) = {
            let mut state = self.state();
            let last = state.last.as_ref().map(|last| last.clone_ref(py));
            (state.call.take(), last)
        };
        let Some(mut call) = call else { return Ok(()) };
        let (mark, ends) = (self.settings().mark(py, &mut call, || last), call.ends());
        let mut state = self.state();
        (state.call, state.ends) = (Some(call), ends);
        state.mark = mark?;
        Ok(())
    }

    /// Ends the mark of the attempt, which ended with this error. If a hook fails the run is over.
    pub(super) fn unmark(&self, py: Python<'_>, error: Option<&PyErr>) -> PyResult<()> {
        let mark = self.state().mark.take();
        let told = self.settings().unmark(py, mark, error);
        told.or_else(|error| self.close(py).and(Err(error)))
    }

    pub(super) fn begin_wait(&self, py: Python<'_>, delay: Duration) -> PyResult<()> {
        let (call, last) = {
            let mut state = self.state();
            let last = state.last.as_ref().map(|last| last.clone_ref(py));
            (state.call.take(), last)
        };
        let Some(mut call) = call else { return Ok(()) };
        let begun = self.settings().begin_wait(py, &mut call, delay, || last);
        self.state().call = Some(call);
        begun.or_else(|error| self.close(py).and(Err(error)))
    }
}
