//! An executor that judges values too: one may deserve another attempt, or count as a failure.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::error::{RetryExhausted, RunError};
use super::{Light, Parts, Predicate, ResilientExecutor};
use crate::call::{Call, ExecutorStats, Failure, Plan};
use crate::circuit_breaker::Outcome;
use crate::refusal::is_own_refusal;
use crate::retry::{RetryPolicy, Through};

/// What the last attempt came to, of a run that stopped as it deserved another.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BadAnswer<T, E> {
    /// A value that was not good enough.
    Value(T),
    /// An error.
    Error(E),
}

/// A [`ResilientExecutor`] for functions of one type of value, which judges the values too.
///
/// It is made of one by [`retry_on_result`](ResilientExecutor::retry_on_result) or
/// [`failure_on_result`](ResilientExecutor::failure_on_result). The executor within is the same as
/// before: its other handles count, limit and are observed together with this one.
///
/// ```
/// use limitpal::{BadAnswer, MockClock, ResilientExecutor, RetryPolicy, RunError};
///
/// let executor = ResilientExecutor::<&str>::builder()
///     .retry_policy(RetryPolicy::default())
///     .clock(MockClock::new())
///     .build()?
///     .retry_on_result(|state: &&str| *state == "pending");
///
/// let mut states = ["pending", "ready"].into_iter();
/// assert_eq!(Ok("ready"), executor.run_blocking("job", || Ok(states.next().unwrap())));
///
/// match executor.run_blocking("job", || Ok("pending")) {
///     Err(RunError::RetryExhausted(end)) => {
///         assert_eq!((3, BadAnswer::Value("pending")), (end.attempts, end.last_error));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
pub struct JudgedExecutor<T, E> {
    executor: ResilientExecutor<E>,
    /// The same parts, for values as errors.
    within: ResilientExecutor<Judged<T, E>>,
    retry_on: Option<Predicate<T>>,
    failure_on: Option<Predicate<T>>,
}

/// An error, or a value that is more than a success.
enum Judged<T, E> {
    Value(T, Verdict),
    Error(E),
}

/// What a value means.
#[derive(Clone, Copy)]
pub(super) struct Verdict {
    pub(super) deserves_another: bool,
    pub(super) outcome: Outcome,
}

/// How an executor looks at errors that may be values in truth.
pub(super) struct Sight<E> {
    pub(super) verdict: fn(&E) -> Option<Verdict>,
    pub(super) is_own_refusal: fn(&E) -> bool,
    /// Says what it is, and in words.
    pub(super) describe: Describe<E>,
}

/// The name of a type, and words.
type Describe<E> = Box<dyn Fn(&E) -> Option<(&'static str, String)> + Send + Sync>;

impl<E: 'static> ResilientExecutor<E> {
    /// Returns an executor for which values deserve another attempt too: those that `is_bad` is true
    /// of, as far as the retry policy has one. To the circuit breaker such a value is an answer, and so
    /// a success, unless [`failure_on_result`](JudgedExecutor::failure_on_result) says otherwise.
    ///
    /// When attempts run out the value is not lost: it is the
    /// [`last_error`](RetryExhausted::last_error), a [`BadAnswer::Value`]. Without a retry policy, it
    /// comes out as it is.
    pub fn retry_on_result<T: 'static>(
        self,
        is_bad: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> JudgedExecutor<T, E> {
        JudgedExecutor::of(self).retry_on_result(is_bad)
    }

    /// Returns an executor for which values count as failures too, to the circuit breaker: those that
    /// `is_failure` is true of. They come out as they are.
    ///
    /// ```
    /// use limitpal::{CircuitBreaker, CircuitState, ResilientExecutor};
    ///
    /// let breaker = CircuitBreaker::builder().failure_threshold(1).build()?;
    /// let executor = ResilientExecutor::<String>::builder()
    ///     .circuit_breaker(breaker.clone())
    ///     .build()?
    ///     .failure_on_result(|status: &u16| *status >= 500);
    ///
    /// assert_eq!(Ok(503), executor.run_blocking("api", || Ok(503)));
    /// assert_eq!(CircuitState::Open, breaker.state());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn failure_on_result<T: 'static>(
        self,
        is_failure: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> JudgedExecutor<T, E> {
        JudgedExecutor::of(self).failure_on_result(is_failure)
    }
}

