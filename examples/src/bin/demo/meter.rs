//! What one client did, counted around its own sends, its attempts and its breaker.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use limitpal::{CircuitBreaker, CircuitState};
use reqwest::{Client, Response, StatusCode};
use tokio::time::Instant;

use crate::plan::Plan;

/// A count that grows by one.
#[derive(Debug, Default)]
pub(crate) struct Count(Cell<u32>);

impl Count {
    pub(crate) fn get(&self) -> u32 {
        self.0.get()
    }

    pub(crate) fn add(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A breaker seen in another state than before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transition {
    pub(crate) at: Duration,
    pub(crate) before: CircuitState,
    pub(crate) after: CircuitState,
}

/// The counts of one client's turn. A job is what a user wants; it may take several requests.
///
/// All jobs of a turn run in one thread, so plain cells will do.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) plan: Plan,
    pub(crate) started: Instant,
    pub(crate) took: Cell<Duration>,
    pub(crate) sent: Count,
    pub(crate) over_quota: Count,
    pub(crate) server_errors: Count,
    pub(crate) unanswered: Count,
    pub(crate) into_outage: Count,
    pub(crate) done: Count,
    pub(crate) failed: Count,
    pub(crate) turned_away: Count,
    pub(crate) waits: RefCell<Vec<Duration>>,
    pub(crate) transitions: RefCell<Vec<Transition>>,
    pub(crate) breaker_state: Cell<Option<CircuitState>>,
}

impl Meter {
    pub(crate) fn new(plan: Plan, started: Instant) -> Self {
        Self {
            plan,
            started,
            took: Cell::default(),
            sent: Count::default(),
            over_quota: Count::default(),
            server_errors: Count::default(),
            unanswered: Count::default(),
            into_outage: Count::default(),
            done: Count::default(),
            failed: Count::default(),
            turned_away: Count::default(),
            waits: RefCell::default(),
            transitions: RefCell::default(),
            breaker_state: Cell::default(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn over(&self) -> u32 {
        self.done.get() + self.failed.get()
    }

    /// Sends one request with `http` and counts it, its answer or the lack of one.
    pub(crate) async fn send(&self, http: &Client, url: &str) -> reqwest::Result<Response> {
        self.sent.add();
        if self.plan.in_outage(self.elapsed()) {
            self.into_outage.add();
        }
        let answer = http.get(url).send().await;
        match answer.as_ref().map(Response::status) {
            Ok(StatusCode::TOO_MANY_REQUESTS) => self.over_quota.add(),
            Ok(status) if status.is_server_error() => self.server_errors.add(),
            Ok(_) => {}
            Err(_) => self.unanswered.add(),
        }
        answer
    }

    /// Notes how long a run waited for quota before its first attempt.
    pub(crate) fn waited(&self, wait: Duration) {
        self.waits.borrow_mut().push(wait);
    }

    /// Notes the breaker's state if it is another than last time.
    ///
    /// Half-open begins by time alone, so a look between attempts sees what no attempt does.
    pub(crate) fn look(&self, breaker: &CircuitBreaker) {
        let after = breaker.state();
        if let Some(before) = self.breaker_state.replace(Some(after))
            && before != after
        {
            let at = self.elapsed();
            self.transitions.borrow_mut().push(Transition { at, before, after });
        }
    }
}
