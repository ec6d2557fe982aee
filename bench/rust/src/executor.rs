//! Limiter, retry and breaker around a call that is ready at once.

use std::hint::black_box;
use std::time::Duration;

use limitpal::{Bulkhead, CircuitBreaker, ResilientExecutor, RetryPolicy, TokenBucket};
use tower::retry::Policy;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_resilience::circuitbreaker::CircuitBreakerLayer;

use crate::breakers::{self, Failure};
use crate::measure::{Column, Rounds, Run, counted, per_await, per_call, take_turns};
use crate::peers::ENDLESS;
use crate::report::{OURS, Target};
use crate::suite::Suite;
use crate::waiting::runtime;

const LIMITER: &str = "limitpal's limiter alone";
const FIVE: &str = "five stages";
const TOWER: &str = "tower rate_limit + retry";
const TOWER_BREAKER: &str = "tower rate_limit + tower-resilience breaker + retry";
const HOUR: Duration = Duration::from_secs(3600);

const NOTE: &str = "One known key, a call that is ready at once, nothing refused: our executor \
                    with limiter, retry and breaker; that with a timeout and a bulkhead besides, five \
                    stages; our limiter's `allow` alone; and stacks of tower services, which have no \
                    keys.";

/// Returns a key of 16 bytes that the compiler knows nothing about.
pub(crate) fn known_key() -> &'static str {
    black_box("user:00000000042")
}

/// Returns an executor that has all parts.
pub(crate) fn whole(limiter: TokenBucket, breaker: CircuitBreaker) -> ResilientExecutor<Failure> {
    let builder = ResilientExecutor::builder().limiter(limiter);
    let builder = builder.retry_policy(RetryPolicy::default()).circuit_breaker(breaker);
    builder.acquire_timeout(Duration::ZERO).build().expect("options within our range")
}

/// Returns one that has a time and a bulkhead too.
fn five_stages(limiter: TokenBucket, breaker: CircuitBreaker) -> ResilientExecutor<Failure> {
    let builder = ResilientExecutor::builder().limiter(limiter).circuit_breaker(breaker);
    let builder = builder.retry_policy(RetryPolicy::default()).acquire_timeout(Duration::ZERO);
    let bulkhead = Bulkhead::new(100).expect("the limit is within our range");
    let builder = builder.bulkhead(bulkhead).timeout(HOUR).attempt_timeout(HOUR);
    builder.build().expect("options within our range")
}

pub(crate) fn run(suite: &mut Suite) {
    let mut measured = [("sync", None), ("async", None)];
    suite.open("Executor, Rust", "ns per call", NOTE);
    for (kind, rounds) in &mut measured {
        let (case, above) = (format!("executor, {kind}"), format!("executor less limiter, {kind}"));
        if suite.wants(&case) || suite.wants(&above) {
            let all = rounds.insert(measure(suite, kind)).figure(|run| run.nanos);
            suite.add(&case, &all, None);
            let less = all.derived(OURS, (OURS, LIMITER), |executor, limiter| executor - limiter);
            suite.add(&above, &less, Some(Target::at_most(15.0)));
            let five = all.derived(OURS, (FIVE, OURS), |five, _executor| five);
            let case = format!("executor of five stages, {kind}");
            suite.add(&case, &five, Some(Target::at_most(200.0)));
        }
    }
    suite.open("Executor, allocations, Rust", "per call", NOTE);
    for (kind, rounds) in &mut measured {
        let case = format!("executor, allocations, {kind}");
        if suite.wants(&case) {
            let all = rounds.get_or_insert_with(|| measure(suite, kind));
            let all = all.figure(|run| run.allocations);
            suite.add(&case, &all, Some(Target::at_most(0.0)));
        }
    }
}

fn measure(suite: &Suite, kind: &str) -> Rounds<Run> {
    if kind == "sync" { sync(suite) } else { future(suite) }
}

fn sync(suite: &Suite) -> Rounds<Run> {
    let key = known_key();
    let limiter = ENDLESS.limitpal();
    let executor = whole(limiter.clone(), breakers::ours());
    let run = || executor.run_blocking(key, || Ok::<_, Failure>(1)).is_ok();
    let whole = five_stages(limiter.clone(), breakers::ours());
    let run_guarded = || whole.run_blocking(key, || Ok::<_, Failure>(1)).is_ok();
    let calls = suite.calls();
    take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || counted(calls, || per_call(calls, run))),
            Column::new(FIVE, || counted(calls, || per_call(calls, run_guarded))),
            Column::new(LIMITER, || counted(calls, || per_call(calls, || limiter.allow(key)))),
        ],
    )
}

fn future(suite: &Suite) -> Rounds<Run> {
    let key = known_key();
    let limiter = ENDLESS.limitpal();
    let executor = whole(limiter.clone(), breakers::ours());
    let calls = suite.calls();
    let guarded_one = five_stages(limiter.clone(), breakers::ours());
    let runtime = runtime();
    let _inside = runtime.enter();
    let service = tower::service_fn(|_key: &'static str| async { Ok::<_, Failure>(1) });
    let mut tower =
        ServiceBuilder::new().rate_limit(u64::MAX, HOUR).retry(Thrice(0)).service(service);
    let breaker = CircuitBreakerLayer::builder().build();
    let mut with_breaker = ServiceBuilder::new()
        .rate_limit(u64::MAX, HOUR)
        .layer(breaker.expect("its defaults are within its range"))
        .retry(Thrice(0))
        .service(service);
    take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || {
                let run = async || executor.run(key, async || Ok::<_, Failure>(1)).await.is_ok();
                counted(calls, || runtime.block_on(per_await(calls, run)))
            }),
            Column::new(FIVE, || {
                let run = async || guarded_one.run(key, async || Ok::<_, Failure>(1)).await.is_ok();
                counted(calls, || runtime.block_on(per_await(calls, run)))
            }),
            Column::new(LIMITER, || {
                let allow = async || limiter.allow(key);
                counted(calls, || runtime.block_on(per_await(calls, allow)))
            }),
            Column::new(TOWER, || {
                let mut call =
                    async || tower.ready().await.expect("nothing fails").call(key).await.is_ok();
                counted(calls, || runtime.block_on(per_await(calls, &mut call)))
            }),
            Column::new(TOWER_BREAKER, || {
                let mut call = async || {
                    with_breaker.ready().await.expect("nothing fails").call(key).await.is_ok()
                };
                counted(calls, || runtime.block_on(per_await(calls, &mut call)))
            }),
        ],
    )
}

/// Up to three attempts, for tower.
#[derive(Clone, Copy)]
struct Thrice(u32);

impl<Request: Clone, Response> Policy<Request, Response, Failure> for Thrice {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _request: &mut Request,
        result: &mut Result<Response, Failure>,
    ) -> Option<Self::Future> {
        self.0 += 1;
        (result.is_err() && self.0 < 3).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        Some(request.clone())
    }
}
