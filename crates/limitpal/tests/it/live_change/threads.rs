//! Limits that change while threads take.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use limitpal::{Carry, MockClock, Rate, TokenBucket};

/// Takes with several threads while another changes limits; returns how many were admitted.
fn admitted(limiter: &TokenBucket, change: impl Fn(u32) + Sync) -> u64 {
    let (start, over, admitted) = (Barrier::new(4), AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                start.wait();
                while !over.load(Ordering::Relaxed) {
                    admitted.fetch_add(limiter.allow("k").into(), Ordering::Relaxed);
                }
            });
        }
        start.wait();
        (0..200).for_each(&change);
        over.store(true, Ordering::Relaxed);
    });
    while limiter.allow("k") {
        admitted.fetch_add(1, Ordering::Relaxed);
    }
    admitted.into_inner()
}

#[test]
fn no_permit_is_lost_or_doubled_while_limits_change() {
    for per_key in [true, false] {
        let day = Rate::new(1, Duration::from_secs(86_400)).unwrap();
        let builder = TokenBucket::builder(10_000, day).clock(MockClock::new());
        let limiter = builder.per_key(per_key).build().unwrap();

        // As many permits are left after each change as before, and time stands still.
        assert!(limiter.allow("k"));
        let admitted = admitted(&limiter, |round| {
            let change = limiter.reconfigure().capacity(10_000 + 10 * (round + 1));
            change.carry(Carry::AsIs).apply().unwrap();
        });

        assert_eq!(10_000, 1 + admitted, "per_key={per_key}");
    }
}

#[test]
fn a_key_that_is_closed_admits_nobody_whatever_threads_do() {
    let limiter = TokenBucket::builder(1_000_000_000, Rate::per_second(100.0).unwrap())
        .clock(MockClock::new())
        .build()
        .unwrap();
    limiter.penalise("k", Duration::from_secs(1));
    let other = |round: u32| {
        limiter.penalise(&round.to_string(), Duration::from_millis(1));
        limiter.configure("another").capacity(round + 1).apply().unwrap();
    };
    assert_eq!(0, admitted(&limiter, other));
}
