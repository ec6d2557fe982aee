//! A run of which nothing is kept until its first attempt fails ends as one that is kept from the
//! beginning: a hook that does nothing makes the difference.

use std::future::pending;
use std::time::Duration;

use limitpal::{
    Bulkhead, Charge, CircuitBreaker, Clock, MockClock, Rate, ResilientExecutor, RetryBudget,
    RetryPolicy, TokenBucket,
};
use proptest::prelude::*;

use super::poll;
use crate::laws::cases;

#[derive(Clone, Debug)]
struct Options {
    bulkhead: Option<u32>,
    limited: bool,
    broken: bool,
    budget: bool,
    charge: Charge,
    attempts: u32,
    /// In milliseconds, as all times here.
    acquire: Option<u64>,
    timeout: Option<u64>,
    attempt: Option<u64>,
    elapsed: Option<u64>,
}

fn options() -> impl Strategy<Value = Options> {
    let flags = (any::<[bool; 4]>(), 1_u32..4, proptest::option::weighted(0.7, 0_u32..2));
    let some = |most| proptest::option::of(1_u64..most);
    let times = (proptest::option::of(0_u64..1500), some(4000), some(4000), some(3000));
    (flags, times).prop_map(|((flags, attempts, bulkhead), times)| {
        let ([limited, broken, budget, each], (acquire, timeout, attempt, elapsed)) =
            (flags, times);
        let charge = if each { Charge::Attempt } else { Charge::Call };
        let attempt =
            attempt.map(|attempt| timeout.map_or(attempt, |timeout| attempt.min(timeout)));
        Options {
            bulkhead,
            limited,
            broken,
            budget,
            charge,
            attempts,
            acquire,
            timeout,
            attempt,
            elapsed,
        }
    })
}

/// One run, and what goes before it.
#[derive(Clone, Debug)]
struct Act {
    pause: u64,
    /// Somebody else is in the bulkhead when it begins.
    is_full: bool,
    /// How long each attempt takes, and whether it fails; none: it hangs.
    attempts: Vec<Option<(u64, bool)>>,
    /// An awaited run is dropped after so many polls.
    dropped: Option<usize>,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let attempt = prop_oneof![
        1 => Just(None),
        4 => (any::<bool>(), 0_u64..2500, any::<bool>())
            .prop_map(|(takes, span, fails)| Some((if takes { span } else { 0 }, fails))),
    ];
    let attempts = proptest::collection::vec(attempt, 3);
    let act = (0_u64..3000, prop::bool::weighted(0.2), attempts, proptest::option::of(0_usize..5));
    let act = act.prop_map(|(pause, is_full, attempts, dropped)| Act {
        pause,
        is_full,
        attempts,
        dropped,
    });
    proptest::collection::vec(act, 1..20)
}

