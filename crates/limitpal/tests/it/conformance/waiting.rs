//! Many who wait at once: who goes when, and who moves up when one leaves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use limitpal::{Clock, Instant, MockClock, RateLimitExceeded};
use serde::Deserialize;
use serde_json::Value;

use super::Mode;
use super::build::{Built, LimiterSpec};
use super::cases::{Case, Seconds, Seen, Step, instant, retry_after, seen};
use super::limiters::Acquire;
use super::parked::ParkedClock;
use super::tasks::Tasks;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitingCase {
    name: String,
    why: String,
    sleepers: Option<Sleepers>,
    limiter: LimiterSpec,
    steps: Vec<Step>,
    outcomes: Vec<Step>,
}

/// Where it matters: whether one who sleeps can be moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sleepers {
    Movable,
    Fixed,
}

impl Case for WaitingCase {
    fn name(&self) -> &str {
        &self.name
    }

    fn why(&self) -> &str {
        &self.why
    }
}

pub(super) fn run(case: &WaitingCase, mode: Mode) -> Result<(), String> {
    match (mode, case.sleepers) {
        (Mode::Threads, Some(Sleepers::Movable)) => Ok(()),
        (Mode::Threads, _) => run_on(case, Threads::new(case)),
        (_, Some(Sleepers::Fixed)) => Ok(()),
        _ => run_on(case, Futures::new(case)),
    }
}

fn run_on(case: &WaitingCase, mut crowd: impl Crowd) -> Result<(), String> {
    for step in &case.steps {
        take_step(step.clone(), &mut crowd)
            .map_err(|error| format!("{}\n    {error}", step.shown()))?;
    }
    let outcomes = crowd.finish()?;
    if outcomes.len() != case.outcomes.len() {
        return Err(format!("there were other outcomes: {}", Value::from_iter(outcomes)));
    }
    case.outcomes.iter().zip(&outcomes).try_for_each(|(expected, outcome)| {
        expected.clone().compare(outcome).map_err(|error| {
            format!("outcome {}\n    {error}\n    in {outcomes:?}", expected.shown())
        })
    })
}

fn take_step(mut step: Step, crowd: &mut impl Crowd) -> Result<(), String> {
    let call: String = step.take("do")?;
    let at: Seconds = step.take("at")?;
    if call == "set_time" {
        crowd.set_time(at.instant());
        return step.compare(&Seen::new());
    }
    crowd.move_to(at.instant());
    let seen = match &*call {
        "acquire" => {
            let name: String = step.take("as")?;
            crowd.join(&name, Acquire::take(&mut step)?);
            Seen::new()
        }
        "cancel" => {
            let name: String = step.take("who")?;
            if !crowd.cancel(&name) {
                return Err(format!("{name} does not wait any more"));
            }
            Seen::new()
        }
        _ => crowd.limiter().target(&mut step)?.observe(&call, &mut step)?,
    };
    step.compare(&seen)?;
    crowd.settle();
    Ok(())
}

/// Those who wait, in one way or another.
trait Crowd {
    fn limiter(&self) -> Built;
    fn join(&mut self, name: &str, ask: Acquire);
    /// Makes one leave; false if it does not wait any more.
    fn cancel(&mut self, name: &str) -> bool;
    fn move_to(&mut self, time: Instant);
    fn set_time(&mut self, time: Instant);
    fn settle(&mut self);
    /// Lets time pass until nobody waits: the outcomes as they happened.
    fn finish(self) -> Result<Vec<Seen>, String>;
}

fn outcome(name: &str, result: Result<(), RateLimitExceeded>, now: Instant) -> Seen {
    match result {
        Ok(()) => seen([("who", name.into()), ("granted_at", instant(now).into())]),
        Err(refusal) => seen([
            ("who", name.into()),
            ("refused_at", instant(now).into()),
            ("refused_for", retry_after(refusal.retry_after()).into()),
        ]),
    }
}

fn cancelled(name: &str, now: Instant) -> Seen {
    seen([("who", name.into()), ("cancelled_at", instant(now).into())])
}

/// Futures on the mock clock, whose sleepers can be moved.
struct Futures {
    clock: MockClock,
    limiter: Built,
    tasks: Tasks<Result<(), RateLimitExceeded>>,
    outcomes: Vec<Seen>,
}

impl Futures {
    fn new(case: &WaitingCase) -> Self {
        let clock = MockClock::new();
        let limiter = case.limiter.build(&clock.clone().into());
        Self { clock, limiter, tasks: Tasks::new(), outcomes: Vec::new() }
    }
}

impl Crowd for Futures {
    fn limiter(&self) -> Built {
        self.limiter.clone()
    }

    fn join(&mut self, name: &str, ask: Acquire) {
        let limiter = self.limiter.any.clone();
        self.tasks.spawn(name, async move { ask.wait(&limiter).await });
    }

    fn cancel(&mut self, name: &str) -> bool {
        self.outcomes.push(cancelled(name, self.clock.now()));
        self.tasks.cancel(name)
    }

    fn move_to(&mut self, time: Instant) {
        let (clock, outcomes) = (&self.clock, &mut self.outcomes);
        let mut note = |name: &str, result| outcomes.push(outcome(name, result, clock.now()));
        self.tasks.pass(clock, time, &mut note);
    }

    fn set_time(&mut self, time: Instant) {
        self.clock.set_time(time);
        self.settle();
    }

    fn settle(&mut self) {
        self.move_to(self.clock.now());
    }

    fn finish(mut self) -> Result<Vec<Seen>, String> {
        while let Some(deadline) = self.clock.next_deadline() {
            self.move_to(self.clock.now() + deadline);
        }
        match &*self.tasks.unfinished() {
            [] => Ok(self.outcomes),
            left => Err(format!("{left:?} wait for ever")),
        }
    }
}

/// Threads on a clock of the user's, who cannot be moved.
struct Threads {
    clock: ParkedClock,
    limiter: Built,
    threads: HashMap<String, ThreadId>,
    outcomes: Arc<Mutex<Vec<Seen>>>,
}

impl Threads {
    fn new(case: &WaitingCase) -> Self {
        let clock = ParkedClock::default();
        let limiter = case.limiter.build(&clock.shared());
        Self { clock, limiter, threads: HashMap::new(), outcomes: Arc::default() }
    }
}

impl Crowd for Threads {
    fn limiter(&self) -> Built {
        self.limiter.clone()
    }

    fn join(&mut self, name: &str, ask: Acquire) {
        let (clock, limiter) = (self.clock.clone(), self.limiter.any.clone());
        let (own, outcomes) = (name.to_owned(), Arc::clone(&self.outcomes));
        let thread = self.clock.start(move || {
            let result = ask.block(&limiter);
            outcomes.lock().unwrap().push(outcome(&own, result, clock.now()));
        });
        self.threads.insert(name.to_owned(), thread.thread().id());
    }

    fn cancel(&mut self, name: &str) -> bool {
        self.outcomes.lock().unwrap().push(cancelled(name, self.clock.now()));
        self.threads.get(name).is_some_and(|thread| self.clock.interrupt(*thread))
    }

    fn move_to(&mut self, time: Instant) {
        self.clock.move_to(time);
    }

    fn set_time(&mut self, _time: Instant) {
        unreachable!("such cases are not run on threads")
    }

    fn settle(&mut self) {}

    fn finish(self) -> Result<Vec<Seen>, String> {
        while let Some(deadline) = self.clock.next_deadline() {
            self.clock.move_to(deadline);
        }
        Ok(std::mem::take(&mut *self.outcomes.lock().unwrap()))
    }
}
