//! A circuit for each key: apart from each other, bounded, and who goes where there are too many.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use limitpal::{
    CircuitBreaker, CircuitState, FailureRate, KeyedCircuitBreaker, MockClock, ResilientExecutor,
    RunError,
};
use proptest::prelude::*;

use super::SECOND;

fn keyed(most: usize) -> (KeyedCircuitBreaker, MockClock) {
    let clock = MockClock::new();
    let builder = CircuitBreaker::builder().failure_threshold(1).clock(clock.clone());
    (builder.build_keyed(Some(most)).unwrap(), clock)
}

#[test]
fn a_key_that_fails_stops_no_other() {
    let (breakers, clock) = keyed(10);

    breakers.record_failure("a");

    assert_eq!(CircuitState::Open, breakers.state("a"));
    assert_eq!(CircuitState::Closed, breakers.state("b"));
    assert!(!breakers.allow("a") && breakers.allow("b"));
    assert!(breakers.call_blocking("a", || Ok::<_, ()>(7)).is_err());
    assert_eq!(Ok(7), breakers.call_blocking("b", || Ok::<_, ()>(7)));
    clock.advance(5 * SECOND);
    breakers.record_success("a");
    assert_eq!(CircuitState::Closed, breakers.state("a"));
}

#[test]
fn a_handle_is_the_keys_own_and_asking_for_a_state_remembers_nothing() {
    let (breakers, _clock) = keyed(10);
    assert_eq!(CircuitState::Closed, breakers.state("a"));
    assert!(!breakers.contains("a") && breakers.is_empty());

    let handle = breakers.get("a");
    breakers.record_failure("a");

    assert_eq!(CircuitState::Open, handle.state());
    handle.reset();
    assert!(breakers.allow("a"));
    assert_eq!(1, breakers.len());
}

#[test]
fn an_open_circuit_is_not_forgotten_while_there_is_one_as_new() {
    let (breakers, _clock) = keyed(3);
    breakers.record_failure("open");
    assert!(breakers.allow("old") && breakers.allow("young"));

    for key in ["new", "newer", "newest"] {
        assert!(breakers.allow(key));
        assert_eq!(3, breakers.len());
        assert_eq!(CircuitState::Open, breakers.state("open"));
    }

    assert!(!breakers.contains("old") && !breakers.contains("young"));
}

#[test]
fn the_least_recently_used_of_those_as_new_goes() {
    let (breakers, _clock) = keyed(2);
    assert!(breakers.allow("a") && breakers.allow("b") && breakers.allow("a"));

    assert!(breakers.allow("c"));

    assert!(breakers.contains("a") && !breakers.contains("b"));
}

#[test]
fn where_none_is_as_new_a_closed_one_goes_before_a_half_open_and_that_before_an_open_one() {
    let clock = MockClock::new();
    let builder = CircuitBreaker::builder().failure_threshold(2).clock(clock.clone());
    let breakers = builder.build_keyed(Some(3)).unwrap();
    let fail = |key| {
        breakers.record_failure(key);
        breakers.record_failure(key);
    };
    fail("half_open");
    clock.advance(5 * SECOND);
    fail("open");
    breakers.record_failure("closed");

    fail("x");
    assert!(!breakers.contains("closed"));
    fail("y");
    assert!(!breakers.contains("half_open"));
    fail("z");

    assert!(!breakers.contains("open"), "the least recently used of those that are open");
}

#[test]
fn one_that_is_held_or_that_a_call_is_in_goes_last() {
    let (breakers, _clock) = keyed(2);
    let held = breakers.get("held");
    breakers.record_failure("open");

    assert!(breakers.allow("x"));
    assert!(breakers.contains("held") && !breakers.contains("open"));
    held.record_failure();
    assert!(!breakers.allow("held"));
}

#[test]
fn calls_of_a_window_that_have_aged_out_make_it_as_new() {
    let clock = MockClock::new();
    let rule = FailureRate::new(0.5).window(60 * SECOND);
    let builder = CircuitBreaker::builder().trip_on(rule).clock(clock.clone());
    let breakers = builder.build_keyed(Some(2)).unwrap();
    breakers.record_success("a");
    clock.advance(30 * SECOND);
    breakers.record_success("b");
    breakers.record_success("a");
    clock.advance(59 * SECOND + SECOND / 2);

    assert!(breakers.allow("c"));

    assert_eq!(2, breakers.len());
    assert!(breakers.contains("c") && breakers.contains("a"));
}