struct World {
    clock: MockClock,
    bulkhead: Option<Bulkhead>,
    limiter: TokenBucket,
    breaker: CircuitBreaker,
    budget: RetryBudget,
    executor: ResilientExecutor<&'static str>,
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn world(options: &Options, is_kept: bool) -> World {
    let clock = MockClock::new();
    let bulkhead = options.bulkhead.map(|most| Bulkhead::builder(1).max_waiting(most));
    let bulkhead = bulkhead.map(|bulkhead| bulkhead.clock(&clock).build().unwrap());
    let limiter = TokenBucket::builder(2, Rate::per_second(1.0).unwrap()).clock(&clock);
    let breaker = CircuitBreaker::builder().failure_threshold(3).recovery_timeout(millis(4000));
    let budget = RetryBudget::builder().ratio(0.5).minimum_per_second(0.1).clock(&clock);
    let (limiter, breaker) = (limiter.build().unwrap(), breaker.clock(&clock).build().unwrap());
    let budget = budget.build().unwrap();
    let mut policy = RetryPolicy::builder().max_attempts(options.attempts).base_delay(millis(700));
    if let Some(elapsed) = options.elapsed {
        policy = policy.max_elapsed(millis(elapsed));
    }
    if is_kept {
        policy = policy.before_attempt(|_| ());
    }
    let mut builder = ResilientExecutor::builder().clock(&clock).charge(options.charge);
    builder = builder.retry_policy(policy.build().unwrap());
    if let Some(bulkhead) = &bulkhead {
        builder = builder.bulkhead(bulkhead.clone());
    }
    if options.limited {
        builder = builder.limiter(limiter.clone());
    }
    if options.broken {
        builder = builder.circuit_breaker(breaker.clone());
    }
    if options.budget {
        builder = builder.retry_budget(budget.clone());
    }
    if let Some(timeout) = options.acquire {
        builder = builder.acquire_timeout(millis(timeout));
    }
    if let Some(timeout) = options.timeout {
        builder = builder.timeout(millis(timeout));
    }
    if let Some(timeout) = options.attempt {
        builder = builder.attempt_timeout(millis(timeout));
    }
    let executor = builder.build().unwrap();
    World { clock, bulkhead, limiter, breaker, budget, executor }
}

impl World {
    /// What anybody can see of it.
    fn seen(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let (inside, waiting) =
            self.bulkhead.as_ref().map_or((0, 0), |it| (it.in_flight(), it.waiting()));
        let (breaker, limiter) = (&self.breaker, &self.limiter);
        let tokens = (limiter.tokens("key"), format!("{:?}", limiter.stats()));
        let clock = (self.clock.now(), self.clock.next_deadline());
        let breaker = (breaker.snapshot(), format!("{:?}", breaker.stats()));
        (clock, (inside, waiting), tokens, breaker, self.budget.left(), self.executor.stats())
    }

    fn run_blocking(&self, act: &Act) -> String {
        let full = self.bulkhead.as_ref().filter(|it| act.is_full && it.max_waiting() == Some(0));
        let _full = full.map(|bulkhead| bulkhead.try_acquire().unwrap());
        let mut attempts = act.attempts.iter().cycle();
        let answer = self.executor.run_blocking("key", || {
            let (takes, fails) = attempts.next().unwrap().unwrap_or((100, true));
            self.clock.sleep_blocking(millis(takes));
            if fails { Err("down") } else { Ok(7) }
        });
        format!("{answer:?}")
    }

    fn run(&self, act: &Act) -> String {
        let bulkhead = self.bulkhead.as_ref().filter(|_| act.is_full);
        let mut full = bulkhead.map(|bulkhead| bulkhead.try_acquire().unwrap());
        let mut attempts = act.attempts.iter().cycle();
        let mut run = Box::pin(self.executor.run("key", || {
            let attempt = *attempts.next().unwrap();
            async move {
                match attempt {
                    None => pending().await,
                    Some((0, fails)) => {
                        if fails {
                            Err("down")
                        } else {
                            Ok(7)
                        }
                    }
                    Some((takes, fails)) => {
                        self.clock.sleep(millis(takes)).await;
                        if fails { Err("down") } else { Ok(7) }
                    }
                }
            }
        }));
        for polls in 0.. {
            if act.dropped == Some(polls) {
                return "dropped".into();
            }
            if let Some(answer) = poll(run.as_mut()) {
                return format!("{answer:?}");
            }
            match self.clock.next_deadline() {
                _ if full.is_some() => full = None,
                Some(span) => self.clock.advance(span),
                None => return "hangs".into(),
            }
        }
        unreachable!("a run ends")
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_run_that_is_kept_late_ends_as_one_that_is_kept_at_once(
        options in options(),
        acts in acts(),
        blocks in any::<bool>(),
    ) {
        let worlds = [world(&options, false), world(&options, true)];
        for act in &acts {
            let [light, kept] = worlds.each_ref().map(|world| {
                world.clock.advance(millis(act.pause));
                let answer = if blocks { world.run_blocking(act) } else { world.run(act) };
                (answer, world.seen())
            });
            prop_assert_eq!(kept, light);
        }
    }
}
