//! Rules that hold for all inputs: what a limiter decides, whatever came before.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line as well")]

mod bounds;
mod clocks;
mod concurrency;
mod holding;
mod leaving;
mod lines;
mod policies;
mod stores;

use std::time::Duration;

use limitpal::{AnyLimiter, Cost, Instant, MockClock, RateLimitExceeded, RetryAfter, SharedClock};
use proptest::prelude::*;

use crate::conformance::tasks::finish;
use crate::models::{Kind, NaiveStore, Settings, settings, span};

/// As many cases as keep the whole file below some seconds in a debug build.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Builds a bucket, with options that only some laws have.
macro_rules! bucket {
    ($settings:expr, $clock:expr $(, $option:ident = $value:expr)*) => {{
        let settings: Settings = $settings;
        let any: limitpal::AnyLimiter = match settings.kind {
            crate::models::Kind::Token => {
                settings.token().clock($clock)$(.$option($value))*.build().unwrap().into()
            }
            crate::models::Kind::Leaky => {
                let Settings { capacity, rate, .. } = settings;
                let builder = limitpal::LeakyBucket::builder(capacity, rate.rate);
                builder.clock($clock)$(.$option($value))*.build().unwrap().into()
            }
        };
        any
    }};
}
use bucket;

fn bucket_on(settings: Settings, clock: impl Into<SharedClock>) -> AnyLimiter {
    bucket!(settings, clock)
}

/// What may happen to a limiter.
#[derive(Clone, Debug)]
enum Event {
    /// Time goes on, in thousandths of a permit's interval and nanoseconds.
    Pass(i64, i64),
    /// The clock is set back by so many nanoseconds.
    SetBack(i64),
    Check(u8, u64),
    Peek(u8, u64),
    /// An acquire that waits at most so many thousandths of an interval.
    Acquire(u8, u64, i64),
    Reset(u8),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let (key, cost) = (0_u8..3, prop_oneof![3 => Just(1_u64), 2 => 1_u64..8]);
    let event = prop_oneof![
        4 => (prop_oneof![0_i64..3000, 0_i64..100_000], -1_i64..2).prop_map(|(p, n)| Event::Pass(p, n)),
        1 => (0_i64..10_000_000_000).prop_map(Event::SetBack),
        6 => (key.clone(), cost.clone()).prop_map(|(key, cost)| Event::Check(key, cost)),
        2 => (key.clone(), cost.clone()).prop_map(|(key, cost)| Event::Peek(key, cost)),
        3 => (key.clone(), cost, 0_i64..20_000).prop_map(|(k, c, t)| Event::Acquire(k, c, t)),
        1 => key.prop_map(Event::Reset),
    ];
    proptest::collection::vec(event, 1..60)
}

fn name(key: u8) -> String {
    format!("key {key}")
}

/// Returns thousandths of a permit's interval as nanoseconds.
fn thousandths(settings: &Settings, parts: i64) -> i64 {
    let nanos = i128::from(settings.rate.interval()) * i128::from(parts) / 1000;
    nanos.try_into().unwrap()
}

fn pass(settings: &Settings, parts: i64, nanos: i64) -> Duration {
    span((thousandths(settings, parts) + nanos).max(0))
}

fn set_back(clock: &MockClock, nanos: i64) {
    clock.set_time(Instant::from_nanos(clock.now().as_nanos() - nanos));
}

/// What came of an acquire: when it was granted, or when to come back.
type Acquired = Result<i64, RetryAfter>;

fn acquired(result: Result<(), RateLimitExceeded>, clock: &MockClock) -> Acquired {
    match result {
        Ok(()) => Ok(clock.steady().as_nanos()),
        Err(refusal) => Err(refusal.retry_after()),
    }
}

/// One limiter driven by blocking calls and one by futures, each on a clock of its own.
struct Twins {
    blocking: (AnyLimiter, MockClock),
    futures: (AnyLimiter, MockClock),
}

impl Twins {
    fn new(settings: Settings) -> Self {
        let make = || {
            let clock = MockClock::new();
            (bucket_on(settings, &clock), clock)
        };
        Self { blocking: make(), futures: make() }
    }

    fn each(&self, act: impl Fn(&AnyLimiter, &MockClock)) {
        act(&self.blocking.0, &self.blocking.1);
        act(&self.futures.0, &self.futures.1);
    }

    fn acquire(&self, key: &str, cost: Cost, timeout: Duration) -> (Acquired, Acquired) {
        let (limiter, clock) = &self.blocking;
        let one = acquired(limiter.acquire_timeout_blocking((key, cost), timeout), clock);
        let ((limiter, clock), key) = (self.futures.clone(), key.to_owned());
        let wait = async move { limiter.acquire_timeout((&*key, cost), timeout).await };
        (one, acquired(finish(&clock, wait).unwrap(), &clock))
    }
}

