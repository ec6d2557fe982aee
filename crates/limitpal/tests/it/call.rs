//! The machine of one run: what it asks for, in which order, and what it does when told.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use limitpal::{
    BreakerCell, BreakerSettings, Call, Charge, CircuitBreakerOpen, CircuitState, Failure, Instant,
    Outcome, Plan, RateLimitExceeded, RetryAfter, RetrySettings, Step, Stop, StopReason,
};

const SECOND: Duration = Duration::from_secs(1);
const NO_WAIT: Duration = Duration::ZERO;

/// A time for which nobody should have asked.
fn untimely() -> Result<Instant, Infallible> {
    panic!("the time was read without need")
}

fn at(seconds: u32) -> impl Fn() -> Result<Instant, Infallible> + Copy {
    move || Ok(Instant::ZERO + seconds * SECOND)
}

/// A breaker that one failure opens, for ten seconds.
fn breaker() -> Arc<BreakerCell> {
    let settings = BreakerSettings::new(1, 10 * SECOND, 1).expect("settings in range");
    Arc::new(BreakerCell::new(settings))
}

/// Three attempts, a limiter, a breaker: everything there is.
fn plan(charge: Charge) -> Plan {
    let retry = RetrySettings::new(3, (1.0, 9.0), 2.0, 0.0, None).expect("settings in range");
    let mut plan = Plan::default();
    plan.retry = Some(Arc::new(retry));
    plan.breaker = Some(breaker());
    plan.has_limiter = true;
    plan.charge = charge;
    plan
}

fn cell(plan: &Plan) -> &BreakerCell {
    plan.breaker.as_ref().expect("this plan has a breaker")
}

fn open(plan: &Plan, seconds: u32) {
    let Ok(()) = cell(plan).record_bare(Outcome::Failure, at(seconds));
}

fn state(plan: &Plan, seconds: u32) -> CircuitState {
    let Ok(state) = cell(plan).state(at(seconds));
    state
}

/// Returns whether a half-open circuit has its one place free.
fn has_place(plan: &Plan, seconds: u32) -> bool {
    let Ok(answer) = cell(plan).admit(at(seconds));
    answer.map(|permit| cell(plan).give_back(permit)).is_ok()
}

fn step(call: &mut Call<&Plan>, seconds: u32) -> Step {
    let Ok(step) = call.next(at(seconds));
    step
}

fn fail(call: &mut Call<&Plan>, seconds: u32) {
    let Ok(()) = call.failed(Failure::new(true, true), at(seconds));
}

const ACQUIRE: Step = Step::Acquire { timeout: None };

#[test]
fn a_healthy_run_asks_for_no_time() {
    for charge in [Charge::Call, Charge::Attempt] {
        let plan = plan(charge);
        let mut call = Call::new(&plan);

        assert_eq!(Ok(ACQUIRE), call.next(untimely));
        call.granted(NO_WAIT);
        assert_eq!(Ok(Step::Attempt(1)), call.next(untimely));
        assert_eq!(Ok(()), call.succeeded(untimely));
        assert_eq!(1, call.attempts());
    }
}

#[test]
fn an_empty_plan_is_one_attempt() {
    let plan = Plan::default();
    let mut call = Call::new(&plan);

    assert_eq!(Ok(Step::Attempt(1)), call.next(untimely));
    assert_eq!(Ok(()), call.failed(Failure::new(true, true), untimely));
    assert_eq!(Ok(Step::Stop(Stop::Failed)), call.next(untimely));
}

#[test]
fn a_call_can_own_its_plan() {
    let mut call = Call::new(Arc::new(plan(Charge::Call)));

    assert_eq!(Ok(ACQUIRE), call.next(untimely));
}

#[test]
fn each_step_is_repeated_until_it_is_told() {
    let plan = plan(Charge::Call);
    let mut call = Call::new(&plan);
    let mut thrice = |expected, tell: fn(&mut Call<&Plan>)| {
        assert_eq!([expected; 3], [(); 3].map(|()| step(&mut call, 0)));
        tell(&mut call);
    };

    thrice(ACQUIRE, |call| call.granted(NO_WAIT));
    thrice(Step::Attempt(1), |call| fail(call, 0));
    thrice(Step::Wait(SECOND), |call| call.slept());
    thrice(Step::Attempt(2), |call| fail(call, 0));
    thrice(Step::Wait(2 * SECOND), |call| call.slept());
    thrice(Step::Attempt(3), |call| fail(call, 0));
    thrice(Step::Stop(Stop::RetryExhausted(StopReason::Attempts)), |_| {});
}

#[test]
fn a_failed_reading_comes_out_unchanged_and_changes_nothing() {
    let plan = plan(Charge::Call);
    open(&plan, 0);
    let mut call = Call::new(&plan);

    assert_eq!(Err("fell down"), call.next(|| Err("fell down")));
    assert_eq!(ACQUIRE, step(&mut call, 10));
    call.granted(SECOND);
    assert_eq!(Err("fell down"), call.next(|| Err("fell down")));

    assert_eq!(Step::Attempt(1), step(&mut call, 11));
    assert!(!has_place(&plan, 11), "the permit is still out");
}

