//! Calls through a circuit breaker: a permit before, the outcome after.

use std::future::Future;

use super::{BreakerError, CircuitBreaker};
use crate::breaker::Permit;
use crate::outcome::Outcome;
use crate::refusal::{CircuitBreakerOpen, is_own_refusal};
use crate::time::Instant;

impl CircuitBreaker {
    /// Calls `function` if the circuit lets it, and records how it went.
    ///
    /// An error is a failure, except a refusal of ours (`RateLimitExceeded`, `CircuitBreakerOpen`,
    /// `InvalidConfig`, also in a `Box<dyn Error + Send + Sync>`): that counts as neither, and so
    /// does a panic. No lock is held while the function runs.
    ///
    /// # Errors
    ///
    /// The function's own, or that the circuit is open.
    #[inline]
    pub fn call_blocking<T, E: 'static>(
        &self,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, BreakerError<E>> {
        // By itself, so that no time of a call is in its way.
        let Some(permit) = self.cell.healthy_permit() else {
            return self.call_with_care(function);
        };
        let loan = Loan { breaker: self, permit: Some(permit) };
        loan.settle(function(), None)
    }

    #[cold]
    fn call_with_care<T, E: 'static>(
        &self,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, BreakerError<E>> {
        let (loan, began) = self.lend()?;
        loan.settle(function(), began)
    }

    /// As [`call_blocking`](Self::call_blocking), for a function that returns a future. Dropping
    /// the call before it is done counts as neither success nor failure.
    ///
    /// ```
    /// use limitpal::CircuitBreaker;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let breaker = CircuitBreaker::builder().build()?;
    /// let answer = breaker.call(|| async { Ok::<_, std::io::Error>(7) }).await?;
    /// assert_eq!(7, answer);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The function's own, or that the circuit is open.
    pub async fn call<T, E, F, Answer>(&self, function: F) -> Result<T, BreakerError<E>>
    where
        E: 'static,
        F: FnOnce() -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let (loan, began) = self.lend()?;
        loan.settle(function().await, began)
    }

    /// As [`call_blocking`](Self::call_blocking); `judge` says what the answer means for the
    /// circuit: a success, a failure, or neither.
    ///
    /// ```
    /// use limitpal::{CircuitBreaker, CircuitState, Outcome};
    ///
    /// let breaker = CircuitBreaker::builder().failure_threshold(1).build()?;
    /// let judge = |answer: &Result<u16, String>| match answer {
    ///     Ok(500..) | Err(_) => Some(Outcome::Failure),
    ///     Ok(429) => None,
    ///     Ok(_) => Some(Outcome::Success),
    /// };
    /// assert_eq!(Ok(503), breaker.call_blocking_judged(judge, || Ok(503)));
    /// assert_eq!(CircuitState::Open, breaker.state());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The function's own, or that the circuit is open.
    pub fn call_blocking_judged<T, E: 'static>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> Option<Outcome>,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, BreakerError<E>> {
        let (loan, began) = self.lend()?;
        let answer = function();
        let outcome = judge(&answer);
        loan.settle_as(outcome, answer, began)
    }

    /// As [`call_blocking_judged`](Self::call_blocking_judged), for a function that returns a
    /// future.
    ///
    /// # Errors
    ///
    /// The function's own, or that the circuit is open.
    pub async fn call_judged<T, E, F, Answer>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> Option<Outcome>,
        function: F,
    ) -> Result<T, BreakerError<E>>
    where
        E: 'static,
        F: FnOnce() -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let (loan, began) = self.lend()?;
        let answer = function().await;
        let outcome = judge(&answer);
        loan.settle_as(outcome, answer, began)
    }

    /// Lends a permit, and says when the call begins where its time matters.
    #[inline]
    fn lend(&self) -> Result<(Loan<'_>, Option<Instant>), CircuitBreakerOpen> {
        let Ok(lent) = self.cell.admit(|| self.now());
        let loan = Loan { breaker: self, permit: Some(lent?) };
        let began = self.cell.times_calls().then(|| {
            let Ok(now) = self.now();
            now
        });
        Ok((loan, began))
    }
}

/// A permit while the user's function runs. Dropped unsettled, by a panic or with a cancelled
/// future, it goes back.
struct Loan<'a> {
    breaker: &'a CircuitBreaker,
    permit: Option<Permit>,
}

impl Loan<'_> {
    #[inline]
    fn settle<T, E: 'static>(
        self,
        answer: Result<T, E>,
        began: Option<Instant>,
    ) -> Result<T, BreakerError<E>> {
        let outcome = match &answer {
            Ok(_) => Some(Outcome::Success),
            Err(error) if is_own_refusal(error) => None,
            Err(_) => Some(Outcome::Failure),
        };
        self.settle_as(outcome, answer, began)
    }

    #[inline]
    fn settle_as<T, E>(
        mut self,
        outcome: Option<Outcome>,
        answer: Result<T, E>,
        began: Option<Instant>,
    ) -> Result<T, BreakerError<E>> {
        if let (Some(permit), Some(outcome)) = (self.permit, outcome) {
            let read = || self.breaker.now();
            let Ok(()) = self.breaker.cell.record_since(permit, outcome, began, read);
            self.permit = None;
        }
        answer.map_err(BreakerError::Failed)
    }
}

impl Drop for Loan<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(permit) = self.permit {
            self.breaker.cell.ignore(permit);
        }
    }
}
