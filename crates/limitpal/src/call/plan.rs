//! What a run goes through, and what its limits count.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ledger::Ledger;
use crate::circuit_breaker::BreakerCell;
use crate::config::{InvalidConfig, positive};
use crate::hedge::HedgeCell;
use crate::retry::RetrySettings;
use crate::retry_budget::BudgetCell;

/// What quota and circuit breaker count.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum Charge {
    /// Runs: quota is taken once, and the breaker hears once, when the run ends.
    #[default]
    Call,
    /// Attempts: quota is taken before each and the breaker hears of each. For a provider that
    /// counts every request.
    Attempt,
}

impl Charge {
    /// Returns what is counted as one word: `call` or `attempt`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Attempt => "attempt",
        }
    }
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The stages that a [`Call`](crate::Call) goes through. An absent one does nothing.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// How many attempts, and the delays between them; without it there is one attempt.
    pub retry: Option<Arc<RetrySettings>>,
    /// Whether something is to be kept of a run from its beginning: true where `retry` has a
    /// `max_elapsed`, where there is a `budget`, a `hedge` or a bulkhead, and where there are
    /// timeouts.
    pub kept: bool,
    /// Whom to ask before another attempt, and who hears of each call.
    pub budget: Option<Arc<BudgetCell>>,
    /// When an attempt gets another try; its loop holds a [`Race`](crate::parts::Race).
    pub hedge: Option<Arc<HedgeCell>>,
    /// Whom to ask before the function is called, and who hears how it went.
    pub breaker: Option<Arc<BreakerCell>>,
    /// Whether quota is needed, or a place in a bulkhead.
    pub has_limiter: bool,
    /// What quota and breaker count.
    pub charge: Charge,
    /// How long to wait for quota in the whole run; without it, as long as it takes.
    pub acquire_timeout: Option<Duration>,
    /// Whether a run notes its time though nothing here limits it, as for hooks; `kept` then too.
    pub keeps_time: bool,
    /// How long a run may last.
    pub timeout: Option<Duration>,
    /// How long an attempt may last.
    pub attempt_timeout: Option<Duration>,
    /// What became of the runs so far; a copy of the plan counts for itself.
    pub ledger: Ledger,
}

impl Plan {
    /// Sets how long a run and an attempt may last, from which on time is kept.
    ///
    /// # Errors
    ///
    /// A time of 0 or above 100 years, an attempt that may last longer than its run, and a hedge that
    /// would begin only once the attempt's time is over.
    pub fn set_timeouts(
        &mut self,
        timeout: Option<Duration>,
        attempt_timeout: Option<Duration>,
    ) -> Result<(), InvalidConfig> {
        for (name, span) in [("timeout", timeout), ("attempt_timeout", attempt_timeout)] {
            span.map_or(Ok(()), |span| positive(name, span))?;
        }
        if let (Some(run), Some(attempt)) = (timeout, attempt_timeout)
            && attempt > run
        {
            let advice = format!("give at most the timeout of the whole run ({run:?})");
            return Err(InvalidConfig::new("attempt_timeout", format_args!("{attempt:?}"), advice));
        }
        if let (Some(most), Some(hedge)) = (attempt_timeout.or(timeout), &self.hedge) {
            hedge.settings().begins_within(most)?;
        }
        (self.timeout, self.attempt_timeout) = (timeout, attempt_timeout);
        self.kept |= timeout.is_some() || attempt_timeout.is_some();
        Ok(())
    }

    /// Returns whether something is to be kept of a run that begins now: also where somebody listens.
    #[inline]
    pub fn is_kept(&self) -> bool {
        self.kept || self.ledger.teller().is_heard()
    }

    /// Returns whether it matters when a run begins.
    pub(crate) fn is_timed(&self) -> bool {
        self.keeps_time
            || self.timeout.is_some()
            || self.attempt_timeout.is_some()
            || self.retry.as_ref().is_some_and(|retry| retry.is_timed())
    }
}
