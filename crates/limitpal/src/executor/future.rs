//! The loop that waits as a future, on any async executor.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use super::error::{Last, RunError};
use super::start::{Entry, Lent, Light, Start};
use super::{Attempt, Deadline, Parts, ResilientExecutor, Unspent, race};
use crate::call::{Call, OnlyAttempt, Plan, Step};
use crate::circuit_breaker::Permit;
use crate::limiter::{CompositePermit, Denied, Quota};
use crate::refusal::RateLimitExceeded;
use crate::store::Turn;

/// The permit of a run whose circuit is closed, and what the limiter says, if it is not to be awaited.
type Begun = (Option<Permit>, Option<Turn<()>>);

/// What there is of a run so far.
enum SoFar<E> {
    /// It is to go through its key's own breaker, or somebody listens.
    PerKey,
    /// The breaker lets it try, and there is more to be asked than a limiter.
    Lent(Lent),
    /// It is admitted, and this is what the limiter says.
    Admitted(Option<Permit>, Option<Turn<()>>),
    /// One attempt has failed.
    Failed(Option<Permit>, E),
}

impl<E: 'static> ResilientExecutor<E> {
    /// Runs `function` to its value or its last error.
    ///
    /// `key` says whose quota is taken. The function runs in the caller's own task. Dropping the
    /// future ends the run wherever it is; nothing is lost, and the breaker counts nothing.
    ///
    /// ```
    /// use limitpal::{Charge, ResilientExecutor, RetryPolicy};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor = ResilientExecutor::builder()
    ///     .retry_policy(RetryPolicy::default())
    ///     .charge(Charge::Attempt)
    ///     .build()?;
    /// let answer = executor.run("user:7", || async { Ok::<_, std::io::Error>(7) }).await?;
    /// assert_eq!(7, answer);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The function's own error, or why it was not called (again).
    pub async fn run<T, F, Answer>(&self, key: &str, mut function: F) -> Result<T, RunError<E>>
    where
        F: FnMut() -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let parts = &*self.parts;
        // Most runs wait for nothing and do not fail: of those nothing is kept but the function.
        let so_far = match parts.begin(key) {
            Some((permit, Some(Turn::Now(())))) => {
                let attempt = OnlyAttempt::of(&parts.plan);
                let answer = function().await;
                attempt.ended();
                match answer {
                    Ok(value) => {
                        parts.succeeded(permit);
                        return Ok(value);
                    }
                    Err(error) => SoFar::Failed(permit, error),
                }
            }
            Some((_, Some(Turn::Refused(retry_after)))) => {
                return Err(parts.refused(retry_after));
            }
            Some((permit, turn)) => SoFar::Admitted(permit, turn),
            None if parts.breakers.is_some() || parts.is_heard() => SoFar::PerKey,
            None => match parts.admit() {
                Ok(lent) => SoFar::Lent(lent),
                Err(refusal) => return Err(parts.shut(refusal)),
            },
        };
        let mut rest = pin!(self.run_on(key, function, so_far));
        poll_fn(|context| poll_apart(rest.as_mut(), context)).await
    }

    /// Goes on with a run that is more than an attempt that succeeds at once.
    async fn run_on<T, F, Answer>(
        &self,
        key: &str,
        mut function: F,
        so_far: SoFar<E>,
    ) -> Result<T, RunError<E>>
    where
        F: FnMut() -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let parts = &*self.parts;
        let own;
        let mut held = CompositePermit::default();
        let (mut call, entry, last) = match so_far {
            SoFar::PerKey => {
                own = parts.plan_of(key);
                let mut call = Call::new(own.as_ref().unwrap_or(&parts.plan));
                parts.begin_story(&mut call, key);
                (call, Entry::NotAsked, Last::Nothing)
            }
            SoFar::Lent(lent) => match (&parts.light, lent) {
                (Some(light), Lent::Shared(permit)) => {
                    let mut start = parts.start(light, permit);
                    match parts.come_in(light, &mut start, key) {
                        Ok(None) => {
                            let attempt = OnlyAttempt::of(&parts.plan);
                            let answer = {
                                let answer = pin!(function());
                                race::until(start.ends(), &parts.clock, answer).await
                            };
                            attempt.ended();
                            let error = match answer {
                                Some(Ok(value)) => {
                                    parts.started_well(&start);
                                    return Ok(value);
                                }
                                Some(Err(error)) => Some(error),
                                None => None,
                            };
                            let (call, last) = parts.started_badly(&start, error);
                            held = start.keep();
                            (call, Entry::NotAsked, last)
                        }
                        Ok(Some(entry)) => (start.admitted(&parts.plan), entry, Last::Nothing),
                        Err(denied) => return Err(parts.turned_away(denied)),
                    }
                }
                (None, Lent::Shared(permit)) => parts.lent(permit),
                (_, Lent::Own(permit)) => parts.lent(Some(permit)),
            },
            SoFar::Admitted(permit, turn) => {
                let entry = turn.map_or(Entry::NotAsked, Entry::Known);
                (Call::admitted(&parts.plan, permit), entry, Last::Nothing)
            }
            SoFar::Failed(permit, error) => {
                let mut call = Call::begun(&parts.plan, permit);
                parts.report(&mut call, &error);
                (call, Entry::NotAsked, Last::Failed(error))
            }
        };
        if let Ok(Step::Stop(stop)) = call.next(parts) {
            return Err(RunError::new(stop, call.attempts(), last));
        }
        self.go_on(key, |_| function(), call, entry, held, last).await
    }

    /// As [`run`](Self::run), for a function that is told about its [`Attempt`].
    ///
    /// # Errors
    ///
    /// The function's own error, or why it was not called (again).
    pub async fn run_attempts<T, F, Answer>(&self, key: &str, function: F) -> Result<T, RunError<E>>
    where
        F: FnMut(Attempt<'_, E>) -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        self.run_timed(None, key, function).await
    }

    /// As [`run_attempts`](Self::run_attempts), with a deadline: that of the attempt around this
    /// run, or of a request. Of it and the executor's timeout the sooner counts.
    ///
    /// ```
    /// use limitpal::{ResilientExecutor, RunError};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let page = ResilientExecutor::<RunError<String>>::builder()
    ///     .timeout(Duration::from_millis(5))
    ///     .build()?;
    /// let query = ResilientExecutor::<String>::builder().build()?;
    ///
    /// let end: Result<(), _> = page.run_attempts("page", |attempt| {
    ///     let (query, deadline) = (query.clone(), attempt.deadline().expect("a run with an end"));
    ///     async move { query.run_until(&deadline, "query", |_| std::future::pending()).await }
    /// }).await;
    /// assert!(matches!(end, Err(RunError::TimeoutExceeded(_) | RunError::Failed(_))), "{end:?}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The function's own error, or why it was not called (again).
    pub async fn run_until<T, F, Answer>(
        &self,
        deadline: &Deadline,
        key: &str,
        function: F,
    ) -> Result<T, RunError<E>>
    where
        F: FnMut(Attempt<'_, E>) -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        self.run_timed(Some(deadline), key, function).await
    }

    async fn run_timed<T, F, Answer>(
        &self,
        deadline: Option<&Deadline>,
        key: &str,
        function: F,
    ) -> Result<T, RunError<E>>
    where
        F: FnMut(Attempt<'_, E>) -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let parts = &*self.parts;
        let own = parts.plan_of(key);
        let mut call = parts.until(Call::new(own.as_ref().unwrap_or(&parts.plan)), deadline);
        parts.begin_story(&mut call, key);
        let (entry, held) = (Entry::NotAsked, CompositePermit::default());
        self.go_on(key, function, call, entry, held, Last::Nothing).await
    }

    /// Goes on with a run of which something is to be kept.
    async fn go_on<T, F, Answer>(
        &self,
        key: &str,
        mut function: F,
        mut call: Call<&Plan>,
        mut entry: Entry<Turn<()>>,
        mut held: CompositePermit,
        mut last: Last<E>,
    ) -> Result<T, RunError<E>>
    where
        F: FnMut(Attempt<'_, E>) -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let parts = &*self.parts;
        let mut unspent: Option<Unspent<'_>> = None;
        loop {
            let Ok(step) = call.next(parts);
            match step {
                Step::Acquire { timeout } => {
                    let limiter = parts.limiter();
                    let acquired = match parts.turn(std::mem::take(&mut entry), key, timeout) {
                        Entry::Known(Turn::Now(())) => {
                            call.granted(Duration::ZERO);
                            continue;
                        }
                        entry => parts.acquire(entry, key, timeout).await,
                    };
                    match acquired {
                        Ok(quota) => {
                            call.granted(quota.waited());
                            unspent = Some(Unspent::new(limiter, quota));
                        }
                        Err(denied) => parts.denied(&mut call, denied),
                    }
                }
                Step::Wait(delay) => {
                    parts.begin_wait(&call, &last, delay, &mut held);
                    parts.clock.sleep(delay).await;
                    call.slept();
                }
                Step::Attempt(number) => {
                    let hooks = parts.begin_attempt(&mut call, &last);
                    if let Some(quota) = unspent.take() {
                        quota.spend(&mut held);
                    }
                    let told = || function(parts.told(&call, &last));
                    let answer =
                        parts.attempt((key, number, call.story()), call.ends(), told).await;
                    parts.end_attempt(hooks, &call, &last, answer.as_ref());
                    match answer {
                        Some(Ok(value)) => {
                            let Ok(()) = call.succeeded(parts);
                            return Ok(value);
                        }
                        Some(Err(error)) => {
                            parts.report(&mut call, &error);
                            last = Last::Failed(error);
                        }
                        None => last = Last::TimedOut(parts.report_timeout(&mut call)),
                    }
                }
                Step::Stop(stop) => {
                    return Err(RunError::new(stop, call.attempts(), last));
                }
            }
        }
    }
}