fn naive_acquire(model: &mut NaiveStore, key: &str, cost: u64, timeout: i64, now: i64) -> Acquired {
    let bucket = model.bucket(key);
    match bucket.acquire_wait(cost, now) {
        Some(wait) if wait <= timeout => {
            bucket.take_after(wait, cost, now);
            Ok(now + wait)
        }
        Some(wait) => Err(RetryAfter::After(span(wait))),
        None => Err(RetryAfter::Never),
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn blocking_async_and_the_naive_model_decide_alike(settings in settings(), events in events()) {
        let (twins, mut model, mut now) = (Twins::new(settings), NaiveStore::new(settings), 0);

        for event in events {
            match event {
                Event::Pass(parts, nanos) => {
                    let span = pass(&settings, parts, nanos);
                    twins.each(|_, clock| clock.advance(span));
                    now += i64::try_from(span.as_nanos()).unwrap();
                }
                // For those who wait and decide, time stands still while a mock is set back.
                Event::SetBack(nanos) => twins.each(|_, clock| set_back(clock, nanos)),
                Event::Check(key, cost) => {
                    let (key, checked) = (name(key), Cost::new(cost).unwrap());
                    let expected = model.bucket(&key).check(cost, now);
                    prop_assert_eq!(expected, twins.blocking.0.check((&*key, checked)));
                    prop_assert_eq!(expected, twins.futures.0.check((&*key, checked)));
                }
                Event::Peek(key, cost) => {
                    let (key, checked) = (name(key), Cost::new(cost).unwrap());
                    let expected = model.bucket(&key).peek(cost, now);
                    prop_assert_eq!(expected, twins.blocking.0.peek((&*key, checked)));
                    prop_assert_eq!(expected, twins.futures.0.peek((&*key, checked)));
                }
                Event::Acquire(key, cost, parts) => {
                    let (key, timeout) = (name(key), thousandths(&settings, parts));
                    let expected = naive_acquire(&mut model, &key, cost, timeout, now);
                    let cost = Cost::new(cost).unwrap();
                    let (blocking, futures) = twins.acquire(&key, cost, span(timeout));
                    prop_assert_eq!(expected, blocking);
                    prop_assert_eq!(expected, futures);
                    now = expected.unwrap_or(now);
                }
                Event::Reset(key) => {
                    twins.each(|limiter, _| limiter.reset(&name(key)));
                    model.reset(&name(key));
                }
            }
        }
    }

    #[test]
    fn no_window_sees_more_than_capacity_and_rate_allow(settings in settings(), events in events()) {
        let clock = MockClock::new();
        let limiter = bucket_on(settings, &clock);
        let mut grants = Vec::new();

        for event in events {
            let granted = match event {
                Event::Pass(parts, nanos) => {
                    clock.advance(pass(&settings, parts, nanos));
                    continue;
                }
                Event::SetBack(nanos) => {
                    set_back(&clock, nanos);
                    continue;
                }
                Event::Check(_, cost) => (limiter.allow(("k", Cost::new(cost).unwrap())), cost),
                Event::Acquire(_, cost, parts) => {
                    let timeout = span(thousandths(&settings, parts));
                    let ask = ("k", Cost::new(cost).unwrap());
                    (limiter.acquire_timeout_blocking(ask, timeout).is_ok(), cost)
                }
                Event::Peek(..) | Event::Reset(_) => continue,
            };
            grants.extend(granted.0.then(|| (clock.steady().as_nanos(), granted.1)));
        }

        prop_assert_eq!(None, settings.broken_window(&grants));
    }

    #[test]
    fn refused_until_retry_after_and_admitted_at_it(
        settings in settings(),
        events in events(),
        cost in 1_u64..8,
    ) {
        let clock = MockClock::new();
        let limiter = bucket_on(settings, &clock);
        let ask = ("k", Cost::new(cost).unwrap());
        for event in events {
            match event {
                Event::Pass(parts, nanos) => clock.advance(pass(&settings, parts, nanos)),
                Event::SetBack(nanos) => set_back(&clock, nanos),
                Event::Check(_, cost) => drop(limiter.check(("k", Cost::new(cost).unwrap()))),
                Event::Peek(..) | Event::Acquire(..) | Event::Reset(_) => {}
            }
        }

        if let Err(refusal) = limiter.acquire_timeout_blocking(ask, Duration::ZERO) {
            let RetryAfter::After(wait) = refusal.retry_after() else {
                prop_assert_eq!(RetryAfter::Never, refusal.retry_after());
                prop_assert!(cost > settings.most());
                return Ok(());
            };
            let decision = limiter.check(ask);
            if let RetryAfter::After(wait) = decision.retry_after {
                clock.advance(wait - Duration::from_nanos(1));
                prop_assert_eq!(RetryAfter::After(Duration::from_nanos(1)), limiter.check(ask).retry_after);
                clock.advance(Duration::from_nanos(1));
                prop_assert!(limiter.check(ask).allowed);
            } else {
                // A leaky bucket has room, and paces: the room has now been taken.
                prop_assert!(decision.allowed && settings.kind == Kind::Leaky);
            }
            prop_assert!(wait > Duration::ZERO);
        }
    }

    #[test]
    fn an_acquire_refused_is_granted_at_its_retry_after_and_not_before(
        settings in settings(),
        events in events(),
        cost in 1_u64..8,
    ) {
        let clock = MockClock::new();
        let limiter = bucket_on(settings, &clock);
        let ask = ("k", Cost::new(cost).unwrap());
        for event in events {
            match event {
                Event::Pass(parts, nanos) => clock.advance(pass(&settings, parts, nanos)),
                Event::SetBack(nanos) => set_back(&clock, nanos),
                Event::Check(_, cost) => drop(limiter.check(("k", Cost::new(cost).unwrap()))),
                Event::Peek(..) | Event::Acquire(..) | Event::Reset(_) => {}
            }
        }
        let now = || limiter.acquire_timeout_blocking(ask, Duration::ZERO);

        if let Err(refusal) = now() {
            let Some(wait) = refusal.retry_after().duration() else { return Ok(()) };
            clock.advance(wait - Duration::from_nanos(1));
            let refused = Err(RateLimitExceeded::new(RetryAfter::After(Duration::from_nanos(1))));
            prop_assert_eq!(refused, now());
            clock.advance(Duration::from_nanos(1));
            prop_assert_eq!(Ok(()), now());
        }
    }
}
