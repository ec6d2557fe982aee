//! A circuit breaker that has nothing to do.

use std::time::Duration;

use failsafe::CircuitBreaker as _;
use limitpal::CircuitBreaker;
use recloser::{AsyncRecloser, Recloser};
use tower::{Service, ServiceExt, service_fn};
use tower_resilience::circuitbreaker::CircuitBreakerLayer;

use crate::measure::{Column, per_await, per_call, take_turns};
use crate::report::{OURS, Target};
use crate::suite::Suite;
use crate::waiting::runtime;

pub(crate) const RECLOSER: &str = "recloser";
const FAILSAFE: &str = "failsafe";
const TOWER_RESILIENCE: &str = "tower-resilience";

/// The user's own error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure;

pub(crate) fn ours() -> CircuitBreaker {
    CircuitBreaker::builder().build().expect("the defaults are within our range")
}

pub(crate) fn run(suite: &mut Suite) {
    suite.open(
        "Circuit breaker, closed, Rust",
        "ns per call",
        "A call that succeeds at once, through a closed breaker: `call_blocking` and `call` beside \
         the peers' calls; tower-resilience's as a service that is made ready and called.",
    );
    if suite.wants("breaker closed, success") {
        sync(suite, "breaker closed, success");
    }
    if suite.wants("breaker closed, success, async") {
        future(suite, "breaker closed, success, async");
    }
}

fn sync(suite: &mut Suite, case: &str) {
    let calls = suite.calls();
    let ours = ours();
    let recloser = Recloser::default();
    let backoff = failsafe::backoff::constant(Duration::from_secs(5));
    let policy = failsafe::failure_policy::consecutive_failures(5, backoff);
    let failsafe = failsafe::Config::new().failure_policy(policy).build();
    let rounds = take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || per_call(calls, || ours.call_blocking(|| Ok::<_, Failure>(1)))),
            Column::new(RECLOSER, || per_call(calls, || recloser.call(|| Ok::<_, Failure>(1)))),
            Column::new(FAILSAFE, || per_call(calls, || failsafe.call(|| Ok::<_, Failure>(1)))),
        ],
    );
    suite.add(case, &rounds, Some(Target::at_most(0.7).of(RECLOSER)));
}

fn future(suite: &mut Suite, case: &str) {
    let calls = suite.calls();
    let runtime = runtime();
    let ours = ours();
    let recloser = AsyncRecloser::from(Recloser::default());
    let layer = CircuitBreakerLayer::builder().build().expect("its defaults are within its range");
    let mut service = layer.layer_fn(service_fn(|()| async { Ok::<_, Failure>(1) }));
    let rounds = take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || {
                let call = async || ours.call(|| async { Ok::<_, Failure>(1) }).await;
                runtime.block_on(per_await(calls, call))
            }),
            Column::new(RECLOSER, || {
                let call = async || recloser.call(async { Ok::<_, Failure>(1) }).await;
                runtime.block_on(per_await(calls, call))
            }),
            Column::new(TOWER_RESILIENCE, || {
                let call = async || service.ready().await.expect("it is closed").call(()).await;
                runtime.block_on(per_await(calls, call))
            }),
        ],
    );
    suite.add(case, &rounds, Some(Target::at_most(0.7).of(RECLOSER)));
}
