//! The states of a circuit breaker, and calls that hold a permit in between.

use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread::JoinHandle;

use limitpal::{BreakerError, CircuitBreaker, MockClock};
use serde::Deserialize;

use super::Mode;
use super::build::BreakerSpec;
use super::cases::{Case, Seconds, Seen, Step, seen, span};
use super::limiters::move_to;
use super::tasks::Tasks;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakerCase {
    name: String,
    why: String,
    breaker: BreakerSpec,
    steps: Vec<Step>,
}

impl Case for BreakerCase {
    fn name(&self) -> &str {
        &self.name
    }

    fn why(&self) -> &str {
        &self.why
    }
}

/// How a call ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    Ok,
    Error,
    Cancel,
}

impl End {
    fn result(self) -> Result<(), String> {
        if self == Self::Ok { Ok(()) } else { Err("down".to_owned()) }
    }
}

/// Calls in progress, by name.
trait Calls {
    /// Begins a call: the refusal, if there is one.
    fn begin(&mut self, name: &str, breaker: &CircuitBreaker) -> Option<String>;
    fn end(&mut self, name: &str, end: End) -> Result<(), String>;
}

pub(super) fn run(case: &BreakerCase, mode: Mode) -> Result<(), String> {
    let clock = MockClock::new();
    let breaker = case.breaker.build(&clock.clone().into());
    let mut calls: Box<dyn Calls> = match mode {
        Mode::Async => Box::new(Futures::default()),
        Mode::Blocking | Mode::Threads => Box::new(Threads::default()),
    };
    for step in &case.steps {
        take_step(step.clone(), &clock, &breaker, &mut *calls)
            .map_err(|error| format!("{}\n    {error}", step.shown()))?;
    }
    Ok(())
}

fn take_step(
    mut step: Step,
    clock: &MockClock,
    breaker: &CircuitBreaker,
    calls: &mut dyn Calls,
) -> Result<(), String> {
    let call: String = step.take("do")?;
    let at: Seconds = step.take("at")?;
    if call == "set_time" {
        clock.set_time(at.instant());
        return step.compare(&Seen::new());
    }
    move_to(clock, at)?;
    let seen = match &*call {
        "begin" => match calls.begin(&step.take::<String>("as")?, breaker) {
            Some(refused_for) => seen([("refused_for", refused_for.into())]),
            None => seen([("admitted", true.into())]),
        },
        "end" => {
            calls.end(&step.take::<String>("who")?, step.take("with")?)?;
            Seen::new()
        }
        _ => observe(&call, breaker)?,
    };
    step.compare(&seen)
}

/// Makes a call on the breaker that holds no permit.
pub(super) fn observe(call: &str, breaker: &CircuitBreaker) -> Result<Seen, String> {
    match call {
        "allow" => return Ok(seen([("allowed", breaker.allow().into())])),
        "state" => return Ok(seen([("state", breaker.state().to_string().into())])),
        "record_success" => breaker.record_success(),
        "record_failure" => breaker.record_failure(),
        "reset" => breaker.reset(),
        "enforce" => breaker.enforce(),
        "shadow" => breaker.shadow(),
        "disable" => breaker.disable(),
        "force_open" => breaker.force_open(),
        _ => return Err(format!("nothing is called `{call}` here")),
    }
    Ok(Seen::new())
}

type Answer = Result<(), BreakerError<String>>;

fn refusal(answer: &Answer) -> Option<String> {
    match answer {
        Err(BreakerError::CircuitBreakerOpen(refusal)) => refusal.retry_after().map(span),
        _ => None,
    }
}

/// Async calls; a cancelled one is dropped.
struct Futures {
    tasks: Tasks<Answer>,
    ends: HashMap<String, Arc<Mutex<Option<End>>>>,
}

impl Default for Futures {
    fn default() -> Self {
        Self { tasks: Tasks::new(), ends: HashMap::new() }
    }
}

impl Calls for Futures {
    fn begin(&mut self, name: &str, breaker: &CircuitBreaker) -> Option<String> {
        let (end, breaker) = (Arc::new(Mutex::new(None)), breaker.clone());
        self.ends.insert(name.to_owned(), Arc::clone(&end));
        let function = poll_fn(move |_| {
            let end: Option<End> = end.lock().unwrap().take();
            end.map_or(Poll::Pending, |end| Poll::Ready(end.result()))
        });
        self.tasks.spawn(name, async move { breaker.call(|| function).await });
        let mut refused_for = None;
        self.tasks.settle(|_, answer| refused_for = refusal(&answer));
        refused_for
    }

    fn end(&mut self, name: &str, end: End) -> Result<(), String> {
        let mut ended = false;
        if end == End::Cancel {
            ended = self.tasks.cancel(name);
        } else {
            let call = self.ends.remove(name).ok_or_else(|| format!("no call {name}"))?;
            *call.lock().unwrap() = Some(end);
            self.tasks.wake(name);
            self.tasks.settle(|_, answer| ended = answer.is_ok() == (end == End::Ok));
        }
        ended.then_some(()).ok_or_else(|| format!("{name} did not end with {end:?}"))
    }
}

/// Blocking calls, each on a thread of its own; a cancelled one panics.
#[derive(Default)]
struct Threads(HashMap<String, (Sender<End>, JoinHandle<Option<Answer>>)>);

impl Calls for Threads {
    fn begin(&mut self, name: &str, breaker: &CircuitBreaker) -> Option<String> {
        let breaker = breaker.clone();
        let (ends, end) = channel();
        let (began, begins) = channel();
        let thread = std::thread::spawn(move || {
            let function = || {
                began.send(()).unwrap();
                let end: End = end.recv().unwrap();
                if end == End::Cancel {
                    // Without the hook, so that no message is printed.
                    resume_unwind(Box::new(()));
                }
                end.result()
            };
            catch_unwind(AssertUnwindSafe(move || breaker.call_blocking(function))).ok()
        });
        if begins.recv().is_ok() {
            self.0.insert(name.to_owned(), (ends, thread));
            return None;
        }
        thread.join().unwrap().as_ref().and_then(refusal)
    }

    fn end(&mut self, name: &str, end: End) -> Result<(), String> {
        let (ends, thread) = self.0.remove(name).ok_or_else(|| format!("no call {name}"))?;
        ends.send(end).unwrap();
        let answer = thread.join().unwrap();
        let ended = match end {
            End::Cancel => answer.is_none(),
            End::Ok => answer == Some(Ok(())),
            End::Error => answer == Some(Err(BreakerError::Failed("down".to_owned()))),
        };
        ended.then_some(()).ok_or_else(|| format!("{name} did not end with {end:?}"))
    }
}
