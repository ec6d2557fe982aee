//! How a keyed limiter counts.

use std::sync::Arc;
use std::time::Duration;

use limitpal::parts::{AdaptiveRate, FairKeyed, Keyed, Part, WarmUp};

use crate::clock::PyClock;

/// How a limiter counts: by buckets, which are asked without a detour, by windows, by buckets
/// that warm up, by one that is shared, or by a rate that adapts.
pub(crate) enum Counting {
    Buckets(Arc<Keyed<PyClock>>),
    Windows(Windows),
    Ramp(Ramp),
    Fair(Arc<FairKeyed<PyClock>>),
    Adaptive(Arc<Keyed<PyClock, AdaptiveRate>>),
}

/// A limiter that counts by windows, and its settings.
pub(crate) struct Windows {
    pub(crate) part: Arc<dyn Part<PyClock>>,
    pub(crate) limit: u32,
    pub(crate) per: Duration,
    pub(crate) align: Option<&'static str>,
}

/// A bucket that warms up, and its settings.
pub(crate) struct Ramp {
    pub(crate) part: Arc<dyn Part<PyClock>>,
    pub(crate) bucket: WarmUp,
}

impl Counting {
    /// Returns the limiter, however it counts.
    #[inline]
    pub(crate) fn part(&self) -> &dyn Part<PyClock> {
        match self {
            Self::Buckets(keyed) => &**keyed,
            Self::Windows(windows) => &*windows.part,
            Self::Ramp(ramp) => &*ramp.part,
            Self::Fair(fair) => &**fair,
            Self::Adaptive(keyed) => &**keyed,
        }
    }

    /// As `part`, to be kept.
    pub(crate) fn shared(&self) -> Arc<dyn Part<PyClock>> {
        match self {
            Self::Buckets(keyed) => keyed.clone(),
            Self::Windows(windows) => windows.part.clone(),
            Self::Ramp(ramp) => ramp.part.clone(),
            Self::Fair(fair) => fair.clone(),
            Self::Adaptive(keyed) => keyed.clone(),
        }
    }
}
