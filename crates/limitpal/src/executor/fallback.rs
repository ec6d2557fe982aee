//! What a caller gets in place of an error.

use std::fmt;
use std::sync::Arc;

use super::error::RunError;

/// What a caller gets in place of an error: the last word on a run, after all else has been tried.
///
/// By default any [`RunError`] is answered: refusals of ours and errors of the function alike. Say
/// by [`on`](Self::on) which. A panic and a dropped run are none.
///
/// ```
/// use limitpal::{Fallback, ResilientExecutor, RunError};
///
/// let executor = ResilientExecutor::<std::io::Error>::builder().build()?;
/// let executor = executor.with_fallback(Fallback::value(0).on(RunError::is_refusal));
///
/// assert_eq!(7, executor.run_blocking("user:7", || Ok(7)).unwrap());
/// assert!(executor.run_blocking("user:7", || Err(std::io::ErrorKind::NotFound.into())).is_err());
/// assert_eq!(0, executor.stats().fallbacks, "nothing was refused");
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
pub struct Fallback<T, E> {
    answer: Answer<T, E>,
    on: Option<On<E>>,
}

type Answer<T, E> = Arc<dyn Fn(RunError<E>) -> Result<T, RunError<E>> + Send + Sync>;
type On<E> = Arc<dyn Fn(&RunError<E>) -> bool + Send + Sync>;

impl<T, E> Fallback<T, E> {
    /// Answers with a copy of this value.
    pub fn value(value: T) -> Self
    where
        T: Clone + Send + Sync + 'static,
    {
        Self::func(move |_| Ok(value.clone()))
    }

    /// Answers with what a function makes of the error: a value, or an error after all. It runs in
    /// the caller's task or thread, and does not wait; what has to be awaited is for the caller to
    /// do with the error.
    ///
    /// ```
    /// use limitpal::{Fallback, ResilientExecutor, RunError};
    ///
    /// let executor = ResilientExecutor::<&str>::builder().build()?;
    /// let executor = executor.with_fallback(Fallback::func(|error| match error {
    ///     RunError::Failed("no such user") => Ok(None),
    ///     other => Err(other),
    /// }));
    ///
    /// let user = |answer| executor.run_blocking("user:7", || answer);
    /// assert_eq!(Ok(Some(7)), user(Ok(Some(7))));
    /// assert_eq!(Ok(None), user(Err("no such user")));
    /// assert_eq!(Err(RunError::Failed("timed out")), user(Err("timed out")));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn func(
        answer: impl Fn(RunError<E>) -> Result<T, RunError<E>> + Send + Sync + 'static,
    ) -> Self {
        Self { answer: Arc::new(answer), on: None }
    }

    /// Sets which errors are answered; the others come out as they are.
    #[must_use]
    pub fn on(mut self, on: impl Fn(&RunError<E>) -> bool + Send + Sync + 'static) -> Self {
        self.on = Some(Arc::new(on));
        self
    }

    /// Returns what the caller gets.
    pub(super) fn answer(&self, error: RunError<E>) -> Result<T, RunError<E>> {
        match &self.on {
            Some(on) if !on(&error) => Err(error),
            _ => (self.answer)(error),
        }
    }
}

impl<T, E> Clone for Fallback<T, E> {
    fn clone(&self) -> Self {
        Self { answer: Arc::clone(&self.answer), on: self.on.clone() }
    }
}

impl<T, E> fmt::Debug for Fallback<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}
