//! At most so many at a time: who is let in, who waits, and what comes back.

mod blocking;
mod crowd;
mod limits;
mod waiting;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{ConcurrencyLimiter, ConcurrencyPermit, Cost, RateLimitExceeded, RetryAfter};

type Answer = Result<ConcurrencyPermit, RateLimitExceeded>;

fn limiter(limit: u32) -> ConcurrencyLimiter {
    ConcurrencyLimiter::new(limit).unwrap()
}

fn cost(cost: u64) -> Cost {
    Cost::new(cost).unwrap()
}

/// Polls once.
fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn refused(after: RetryAfter) -> Option<RateLimitExceeded> {
    Some(RateLimitExceeded::new(after))
}

#[test]
fn lets_in_up_to_the_limit_and_no_more() {
    let limiter = limiter(3);

    let permits: Vec<_> = (0..5).map(|_| limiter.try_acquire("k")).collect();

    assert_eq!(
        [true, true, true, false, false],
        *permits.iter().map(Option::is_some).collect::<Vec<_>>()
    );
    assert_eq!(3, limiter.in_flight("k"));
}

#[test]
fn a_permit_that_is_dropped_or_released_is_there_for_the_next() {
    let limiter = limiter(1);

    for _ in 0..3 {
        drop(limiter.try_acquire("k").expect("it has come back"));
        limiter.try_acquire("k").expect("it has come back").release();
    }

    assert_eq!(0, limiter.in_flight("k"));
}

#[test]
fn each_key_has_a_limit_of_its_own() {
    let limiter = limiter(1);

    let one = limiter.try_acquire("one");

    assert!(one.is_some() && limiter.try_acquire("one").is_none());
    assert!(limiter.try_acquire("another").is_some());
}

#[test]
fn with_one_key_for_everybody_it_is_a_bulkhead() {
    let limiter = ConcurrencyLimiter::builder(2).per_key(false).build().unwrap();

    let permits = [limiter.try_acquire("ann"), limiter.try_acquire("bob")];

    assert!(permits.iter().all(Option::is_some));
    assert!(limiter.try_acquire("eve").is_none());
    assert_eq!((2, 1), (limiter.in_flight("eve"), limiter.len()));
}

#[test]
fn keys_may_be_mapped() {
    let tenant = |key: &str| key.split(':').next().unwrap_or(key).to_owned();
    let limiter = ConcurrencyLimiter::builder(1).key_by(tenant).build().unwrap();

    let permit = limiter.try_acquire("acme:ann");

    assert!(permit.is_some() && limiter.try_acquire("acme:bob").is_none());
    assert!(limiter.contains("acme") && limiter.contains("acme:eve"));
    assert!(limiter.try_acquire("other:bob").is_some());
}

#[test]
fn a_key_is_remembered_while_a_permit_of_it_is_out_and_no_longer() {
    let limiter = limiter(2);
    assert!(limiter.is_empty() && !limiter.contains("a"));

    let (a, b) = (limiter.try_acquire("a"), limiter.try_acquire("b"));
    assert_eq!((2, true, true), (limiter.len(), limiter.contains("a"), limiter.contains("b")));
    drop(a);
    assert_eq!((1, false, true), (limiter.len(), limiter.contains("a"), limiter.contains("b")));
    drop(b);

    assert!(limiter.is_empty());
}

#[test]
fn a_hundred_thousand_keys_leave_nothing_behind() {
    let limiter = limiter(1);
    let acquire = |key: u32| limiter.try_acquire(&key.to_string()).expect("it is new");

    let permits: Vec<_> = (0..100_000).map(acquire).collect();
    assert_eq!(100_000, limiter.len());
    drop(permits);

    assert!(limiter.is_empty());
}

#[test]
fn a_cost_counts_as_so_many() {
    let limiter = limiter(5);

    let three = limiter.try_acquire(("k", cost(3))).expect("five are free");
    assert!(limiter.try_acquire(("k", cost(3))).is_none());
    let two = limiter.try_acquire(("k", cost(2))).expect("two are free");

    assert_eq!((3, 2, 5), (three.cost(), two.cost(), limiter.in_flight("k")));
    drop(three);
    assert_eq!(2, limiter.in_flight("k"));
}

