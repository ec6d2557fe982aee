//! Which error deserves another attempt, and when.

mod attempt;
mod builder;
mod hooks;
mod rules;
mod settings;
mod spacing;
mod through;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::attempt::Attempt;
pub use self::builder::RetryPolicyBuilder;
pub use self::hooks::AttemptEnd;
pub(crate) use self::hooks::Hooks;
use self::rules::Rules;
pub use self::settings::{RetryOptions, RetrySettings, exponential};
pub use self::spacing::Spacing;
pub(crate) use self::through::Through;
use crate::backoff::{Jitter, Memory, duration};

/// Which errors deserve another attempt, how many attempts there are, and the delays between them.
///
/// The delay after attempt `n` (from 1) is `min(max_delay, base_delay * backoff^(n-1))`, then
/// `* U(1-jitter, 1+jitter)`, then at least `min_delay`, then capped again at `max_delay`.
///
/// | option | default | |
/// |---|---|---|
/// | `max_attempts` | 3 | the first one included; `unlimited_attempts` for as many as it takes |
/// | `max_elapsed` | none | how long after its beginning a run may begin another attempt |
/// | `base_delay` | 100 ms | |
/// | `min_delay` | 0 | |
/// | `max_delay` | 5 s | |
/// | `backoff` | 2.0 | each delay is twice the one before |
/// | `delays` | exponential | other [`Delays`](crate::Delays), in place of `base_delay` and `backoff` |
/// | `delays_for` | none | other delays after some errors |
/// | `jitter` | 0.0 | 0.1 means up to 10 % more or less; or a [`Jitter`] |
/// | `seed` | none | seeded, a policy repeats its jitter |
/// | `retry_if` | every error | |
/// | `retry_timeouts` | true | whether an attempt that was cut short deserves another |
/// | `before_attempt`, `after_attempt`, `before_wait` | none | hooks |
/// | `delay_from` | none | reads from an error when the server wants the next attempt |
/// | `max_server_delay` | 60 s | the longest delay that an error may ask for |
///
/// A policy is a value: a clone is equal to it, and draws its jitter from the seed anew. Two
/// policies are equal when their options are and their functions are one and the same.
///
/// ```
/// use limitpal::RetryPolicy;
/// use std::io::{Error, ErrorKind};
/// use std::time::Duration;
///
/// let policy = RetryPolicy::builder()
///     .max_attempts(4)
///     .base_delay(Duration::from_millis(500))
///     .retry_if(|error: &Error| error.kind() == ErrorKind::TimedOut)
///     .build()?;
///
/// assert_eq!(Duration::from_secs(1), policy.delay(2));
/// assert!(policy.should_retry(&ErrorKind::TimedOut.into(), 3));
/// assert!(!policy.should_retry(&ErrorKind::TimedOut.into(), 4));
/// assert!(!policy.should_retry(&ErrorKind::NotFound.into(), 1));
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
pub struct RetryPolicy<E> {
    settings: Arc<RetrySettings>,
    rules: Arc<Rules<E>>,
}

impl<E> RetryPolicy<E> {
    /// Returns a builder that has the defaults.
    pub fn builder() -> RetryPolicyBuilder<E> {
        RetryPolicyBuilder::default()
    }

    /// Returns how many attempts there are, the first one included; none for as many as it takes.
    pub fn max_attempts(&self) -> Option<u32> {
        self.settings.max_attempts()
    }

    /// Returns how long to wait after attempt `n`, counted from 1, before the next.
    ///
    /// With jitter, each call draws anew.
    pub fn delay(&self, n: u32) -> Duration {
        self.settings.delay(n)
    }

    /// Returns the delays of one run that uses all its attempts: one fewer than attempts.
    ///
    /// ```
    /// use limitpal::RetryPolicy;
    ///
    /// let policy = RetryPolicy::<String>::builder().max_attempts(4).build()?;
    /// let millis: Vec<_> = policy.schedule().map(|delay| delay.as_millis()).collect();
    /// assert_eq!(vec![100, 200, 400], millis);
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn schedule(&self) -> impl Iterator<Item = Duration> + '_ {
        let mut memory = Memory::default();
        let last = self.max_attempts().unwrap_or(u32::MAX);
        (1..last).map(move |n| self.settings.spaced(Spacing::Policy, n, &mut memory))
    }

    /// Returns the policy with another say on which errors deserve another attempt.
    ///
    /// ```
    /// use limitpal::RetryPolicy;
    ///
    /// let policy = RetryPolicy::default().retry_if(|error: &&str| *error == "busy");
    /// assert!(policy.should_retry(&"busy", 1));
    /// assert!(!policy.should_retry(&"gone", 1));
    /// ```
    #[must_use]
    pub fn retry_if(mut self, retry_if: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.rules).retry_if = Some(Arc::new(retry_if));
        self
    }

    /// Returns whether `error`, which ended attempt `n` (from 1), deserves another attempt.
    pub fn should_retry(&self, error: &E, n: u32) -> bool {
        self.settings.has_attempt_after(n) && self.is_retryable(error)
    }

    /// Returns whether `error` deserves another attempt, if there is one left.
    pub(crate) fn is_retryable(&self, error: &E) -> bool {
        self.rules.retries(error)
    }

    /// Returns whether an attempt that was cut short deserves another, if there is one left.
    pub(crate) fn retries_timeouts(&self) -> bool {
        !self.rules.spares_timeouts
    }

    /// Returns whom to tell about attempts.
    pub(crate) fn hooks(&self) -> &Hooks<E> {
        &self.rules.hooks
    }

    /// Returns by what the delay after `error` is computed.
    pub(crate) fn spacing(&self, error: &E) -> Spacing {
        self.rules.spacing(error)
    }

    /// Returns the part of a policy that knows no error type, for a [`Plan`](crate::Plan).
    pub fn settings(&self) -> &Arc<RetrySettings> {
        &self.settings
    }
}

impl<E> Default for RetryPolicy<E> {
    fn default() -> Self {
        Self::builder().build().expect("the defaults are in range")
    }
}

impl<E> Clone for RetryPolicy<E> {
    fn clone(&self) -> Self {
        let settings = RetrySettings::clone(&self.settings);
        Self { settings: Arc::new(settings), rules: Arc::clone(&self.rules) }
    }
}

impl<E> PartialEq for RetryPolicy<E> {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.rules == other.rules
    }
}

impl<E> fmt::Debug for RetryPolicy<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        let mut shown = f.debug_struct("RetryPolicy");
        match settings.max_attempts() {
            Some(max_attempts) => shown.field("max_attempts", &max_attempts),
            None => shown.field("max_attempts", &format_args!("unlimited")),
        };
        if let Some(max_elapsed) = settings.max_elapsed() {
            shown.field("max_elapsed", &max_elapsed);
        }
        match settings.backoff() {
            Some(backoff) => shown
                .field("base_delay", &duration(settings.base_delay()))
                .field("max_delay", &duration(settings.max_delay()))
                .field("backoff", &backoff),
            None => shown
                .field("delays", &settings.delays().0)
                .field("max_delay", &duration(settings.max_delay())),
        };
        if settings.min_delay() > 0.0 {
            shown.field("min_delay", &duration(settings.min_delay()));
        }
        match settings.jitter() {
            Jitter::Share(share) => shown.field("jitter", &share),
            named => shown.field("jitter", &named),
        };
        if let Some(seed) = settings.seed() {
            shown.field("seed", &seed);
        }
        self.rules.show(&mut shown);
        shown.finish()
    }
}
