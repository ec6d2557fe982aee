//! Fixed and sliding windows, as their users see them.

mod bounds;
mod together;
pub(crate) mod waiting;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use limitpal::{
    Align, AnyLimiter, Cost, FixedWindow, InvalidConfig, MockClock, RetryAfter,
    SlidingWindowCounter, SlidingWindowLog, WindowBuilder, parts::FixedCount,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

/// Makes one of each kind with the same numbers, on one clock.
pub(crate) fn each(limit: u32, per: Duration, clock: &MockClock) -> [AnyLimiter; 4] {
    let clock = || clock.clone();
    [
        FixedWindow::builder(limit, per).clock(clock()).build().unwrap().into(),
        from_first_use(limit, per).clock(clock()).build().unwrap().into(),
        SlidingWindowCounter::builder(limit, per).clock(clock()).build().unwrap().into(),
        SlidingWindowLog::builder(limit, per).clock(clock()).build().unwrap().into(),
    ]
}

fn from_first_use(limit: u32, per: Duration) -> WindowBuilder<FixedWindow, FixedCount> {
    FixedWindow::builder(limit, per).align(Align::FirstUse)
}

#[test]
fn each_lets_its_limit_pass_and_no_more_before_its_retry_after() {
    let clock = MockClock::new();
    clock.advance(Duration::from_millis(1300));
    for limiter in each(3, SECOND, &clock) {
        assert_eq!(vec![true, true, true, false], limiter.allow_many(["ann"; 4]));
        assert!(limiter.allow("bob"), "each key has its own count");

        let refused = limiter.check("ann");
        let wait = refused.retry_after.duration().expect("one permit is always served");
        assert_eq!((false, 3, 0), (refused.allowed, refused.limit, refused.remaining));
        clock.advance(wait.checked_sub(NANO).unwrap());
        assert!(!limiter.allow("ann"), "{limiter:?} a nanosecond before {wait:?}");
        clock.advance(NANO);
        assert!(limiter.allow("ann"), "{limiter:?} at {wait:?}");
    }
}

#[test]
fn windows_start_on_the_clock_or_with_the_first_use() {
    let clock = MockClock::new();
    clock.advance(Duration::from_millis(1300));
    let [on_the_clock, first_use, ..] = each(1, SECOND, &clock);

    assert!(on_the_clock.allow("ann") && first_use.allow("ann"));
    let wait = |limiter: &AnyLimiter| limiter.check("ann").retry_after.duration();
    assert_eq!(Some(Duration::from_millis(700)), wait(&on_the_clock));
    assert_eq!(Some(SECOND), wait(&first_use));
}

#[test]
fn a_counter_lets_so_much_in_as_its_estimate_leaves() {
    let clock = MockClock::new();
    let [.., counter, log] = each(10, SECOND, &clock);
    clock.advance(Duration::from_millis(900));
    assert!(
        [&counter, &log].map(|limiter| limiter.allow(("ann", Cost::new(8).unwrap()))) == [true; 2]
    );

    clock.advance(Duration::from_millis(600));

    // Half of the eight still count for the one, all of them for the other.
    assert_eq!(6, counter.peek("ann").remaining);
    assert_eq!(2, log.peek("ann").remaining);
}

#[test]
fn a_cost_above_the_limit_is_never_served() {
    let clock = MockClock::new();
    for limiter in each(3, SECOND, &clock) {
        let four = ("ann", Cost::new(4).unwrap());

        assert!(!limiter.allow(four));
        assert_eq!(RetryAfter::Never, limiter.check(four).retry_after);
        let refused = limiter.acquire_blocking(four).unwrap_err();
        assert_eq!(RetryAfter::Never, refused.retry_after());
        assert!(limiter.allow(("ann", Cost::new(3).unwrap())), "and nothing was taken");
    }
}

#[test]
fn a_look_takes_nothing_and_a_reset_forgets() {
    let clock = MockClock::new();
    let limiter = SlidingWindowLog::builder(2, SECOND).clock(clock.clone()).build().unwrap();

    assert_eq!((true, 2), (limiter.peek("ann").allowed, limiter.peek("ann").remaining));
    assert!(!limiter.contains("ann") && limiter.is_empty());
    assert_eq!(vec![true; 2], limiter.allow_many(["ann"; 2]));
    assert_eq!((1, true), (limiter.len(), limiter.contains("ann")));
    assert_eq!(SECOND, limiter.peek("ann").reset_after);
    limiter.reset("ann");
    assert!(limiter.allow("ann"));
    limiter.reset_all();
    assert!(limiter.is_empty());
}

#[test]
fn a_key_is_forgotten_once_it_is_as_new_and_not_before() {
    let clock = MockClock::new();
    for limiter in [
        FixedWindow::builder(2, SECOND).clock(clock.clone()).ttl(NANO).build().unwrap(),
        from_first_use(2, SECOND).clock(clock.clone()).ttl(NANO).build().unwrap(),
    ] {
        limiter.allow("ann");
        clock.advance(SECOND - NANO);
        assert!(limiter.contains("ann"));
        clock.advance(NANO);
        assert!(!limiter.contains("ann"));
    }
    let counter =
        SlidingWindowCounter::builder(2, SECOND).clock(clock.clone()).ttl(NANO).build().unwrap();
    counter.allow("ann");
    clock.advance(SECOND * 2 - NANO);
    assert!(counter.contains("ann"), "what went in the window before still counts");
    clock.advance(NANO);
    assert!(!counter.contains("ann"));
}

#[test]
fn a_flood_of_new_keys_does_not_reset_one_that_is_limited() {
    let clock = MockClock::new();
    let builder = SlidingWindowLog::builder(2, SECOND).clock(clock.clone());
    let limiter = builder.max_buckets(10).build().unwrap();
    for key in 0..9 {
        limiter.allow(&key.to_string());
    }
    clock.advance(SECOND);
    assert_eq!(vec![true, true, false], limiter.allow_many(["ann"; 3]));

    for key in 10..19 {
        assert!(limiter.allow(&key.to_string()), "there are nine that are as new");
    }

    assert_eq!((0, 10), (limiter.evicted_live(), limiter.len()));
    assert!(!limiter.allow("ann"));
    assert!(limiter.allow("another") && limiter.evicted_live() == 1);
}

#[test]
fn threads_share_what_there_is() {
    let clock = MockClock::new();
    for limiter in each(1000, SECOND, &clock) {
        let barrier = Barrier::new(4);
        let hammer = || {
            barrier.wait();
            (0..500).filter(|_| limiter.allow("ann")).count()
        };
        let allowed: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(hammer)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });

