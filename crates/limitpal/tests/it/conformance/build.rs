//! Makes limiters and breakers from what a case says of them.

use std::collections::HashMap;
use std::sync::Arc;

use limitpal::{
    Align, AnyLimiter, Carry, CircuitBreaker, CompositeLimiter, ConsecutiveFailures, Cost, Evict,
    FailureRate, FairBucket, FixedWindow, LeakyBucket, Rate, SharedClock, SlidingWindowCounter,
    SlidingWindowLog, SlowCallRate, TokenBucket, TripRule, WarmUpBucket, strict,
};
use serde::Deserialize;
use serde_json::Value;

use super::cases::{Seconds, Seen, Step, number, retry_after, seconds, seen, span};

/// `limiter` of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum LimiterSpec {
    TokenBucket(BucketSpec),
    LeakyBucket(BucketSpec),
    FairBucket { capacity: u32, rate: String, active_for: Option<Seconds> },
    FixedWindow(WindowSpec),
    SlidingWindowCounter(WindowSpec),
    SlidingWindowLog(WindowSpec),
    Composite { parts: Vec<LimiterSpec> },
    Strict { rate: String, burst: Option<u32> },
    WarmUpBucket { capacity: u32, rate: String, warm_up: Seconds, cold_factor: Option<String> },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowSpec {
    limit: u32,
    per: Seconds,
    align: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BucketSpec {
    capacity: u32,
    rate: String,
    initial: Option<u32>,
    debt: Option<u32>,
    ttl: Option<Seconds>,
    max_buckets: Option<usize>,
    evict: Option<String>,
    cleanup_interval: Option<usize>,
    per_key: Option<bool>,
    key_by: Option<HashMap<String, String>>,
}

/// A limiter and, for a composite, its parts.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub(super) any: AnyLimiter,
    token: Option<TokenBucket>,
    leaky: Option<LeakyBucket>,
    fair: Option<FairBucket>,
    parts: Vec<Built>,
}

/// Sets the options that a case names.
macro_rules! with_options {
    ($builder:expr, $spec:expr, $clock:expr) => {{
        let mut builder = $builder.clock($clock.clone());
        if let Some(ttl) = $spec.ttl {
            builder = builder.ttl(ttl.duration());
        }
        if let Some(max_buckets) = $spec.max_buckets {
            builder = builder.max_buckets(max_buckets);
        }
        if let Some(evict) = &$spec.evict {
            builder = builder.evict(Evict::named(evict).unwrap());
        }
        if let Some(cleanup_interval) = $spec.cleanup_interval {
            builder = builder.cleanup_interval(cleanup_interval);
        }
        if let Some(per_key) = $spec.per_key {
            builder = builder.per_key(per_key);
        }
        if let Some(table) = $spec.key_by.clone() {
            let table = Arc::new(table);
            builder = builder.key_by(move |key| table.get(key).map_or(key, |to| to).to_owned());
        }
        builder.build().unwrap()
    }};
}

fn alignment(align: Option<&str>) -> Align {
    match align {
        None | Some("clock") => Align::Clock,
        Some("first_use") => Align::FirstUse,
        Some(other) => panic!("nothing is aligned to `{other}`"),
    }
}

impl LimiterSpec {
    pub(super) fn build(&self, clock: &SharedClock) -> Built {
        match self {
            Self::TokenBucket(spec) => {
                let mut builder = TokenBucket::builder(spec.capacity, spec.rate());
                builder = builder.debt(spec.debt.unwrap_or(0));
                if let Some(initial) = spec.initial {
                    builder = builder.initial(initial);
                }
                let token = with_options!(builder, spec, clock);
                let any = token.clone().into();
                Built { any, token: Some(token), leaky: None, fair: None, parts: Vec::new() }
            }
            Self::LeakyBucket(spec) => {
                let leaky =
                    with_options!(LeakyBucket::builder(spec.capacity, spec.rate()), spec, clock);
                let any = leaky.clone().into();
                Built { any, token: None, leaky: Some(leaky), fair: None, parts: Vec::new() }
            }
            Self::FairBucket { capacity, rate, active_for } => {
                let rate = Rate::per_second(number(rate)).unwrap();
                let builder = FairBucket::builder(*capacity, rate).clock(clock.clone());
                let builder = match active_for {
                    Some(active_for) => builder.active_for(active_for.duration()),
                    None => builder,
                };
                let fair = builder.build().unwrap();
                Built { fair: Some(fair.clone()), ..Built::window(fair) }
            }
            Self::Strict { rate, burst } => {
                let builder = strict(rate).unwrap().clock(clock.clone());
                match burst {
                    Some(burst) => Built::window(builder.burst(*burst).build().unwrap()),
                    None => Built::window(builder.build().unwrap()),
                }
            }
            Self::WarmUpBucket { capacity, rate, warm_up, cold_factor } => {
                let rate = Rate::per_second(number(rate)).unwrap();
                let builder = WarmUpBucket::builder(*capacity, rate, warm_up.duration());
                let cold = cold_factor.as_deref().map_or(3.0, number);
                Built::window(builder.cold_factor(cold).clock(clock.clone()).build().unwrap())
            }
            Self::FixedWindow(WindowSpec { limit, per, align }) => {
                let align = alignment(align.as_deref());
                let builder = FixedWindow::builder(*limit, per.duration()).align(align);
                Built::window(builder.clock(clock.clone()).build().unwrap())
            }
            Self::SlidingWindowCounter(WindowSpec { limit, per, .. }) => {
                let builder = SlidingWindowCounter::builder(*limit, per.duration());
                Built::window(builder.clock(clock.clone()).build().unwrap())
            }
            Self::SlidingWindowLog(WindowSpec { limit, per, .. }) => {
                let builder = SlidingWindowLog::builder(*limit, per.duration());
                Built::window(builder.clock(clock.clone()).build().unwrap())
            }
            Self::Composite { parts } => {
                let parts: Vec<Built> = parts.iter().map(|part| part.build(clock)).collect();
                let limiters = parts.iter().map(|part| part.any.clone());
                let any = CompositeLimiter::new(limiters).unwrap().into();
                Built { any, token: None, leaky: None, fair: None, parts }
            }
        }
    }
}

