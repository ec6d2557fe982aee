//! What a retry policy tells the user's own functions about the attempts of a run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::Attempt;
use crate::refusal::TimeoutExceeded;

/// How an attempt ended.
#[derive(PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AttemptEnd<'a, E> {
    /// It gave a value.
    Value,
    /// It failed with this error.
    Failed(&'a E),
    /// Its time was over, and it was dropped.
    TimedOut(TimeoutExceeded),
}

pub(super) type BeforeAttempt<E> = Arc<dyn Fn(&Attempt<'_, E>) + Send + Sync>;
pub(super) type AfterAttempt<E> = Arc<dyn Fn(&Attempt<'_, E>, AttemptEnd<'_, E>) + Send + Sync>;
pub(super) type BeforeWait<E> = Arc<dyn Fn(&Attempt<'_, E>, Duration) + Send + Sync>;

/// The hooks of a policy. Two are equal when each function is one and the same.
pub(crate) struct Hooks<E> {
    pub(super) before_attempt: Option<BeforeAttempt<E>>,
    pub(super) after_attempt: Option<AfterAttempt<E>>,
    pub(super) before_wait: Option<BeforeWait<E>>,
}

impl<E> Hooks<E> {
    pub(crate) fn is_empty(&self) -> bool {
        self.before_attempt.is_none() && self.after_attempt.is_none() && self.before_wait.is_none()
    }

    pub(crate) fn before_attempt(&self, attempt: &Attempt<'_, E>) {
        if let Some(hook) = &self.before_attempt {
            hook(attempt);
        }
    }

    pub(crate) fn after_attempt(&self, attempt: &Attempt<'_, E>, end: AttemptEnd<'_, E>) {
        if let Some(hook) = &self.after_attempt {
            hook(attempt, end);
        }
    }

    pub(crate) fn before_wait(&self, attempt: &Attempt<'_, E>, delay: Duration) {
        if let Some(hook) = &self.before_wait {
            hook(attempt, delay);
        }
    }

    pub(super) fn show(&self, shown: &mut fmt::DebugStruct<'_, '_>) {
        let given = [
            ("before_attempt", self.before_attempt.is_some()),
            ("after_attempt", self.after_attempt.is_some()),
            ("before_wait", self.before_wait.is_some()),
        ];
        for (name, _) in given.into_iter().filter(|(_, given)| *given) {
            shown.field(name, &format_args!("a closure"));
        }
    }
}

impl<E> Default for Hooks<E> {
    fn default() -> Self {
        Self { before_attempt: None, after_attempt: None, before_wait: None }
    }
}

impl<E> Clone for Hooks<E> {
    fn clone(&self) -> Self {
        Self {
            before_attempt: self.before_attempt.clone(),
            after_attempt: self.after_attempt.clone(),
            before_wait: self.before_wait.clone(),
        }
    }
}

impl<E> PartialEq for Hooks<E> {
    fn eq(&self, other: &Self) -> bool {
        fn same<T: ?Sized>(ours: Option<&Arc<T>>, theirs: Option<&Arc<T>>) -> bool {
            let address = |function: &Arc<T>| Arc::as_ptr(function).cast::<()>();
            ours.map(address) == theirs.map(address)
        }
        same(self.before_attempt.as_ref(), other.before_attempt.as_ref())
            && same(self.after_attempt.as_ref(), other.after_attempt.as_ref())
            && same(self.before_wait.as_ref(), other.before_wait.as_ref())
    }
}
