//! Whole runs: when the function is called, how the run ends, what its parts have then.

use std::sync::{Mutex, PoisonError};

use limitpal::{
    Bulkhead, Charge, CircuitBreaker, ConcurrencyPermit, ExecutorStats, Hedge, Instant, MockClock,
    ResilientExecutor, RetryPolicy, SharedClock,
};
use serde::Deserialize;

use super::Mode;
use super::backoff::PolicySpec;
use super::breaker::observe;
use super::build::{BreakerSpec, Built, LimiterSpec};
use super::cases::{Case, Seconds, Seen, Step, instant, number, seen};
use super::parked::ParkedClock;
use super::script::{Failure, Script, block, ended, kind, wait};
use super::tasks::Tasks;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipelineCase {
    name: String,
    why: String,
    limiter: Option<LimiterSpec>,
    retry: Option<PolicySpec>,
    breaker: Option<BreakerSpec>,
    bulkhead: Option<BulkheadSpec>,
    #[serde(default)]
    charge: ChargeSpec,
    acquire_timeout: Option<Seconds>,
    timeout: Option<Seconds>,
    attempt_timeout: Option<Seconds>,
    hedge: Option<HedgeSpec>,
    slow_attempts: Option<SlowAttempts>,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BulkheadSpec {
    limit: u32,
    #[serde(default)]
    max_waiting: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HedgeSpec {
    delay: Seconds,
    max_hedges: Option<u32>,
    max_extra_load: Option<String>,
    minimum_per_second: Option<String>,
    window: Option<Seconds>,
}

/// What becomes of an attempt whose time is over, where that makes a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SlowAttempts {
    Cut,
    Late,
}

impl HedgeSpec {
    fn build(&self) -> Hedge {
        let mut builder = Hedge::builder().delay(self.delay.duration());
        if let Some(max_hedges) = self.max_hedges {
            builder = builder.max_hedges(max_hedges);
        }
        if let Some(load) = &self.max_extra_load {
            builder = builder.max_extra_load(number(load));
        }
        if let Some(minimum) = &self.minimum_per_second {
            builder = builder.minimum_per_second(number(minimum));
        }
        if let Some(window) = self.window {
            builder = builder.window(window.duration());
        }
        builder.build().unwrap()
    }
}

#[derive(Clone, Copy, Default, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChargeSpec {
    #[default]
    Call,
    Attempt,
}

impl Case for PipelineCase {
    fn name(&self) -> &str {
        &self.name
    }

    fn why(&self) -> &str {
        &self.why
    }
}

/// What others do while a run lasts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    at: Seconds,
    r#do: Deed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Deed {
    RecordFailure,
    BreakerAllow,
    Enter,
    Leave,
}

/// A clock, and how a run is driven on it.
enum Time {
    /// On this very thread, which moves the clock.
    Blocking(MockClock),
    Async(MockClock),
    Threads(ParkedClock),
}

impl Time {
    fn new(mode: Mode) -> Self {
        match mode {
            Mode::Blocking => Self::Blocking(MockClock::new()),
            Mode::Async => Self::Async(MockClock::new()),
            Mode::Threads => Self::Threads(ParkedClock::default()),
        }
    }

    fn shared(&self) -> SharedClock {
        match self {
            Self::Blocking(clock) | Self::Async(clock) => clock.into(),
            Self::Threads(clock) => clock.shared(),
        }
    }

    fn move_to(&self, at: Instant) -> Result<(), String> {
        let now = self.shared().now();
        if at < now {
            return Err(format!("it is {} already", instant(now)));
        }
        match self {
            Self::Blocking(clock) | Self::Async(clock) => {
                clock.advance(at.saturating_duration_since(now));
            }
            Self::Threads(clock) => clock.move_to(at),
        }
        Ok(())
    }
}

struct Bench {
    time: Time,
    limiter: Option<Built>,
    breaker: Option<CircuitBreaker>,
    bulkhead: Option<Bulkhead>,
    /// The places of others in the bulkhead.
    others: Mutex<Vec<ConcurrencyPermit>>,
    executor: ResilientExecutor<Failure>,
}