impl BucketSpec {
    fn rate(&self) -> Rate {
        Rate::per_second(number(&self.rate)).unwrap()
    }
}

impl Built {
    fn window(limiter: impl Into<AnyLimiter>) -> Self {
        Self { any: limiter.into(), token: None, leaky: None, fair: None, parts: Vec::new() }
    }

    /// Returns the limiter that a step is for: a part, if it names one.
    pub(super) fn target(&self, step: &mut Step) -> Result<&Self, String> {
        let Some(part) = step.optional::<usize>("part")? else { return Ok(self) };
        self.parts.get(part).ok_or_else(|| format!("there is no part {part}"))
    }

    /// Makes a call that does not wait.
    pub(super) fn observe(&self, call: &str, step: &mut Step) -> Result<Seen, String> {
        match call {
            "reset_all" => {
                self.any.reset_all();
                return Ok(Seen::new());
            }
            "bound" => {
                let window: Seconds = step.take("window")?;
                let bound = match step.optional::<String>("of")? {
                    Some(key) => self.token()?.bound_of(&key, window.duration()),
                    None => self.any.bound(window.duration()),
                };
                return Ok(seen([("bound", bound.into())]));
            }
            "reconfigure" => return self.change(step, None),
            "len" => return Ok(seen([("len", self.len()?.into())])),
            "evicted_live" => return Ok(seen([("evicted_live", self.evicted_live()?.into())])),
            _ => {}
        }
        let key: String = step.take("key")?;
        Ok(match call {
            "allow" => seen([("allowed", self.any.allow((&*key, cost(step)?)).into())]),
            "check" => decision(self.any.check((&*key, cost(step)?))),
            "peek" => decision(self.any.peek((&*key, cost(step)?))),
            "reset" => {
                self.any.reset(&key);
                Seen::new()
            }
            "penalise" => {
                let span: Seconds = step.take("seconds")?;
                assert!(self.any.penalise(&key, span.duration()));
                Seen::new()
            }
            "configure" => self.change(step, Some(&key))?,
            "give_back" | "unconfigure" => {
                match call {
                    "give_back" => self.any.give_back((&*key, cost(step)?)),
                    _ => self.token()?.unconfigure(&key, Carry::default()),
                }
                Seen::new()
            }
            "tokens" => seen([("tokens", decimal(self.token()?.tokens(&key)))]),
            "queue_size" => seen([("queue_size", self.leaky()?.queue_size(&key).into())]),
            "wait_time" => seen([("wait_time", span(self.leaky()?.wait_time(&key)).into())]),
            "contains" => seen([("contains", self.contains(&key)?.into())]),
            _ => return Err(format!("nothing is called `{call}` here")),
        })
    }

    /// Changes the limits of a bucket, or of one key of its.
    fn change(&self, step: &mut Step, key: Option<&str>) -> Result<Seen, String> {
        let (capacity, rate) = (step.optional("capacity")?, step.optional::<String>("rate")?);
        let rate = rate.map(|rate| Rate::per_second(number(&rate)).unwrap());
        let carry = match step.optional::<String>("carry")?.as_deref() {
            None | Some("proportional") => Carry::Proportional,
            Some("as_is") => Carry::AsIs,
            Some("reset") => Carry::Reset,
            Some(other) => return Err(format!("nothing is carried `{other}`")),
        };
        macro_rules! change {
            ($limiter:expr, $rate:ident) => {{
                let limiter = $limiter;
                let mut change =
                    key.map_or_else(|| limiter.reconfigure(), |key| limiter.configure(key));
                if let Some(capacity) = capacity {
                    change = change.capacity(capacity);
                }
                if let Some(rate) = rate {
                    change = change.$rate(rate);
                }
                change.carry(carry).apply().unwrap();
            }};
        }
        match &self.leaky {
            Some(leaky) => change!(leaky, leak_rate),
            None => change!(self.token()?, refill_rate),
        }
        Ok(Seen::new())
    }

