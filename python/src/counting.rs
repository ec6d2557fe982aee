//! How a keyed limiter counts.

use std::sync::Arc;
use std::time::Duration;

use limitpal::parts::{AdaptiveRate, FairKeyed, Fingerprint, Keyed, Part, WarmUp};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::ask::Key;
use crate::clock::PyClock;
use crate::limiter::KeyedLimiter;

/// How a limiter counts: by buckets, which are asked without a detour, by windows, by buckets
/// that warm up, by one that is shared, or by a rate that adapts.
pub(crate) enum Counting {
    Buckets(Arc<Keyed<PyClock>>),
    Windows(Windows),
    Ramp(Arc<Keyed<PyClock, WarmUp>>),
    Fair(Arc<FairKeyed<PyClock>>),
    Adaptive(Arc<Keyed<PyClock, AdaptiveRate>>),
}

/// A limiter that counts by windows, and its settings.
pub(crate) struct Windows {
    pub(crate) part: Arc<dyn Part<PyClock>>,
    pub(crate) align: Option<&'static str>,
}

impl Windows {
    /// Returns how many go in a window, and how long it is.
    pub(crate) fn limits(&self) -> (u32, Duration) {
        let (limit, _, per) = self.part.limits().get();
        (limit.unwrap_or(0), per.unwrap_or_default())
    }
}

impl Counting {
    /// Returns the limiter, however it counts.
    #[inline]
    pub(crate) fn part(&self) -> &dyn Part<PyClock> {
        match self {
            Self::Buckets(keyed) => &**keyed,
            Self::Windows(windows) => &*windows.part,
            Self::Ramp(keyed) => &**keyed,
            Self::Fair(fair) => &**fair,
            Self::Adaptive(keyed) => &**keyed,
        }
    }

    /// As `part`, to be kept.
    pub(crate) fn shared(&self) -> Arc<dyn Part<PyClock>> {
        match self {
            Self::Buckets(keyed) => keyed.clone(),
            Self::Windows(windows) => windows.part.clone(),
            Self::Ramp(keyed) => keyed.clone(),
            Self::Fair(fair) => fair.clone(),
            Self::Adaptive(keyed) => keyed.clone(),
        }
    }
}

/// The one way in which a limiter counts, for what only such a one can be asked.
impl KeyedLimiter {
    /// Reads something off a key's bucket.
    pub(crate) fn view<T>(
        &self,
        key: &Key<'_>,
        view: impl Fn(&Keyed<PyClock>, Fingerprint) -> PyResult<T>,
    ) -> PyResult<T> {
        let keyed = self.keyed()?;
        view(keyed, keyed.fingerprint(key.as_str())?)
    }

    /// Returns the windows of one that has some.
    pub(crate) fn windows(&self) -> PyResult<&Windows> {
        match self.counting()? {
            Counting::Windows(windows) => Ok(windows),
            _ => Err(PyTypeError::new_err("the limiter counts by no windows")),
        }
    }

    /// Returns the bucket of one that is shared.
    pub(crate) fn fair(&self) -> PyResult<&Arc<FairKeyed<PyClock>>> {
        match self.counting()? {
            Counting::Fair(fair) => Ok(fair),
            _ => Err(PyTypeError::new_err("the limiter shares no bucket")),
        }
    }

    /// Returns the limiter whose rate adapts.
    pub(crate) fn adaptive(&self) -> PyResult<&Arc<Keyed<PyClock, AdaptiveRate>>> {
        match self.counting()? {
            Counting::Adaptive(keyed) => Ok(keyed),
            _ => Err(PyTypeError::new_err("the limiter has a rate that does not adapt")),
        }
    }

    /// Returns what the buckets of one that warms up are now.
    pub(crate) fn ramp(&self) -> PyResult<WarmUp> {
        match self.counting()? {
            Counting::Ramp(keyed) => Ok(keyed.store().bucket()),
            _ => Err(PyTypeError::new_err("the limiter does not warm up")),
        }
    }
}
