//! Putting a retry policy together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::RetryPolicy;
use super::attempt::Attempt;
use super::hooks::AttemptEnd;
use super::rules::{Class, Rules};
use super::settings::{RetryOptions, RetrySettings, exponential};
use crate::backoff::{Delays, Jitter, seconds};
use crate::config::InvalidConfig;

/// Puts a [`RetryPolicy`] together, which lists the defaults.
pub struct RetryPolicyBuilder<E> {
    base_delay: Option<Duration>,
    backoff: Option<f64>,
    delays: Option<Delays>,
    options: RetryOptions,
    rules: Rules<E>,
}

impl<E> RetryPolicyBuilder<E> {
    /// Sets how many attempts there are, the first one included: at least 1.
    #[must_use]
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.options.max_attempts = Some(max_attempts);
        self
    }

    /// Lets there be as many attempts as it takes. Give [`max_elapsed`](Self::max_elapsed) then,
    /// or a breaker or budget to the executor, unless a run may go on for ever.
    ///
    /// Give delays, too: without any, attempts follow one another as fast as they fail, and on a
    /// mock clock attempts that take no time never reach the end of a time.
    #[must_use]
    pub fn unlimited_attempts(mut self) -> Self {
        self.options.max_attempts = None;
        self
    }

    /// Sets for how long after its beginning a run may begin another attempt: above 0, 100 years
    /// at most. A wait that would end later is not begun.
    #[must_use]
    pub fn max_elapsed(mut self, max_elapsed: Duration) -> Self {
        self.options.max_elapsed = Some(max_elapsed);
        self
    }

    /// Sets how delays grow, in place of `base_delay` and `backoff`.
    #[must_use]
    pub fn delays(mut self, delays: Delays) -> Self {
        self.delays = Some(delays);
        self
    }

    /// Sets how delays grow after the errors of a class: those for which `belongs` is true, and
    /// for no class before it.
    ///
    /// ```
    /// use limitpal::{Delays, ResilientExecutor, MockClock, RetryPolicy};
    /// use std::time::Duration;
    ///
    /// let policy = RetryPolicy::builder()
    ///     .delays_for(|error| *error == "throttled", Delays::constant(Duration::from_secs(2)))
    ///     .build()?;
    /// let clock = MockClock::new();
    /// let executor =
    ///     ResilientExecutor::builder().retry_policy(policy).clock(clock.clone()).build()?;
    ///
    /// let mut errors = ["timed out", "throttled"].into_iter();
    /// executor.run_blocking("api", || errors.next().map_or(Ok(()), Err)).unwrap();
    /// assert_eq!(2_100_000_000, clock.now().as_nanos());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn delays_for(
        mut self,
        belongs: impl Fn(&E) -> bool + Send + Sync + 'static,
        delays: Delays,
    ) -> Self {
        self.options.classes.push(delays);
        self.rules.classes.push(Class(Arc::new(belongs)));
        self
    }

    /// Sets the delay after the first attempt.
    #[must_use]
    pub fn base_delay(mut self, base_delay: Duration) -> Self {
        self.base_delay = Some(base_delay);
        self
    }

    /// Sets the shortest delay, jitter included: at most `max_delay`.
    #[must_use]
    pub fn min_delay(mut self, min_delay: Duration) -> Self {
        self.options.min_delay = seconds(min_delay);
        self
    }

    /// Sets the longest delay, jitter included: at least `base_delay`, and every delay of a list.
    #[must_use]
    pub fn max_delay(mut self, max_delay: Duration) -> Self {
        self.options.max_delay = seconds(max_delay);
        self
    }

    /// Sets what each delay is multiplied by to give the next: at least 1.
    #[must_use]
    pub fn backoff(mut self, backoff: f64) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Sets how far a delay may stray: a share of it from 0 to 1, or a [`Jitter`].
    #[must_use]
    pub fn jitter(mut self, jitter: impl Into<Jitter>) -> Self {
        self.options.jitter = jitter.into();
        self
    }

    /// Makes the jitter repeatable.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Sets which errors deserve another attempt.
    #[must_use]
    pub fn retry_if(mut self, retry_if: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.rules.retry_if = Some(Arc::new(retry_if));
        self
    }

    /// Sets whether an attempt deserves another whose time was over, by the `attempt_timeout` of
    /// its executor; it has no error that `retry_if` could look at.
    #[must_use]
    pub fn retry_timeouts(mut self, retry_timeouts: bool) -> Self {
        self.rules.spares_timeouts = !retry_timeouts;
        self
    }

    /// Sets how to read from an error after which time the server wants the next attempt, as
    /// `Retry-After` says. That is the delay then, without jitter: neither `min_delay` nor
    /// `max_delay` bounds it, only [`max_server_delay`](Self::max_server_delay).
    #[must_use]
    pub fn delay_from(
        mut self,
        delay_from: impl Fn(&E) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.rules.delay_from = Some(Arc::new(delay_from));
        self
    }

    /// Sets what to call before each attempt, once it has its quota.
    ///
    /// Hooks are called in the caller's own task and thread, under no lock. One that panics ends the
    /// run, which counts as cancelled.
    ///
    /// ```
    /// use limitpal::{AttemptEnd, MockClock, ResilientExecutor, RetryPolicy};
    /// use std::sync::{Arc, Mutex};
    ///
    /// let log: Arc<Mutex<Vec<String>>> = Arc::default();
    /// let write = |log: &Arc<Mutex<Vec<String>>>| {
    ///     let log = log.clone();
    ///     move |line: String| log.lock().unwrap().push(line)
    /// };
    /// let (before, after, wait) = (write(&log), write(&log), write(&log));
    /// let policy = RetryPolicy::<&str>::builder()
    ///     .before_attempt(move |attempt| before(format!("attempt {}", attempt.number())))
    ///     .after_attempt(move |_, end| after(format!("{end:?}")))
    ///     .before_wait(move |next, delay| wait(format!("{delay:?} before {}", next.number())))
    ///     .build()?;
    /// let executor =
    ///     ResilientExecutor::builder().retry_policy(policy).clock(MockClock::new()).build()?;
    ///
    /// let mut answers = [Err("busy"), Ok(7)].into_iter();
    /// executor.run_blocking("api", || answers.next().unwrap()).unwrap();
    /// let expected =
    ///     ["attempt 1", "Failed(\"busy\")", "100ms before 2", "attempt 2", "Value"];
    /// assert_eq!(expected[..], log.lock().unwrap()[..]);
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn before_attempt(
        mut self,
        hook: impl Fn(&Attempt<'_, E>) + Send + Sync + 'static,
    ) -> Self {
        self.rules.hooks.before_attempt = Some(Arc::new(hook));
        self
    }

    /// Sets what to call after each attempt, before anything is decided. A cancelled attempt has no
    /// end to tell of.
    #[must_use]
    pub fn after_attempt(
        mut self,
        hook: impl Fn(&Attempt<'_, E>, AttemptEnd<'_, E>) + Send + Sync + 'static,
    ) -> Self {
        self.rules.hooks.after_attempt = Some(Arc::new(hook));
        self
    }

    /// Sets what to call before each wait between attempts: with the attempt that will follow,
    /// whose last error is why, and with how long it waits.
    #[must_use]
    pub fn before_wait(
        mut self,
        hook: impl Fn(&Attempt<'_, E>, Duration) + Send + Sync + 'static,
    ) -> Self {
        self.rules.hooks.before_wait = Some(Arc::new(hook));
        self
    }

    /// Sets the longest delay that an error may ask for.
    #[must_use]
    pub fn max_server_delay(mut self, max_server_delay: Duration) -> Self {
        self.options.max_server_delay = seconds(max_server_delay);
        self
    }

    /// Builds the policy.
    ///
    /// # Errors
    ///
    /// An option outside its range, or `delays` beside `base_delay` or `backoff`.
    pub fn build(self) -> Result<RetryPolicy<E>, InvalidConfig> {
        let Self { base_delay, backoff, delays, mut options, rules } = self;
        if delays.is_some() {
            let given = base_delay.map(|base| ("base_delay", format!("{base:?}")));
            let given = given.or_else(|| backoff.map(|factor| ("backoff", factor.to_string())));
            if let Some((parameter, value)) = given {
                let advice = "leave it out where delays are given";
                return Err(InvalidConfig::new(parameter, value, advice));
            }
        }
        let base = seconds(base_delay.unwrap_or(Duration::from_millis(100)));
        options.delays = match delays {
            Some(delays) => delays,
            None => exponential(base, backoff.unwrap_or(2.0))?,
        };
        let settings = Arc::new(RetrySettings::of(options)?);
        Ok(RetryPolicy { settings, rules: Arc::new(rules) })
    }
}

impl<E> Default for RetryPolicyBuilder<E> {
    fn default() -> Self {
        Self {
            base_delay: None,
            backoff: None,
            delays: None,
            options: RetryOptions::default(),
            rules: Rules::default(),
        }
    }
}

impl<E> fmt::Debug for RetryPolicyBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicyBuilder")
            .field("base_delay", &self.base_delay)
            .field("backoff", &self.backoff)
            .field("delays", &self.delays)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
