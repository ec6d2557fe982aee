//! Permits that come back against those who wait, leave and come: none is lost, none is granted
//! twice, and nobody sleeps though there is one for it. Who is not woken sleeps for ever, and loom
//! calls that a deadlock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use limitpal::{ConcurrencyLimiter, ConcurrencyPermit, Cost, RateLimitExceeded};
use loom::future::block_on;
use loom::thread::{self, JoinHandle};

use super::{model, model_within};

type Answer = Result<ConcurrencyPermit, RateLimitExceeded>;
type Acquiring = Pin<Box<dyn Future<Output = Answer> + Send>>;

fn limiter(limit: u32) -> ConcurrencyLimiter {
    ConcurrencyLimiter::builder(limit).per_key(false).build().expect("at least one")
}

fn acquire(limiter: &ConcurrencyLimiter, cost: u64) -> Acquiring {
    let (limiter, cost) = (limiter.clone(), Cost::new(cost).expect("at least one"));
    Box::pin(async move { limiter.acquire(("key", cost)).await })
}

/// Starts to wait for a permit.
fn waiting(limiter: &ConcurrencyLimiter, cost: u64) -> Acquiring {
    let mut acquiring = acquire(limiter, cost);
    let polled = acquiring.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending), "there is none left");
    acquiring
}

fn granted(acquiring: Acquiring) -> ConcurrencyPermit {
    block_on(acquiring).expect("it waits as long as it takes")
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("the other thread did not panic")
}

#[test]
fn a_permit_that_comes_back_wakes_one_who_is_about_to_fall_asleep() {
    model(|| {
        let limiter = limiter(1);
        let held = limiter.try_acquire("key").expect("it is free");
        let first = acquire(&limiter, 1);
        let first = thread::spawn(|| granted(first).release());
        held.release();

        joined(first);
        assert!(limiter.is_empty());
    });
}

#[test]
fn a_permit_that_comes_back_while_the_first_leaves_goes_to_the_second() {
    model(|| {
        let limiter = limiter(1);
        let held = limiter.try_acquire("key").expect("it is free");
        let (first, second) = (waiting(&limiter, 1), waiting(&limiter, 1));
        let second = thread::spawn(|| granted(second).release());
        let giving = thread::spawn(|| held.release());
        drop(first);

        joined(giving);
        joined(second);
        assert!(limiter.is_empty());
    });
}

#[test]
fn of_a_newcomer_and_one_who_leaves_and_a_permit_that_comes_back_none_is_lost() {
    model(|| {
        let limiter = limiter(1);
        let held = limiter.try_acquire("key").expect("it is free");
        let first = waiting(&limiter, 1);
        let newcomer = limiter.clone();
        let newcomer = thread::spawn(move || newcomer.try_acquire("key").is_some());
        let leaving = thread::spawn(|| drop(first));
        held.release();

        joined(leaving);
        joined(newcomer);
        assert!(limiter.is_empty());
        assert!(limiter.try_acquire("key").is_some());
    });
}

#[test]
fn two_halves_that_come_back_let_in_the_one_who_wants_both() {
    model(|| {
        let limiter = limiter(2);
        let (one, other) = (limiter.try_acquire("key"), limiter.try_acquire("key"));
        let both = waiting(&limiter, 2);
        let both = thread::spawn(|| granted(both).cost());
        let giving = thread::spawn(|| drop(other));
        drop(one);

        joined(giving);
        assert_eq!(2, joined(both));
        assert!(limiter.is_empty());
    });
}

#[test]
fn one_in_the_way_who_leaves_lets_in_the_next_whatever_comes_back_meanwhile() {
    model_within(3, || {
        let limiter = limiter(2);
        let held = limiter.try_acquire("key");
        let (large, small) = (waiting(&limiter, 2), waiting(&limiter, 1));
        let small = thread::spawn(|| granted(small).release());
        let giving = thread::spawn(|| drop(held));
        drop(large);

        joined(giving);
        joined(small);
        assert!(limiter.is_empty());
    });
}

#[test]
fn a_limit_that_grows_lets_in_one_who_comes_meanwhile() {
    model(|| {
        let limiter = limiter(1);
        let held = limiter.try_acquire("key");
        let newcomer = acquire(&limiter, 1);
        let newcomer = thread::spawn(|| granted(newcomer).release());
        limiter.set_limit(2).expect("at least one");

        joined(newcomer);
        drop(held);
        assert!(limiter.is_empty());
    });
}

#[test]
fn a_limit_that_falls_turns_away_who_comes_meanwhile_or_lets_it_in() {
    model(|| {
        let limiter = limiter(2);
        let held = limiter.try_acquire("key");
        let newcomer = acquire(&limiter, 2);
        let newcomer = thread::spawn(|| block_on(newcomer).is_ok());
        limiter.set_limit(1).expect("at least one");
        drop(held);

        joined(newcomer);
        assert!(limiter.is_empty());
    });
}

/// In between the gate is as nobody else leaves one: somebody waits, and nobody is inside.
#[test]
fn a_limit_that_falls_while_a_permit_comes_back_leaves_no_gate_behind() {
    model(|| {
        let limiter = limiter(2);
        let held = limiter.try_acquire("key");
        let both = waiting(&limiter, 2);
        let giving = thread::spawn(|| drop(held));
        limiter.set_limit(1).expect("at least one");

        joined(giving);
        let _ = block_on(both);
        assert!(limiter.is_empty());
    });
}

#[test]
fn one_who_leaves_while_a_limit_falls_and_a_permit_comes_back_leaves_no_gate_behind() {
    model_within(3, || {
        let limiter = limiter(2);
        let held = limiter.try_acquire("key");
        let both = waiting(&limiter, 2);
        let giving = thread::spawn(|| drop(held));
        let leaving = thread::spawn(|| drop(both));
        limiter.set_limit(1).expect("at least one");

        joined(giving);
        joined(leaving);
        assert!(limiter.is_empty());
    });
}
