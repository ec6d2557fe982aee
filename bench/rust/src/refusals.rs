//! What it costs to say no.

use std::time::Duration;

use limitpal::{CircuitBreaker, ResilientExecutor, TokenBucket};
use recloser::Recloser;

use crate::breakers::{self, Failure, RECLOSER};
use crate::executor::{known_key, whole};
use crate::measure::{Column, Rounds, Run, counted, per_await, per_call, take_turns};
use crate::peers::{ENDLESS, GOVERNOR, SPENT};
use crate::report::{OURS, Target};
use crate::suite::Suite;
use crate::waiting::runtime;

const ADMITTED: &str = "limitpal admitted";
const NOW: Duration = Duration::ZERO;

const NOTE: &str = "Refused calls beside the same call admitted, each in a limiter or executor of \
                    its own; executors have limiter, retry and breaker.";

type Executor = ResilientExecutor<Failure>;
type Case = fn(&Suite) -> Rounds<Run>;

const CASES: [(&str, Case); 6] = [
    ("allow refused", allow),
    ("acquire refused, sync", acquire),
    ("executor refused by its limiter, sync", by_limiter),
    ("executor refused by its limiter, async", by_limiter_async),
    ("executor refused by its breaker, sync", by_breaker),
    ("executor refused by its breaker, async", by_breaker_async),
];

pub(crate) fn run(suite: &mut Suite) {
    let mut measured = CASES.map(|(name, case)| (name, case, None));
    suite.open("Refusals, Rust", "ns per call", NOTE);
    for (name, case, rounds) in &mut measured {
        if suite.wants(name) {
            let all = rounds.insert(case(suite)).figure(|run| run.nanos);
            suite.add(name, &all, Some(Target::at_most(1.2).of(ADMITTED)));
        }
    }
    if suite.wants("breaker alone refused") {
        let rounds = breaker_alone(suite).figure(|run| run.nanos);
        suite.add("breaker alone refused", &rounds, None);
    }
    suite.open("Refusals, allocations, Rust", "per call", NOTE);
    for (name, case, rounds) in &mut measured {
        if suite.wants(name) {
            let all = rounds.get_or_insert_with(|| case(suite)).figure(|run| run.allocations);
            suite.add(name, &all, Some(Target::at_most(0.0)));
        }
    }
}

fn allow(suite: &Suite) -> Rounds<Run> {
    let (spent, full) = (SPENT.limitpal(), ENDLESS.limitpal());
    let (governor, key) = (SPENT.governor(), known_key().to_owned());
    assert!(spent.allow(&key) && governor.check_key(&key).is_ok(), "there was one");
    assert!(!spent.allow(&key) && governor.check_key(&key).is_err(), "and it is gone");
    let calls = suite.calls();
    let by_governor = || per_call(calls, || governor.check_key(&key).is_ok());
    take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || counted(calls, || per_call(calls, || spent.allow(&key)))),
            Column::new(ADMITTED, || counted(calls, || per_call(calls, || full.allow(&key)))),
            Column::new(GOVERNOR, || counted(calls, by_governor)),
        ],
    )
}

fn acquire(suite: &Suite) -> Rounds<Run> {
    let key = known_key();
    let (spent, full) = (SPENT.limitpal(), ENDLESS.limitpal());
    assert!(spent.allow(key), "there was one");
    assert!(spent.acquire_timeout_blocking(key, NOW).is_err(), "and it is gone");
    let calls = suite.calls();
    let time =
        |limiter: &TokenBucket| per_call(calls, || limiter.acquire_timeout_blocking(key, NOW));
    take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || counted(calls, || time(&spent))),
            Column::new(ADMITTED, || counted(calls, || time(&full))),
        ],
    )
}

fn by_limiter(suite: &Suite) -> Rounds<Run> {
    executors(suite, &out_of_quota())
}

fn by_limiter_async(suite: &Suite) -> Rounds<Run> {
    executors_async(suite, &out_of_quota())
}

fn by_breaker(suite: &Suite) -> Rounds<Run> {
    executors(suite, &open())
}

fn by_breaker_async(suite: &Suite) -> Rounds<Run> {
    executors_async(suite, &open())
}

/// Returns an executor whose limiter has nothing left.
fn out_of_quota() -> Executor {
    let key = known_key();
    let limiter = SPENT.limitpal();
    assert!(limiter.allow(key), "there was one");
    let executor = whole(limiter, breakers::ours());
    assert!(executor.run_blocking(key, || Ok(1)).is_err(), "and it is gone");
    executor
}

/// Returns an executor whose circuit is open.
fn open() -> Executor {
    let key = known_key();
    let executor = whole(ENDLESS.limitpal(), opened());
    assert!(executor.run_blocking(key, || Ok(1)).is_err(), "the circuit is open");
    executor
}

fn opened() -> CircuitBreaker {
    let builder = CircuitBreaker::builder().recovery_timeout(Duration::from_secs(36_000));
    let breaker = builder.build().expect("options within our range");
    for _ in 0..5 {
        breaker.record_failure();
    }
    breaker
}

fn executors(suite: &Suite, refusing: &Executor) -> Rounds<Run> {
    let admitting = whole(ENDLESS.limitpal(), breakers::ours());
    let (calls, key) = (suite.calls(), known_key());
    let time = |executor: &Executor| per_call(calls, || executor.run_blocking(key, || Ok(1)));
    take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || counted(calls, || time(refusing))),
            Column::new(ADMITTED, || counted(calls, || time(&admitting))),
        ],
    )
}

fn executors_async(suite: &Suite, refusing: &Executor) -> Rounds<Run> {
    let admitting = whole(ENDLESS.limitpal(), breakers::ours());
    let (calls, key, runtime) = (suite.calls(), known_key(), runtime());
    let time = |executor: &Executor| {
        let run = async || executor.run(key, async || Ok(1)).await;
        runtime.block_on(per_await(calls, run))
    };
    take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || counted(calls, || time(refusing))),
            Column::new(ADMITTED, || counted(calls, || time(&admitting))),
        ],
    )
}

fn breaker_alone(suite: &Suite) -> Rounds<Run> {
    let (open, closed) = (opened(), breakers::ours());
    let recloser = Recloser::custom().closed_len(1).open_wait(Duration::from_secs(36_000)).build();
    for _ in 0..2 {
        let answer = recloser.call(|| Err::<u32, _>(Failure));
        assert!(answer.is_err(), "a failure stays one");
    }
    assert!(recloser.call(|| Ok::<_, Failure>(1)).is_err(), "it is open");
    let calls = suite.calls();
    let time = |breaker: &CircuitBreaker| {
        per_call(calls, || breaker.call_blocking(|| Ok::<_, Failure>(1)))
    };
    let by_recloser = || per_call(calls, || recloser.call(|| Ok::<_, Failure>(1)));
    take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || counted(calls, || time(&open))),
            Column::new(ADMITTED, || counted(calls, || time(&closed))),
            Column::new(RECLOSER, || counted(calls, by_recloser)),
        ],
    )
}
