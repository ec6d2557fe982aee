//! Everything in one call: breaker, quota, attempts, record.

mod blocking;
mod builder;
mod error;
mod explain;
mod fallback;
mod flights;
mod future;
mod hedged;
mod judged;
mod observe;
mod race;
mod shown;
mod start;
mod threads;
mod typed;
mod unspent;

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use self::builder::ResilientExecutorBuilder;
use self::error::Last;
pub use self::error::{RetryExhausted, RunError};
pub use self::fallback::Fallback;
use self::judged::Sight;
pub use self::judged::{BadAnswer, JudgedExecutor};
use self::start::Light;
pub use self::typed::TypedExecutor;
use self::unspent::Unspent;
use crate::call::{Call, Charge, Clocks, ExecutorStats, Failure, Plan, Stop};
use crate::circuit_breaker::{CircuitBreaker, KeyedCircuitBreaker, Outcome, Permit};
use crate::clock::{Deadline, SharedClock};
use crate::limiter::{AnyLimiter, CompositePermit, Denied, Guarded};
use crate::refusal::{StopReason, TimeoutExceeded};
use crate::retry::{Attempt, AttemptEnd, Hooks, RetryPolicy};
use crate::retry_after::RetryAfter;
use crate::retry_budget::RetryBudget;
use crate::time::Instant;

/// Runs a function through a circuit breaker, a limiter and retries, in this order:
///
/// 1. **Breaker**: an open circuit refuses at once, and no quota is taken.
/// 2. **Bulkhead** and **limiter**: wait for a place and for quota, at most `acquire_timeout` in the
///    whole run. Nobody holds a place while it waits for quota.
/// 3. **Attempts**: call; after a retryable error wait, and call again. After each wait, for quota
///    or between attempts, the breaker is asked again: if others have opened it meanwhile, quota
///    goes back and the run stops.
/// 4. **Record**: the breaker hears how it went.
///
/// Every part is optional. Of a [`ConcurrencyLimiter`](crate::ConcurrencyLimiter), alone or in a
/// [`HoldingLimiter`], the permit is held while the run lasts, or with [`Charge::Attempt`] while
/// an attempt does, not while it waits for the next. It goes back however that ends. A [`Bulkhead`]
/// is held likewise, and refuses by a name of its own, [`BulkheadFull`](crate::BulkheadFull).
///
/// | option | default | |
/// |---|---|---|
/// | `limiter` | none | |
/// | `bulkhead` | none | as many runs at a time as there are |
/// | `retry_policy` | none | one attempt |
/// | `circuit_breaker` | none | |
/// | `retry_budget` | none | as many retries as the policy says |
/// | `clock` | the one its parts share, else [`MonotonicClock`](crate::MonotonicClock) | sleeps between attempts |
/// | `charge` | [`Charge::Call`] | what quota and breaker count |
/// | `acquire_timeout` | none | wait for quota as long as it takes |
/// | `timeout` | none | how long a run may last |
/// | `attempt_timeout` | none | how long an attempt may last: at most `timeout` |
/// | `ignore` | nothing | errors the breaker does not count |
/// | `hedge` | none | one try for each attempt |
///
/// An awaited attempt whose time is over is dropped; a blocking one goes on until it returns, and
/// can ask its [`Attempt`] how much time it has. No wait is begun that would end at the run's
/// deadline or later. An attempt that takes too long is a failure to the breaker, also where its
/// value still comes out.
///
/// The refusals of ours that the function itself returns (`RateLimitExceeded`,
/// `CircuitBreakerOpen`, `InvalidConfig`, also in a `Box<dyn Error + Send + Sync>`) are never
/// retried and never counted. In an error type of your own only you can see them: say so with
/// `retry_if` and `ignore`, for an executor within this one by [`RunError::is_refusal`].
///
/// It is a handle: a clone shares everything. A run that is dropped or panics counts as neither
/// success nor failure; permits go back, and so does quota that no attempt has spent.
///
/// ```
/// use limitpal::{CircuitBreaker, MockClock, ResilientExecutor, RetryPolicy};
///
/// let clock = MockClock::new();
/// let executor = ResilientExecutor::builder()
///     .retry_policy(RetryPolicy::default())
///     .circuit_breaker(CircuitBreaker::builder().clock(clock.clone()).build()?)
///     .build()?;
///
/// let mut attempts = 0;
/// let answer = executor.run_blocking("user:7", || {
///     attempts += 1;
///     if attempts < 3 { Err("timed out") } else { Ok(attempts) }
/// });
/// assert_eq!(3, answer.unwrap());
/// assert_eq!(300_000_000, clock.now().as_nanos());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
pub struct ResilientExecutor<E> {
    parts: Arc<Parts<E>>,
}

