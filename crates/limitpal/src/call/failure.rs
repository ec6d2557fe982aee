//! What an attempt that failed means to its run.

use crate::circuit_breaker::Outcome;
use crate::retry::Spacing;

/// What an attempt that failed means to its [`Call`](crate::Call).
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// Whether the error deserves another attempt, as far as it alone is concerned.
    pub retryable: bool,
    /// As what it counts for the breaker; none: as neither.
    pub outcome: Option<Outcome>,
    /// By what the delay before another attempt is computed.
    pub spacing: Spacing,
    /// What a rehearsal changes; nothing outside of tests.
    pub rehearsal: Option<Rehearsal>,
}

/// How tests hurry a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Rehearsal {
    /// Whether there is a wait between attempts. One that is left out counts as if it had been.
    pub waits: bool,
    /// How many attempts there are at most, besides what the policy says.
    pub max_attempts: Option<u32>,
}

impl Failure {
    /// An error that deserves another attempt, or not, and counts for the breaker, or not.
    pub const fn new(retryable: bool, counts: bool) -> Self {
        let outcome = if counts { Some(Outcome::Failure) } else { None };
        Self { retryable, outcome, spacing: Spacing::Policy, rehearsal: None }
    }

    /// A value that deserves another attempt; the other side has answered.
    pub const fn answered() -> Self {
        Self::new(true, false).counted_as(Some(Outcome::Success))
    }

    /// Returns it with what it counts as for the breaker: an error may be an answer of the other
    /// side, and so a success.
    #[must_use]
    pub const fn counted_as(self, outcome: Option<Outcome>) -> Self {
        Self { outcome, ..self }
    }

    /// Returns it with another delay before the next attempt.
    #[must_use]
    pub const fn spaced(self, spacing: Spacing) -> Self {
        Self { spacing, ..self }
    }

    /// Returns it as it is in a rehearsal.
    #[must_use]
    pub const fn rehearsed(self, rehearsal: Option<Rehearsal>) -> Self {
        Self { rehearsal, ..self }
    }
}

impl Rehearsal {
    /// Makes a rehearsal.
    pub const fn new(waits: bool, max_attempts: Option<u32>) -> Self {
        Self { waits, max_attempts }
    }

    /// Returns whether there is an attempt after attempt `n`.
    pub(super) fn has_attempt_after(self, n: u32) -> bool {
        self.max_attempts.is_none_or(|max_attempts| n < max_attempts)
    }
}
