//! When a circuit trips: failures in a row, shares of the last calls, shares in a time, or any.

use std::collections::VecDeque;
use std::time::Duration;

use limitpal::{
    CircuitBreaker, CircuitBreakerBuilder, CircuitState, ConsecutiveFailures, FailureRate,
    MockClock, Outcome, SlowCallRate, TripRule,
};
use proptest::prelude::*;

use super::{NANOSECOND, SECOND};

fn with(rule: impl Into<TripRule>) -> (CircuitBreaker, MockClock) {
    built(CircuitBreaker::builder().trip_on(rule))
}

fn built(builder: CircuitBreakerBuilder) -> (CircuitBreaker, MockClock) {
    let clock = MockClock::new();
    (builder.clock(clock.clone()).build().unwrap(), clock)
}

/// Reports a call for each letter: `.` is a success, `x` a failure. Returns at which it opened.
fn walk(breaker: &CircuitBreaker, calls: &str) -> Option<usize> {
    calls.chars().position(|call| {
        if call == 'x' {
            breaker.record_failure()
        } else {
            breaker.record_success()
        }
        breaker.state() == CircuitState::Open
    })
}

#[test]
fn a_rate_trips_at_its_share_and_not_below() {
    let rule = FailureRate::new(0.5).calls(10).minimum_calls(4);

    assert_eq!(None, walk(&with(rule).0, "x...x..x.."));
    assert_eq!(Some(3), walk(&with(rule).0, "xx.x"));
    assert_eq!(Some(3), walk(&with(rule).0, ".x.x"));
}

#[test]
fn below_the_minimum_a_rate_is_unknown_and_trips_nothing() {
    let rule = FailureRate::new(0.1).calls(10).minimum_calls(5);

    assert_eq!(Some(4), walk(&with(rule).0, "xxxxx"));
}

#[test]
fn a_success_that_makes_the_rate_known_trips_it_too() {
    let rule = FailureRate::new(0.5).calls(10).minimum_calls(5);

    assert_eq!(Some(4), walk(&with(rule).0, "xxxx."));
}

#[test]
fn the_last_calls_are_looked_back_on_and_no_others() {
    let rule = FailureRate::new(0.5).calls(4).minimum_calls(4);

    // The two failures leave as the fifth and the sixth call come.
    assert_eq!(None, walk(&with(rule).0, "x...x...x"));
    assert_eq!(Some(7), walk(&with(rule).0, "x.....xx"));
}

#[test]
fn without_a_word_a_hundred_calls_are_looked_back_on_and_twenty_are_enough() {
    let calls = "x".repeat(25);

    assert_eq!(Some(19), walk(&with(FailureRate::new(1.0)).0, &calls));
    assert_eq!(Some(2), walk(&with(FailureRate::new(1.0).calls(3)).0, &calls));
    let (breaker, _) = with(FailureRate::new(0.05));
    assert_eq!(None, walk(&breaker, &format!("{}xxxx", ".".repeat(200))));
    assert_eq!(Some(0), walk(&breaker, "x"), "five of the last hundred");
}

/// 0.07 * 100 is a little more than 7 as floats go; 7 of 100 are a rate of 0.07 all the same.
#[test]
fn a_share_is_compared_as_people_write_it() {
    for (bad, of, share) in [(7, 100, 0.07), (29, 100, 0.29), (1, 3, 1.0 / 3.0), (57, 1000, 0.057)]
    {
        let (breaker, _) = with(FailureRate::new(share).calls(of).minimum_calls(of));
        (0..of - bad).for_each(|_| breaker.record_success());
        (0..bad - 1).for_each(|_| breaker.record_failure());
        assert_eq!(CircuitState::Closed, breaker.state());
        breaker.record_failure();
        assert_eq!(CircuitState::Open, breaker.state(), "{bad} of {of} are {share}");
    }
}

#[test]
fn a_window_forgets_a_call_after_its_time_or_a_sixtieth_less() {
    let rule = FailureRate::new(1.0).window(60 * SECOND).minimum_calls(2);
    let (breaker, clock) = with(rule);

    breaker.record_failure();
    clock.advance(60 * SECOND - NANOSECOND);
    assert_eq!(Some(0), walk(&breaker, "x"), "the first is remembered for the whole time");

    let (breaker, clock) = with(rule);
    breaker.record_success();
    breaker.reset();
    breaker.record_failure();
    clock.advance(60 * SECOND);
    assert_eq!(None, walk(&breaker, "x"));
    clock.advance(SECOND - NANOSECOND);
    // Counted in a part that began a second before it.
    breaker.reset();
    breaker.record_failure();
    clock.advance(59 * SECOND);
    assert_eq!(Some(0), walk(&breaker, "x"));
}

