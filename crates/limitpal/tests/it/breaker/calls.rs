//! Calls through a breaker: what counts, what does not, and that no permit is lost.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Barrier, Mutex};
use std::task::{Context, Poll, Waker};

use limitpal::{
    BreakerError, CircuitBreaker, CircuitBreakerOpen, CircuitState, InvalidConfig,
    RateLimitExceeded, RetryAfter,
};

use super::{SECOND, breaker, half_open};

/// Calls a function through a breaker, as a thread does and as a task does.
const WAYS: [Way; 2] = [
    |breaker, answer| breaker.call_blocking(|| answer),
    |breaker, answer| poll(pin!(breaker.call(|| async move { answer })).as_mut()).unwrap(),
];

type Way = fn(&CircuitBreaker, Result<u32, &'static str>) -> Answer;
type Answer = Result<u32, BreakerError<&'static str>>;

/// Polls once.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A function's answer that comes when it is told to.
fn later<T: Copy>(answer: &Mutex<Option<T>>) -> impl Future<Output = T> + '_ {
    std::future::poll_fn(|_| match *answer.lock().unwrap() {
        Some(answer) => Poll::Ready(answer),
        None => Poll::Pending,
    })
}

#[test]
fn a_value_and_an_error_come_out_unchanged_and_count() {
    for call in WAYS {
        let (breaker, _clock) = breaker(2, 1);

        assert_eq!(Ok(7), call(&breaker, Ok(7)));
        assert_eq!(Err(BreakerError::Failed("a")), call(&breaker, Err("a")));
        assert_eq!(Err(BreakerError::Failed("b")), call(&breaker, Err("b")));

        assert_eq!(CircuitState::Open, breaker.state());
    }
}

#[test]
fn an_open_circuit_does_not_call() {
    for call in WAYS {
        let (breaker, clock) = breaker(1, 1);
        breaker.record_failure();
        clock.advance(4 * SECOND);

        let refusal = CircuitBreakerOpen::new(6 * SECOND);
        assert_eq!(Err(BreakerError::CircuitBreakerOpen(refusal)), call(&breaker, Ok(7)));
    }
}

#[test]
fn calls_probe_and_close_a_half_open_circuit() {
    for call in WAYS {
        let (breaker, _clock) = half_open(2);

        assert_eq!(Ok(1), call(&breaker, Ok(1)));
        assert_eq!(CircuitState::HalfOpen, breaker.state());
        assert_eq!(Ok(2), call(&breaker, Ok(2)));

        assert_eq!(CircuitState::Closed, breaker.state());
    }
}

#[test]
fn a_cancelled_probe_leaves_the_circuit_half_open_and_its_place_free() {
    let (breaker, _clock) = half_open(1);
    let never = || std::future::pending::<Result<(), ()>>();
    {
        let mut call = pin!(breaker.call(never));
        assert!(poll(call.as_mut()).is_none());
        assert!(!breaker.allow());
    }

    assert_eq!(CircuitState::HalfOpen, breaker.state());
    assert!(breaker.allow());
}

#[test]
fn a_cancelled_call_counts_as_neither_in_the_closed_state() {
    let (breaker, _clock) = breaker(2, 1);
    breaker.record_failure();
    {
        let mut call = pin!(breaker.call(std::future::pending::<Result<(), ()>>));
        assert!(poll(call.as_mut()).is_none());
    }

    assert_eq!(CircuitState::Closed, breaker.state());
    breaker.record_failure();
    assert_eq!(CircuitState::Open, breaker.state(), "nor did it start the count anew");
}

#[test]
fn a_panic_comes_out_and_counts_as_neither() {
    let (breaker, _clock) = half_open(1);

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        breaker.call_blocking(|| -> Result<(), ()> { panic!("the user's own") })
    }));

    assert_eq!(Some(&"the user's own"), panicked.unwrap_err().downcast_ref());
    assert_eq!(CircuitState::HalfOpen, breaker.state());
    assert!(breaker.allow());
}

#[test]
fn refusals_of_our_own_count_as_neither() {
    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let limited = || RateLimitExceeded::new(RetryAfter::Never);
    let open = || CircuitBreakerOpen::new(SECOND);
    let invalid = || InvalidConfig::new("cost", 0, "give more");
    let (breaker, _clock) = half_open(1);

    assert!(breaker.call_blocking(|| Err::<(), _>(limited())).is_err());
    assert!(breaker.call_blocking(|| Err::<(), _>(open())).is_err());
    assert!(breaker.call_blocking(|| Err::<(), _>(invalid())).is_err());
    assert!(breaker.call_blocking(|| Err::<(), Boxed>(limited().into())).is_err());
    assert!(breaker.call_blocking(|| Err::<(), Boxed>(open().into())).is_err());
    assert!(breaker.call_blocking(|| Err::<(), Boxed>(invalid().into())).is_err());
    assert_eq!(CircuitState::HalfOpen, breaker.state());

    assert!(breaker.call_blocking(|| Err::<(), Boxed>("theirs".into())).is_err());
    assert_eq!(CircuitState::Open, breaker.state());
}

/// Starts a call in the closed state, moves the breaker on to half-open, and lets the call end.
fn end_under_a_later_state(answer: Result<(), ()>) -> CircuitState {
    let (breaker, clock) = breaker(1, 1);
    let told = Mutex::new(None);
    let mut call = pin!(breaker.call(|| later(&told)));
    assert!(poll(call.as_mut()).is_none());
    breaker.record_failure();
    clock.advance(10 * SECOND);
    assert_eq!(CircuitState::HalfOpen, breaker.state());

    *told.lock().unwrap() = Some(answer);
    assert!(poll(call.as_mut()).is_some());
    breaker.state()
}