/// Polls what is seldom needed, so that it is no part of what often is.
#[inline(never)]
fn poll_apart<F: Future>(future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    future.poll(context)
}

impl<E> Parts<E> {
    /// Waits for quota, and for a place in the bulkhead: for a turn that is known already, else for
    /// what is to be awaited.
    async fn acquire(
        &self,
        entry: Entry<Turn<()>>,
        key: &str,
        timeout: Option<Duration>,
    ) -> Result<Quota, Denied> {
        let limiter = self.limiter();
        match (entry, &self.guarded) {
            (Entry::Known(Turn::Now(())), _) => unreachable!("what is there is not waited for"),
            (Entry::Known(Turn::Refused(retry_after)), _) => {
                Err(RateLimitExceeded::new(retry_after).into())
            }
            (Entry::Known(Turn::Wait(place, _)), _) => {
                limiter.come(place).await.map_err(Denied::from)
            }
            (Entry::NotAsked, Some(guarded)) => guarded.acquire(key.into(), timeout).await,
            (Entry::Asked, Some(guarded)) => guarded.come(key.into(), timeout).await,
            (Entry::NotAsked | Entry::Asked, None) => {
                limiter.acquire_quota(key, timeout).await.map_err(Denied::from)
            }
        }
    }

    /// Asks a limiter that was not asked yet, and is not to be awaited for its answer.
    fn turn(
        &self,
        entry: Entry<Turn<()>>,
        key: &str,
        timeout: Option<Duration>,
    ) -> Entry<Turn<()>> {
        match entry {
            Entry::NotAsked => match self.limiter().enter(key.into(), timeout) {
                None => Entry::NotAsked,
                Some(turn) => Entry::Known(turn),
            },
            entry => entry,
        }
    }

