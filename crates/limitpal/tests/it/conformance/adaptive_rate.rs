//! A rate that adapts: how it moves, and what it admits meanwhile.

use limitpal::{AdaptiveLimiter, Cost, MockClock, Rate, RateAlgorithm};
use serde::Deserialize;

use super::adaptive::run as run_steps;
use super::build::decision;
use super::cases::{Case, Seconds, Seen, Step, number, seconds, seen};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateCase {
    name: String,
    why: String,
    adaptive: RateSpec,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateSpec {
    max_rate: String,
    algorithm: Option<String>,
    min_rate: Option<String>,
    initial_rate: Option<String>,
    burst: Option<u32>,
    decrease: Option<String>,
    increase: Option<String>,
    cooldown: Option<Seconds>,
    forget_after: Option<Seconds>,
}

impl Case for RateCase {
    fn name(&self) -> &str {
        &self.name
    }

    fn why(&self) -> &str {
        &self.why
    }
}

impl RateSpec {
    fn build(&self, clock: &MockClock) -> AdaptiveLimiter {
        let rate = |text: &String| Rate::per_second(number(text)).unwrap();
        let mut builder = AdaptiveLimiter::builder(rate(&self.max_rate)).clock(clock);
        if let Some(name) = &self.algorithm {
            let all = [RateAlgorithm::Cubic, RateAlgorithm::Aimd];
            let algorithm = all.into_iter().find(|one| one.as_str() == name).unwrap();
            builder = builder.algorithm(algorithm);
        }
        if let Some(min_rate) = &self.min_rate {
            builder = builder.min_rate(rate(min_rate));
        }
        if let Some(initial_rate) = &self.initial_rate {
            builder = builder.initial_rate(rate(initial_rate));
        }
        if let Some(decrease) = &self.decrease {
            builder = builder.decrease(number(decrease));
        }
        if let Some(increase) = &self.increase {
            builder = builder.increase(number(increase));
        }
        if let Some(cooldown) = &self.cooldown {
            builder = builder.cooldown(cooldown.duration());
        }
        if let Some(forget_after) = &self.forget_after {
            builder = builder.forget_after(forget_after.duration());
        }
        builder.burst(self.burst.unwrap_or(1)).build().unwrap()
    }
}

pub(super) fn run(case: &RateCase) -> Result<(), String> {
    let clock = MockClock::new();
    let limiter = case.adaptive.build(&clock);
    run_steps(&case.steps, &clock, |call, step| {
        if call == "bound" {
            let bound = limiter.bound(step.take::<Seconds>("window")?.duration());
            return Ok(seen([("bound", bound.into())]));
        }
        let key: String = step.take("key")?;
        let times = 0..step.optional::<u32>("times")?.unwrap_or(1);
        let cost = Cost::new(step.optional("cost")?.unwrap_or(1)).unwrap();
        let ask = (key.as_str(), cost);
        match call {
            "allow" => return Ok(seen([("allowed", limiter.allow(ask).into())])),
            "check" => return Ok(decision(limiter.check(ask))),
            "peek" => return Ok(decision(limiter.peek(ask))),
            "read" => {
                let billionths = (limiter.rate(&key) * 1e9).round() as i64;
                return Ok(seen([("rate", seconds(billionths).into())]));
            }
            "record_success" => times.for_each(|_| limiter.record_success(&key)),
            "record_throttled" => times.for_each(|_| limiter.record_throttled(&key)),
            _ => return Err(format!("nothing is called `{call}` here")),
        }
        Ok(Seen::new())
    })
}
