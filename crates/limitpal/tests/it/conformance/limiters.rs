//! One caller after another: what a limiter decides, and when it grants.

use limitpal::{AnyLimiter, Cost, MockClock, RateLimitExceeded};
use serde::Deserialize;

use super::Mode;
use super::build::{Built, LimiterSpec, cost};
use super::cases::{Case, Seconds, Seen, Step, instant, retry_after, seen};
use super::tasks::finish;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimiterCase {
    name: String,
    why: String,
    limiter: LimiterSpec,
    steps: Vec<Step>,
}

impl Case for LimiterCase {
    fn name(&self) -> &str {
        &self.name
    }

    fn why(&self) -> &str {
        &self.why
    }
}

pub(super) fn run(case: &LimiterCase, mode: Mode) -> Result<(), String> {
    let clock = MockClock::new();
    let built = case.limiter.build(&clock.clone().into());
    for step in &case.steps {
        take_step(step.clone(), &clock, &built, mode)
            .map_err(|error| format!("{}\n    {error}", step.shown()))?;
    }
    Ok(())
}

fn take_step(mut step: Step, clock: &MockClock, built: &Built, mode: Mode) -> Result<(), String> {
    let call: String = step.take("do")?;
    let at: Seconds = step.take("at")?;
    if call == "set_time" {
        clock.set_time(at.instant());
        return step.compare(&Seen::new());
    }
    move_to(clock, at)?;
    let target = built.target(&mut step)?;
    let seen = match &*call {
        "acquire" => acquire(&mut step, clock, target, mode)?,
        _ => target.observe(&call, &mut step)?,
    };
    step.compare(&seen)
}

/// Moves a mock clock forward.
pub(super) fn move_to(clock: &MockClock, at: Seconds) -> Result<(), String> {
    if at.instant() < clock.now() {
        return Err(format!("it is {} already", instant(clock.now())));
    }
    clock.advance(at.instant().saturating_duration_since(clock.now()));
    Ok(())
}

fn acquire(step: &mut Step, clock: &MockClock, to: &Built, mode: Mode) -> Result<Seen, String> {
    let ask = Acquire::take(step)?;
    let limiter = to.any.clone();
    let granted = match mode {
        Mode::Async => finish(clock, async move { ask.wait(&limiter).await })?,
        Mode::Blocking | Mode::Threads => ask.block(&limiter),
    };
    Ok(match granted {
        Ok(()) => seen([("granted_at", instant(clock.now()).into())]),
        Err(refusal) => seen([("refused_for", retry_after(refusal.retry_after()).into())]),
    })
}

/// The arguments of an `acquire`.
pub(super) struct Acquire {
    key: String,
    cost: Cost,
    timeout: Option<Seconds>,
}

impl Acquire {
    pub(super) fn take(step: &mut Step) -> Result<Self, String> {
        let (key, cost) = (step.take("key")?, cost(step)?);
        Ok(Self { key, cost, timeout: step.optional("timeout")? })
    }

    pub(super) async fn wait(self, limiter: &AnyLimiter) -> Result<(), RateLimitExceeded> {
        let ask = (&*self.key, self.cost);
        match self.timeout {
            Some(timeout) => limiter.acquire_timeout(ask, timeout.duration()).await,
            None => limiter.acquire(ask).await,
        }
    }

    pub(super) fn block(self, limiter: &AnyLimiter) -> Result<(), RateLimitExceeded> {
        let ask = (&*self.key, self.cost);
        match self.timeout {
            Some(timeout) => limiter.acquire_timeout_blocking(ask, timeout.duration()),
            None => limiter.acquire_blocking(ask),
        }
    }
}
