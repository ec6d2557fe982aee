//! A cache: what is kept and how long, and equal calls in flight.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use limitpal::{
    Cache, CircuitBreaker, Fallback, MockClock, Rate, ResilientExecutor, RunError, TokenBucket,
    TypedExecutor,
};
use proptest::prelude::*;

use crate::laws::cases;
use crate::waiters::Bells;

const SECOND: Duration = Duration::from_secs(1);

type Executor = TypedExecutor<u32, &'static str>;

fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn now<F: Future>(future: F) -> F::Output {
    poll(std::pin::pin!(future)).expect("there was nothing to wait for")
}

/// Fresh for 10 seconds, and stale for `stale` more.
fn cache(stale: u64, max_entries: u32) -> Cache<u32> {
    let builder = Cache::<u32>::builder(10 * SECOND).stale_for(Duration::from_secs(stale));
    builder.max_entries(max_entries).build().unwrap()
}

fn executor(clock: &MockClock, cache: &Cache<u32>) -> Executor {
    let executor = ResilientExecutor::builder().clock(clock).build().unwrap();
    executor.with_cache(cache.clone())
}

fn ask(executor: &Executor, call: &str, answer: Result<u32, &'static str>) -> Result<u32, String> {
    executor.run_cached_blocking("k", call, || answer).map_err(|error| error.to_string())
}

#[test]
fn a_value_is_fresh_for_its_time_and_not_at_its_end() {
    let (clock, cache) = (MockClock::new(), cache(0, 10));
    let executor = executor(&clock, &cache);

    assert_eq!(Ok(1), ask(&executor, "a", Ok(1)));
    clock.advance(10 * SECOND - Duration::from_nanos(1));
    assert_eq!(Ok(1), ask(&executor, "a", Ok(2)));
    assert_eq!(Ok(1), now(executor.run_cached("k", "a", || ready(Ok(2)))).map_err(|_| ()));
    assert_eq!(Ok(3), ask(&executor, "b", Ok(3)), "another call");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(Ok(4), ask(&executor, "a", Ok(4)));

    let stats = cache.stats();
    assert_eq!((2, 3, 0, 0), (stats.hits, stats.misses, stats.stale, stats.coalesced));
    assert_eq!((3, 2), (executor.stats().calls, cache.len()), "a hit is no run");
}

#[test]
fn errors_are_not_kept_and_a_stale_value_is_better_than_one() {
    let (clock, cache) = (MockClock::new(), cache(5, 10));
    let executor = executor(&clock, &cache).with_fallback(Fallback::value(0));

    assert_eq!(Ok(0), ask(&executor, "a", Err("down")), "the fallback's");
    assert_eq!(Ok(1), ask(&executor, "a", Ok(1)));
    clock.advance(15 * SECOND - Duration::from_nanos(1));
    assert_eq!(Ok(1), ask(&executor, "a", Err("down")), "stale, before the fallback");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(Ok(0), ask(&executor, "a", Err("down")));

    assert_eq!((1, 2), (cache.stats().stale, executor.stats().fallbacks));
    assert!(cache.is_empty());
}

#[test]
fn a_hit_takes_no_quota_and_is_answered_while_the_circuit_is_open() {
    let (clock, cache) = (MockClock::new(), cache(10, 10));
    let bucket = TokenBucket::builder(5, Rate::per_second(0.001).unwrap()).clock(&clock);
    let bucket = bucket.build().unwrap();
    let breaker = CircuitBreaker::builder().failure_threshold(1).clock(&clock).build().unwrap();
    let builder = ResilientExecutor::builder().limiter(bucket.clone());
    let executor = builder.circuit_breaker(breaker.clone()).build().unwrap();
    let executor = executor.with_cache(cache.clone());

    assert_eq!(Ok(1), ask(&executor, "a", Ok(1)));
    breaker.record_failure();
    assert_eq!(Ok(1), ask(&executor, "a", Ok(2)));
    assert_eq!(4.0, bucket.tokens("k"));
    clock.advance(10 * SECOND);
    breaker.record_failure();
    assert_eq!(Ok(1), ask(&executor, "a", Ok(2)), "stale, as the circuit refuses");
    assert_eq!(1, cache.stats().stale);
}