#[test]
fn a_result_begun_under_an_earlier_state_does_not_count() {
    assert_eq!(CircuitState::HalfOpen, end_under_a_later_state(Ok(())));
    assert_eq!(CircuitState::HalfOpen, end_under_a_later_state(Err(())));
}

#[test]
fn a_result_begun_before_a_reset_does_not_count() {
    let (breaker, _clock) = breaker(1, 1);
    let told = Mutex::new(None);
    let mut call = pin!(breaker.call(|| later(&told)));
    assert!(poll(call.as_mut()).is_none());

    breaker.reset();
    *told.lock().unwrap() = Some(Err::<(), _>(()));
    assert!(poll(call.as_mut()).is_some());

    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn a_call_of_the_closed_state_may_last_as_long_as_it_likes_and_counts() {
    let (breaker, clock) = breaker(1, 1);
    let told = Mutex::new(None);
    let mut call = pin!(breaker.call(|| later(&told)));
    assert!(poll(call.as_mut()).is_none());

    clock.advance(100_000 * SECOND);
    *told.lock().unwrap() = Some(Err::<(), _>(()));
    assert!(poll(call.as_mut()).is_some());

    assert_eq!(CircuitState::Open, breaker.state());
}

#[test]
fn a_hung_probe_locks_nobody_out_and_its_late_result_does_not_count() {
    for answer in [Ok(()), Err(())] {
        let (breaker, clock) = half_open(1);
        let told = Mutex::new(None);
        let mut hung = pin!(breaker.call(|| later(&told)));
        assert!(poll(hung.as_mut()).is_none());
        clock.advance(3 * SECOND);
        let refusal = breaker.call_blocking(|| Ok::<_, ()>(())).unwrap_err();
        let until_it_lapses = CircuitBreakerOpen::new(7 * SECOND);
        assert_eq!(BreakerError::CircuitBreakerOpen(until_it_lapses), refusal);
        clock.advance(7 * SECOND);

        let mut second = pin!(breaker.call(std::future::pending::<Result<(), ()>>));
        assert!(poll(second.as_mut()).is_none());
        *told.lock().unwrap() = Some(answer);
        assert_eq!(Some(answer.map_err(BreakerError::Failed)), poll(hung.as_mut()));

        assert_eq!(CircuitState::HalfOpen, breaker.state());
        assert!(!breaker.allow(), "the second probe keeps its place");
    }
}

#[test]
fn a_probe_that_ended_leaves_its_place_to_the_next() {
    for call in WAYS {
        let (breaker, _clock) = half_open(2);

        assert_eq!(Ok(7), call(&breaker, Ok(7)));

        assert!(breaker.allow() && breaker.allow());
        assert!(!breaker.allow());
    }
}

#[test]
fn a_permit_of_an_earlier_half_open_state_takes_nobodys_place_and_frees_none() {
    let (breaker, clock) = half_open(2);
    let mut old = Box::pin(breaker.call(std::future::pending::<Result<(), ()>>));
    assert!(poll(old.as_mut()).is_none());
    breaker.record_failure();
    clock.advance(10 * SECOND);

    assert!(breaker.allow() && breaker.allow());
    assert!(!breaker.allow());
    drop(old);

    assert!(!breaker.allow());
}

#[test]
fn a_bare_report_is_not_taken_for_a_call_that_shows_its_permit() {
    let (breaker, _clock) = half_open(2);
    let told = Mutex::new(None);
    let mut call = pin!(breaker.call(|| later(&told)));
    assert!(poll(call.as_mut()).is_none());
    assert!(breaker.allow());

    breaker.record_success();
    assert_eq!(CircuitState::HalfOpen, breaker.state());
    *told.lock().unwrap() = Some(Ok::<_, ()>(()));
    assert!(poll(call.as_mut()).is_some());

    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn a_bare_report_is_not_late_when_only_a_call_has_lapsed() {
    let (breaker, clock) = half_open(1);
    let mut hung = pin!(breaker.call(std::future::pending::<Result<(), ()>>));
    assert!(poll(hung.as_mut()).is_none());
    clock.advance(10 * SECOND);

    breaker.record_success();

    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn a_call_after_a_reset_of_a_healthy_circuit_counts() {
    let (breaker, _clock) = breaker(1, 1);
    breaker.reset();

    assert!(breaker.call_blocking(|| Err::<(), _>(())).is_err());

    assert_eq!(CircuitState::Open, breaker.state());
}

#[test]
fn no_lock_is_held_while_the_function_runs() {
    let (breaker, _clock) = half_open(2);

    let answer = breaker.call_blocking(|| {
        assert_eq!(CircuitState::HalfOpen, breaker.state());
        breaker.call_blocking(|| Ok::<_, ()>(7))
    });

    assert_eq!(Ok(7), answer);
    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn eight_threads_on_a_half_open_circuit_never_have_more_out_than_the_threshold() {
    let (breaker, _clock) = half_open(3);
    let (out, most, start) = (AtomicU32::new(0), AtomicU32::new(0), Barrier::new(8));
    let ignored = || Err::<(), _>(RateLimitExceeded::new(RetryAfter::Never));

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..500 {
                    let _ = breaker.call_blocking(|| {
                        most.fetch_max(1 + out.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                        (0..100).for_each(|_| std::hint::spin_loop());
                        out.fetch_sub(1, Ordering::SeqCst);
                        ignored()
                    });
                }
            });
        }
    });

    assert!(most.into_inner() <= 3);
    assert_eq!(CircuitState::HalfOpen, breaker.state());
    assert!(breaker.allow() && breaker.allow() && breaker.allow(), "all places came back");
}
