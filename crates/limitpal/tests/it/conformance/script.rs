//! A function that does what a case says at each attempt, and notes when it was called.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limitpal::{RateLimitExceeded, RetryAfter, RunError, SharedClock, TimeoutExceeded};
use serde_json::Value;

use super::cases::{Seconds, Seen, instant, retry_after, seen, span};

/// The function's own error.
pub(super) type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug)]
struct Scripted(String);

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Scripted {}

/// Returns the word that a script has for an error.
pub(super) fn kind(error: &Failure) -> &str {
    if error.is::<RateLimitExceeded>() {
        return "refusal";
    }
    error.downcast_ref::<Scripted>().map_or("another error", |error| &error.0)
}

/// What the function does, attempt by attempt, and what happened.
#[derive(Clone, Debug)]
pub(super) struct Script {
    clock: SharedClock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    left: VecDeque<(String, Duration)>,
    attempts: Vec<Value>,
    /// When calls were dropped, before they gave what the script says.
    cut: Vec<Value>,
    end: Option<Seen>,
}

/// A call that is under way, if it is awaited: dropped, it was cut.
struct UnderWay(Script);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = instant(self.0.clock.now());
        self.0.state.lock().unwrap().cut.push(now.into());
    }
}

impl Script {
    pub(super) fn new(lines: &[String], clock: SharedClock) -> Result<Self, String> {
        let left = lines.iter().map(|line| parse(line)).collect::<Result<_, _>>()?;
        let state = State { left, attempts: Vec::new(), cut: Vec::new(), end: None };
        Ok(Self { clock, state: Arc::new(Mutex::new(state)) })
    }

    fn begin(&self) -> (String, Duration) {
        let mut state = self.state.lock().unwrap();
        state.attempts.push(instant(self.clock.now()).into());
        let surplus = ("an attempt more than the script has".to_owned(), Duration::ZERO);
        state.left.pop_front().unwrap_or(surplus)
    }

    pub(super) fn note_end(&self, mut end: Seen) {
        end.insert("ended_at".to_owned(), instant(self.clock.now()).into());
        self.state.lock().unwrap().end = Some(end);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().unwrap().end.is_some()
    }

    /// Returns what happened, once the run has ended.
    pub(super) fn end(&self) -> Result<Seen, String> {
        let mut state = self.state.lock().unwrap();
        let mut end = state.end.take().ok_or("the run did not end")?;
        end.insert("attempts".to_owned(), std::mem::take(&mut state.attempts).into());
        end.insert("cut".to_owned(), std::mem::take(&mut state.cut).into());
        if !state.left.is_empty() {
            return Err(format!("the script has {:?} left; {end:?}", state.left));
        }
        Ok(end)
    }
}

fn parse(line: &str) -> Result<(String, Duration), String> {
    let (what, takes) = line.split_once(" after ").unwrap_or((line, "0"));
    if !["ok", "error", "fatal", "ignored", "refusal"].contains(&what) {
        return Err(format!("a script has no `{what}`"));
    }
    let takes: Seconds = serde_json::from_value(takes.into()).map_err(|error| error.to_string())?;
    Ok((what.to_owned(), takes.duration()))
}

fn result(what: String) -> Result<(), Failure> {
    match &*what {
        "ok" => Ok(()),
        "refusal" => Err(RateLimitExceeded::new(RetryAfter::Unknown).into()),
        _ => Err(Box::new(Scripted(what))),
    }
}

/// The blocking function.
pub(super) fn block(script: &Script) -> Result<(), Failure> {
    let (what, takes) = script.begin();
    if !takes.is_zero() {
        script.clock.sleep_blocking(takes);
    }
    result(what)
}

/// The async function.
pub(super) async fn wait(script: Script) -> Result<(), Failure> {
    let (what, takes) = script.begin();
    if !takes.is_zero() {
        let sleep = script.clock.sleep(takes);
        let under_way = UnderWay(script);
        sleep.await;
        std::mem::forget(under_way);
    }
    result(what)
}

/// Returns how a run ended.
pub(super) fn ended(result: Result<(), RunError<Failure>>) -> Seen {
    match result {
        Ok(()) => seen([("result", "ok".into())]),
        Err(RunError::RateLimitExceeded(refusal)) => seen([
            ("result", "rate_limited".into()),
            ("retry_after", retry_after(refusal.retry_after()).into()),
        ]),
        Err(RunError::CircuitBreakerOpen(refusal)) => seen([
            ("result", "circuit_open".into()),
            ("retry_after", span(refusal.retry_after().unwrap()).into()),
        ]),
        Err(RunError::BulkheadFull(_)) => seen([("result", "bulkhead_full".into())]),
        Err(RunError::RetryExhausted(end)) => seen([
            ("result", "retry_exhausted".into()),
            ("reason", end.reason.to_string().into()),
            ("attempts_made", end.attempts.into()),
            ("last_error", kind(&end.last_error).into()),
        ]),
        Err(RunError::TimeoutExceeded(end)) => timed_out(end),
        Err(RunError::Failed(error)) => seen([("result", kind(&error).into())]),
        Err(error) => seen([("result", error.to_string().into())]),
    }
}

/// In Python the last error of a run that might have had another attempt is the timeout.
fn timed_out(end: TimeoutExceeded) -> Seen {
    match end.reason() {
        Some(reason) => seen([
            ("result", "retry_exhausted".into()),
            ("reason", reason.to_string().into()),
            ("attempts_made", end.attempts().into()),
            ("last_error", "timeout".into()),
        ]),
        None => seen([
            ("result", "timeout".into()),
            ("scope", end.scope().to_string().into()),
            ("attempts_made", end.attempts().into()),
        ]),
    }
}
