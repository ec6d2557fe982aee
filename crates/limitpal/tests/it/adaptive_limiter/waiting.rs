//! Those who wait follow the rate, in their order.

use std::time::Duration;

use limitpal::{Instant, MockClock};

use super::{per_second, starting, take_evenly, throttled_at_100};
use crate::windows::waiting::Crowd;

const STEP: Duration = Duration::from_millis(1);

/// Steps until so many went, and returns when.
fn until(crowd: &mut Crowd<'_>, clock: &MockClock, went: usize) -> Instant {
    while crowd.went.len() < went {
        clock.advance(STEP);
        crowd.run();
    }
    clock.now()
}

#[test]
fn one_who_waits_goes_later_once_the_rate_falls() {
    let clock = MockClock::new();
    let limiter = starting(10.0, &clock).build().unwrap();
    let start = clock.now();
    let mut crowd = Crowd::at(&limiter, "api");
    (0..3).for_each(|who| assert_eq!(who, crowd.come(1)));
    assert_eq!(vec![0], crowd.went);

    limiter.record_throttled("api"); // two a second are measured
    assert_eq!(1.4, limiter.rate("api"));
    let first = until(&mut crowd, &clock, 2).saturating_duration_since(start);
    let second = until(&mut crowd, &clock, 3).saturating_duration_since(start);

    assert_eq!((Duration::from_millis(715), Duration::from_millis(1429)), (first, second));
    assert_eq!(vec![0, 1, 2], crowd.went);
}

#[test]
fn the_first_in_line_is_woken_when_it_may_go_earlier() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock).burst(50), &clock);
    take_evenly(&limiter, &clock, 1000, 2);
    let start = clock.now();
    let mut crowd = Crowd::at(&limiter, "api");
    crowd.come(50);
    crowd.come(50);
    assert!(crowd.went.is_empty());

    clock.advance(Duration::from_millis(400));
    limiter.record_success("api");
    // 0.4 * (2.4 - 4.217)^3 + 100 = 97.6 a second; of 50 permits 21 or 22 are still to come.
    let first = until(&mut crowd, &clock, 1).saturating_duration_since(start);
    let second = until(&mut crowd, &clock, 2).saturating_duration_since(start);

    assert!((615..=626).contains(&first.as_millis()), "and not 714 ms: {first:?}");
    assert_eq!(512, (second - first).as_millis(), "50 / 97.6");
}

#[test]
fn a_change_while_a_crowd_waits_loses_and_overtakes_nobody() {
    let clock = MockClock::new();
    let limiter = starting(100.0, &clock).initial_rate(per_second(20.0)).build().unwrap();
    let mut crowd = Crowd::at(&limiter, "api");
    (0..200).for_each(|who| assert_eq!(who, crowd.come(1)));

    let mut step = 0;
    while crowd.went.len() < 199 {
        step += 1;
        assert!(step < 60_000, "{} of 199 went", crowd.went.len());
        clock.advance(STEP);
        match step % 3000 {
            0 => limiter.record_throttled("api"),
            _ if step % 10 == 0 => limiter.record_success("api"),
            17 if step < 3000 => crowd.leave(150),
            _ => {}
        }
        crowd.run();
        assert!(!limiter.allow("api"), "somebody waits");
    }

    let order: Vec<_> = (0..200).filter(|who| *who != 150).collect();
    assert_eq!(order, crowd.went);
}
