//! An executor of two stages, its other side, and who comes when.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use limitpal::{
    Bulkhead, Cache, Charge, CircuitBreaker, ConsecutiveFailures, ExecutorStats, Fallback, Hedge,
    Instant, MockClock, Rate, ResilientExecutor, RetryBudget, RetryPolicy, RunError, SlowCallRate,
    TokenBucket, TypedExecutor,
};
use proptest::prelude::*;

use super::Stage;
use super::service::Service;

/// Between two calls at the full rate, the limiter's, in milliseconds.
pub(super) const SPACING: u64 = 200;
/// How long a run waits for quota or a place at most, in milliseconds.
pub(super) const LONGEST_WAIT: u64 = 300;
/// How long a call lasts at most, where the other side is up.
pub(super) const LONGEST_CALL: u64 = 60;
pub(super) const CAPACITY: u32 = 3;
/// So many latencies are known before there is a hedge.
pub(super) const MIN_SAMPLES: u32 = 10;
/// What a fallback gives.
pub(super) const INSTEAD: i64 = -1;
/// How long a value is kept.
pub(super) const TTL: u64 = 300;
/// What a slow call is to the breaker; no call of an other side that is up is one.
pub(super) const SLOW: u64 = 150;

pub(super) type Error = &'static str;
pub(super) type Answer = Result<i64, RunError<Error>>;
/// When somebody came, and what came of it when; none: the run was dropped.
pub(super) type Visit = (Instant, Option<(Instant, Answer)>);

/// One caller before the end of the outage.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// Milliseconds after the one before.
    pub(super) pause: u64,
    /// Milliseconds that the function takes where the other side is up, or fails at once.
    pub(super) lasts: u64,
    /// The run is dropped after so many milliseconds, if it is awaited.
    pub(super) leaves: Option<u64>,
    /// Whether others fill the bulkhead.
    pub(super) is_crowded: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) by_attempts: bool,
    hangs: bool,
    down: [u64; 2],
    acquire_timeout: u64,
    max_waiting: u32,
    timeout: u64,
    stale_for: u64,
    pub(super) arrivals: Vec<Arrival>,
}

pub(super) fn options() -> impl Strategy<Value = Options> {
    let lasts = prop_oneof![5 => Just(10_u64), 1 => Just(LONGEST_CALL)];
    let leaves = proptest::option::weighted(0.15, 0_u64..150);
    let arrival = (0_u64..200, lasts, leaves, proptest::bool::weighted(0.2));
    let arrival = arrival.prop_map(|(pause, lasts, leaves, is_crowded)| Arrival {
        pause,
        lasts,
        leaves,
        is_crowded,
    });
    let waits = prop_oneof![Just(0), Just(100), Just(LONGEST_WAIT)];
    (
        any::<[bool; 2]>(),
        (500_u64..4000, 100_u64..4000),
        (waits, 0_u32..3, 200_u64..1000, prop_oneof![Just(0_u64), Just(1000)]),
        proptest::collection::vec(arrival, 20..80),
    )
        .prop_map(|([by_attempts, hangs], (from, lasts), times, arrivals)| Options {
            by_attempts,
            hangs,
            down: [from, from + lasts],
            acquire_timeout: times.0,
            max_waiting: times.1,
            timeout: times.2,
            stale_for: times.3,
            arrivals,
        })
}

pub(super) fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// The executor, of which nobody needs to know what stands around it.
pub(super) enum Runs {
    Plain(ResilientExecutor<Error>),
    Typed(TypedExecutor<i64, Error>),
    Cached(TypedExecutor<i64, Error>),
}

pub(super) struct World {
    pub(super) pair: [Stage; 2],
    pub(super) charge: Charge,
    pub(super) clock: MockClock,
    pub(super) service: Rc<Service>,
    pub(super) runs: Runs,
    pub(super) breaker: CircuitBreaker,
    pub(super) bulkhead: Bulkhead,
    pub(super) bucket: TokenBucket,
    pub(super) budget: RetryBudget,
    pub(super) cache: Cache<i64>,
    /// Who came, when, and what each got at what time.
    pub(super) answers: RefCell<Vec<Visit>>,
    /// Runs that were dropped by their callers before any call, or after it.
    pub(super) left: Cell<u64>,
    /// A call of so many milliseconds may have been cut short.
    pub(super) cut: u64,
}

