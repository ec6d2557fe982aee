//! Why a call was refused: by which part, for which key, in numbers, and what would change that.

use std::fmt;
use std::time::Duration;

use super::{CircuitBreakerOpen, OpenReason, RateLimitExceeded};
use crate::retry_after::RetryAfter;

/// Why a call was refused, as a value to read and to print.
///
/// ```
/// use limitpal::{MockClock, Rate, TokenBucket};
/// use std::time::Duration;
///
/// let builder = TokenBucket::builder(2, Rate::per_second(1.0)?).clock(MockClock::new());
/// let limiter = builder.build()?;
/// let _answers = limiter.allow_many(["ann", "ann"]);
/// let refusal = limiter.acquire_timeout_blocking("ann", Duration::ZERO).unwrap_err();
///
/// assert_eq!(
///     "TokenBucket refused \"ann\": limit 2, remaining 0, cost 1; come back in 1.000s, be ready to wait \
///      that long, or raise the limit",
///     limiter.explain("ann", refusal).to_string(),
/// );
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The kind of what has refused: `TokenBucket`, `CircuitBreaker`.
    pub part: &'static str,
    /// Whose call it was, where that is known.
    pub key: Option<String>,
    /// How it stood, in numbers and words by their names.
    pub state: Vec<(&'static str, String)>,
    /// When a further call may succeed, where somebody can say.
    pub retry_after: RetryAfter,
    /// What would have to change.
    pub change: String,
}

impl Explanation {
    pub(crate) fn new(part: &'static str, retry_after: RetryAfter, change: String) -> Self {
        Self { part, key: None, state: Vec::new(), retry_after, change }
    }

    /// Returns it with whose call it was.
    #[must_use]
    pub fn of_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.state.push((name, value.to_string()));
        self
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused", self.part)?;
        match &self.key {
            Some(key) => write!(f, " {key:?}")?,
            None => f.write_str(" a call")?,
        }
        for (rank, (name, value)) in self.state.iter().enumerate() {
            write!(f, "{} {name} {value}", if rank == 0 { ":" } else { "," })?;
        }
        write!(f, "; {}", self.change)
    }
}

impl RateLimitExceeded {
    /// Explains it, as far as it knows: ask the limiter for more
    /// ([`AnyLimiter::explain`](crate::AnyLimiter::explain)).
    pub fn explain(self) -> Explanation {
        self.explained_by("a limiter", None)
    }

    pub(crate) fn explained_by(self, part: &'static str, limit: Option<u32>) -> Explanation {
        let retry_after = self.retry_after();
        let change = match (retry_after, limit) {
            (RetryAfter::Now, _) => "ask again now".to_owned(),
            (RetryAfter::After(wait), _) => {
                format!("come back in {wait:.3?}, be ready to wait that long, or raise the limit")
            }
            (RetryAfter::Never, Some(limit)) => {
                format!("lower the cost to {limit} at most, or raise the limit")
            }
            (RetryAfter::Never, None) => "lower the cost, or raise the limit".to_owned(),
            (RetryAfter::Unknown, _) => {
                "come back when others have given back; nobody can say when".to_owned()
            }
        };
        Explanation::new(part, retry_after, change)
    }
}

impl CircuitBreakerOpen {
    /// Explains it.
    ///
    /// ```
    /// use limitpal::{BreakerError, CircuitBreaker, MockClock};
    ///
    /// let builder = CircuitBreaker::builder().failure_threshold(2).clock(MockClock::new());
    /// let breaker = builder.build()?;
    /// breaker.record_failure();
    /// breaker.record_failure();
    /// let answer = breaker.call_blocking(|| Ok::<_, ()>(7));
    /// let Err(BreakerError::CircuitBreakerOpen(refusal)) = answer else { panic!("it is open") };
    ///
    /// assert_eq!(
    ///     "CircuitBreaker refused a call: state open, trips in a row 1, failures in a row 2; \
    ///      wait 5.000s, until it half-opens and lets a probe through",
    ///     refusal.explain().to_string(),
    /// );
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn explain(self) -> Explanation {
        let wait = |end: &str| match self.retry_after() {
            Some(Duration::ZERO) => "ask again now".to_owned(),
            Some(wait) => format!("wait {wait:.3?}, {end}"),
            None => "run it in another mode; until then nobody can say when".to_owned(),
        };
        let (state, change) = match self.reason() {
            OpenReason::Open => ("open", wait("until it half-opens and lets a probe through")),
            OpenReason::Probing => {
                ("half_open, its probes are out", wait("or until one of them has ended"))
            }
            OpenReason::Ramp => (
                "half_open, on its ramp",
                wait("until that ends; an earlier call may be let through"),
            ),
            OpenReason::Forced => ("forced_open", wait("")),
        };
        let retry_after = self.retry_after().map_or(RetryAfter::Unknown, RetryAfter::wait);
        let explained = Explanation::new("CircuitBreaker", retry_after, change);
        let explained = explained.with("state", state).with("trips in a row", self.trips());
        explained.with("failures in a row", self.failures())
    }
}
