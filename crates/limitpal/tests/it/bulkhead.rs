//! A bulkhead: alone, and as a stage of an executor that feeds no other.

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    AnyLimiter, Bulkhead, BulkheadFull, Charge, CircuitBreaker, CircuitState, ConcurrencyLimiter,
    ConsecutiveFailures, HoldingLimiter, MockClock, Rate, ResilientExecutor, RetryBudget,
    RetryPolicy, RunError, SlowCallRate, StopReason, TokenBucket,
};
use proptest::prelude::*;

use crate::events::Heard;
use crate::laws::cases;

const SECOND: Duration = Duration::from_secs(1);
const FULL: RunError<&str> = RunError::BulkheadFull(BulkheadFull::new(1));

fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// One at a time; so many may wait.
fn one(clock: &MockClock, max_waiting: u32) -> Bulkhead {
    Bulkhead::builder(1).max_waiting(max_waiting).clock(clock).build().unwrap()
}

fn bucket(clock: &MockClock, capacity: u32) -> TokenBucket {
    TokenBucket::builder(capacity, Rate::per_second(1.0).unwrap()).clock(clock).build().unwrap()
}

#[test]
fn as_many_as_may_are_inside_and_those_who_wait_come_in_in_order() {
    let bulkhead = one(&MockClock::new(), 2);
    let inside = bulkhead.try_acquire().unwrap();
    let mut first = Box::pin(bulkhead.acquire());
    let mut second = Box::pin(bulkhead.acquire());
    assert!(poll(first.as_mut()).is_none() && poll(second.as_mut()).is_none());
    assert_eq!((1, 2, Some(2)), (bulkhead.in_flight(), bulkhead.waiting(), bulkhead.max_waiting()));

    assert_eq!(Err(BulkheadFull::new(1)), poll(pin!(bulkhead.acquire())).unwrap().map(drop));
    drop(inside);
    assert!(poll(second.as_mut()).is_none(), "it came later");
    let inside = poll(first.as_mut()).unwrap().unwrap();
    drop(second);

    assert_eq!((1, 0), (bulkhead.in_flight(), bulkhead.waiting()), "who leaves the line is gone");
    inside.release();
    assert_eq!(0, bulkhead.in_flight());
}

#[test]
fn nobody_waits_unless_that_is_said_and_a_wait_ends_in_time() {
    let clock = MockClock::new();
    let new = Bulkhead::new(1).unwrap();
    let _inside = new.try_acquire();
    assert_eq!(Some(0), new.max_waiting());
    assert!(new.acquire_blocking().is_err());
    assert!(Bulkhead::new(0).is_err());

    let bulkhead = Bulkhead::builder(1).unbounded().clock(&clock).build().unwrap();
    let _inside = bulkhead.try_acquire();
    let mut waits = pin!(bulkhead.acquire_timeout(SECOND));
    assert!(poll(waits.as_mut()).is_none());
    clock.advance(SECOND);
    assert_eq!(Err(BulkheadFull::new(1)), poll(waits.as_mut()).unwrap().map(drop));
    assert!(bulkhead.acquire_timeout_blocking(SECOND).is_err());
    bulkhead.set_limit(2).unwrap();
    assert!(bulkhead.set_limit(0).is_err());
    assert_eq!(2, bulkhead.limit());
    assert!(bulkhead.acquire_timeout_blocking(SECOND).is_ok());
}

#[test]
fn a_full_bulkhead_refuses_before_quota_is_taken() {
    let clock = MockClock::new();
    let (bulkhead, bucket) = (one(&clock, 0), bucket(&clock, 5));
    let builder = ResilientExecutor::builder().bulkhead(bulkhead.clone()).limiter(bucket.clone());
    let executor = builder.build().unwrap();
    let called = Cell::new(false);
    let call = || -> Result<(), &str> {
        called.set(true);
        Ok(())
    };

    let inside = bulkhead.try_acquire();
    assert_eq!(Err(FULL), executor.run_blocking("k", call));
    assert_eq!(Some(Err(FULL)), poll(pin!(executor.run("k", || ready(call())))));
    assert!(FULL.is_refusal() && !called.get());
    assert_eq!((5.0, 1), (bucket.tokens("k"), bulkhead.in_flight()));
    drop(inside);
    assert_eq!(Ok(()), executor.run_blocking("k", call));

    let stats = executor.stats();
    assert_eq!((3, 2, 2, 1), (stats.calls, stats.refused_by_bulkhead, stats.refusals(), 1));
    assert_eq!((4.0, 0), (bucket.tokens("k"), bulkhead.in_flight()));
}