/// Says whether the breaker ignores an error of the user's.
type Predicate<E> = Arc<dyn Fn(&E) -> bool + Send + Sync>;

/// How an error is said in words.
type Words<E> = Arc<OnceLock<fn(&E) -> String>>;

/// What an executor was built of.
struct Parts<E> {
    limiter: Option<AnyLimiter>,
    /// A bulkhead, with the limiter behind it.
    guarded: Option<Guarded>,
    retry_policy: Option<RetryPolicy<E>>,
    breaker: Option<CircuitBreaker>,
    budget: Option<RetryBudget>,
    /// In place of the one breaker: the plan has none then, and each run gets its key's.
    breakers: Option<KeyedCircuitBreaker>,
    clock: SharedClock,
    ignore: Option<Predicate<E>>,
    /// Set where little is kept of a run whose first attempt succeeds.
    light: Option<Light>,
    /// Whether more is to be asked, or to be known of a run, than a limiter and a closed circuit.
    asks_more: bool,
    /// Says an error in words, for those who listen: set by the first of them.
    words: Words<E>,
    /// Where errors may be values in truth.
    sight: Option<Sight<E>>,
    plan: Plan,
}

impl<E> ResilientExecutor<E> {
    /// Returns a builder of an executor without any part.
    pub fn builder() -> ResilientExecutorBuilder<E> {
        ResilientExecutorBuilder::default()
    }

    /// Returns what became of the runs so far, and how many are in flight: of this handle, and of all
    /// its clones.
    ///
    /// ```
    /// use limitpal::{MockClock, ResilientExecutor, RetryPolicy};
    ///
    /// let retry = RetryPolicy::default();
    /// let executor = ResilientExecutor::builder().retry_policy(retry).clock(MockClock::new());
    /// let executor = executor.build()?;
    /// let mut answers = [Err("slow"), Ok(7), Ok(8)].into_iter();
    /// for _ in 0..2 {
    ///     executor.run_blocking("api", || answers.next().unwrap()).unwrap();
    /// }
    ///
    /// let stats = executor.stats();
    /// assert_eq!((2, 2, 3), (stats.calls, stats.successes, stats.attempts));
    /// assert_eq!((Some(1.5), Some(1.0)), (stats.amplification(), stats.retry_success()));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn stats(&self) -> ExecutorStats {
        self.parts.plan.ledger.stats()
    }
}

impl<E> Parts<E> {
    /// Returns the permit of a run of which nothing is to be kept until its first attempt fails: the
    /// circuit is closed, or there is none.
    #[inline]
    fn closed_permit(&self) -> Option<Option<Permit>> {
        if self.asks_more || self.is_heard() {
            return None;
        }
        match &self.plan.breaker {
            None => Some(None),
            Some(breaker) => breaker.closed_permit().map(Some),
        }
    }

    /// Returns the plan of a run that goes through its key's own breaker; none: they share one.
    #[cold]
    #[inline(never)]
    fn plan_of(&self, key: &str) -> Option<Plan> {
        let breakers = self.breakers.as_ref()?;
        let Ok(cell) = breakers.table().cell(key, || breakers.now());
        Some(Plan { breaker: Some(cell), ..self.plan.clone() })
    }

    /// Records the value of such a run.
    #[inline]
    fn succeeded(&self, permit: Option<Permit>) {
        self.plan.ledger.succeeded_at_once();
        if let (Some(breaker), Some(permit)) = (&self.plan.breaker, permit) {
            let mut clocks = self;
            let Ok(()) = breaker.record(permit, Outcome::Success, || clocks.breaker());
        }
    }

    /// Ends a run that gets no quota for its first attempt.
    fn refused<T>(&self, retry_after: RetryAfter) -> RunError<T> {
        let stop = Stop::refused(0, retry_after, || StopReason::RateLimited);
        self.plan.ledger.began();
        self.plan.ledger.stopped(stop, 0);
        RunError::new(stop, 0, Last::Nothing)
    }

    /// Lets go what is not held between two attempts.
    #[cold]
    #[inline(never)]
    fn rest(&self, held: &mut CompositePermit) {
        match self.plan.charge {
            Charge::Call => {}
            Charge::Attempt => drop(std::mem::take(held)),
        }
    }

    /// Returns to whom quota goes back.
    fn limiter(&self) -> &AnyLimiter {
        let joined = self.guarded.as_ref().map(Guarded::joined);
        joined.or(self.limiter.as_ref()).expect("only a plan with a limiter asks for quota")
    }

    /// Tells the call that it does not come in.
    #[cold]
    fn denied(&self, call: &mut Call<&Plan>, denied: Denied) {
        match denied {
            Denied::Quota(refusal) => call.refused(refusal.retry_after()),
            Denied::Full(refusal) => call.full(refusal),
        }
    }

