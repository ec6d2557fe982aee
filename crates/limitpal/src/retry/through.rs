//! A policy for errors that hold another error, or something else that deserves another attempt.

use std::sync::Arc;

use super::attempt::Attempt;
use super::hooks::{AttemptEnd, Hooks};
use super::rules::{Class, Rules};
use super::{RetryPolicy, RetrySettings};

/// An error that may hold the error of another type.
pub(crate) trait Through<E> {
    /// Returns the error it holds; none: it is something else.
    fn error(&self) -> Option<&E>;

    /// Returns whether that something else deserves another attempt.
    fn deserves_another(&self) -> bool;
}

impl<E: 'static> RetryPolicy<E> {
    /// Returns the policy as it is for such errors. It draws its jitter from the same seed.
    pub(crate) fn through<W: Through<E> + 'static>(&self) -> RetryPolicy<W> {
        let settings: Arc<RetrySettings> = Arc::clone(&self.settings);
        RetryPolicy { settings, rules: Arc::new(self.rules.through()) }
    }
}

impl<E: 'static> Rules<E> {
    fn through<W: Through<E> + 'static>(self: &Arc<Self>) -> Rules<W> {
        let (retries, asked) = (Arc::clone(self), Arc::clone(self));
        let class = |at: usize| -> Class<W> {
            let rules = Arc::clone(self);
            Class(Arc::new(move |it: &W| it.error().is_some_and(|it| (rules.classes[at].0)(it))))
        };
        Rules {
            retry_if: Some(Arc::new(move |it: &W| {
                it.error().map_or_else(|| it.deserves_another(), |error| retries.retries(error))
            })),
            classes: (0..self.classes.len()).map(class).collect(),
            delay_from: Some(Arc::new(move |it: &W| {
                let error = it.error()?;
                asked.delay_from.as_ref().and_then(|delay_from| delay_from(error))
            })),
            spares_timeouts: self.spares_timeouts,
            hooks: self.hooks.through(),
        }
    }
}

impl<E: 'static> Hooks<E> {
    fn through<W: Through<E> + 'static>(&self) -> Hooks<W> {
        let mut hooks = Hooks::default();
        if let Some(hook) = self.before_attempt.clone() {
            hooks.before_attempt = Some(Arc::new(move |attempt: &Attempt<'_, W>| {
                hook(&attempt.through());
            }));
        }
        if let Some(hook) = self.after_attempt.clone() {
            let hears = move |attempt: &Attempt<'_, W>, end: AttemptEnd<'_, W>| {
                let end = match end {
                    AttemptEnd::Value => AttemptEnd::Value,
                    AttemptEnd::Failed(it) => {
                        it.error().map_or(AttemptEnd::Value, AttemptEnd::Failed)
                    }
                    AttemptEnd::TimedOut(timeout) => AttemptEnd::TimedOut(timeout),
                };
                hook(&attempt.through(), end);
            };
            hooks.after_attempt = Some(Arc::new(hears));
        }
        if let Some(hook) = self.before_wait.clone() {
            hooks.before_wait = Some(Arc::new(move |attempt: &Attempt<'_, W>, delay| {
                hook(&attempt.through(), delay);
            }));
        }
        hooks
    }
}

impl<'a, W> Attempt<'a, W> {
    /// Returns it as it is where errors are those that these hold.
    fn through<E>(&self) -> Attempt<'a, E>
    where
        W: Through<E>,
    {
        let last_error = self.last_error().and_then(W::error);
        Attempt::new(self.number(), (self.elapsed(), self.ends()), last_error, self.clock())
    }
}