#[test]
fn who_waits_for_quota_holds_no_place() {
    let clock = MockClock::new();
    let (bulkhead, bucket) = (one(&clock, 0), bucket(&clock, 1));
    assert!(bucket.allow("k"));
    let builder = ResilientExecutor::builder().bulkhead(bulkhead.clone()).limiter(bucket);
    let executor = builder.build().unwrap();
    let mut run = pin!(executor.run("k", || ready(Ok::<_, ()>(bulkhead.in_flight()))));

    assert!(poll(run.as_mut()).is_none());
    assert_eq!(0, bulkhead.in_flight());
    clock.advance(SECOND);

    assert_eq!(Some(Ok(1)), poll(run.as_mut()));
    assert_eq!(0, bulkhead.in_flight());
}

#[test]
fn who_waits_for_a_place_holds_no_quota_and_waits_no_longer_than_it_may() {
    let clock = MockClock::new();
    let (bulkhead, bucket) = (one(&clock, 5), bucket(&clock, 5));
    let builder = ResilientExecutor::builder().bulkhead(bulkhead.clone()).limiter(bucket.clone());
    let executor = builder.acquire_timeout(2 * SECOND).build().unwrap();
    let mut inside = bulkhead.try_acquire();

    for comes in [true, false] {
        let mut run = pin!(executor.run("k", || ready(Ok::<_, &str>(()))));
        assert!(poll(run.as_mut()).is_none());
        assert_eq!((1, 5.0), (bulkhead.waiting(), bucket.tokens("k")));
        clock.advance(SECOND);
        drop(if comes { inside.take() } else { None });
        clock.advance(if comes { Duration::ZERO } else { SECOND });
        let answer = poll(run.as_mut());

        assert_eq!(Some(if comes { Ok(()) } else { Err(FULL) }), answer);
        inside = inside.or_else(|| bulkhead.try_acquire());
        clock.advance(SECOND);
    }
    assert_eq!(1, executor.stats().refused_by_bulkhead);
}

/// The limiter is full, not the bulkhead: the names of the two are not mixed up.
#[test]
fn each_refuses_by_its_own_name() {
    let clock = MockClock::new();
    let pool = ConcurrencyLimiter::builder(1).clock(&clock).build().unwrap();
    let limiter = HoldingLimiter::new([pool.clone().into(), bucket(&clock, 1).into()]).unwrap();
    for max_waiting in [0, 1] {
        let bulkhead = one(&clock, max_waiting);
        let builder = ResilientExecutor::builder().bulkhead(bulkhead.clone());
        let builder = builder.limiter(limiter.clone()).acquire_timeout(Duration::ZERO);
        let executor = builder.build().unwrap();
        let run = || executor.run_blocking("k", || Ok::<_, &str>(bulkhead.in_flight()));

        assert_eq!(Ok(1), run());
        let by_rate = run().unwrap_err();
        assert!(matches!(by_rate, RunError::RateLimitExceeded(_)), "{by_rate:?}");
        let inside = bulkhead.try_acquire();
        let full = run().unwrap_err();
        drop(inside);
        clock.advance(SECOND);
        let held = pool.try_acquire("k");
        let by_pool = run().unwrap_err();
        drop(held);

        let expected = if max_waiting == 0 { "bulkhead" } else { "no permit" };
        assert!(full.to_string().contains(expected), "{full}: quota would come too late as well");
        assert!(matches!(by_pool, RunError::RateLimitExceeded(_)), "{by_pool:?}");
        assert_eq!(0, bulkhead.in_flight() + pool.in_flight("k"));
    }
}

