//! What a run tells those who listen to its executor: errors in words, and the time.

use std::ops::Deref;

use limitpal::parts::Reading;
use limitpal::{Call, Plan, TimeSource};
use pyo3::prelude::*;

use crate::observe::Subscription;
use crate::settings::Settings;

impl Settings {
    /// Adds one who hears of the runs.
    pub(crate) fn observe(&self, observer: &Bound<'_, PyAny>) -> PyResult<Subscription> {
        self.observers.add_plain(self.plan.ledger.teller(), observer, |_| true)
    }

    /// Returns how a run that is told of reads the time. A clock that fails ends no run for that.
    #[cold]
    pub(crate) fn reading(&self, py: Python<'_>) -> Reading {
        let clock = self.clock.clone_ref(py);
        Box::new(move || clock.now().ok())
    }
}

/// Says what an error is that ended an attempt. What its `str()` raises is no matter of the run's.
#[cold]
pub(crate) fn describe<P: Deref<Target = Plan>>(py: Python<'_>, call: &mut Call<P>, error: &PyErr) {
    let class = error.get_type(py).name().map(|name| name.to_string());
    let words = error.value(py).str().map(|words| words.to_string_lossy().into_owned());
    call.describe(&class.unwrap_or_default(), &words.unwrap_or_default());
}

/// Says the same of a value that is not good enough, whose text may be long.
#[cold]
pub(crate) fn describe_value<P: Deref<Target = Plan>>(
    call: &mut Call<P>,
    value: &Bound<'_, PyAny>,
) {
    let class = value.get_type().name().map(|name| name.to_string());
    call.describe(&class.unwrap_or_default(), "a result that is not good enough");
}