#[test]
fn an_open_circuit_refuses_before_any_quota_is_asked_for() {
    let plan = plan(Charge::Call);
    open(&plan, 0);
    let mut call = Call::new(&plan);

    let refusal = Stop::CircuitBreakerOpen(CircuitBreakerOpen::new(7 * SECOND));

    assert_eq!(Step::Stop(refusal), step(&mut call, 3));
}

#[test]
fn a_refusal_of_the_limiter_gives_the_permit_back() {
    let plan = plan(Charge::Call);
    open(&plan, 0);
    let mut call = Call::new(&plan);
    assert_eq!(ACQUIRE, step(&mut call, 10));
    assert!(!has_place(&plan, 10));

    call.refused(RetryAfter::After(SECOND));

    assert!(has_place(&plan, 10));
    assert_eq!(CircuitState::HalfOpen, state(&plan, 10));
    let refusal = RateLimitExceeded::new(RetryAfter::After(SECOND));
    assert_eq!(Step::Stop(Stop::RateLimitExceeded(refusal)), step(&mut call, 10));
}

#[test]
fn dropping_a_call_gives_its_permit_back() {
    let plan = plan(Charge::Call);
    open(&plan, 0);
    let mut call = Call::new(&plan);
    assert_eq!(ACQUIRE, step(&mut call, 10));
    assert!(!has_place(&plan, 10));

    drop(call);

    assert!(has_place(&plan, 10));
    assert_eq!(CircuitState::HalfOpen, state(&plan, 10));
}

/// Opens the circuit while a run waits for quota, and returns what comes next at `seconds`.
fn opened_while_waiting_for_quota(seconds: u32) -> Step {
    let plan = plan(Charge::Call);
    let mut call = Call::new(&plan);
    assert_eq!(ACQUIRE, step(&mut call, 0));
    open(&plan, 0);
    call.granted(seconds * SECOND);
    step(&mut call, seconds)
}

#[test]
fn after_a_wait_for_quota_the_breaker_is_asked_again() {
    let refusal = Stop::CircuitBreakerOpen(CircuitBreakerOpen::new(SECOND));

    assert_eq!(Step::Stop(refusal), opened_while_waiting_for_quota(9));
    assert_eq!(Step::Attempt(1), opened_while_waiting_for_quota(10));
}

#[test]
fn quota_that_was_there_at_once_asks_nobody_again() {
    let plan = plan(Charge::Call);
    let mut call = Call::new(&plan);
    assert_eq!(ACQUIRE, step(&mut call, 0));
    open(&plan, 0);

    call.granted(NO_WAIT);

    assert_eq!(Step::Attempt(1), step(&mut call, 0));
}

#[test]
fn a_probe_that_is_still_good_after_a_wait_keeps_its_place() {
    let plan = plan(Charge::Call);
    open(&plan, 0);
    let mut call = Call::new(&plan);
    assert_eq!(ACQUIRE, step(&mut call, 10));

    call.granted(9 * SECOND);
    assert_eq!(Step::Attempt(1), step(&mut call, 19));
    let Ok(()) = call.succeeded(at(19));

    assert_eq!(CircuitState::Closed, state(&plan, 19));
}

#[test]
fn a_probe_that_lapsed_while_it_waited_asks_for_another_place() {
    let plan = plan(Charge::Call);
    open(&plan, 0);
    let mut call = Call::new(&plan);
    assert_eq!(ACQUIRE, step(&mut call, 10));
    let Ok(Ok(taken)) = cell(&plan).admit(at(20)) else { panic!("the place was not free") };

    call.granted(11 * SECOND);

    let refusal = Stop::CircuitBreakerOpen(CircuitBreakerOpen::new(9 * SECOND));
    assert_eq!(Step::Stop(refusal), step(&mut call, 21));
    cell(&plan).give_back(taken);
}

#[test]
fn a_circuit_that_opens_between_two_attempts_ends_the_run() {
    let plan = plan(Charge::Call);
    let mut call = Call::new(&plan);
    step(&mut call, 0);
    call.granted(NO_WAIT);
    step(&mut call, 0);
    fail(&mut call, 0);
    open(&plan, 0);
    call.slept();

    assert_eq!(Step::Stop(Stop::RetryExhausted(StopReason::CircuitOpen)), step(&mut call, 1));
}

#[test]
fn an_own_refusal_of_the_function_is_not_retried_and_gives_the_permit_back() {
    let plan = plan(Charge::Call);
    open(&plan, 0);
    let mut call = Call::new(&plan);
    step(&mut call, 10);
    call.granted(NO_WAIT);
    step(&mut call, 10);

    call.own_refusal();

    assert_eq!(Step::Stop(Stop::Failed), step(&mut call, 10));
    assert_eq!(CircuitState::HalfOpen, state(&plan, 10));
    assert!(has_place(&plan, 10));
}

