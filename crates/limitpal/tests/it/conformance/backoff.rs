//! How long a policy waits after each attempt.

use limitpal::{RetryPolicy, RetryPolicyBuilder};
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
    backoff: Option<String>,
    jitter: Option<String>,
    seed: Option<u64>,
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
        if let Some(backoff) = &self.backoff {
            builder = builder.backoff(number(backoff));
        }
        if let Some(jitter) = &self.jitter {
            builder = builder.jitter(number(jitter));
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
