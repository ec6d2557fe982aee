//! The memory of a breaker for each key over a restart: as that of each of them, or refused whole.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use limitpal::{
    CircuitBreaker, CircuitBreakerBuilder, CircuitState, ConsecutiveFailures, Event, FailureRate,
    Instant, KeyedCircuitBreaker, MockClock, MoveReason,
};
use proptest::prelude::*;

use super::SECOND;

fn builder(clock: &MockClock) -> CircuitBreakerBuilder {
    let rate = FailureRate::new(0.5).window(30 * SECOND).minimum_calls(4);
    CircuitBreaker::builder()
        .trip_on(ConsecutiveFailures::new(3))
        .trip_on(rate)
        .half_open_success_threshold(2)
        .recovery_backoff(2.0)
        .ramp([0.5])
        .ramp_step(3 * SECOND)
        .clock(clock)
}

fn built(seconds: u64) -> (KeyedCircuitBreaker, MockClock) {
    let clock = MockClock::starting_at(Instant::ZERO + Duration::from_secs(seconds));
    (builder(&clock).build_keyed(Some(100)).unwrap(), clock)
}

#[test]
fn each_circuit_goes_on_and_one_as_new_is_left_out() {
    let (before, clock) = built(1000);
    (0..3).for_each(|_| before.record_failure("eu"));
    clock.advance(2 * SECOND);
    before.record_failure("us");
    drop(before.get("as new"));
    before.get("held").force_open();
    let (after, other) = built(5);
    let moves = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&moves);
    let subscription = after.observe(move |event| {
        if let Event::BreakerMoved { key, to, reason, .. } = event {
            heard.lock().unwrap().push((key.to_string(), *to, *reason));
        }
    });

    after.restore(&before.snapshot()).unwrap();

    assert_eq!((3, false), (after.len(), after.stats_by_key().contains_key("as new")));
    assert_eq!([CircuitState::Open; 2], ["eu", "held"].map(|key| after.state(key)));
    let restored = |key: &str| (key.to_owned(), CircuitState::Open, MoveReason::Restored);
    assert_eq!([restored("eu"), restored("held")], moves.lock().unwrap()[..]);
    other.advance(3 * SECOND);
    assert_eq!(CircuitState::HalfOpen, after.state("eu"));
    (0..2).for_each(|_| after.record_failure("us"));
    assert_eq!(CircuitState::Open, after.state("us"));
    assert!(subscription.is_open());
}

#[test]
fn a_damaged_snapshot_is_refused_whole_whichever_byte_is_wrong() {
    let (before, _clock) = built(100);
    for key in ["eu", "us"] {
        (0..3).for_each(|_| before.record_failure(key));
    }
    let good = before.snapshot();
    let (after, _clock) = built(0);

    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 0x11;
        assert_eq!("snapshot", after.restore(&bad).unwrap_err().parameter());
        assert!(after.restore(&good[..place]).is_err());
        assert!(after.is_empty());
    }
    after.restore(&good).unwrap();
    assert_eq!(2, after.len());
}

#[test]
fn what_does_not_fit_says_so() {
    let (before, clock) = built(0);
    ["eu", "us"].iter().for_each(|key| before.record_failure(key));
    let good = before.snapshot();
    let said = |breakers: &KeyedCircuitBreaker, bytes: &[u8]| {
        breakers.restore(bytes).unwrap_err().to_string()
    };

    let (used, _clock) = built(0);
    used.record_success("eu");
    assert!(said(&used, &good).contains("used already"));
    let small = builder(&clock).build_keyed(Some(1)).unwrap();
    assert!(said(&small, &good).contains("of 2 keys"));
    let other = CircuitBreaker::builder().failure_threshold(7).build_keyed(None).unwrap();
    assert!(said(&other, &good).contains("of a breaker with other options"));
    let one = builder(&clock).build().unwrap();
    assert!(said(&other, &one.snapshot()).contains("of one breaker"));
    assert!(one.restore(&good).unwrap_err().to_string().contains("of a breaker for each key"));
    assert!(small.is_empty() && other.is_empty());
}

#[test]
fn who_goes_first_where_there_are_too_many_is_as_before() {
    let clock = MockClock::new();
    let built = || CircuitBreaker::builder().clock(&clock).build_keyed(Some(3)).unwrap();
    let (before, after) = (built(), built());
    for key in ["a", "b", "c", "a"] {
        before.record_failure(key);
    }

    after.restore(&before.snapshot()).unwrap();
    after.record_failure("d");

    assert!(!after.stats_by_key().contains_key("b"));
}

proptest! {
    #![proptest_config(crate::laws::cases(150))]

    #[test]
    fn each_key_goes_on_as_it_would_have(
        acts in proptest::collection::vec((0_u8..3, 0_u8..4, 0_u64..20_000), 0..40),
        more in proptest::collection::vec((0_u8..3, 0_u8..4, 0_u64..20_000), 0..40),
        elsewhere in 0_u64..1_000_000,
    ) {
        let (before, clock) = built(500);
        let step = |breakers: &KeyedCircuitBreaker, clock: &MockClock, act: (u8, u8, u64)| {
            let key = format!("key {}", act.0);
            match act.1 {
                0 => breakers.record_success(&key),
                1 => breakers.record_failure(&key),
                2 => return Some(breakers.allow(&key)),
                _ => clock.advance(Duration::from_millis(act.2)),
            }
            None
        };
        for act in acts {
            step(&before, &clock, act);
        }

        let (after, other) = built(elsewhere);
        after.restore(&before.snapshot()).unwrap();
        // Who is out ends with the process.
        let (again, third) = built(77);
        again.restore(&after.snapshot()).unwrap();

        for act in more {
            prop_assert_eq!(step(&after, &other, act), step(&again, &third, act));
            for key in ["key 0", "key 1", "key 2"] {
                prop_assert_eq!(after.state(key), again.state(key));
            }
        }
    }
}
