//! How a keyed limiter counts.

use std::sync::Arc;
use std::time::Duration;

use limitpal::parts::{FairKeyed, Keyed, Part};

use crate::clock::PyClock;

/// How a limiter counts: by buckets, which are asked without a detour, or by windows.
pub(crate) enum Counting {
    Buckets(Arc<Keyed<PyClock>>),
    Windows(Windows),
    Fair(Arc<FairKeyed<PyClock>>),
}

impl Counting {
    /// Returns it, however it counts.
    #[inline]
    pub(crate) fn part(&self) -> &dyn Part<PyClock> {
        match self {
            Self::Buckets(keyed) => &**keyed,
            Self::Windows(windows) => &*windows.part,
            Self::Fair(fair) => &**fair,
        }
    }
}

/// A limiter that counts by windows, and its settings.
pub(crate) struct Windows {
    pub(crate) part: Arc<dyn Part<PyClock>>,
    pub(crate) limit: u32,
    pub(crate) per: Duration,
    pub(crate) align: Option<&'static str>,
}