    /// Begins a run of which something is to be kept, under a permit that was lent.
    fn lent(&self, permit: Option<Permit>) -> (Call<&Plan>, Entry<Turn<()>>, Last<E>) {
        let Ok(call) = Call::lent(&self.plan, permit, self);
        (call, Entry::NotAsked, Last::Nothing)
    }

    /// Asks for what the first attempt of a run needs; none: all of it was there at once.
    #[inline]
    fn come_in<'p>(
        &'p self,
        light: &Light,
        start: &mut Start<'p>,
        key: &str,
    ) -> Result<Option<Entry<Turn<()>>>, Denied> {
        match (&self.guarded, &self.limiter) {
            (Some(guarded), _) => {
                start.inside = guarded.enter(key.into())?;
                Ok(if start.inside.is_some() { None } else { Some(Entry::Asked) })
            }
            (None, Some(limiter)) => match limiter.enter(key.into(), light.patience) {
                Some(Turn::Now(())) => Ok(None),
                Some(Turn::Refused(retry_after)) => Err(RateLimitExceeded::new(retry_after).into()),
                Some(turn) => Ok(Some(Entry::Known(turn))),
                None => Ok(Some(Entry::NotAsked)),
            },
            (None, None) => Ok(None),
        }
    }

    /// Begins a run while the circuit is closed: what the limiter says, if it is not to be awaited.
    #[inline(always)] // returned, the answer would go through memory and be waited for
    fn begin(&self, key: &str) -> Option<Begun> {
        let permit = self.closed_permit()?;
        let turn = match &self.limiter {
            None => Some(Turn::Now(())),
            Some(limiter) => limiter.enter(key.into(), self.plan.acquire_timeout),
        };
        Some((permit, turn))
    }
}