#[test]
fn callbacks_hear_the_key_and_those_of_keys_to_come_too() {
    let (breakers, _clock) = keyed(10);
    let log = Arc::new(Mutex::new(Vec::new()));
    let (one, two) = (log.clone(), log.clone());
    breakers.record_success("before");
    let id = breakers.on_transition(move |key, from, to| {
        one.lock().unwrap().push(format!("{key}: {from} -> {to}"));
    });
    breakers.on_success(move |key| two.lock().unwrap().push(key.to_owned()));

    breakers.record_failure("a");
    breakers.record_success("before");
    breakers.record_success("b");

    let told = std::mem::take(&mut *log.lock().unwrap());
    assert_eq!(["a: closed -> open", "before", "b"], told[..]);
    assert!(breakers.remove_callback(id));
    breakers.record_failure("b");
    assert!(log.lock().unwrap().is_empty());
}

#[test]
fn a_callback_of_a_handle_hears_of_its_key_alone() {
    let (breakers, _clock) = keyed(10);
    let log = Arc::new(Mutex::new(0));
    let count = log.clone();
    let id = breakers.get("a").on_failure(move || *count.lock().unwrap() += 1);

    breakers.record_failure("b");
    breakers.record_failure("a");

    assert_eq!(1, *log.lock().unwrap());
    assert!(breakers.get("a").remove_callback(id));
}

#[test]
fn an_executor_asks_the_breaker_of_the_runs_key() {
    let (breakers, clock) = keyed(10);
    let executor = ResilientExecutor::builder().circuit_breaker_per_key(breakers.clone()).build();
    let executor: ResilientExecutor<&str> = executor.unwrap();
    let runs = Cell::new(0);
    let run = |key: &str, answer: Result<u32, &'static str>| {
        let count = || runs.set(runs.get() + 1);
        let blocking = executor.run_blocking(key, || {
            count();
            answer
        });
        let future = executor.run(key, || async {
            count();
            answer
        });
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(again) => (blocking, again),
            Poll::Pending => panic!("it waits for nothing"),
        }
    };

    let (first, second) = run("a", Err("down"));
    assert_eq!(Err(RunError::Failed("down")), first);
    assert!(matches!(second, Err(RunError::CircuitBreakerOpen(_))));
    assert_eq!((Ok(7), Ok(7)), run("b", Ok(7)));
    assert_eq!(3, runs.get());
    clock.advance(5 * SECOND);

    assert_eq!((Ok(7), Ok(7)), run("a", Ok(7)));
    assert_eq!(CircuitState::Closed, breakers.state("a"));
}

#[test]
fn a_bound_of_none_is_refused_by_name() {
    let refused = CircuitBreaker::builder().build_keyed(Some(0)).unwrap_err();

    assert_eq!("max_breakers", refused.parameter());
}

#[test]
fn threads_with_many_keys_stay_within_the_bound() {
    let (breakers, _clock) = keyed(50);

    std::thread::scope(|scope| {
        for rank in 0..4 {
            let breakers = &breakers;
            scope.spawn(move || {
                for turn in 0..500 {
                    let key = format!("{}", (turn * 7 + rank) % 120);
                    if turn % 3 == 0 {
                        breakers.record_failure(&key)
                    } else {
                        breakers.record_success(&key)
                    }
                }
            });
        }
    });

    assert_eq!(50, breakers.len());
}

proptest! {
    /// However keys come: never more than allowed, and whoever is open stays so while another that
    /// is as new could go instead.
    #[test]
    fn it_is_bounded_and_forgets_what_loses_least(
        calls in prop::collection::vec((0_u32..12, any::<bool>(), 0_u64..3), 1..120),
        most in 1_usize..6,
    ) {
        let (breakers, clock) = keyed(most);
        for (key, succeeds, seconds) in calls {
            clock.advance(SECOND * seconds as u32);
            let known: Vec<_> = (0..12).map(|key| key.to_string()).filter(|key| breakers.contains(key)).collect();
            let states: Vec<_> = known.iter().map(|key| breakers.state(key)).collect();
            let key = key.to_string();
            let is_new = !breakers.contains(&key);
            if succeeds { breakers.record_success(&key) } else { breakers.record_failure(&key) }
            prop_assert!(breakers.len() <= most);
            // With a threshold of 1 whoever is closed is as new.
            let closed = states.contains(&CircuitState::Closed);
            if is_new && known.len() == most {
                let gone = known.iter().zip(&states).find(|(key, _)| !breakers.contains(key));
                let (_, state) = gone.expect("somebody made room");
                prop_assert!(!closed || *state == CircuitState::Closed);
            } else {
                prop_assert!(known.iter().all(|key| breakers.contains(key)));
            }
        }
    }
}
