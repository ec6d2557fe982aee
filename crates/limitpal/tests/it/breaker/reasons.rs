//! Why a circuit moved, as those hear it who observe it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use limitpal::{
    CircuitBreaker, CircuitBreakerBuilder, ConsecutiveFailures, Event, FailureRate, MockClock,
    MoveReason, Outcome, SlowCallRate,
};

use super::SECOND;

/// A breaker, its clock, and why it has moved.
struct Moved {
    breaker: CircuitBreaker,
    clock: MockClock,
    reasons: Arc<Mutex<Vec<String>>>,
}

fn moved(builder: CircuitBreakerBuilder) -> Moved {
    let (clock, reasons) = (MockClock::new(), Arc::default());
    let breaker = builder.clock(&clock).build().unwrap();
    let heard: Arc<Mutex<Vec<String>>> = Arc::clone(&reasons);
    let _subscription = breaker.observe(move |event| {
        if let Event::BreakerMoved { from, to, reason, .. } = event {
            heard.lock().unwrap().push(format!("{from} -> {to}: {reason}"));
        }
    });
    Moved { breaker, clock, reasons }
}

impl Moved {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.reasons.lock().unwrap())
    }
}

#[test]
fn the_rule_that_tripped_is_named_the_first_of_several() {
    let slow = SlowCallRate::new(0.5, SECOND).calls(2).minimum_calls(2);
    let rate = FailureRate::new(0.5).calls(4).minimum_calls(2);
    let opened = |builder: CircuitBreakerBuilder, outcomes: &[(Outcome, u32)]| {
        let moved = moved(builder);
        outcomes.iter().for_each(|(outcome, took)| moved.breaker.record(*outcome, SECOND * *took));
        moved.take()
    };
    let (good, bad) = (Outcome::Success, Outcome::Failure);

    let all = || {
        CircuitBreaker::builder().trip_on(ConsecutiveFailures::new(2)).trip_on(rate).trip_on(slow)
    };
    assert_eq!(["closed -> open: consecutive_failures"], *opened(all(), &[(bad, 2), (bad, 2)]));
    assert_eq!(["closed -> open: failure_rate"], *opened(all(), &[(good, 2), (bad, 2)]));
    assert_eq!(["closed -> open: slow_call_rate"], *opened(all(), &[(good, 2), (good, 0)]));
    let plain = CircuitBreaker::builder().failure_threshold(1);
    assert_eq!(["closed -> open: consecutive_failures"], *opened(plain, &[(bad, 0)]));
}

#[test]
fn time_probes_and_the_ramp_are_named() {
    let builder = CircuitBreaker::builder().failure_threshold(1).half_open_timeout(9 * SECOND);
    let it = moved(builder.half_open_success_threshold(2).ramp([0.5]).ramp_step(SECOND));
    let wait = |seconds: u32| it.clock.advance(seconds * SECOND);
    it.breaker.record_failure();
    it.take();

    wait(5);
    it.breaker.record_failure();
    assert_eq!(
        ["open -> half_open: recovery_timeout", "half_open -> open: probe_failed"],
        *it.take()
    );
    wait(5);
    assert!(it.breaker.allow());
    wait(9);
    it.breaker.state();
    let expected = ["open -> half_open: recovery_timeout", "half_open -> open: half_open_timeout"];
    assert_eq!(expected, *it.take());
    wait(5);
    (0..2).for_each(|_| it.breaker.record_success());
    wait(1);
    it.breaker.state();
    let expected = ["open -> half_open: recovery_timeout", "half_open -> closed: ramp_over"];
    assert_eq!(expected, *it.take());
}

#[test]
fn a_slow_probe_is_none_that_succeeded() {
    let slow = SlowCallRate::new(1.0, SECOND).calls(1).minimum_calls(1);
    let it = moved(CircuitBreaker::builder().trip_on(slow));
    it.breaker.record(Outcome::Success, 2 * SECOND);
    it.clock.advance(Duration::from_secs(5));
    it.breaker.record(Outcome::Success, 2 * SECOND);
    it.clock.advance(Duration::from_secs(5));
    it.breaker.record(Outcome::Success, SECOND);

    let reasons = it.take();
    assert_eq!("half_open -> open: probe_slow", reasons[2]);
    assert_eq!("half_open -> closed: probes_succeeded", reasons[4]);
}

#[test]
fn whoever_moved_it_by_hand_is_named() {
    let it = moved(CircuitBreaker::builder().failure_threshold(1));
    let snapshot = {
        it.breaker.force_open();
        it.breaker.snapshot()
    };
    it.breaker.enforce();
    it.breaker.record_failure();
    it.breaker.reset();
    it.breaker.restore(&snapshot).unwrap();

    let expected = [
        "closed -> open: mode_changed",
        "open -> closed: mode_changed",
        "closed -> open: consecutive_failures",
        "open -> closed: reset",
        "closed -> open: restored",
    ];
    assert_eq!(expected, *it.take());
    assert_eq!("restored", MoveReason::Restored.as_str());
}
