//! How long a policy waits after each attempt.

use limitpal::{Delays, Jitter, RetryPolicy, RetryPolicyBuilder};
use serde::Deserialize;

use super::cases::{Case, Seconds, Seen, Step, number, seen, span};

const DRAWS: usize = 300;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackoffCase {
    name: String,
    why: String,
    policy: PolicySpec,
    delays: Vec<Step>,
}

/// `policy` or `retry` of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicySpec {
    max_attempts: Option<u32>,
    base_delay: Option<Seconds>,
    max_delay: Option<Seconds>,
    min_delay: Option<Seconds>,
    backoff: Option<String>,
    delays: Option<DelaysSpec>,
    jitter: Option<String>,
    seed: Option<u64>,
    max_elapsed: Option<Seconds>,
    retry_timeouts: Option<bool>,
}

/// `delays` of a policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum DelaysSpec {
    Exponential { base: Seconds, factor: String },
    Constant { seconds: Seconds },
    Linear { base: Seconds, step: Seconds },
    Fibonacci { base: Seconds },
    List { delays: Vec<Seconds> },
}

impl DelaysSpec {
    fn delays(&self) -> Delays {
        match self {
            Self::Exponential { base, factor } => {
                Delays::exponential(base.duration(), number(factor))
            }
            Self::Constant { seconds } => Delays::constant(seconds.duration()),
            Self::Linear { base, step } => Delays::linear(base.duration(), step.duration()),
            Self::Fibonacci { base } => Delays::fibonacci(base.duration()),
            Self::List { delays } => Delays::list(delays.iter().map(|delay| delay.duration())),
        }
    }
}

impl Case for BackoffCase {
    fn name(&self) -> &str {
        &self.name
    }

    fn why(&self) -> &str {
        &self.why
    }
}

impl PolicySpec {
    pub(super) fn builder<E>(&self) -> RetryPolicyBuilder<E> {
        let mut builder = RetryPolicy::builder();
        if let Some(max_attempts) = self.max_attempts {
            builder = builder.max_attempts(max_attempts);
        }
        if let Some(base_delay) = self.base_delay {
            builder = builder.base_delay(base_delay.duration());
        }
        if let Some(max_delay) = self.max_delay {
            builder = builder.max_delay(max_delay.duration());
        }
        if let Some(retry_timeouts) = self.retry_timeouts {
            builder = builder.retry_timeouts(retry_timeouts);
        }
        if let Some(backoff) = &self.backoff {
            builder = builder.backoff(number(backoff));
        }
        if let Some(delays) = &self.delays {
            builder = builder.delays(delays.delays());
        }
        if let Some(min_delay) = self.min_delay {
            builder = builder.min_delay(min_delay.duration());
        }
        if let Some(max_elapsed) = self.max_elapsed {
            builder = builder.max_elapsed(max_elapsed.duration());
        }
        if let Some(jitter) = &self.jitter {
            let named = Jitter::NAMED.into_iter().find(|named| named.as_str() == Some(jitter));
            builder = builder.jitter(named.unwrap_or_else(|| number(jitter).into()));
        }
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        builder
    }
}

pub(super) fn run(case: &BackoffCase) -> Result<(), String> {
    let policy = case.policy.builder::<String>().build().unwrap();
    if case.delays.is_empty() {
        return Err("a case has delays".to_owned());
    }
    for step in &case.delays {
        take_step(step.clone(), &policy)
            .map_err(|error| format!("{}\n    {error}", step.shown()))?;
    }
    Ok(())
}

fn take_step(mut step: Step, policy: &RetryPolicy<String>) -> Result<(), String> {
    let after: u32 = step.take("after")?;
    let Some(at_least) = step.optional::<Seconds>("at_least")? else {
        return step.compare(&seen([("delay", span(policy.delay(after)).into())]));
    };
    let range = at_least.duration()..=step.take::<Seconds>("at_most")?.duration();
    let draws: Vec<_> = (0..DRAWS).map(|_| policy.delay(after)).collect();
    if let Some(outside) = draws.iter().find(|draw| !range.contains(draw)) {
        return Err(format!("a draw was {outside:?}"));
    }
    if let Some(middle) = step.optional::<Seconds>("both_sides_of")? {
        let below = draws.iter().filter(|draw| **draw < middle.duration()).count();
        if below == 0 || below == DRAWS {
            return Err(format!("{below} of {DRAWS} draws were below {middle:?}"));
        }
    }
    step.compare(&Seen::new())
}