pub(super) fn run(case: &PipelineCase, mode: Mode) -> Result<(), String> {
    if mode == Mode::Blocking && case.steps.iter().any(|step| step.has("meanwhile")) {
        // With one thread nobody else does anything meanwhile; with several this case is run.
        return Ok(());
    }
    // An awaited attempt is cut, a blocking one cannot be.
    let unlike = if mode == Mode::Async { SlowAttempts::Late } else { SlowAttempts::Cut };
    if case.slow_attempts == Some(unlike) {
        return Ok(());
    }
    let bench = build(case, Time::new(mode));
    for step in &case.steps {
        take_step(step.clone(), &bench)
            .map_err(|error| format!("{}\n    {error}", step.shown()))?;
    }
    Ok(())
}

fn build(case: &PipelineCase, time: Time) -> Bench {
    let clock = time.shared();
    let limiter = case.limiter.as_ref().map(|spec| spec.build(&clock));
    let breaker = case.breaker.as_ref().map(|spec| spec.build(&clock));
    let mut builder = ResilientExecutor::<Failure>::builder()
        .clock(clock)
        .ignore(|error| kind(error) == "ignored")
        .charge(match case.charge {
            ChargeSpec::Call => Charge::Call,
            ChargeSpec::Attempt => Charge::Attempt,
        });
    if let Some(limiter) = &limiter {
        builder = builder.limiter(limiter.any.clone());
    }
    if let Some(retry) = &case.retry {
        let policy: RetryPolicy<Failure> =
            retry.builder().retry_if(|error| kind(error) != "fatal").build().unwrap();
        builder = builder.retry_policy(policy);
    }
    if let Some(breaker) = &breaker {
        builder = builder.circuit_breaker(breaker.clone());
    }
    if let Some(timeout) = case.acquire_timeout {
        builder = builder.acquire_timeout(timeout.duration());
    }
    if let Some(timeout) = case.timeout {
        builder = builder.timeout(timeout.duration());
    }
    if let Some(timeout) = case.attempt_timeout {
        builder = builder.attempt_timeout(timeout.duration());
    }
    if let Some(hedge) = &case.hedge {
        builder = builder.hedge(hedge.build());
    }
    let bulkhead = case.bulkhead.map(|BulkheadSpec { limit, max_waiting }| {
        Bulkhead::builder(limit).max_waiting(max_waiting).build().unwrap()
    });
    if let Some(bulkhead) = &bulkhead {
        builder = builder.bulkhead(bulkhead.clone());
    }
    let (executor, others) = (builder.build().unwrap(), Mutex::default());
    Bench { time, limiter, breaker, bulkhead, others, executor }
}

fn take_step(mut step: Step, bench: &Bench) -> Result<(), String> {
    let call: String = step.take("do")?;
    let at: Seconds = step.take("at")?;
    bench.time.move_to(at.instant())?;
    let seen = match &*call {
        "run" => bench.run(&mut step)?,
        "state" | "record_failure" => observe(&call, bench.breaker()?)?,
        "stats" => counted(bench.executor.stats()),
        "enter" => bench.enter().map(|()| Seen::new())?,
        "leave" => bench.leave().map(|()| Seen::new())?,
        "in_flight" => {
            let inside = bench.bulkhead.as_ref().ok_or("this case has no bulkhead")?.in_flight();
            seen([("in_flight", inside.into())])
        }
        _ => {
            let limiter = bench.limiter.as_ref().ok_or("this case has no limiter")?;
            limiter.target(&mut step)?.observe(&call, &mut step)?
        }
    };
    step.compare(&seen)
}