    /// Tells the call of a failed attempt.
    fn report(&self, call: &mut Call<&Plan>, error: &E)
    where
        E: 'static,
    {
        if call.story().is_some() {
            self.describe(call, error);
        }
        if self.sees_refusal(error) {
            return call.own_refusal();
        }
        if let Some(verdict) = self.verdict(error) {
            return self.report_value(call, verdict);
        }
        let counts = !self.ignore.as_ref().is_some_and(|ignore| ignore(error));
        let failure = match &self.retry_policy {
            Some(policy) if policy.is_retryable(error) => {
                Failure::new(true, counts).spaced(policy.spacing(error))
            }
            _ => Failure::new(false, counts),
        };
        let Ok(()) = call.failed(failure, self);
    }

    /// Tells the call of an attempt that was cut short, since its time is over.
    #[cold]
    fn report_timeout(&self, call: &mut Call<&Plan>) -> TimeoutExceeded {
        let timeout = call.timeout();
        if call.story().is_some() {
            call.describe("TimeoutExceeded", &timeout.to_string());
        }
        let retryable = self.retry_policy.as_ref().is_some_and(RetryPolicy::retries_timeouts);
        let Ok(()) = call.timed_out(Failure::new(retryable, true), self);
        timeout
    }

    /// Returns what the attempt is told that begins now, or after the wait that comes now.
    fn told<'a>(&'a self, call: &Call<&Plan>, last: &'a Last<E>) -> Attempt<'a, E> {
        let times = (call.elapsed(), call.ends());
        Attempt::new(call.attempts().saturating_add(1), times, last.error(), &self.clock)
    }

    /// Returns the hooks of the policy, if it has any.
    #[inline]
    fn hooks(&self) -> Option<&Hooks<E>> {
        if self.plan.keeps_time { self.retry_policy.as_ref().map(RetryPolicy::hooks) } else { None }
    }

    /// Tells the hook that an attempt begins; returns whom to tell when it ends. If the hook
    /// panics the attempt has not begun.
    #[inline]
    fn begin_attempt(&self, call: &mut Call<&Plan>, last: &Last<E>) -> Option<&Hooks<E>> {
        let hooks = self.hooks()?;
        let unwound = Withdrawn(call);
        hooks.before_attempt(&self.told(unwound.0, last));
        std::mem::forget(unwound);
        Some(hooks)
    }

    /// Tells a hook how the attempt ended that the call has not heard of yet; none: it was dropped.
    #[inline]
    fn end_attempt<T>(
        &self,
        hooks: Option<&Hooks<E>>,
        call: &Call<&Plan>,
        last: &Last<E>,
        answer: Option<&Result<T, E>>,
    ) {
        let Some(hooks) = hooks else { return };
        let end = match answer {
            Some(Ok(_)) => AttemptEnd::Value,
            Some(Err(error)) => AttemptEnd::Failed(error),
            None => AttemptEnd::TimedOut(call.timeout()),
        };
        hooks.after_attempt(&self.told(call, last), end);
    }

    /// Prepares for a wait between two attempts: a hook hears of it, and what is not held meanwhile
    /// goes.
    fn begin_wait(
        &self,
        call: &Call<&Plan>,
        last: &Last<E>,
        delay: Duration,
        held: &mut CompositePermit,
    ) {
        if let Some(hooks) = self.hooks() {
            hooks.before_wait(&self.told(call, last), delay);
        }
        self.rest(held);
    }

    /// Returns a call that ends at a deadline, if there is one.
    fn until<'p>(&self, call: Call<&'p Plan>, deadline: Option<&Deadline>) -> Call<&'p Plan> {
        call.until(deadline.map(|deadline| deadline.on(&self.clock)))
    }
}

impl<E> Clocks for &Parts<E> {
    type Error = Infallible;

    #[inline]
    fn breaker(&mut self) -> Result<Instant, Infallible> {
        match (&self.breaker, &self.breakers) {
            (Some(breaker), _) => breaker.now(),
            (None, Some(breakers)) => breakers.now(),
            (None, None) => Ok(Instant::ZERO),
        }
    }

    fn run(&mut self) -> Result<Instant, Infallible> {
        Ok(self.clock.now())
    }

    fn budget(&mut self) -> Result<Instant, Infallible> {
        self.budget.as_ref().map_or(Ok(Instant::ZERO), RetryBudget::now)
    }
}

/// A call whose attempt does not begin, unless it is forgotten.
struct Withdrawn<'c, 'p>(&'c mut Call<&'p Plan>);

impl Drop for Withdrawn<'_, '_> {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}