    fn token(&self) -> Result<&TokenBucket, String> {
        self.token.as_ref().ok_or_else(|| "it is no token bucket".to_owned())
    }

    fn leaky(&self) -> Result<&LeakyBucket, String> {
        self.leaky.as_ref().ok_or_else(|| "it is no leaky bucket".to_owned())
    }

    fn len(&self) -> Result<usize, String> {
        if let Some(fair) = &self.fair {
            return Ok(fair.len());
        }
        self.token().map(|token| token.len()).or_else(|_| self.leaky().map(|leaky| leaky.len()))
    }

    fn evicted_live(&self) -> Result<u64, String> {
        let leaky = || self.leaky().map(|leaky| leaky.evicted_live());
        self.token().map(|token| token.evicted_live()).or_else(|_| leaky())
    }

    fn contains(&self, key: &str) -> Result<bool, String> {
        if let Some(fair) = &self.fair {
            return Ok(fair.contains(key));
        }
        let leaky = || self.leaky().map(|leaky| leaky.contains(key));
        self.token().map(|token| token.contains(key)).or_else(|_| leaky())
    }
}

/// Takes the cost out of a step; 1 if it names none.
pub(super) fn cost(step: &mut Step) -> Result<Cost, String> {
    Ok(Cost::new(step.optional("cost")?.unwrap_or(1)).unwrap())
}

pub(super) fn decision(decision: limitpal::Decision) -> Seen {
    seen([
        ("allowed", decision.allowed.into()),
        ("limit", decision.limit.into()),
        ("remaining", decision.remaining.into()),
        ("retry_after", retry_after(decision.retry_after).into()),
        ("reset_after", span(decision.reset_after).into()),
    ])
}

/// Writes a float with nine decimals at most.
fn decimal(value: f64) -> Value {
    seconds((value * 1e9).round() as i64).into()
}

/// `breaker` of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakerSpec {
    failure_threshold: Option<u32>,
    trip_on: Option<Vec<RuleSpec>>,
    recovery_timeout: Seconds,
    half_open_success_threshold: Option<u32>,
    half_open_timeout: Option<Seconds>,
    ramp: Option<Vec<String>>,
    ramp_step: Option<Seconds>,
    recovery_backoff: Option<String>,
    max_recovery_timeout: Option<Seconds>,
}

/// A rule of `trip_on`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum RuleSpec {
    ConsecutiveFailures {
        failures: u32,
    },
    FailureRate {
        share: String,
        calls: Option<u32>,
        window: Option<Seconds>,
        minimum_calls: Option<u32>,
    },
    SlowCallRate {
        share: String,
        slower_than: Seconds,
        calls: Option<u32>,
        window: Option<Seconds>,
        minimum_calls: Option<u32>,
    },
}

impl RuleSpec {
    fn build(&self) -> TripRule {
        match self {
            Self::ConsecutiveFailures { failures } => ConsecutiveFailures::new(*failures).into(),
            Self::FailureRate { share, calls, window, minimum_calls } => {
                let mut rule = FailureRate::new(share.parse().unwrap());
                rule = calls.map_or(rule, |calls| rule.calls(calls));
                rule = window.map_or(rule, |window| rule.window(window.duration()));
                minimum_calls.map_or(rule, |minimum| rule.minimum_calls(minimum)).into()
            }
            Self::SlowCallRate { share, slower_than, calls, window, minimum_calls } => {
                let mut rule = SlowCallRate::new(share.parse().unwrap(), slower_than.duration());
                rule = calls.map_or(rule, |calls| rule.calls(calls));
                rule = window.map_or(rule, |window| rule.window(window.duration()));
                minimum_calls.map_or(rule, |minimum| rule.minimum_calls(minimum)).into()
            }
        }
    }
}

impl BreakerSpec {
    pub(super) fn build(&self, clock: &SharedClock) -> CircuitBreaker {
        let mut builder = CircuitBreaker::builder()
            .recovery_timeout(self.recovery_timeout.duration())
            .clock(clock.clone());
        if let Some(threshold) = self.failure_threshold {
            builder = builder.failure_threshold(threshold);
        }
        for rule in self.trip_on.iter().flatten() {
            builder = builder.trip_on(rule.build());
        }
        if let Some(threshold) = self.half_open_success_threshold {
            builder = builder.half_open_success_threshold(threshold);
        }
        if let Some(timeout) = self.half_open_timeout {
            builder = builder.half_open_timeout(timeout.duration());
        }
        if let Some(shares) = &self.ramp {
            let shares: Vec<f64> = shares.iter().map(|share| share.parse().unwrap()).collect();
            builder = builder.ramp(shares);
        }
        if let Some(step) = self.ramp_step {
            builder = builder.ramp_step(step.duration());
        }
        if let Some(backoff) = &self.recovery_backoff {
            builder = builder.recovery_backoff(backoff.parse().unwrap());
        }
        if let Some(most) = self.max_recovery_timeout {
            builder = builder.max_recovery_timeout(most.duration());
        }
        builder.build().unwrap()
    }
}
