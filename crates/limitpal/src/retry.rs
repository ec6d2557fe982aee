//! Which error deserves another attempt, and when.

mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::settings::RetrySettings;
use crate::backoff::{duration, seconds};
use crate::config::InvalidConfig;

/// Says whether an error of the user's deserves another attempt.
type Predicate<E> = Arc<dyn Fn(&E) -> bool + Send + Sync>;

/// Which errors deserve another attempt, how many attempts there are, and the delays between them.
///
/// The delay after attempt `n` (from 1) is `min(max_delay, base_delay * backoff^(n-1))`, then
/// `* U(1-jitter, 1+jitter)`, then capped again at `max_delay`.
///
/// | option | default | |
/// |---|---|---|
/// | `max_attempts` | 3 | the first one included |
/// | `base_delay` | 100 ms | |
/// | `max_delay` | 5 s | |
/// | `backoff` | 2.0 | each delay is twice the one before |
/// | `jitter` | 0.0 | 0.1 means up to 10 % more or less |
/// | `seed` | none | seeded, a policy repeats its jitter |
/// | `retry_if` | every error | |
///
/// A policy is a value: a clone is equal to it, and draws its jitter from the seed anew. Two
/// policies are equal when their options are and their `retry_if` is one and the same.
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
    retry_if: Option<Predicate<E>>,
}

impl<E> RetryPolicy<E> {
    /// Returns a builder that has the defaults.
    pub fn builder() -> RetryPolicyBuilder<E> {
        RetryPolicyBuilder::default()
    }

    /// Returns how many attempts there are, the first one included.
    pub fn max_attempts(&self) -> u32 {
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
    /// let millis: Vec<_> = policy.delays().map(|delay| delay.as_millis()).collect();
    /// assert_eq!(vec![100, 200, 400], millis);
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn delays(&self) -> impl Iterator<Item = Duration> + '_ {
        (1..self.max_attempts()).map(|n| self.delay(n))
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
        self.retry_if = Some(Arc::new(retry_if));
        self
    }

    /// Returns whether `error`, which ended attempt `n` (from 1), deserves another attempt.
    pub fn should_retry(&self, error: &E, n: u32) -> bool {
        self.settings.has_attempt_after(n) && self.is_retryable(error)
    }

    /// Returns whether `error` deserves another attempt, if there is one left.
    pub(crate) fn is_retryable(&self, error: &E) -> bool {
        self.retry_if.as_ref().is_none_or(|retry_if| retry_if(error))
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
        Self { settings: Arc::new(settings), retry_if: self.retry_if.clone() }
    }
}

impl<E> PartialEq for RetryPolicy<E> {
    fn eq(&self, other: &Self) -> bool {
        let address = |policy: &Self| policy.retry_if.as_ref().map(|f| Arc::as_ptr(f).cast::<()>());
        self.settings == other.settings && address(self) == address(other)
    }
}

impl<E> fmt::Debug for RetryPolicy<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        let mut shown = f.debug_struct("RetryPolicy");
        shown
            .field("max_attempts", &settings.max_attempts())
            .field("base_delay", &duration(settings.base_delay()))
            .field("max_delay", &duration(settings.max_delay()))
            .field("backoff", &settings.backoff())
            .field("jitter", &settings.jitter());
        if let Some(seed) = settings.seed() {
            shown.field("seed", &seed);
        }
        if self.retry_if.is_some() {
            shown.field("retry_if", &format_args!("a closure"));
        }
        shown.finish()
    }
}

/// Puts a [`RetryPolicy`] together, which lists the defaults.
pub struct RetryPolicyBuilder<E> {
    max_attempts: u32,
    base_delay: Duration,
    max_delay: Duration,
    backoff: f64,
    jitter: f64,
    seed: Option<u64>,
    retry_if: Option<Predicate<E>>,
}

impl<E> RetryPolicyBuilder<E> {
    /// Sets how many attempts there are, the first one included: at least 1.
    #[must_use]
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = max_attempts;
        self
    }

    /// Sets the delay after the first attempt.
    #[must_use]
    pub fn base_delay(mut self, base_delay: Duration) -> Self {
        self.base_delay = base_delay;
        self
    }

    /// Sets the longest delay, jitter included: at least `base_delay`.
    #[must_use]
    pub fn max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = max_delay;
        self
    }

    /// Sets what each delay is multiplied by to give the next: at least 1.
    #[must_use]
    pub fn backoff(mut self, backoff: f64) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how far a delay may stray, as a share of it: from 0 to 1.
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Makes the jitter repeatable.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets which errors deserve another attempt.
    #[must_use]
    pub fn retry_if(mut self, retry_if: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.retry_if = Some(Arc::new(retry_if));
        self
    }

    /// Builds the policy.
    ///
    /// # Errors
    ///
    /// An option outside its range.
    pub fn build(self) -> Result<RetryPolicy<E>, InvalidConfig> {
        let delays = (seconds(self.base_delay), seconds(self.max_delay));
        let settings =
            RetrySettings::new(self.max_attempts, delays, self.backoff, self.jitter, self.seed)?;
        Ok(RetryPolicy { settings: Arc::new(settings), retry_if: self.retry_if })
    }
}

impl<E> Default for RetryPolicyBuilder<E> {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            base_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(5),
            backoff: 2.0,
            jitter: 0.0,
            seed: None,
            retry_if: None,
        }
    }
}

impl<E> fmt::Debug for RetryPolicyBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicyBuilder")
            .field("max_attempts", &self.max_attempts)
            .field("base_delay", &self.base_delay)
            .field("max_delay", &self.max_delay)
            .field("backoff", &self.backoff)
            .field("jitter", &self.jitter)
            .finish_non_exhaustive()
    }
}