/// Fails two attempts, then succeeds, and returns the steps, and the state before the success.
fn two_failures(charge: Charge, failures_open: u32) -> (Vec<Step>, CircuitState) {
    let mut plan = plan(charge);
    let settings = BreakerSettings::new(failures_open, 10 * SECOND, 1).expect("settings in range");
    plan.breaker = Some(Arc::new(BreakerCell::new(settings)));
    let mut call = Call::new(&plan);
    let mut steps = Vec::new();
    loop {
        let next = step(&mut call, 0);
        steps.push(next);
        match next {
            Step::Acquire { .. } => call.granted(NO_WAIT),
            Step::Wait(_) => call.slept(),
            Step::Attempt(1 | 2) => fail(&mut call, 0),
            Step::Attempt(_) => break,
            _ => break,
        }
    }
    (steps, state(&plan, 0))
}

#[test]
fn charge_call_takes_quota_once_and_tells_the_breaker_once() {
    let (steps, state) = two_failures(Charge::Call, 1);

    let waits = [Step::Wait(SECOND), Step::Wait(2 * SECOND)];
    let expected =
        [ACQUIRE, Step::Attempt(1), waits[0], Step::Attempt(2), waits[1], Step::Attempt(3)];
    assert_eq!(expected, steps[..]);
    assert_eq!(CircuitState::Closed, state);
}

#[test]
fn charge_attempt_takes_quota_before_each_and_tells_the_breaker_of_each() {
    let (steps, state) = two_failures(Charge::Attempt, 3);

    let first = [ACQUIRE, Step::Attempt(1), Step::Wait(SECOND)];
    let second = [ACQUIRE, Step::Attempt(2), Step::Wait(2 * SECOND)];
    assert_eq!([&first[..], &second, &[ACQUIRE, Step::Attempt(3)]].concat(), steps);
    assert_eq!(CircuitState::Closed, state);

    let (steps, state) = two_failures(Charge::Attempt, 2);
    let stop = Step::Stop(Stop::RetryExhausted(StopReason::CircuitOpen));
    assert_eq!([&first[..], &second, &[stop]].concat(), steps);
    assert_eq!(CircuitState::Open, state);
}

#[test]
fn the_wait_for_quota_is_limited_over_the_whole_run() {
    let mut plan = plan(Charge::Attempt);
    plan.breaker = None;
    plan.acquire_timeout = Some(3 * SECOND);
    let mut call = Call::new(&plan);
    let acquire = |seconds| Step::Acquire { timeout: Some(seconds * SECOND) };

    assert_eq!(acquire(3), step(&mut call, 0));
    call.granted(2 * SECOND);
    assert_eq!(Step::Attempt(1), step(&mut call, 2));
    fail(&mut call, 2);
    call.slept();
    assert_eq!(acquire(1), step(&mut call, 3));
    call.granted(5 * SECOND);
    assert_eq!(Step::Attempt(2), step(&mut call, 8));
    fail(&mut call, 8);
    call.slept();

    assert_eq!(acquire(0), step(&mut call, 10));
    call.refused(RetryAfter::After(SECOND));
    assert_eq!(Step::Stop(Stop::RetryExhausted(StopReason::RateLimited)), step(&mut call, 10));
}

#[test]
fn an_error_that_does_not_count_leaves_no_trace_in_the_breaker() {
    let plan = plan(Charge::Call);
    open(&plan, 0);
    let mut call = Call::new(&plan);
    step(&mut call, 10);
    call.granted(NO_WAIT);
    step(&mut call, 10);

    let Ok(()) = call.failed(Failure::new(false, false), untimely);

    assert_eq!(Step::Stop(Stop::Failed), step(&mut call, 10));
    assert_eq!(CircuitState::HalfOpen, state(&plan, 10));
    assert!(has_place(&plan, 10));
}

#[test]
fn an_error_that_is_not_retryable_comes_out_unchanged_on_whichever_attempt() {
    for failures_before in [0, 1, 2] {
        let mut plan = plan(Charge::Call);
        plan.breaker = None;
        let mut call = Call::new(&plan);
        step(&mut call, 0);
        call.granted(NO_WAIT);
        for _ in 0..failures_before {
            step(&mut call, 0);
            fail(&mut call, 0);
            call.slept();
        }
        step(&mut call, 0);

        let Ok(()) = call.failed(Failure::new(false, true), untimely);

        assert_eq!(Step::Stop(Stop::Failed), step(&mut call, 0));
        assert_eq!(failures_before + 1, call.attempts());
    }
}

#[test]
fn the_words_of_charge_are_those_of_python() {
    assert_eq!("call", Charge::default().to_string());
    assert_eq!("attempt", Charge::Attempt.to_string());
}