#[test]
fn what_is_forgotten_by_name_is_asked_for_anew_also_while_it_is_under_way() {
    let (clock, cache) = (MockClock::new(), cache(10, 10));
    let executor = executor(&clock, &cache);
    let gate = Cell::new(false);
    let slow =
        |value| {
            let gate = &gate;
            move || {
                std::future::poll_fn(move |_| {
                    if gate.get() { Poll::Ready(Ok(value)) } else { Poll::Pending }
                })
            }
        };
    assert_eq!(Ok(1), ask(&executor, "a", Ok(1)));
    assert!(cache.invalidate("a") && !cache.invalidate("a"));

    let mut old = Box::pin(executor.run_cached("k", "a", slow(2)));
    assert!(poll(old.as_mut()).is_none());
    cache.clear();
    let mut new = Box::pin(executor.run_cached("k", "a", slow(3)));
    assert!(poll(new.as_mut()).is_none());
    gate.set(true);

    assert_eq!(Some(Ok(2)), poll(old.as_mut()), "who asked before gets what was asked for");
    assert!(cache.is_empty(), "but it is not kept");
    assert_eq!(Some(Ok(3)), poll(new.as_mut()));
    assert_eq!(Ok(3), ask(&executor, "a", Ok(4)));
    cache.clear();
    assert!(cache.is_empty());
}

#[test]
fn of_equal_calls_one_runs_and_all_get_what_it_comes_to() {
    for fails in [false, true] {
        let (clock, cache) = (MockClock::new(), cache(0, 10));
        let executor = executor(&clock, &cache);
        let called = Cell::new(0);
        let done = Cell::new(false);
        let run = || {
            let (called, done) = (&called, &done);
            executor.run_cached("k", "a", move || {
                called.set(called.get() + 1);
                std::future::poll_fn(move |_| match (done.get(), fails) {
                    (false, _) => Poll::Pending,
                    (true, false) => Poll::Ready(Ok(7)),
                    (true, true) => Poll::Ready(Err("down")),
                })
            })
        };
        let bells = Bells::default();
        let mut runs: Vec<_> = (0..3).map(|_| Box::pin(run())).collect();
        for (rank, run) in runs.iter_mut().enumerate() {
            let waker = bells.waker(rank);
            assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        done.set(true);
        let expected = if fails { Err(RunError::Failed("down")) } else { Ok(7) };

        for mut run in runs {
            assert_eq!(Some(expected.clone()), poll(run.as_mut()));
        }
        let stats = cache.stats();
        assert_eq!((1, 1, 2), (called.get(), stats.misses, stats.coalesced));
        assert_eq!([Some(1), Some(2), None], [(); 3].map(|()| bells.next()), "each once");
        assert_eq!(1, executor.stats().calls);
    }
}

#[test]
fn if_the_one_that_runs_is_dropped_another_takes_over() {
    let (clock, cache) = (MockClock::new(), cache(0, 10));
    let executor = executor(&clock, &cache);
    let mut first = Box::pin(executor.run_cached("k", "a", pending));
    let mut second = Box::pin(executor.run_cached("k", "a", || ready(Ok(2))));
    let mut third = Box::pin(executor.run_cached("k", "a", || ready(Ok(3))));
    assert!(poll(first.as_mut()).is_none());
    assert!(poll(second.as_mut()).is_none() && poll(third.as_mut()).is_none());

    drop(second);
    drop(first);
    assert_eq!(Some(Ok(3)), poll(third.as_mut()));

    let panics =
        || executor.run_cached_blocking("k", "b", || -> Result<u32, _> { panic!("the user's") });
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(Ok(4), ask(&executor, "b", Ok(4)), "a panic leaves nobody behind");
}

#[test]
fn a_function_that_makes_the_same_call_again_runs_alone_in_its_thread() {
    let (clock, cache) = (MockClock::new(), cache(0, 10));
    let executor = executor(&clock, &cache);

    let outer = executor.run_cached_blocking("k", "a", || {
        Ok(executor.run_cached_blocking("k", "a", || Ok(1)).unwrap() + 1)
    });

    assert_eq!(Ok(2), outer);
    assert_eq!(2, cache.stats().misses);
}

#[test]
fn threads_wait_for_the_one_that_runs() {
    let cache = Cache::<u32>::new(3600 * SECOND).unwrap();
    let executor = ResilientExecutor::<&str>::builder().build().unwrap().with_cache(cache.clone());
    let (called, start) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(8)));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (executor, called, start) = (executor.clone(), called.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                (0..100)
                    .map(|call: u32| {
                        let run = || {
                            called.fetch_add(1, Ordering::Relaxed);
                            thread::yield_now();
                            Ok(call)
                        };
                        executor.run_cached_blocking("k", &call.to_string(), run).unwrap()
                    })
                    .sum::<u32>()
            })
        })
        .collect();

    for thread in threads {
        assert_eq!(4950, thread.join().unwrap());
    }
    let stats = cache.stats();
    assert_eq!((100, 100), (called.load(Ordering::Relaxed), stats.misses));
    assert_eq!(800, stats.hits + stats.misses + stats.coalesced);
}

