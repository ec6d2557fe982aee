//! When to come back.

use std::time::Duration;

/// When a refused call would succeed if nobody else took meanwhile.
///
/// The order is by how long one has to wait; what cannot be known comes last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum RetryAfter {
    /// At once: it was allowed.
    Now,
    /// After this time: refused a nanosecond before, admitted at it.
    After(Duration),
    /// Never: its cost is above the capacity.
    Never,
    /// It cannot be known.
    Unknown,
}

impl RetryAfter {
    /// Returns the answer for a wait: `Now` when there is none.
    pub(crate) const fn wait(wait: Duration) -> Self {
        if wait.is_zero() { Self::Now } else { Self::After(wait) }
    }

    /// Returns the answer where it may change before then.
    pub(crate) const fn in_doubt(self) -> Self {
        if let Self::After(_) = self { Self::Unknown } else { self }
    }

    /// Returns the answer for one who asks so long before.
    pub(crate) fn later(self, span: Duration) -> Self {
        match self {
            Self::Now => Self::wait(span),
            Self::After(wait) => Self::After(wait.saturating_add(span)),
            Self::Never | Self::Unknown => self,
        }
    }

    /// Returns the time to wait, where there is an end to it.
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::After(wait) => Some(wait),
            Self::Never | Self::Unknown => None,
        }
    }
}
