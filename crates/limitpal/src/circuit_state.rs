//! The words for where a circuit stands, and why it moved there.

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

/// Why a circuit breaker went from one state to another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum MoveReason {
    /// It opened: a `ConsecutiveFailures` tripped, or the `failure_threshold`.
    ConsecutiveFailures,
    /// It opened: a `FailureRate` tripped.
    FailureRate,
    /// It opened: a `SlowCallRate` tripped.
    SlowCallRate,
    /// It opened again: a half-open call failed.
    ProbeFailed,
    /// It opened again: a half-open call was slow.
    ProbeSlow,
    /// It opened again: it had not closed within the `half_open_timeout`.
    HalfOpenTimeout,
    /// It half-opened: the time that it stays open was over.
    RecoveryTimeout,
    /// It closed: as many half-open calls succeeded as it takes.
    ProbesSucceeded,
    /// It closed: its ramp was over.
    RampOver,
    /// It was closed by `reset`.
    Reset,
    /// It was given another mode: forced open, disabled, or enforced after one of these.
    ModeChanged,
    /// It went on from a snapshot.
    Restored,
}

impl MoveReason {
    /// Returns the reason as one word, such as `failure_rate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::SlowCallRate => "slow_call_rate",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeSlow => "probe_slow",
            Self::HalfOpenTimeout => "half_open_timeout",
            Self::RecoveryTimeout => "recovery_timeout",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::RampOver => "ramp_over",
            Self::Reset => "reset",
            Self::ModeChanged => "mode_changed",
            Self::Restored => "restored",
        }
    }
}

impl fmt::Display for MoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
