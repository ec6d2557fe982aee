//! An attempt of a sync run whose tries run on threads.

use limitpal::{Call, Plan};
use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::{Function, Inner, ResilientExecutor};
use crate::ask::Key;
use crate::errors;
use crate::held::Held;
use crate::race::{Owner, Race};

impl Inner {
    /// Makes an attempt whose tries run on threads.
    #[cold]
    pub(super) fn on_threads<'py>(
        &self,
        make: &Py<PyAny>,
        executor: &Bound<'py, ResilientExecutor>,
        key: &Key<'_>,
        function: &Function<'_, 'py>,
        call: &Call<&Plan>,
        held: &mut Held<'_>,
    ) -> PyResult<Result<PyResult<Bound<'py, PyAny>>, Cut>> {
        let py = executor.py();
        let owner = Owner::Sync(executor.clone().unbind());
        let race = Race::new(owner, call.attempts().saturating_add(1), call.ends(), call.story())?;
        let race = Bound::new(py, race)?;
        let (clock, key) = (self.settings.clock.for_python(py)?, key.for_python(py)?);
        let Function { func, args, kwargs } = function;
        let answer = make.bind(py).call1((&race, clock, key, held.share(py)?, func, args, kwargs));
        if answer.is_ok() && race.get().is_cut() {
            return Ok(Err(Cut(errors::timeout_exceeded(py, call.timeout()))));
        }
        Ok(Ok(answer))
    }
}

/// An attempt was left behind, since its time is over.
pub(super) struct Cut(pub(super) PyErr);

/// Reads the option.
pub(super) fn on_threads_of(flag: &Bound<'_, PyAny>) -> PyResult<bool> {
    flag.cast::<PyBool>()
        .map(|flag| flag.is_true())
        .map_err(|_| errors::invalid_config(flag.py(), "on_threads", flag, "give True or False"))
}
