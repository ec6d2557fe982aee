//! At most so many at a time: who is let in when, who waits, who is refused.

use std::collections::HashMap;

use limitpal::{
    CompositePermit, ConcurrencyLimiter, ConcurrencyPermit, Cost, HoldingLimiter, MockClock,
    RateLimitExceeded, SharedClock,
};
use serde::Deserialize;
use serde_json::Value;

use super::build::{Built, LimiterSpec, cost};
use super::cases::{Case, Seconds, Seen, Step, instant, retry_after, seen};
use super::tasks::Tasks;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConcurrencyCase {
    name: String,
    why: String,
    limiter: Spec,
    steps: Vec<Step>,
    outcomes: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    limit: u32,
    per_key: Option<bool>,
    key_by: Option<HashMap<String, String>>,
    max_waiting: Option<u32>,
    #[serde(default)]
    beside: Vec<LimiterSpec>,
}

impl Case for ConcurrencyCase {
    fn name(&self) -> &str {
        &self.name
    }

    fn why(&self) -> &str {
        &self.why
    }
}

pub(super) fn run(case: &ConcurrencyCase) -> Result<(), String> {
    let mut crowd = Crowd::new(&case.limiter);
    for step in &case.steps {
        let shown = |error| format!("{}\n    {error}", step.shown());
        crowd.take_step(step.clone()).map_err(shown)?;
    }
    let outcomes = &crowd.outcomes;
    if outcomes.len() != case.outcomes.len() {
        return Err(format!("other outcomes: {}", Value::from_iter(outcomes.clone())));
    }
    case.outcomes.iter().zip(outcomes).try_for_each(|(expected, outcome)| {
        let shown = |error| format!("{}\n    {error}\n    in {outcomes:?}", expected.shown());
        expected.clone().compare(outcome).map_err(shown)
    })
}

type Answer = Result<Permit, RateLimitExceeded>;

/// What is held until it is dropped.
enum Permit {
    Alone(#[expect(dead_code, reason = "it is held")] ConcurrencyPermit),
    Together(#[expect(dead_code, reason = "it is held")] CompositePermit),
}

/// Those who came, on the mock clock.
struct Crowd {
    clock: MockClock,
    limiter: ConcurrencyLimiter,
    beside: Vec<Built>,
    /// With those beside it.
    together: Option<HoldingLimiter>,
    tasks: Tasks<Answer>,
    held: HashMap<String, Permit>,
    outcomes: Vec<Seen>,
}

impl Crowd {
    fn new(spec: &Spec) -> Self {
        let clock = MockClock::new();
        let mut builder = ConcurrencyLimiter::builder(spec.limit).clock(&clock);
        if let Some(per_key) = spec.per_key {
            builder = builder.per_key(per_key);
        }
        if let Some(max_waiting) = spec.max_waiting {
            builder = builder.max_waiting(max_waiting);
        }
        if let Some(table) = spec.key_by.clone() {
            builder = builder.key_by(move |key| table.get(key).map_or(key, |key| key).to_owned());
        }
        let limiter = builder.build().unwrap();
        let shared = SharedClock::from(&clock);
        let beside: Vec<_> = spec.beside.iter().map(|spec| spec.build(&shared)).collect();
        let together = (!beside.is_empty()).then(|| {
            let rates = beside.iter().map(|built| built.any.clone().into());
            HoldingLimiter::new(rates.chain([limiter.clone().into()])).unwrap()
        });
        let (held, outcomes) = (HashMap::new(), Vec::new());
        Self { clock, limiter, beside, together, tasks: Tasks::new(), held, outcomes }
    }

    fn take_step(&mut self, mut step: Step) -> Result<(), String> {
        let call: String = step.take("do")?;
        let at: Seconds = step.take("at")?;
        self.move_to(at)?;
        let seen = match &*call {
            "acquire" => self.acquire(&mut step)?,
            "try_acquire" => {
                let name: String = step.take("as")?;
                let (key, cost) = ask(&mut step)?;
                let permit = match &self.together {
                    Some(all) => all.try_acquire((&*key, cost)).map(Permit::Together),
                    None => self.limiter.try_acquire((&*key, cost)).map(Permit::Alone),
                };
                let admitted = permit.is_some();
                self.held.extend(permit.map(|permit| (name, permit)));
                seen([("admitted", admitted.into())])
            }
            "release" => {
                let who: String = step.take("who")?;
                drop(self.held.remove(&who).ok_or_else(|| format!("{who} has no permit"))?);
                Seen::new()
            }
            "cancel" => {
                let who: String = step.take("who")?;
                if !self.tasks.cancel(&who) {
                    return Err(format!("{who} does not wait any more"));
                }
                let at = instant(self.clock.now());
                self.outcomes.push(seen([("who", who.into()), ("cancelled_at", at.into())]));
                Seen::new()
            }
            "set_limit" => {
                self.limiter.set_limit(step.take("limit")?).map_err(|error| error.to_string())?;
                Seen::new()
            }
            "len" => seen([("len", self.limiter.len().into())]),
            "tokens" => {
                let part: usize = step.take("part")?;
                let part =
                    self.beside.get(part).ok_or_else(|| format!("there is no part {part}"))?;
                part.observe("tokens", &mut step)?
            }
            _ => self.look(&call, &mut step)?,
        };
        step.compare(&seen)?;
        self.move_to(at)
    }

    fn acquire(&mut self, step: &mut Step) -> Result<Seen, String> {
        let (name, (key, cost)): (String, _) = (step.take("as")?, ask(step)?);
        let timeout = step.optional::<Seconds>("timeout")?.map(Seconds::duration);
        let (limiter, together) = (self.limiter.clone(), self.together.clone());
        self.tasks.spawn(&name, async move {
            let ask = (&*key, cost);
            match (together, timeout) {
                (Some(all), Some(timeout)) => {
                    all.acquire_timeout(ask, timeout).await.map(Permit::Together)
                }
                (Some(all), None) => all.acquire(ask).await.map(Permit::Together),
                (None, Some(timeout)) => {
                    limiter.acquire_timeout(ask, timeout).await.map(Permit::Alone)
                }
                (None, None) => limiter.acquire(ask).await.map(Permit::Alone),
            }
        });
        Ok(Seen::new())
    }

    fn look(&self, call: &str, step: &mut Step) -> Result<Seen, String> {
        let (key, limiter): (String, _) = (step.take("key")?, &self.limiter);
        let value: Value = match call {
            "in_flight" => limiter.in_flight(&key).into(),
            "waiting" => limiter.waiting(&key).into(),
            "contains" => limiter.contains(&key).into(),
            _ => return Err(format!("nothing is called `{call}` here")),
        };
        Ok(seen([(call, value)]))
    }

    /// Moves from deadline to deadline, and lets everybody settle.
    fn move_to(&mut self, at: Seconds) -> Result<(), String> {
        let Self { clock, tasks, held, outcomes, .. } = self;
        if at.instant() < clock.now() {
            return Err(format!("it is {} already", instant(clock.now())));
        }
        tasks.pass(clock, at.instant(), |who, answer| {
            let at = instant(clock.now());
            outcomes.push(match answer {
                Ok(permit) => {
                    held.insert(who.to_owned(), permit);
                    seen([("who", who.into()), ("granted_at", at.into())])
                }
                Err(refusal) => seen([
                    ("who", who.into()),
                    ("refused_at", at.into()),
                    ("refused_for", retry_after(refusal.retry_after()).into()),
                ]),
            });
        });
        Ok(())
    }
}

fn ask(step: &mut Step) -> Result<(String, Cost), String> {
    Ok((step.take("key")?, cost(step)?))
}