#[test]
fn by_runs_a_place_is_held_between_attempts_and_by_attempts_it_is_not() {
    for (charge, between) in [(Charge::Call, 1), (Charge::Attempt, 0)] {
        let clock = MockClock::new();
        let bulkhead = one(&clock, 0);
        let policy = RetryPolicy::builder().base_delay(SECOND).build().unwrap();
        let builder = ResilientExecutor::builder().bulkhead(bulkhead.clone()).charge(charge);
        let executor = builder.retry_policy(policy).build().unwrap();
        let fails = || ready(Err::<(), _>(if bulkhead.in_flight() == 1 { "in" } else { "out" }));
        let mut run = pin!(executor.run("k", fails));
        assert!(poll(run.as_mut()).is_none());
        assert_eq!(between, bulkhead.in_flight(), "{charge}");

        let other = bulkhead.try_acquire();
        clock.advance(SECOND);
        let stopped = poll(run.as_mut());

        if charge == Charge::Call {
            assert!(stopped.is_none() && other.is_none());
            clock.advance(2 * SECOND);
            assert!(poll(run.as_mut()).is_some());
        } else {
            let Some(Err(RunError::RetryExhausted(end))) = stopped else { panic!("{stopped:?}") };
            assert_eq!(
                (1, "in", StopReason::BulkheadFull),
                (end.attempts, end.last_error, end.reason)
            );
            assert_eq!("gave up after 1 attempt; the bulkhead is full", end.to_string());
            assert_eq!((1, 1), (executor.stats().stopped_by_bulkhead, executor.stats().failures));
        }
        drop(other);
        assert_eq!(0, bulkhead.in_flight());
    }
}

#[test]
fn a_place_goes_back_however_the_run_ends() {
    let clock = MockClock::new();
    let bulkhead = one(&clock, 1);
    let breaker = CircuitBreaker::builder().failure_threshold(1).clock(&clock).build().unwrap();
    let builder = ResilientExecutor::builder().bulkhead(bulkhead.clone());
    let executor = builder.circuit_breaker(breaker.clone()).build().unwrap();

    {
        let mut hangs = pin!(executor.run("k", pending::<Result<(), &str>>));
        assert!(poll(hangs.as_mut()).is_none());
        let mut waits = Box::pin(executor.run("k", || ready(Ok(()))));
        assert!(poll(waits.as_mut()).is_none());
        assert_eq!((1, 1), (bulkhead.in_flight(), bulkhead.waiting()));
        drop(waits);
        assert_eq!((1, 0), (bulkhead.in_flight(), bulkhead.waiting()));
    }
    assert_eq!(0, bulkhead.in_flight());
    let panics = || executor.run_blocking("k", || -> Result<(), _> { panic!("the user's") });
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(0, bulkhead.in_flight());

    // While it waits for a place others open the circuit.
    let inside = bulkhead.try_acquire();
    let mut waits = pin!(executor.run("k", || ready(Ok(()))));
    assert!(poll(waits.as_mut()).is_none());
    clock.advance(SECOND);
    breaker.record_failure();
    drop(inside);
    let stopped = poll(waits.as_mut()).unwrap().unwrap_err();
    assert!(matches!(stopped, RunError::CircuitBreakerOpen(_)), "{stopped:?}");
    assert_eq!(0, bulkhead.in_flight());
}

#[test]
fn those_who_observe_the_limiter_hear_of_it_behind_a_bulkhead_too() {
    let clock = MockClock::new();
    for in_composite in [false, true] {
        let bucket = AnyLimiter::from(bucket(&clock, 2));
        let limiter = if in_composite {
            limitpal::CompositeLimiter::new([bucket]).unwrap().into()
        } else {
            bucket
        };
        let (heard, _listening) = Heard::of(&limiter);
        let bulkhead = one(&clock, 0);
        let builder = ResilientExecutor::builder().bulkhead(bulkhead.clone()).limiter(limiter);
        let executor = builder.acquire_timeout(Duration::ZERO).build().unwrap();
        let run = || executor.run_blocking("k", || Ok::<_, &str>(())).is_ok();

        assert!(run() && run() && !run());
        let inside = bulkhead.try_acquire();
        assert!(!run(), "full, of which the limiter knows nothing");
        drop(inside);

        let expected = ["near k 2 of 2", "refused k 1 After(1s)"];
        assert_eq!(expected[..], heard.words(), "{in_composite}");
    }
}

