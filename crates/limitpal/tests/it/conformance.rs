//! The cases of `conformance/`, which all languages share, run through the public names.
#![expect(clippy::unwrap_used, reason = "a broken case fails with its file and line as well")]

mod adaptive;
mod adaptive_rate;
mod backoff;
mod breaker;
mod build;
mod cases;
mod concurrency;
mod limiters;
pub(crate) mod parked;
mod pipeline;
mod script;
pub(crate) mod tasks;
mod waiting;
mod words;

use std::collections::BTreeSet;

use cases::{directory, read, run_all};
use limiters::LimiterCase;
use waiting::WaitingCase;

/// How a case is driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// One thread, whose waits move the mock clock.
    Blocking,
    /// Futures on the mock clock.
    Async,
    /// Real threads on a clock of the user's, whose sleepers nobody can move.
    Threads,
}

const FILES: [&str; 19] = [
    "adaptive_concurrency",
    "adaptive_limiter",
    "backoff",
    "breaker",
    "client_throttle",
    "composite",
    "concurrency",
    "fair_bucket",
    "hedges",
    "leaky_bucket",
    "live_change",
    "pipeline",
    "strict",
    "timeouts",
    "token_bucket",
    "waiting",
    "warm_up",
    "windows",
    "words",
];

fn limiters(file: &str, mode: Mode) {
    run_all(file, |case: &LimiterCase| limiters::run(case, mode));
}

#[test]
fn token_buckets_decide_as_written_blocking() {
    limiters("token_bucket", Mode::Blocking);
}

#[test]
fn token_buckets_decide_as_written_async() {
    limiters("token_bucket", Mode::Async);
}

#[test]
fn leaky_buckets_decide_as_written_blocking() {
    limiters("leaky_bucket", Mode::Blocking);
}

#[test]
fn leaky_buckets_decide_as_written_async() {
    limiters("leaky_bucket", Mode::Async);
}

#[test]
fn fair_buckets_decide_as_written_blocking() {
    limiters("fair_bucket", Mode::Blocking);
}

#[test]
fn fair_buckets_decide_as_written_async() {
    limiters("fair_bucket", Mode::Async);
}

#[test]
fn limits_change_as_written_blocking() {
    limiters("live_change", Mode::Blocking);
}

#[test]
fn limits_change_as_written_async() {
    limiters("live_change", Mode::Async);
}

#[test]
fn windows_decide_as_written_blocking() {
    for file in ["windows", "strict", "warm_up"] {
        limiters(file, Mode::Blocking);
    }
}

#[test]
fn windows_decide_as_written_async() {
    for file in ["windows", "strict", "warm_up"] {
        limiters(file, Mode::Async);
    }
}

#[test]
fn composites_decide_as_written_blocking() {
    limiters("composite", Mode::Blocking);
}

#[test]
fn composites_decide_as_written_async() {
    limiters("composite", Mode::Async);
}

#[test]
fn those_who_wait_go_as_written_async() {
    run_all("waiting", |case: &WaitingCase| waiting::run(case, Mode::Async));
}

#[test]
fn those_who_wait_go_as_written_on_threads_of_a_clock_that_cannot_move_them() {
    run_all("waiting", |case: &WaitingCase| waiting::run(case, Mode::Threads));
}

#[test]
fn permits_go_to_those_who_wait_as_written() {
    run_all("concurrency", concurrency::run);
}

#[test]
fn delays_grow_as_written() {
    run_all("backoff", backoff::run);
}

#[test]
fn words_mean_what_is_written() {
    run_all("words", words::run);
}

#[test]
fn breakers_change_state_as_written_blocking() {
    run_all("breaker", |case| breaker::run(case, Mode::Blocking));
}

#[test]
fn breakers_change_state_as_written_async() {
    run_all("breaker", |case| breaker::run(case, Mode::Async));
}

#[test]
fn throttles_count_and_refuse_as_written() {
    run_all("client_throttle", adaptive::run_throttle);
}

#[test]
fn adaptive_rates_move_as_written() {
    run_all("adaptive_limiter", adaptive_rate::run);
}