impl<T: 'static, E: 'static> JudgedExecutor<T, E> {
    fn of(executor: ResilientExecutor<E>) -> Self {
        let parts = Arc::new(executor.parts.judged());
        let within = ResilientExecutor { parts };
        Self { executor, within, retry_on: None, failure_on: None }
    }

    /// Returns it with another say on which values deserve another attempt.
    #[must_use]
    pub fn retry_on_result(mut self, is_bad: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.retry_on = Some(Arc::new(is_bad));
        self
    }

    /// Returns it with another say on which values count as failures.
    #[must_use]
    pub fn failure_on_result(
        mut self,
        is_failure: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.failure_on = Some(Arc::new(is_failure));
        self
    }

    /// Runs `function` to a value that is good enough, or to its last error or value.
    ///
    /// All else is as [`ResilientExecutor::run`] has it.
    ///
    /// ```
    /// use limitpal::{MockClock, ResilientExecutor, RetryPolicy};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor = ResilientExecutor::<std::io::Error>::builder()
    ///     .retry_policy(RetryPolicy::default())
    ///     .build()?
    ///     .retry_on_result(|page: &String| page.is_empty());
    /// let page = executor.run("api", || async { Ok("a page".to_owned()) }).await;
    /// assert_eq!("a page", page.unwrap());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The function's own error, or why it was not called (again).
    pub async fn run<F, Called>(
        &self,
        key: &str,
        mut function: F,
    ) -> Result<T, RunError<BadAnswer<T, E>>>
    where
        F: FnMut() -> Called,
        Called: Future<Output = Result<T, E>>,
    {
        let judged = || {
            let called = function();
            async move { self.judge(called.await) }
        };
        given(self.within.run(key, judged).await)
    }

    /// Blocks the thread; otherwise as [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// The function's own error, or why it was not called (again).
    pub fn run_blocking(
        &self,
        key: &str,
        mut function: impl FnMut() -> Result<T, E>,
    ) -> Result<T, RunError<BadAnswer<T, E>>> {
        given(self.within.run_blocking(key, || self.judge(function())))
    }

    fn judge(&self, answer: Result<T, E>) -> Result<T, Judged<T, E>> {
        let value = answer.map_err(Judged::Error)?;
        let says = |says: &Option<Predicate<T>>| says.as_ref().is_some_and(|says| says(&value));
        let retries = self.executor.parts.retry_policy.is_some();
        let deserves_another = retries && says(&self.retry_on);
        let is_failure = says(&self.failure_on);
        if !deserves_another && !is_failure {
            return Ok(value);
        }
        let outcome = if is_failure { Outcome::Failure } else { Outcome::Success };
        Err(Judged::Value(value, Verdict { deserves_another, outcome }))
    }
}

impl<T, E> JudgedExecutor<T, E> {
    /// Returns the executor within, to be observed or to run functions of other values.
    pub fn executor(&self) -> &ResilientExecutor<E> {
        &self.executor
    }

    /// Returns what became of the runs so far, those of the executor within too.
    pub fn stats(&self) -> ExecutorStats {
        self.executor.stats()
    }
}

/// Returns what the caller gets.
fn given<T, E>(answer: Result<T, RunError<Judged<T, E>>>) -> Result<T, RunError<BadAnswer<T, E>>> {
    let bad = |judged| match judged {
        Judged::Value(value, _) => BadAnswer::Value(value),
        Judged::Error(error) => BadAnswer::Error(error),
    };
    Err(match answer {
        // It counted as a failure, or deserved another attempt where there is no policy.
        Ok(value) | Err(RunError::Failed(Judged::Value(value, _))) => return Ok(value),
        Err(RunError::Failed(error)) => RunError::Failed(bad(error)),
        Err(RunError::RetryExhausted(RetryExhausted { attempts, last_error, reason })) => {
            let last_error = bad(last_error);
            RunError::RetryExhausted(RetryExhausted { attempts, last_error, reason })
        }
        Err(RunError::RateLimitExceeded(refusal)) => RunError::RateLimitExceeded(refusal),
        Err(RunError::CircuitBreakerOpen(refusal)) => RunError::CircuitBreakerOpen(refusal),
        Err(RunError::BulkheadFull(refusal)) => RunError::BulkheadFull(refusal),
        Err(RunError::TimeoutExceeded(timeout)) => RunError::TimeoutExceeded(timeout),
    })
}