#[test]
fn a_cost_above_the_limit_is_never_served() {
    let limiter = limiter(3);

    for cost in [4, u64::from(u32::MAX) + 4, u64::MAX].map(cost) {
        assert!(limiter.try_acquire(("k", cost)).is_none());
        let answers = [
            now(limiter.acquire(("k", cost))).expect("there is nothing to wait for"),
            now(limiter.acquire_timeout(("k", cost), Duration::ZERO)).expect("it never waits"),
            limiter.acquire_blocking(("k", cost)),
            limiter.acquire_timeout_blocking(("k", cost), Duration::MAX),
        ];
        for answer in answers {
            assert_eq!(refused(RetryAfter::Never), answer.err());
        }
    }
    assert!(limiter.is_empty());
}

#[test]
fn a_timeout_of_zero_never_waits() {
    let limiter = limiter(1);
    let permit = limiter.acquire_timeout_blocking("k", Duration::ZERO).expect("it is free");

    let answers = [
        now(limiter.acquire_timeout("k", Duration::ZERO)).expect("it never waits"),
        limiter.acquire_timeout_blocking("k", Duration::ZERO),
    ];

    for answer in answers {
        assert_eq!(refused(RetryAfter::Unknown), answer.err());
    }
    assert_eq!(0, limiter.waiting("k"));
    drop(permit);
}

#[test]
fn a_limit_of_zero_is_refused_by_name_and_leaves_the_present_one() {
    for error in [
        ConcurrencyLimiter::new(0).unwrap_err(),
        ConcurrencyLimiter::builder(0).per_key(false).build().unwrap_err(),
        limiter(2).set_limit(0).unwrap_err(),
    ] {
        assert_eq!("limit is 0; give a whole number from 1 to 4294967295", error.to_string());
    }
    let limiter = limiter(2);
    assert!(limiter.set_limit(0).is_err());
    assert_eq!(2, limiter.limit());
}

#[test]
fn the_largest_limit_and_cost_do_not_overflow() {
    let limiter = limiter(u32::MAX);
    let all = limiter.try_acquire(("k", cost(u32::MAX.into()))).expect("all are free");

    assert!(limiter.try_acquire("k").is_none());
    assert!(limiter.try_acquire(("k", cost(u32::MAX.into()))).is_none());

    assert_eq!(u32::MAX, limiter.in_flight("k"));
    drop(all);
    assert!(limiter.is_empty());
}

#[test]
fn a_clone_shares_the_state_and_a_permit_outlives_both() {
    let limiter = limiter(1);
    let other = limiter.clone();

    let permit = limiter.try_acquire("k").expect("it is free");
    assert!(other.try_acquire("k").is_none());
    drop(limiter);
    drop(other);

    assert_eq!("ConcurrencyPermit { cost: 1, .. }", format!("{permit:?}"));
}

#[test]
fn permits_and_futures_may_be_sent_to_another_thread() {
    fn send<T: Send + 'static>(value: T) -> T {
        value
    }
    fn lent<T: Send>(value: T) -> T {
        value
    }
    let limiter = send(limiter(1));

    let permit = send(now(lent(limiter.acquire("k"))).expect("it is free"));

    std::thread::spawn(move || drop(permit)).join().unwrap();
    assert!(limiter.is_empty());
}

#[test]
fn what_was_built_is_shown() {
    let plain = limiter(3);
    let bulkhead = ConcurrencyLimiter::builder(2).per_key(false).max_waiting(0).build().unwrap();

    assert!(format!("{plain:?}").starts_with("ConcurrencyLimiter { limit: 3, clock: "));
    let shown = format!("{bulkhead:?}");
    assert!(shown.contains("max_waiting: 0, per_key: false"), "{shown}");
}
