//! Threads: all or nothing at every moment that counts, and nobody blocked for ever.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use limitpal::{ConcurrencyLimiter, FixedWindow, HoldingLimiter, Rate, TokenBucket};

use super::SECOND;

fn pool(limit: u32) -> ConcurrencyLimiter {
    ConcurrencyLimiter::new(limit).unwrap()
}

fn join<const N: usize>(limiters: [HoldingLimiter; N]) -> HoldingLimiter {
    HoldingLimiter::new(limiters).unwrap()
}

/// The pool would let in everybody, the window nobody: whoever watches the pool may see a place
/// taken for an instant, and finds it empty in the end.
#[test]
fn a_composite_that_is_refused_is_seen_for_an_instant_at_most() {
    const LIMIT: u32 = 4;
    let (window, pool) = (FixedWindow::new(1, 3600 * SECOND).unwrap(), pool(LIMIT));
    assert!(window.allow("k"));
    let (limiter, over) = (join([pool.clone().into(), window.into()]), AtomicBool::new(false));

    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    assert!(limiter.try_acquire("k").is_none());
                }
                over.store(true, Ordering::Relaxed);
            });
        }
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert!(pool.in_flight("k") <= LIMIT);
                assert_eq!(0, pool.waiting("k"), "who does not wait stands in no line");
            }
        });
    });

    assert!(pool.is_empty());
}

/// Many want the last of several kinds: as many as there is quota get it, never more at once than
/// there are places, and what the losers had taken for an instant is back.
#[test]
fn of_many_who_want_the_last_as_many_get_it_as_there_is() {
    const QUOTA: u32 = 40;
    const PLACES: u32 = 3;
    let bucket = TokenBucket::new(QUOTA, Rate::per_second(1.0 / 3600.0).unwrap()).unwrap();
    let (pool, under_way, most) = (pool(PLACES), AtomicU32::new(0), AtomicU32::new(0));
    let limiter = join([bucket.clone().into(), pool.clone().into()]);
    let admitted = AtomicU32::new(0);

    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while bucket.peek("k").allowed {
                    let Some(permit) = limiter.try_acquire("k") else { continue };
                    most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    admitted.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
            });
        }
    });

    assert_eq!(QUOTA, admitted.into_inner());
    assert!(most.into_inner() <= PLACES && pool.is_empty());
}

/// Two pools in either order, and each alone: whoever held one and waited for the other would
/// block all of them.
#[test]
fn pools_taken_in_either_order_by_threads_block_nobody() {
    let (one, other) = (pool(1), pool(1));
    let bucket = TokenBucket::new(100_000, Rate::per_second(1e6).unwrap()).unwrap();
    let limiters = [
        join([one.clone().into(), other.clone().into()]),
        join([other.clone().into(), bucket.into(), one.clone().into()]),
        one.clone().into(),
        other.clone().into(),
    ];

    thread::scope(|scope| {
        for limiter in limiters.iter().chain(&limiters[..2]) {
            scope.spawn(|| {
                for _ in 0..300 {
                    let _permit = limiter.acquire_blocking("k").unwrap();
                    thread::yield_now();
                }
            });
        }
    });

    assert!(one.is_empty() && other.is_empty());
}