fn counted(stats: ExecutorStats) -> Seen {
    seen([
        ("calls", stats.calls.into()),
        ("successes", stats.successes.into()),
        ("failures", stats.failures.into()),
        ("attempts", stats.attempts.into()),
        ("firsts", stats.firsts.into()),
        ("retries", stats.retries.into()),
        ("recovered", stats.recovered.into()),
        ("exhausted", stats.exhausted.into()),
        ("hedges", stats.hedges.into()),
        ("hedge_wins", stats.hedge_wins.into()),
        ("timeouts", stats.timeouts.into()),
        ("timed_out", stats.timed_out.into()),
        ("out_of_time", stats.out_of_time.into()),
        ("refused_by_limiter", stats.refused_by_limiter.into()),
        ("refused_by_bulkhead", stats.refused_by_bulkhead.into()),
        ("refused_by_timeout", stats.refused_by_timeout.into()),
    ])
}

impl Bench {
    fn breaker(&self) -> Result<&CircuitBreaker, String> {
        self.breaker.as_ref().ok_or_else(|| "this case has no breaker".to_owned())
    }

    fn run(&self, step: &mut Step) -> Result<Seen, String> {
        let key: String = step.take("key")?;
        let script = Script::new(&step.take::<Vec<String>>("script")?, self.time.shared())?;
        let events: Vec<Event> = step.optional("meanwhile")?.unwrap_or_default();
        match &self.time {
            Time::Blocking(_) => self.block(&key, &script),
            Time::Async(clock) => self.run_async(clock, key, &script, &events)?,
            Time::Threads(clock) => self.run_thread(clock, key, &script, &events)?,
        }
        script.end()
    }

    fn block(&self, key: &str, script: &Script) {
        let result = self.executor.run_blocking(key, || block(script));
        script.note_end(ended(result));
    }

    fn run_async(
        &self,
        clock: &MockClock,
        key: String,
        script: &Script,
        events: &[Event],
    ) -> Result<(), String> {
        let mut tasks = Tasks::new();
        let (executor, own) = (self.executor.clone(), script.clone());
        tasks.spawn("run", async move { executor.run(&key, || wait(own.clone())).await });
        let mut note = |_: &str, result| script.note_end(ended(result));
        for event in events {
            tasks.pass(clock, event.at.instant(), &mut note);
            self.happen(event)?;
        }
        tasks.settle(&mut note);
        while !script.has_ended() {
            let deadline = clock.next_deadline().ok_or("the run waits for nothing")?;
            tasks.pass(clock, clock.now() + deadline, &mut note);
        }
        Ok(())
    }

    fn run_thread(
        &self,
        clock: &ParkedClock,
        key: String,
        script: &Script,
        events: &[Event],
    ) -> Result<(), String> {
        let (executor, own) = (self.executor.clone(), script.clone());
        clock.start(move || {
            let result = executor.run_blocking(&key, || block(&own));
            own.note_end(ended(result));
        });
        for event in events {
            clock.move_to(event.at.instant());
            self.happen(event)?;
        }
        while !script.has_ended() {
            let deadline = clock.next_deadline().ok_or("the run waits for nothing")?;
            clock.move_to(deadline);
        }
        Ok(())
    }

    /// Somebody else takes a place in the bulkhead.
    fn enter(&self) -> Result<(), String> {
        let bulkhead = self.bulkhead.as_ref().ok_or("this case has no bulkhead")?;
        let permit = bulkhead.try_acquire().ok_or("somebody else was refused by the bulkhead")?;
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(permit);
        Ok(())
    }

    /// Somebody else gives a place back.
    fn leave(&self) -> Result<(), String> {
        let permit = self.others.lock().unwrap_or_else(PoisonError::into_inner).pop();
        permit.map(drop).ok_or_else(|| "nobody else is inside".to_owned())
    }

    fn happen(&self, event: &Event) -> Result<(), String> {
        match event.r#do {
            Deed::Enter => return self.enter(),
            Deed::Leave => return self.leave(),
            Deed::RecordFailure => self.breaker()?.record_failure(),
            Deed::BreakerAllow => {
                if !self.breaker()?.allow() {
                    return Err("somebody else was refused by the breaker".to_owned());
                }
            }
        }
        Ok(())
    }
}
