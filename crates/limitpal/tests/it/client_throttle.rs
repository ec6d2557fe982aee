//! Client throttles: what they count, and how large a share they refuse.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line well enough")]

mod calls;
mod laws;
mod service;
mod window;

use std::sync::Barrier;
use std::time::Duration;

use limitpal::{ClientThrottle, ClientThrottleBuilder, MockClock};

const SECOND: Duration = Duration::from_secs(1);

/// Returns a builder on a mock clock, with lots that can be repeated.
fn seeded(clock: &MockClock) -> ClientThrottleBuilder {
    ClientThrottle::builder().seed(7).clock(clock)
}

fn throttle() -> (ClientThrottle, MockClock) {
    let clock = MockClock::new();
    (seeded(&clock).build().unwrap(), clock)
}

/// Attempts until so many were counted, and reports nothing.
fn attempt(throttle: &ClientThrottle, requests: u64) {
    for _ in 0..requests {
        throttle.allow();
    }
}

#[test]
fn the_probability_is_that_of_the_book() {
    let (throttle, _clock) = throttle();

    attempt(&throttle, 99);
    (0..20).for_each(|_| throttle.record_accept());
    throttle.record_rejection();

    assert_eq!((99, 20), (throttle.requests(), throttle.accepts()));
    assert_eq!((99.0 - 2.0 * 20.0) / 100.0, throttle.rejection_probability());
}

#[test]
fn k_says_how_many_requests_are_sent_for_each_accept() {
    for (k, probability) in [(1.1, (99.0 - 1.1 * 20.0) / 100.0), (4.95, 0.0), (9.0, 0.0)] {
        let throttle = seeded(&MockClock::new()).k(k).build().unwrap();

        attempt(&throttle, 99);
        (0..20).for_each(|_| throttle.record_accept());
        throttle.record_rejection();

        assert_eq!(probability, throttle.rejection_probability(), "k = {k}");
    }
}

#[test]
fn nobody_is_refused_before_somebody_was_turned_away() {
    let (throttle, _clock) = throttle();

    assert!((0..1000).all(|_| throttle.allow()), "nobody has answered yet");
    assert_eq!(0.0, throttle.rejection_probability());

    throttle.record_rejection();
    assert_eq!(1000.0 / 1001.0, throttle.rejection_probability(), "all of them weigh now");
}

#[test]
fn the_share_refused_is_the_probability() {
    let (throttle, _clock) = throttle();
    attempt(&throttle, 100);
    throttle.record_rejection();
    (0..25).for_each(|_| throttle.record_accept());

    // An accept for every fourth request keeps the probability at a half.
    let refused = (0..40_000).filter(|_| {
        let allowed = throttle.allow();
        if throttle.requests() % 4 == 0 {
            throttle.record_accept();
        }
        !allowed
    });

    let refused = refused.count();
    assert!((19_500..20_500).contains(&refused), "{refused} of 40,000 at a half");
}

#[test]
fn a_refusal_of_its_own_is_a_request_and_no_accept() {
    let (throttle, _clock) = throttle();
    attempt(&throttle, 50);
    (0..5).for_each(|_| throttle.record_accept());
    throttle.record_rejection();

    let refused = (0..100).filter(|_| !throttle.allow()).count();

    assert!(refused > 50, "{refused}");
    assert_eq!((150, 5), (throttle.requests(), throttle.accepts()));
}

#[test]
fn the_largest_share_can_be_limited() {
    let throttle = seeded(&MockClock::new()).max_rejection(0.9).build().unwrap();
    attempt(&throttle, 100);
    throttle.record_rejection();

    assert_eq!(0.9, throttle.rejection_probability());
    let sent = (0..10_000).filter(|_| throttle.allow()).count();
    assert!((900..1100).contains(&sent), "{sent} of 10,000 at one in ten");
}

#[test]
fn a_reset_forgets_everything() {
    let (throttle, _clock) = throttle();
    attempt(&throttle, 100);
    throttle.record_accept();
    throttle.record_rejection();

    throttle.reset();

    assert_eq!((0, 0), (throttle.requests(), throttle.accepts()));
    assert_eq!(0.0, throttle.rejection_probability());
    assert!((0..100).all(|_| throttle.allow()));
}

#[test]
fn a_seed_repeats_the_lots_and_a_clone_goes_on_with_them() {
    let lots = |throttles: [&ClientThrottle; 2]| {
        throttles[0].record_rejection();
        (0..64).map(|n| throttles[n % 2].allow()).collect::<Vec<_>>()
    };
    let make = |seed| ClientThrottle::builder().seed(seed).clock(MockClock::new()).build().unwrap();
    let (one, same, other) = (make(7), make(7), make(8));

    let drawn = lots([&one, &one]);

    assert_eq!(drawn, lots([&same, &same.clone()]));
    assert_ne!(drawn, lots([&other, &other]));
}

#[test]
fn threads_count_exactly() {
    const EACH: u64 = 5000;
    let (throttle, _clock) = throttle();
    let start = Barrier::new(8);

    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (throttle, start) = (throttle.clone(), &start);
            scope.spawn(move || {
                start.wait();
                for _ in 0..EACH {
                    throttle.allow();
                    if thread % 2 == 0 {
                        throttle.record_accept()
                    } else {
                        throttle.record_rejection()
                    }
                }
            });
        }
    });

    assert_eq!((8 * EACH, 4 * EACH), (throttle.requests(), throttle.accepts()));
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_by_name() {
    let refusals = [
        (ClientThrottle::builder().k(1.0), "k", "k is 1; give a finite number above 1"),
        (ClientThrottle::builder().k(f64::NAN), "k", "k is NaN; "),
        (ClientThrottle::builder().k(f64::INFINITY), "k", "k is inf; "),
        (ClientThrottle::builder().k(-2.0), "k", "k is -2; "),
        (ClientThrottle::builder().window(Duration::ZERO), "window", "window is 0ns; give a time"),
        (ClientThrottle::builder().window(Duration::MAX), "window", "window is "),
        (ClientThrottle::builder().max_rejection(0.0), "max_rejection", "max_rejection is 0; give"),
        (ClientThrottle::builder().max_rejection(1.1), "max_rejection", "max_rejection is 1.1; "),
        (
            ClientThrottle::builder().max_rejection(f64::NAN),
            "max_rejection",
            "max_rejection is NaN",
        ),
    ];
    for (builder, parameter, message) in refusals {
        let error = builder.build().unwrap_err();

        assert_eq!(parameter, error.parameter());
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn debug_shows_what_was_built() {
    let (throttle, _clock) = throttle();

    let text = format!("{throttle:?} {:?}", throttle.reject_if(|_: &()| true));

    for part in ["ClientThrottle {", "k: 2.0", "window: 120s", "seed: Some(7)", "ThrottledCalls {"]
    {
        assert!(text.contains(part), "{text}");
    }
}