#[test]
fn bad_options_are_refused_by_name() {
    let refused = Cache::<u32>::new(Duration::ZERO).unwrap_err();
    assert_eq!(("ttl", "0"), (refused.parameter(), refused.value()));
    let refused = Cache::<u32>::builder(SECOND).max_entries(0).build().unwrap_err();
    assert_eq!(("max_entries", "0"), (refused.parameter(), refused.value()));
    let shown = format!("{:?}", cache(5, 10));
    assert_eq!("Cache { ttl: 10s, stale_for: 5s, max_entries: 10, .. }", shown);
}

proptest! {
    #![proptest_config(cases(300))]

    /// Against a map of all that was ever given: what is answered without a run is never outdated,
    /// a stale value never outlives its time, and no more is kept than fits.
    #[test]
    fn what_is_kept_is_what_was_given_and_no_longer_than_it_may(
        most in 1_u32..6,
        acts in proptest::collection::vec((0_u64..7, 0_u32..8, any::<bool>(), 0_u32..12), 1..80),
    ) {
        let (clock, cache) = (MockClock::new(), cache(5, most));
        let executor = executor(&clock, &cache);
        let mut given: HashMap<String, (u32, Duration)> = HashMap::new();
        let mut time = Duration::ZERO;
        for (rank, (pause, call, fails, forget)) in (0_u32..).zip(acts) {
            clock.advance(Duration::from_secs(pause));
            time += Duration::from_secs(pause);
            let call = call.to_string();
            if forget == 0 {
                cache.invalidate(&call);
                given.remove(&call);
            }
            let before = cache.stats();
            let answer = ask(&executor, &call, if fails { Err("down") } else { Ok(rank) });
            let after = cache.stats();

            let known = given.get(&call).map(|(value, at)| (*value, time - *at));
            if after.hits > before.hits {
                let (value, age) = known.expect("a hit was given once");
                prop_assert!(age < 10 * SECOND);
                prop_assert_eq!(Ok(value), answer);
            } else if !fails {
                prop_assert_eq!(Ok(rank), answer);
                given.insert(call, (rank, time));
            } else if after.stale > before.stale {
                let (value, age) = known.expect("a stale value was given once");
                prop_assert!(age < 15 * SECOND);
                prop_assert_eq!(Ok(value), answer);
            } else {
                prop_assert_eq!(Err("down".to_owned()), answer);
            }
            prop_assert_eq!(u64::from(rank) + 1, after.hits + after.misses + after.coalesced);
            prop_assert_eq!(after.misses, executor.stats().calls);
            prop_assert!(cache.len() <= most as usize);
        }
    }
}