        assert_eq!(1000, allowed, "{limiter:?}");
    }
}

#[test]
fn one_count_for_everybody_is_one_count() {
    let clock = MockClock::new();
    let builder = SlidingWindowCounter::builder(2, SECOND).clock(clock).per_key(false);
    let limiter = builder.build().unwrap();

    assert!(limiter.allow("ann") && limiter.allow("bob"));
    assert!(!limiter.allow("cid"));
    assert_eq!(1, limiter.len());
}

#[test]
fn nonsense_is_refused_by_name() {
    let message = |error: InvalidConfig| error.to_string();
    let no_limit = FixedWindow::new(0, SECOND).map(drop).unwrap_err();
    let no_time = SlidingWindowLog::new(1, Duration::ZERO).map(drop).unwrap_err();
    let too_long = SlidingWindowCounter::new(1, SECOND * u32::MAX).map(drop).unwrap_err();

    assert_eq!("limit is 0; give a whole number from 1 to 4294967295", message(no_limit));
    assert_eq!("per is 0ns; give a time above 0, 100 years at most", message(no_time));
    assert_eq!("per", too_long.parameter());
}

#[test]
fn what_was_built_is_shown() {
    let limiter = FixedWindow::builder(5, SECOND).clock(MockClock::new()).build().unwrap();

    let shown = format!("{limiter:?}");

    assert!(shown.starts_with("FixedWindow { limit: 5, per: 1s, align: Clock, clock: "), "{shown}");
    assert_eq!((5, SECOND, Align::Clock), (limiter.limit(), limiter.per(), limiter.align()));
}
