//! Threads that wait for a permit, which only other threads can give.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use limitpal::{
    Clock, ConcurrencyLimiter, Instant, MockClock, MonotonicClock, RetryAfter, SharedClock, Sleep,
};

use super::{cost, limiter, refused};

/// Waits until so many wait for the key.
fn await_waiting(limiter: &ConcurrencyLimiter, count: usize) {
    while limiter.waiting("k") != count {
        thread::yield_now();
    }
}

/// A user's own clock, which can do no more than the trait asks.
#[derive(Debug)]
struct Own(MockClock);

impl Clock for Own {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_blocking(&self, _: Duration) {
        panic!("nobody can end this sleep");
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.0.sleep(span)
    }
}

fn own(clock: &MockClock) -> SharedClock {
    (Arc::new(Own(clock.clone())) as Arc<dyn Clock>).into()
}

/// One clock of each kind; no time passes on any that would end a wait.
fn clocks() -> Vec<SharedClock> {
    let mock = MockClock::new();
    vec![MonotonicClock.into(), mock.clone().into(), own(&mock), limitpal::TokioClock.into()]
}

#[test]
fn threads_go_in_the_order_in_which_they_came_whatever_the_clock() {
    for clock in clocks() {
        let limiter = ConcurrencyLimiter::builder(1).clock(clock).build().unwrap();
        let held = limiter.try_acquire("k");
        let went = Arc::new(AtomicU32::new(0));
        let threads: Vec<_> = (0..4)
            .map(|rank| {
                let (own, went) = (limiter.clone(), Arc::clone(&went));
                let thread = thread::spawn(move || {
                    let permit = own.acquire_blocking("k").unwrap();
                    assert_eq!(rank, went.fetch_add(1, Ordering::Relaxed));
                    assert_eq!(1, own.in_flight("k"));
                    drop(permit);
                });
                await_waiting(&limiter, rank as usize + 1);
                thread
            })
            .collect();

        drop(held);

        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(limiter.is_empty());
    }
}

#[test]
fn a_timeout_that_is_long_does_not_keep_a_thread_from_going() {
    let mock = MockClock::new();
    for clock in [MonotonicClock.into(), own(&mock), limitpal::TokioClock.into()] {
        for timeout in [Duration::from_secs(3600), Duration::MAX] {
            let limiter = ConcurrencyLimiter::builder(1).clock(clock.clone()).build().unwrap();
            let held = limiter.try_acquire("k");
            let own = limiter.clone();
            let thread = thread::spawn(move || own.acquire_timeout_blocking("k", timeout).is_ok());
            await_waiting(&limiter, 1);

            drop(held);

            assert!(thread.join().unwrap());
        }
    }
    assert_eq!(None, mock.next_deadline(), "a sleep has outlived its wait");
}

#[test]
fn a_blocking_timeout_moves_the_mock_clock_to_its_end() {
    let clock = MockClock::new();
    let limiter = ConcurrencyLimiter::builder(2).clock(&clock).build().unwrap();
    let held = limiter.try_acquire("k");

    let answer = limiter.acquire_timeout_blocking(("k", cost(2)), Duration::from_secs(3));

    assert_eq!(refused(RetryAfter::Unknown), answer.err());
    assert_eq!(Instant::ZERO + Duration::from_secs(3), clock.now());
    assert_eq!((0, 1), (limiter.waiting("k"), limiter.in_flight("k")));
    drop(held);
}

#[test]
fn a_blocking_timeout_ends_by_a_clock_of_the_users() {
    let clock = MockClock::new();
    let limiter = ConcurrencyLimiter::builder(1).clock(own(&clock)).build().unwrap();
    let held = limiter.try_acquire("k");
    let other = limiter.clone();
    let thread =
        thread::spawn(move || other.acquire_timeout_blocking("k", Duration::from_secs(3)).err());
    while clock.next_deadline().is_none() {
        thread::yield_now();
    }

    clock.advance(Duration::from_secs(3));

    assert_eq!(refused(RetryAfter::Unknown), thread.join().unwrap());
    assert_eq!(0, limiter.waiting("k"));
    drop(held);
}

/// In real time: the thread really sleeps.
#[test]
fn a_blocking_timeout_ends_by_the_monotonic_clock() {
    let limiter = limiter(1);
    let held = limiter.try_acquire("k");
    let begin = MonotonicClock.now();

    let answer = limiter.acquire_timeout_blocking("k", Duration::from_millis(20));

    assert_eq!(refused(RetryAfter::Unknown), answer.err());
    assert!(MonotonicClock.now() >= begin + Duration::from_millis(20));
    drop(held);
}

#[test]
fn a_thread_that_panics_gives_its_permit_back() {
    let limiter = limiter(1);
    let other = limiter.clone();

    let thread = thread::spawn(move || {
        let _permit = other.acquire_blocking("k").unwrap();
        panic!("on purpose");
    });

    assert!(thread.join().is_err());
    assert!(limiter.try_acquire("k").is_some());
}

#[test]
fn eight_threads_are_never_more_than_the_limit_inside() {
    const TURNS: u32 = 2_000;
    for (limit, per_key) in [(1, true), (3, false)] {
        let limiter = ConcurrencyLimiter::builder(limit).per_key(per_key).build().unwrap();
        let (inside, done) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for thread in 0..8_u64 {
                let (limiter, inside, done) = (&limiter, &inside, &done);
                scope.spawn(move || {
                    for turn in 0..TURNS {
                        let own = 1 + (thread + u64::from(turn)) % u64::from(limit);
                        let permit = limiter.acquire_blocking(("k", cost(own))).unwrap();
                        let now = inside.fetch_add(permit.cost(), Ordering::AcqRel);
                        assert!(now + permit.cost() <= limit, "{now} and {own}");
                        inside.fetch_sub(permit.cost(), Ordering::AcqRel);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });

        assert_eq!(8 * TURNS, done.into_inner());
        assert!(limiter.is_empty(), "a permit was lost");
    }
}
