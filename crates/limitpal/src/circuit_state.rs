//! The words for where a circuit stands.

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
