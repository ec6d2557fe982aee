//! Delays stay below their cap, and a breaker never stays shut.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use limitpal::{BreakerError, CircuitBreaker, CircuitState, Instant, MockClock, RetryPolicy};
use proptest::prelude::*;

use super::cases;
use crate::conformance::tasks::Tasks;

/// What may happen to a breaker; times in thousandths of its recovery timeout.
#[derive(Clone, Debug)]
enum Event {
    Pass(u32),
    SetBack(u32),
    Allow,
    Record(bool),
    Begin,
    /// A call in progress ends, counted from the last: well, badly, or cancelled.
    End(usize, Option<bool>),
    Reset,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (0_u32..1200).prop_map(Event::Pass),
        1 => (0_u32..3000).prop_map(Event::SetBack),
        3 => Just(Event::Allow),
        5 => prop_oneof![3 => Just(false), 1 => Just(true)].prop_map(Event::Record),
        4 => Just(Event::Begin),
        4 => (0_usize..6, any::<Option<bool>>()).prop_map(|(back, how)| Event::End(back, how)),
        1 => Just(Event::Reset),
    ];
    proptest::collection::vec(event, 0..60)
}

type Answer = Result<(), BreakerError<()>>;
type End = Arc<Mutex<Option<Result<(), ()>>>>;

/// Calls in progress, numbered as they began.
struct Calls {
    tasks: Tasks<Answer>,
    ends: Vec<End>,
}

impl Calls {
    fn begin(&mut self, breaker: CircuitBreaker) {
        let end = End::default();
        let own = Arc::clone(&end);
        let function =
            poll_fn(move |_| own.lock().unwrap().take().map_or(Poll::Pending, Poll::Ready));
        let call = async move { breaker.call(|| function).await };
        self.tasks.spawn(&self.ends.len().to_string(), call);
        self.ends.push(end);
        self.tasks.settle(|_, _| {});
    }

    fn end(&mut self, back: usize, how: Option<bool>) {
        let Some(call) = self.ends.len().checked_sub(back + 1) else { return };
        let Some(well) = how else {
            self.tasks.cancel(&call.to_string());
            return;
        };
        *self.ends[call].lock().unwrap() = Some(if well { Ok(()) } else { Err(()) });
        self.tasks.wake(&call.to_string());
        self.tasks.settle(|_, _| {});
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn from_every_state_time_alone_leads_to_one_that_admits(
        failures in 1_u32..4,
        probes in 1_u32..4,
        recovery in 1_u64..10_000_000_000,
        events in events(),
    ) {
        let clock = MockClock::new();
        let recovery = Duration::from_nanos(recovery);
        let breaker = CircuitBreaker::builder()
            .failure_threshold(failures)
            .half_open_success_threshold(probes)
            .recovery_timeout(recovery)
            .clock(&clock)
            .build()
            .unwrap();
        let mut calls = Calls { tasks: Tasks::new(), ends: Vec::new() };

        for event in events {
            match event {
                Event::Pass(parts) => clock.advance(recovery * parts / 1000),
                Event::SetBack(parts) => {
                    let back = i64::try_from((recovery * parts / 1000).as_nanos()).unwrap();
                    clock.set_time(Instant::from_nanos(clock.now().as_nanos() - back));
                }
                Event::Allow => drop(breaker.allow()),
                Event::Record(true) => breaker.record_success(),
                Event::Record(false) => breaker.record_failure(),
                Event::Begin => calls.begin(breaker.clone()),
                Event::End(back, how) => calls.end(back, how),
                Event::Reset => breaker.reset(),
            }
        }
        clock.advance(recovery);

        prop_assert_ne!(CircuitState::Open, breaker.state());
        prop_assert!(breaker.allow(), "{breaker:?}");
    }

    #[test]
    fn a_breaker_that_refuses_a_call_admits_it_at_retry_after_and_not_before(
        failures in 1_u32..4,
        probes in 1_u32..4,
        events in events(),
    ) {
        let clock = MockClock::new();
        let recovery = Duration::from_secs(7);
        let breaker = CircuitBreaker::builder()
            .failure_threshold(failures)
            .half_open_success_threshold(probes)
            .recovery_timeout(recovery)
            .clock(&clock)
            .build()
            .unwrap();
        let mut calls = Calls { tasks: Tasks::new(), ends: Vec::new() };
        for event in events {
            match event {
                Event::Pass(parts) => clock.advance(recovery * parts / 1000),
                Event::Record(well) if well => breaker.record_success(),
                Event::Record(_) => breaker.record_failure(),
                Event::Begin | Event::Allow => calls.begin(breaker.clone()),
                Event::End(back, how) => calls.end(back, how),
                Event::SetBack(_) | Event::Reset => {}
            }
        }
        let call = || breaker.call_blocking(|| Err::<(), &str>("called"));

        if let Err(BreakerError::CircuitBreakerOpen(refusal)) = call() {
            clock.advance(refusal.retry_after().unwrap() - Duration::from_nanos(1));
            let soon = |answer| match answer {
                Err(BreakerError::CircuitBreakerOpen(refusal)) => refusal.retry_after().unwrap(),
                _ => Duration::ZERO,
            };
            prop_assert_eq!(Duration::from_nanos(1), soon(call()));
            clock.advance(Duration::from_nanos(1));
            prop_assert_eq!(Err(BreakerError::Failed("called")), call());
        }
    }

    #[test]
    fn no_delay_exceeds_the_cap(
        base in 0_u64..20_000_000_000,
        more in 0_u64..60_000_000_000,
        backoff in prop_oneof![1.0..4.0, 1.0..1e308],
        jitter in 0.0..=1.0,
        seed in any::<u64>(),
        attempts in proptest::collection::vec(1_u32.., 20),
    ) {
        let cap = Duration::from_nanos(base + more);
        let policy: RetryPolicy<()> = RetryPolicy::builder()
            .base_delay(Duration::from_nanos(base))
            .max_delay(cap)
            .backoff(backoff)
            .jitter(jitter)
            .seed(seed)
            .build()
            .unwrap();

        for n in attempts.into_iter().chain(1..20) {
            prop_assert!(policy.delay(n) <= cap, "{:?} after {n}", policy.delay(n));
        }
    }

    #[test]
    fn without_jitter_delays_never_shrink(
        base in 0_u64..20_000_000_000,
        more in 0_u64..60_000_000_000,
        backoff in 1.0..4.0,
    ) {
        let policy: RetryPolicy<()> = RetryPolicy::builder()
            .base_delay(Duration::from_nanos(base))
            .max_delay(Duration::from_nanos(base + more))
            .backoff(backoff)
            .build()
            .unwrap();

        let delays: Vec<Duration> = (1..40).map(|n| policy.delay(n)).collect();

        prop_assert!(delays.is_sorted(), "{delays:?}");
        prop_assert_eq!(Duration::from_nanos(base), delays[0]);
    }
}