/// One call of a world: how long after the one before, what the function says after how long, and
/// whether the bulkhead is full.
#[derive(Clone, Debug)]
struct Act {
    pause: u32,
    fails: bool,
    lasts: u32,
    is_full: bool,
}

struct World {
    clock: MockClock,
    bulkhead: Bulkhead,
    bucket: TokenBucket,
    breaker: CircuitBreaker,
    budget: RetryBudget,
    executor: ResilientExecutor<&'static str>,
}

fn world(charge: Charge) -> World {
    let clock = MockClock::new();
    let (bulkhead, bucket) = (one(&clock, 0), bucket(&clock, 5));
    let slow = SlowCallRate::new(0.5, SECOND).calls(8).minimum_calls(4);
    let breaker =
        CircuitBreaker::builder().trip_on(ConsecutiveFailures::new(3)).trip_on(slow).clock(&clock);
    let breaker = breaker.build().unwrap();
    let budget = RetryBudget::builder().ratio(0.5).minimum_per_second(0.1).clock(&clock);
    let budget = budget.build().unwrap();
    let executor = ResilientExecutor::builder()
        .bulkhead(bulkhead.clone())
        .limiter(bucket.clone())
        .circuit_breaker(breaker.clone())
        .retry_budget(budget.clone())
        .retry_policy(RetryPolicy::builder().max_attempts(2).build().unwrap())
        .acquire_timeout(Duration::ZERO)
        .charge(charge)
        .clock(&clock)
        .build()
        .unwrap();
    World { clock, bulkhead, bucket, breaker, budget, executor }
}

impl World {
    fn run(&self, act: &Act) {
        let _inside = act.is_full.then(|| self.bulkhead.try_acquire());
        let answer = self.executor.run_blocking("k", || {
            self.clock.advance(Duration::from_millis(act.lasts.into()));
            if act.fails { Err("down") } else { Ok(()) }
        });
        if act.is_full {
            let refused =
                matches!(answer, Err(RunError::BulkheadFull(_) | RunError::CircuitBreakerOpen(_)));
            assert!(refused, "{answer:?}");
        }
    }

    fn fed(&self) -> (CircuitState, Vec<u8>, f64, u64, u64) {
        let stats = self.executor.stats();
        let runs = stats.calls - stats.refusals();
        let (state, tokens) = (self.breaker.state(), self.bucket.tokens("k"));
        (state, self.breaker.snapshot(), tokens, self.budget.left(), runs)
    }
}

proptest! {
    #![proptest_config(cases(200))]

    /// Two worlds, the same but for calls that find the bulkhead full: breaker (failures, slow
    /// calls), quota and retry budget are the same after each.
    #[test]
    fn a_full_bulkhead_feeds_no_other_stage(
        attempts in any::<bool>(),
        acts in proptest::collection::vec(
            (0_u32..4000, any::<bool>(), 0_u32..2000, any::<bool>())
                .prop_map(|(pause, fails, lasts, is_full)| Act { pause, fails, lasts, is_full }),
            1..60,
        ),
    ) {
        let charge = if attempts { Charge::Attempt } else { Charge::Call };
        let (with, without) = (world(charge), world(charge));
        for act in &acts {
            for world in [&with, &without] {
                world.clock.advance(Duration::from_millis(act.pause.into()));
            }
            with.run(act);
            if !act.is_full {
                without.run(act);
            }
            prop_assert_eq!(without.fed(), with.fed());
            prop_assert_eq!(0, with.bulkhead.in_flight());
        }
    }
}