#[test]
fn a_window_of_time_stays_the_same_size_however_many_calls_come() {
    let rule = FailureRate::new(0.5).window(60 * SECOND).minimum_calls(2);
    let (breaker, clock) = with(rule);

    for _ in 0..10_000 {
        breaker.record_success();
        breaker.record_success();
        breaker.record_failure();
        clock.advance(SECOND / 100);
    }

    assert_eq!(CircuitState::Closed, breaker.state());
    clock.advance(61 * SECOND);
    assert_eq!(Some(1), walk(&breaker, "xx"), "they are all forgotten");
}

#[test]
fn any_of_several_rules_trips() {
    let rules = || {
        CircuitBreaker::builder()
            .trip_on(ConsecutiveFailures::new(3))
            .trip_on(FailureRate::new(0.5).calls(10).minimum_calls(6))
    };

    assert_eq!(Some(2), walk(&built(rules()).0, "xxx"));
    assert_eq!(Some(5), walk(&built(rules()).0, "xx.x.."));
    assert_eq!(None, walk(&built(rules()).0, "x..x..x..x"));
}

#[test]
fn the_smallest_of_several_thresholds_is_the_one_that_trips() {
    let builder = CircuitBreaker::builder();
    let (breaker, _) =
        built(builder.trip_on(ConsecutiveFailures::new(4)).trip_on(ConsecutiveFailures::new(2)));

    assert_eq!(Some(1), walk(&breaker, "xx"));
}

#[test]
fn a_rate_alone_trips_on_no_number_of_failures_in_a_row() {
    let (breaker, _) = with(FailureRate::new(0.9).calls(100).minimum_calls(100));

    assert_eq!(None, walk(&breaker, &format!("{}{}", ".".repeat(80), "x".repeat(80))));
}

#[test]
fn slow_calls_trip_whether_they_succeed_or_fail() {
    let rule = SlowCallRate::new(0.5, 2 * SECOND).calls(4).minimum_calls(4);
    let (breaker, _) = with(rule);
    breaker.record(Outcome::Success, 2 * SECOND + NANOSECOND);
    breaker.record(Outcome::Failure, SECOND);
    breaker.record(Outcome::Success, 2 * SECOND);
    assert_eq!(CircuitState::Closed, breaker.state());

    breaker.record(Outcome::Failure, 3 * SECOND);

    assert_eq!(CircuitState::Open, breaker.state());
}

#[test]
fn the_time_of_a_call_is_taken_around_the_function_alone() {
    let rule = SlowCallRate::new(1.0, 2 * SECOND).minimum_calls(2).calls(2);
    let (breaker, clock) = with(rule);
    let call = |seconds: u32| {
        let answer = breaker.call_blocking(|| {
            clock.advance(seconds * SECOND);
            Ok::<_, ()>(())
        });
        answer.unwrap();
    };

    call(3);
    clock.advance(100 * SECOND);
    call(2);
    assert_eq!(CircuitState::Closed, breaker.state(), "2 s are not slow");
    call(3);
    call(3);

    assert_eq!(CircuitState::Open, breaker.state());
}

#[test]
fn a_slow_probe_opens_a_half_open_circuit() {
    let (breaker, clock) = with(SlowCallRate::new(1.0, SECOND).calls(1));
    breaker.record(Outcome::Success, 2 * SECOND);
    clock.advance(5 * SECOND);
    assert_eq!(CircuitState::HalfOpen, breaker.state());

    let slow = breaker.call_blocking(|| {
        clock.advance(SECOND + NANOSECOND);
        Ok::<_, ()>(7)
    });

    assert_eq!(Ok(7), slow);
    assert_eq!(CircuitState::Open, breaker.state());
}

#[test]
fn what_was_counted_is_forgotten_when_it_opens() {
    let (breaker, clock) = with(FailureRate::new(0.5).calls(4).minimum_calls(2));
    walk(&breaker, "xx");
    clock.advance(5 * SECOND);
    breaker.record_success();
    assert_eq!(CircuitState::Closed, breaker.state());

    assert_eq!(None, walk(&breaker, "x"), "one call is fewer than two");
}

