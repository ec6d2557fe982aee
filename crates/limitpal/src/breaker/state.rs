//! The words for how a circuit is run, and for the right to make one call.

use std::fmt;

pub use crate::circuit_state::{CircuitState, MoveReason};

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
