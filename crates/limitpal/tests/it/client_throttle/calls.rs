//! Calls through a throttle: what is an accept, what a rejection, and what leaves no trace.

use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use limitpal::{
    CircuitBreakerOpen, ClientThrottle, InvalidConfig, RateLimitExceeded, RetryAfter, ThrottleError,
};

use super::{SECOND, attempt, throttle};

type Way = fn(&ClientThrottle, Result<u32, &'static str>) -> Answer;
type Answer = Result<u32, ThrottleError<&'static str>>;

/// Calls a function through a throttle that takes "503" for a rejection, in both ways.
const WAYS: [Way; 2] = [
    |throttle, answer| throttle.reject_if(is_503).call_blocking(|| answer),
    |throttle, answer| {
        let calls = throttle.reject_if(is_503);
        let mut call = pin!(calls.call(|| async move { answer }));
        poll(call.as_mut()).unwrap()
    },
];

fn is_503(error: &&'static str) -> bool {
    *error == "503"
}

/// Polls once.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Makes a throttle refuse the next request, as good as certainly.
fn overload(throttle: &ClientThrottle) {
    attempt(throttle, 100_000);
    throttle.record_rejection();
}

#[test]
fn a_value_and_an_error_come_out_unchanged_and_count() {
    for call in WAYS {
        let (throttle, _clock) = throttle();

        assert_eq!(Ok(7), call(&throttle, Ok(7)));
        assert_eq!(Err(ThrottleError::Failed("404")), call(&throttle, Err("404")));
        assert_eq!((2, 2), (throttle.requests(), throttle.accepts()), "the server answered");
        assert_eq!(Err(ThrottleError::Failed("503")), call(&throttle, Err("503")));

        assert_eq!((3, 2), (throttle.requests(), throttle.accepts()));
        throttle.allow();
        throttle.allow();
        assert_eq!((5.0 - 4.0) / 6.0, throttle.rejection_probability(), "a rejection was heard");
    }
}

#[test]
fn without_more_said_any_error_is_a_rejection() {
    let (throttle, _clock) = throttle();

    let blocking = throttle.call_blocking(|| Err::<(), _>("404"));
    assert_eq!(Err(ThrottleError::Failed("404")), blocking);
    assert_eq!(0.5, throttle.rejection_probability());
    throttle.reset();

    let call = poll(pin!(throttle.call(|| async { Err::<(), _>("404") })).as_mut());
    assert_eq!(Some(Err(ThrottleError::Failed("404"))), call);
    assert_eq!(0.5, throttle.rejection_probability());
}

#[test]
fn one_that_is_refused_is_not_called_and_counts_as_a_request() {
    let refused =
        || Err(ThrottleError::RateLimitExceeded(RateLimitExceeded::new(RetryAfter::Unknown)));
    for call in WAYS {
        let (throttle, _clock) = throttle();
        overload(&throttle);

        assert_eq!(refused(), call(&throttle, Ok(7)));

        assert_eq!((100_001, 0), (throttle.requests(), throttle.accepts()));
    }
}

#[test]
fn a_request_counts_while_it_is_out() {
    let (throttle, _clock) = throttle();
    let mut call = pin!(throttle.call(std::future::pending::<Result<(), ()>>));

    assert!(poll(call.as_mut()).is_none());

    assert_eq!((1, 0), (throttle.requests(), throttle.accepts()));
}

#[test]
fn a_cancelled_call_is_taken_back() {
    let (throttle, _clock) = throttle();
    {
        let mut call = pin!(throttle.call(std::future::pending::<Result<(), ()>>));
        assert!(poll(call.as_mut()).is_none());
    }

    assert_eq!((0, 0), (throttle.requests(), throttle.accepts()));
}

#[test]
fn a_cancelled_call_takes_back_its_own_request_and_no_other() {
    let (throttle, clock) = throttle();
    let mut call = Box::pin(throttle.call(std::future::pending::<Result<(), ()>>));
    assert!(poll(call.as_mut()).is_none());
    clock.advance(60 * SECOND);
    throttle.allow();

    drop(call);
    assert_eq!(1, throttle.requests());
    clock.advance(100 * SECOND);
    assert_eq!(1, throttle.requests(), "the other is a minute younger");
}

#[test]
fn a_call_cancelled_after_its_window_takes_nothing() {
    for forget in [|throttle: &ClientThrottle| throttle.reset(), |_: &ClientThrottle| ()] {
        let (throttle, clock) = throttle();
        let mut call = Box::pin(throttle.call(std::future::pending::<Result<(), ()>>));
        assert!(poll(call.as_mut()).is_none());
        clock.advance(120 * SECOND);
        forget(&throttle);
        throttle.allow();

        drop(call);

        assert_eq!(1, throttle.requests());
    }
}

#[test]
fn a_panic_comes_out_and_the_request_is_taken_back() {
    let (throttle, _clock) = throttle();

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        throttle.call_blocking(|| -> Result<(), ()> { panic!("the user's own") })
    }));

    assert_eq!(Some(&"the user's own"), panicked.unwrap_err().downcast_ref());
    assert_eq!((0, 0), (throttle.requests(), throttle.accepts()));
}

#[test]
fn refusals_of_our_own_leave_no_trace() {
    type Boxed = Box<dyn Error + Send + Sync>;
    let limited = || RateLimitExceeded::new(RetryAfter::Never);
    let open = || CircuitBreakerOpen::new(SECOND);
    let invalid = || InvalidConfig::new("cost", 0, "give more");
    let (throttle, _clock) = throttle();

    assert!(throttle.call_blocking(|| Err::<(), _>(limited())).is_err());
    assert!(throttle.call_blocking(|| Err::<(), _>(open())).is_err());
    assert!(throttle.call_blocking(|| Err::<(), _>(invalid())).is_err());
    assert!(throttle.call_blocking(|| Err::<(), Boxed>(limited().into())).is_err());
    assert_eq!((0, 0), (throttle.requests(), throttle.accepts()));
    assert!(throttle.allow() && throttle.allow(), "nobody was turned away by the server");

    assert!(throttle.call_blocking(|| Err::<(), Boxed>("theirs".into())).is_err());
    assert_eq!(3.0 / 4.0, throttle.rejection_probability());
}

#[test]
fn an_answer_to_a_call_from_before_a_reset_does_not_count() {
    for answer in [Ok(7), Err("503")] {
        let (throttle, _clock) = throttle();

        let ended = throttle.call_blocking(|| {
            throttle.reset();
            answer
        });

        assert_eq!(answer.map_err(ThrottleError::Failed), ended);
        assert_eq!((0, 0), (throttle.requests(), throttle.accepts()));
        throttle.allow();
        assert_eq!(0.0, throttle.rejection_probability());
    }
}

#[test]
fn no_lock_is_held_while_the_function_runs() {
    let (throttle, _clock) = throttle();

    let answer = throttle.call_blocking(|| {
        assert_eq!(1, throttle.requests());
        throttle.call_blocking(|| Ok::<_, ()>(7))
    });

    assert_eq!(Ok(7), answer);
    assert_eq!((2, 2), (throttle.requests(), throttle.accepts()));
}

#[test]
fn errors_show_what_is_inside() {
    let refusal = RateLimitExceeded::new(RetryAfter::Unknown);
    let refused = ThrottleError::<std::io::Error>::from(refusal);
    let failed = ThrottleError::Failed(std::io::Error::other("no route"));

    assert_eq!(refusal.to_string(), refused.to_string());
    assert_eq!("no route", failed.to_string());
    assert!(refused.source().is_none());
}
