//! The two clients: the one that everybody writes first, and the same one inside an executor.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use limitpal::{
    Charge, CircuitBreaker, InvalidConfig, Rate, ResilientExecutor, RetryPolicy, RunError,
    StopReason, TokenBucket,
};
use reqwest::{StatusCode, header};
use tokio::time::{Instant, sleep, sleep_until};

use crate::meter::Meter;
use crate::plan::Plan;

/// The limiter's key. The quota is the provider's, so every job shares it, whoever the user is.
const API: &str = "provider";

/// Why a request failed. A 429 has a variant of its own.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// The provider answered 429: the request was fine, there were too many of them.
    TooManyRequests {
        retry_after: Option<Duration>,
    },
    Status(StatusCode),
    NoAnswer(reqwest::Error),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRequests { retry_after: Some(wait) } => {
                write!(f, "429, come back in {wait:?}")
            }
            Self::TooManyRequests { retry_after: None } => f.write_str("429"),
            Self::Status(status) => write!(f, "the provider answered {status}"),
            Self::NoAnswer(error) => write!(f, "no answer: {error}"),
        }
    }
}

impl std::error::Error for FetchError {}

/// Where requests go, and who counts them.
pub(crate) struct Http<'a> {
    pub(crate) client: reqwest::Client,
    pub(crate) url: &'a str,
    pub(crate) meter: &'a Meter,
}

impl Http<'_> {
    /// Sends one request. This function is the same for both clients.
    async fn fetch(&self, number: u32) -> Result<(), FetchError> {
        let url = format!("{}/orders/{number}", self.url);
        let answer = self.meter.send(&self.client, &url).await.map_err(FetchError::NoAnswer)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = answer.headers().get(header::RETRY_AFTER);
                let seconds = seconds.and_then(|text| text.to_str().ok()?.parse().ok());
                Err(FetchError::TooManyRequests { retry_after: seconds.map(Duration::from_secs) })
            }
            status => Err(FetchError::Status(status)),
        }
    }
}

/// One of the two clients.
pub(crate) enum Client {
    Naive,
    Resilient(Box<Resilient>),
}

impl Client {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Resilient(_) => "limitpal",
        }
    }

    /// Lets the meter look at what changes by time alone.
    pub(crate) fn look(&self, meter: &Meter) {
        if let Self::Resilient(client) = self {
            meter.look(&client.breaker);
        }
    }

    /// Does all the jobs of the plan, each when it comes up.
    pub(crate) async fn take_turn(&self, http: &Http<'_>) {
        let meter = http.meter;
        let jobs = (0..meter.plan.requests).map(|number| async move {
            sleep_until(meter.started + meter.plan.arrival(number)).await;
            let done = match self {
                Self::Naive => naive_job(http, number).await,
                Self::Resilient(client) => client.job(http, number).await,
            };
            if done { meter.done.add() } else { meter.failed.add() }
        });
        join_all(jobs).await;
        meter.took.set(meter.elapsed());
    }
}

/// Does one job in a few tries, one right after the other; returns whether it is done.
async fn naive_job(http: &Http<'_>, number: u32) -> bool {
    for _ in 0..Plan::TRIES {
        if http.fetch(number).await.is_ok() {
            return true;
        }
    }
    false
}

/// The same `fetch` inside an executor that counts every attempt.
pub(crate) struct Resilient {
    breaker: CircuitBreaker,
    executor: ResilientExecutor<FetchError>,
    random: RefCell<fastrand::Rng>,
}

impl Resilient {
    pub(crate) fn new(plan: &Plan) -> Result<Self, InvalidConfig> {
        let breaker = CircuitBreaker::builder()
            .failure_threshold(5)
            .recovery_timeout(Plan::RECOVERY_TIMEOUT)
            .build()?;
        let retry_policy = RetryPolicy::builder()
            .max_attempts(Plan::TRIES)
            .base_delay(Duration::from_millis(200))
            .max_delay(Duration::from_secs(2))
            .jitter(0.2)
            .seed(plan.seed)
            .build()?;
        let executor = ResilientExecutor::builder()
            .limiter(TokenBucket::new(plan.burst(), Rate::per_second(plan.rate())?)?)
            .retry_policy(retry_policy)
            .circuit_breaker(breaker.clone())
            .charge(Charge::Attempt)
            .ignore(|error| matches!(error, FetchError::TooManyRequests { .. }))
            .build()?;
        let random = RefCell::new(fastrand::Rng::with_seed(plan.seed));
        Ok(Self { breaker, executor, random })
    }

    /// Runs one job; while the circuit is open the job stays on our side and comes again.
    async fn job(&self, http: &Http<'_>, number: u32) -> bool {
        let deadline = Instant::now() + Plan::PATIENCE;
        loop {
            let outcome = self.run(http, number).await;
            http.meter.look(&self.breaker);
            let wait = match outcome {
                Ok(()) => return true,
                Err(RunError::CircuitBreakerOpen(refusal)) => {
                    // Nobody forces it open here.
                    refusal.retry_after().unwrap_or_default()
                }
                Err(RunError::RetryExhausted(stop)) if stop.reason == StopReason::CircuitOpen => {
                    Duration::ZERO
                }
                Err(_) => return false,
            };
            let wait = wait + self.spread();
            if Instant::now() + wait > deadline {
                return false;
            }
            http.meter.turned_away.add();
            sleep(wait).await;
        }
    }

    async fn run(&self, http: &Http<'_>, number: u32) -> Result<(), RunError<FetchError>> {
        let begun = Instant::now();
        let first = Cell::new(true);
        let attempt = || async {
            http.meter.look(&self.breaker);
            if first.replace(false) {
                http.meter.waited(begun.elapsed());
            }
            http.fetch(number).await
        };
        self.executor.run(API, attempt).await
    }

    /// Returns a little time, so that jobs turned away together do not come again together.
    fn spread(&self) -> Duration {
        Duration::from_millis(self.random.borrow_mut().u64(50..250))
    }
}
