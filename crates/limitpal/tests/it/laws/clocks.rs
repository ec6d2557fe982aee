//! Threads race and clocks step back: neither makes a burst, neither locks anybody out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use limitpal::{Clock, Instant, MonotonicClock, Rate, RetryAfter, SharedClock, Sleep, TokenBucket};
use proptest::prelude::*;

use super::{bucket_on, cases};
use crate::models::{settings, span};

/// A clock of the user's own that may run backwards.
#[derive(Clone, Debug, Default)]
struct Wild {
    now: Arc<AtomicI64>,
    /// Readings to show first, as a thread has them that was preempted before the lock.
    stale: Arc<Mutex<VecDeque<i64>>>,
}

impl Wild {
    fn move_by(&self, nanos: i64) {
        self.now.fetch_add(nanos, Ordering::Relaxed);
    }

    fn shared(&self) -> SharedClock {
        let clock: Arc<dyn Clock> = Arc::new(self.clone());
        clock.into()
    }
}

impl Clock for Wild {
    fn now(&self) -> Instant {
        let stale = self.stale.lock().unwrap().pop_front();
        Instant::from_nanos(stale.unwrap_or_else(|| self.now.load(Ordering::Relaxed)))
    }

    fn sleep_blocking(&self, span: Duration) {
        self.move_by(span.as_nanos().try_into().unwrap());
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_blocking(span);
        Box::pin(std::future::ready(()))
    }
}

#[derive(Clone, Debug)]
enum Event {
    Forward(i64),
    Back(i64),
    Allow,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0_i64..3000).prop_map(Event::Forward),
        1 => prop_oneof![1_i64..1000, 1_i64..10_000_000].prop_map(Event::Back),
        8 => Just(Event::Allow),
    ];
    proptest::collection::vec(event, 1..120)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_step_back_admits_a_burst_more_at_most_and_locks_nobody_out(
        settings in settings(),
        events in events(),
    ) {
        let clock = Wild::default();
        let settings = settings.plain();
        let limiter = bucket_on(settings, clock.shared());
        let interval = settings.rate.interval();
        let (mut admitted, mut forward, mut steps) = (0_i128, 0_i128, 0_i128);

        for event in events {
            match event {
                Event::Forward(parts) => {
                    let nanos = i128::from(interval) * i128::from(parts) / 1000;
                    clock.move_by(nanos.try_into().unwrap());
                    forward += nanos;
                }
                Event::Back(parts) => {
                    let nanos = i128::from(interval) * i128::from(parts) / 1000;
                    clock.move_by((-nanos).try_into().unwrap());
                    steps += 1;
                }
                Event::Allow => admitted += i128::from(limiter.allow("k")),
            }
            let wait = limiter.peek("k").retry_after;
            prop_assert!(wait <= RetryAfter::After(span(interval)), "locked out for {wait:?}");
        }
        let bursts = i128::from(settings.capacity) * (1 + steps);
        let most = bursts * settings.rate.nanos + settings.rate.count * forward;
        prop_assert!(admitted * settings.rate.nanos <= most, "{admitted} with {steps} steps back");

        clock.move_by(interval);
        prop_assert!(limiter.allow("k"));
    }
}

#[test]
fn a_reading_that_lost_a_race_is_read_again() {
    let clock = Wild::default();
    let rate = Rate::per_second(1.0).unwrap();
    let limiter = TokenBucket::builder(5, rate).clock(clock.shared()).build().unwrap();
    clock.move_by(10_000_000_000);
    (0..5).for_each(|_| assert!(limiter.allow("k")));

    // This thread read 4 s, was preempted, and reads 10 s when it looks again.
    for _ in 0..100 {
        clock.stale.lock().unwrap().push_back(4_000_000_000);
        assert!(!limiter.allow("k"), "a preempted thread is no step back");
    }

    let wait = limiter.peek("k").retry_after;
    assert_eq!(RetryAfter::After(Duration::from_secs(1)), wait);
}

#[test]
fn a_wild_clock_never_panics() {
    let clock = Wild::default();
    let rate = Rate::per_second(1.0 / 3.0).unwrap();
    let limiter = TokenBucket::builder(2, rate).clock(clock.shared()).build().unwrap();

    for now in [i64::MAX, i64::MIN, 0, i64::MAX, -1, i64::MIN, i64::MIN, i64::MAX, 1] {
        clock.now.store(now, Ordering::Relaxed);
        for _ in 0..3 {
            limiter.check("k");
            limiter.peek("k");
            let _ = limiter.acquire_timeout_blocking("k", Duration::ZERO);
        }
    }
}

#[test]
fn eight_threads_on_one_hot_key_stay_within_capacity_and_rate() {
    const CAPACITY: u32 = 100;
    const RATE: f64 = 1000.0;
    let limiter = TokenBucket::new(CAPACITY, Rate::per_second(RATE).unwrap()).unwrap();
    let clock = MonotonicClock;
    let start = Barrier::new(8);
    let began = clock.now();

    let admitted: usize = std::thread::scope(|scope| {
        let hammer = || {
            start.wait();
            let end = clock.now() + Duration::from_secs(1);
            let mut admitted = 0;
            while clock.now() < end {
                admitted += usize::from(limiter.allow("hot"));
            }
            admitted
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(hammer)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });

    let window = clock.now().saturating_duration_since(began).as_secs_f64();
    let most = f64::from(CAPACITY) + RATE * window;
    assert!(admitted as f64 <= most, "{admitted} where {most} are allowed");
    assert!(admitted as f64 >= 0.8 * RATE, "only {admitted}: a thread was taken for a step");
}