#[test]
fn nonsense_in_a_rule_is_refused_by_name() {
    let refused = |rule: TripRule| {
        let error = rule.check().unwrap_err();
        assert_eq!(error, CircuitBreaker::builder().trip_on(rule).build().unwrap_err());
        (error.parameter(), error.to_string())
    };
    let rate = FailureRate::new;

    for share in [0.0, -1.0, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!("share", refused(rate(share).into()).0);
    }
    assert_eq!("failures", refused(ConsecutiveFailures::new(0).into()).0);
    assert_eq!("calls", refused(rate(0.5).calls(0).into()).0);
    assert_eq!("calls", refused(rate(0.5).calls(1_000_001).into()).0);
    assert!(rate(0.5).calls(1_000_000).eq(&rate(0.5).calls(1_000_000)));
    assert_eq!("window", refused(rate(0.5).window(Duration::ZERO).into()).0);
    assert_eq!("slower_than", refused(SlowCallRate::new(0.5, Duration::ZERO).into()).0);
    assert_eq!("minimum_calls", refused(rate(0.5).minimum_calls(0).into()).0);
    let (name, says) = refused(rate(0.5).calls(10).minimum_calls(11).into());
    assert_eq!("minimum_calls", name);
    assert_eq!(
        "minimum_calls is 11; give at most 10, as many as calls; above it never trips",
        says
    );
    let (name, says) = refused(rate(0.5).calls(10).window(SECOND).into());
    assert_eq!("calls", name);
    assert!(says.contains("not both"), "{says}");
    let both = CircuitBreaker::builder().failure_threshold(3).trip_on(rate(0.5)).build();
    assert_eq!("failure_threshold", both.unwrap_err().parameter());
}

#[test]
fn it_shows_the_rules_it_was_built_of() {
    let (breaker, _) = with(FailureRate::new(0.5));

    let shown = format!("{breaker:?}");

    assert!(shown.starts_with("CircuitBreaker { trip_on: [FailureRate(FailureRate {"), "{shown}");
}

/// A rule of so many calls, and a naive model of it: all calls, in a list.
fn of_calls(calls: &[bool], share: f64, most: usize, minimum: usize) -> bool {
    let last: Vec<_> = calls.iter().rev().take(most).collect();
    let bad = last.iter().filter(|bad| ***bad).count();
    last.len() >= minimum && bad as f64 / last.len() as f64 >= share
}

proptest! {
    #[test]
    fn a_rate_of_calls_trips_exactly_when_a_list_of_them_says(
        calls in prop::collection::vec(any::<bool>(), 1..300),
        share in prop_oneof![Just(0.5), Just(0.07), 0.01..1.0],
        most in 1_u32..150,
        minimum in 1_u32..150,
    ) {
        let minimum = minimum.min(most);
        let (breaker, _) = with(FailureRate::new(share).calls(most).minimum_calls(minimum));
        for seen in 1..=calls.len() {
            if calls[seen - 1] { breaker.record_failure() } else { breaker.record_success() }
            let trips = of_calls(&calls[..seen], share, most as usize, minimum as usize);
            prop_assert_eq!(trips, breaker.state() == CircuitState::Open, "after {}", seen);
            if trips {
                break;
            }
        }
    }

    /// Between the calls of a whole window and those of a sixtieth less the answer may be either.
    #[test]
    fn a_rate_in_a_window_is_that_of_the_window_or_of_a_sixtieth_less(
        calls in prop::collection::vec((any::<bool>(), 0_u64..8_000), 1..200),
        minimum in 1_u32..10,
    ) {
        let window = 60 * SECOND;
        let (breaker, clock) = with(FailureRate::new(0.5).window(window).minimum_calls(minimum));
        let mut model: VecDeque<(u64, bool)> = VecDeque::new();
        let mut now = 0;
        for (bad, millis) in calls {
            now += millis;
            clock.advance(Duration::from_millis(millis));
            if bad { breaker.record_failure() } else { breaker.record_success() }
            model.push_back((now, bad));
            // Calls leave in their order, so the breaker remembers one of these tails.
            let surely = model.iter().filter(|call| now - call.0 < 59_000).count();
            let maybe = model.iter().filter(|call| now - call.0 < 60_000).count();
            let can = (surely..=maybe).map(|count| {
                let tail: Vec<bool> = model.iter().map(|call| call.1).collect();
                of_calls(&tail, 0.5, count, minimum as usize)
            });
            let can: Vec<bool> = can.collect();
            let is_open = breaker.state() == CircuitState::Open;
            prop_assert!(can.contains(&is_open), "{} at {}: {:?}", is_open, now, can);
            if is_open {
                break;
            }
        }
    }
}