#[test]
fn adaptive_limits_move_as_written() {
    run_all("adaptive_concurrency", adaptive::run_limit);
}

#[test]
fn runs_go_through_the_pipeline_as_written_blocking() {
    run_all("pipeline", |case| pipeline::run(case, Mode::Blocking));
}

#[test]
fn runs_go_through_the_pipeline_as_written_async() {
    run_all("pipeline", |case| pipeline::run(case, Mode::Async));
}

#[test]
fn runs_go_through_the_pipeline_as_written_on_threads_of_a_users_clock() {
    run_all("pipeline", |case| pipeline::run(case, Mode::Threads));
}

#[test]
fn runs_and_attempts_end_in_time_as_written_blocking() {
    run_all("timeouts", |case| pipeline::run(case, Mode::Blocking));
}

#[test]
fn runs_and_attempts_end_in_time_as_written_async() {
    run_all("timeouts", |case| pipeline::run(case, Mode::Async));
}

#[test]
fn runs_and_attempts_end_in_time_as_written_on_threads_of_a_users_clock() {
    run_all("timeouts", |case| pipeline::run(case, Mode::Threads));
}

/// A blocking run in Rust has no hedge.
#[test]
fn slow_attempts_get_hedges_as_written_async() {
    run_all("hedges", |case| pipeline::run(case, Mode::Async));
}

#[test]
fn every_file_of_cases_is_run() {
    let known = FILES.map(|name| format!("{name}.json")).into();

    let found: BTreeSet<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();

    assert_eq!(found, known, "conformance.rs names each file that it runs");
}

/// Runs one written case, which a test breaks on purpose.
fn run_text(case: &str) -> Result<(), String> {
    let text = format!(r#"{{"about": "a broken one", "cases": [{case}]}}"#);
    let cases: Vec<LimiterCase> = read(&text)?;
    limiters::run(&cases[0], Mode::Blocking)
}

fn one_step(step: &str) -> String {
    let limiter = r#"{"kind": "token_bucket", "capacity": 1, "rate": "1"}"#;
    format!(r#"{{"name": "n", "why": "w", "limiter": {limiter}, "steps": [{step}]}}"#)
}

#[test]
fn a_wrong_case_fails() {
    let right = r#"{"at": "0", "do": "check", "key": "a", "allowed": true, "reset_after": "1"}"#;
    assert_eq!(Ok(()), run_text(&one_step(right)));

    for (from, to) in [
        ("true", "false"),
        (r#""reset_after": "1""#, r#""reset_after": "2""#),
        (r#""reset_after": "1""#, r#""reset_after": "1.0""#),
        (r#""reset_after": "1""#, r#""surplus": "1""#),
        (r#", "allowed": true, "reset_after": "1""#, ""),
        (r#""at": "0""#, r#""at": "-1""#),
        ("check", "chek"),
        (r#""key": "a""#, r#""key": "a", "timeout": "1""#),
    ] {
        let wrong = right.replacen(from, to, 1);
        assert!(run_text(&one_step(&wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn a_malformed_file_fails() {
    let whole = format!(r#"{{"about": "a", "cases": [{}]}}"#, one_step(""));
    assert!(read::<LimiterCase>(&whole).is_ok());

    for (from, to) in [
        (r#""about": "a""#, r#""about": "a", "surplus": 1"#),
        (r#""why": "w""#, r#""why": "w", "surplus": 1"#),
        (r#""rate": "1""#, r#""rate": "1", "surplus": 1"#),
        (r#""why": "w""#, r#""why": """#),
        ("token_bucket", "token_buckets"),
    ] {
        let wrong = whole.replacen(from, to, 1);
        assert!(read::<LimiterCase>(&wrong).is_err(), "{wrong}");
    }
    assert!(read::<LimiterCase>(r#"{"about": "a", "cases": []}"#).is_err(), "no cases");
}

#[test]
fn a_step_back_needs_set_time() {
    let steps = r#"{"at": "1", "do": "len", "len": 0}, {"at": "0", "do": "len", "len": 0}"#;
    assert!(run_text(&one_step(steps)).is_err());
}
