//! Throttles before a service of some capacity: what they send, and how soon they notice a change.

use std::time::Duration;

use limitpal::{ClientThrottle, MockClock, Rate, TokenBucket};

use super::seeded;

const WINDOW: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(1);
/// How many requests a second there would be.
const DEMAND: u32 = 1000;

/// A service that accepts `capacity` requests a second and rejects the rest at once.
struct Service {
    clock: MockClock,
    bucket: Option<TokenBucket>,
    throttle: ClientThrottle,
}

impl Service {
    fn new(capacity: u32, throttle: ClientThrottle, clock: MockClock) -> Self {
        let mut service = Self { clock, bucket: None, throttle };
        service.set_capacity(capacity);
        service
    }

    fn set_capacity(&mut self, capacity: u32) {
        let bucket = |rate| {
            let builder = TokenBucket::builder(capacity, rate).per_key(false);
            builder.clock(&self.clock).build().unwrap()
        };
        self.bucket = (capacity > 0).then(|| bucket(Rate::per_second(capacity.into()).unwrap()));
    }

    /// Lives through so much time, and returns how many requests a second were sent.
    fn live(&self, span: Duration) -> f64 {
        let mut sent = 0;
        let steps = span.as_millis() as u32;
        for _ in 0..steps {
            self.clock.advance(STEP);
            if self.throttle.allow() {
                sent += 1;
                if self.bucket.as_ref().is_some_and(|bucket| bucket.allow("any")) {
                    self.throttle.record_accept();
                } else {
                    self.throttle.record_rejection();
                }
            }
        }
        f64::from(sent) / span.as_secs_f64()
    }
}

fn service(k: f64, capacity: u32) -> Service {
    let clock = MockClock::new();
    let throttle = seeded(&clock).k(k).window(WINDOW).build().unwrap();
    Service::new(capacity, throttle, clock)
}

#[test]
fn a_demand_of_ten_times_the_capacity_settles_at_k_times_the_capacity() {
    for k in [1.1, 1.5, 2.0, 3.0] {
        let service = service(k, DEMAND / 10);
        service.live(3 * WINDOW);

        let sent = service.live(40 * WINDOW);

        let expected = k * f64::from(DEMAND / 10);
        assert!((sent / expected - 1.0).abs() < 0.02, "k = {k}: {sent} a second");
    }
}

#[test]
fn a_demand_below_k_times_the_capacity_is_sent_whole() {
    let service = service(2.0, DEMAND * 6 / 10);

    service.live(WINDOW);

    assert_eq!(f64::from(DEMAND), service.live(WINDOW), "0.6 of it is accepted");
}

#[test]
fn it_recovers_within_two_windows_when_capacity_comes_back() {
    let mut service = service(2.0, DEMAND / 10);
    service.live(3 * WINDOW);
    assert!(service.throttle.rejection_probability() > 0.7);

    service.set_capacity(2 * DEMAND);
    service.live(2 * WINDOW);

    assert_eq!(0.0, service.throttle.rejection_probability());
    assert_eq!(f64::from(DEMAND), service.live(WINDOW));
}

#[test]
fn a_service_that_was_gone_is_found_again_sooner_with_a_largest_share() {
    let windows_until_found = |max_rejection| {
        let clock = MockClock::new();
        let builder = seeded(&clock).window(WINDOW).max_rejection(max_rejection);
        let mut service = Service::new(0, builder.build().unwrap(), clock);
        service.live(3 * WINDOW);
        service.set_capacity(2 * DEMAND);
        (1..100).find(|_| service.live(WINDOW) == f64::from(DEMAND)).unwrap()
    };

    let (by_formula, at_most_nine_in_ten) = (windows_until_found(1.0), windows_until_found(0.9));

    assert!(at_most_nine_in_ten <= 3, "{at_most_nine_in_ten}");
    assert!((4..20).contains(&by_formula), "{by_formula}");
}
