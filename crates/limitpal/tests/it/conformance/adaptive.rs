//! Limits that find themselves: what a throttle counts, and how an adaptive limit moves.

use std::cell::RefCell;
use std::collections::BTreeMap;

use limitpal::{AdaptiveAlgorithm, AdaptiveConcurrency, AdaptivePermit, ClientThrottle, MockClock};
use serde::Deserialize;

use super::cases::{Case, Seconds, Seen, Step, number, seconds, seen};
use super::limiters::move_to;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThrottleCase {
    name: String,
    why: String,
    throttle: ThrottleSpec,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThrottleSpec {
    k: String,
    window: Seconds,
    max_rejection: Option<String>,
    seed: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitCase {
    name: String,
    why: String,
    adaptive: LimitSpec,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitSpec {
    algorithm: String,
    min: Option<u32>,
    max: Option<u32>,
    initial: Option<u32>,
    seed: Option<u64>,
    partitions: Option<BTreeMap<String, String>>,
}

macro_rules! case {
    ($($case:ident),*) => {$(
        impl Case for $case {
            fn name(&self) -> &str {
                &self.name
            }

            fn why(&self) -> &str {
                &self.why
            }
        }
    )*};
}
case!(ThrottleCase, LimitCase);

impl ThrottleSpec {
    fn build(&self, clock: &MockClock) -> ClientThrottle {
        let builder = ClientThrottle::builder().k(number(&self.k)).window(self.window.duration());
        let mut builder = builder.clock(clock);
        if let Some(share) = &self.max_rejection {
            builder = builder.max_rejection(number(share));
        }
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        builder.build().unwrap()
    }
}

impl LimitSpec {
    fn build(&self, clock: &MockClock) -> AdaptiveConcurrency {
        let all = [AdaptiveAlgorithm::Gradient2, AdaptiveAlgorithm::Vegas, AdaptiveAlgorithm::Aimd];
        let algorithm = all.into_iter().find(|one| one.as_str() == self.algorithm).unwrap();
        let mut builder = AdaptiveConcurrency::builder().algorithm(algorithm).clock(clock);
        if let Some(min) = self.min {
            builder = builder.min(min);
        }
        if let Some(max) = self.max {
            builder = builder.max(max);
        }
        if let Some(initial) = self.initial {
            builder = builder.initial(initial);
        }
        if let Some(partitions) = &self.partitions {
            let shares = partitions.iter().map(|(name, share)| (name.as_str(), number(share)));
            builder = builder.partitions(shares);
        }
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        builder.build().unwrap()
    }
}

/// Takes all steps, each after the clock was moved to its time.
pub(super) fn run(
    steps: &[Step],
    clock: &MockClock,
    take: impl Fn(&str, &mut Step) -> Result<Seen, String>,
) -> Result<(), String> {
    for step in steps {
        let shown = step.shown();
        let one = |mut step: Step| {
            let call: String = step.take("do")?;
            move_to(clock, step.take("at")?)?;
            let seen = take(&call, &mut step)?;
            step.compare(&seen)
        };
        one(step.clone()).map_err(|error| format!("{shown}\n    {error}"))?;
    }
    Ok(())
}

pub(super) fn run_throttle(case: &ThrottleCase) -> Result<(), String> {
    let clock = MockClock::new();
    let throttle = case.throttle.build(&clock);
    run(&case.steps, &clock, |call, step| {
        let times = 0..step.optional::<u32>("times")?.unwrap_or(1);
        match call {
            "attempt" => {
                let allowed = times.filter(|_| throttle.allow()).count();
                return Ok(seen([("allowed", allowed.into())]));
            }
            "record_accept" => times.for_each(|_| throttle.record_accept()),
            "record_rejection" => times.for_each(|_| throttle.record_rejection()),
            "reset" => throttle.reset(),
            "read" => {
                let billionths = (throttle.rejection_probability() * 1e9).round() as i64;
                return Ok(seen([
                    ("requests", throttle.requests().into()),
                    ("accepts", throttle.accepts().into()),
                    ("probability", seconds(billionths).into()),
                ]));
            }
            _ => return Err(format!("nothing is called `{call}` here")),
        }
        Ok(Seen::new())
    })
}

pub(super) fn run_limit(case: &LimitCase) -> Result<(), String> {
    let clock = MockClock::new();
    let limiter = case.adaptive.build(&clock);
    let held = RefCell::new(Vec::new());
    run(&case.steps, &clock, |call, step| {
        if call == "hold" {
            let partition: Option<String> = step.optional("partition")?;
            let take = || match &partition {
                Some(partition) => limiter.try_acquire_in(partition).unwrap(),
                None => limiter.try_acquire(),
            };
            let permits: Vec<_> = (0..step.take::<u32>("calls")?).filter_map(|_| take()).collect();
            let admitted = permits.len();
            held.borrow_mut().extend(permits);
            let in_flight = limiter.in_flight();
            return Ok(seen([("admitted", admitted.into()), ("in_flight", in_flight.into())]));
        }
        if call != "round" {
            return Err(format!("nothing is called `{call}` here"));
        }
        let end = match &*step.take::<String>("end")? {
            "success" => AdaptivePermit::success,
            "dropped" => AdaptivePermit::dropped,
            "ignore" => AdaptivePermit::ignore,
            other => return Err(format!("no call ends with `{other}`")),
        };
        let calls = 0..step.take::<u32>("calls")?;
        let permits: Vec<_> = calls.filter_map(|_| limiter.try_acquire()).collect();
        let admitted = permits.len();
        clock.advance(step.take::<Seconds>("took")?.duration());
        permits.into_iter().for_each(end);
        Ok(seen([("admitted", admitted.into()), ("limit", limiter.limit().into())]))
    })
}
