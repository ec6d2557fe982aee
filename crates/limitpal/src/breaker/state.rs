//! The words for where a circuit stands, and for the right to make one call.

use std::fmt;

/// Whether a circuit breaker lets calls through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls go through, and what its rules look at is counted.
    Closed,
    /// Calls are refused until the recovery timeout has passed.
    Open,
    /// A few calls go through, to find out whether the other side is back, or, on a ramp, to let
    /// it get used to them again.
    HalfOpen,
}

impl CircuitState {
    /// Returns the state as one word: `closed`, `open` or `half_open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a circuit breaker is run, by whoever operates it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[non_exhaustive]
pub enum BreakerMode {
    /// It counts, and refuses when it is open.
    #[default]
    Enforce,
    /// It counts and changes its state as ever, but refuses nobody.
    Shadow,
    /// It lets all calls through and counts nothing.
    Disabled,
    /// It refuses all calls until it is told otherwise.
    ForcedOpen,
}

impl BreakerMode {
    /// Returns the mode as one word: `enforce`, `shadow`, `disabled` or `forced_open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Disabled => "disabled",
            Self::ForcedOpen => "forced_open",
        }
    }
}

impl fmt::Display for BreakerMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The right to make one call. All calls of one stay in the closed state share theirs; each probe
/// of the half-open state has its own. No number comes twice, so a permit is good for the state
/// it was lent in and for no later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Permit(u64);

impl Permit {
    /// What a call has that is let through though the circuit would refuse it: its outcome never
    /// counts.
    pub(crate) const UNCOUNTED: Self = Self(u64::MAX);

    /// Returns the permit that has this number.
    #[doc(hidden)]
    pub const fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// Returns its number.
    #[doc(hidden)]
    pub const fn number(self) -> u64 {
        self.0
    }
}
