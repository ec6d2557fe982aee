//! A point in time as a count of nanoseconds.

use std::fmt;
use std::time::Duration;

/// A reading of a [`Clock`](crate::Clock): signed nanoseconds since that clock's own zero.
///
/// Arithmetic saturates at the ends (292 years on either side of zero), so a nonsensical
/// reading can be early or late but never panics.
///
/// ```
/// use limitpal::Instant;
/// use std::time::Duration;
///
/// let start = Instant::ZERO;
/// let later = start + Duration::from_millis(1500);
/// assert_eq!(1_500_000_000, later.as_nanos());
/// assert_eq!(Duration::from_millis(1500), later.saturating_duration_since(start));
/// assert_eq!(Duration::ZERO, start.saturating_duration_since(later));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

impl Instant {
    /// The clock's own zero.
    pub const ZERO: Self = Self(0);
    /// The latest instant there is.
    pub const MAX: Self = Self(i64::MAX);
    /// The earliest instant there is.
    pub const MIN: Self = Self(i64::MIN);

    /// Returns the instant `nanos` nanoseconds after zero; negative ones lie before it.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Returns the nanoseconds since zero.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Returns the time since `earlier`, zero if `earlier` is in fact later.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        if self.0 <= earlier.0 {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.0.abs_diff(earlier.0))
    }

    /// Returns this instant moved forward, saturating at [`Instant::MAX`].
    pub const fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// Returns this instant moved back, saturating at [`Instant::MIN`].
    pub const fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        self.saturating_add(span)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.0)
    }
}

/// Returns a duration as nanoseconds, saturating at 292 years.
pub(crate) const fn nanos(span: Duration) -> i64 {
    let nanos = span.as_nanos();
    if nanos > i64::MAX as u128 { i64::MAX } else { nanos as i64 }
}