impl<T, E> Through<E> for Judged<T, E> {
    fn error(&self) -> Option<&E> {
        match self {
            Self::Value(..) => None,
            Self::Error(error) => Some(error),
        }
    }

    fn deserves_another(&self) -> bool {
        self.verdict().is_some_and(|verdict| verdict.deserves_another)
    }
}

impl<T, E> Judged<T, E> {
    fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Value(_, verdict) => Some(*verdict),
            Self::Error(_) => None,
        }
    }
}

impl<E: 'static> Parts<E> {
    /// Returns whether an error is a refusal of ours, which the function has returned.
    pub(super) fn sees_refusal(&self, error: &E) -> bool {
        self.sight.as_ref().map_or_else(|| is_own_refusal(error), |it| (it.is_own_refusal)(error))
    }

    /// Returns what a value means; none: it is an error.
    #[inline]
    pub(super) fn verdict(&self, error: &E) -> Option<Verdict> {
        self.sight.as_ref().and_then(|sight| (sight.verdict)(error))
    }

    /// Tells the call of a value that is more than a success.
    #[cold]
    pub(super) fn report_value(&self, call: &mut Call<&Plan>, verdict: Verdict) {
        let Ok(()) = match verdict.deserves_another {
            true => call.failed(Failure::answered().counted_as(Some(verdict.outcome)), self),
            false => call.came_out(verdict.outcome, self),
        };
    }

    /// Returns the same parts for values as errors: what they count and limit is shared.
    fn judged<T: 'static>(&self) -> Parts<Judged<T, E>> {
        let words = Arc::clone(&self.words);
        let describe = move |judged: &Judged<T, E>| match judged {
            Judged::Value(..) => {
                Some((type_name::<T>(), "a result that is not good enough".into()))
            }
            Judged::Error(error) => {
                let words: &fn(&E) -> String = words.get()?;
                Some((type_name::<E>(), words(error)))
            }
        };
        let sight = Sight {
            verdict: Judged::<T, E>::verdict,
            is_own_refusal: |judged| judged.error().is_some_and(is_own_refusal),
            describe: Box::new(describe),
        };
        let ignore = self.ignore.clone().map(|ignore| -> Predicate<Judged<T, E>> {
            Arc::new(move |judged| judged.error().is_some_and(|error| ignore(error)))
        });
        Parts {
            limiter: self.limiter.clone(),
            guarded: self.guarded.clone(),
            retry_policy: self.retry_policy.as_ref().map(RetryPolicy::through),
            breaker: self.breaker.clone(),
            budget: self.budget.clone(),
            breakers: self.breakers.clone(),
            clock: self.clock.clone(),
            ignore,
            words: Arc::default(),
            sight: Some(sight),
            light: Light::of(&self.plan, self.breakers.is_some()),
            asks_more: self.asks_more,
            plan: self.plan.clone(),
        }
    }
}

impl<T, E> Clone for JudgedExecutor<T, E> {
    fn clone(&self) -> Self {
        let (executor, within) = (self.executor.clone(), self.within.clone());
        let (retry_on, failure_on) = (self.retry_on.clone(), self.failure_on.clone());
        Self { executor, within, retry_on, failure_on }
    }
}

impl<T, E> fmt::Debug for JudgedExecutor<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("JudgedExecutor");
        shown.field("executor", &self.executor);
        for (name, given) in
            [("retry_on_result", &self.retry_on), ("failure_on_result", &self.failure_on)]
        {
            if given.is_some() {
                shown.field(name, &format_args!("a closure"));
            }
        }
        shown.finish()
    }
}