impl World {
    pub(super) fn new(pair: [Stage; 2], options: &Options) -> Self {
        let clock = MockClock::new();
        let down = at(options.down[0])..at(options.down[1]);
        let (log, is_left) = (RefCell::default(), Cell::new(false));
        let service = Service { clock: clock.clone(), down, hangs: options.hangs, log, is_left };
        let bucket = TokenBucket::builder(CAPACITY, Rate::per_second(5.0).unwrap());
        let bulkhead = Bulkhead::builder(2).max_waiting(options.max_waiting);
        let budget = RetryBudget::builder().ratio(0.2).minimum_per_second(0.0).clock(&clock);
        let cache = Cache::builder(Duration::from_millis(TTL));
        let cache = cache.stale_for(Duration::from_millis(options.stale_for)).build().unwrap();
        let mut world = Self {
            pair,
            charge: if options.by_attempts { Charge::Attempt } else { Charge::Call },
            service: Rc::new(service),
            runs: Runs::Plain(ResilientExecutor::builder().build().unwrap()),
            breaker: breaker(&clock),
            bulkhead: bulkhead.clock(&clock).build().unwrap(),
            bucket: bucket.clock(&clock).build().unwrap(),
            budget: budget.window(Duration::from_secs(1000)).build().unwrap(),
            cache,
            answers: RefCell::default(),
            left: Cell::new(0),
            cut: options.timeout / 2,
            clock,
        };
        world.runs = world.around(world.within(options));
        world
    }

    pub(super) fn has(&self, stage: Stage) -> bool {
        self.pair.contains(&stage)
    }

    /// The stages of one run.
    fn within(&self, options: &Options) -> ResilientExecutor<Error> {
        let millis = Duration::from_millis;
        let builder = ResilientExecutor::builder().clock(&self.clock).charge(self.charge);
        // Who got quota just before the end of its run's time would spend it for nothing, and at the
        // full rate so would all behind it.
        let leaves_time = options.timeout - 2 * LONGEST_CALL;
        let patience = match self.has(Stage::RunTimeout) {
            true => options.acquire_timeout.min(leaves_time),
            false => options.acquire_timeout,
        };
        let mut builder = builder.acquire_timeout(millis(patience));
        if self.has(Stage::RunTimeout) {
            builder = builder.timeout(millis(options.timeout));
        }
        if self.has(Stage::AttemptTimeout) {
            builder = builder.attempt_timeout(millis(options.timeout / 2));
        }
        if self.has(Stage::Breaker) {
            builder = builder.circuit_breaker(self.breaker.clone());
        }
        if self.has(Stage::Bulkhead) {
            builder = builder.bulkhead(self.bulkhead.clone());
        }
        if self.has(Stage::Limiter) {
            builder = builder.limiter(self.bucket.clone());
        }
        if self.has(Stage::Retries) || self.has(Stage::Budget) {
            let policy = RetryPolicy::builder().base_delay(millis(100)).backoff(1.0);
            builder = builder.retry_policy(policy.build().unwrap());
        }
        if self.has(Stage::Budget) {
            builder = builder.retry_budget(self.budget.clone());
        }
        if self.has(Stage::Hedge) {
            let hedge = Hedge::builder().percentile(80.0).min_samples(MIN_SAMPLES);
            let hedge = hedge.max_extra_load(0.5).window(Duration::from_secs(1000));
            builder = builder.hedge(hedge.build().unwrap());
        }
        builder.build().unwrap()
    }

    /// And the stages around it.
    fn around(&self, within: ResilientExecutor<Error>) -> Runs {
        let fallback = Fallback::value(INSTEAD);
        match (self.has(Stage::Fallback), self.has(Stage::Cache)) {
            (false, false) => Runs::Plain(within),
            (true, false) => Runs::Typed(within.with_fallback(fallback)),
            (false, true) => Runs::Cached(within.with_cache(self.cache.clone())),
            (true, true) => {
                Runs::Cached(within.with_cache(self.cache.clone()).with_fallback(fallback))
            }
        }
    }

    pub(super) fn stats(&self) -> ExecutorStats {
        match &self.runs {
            Runs::Plain(executor) => executor.stats(),
            Runs::Typed(executor) | Runs::Cached(executor) => executor.stats(),
        }
    }

    pub(super) fn run_blocking(&self, by: usize, lasts: Duration) -> Answer {
        let function = || self.service.call_blocking(by, lasts);
        match &self.runs {
            Runs::Plain(executor) => executor.run_blocking("key", function),
            Runs::Typed(executor) => executor.run_blocking("key", function),
            Runs::Cached(executor) => {
                executor.run_cached_blocking("key", &(by % 3).to_string(), function)
            }
        }
    }

    pub(super) async fn run(self: Rc<Self>, by: usize, lasts: Duration) -> Answer {
        let function = || self.service.call(by, lasts);
        match &self.runs {
            Runs::Plain(executor) => executor.run("key", function).await,
            Runs::Typed(executor) => executor.run("key", function).await,
            Runs::Cached(executor) => {
                executor.run_cached("key", &(by % 3).to_string(), function).await
            }
        }
    }
}

/// It opens after three failures, or when half of the last calls were slow.
fn breaker(clock: &MockClock) -> CircuitBreaker {
    let slow = SlowCallRate::new(0.5, Duration::from_millis(SLOW)).calls(8).minimum_calls(4);
    let builder = CircuitBreaker::builder().trip_on(ConsecutiveFailures::new(3)).trip_on(slow);
    let builder = builder.recovery_timeout(Duration::from_secs(2)).count_successes(true);
    builder.clock(clock).build().unwrap()
}
