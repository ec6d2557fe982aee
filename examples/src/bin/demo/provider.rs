//! A hard provider: a real HTTP server on loopback with a quota, bad luck and an outage.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::plan::Plan;

/// What the provider noted while one client had its turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub(crate) received: u32,
    pub(crate) over_quota: u32,
    pub(crate) server_errors: u32,
    pub(crate) into_outage: u32,
}

/// One client's turn, as the provider sees it.
struct Shift {
    plan: Plan,
    started: Instant,
    random: fastrand::Rng,
    served: VecDeque<Instant>,
    books: Books,
}

/// An answer in the making: what to say, and how long it takes.
struct Answer {
    status: StatusCode,
    delay: Duration,
    retry_after: Option<Duration>,
}

impl Shift {
    fn new(plan: Plan) -> Self {
        let random = fastrand::Rng::with_seed(plan.seed);
        let (served, books) = (VecDeque::new(), Books::default());
        Self { plan, started: Instant::now(), random, served, books }
    }

    /// Decides one request and writes it into the books.
    fn decide(&mut self, now: Instant) -> Answer {
        self.books.received += 1;
        let at_once = |status, retry_after| Answer { status, delay: Duration::ZERO, retry_after };
        if self.plan.in_outage(now - self.started) {
            self.books.into_outage += 1;
            self.books.server_errors += 1;
            return at_once(StatusCode::SERVICE_UNAVAILABLE, None);
        }
        if let Some(wait) = self.over_quota(now) {
            self.books.over_quota += 1;
            return at_once(StatusCode::TOO_MANY_REQUESTS, Some(wait));
        }
        let slow = self.random.u32(0..100) < Plan::SLOW_PERCENT;
        let delay = if slow { Plan::SLOW_ANSWER } else { Plan::QUICK_ANSWER };
        if self.random.u32(0..100) < Plan::FAILURE_PERCENT {
            self.books.server_errors += 1;
            return Answer { status: StatusCode::SERVICE_UNAVAILABLE, delay, retry_after: None };
        }
        Answer { status: StatusCode::OK, delay, retry_after: None }
    }

    /// Counts the request, or returns how long until there is quota for it.
    ///
    /// Every request that is let in counts, also one that ends in a 503.
    fn over_quota(&mut self, now: Instant) -> Option<Duration> {
        while self.served.front().is_some_and(|&first| first + Plan::WINDOW <= now) {
            self.served.pop_front();
        }
        if let Some(&first) = self.served.front()
            && self.served.len() >= self.plan.quota() as usize
        {
            return Some(first + Plan::WINDOW - now);
        }
        self.served.push_back(now);
        None
    }
}

type Desk = Arc<Mutex<Shift>>;

/// The server, in a thread of its own until dropped. Any free port will do.
pub(crate) struct Provider {
    pub(crate) url: String,
    desk: Desk,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Provider {
    /// Starts the server.
    pub(crate) fn start(plan: &Plan) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let desk = Arc::new(Mutex::new(Shift::new(plan.clone())));
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&desk);
        let thread = std::thread::Builder::new()
            .name("provider".to_owned())
            .spawn(move || serve(listener, served, stopped))?;
        Ok(Self { url, desk, stop: Some(stop), thread: Some(thread) })
    }

    /// Opens new books for the next client's turn and returns when it started: now.
    pub(crate) fn begin(&self, plan: &Plan) -> Instant {
        let shift = Shift::new(plan.clone());
        let started = shift.started;
        *self.desk.lock().unwrap_or_else(PoisonError::into_inner) = shift;
        started
    }

    /// Returns what was noted since the turn began.
    pub(crate) fn books(&self) -> Books {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).books.clone()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && !matches!(thread.join(), Ok(Ok(())))
        {
            eprintln!("the provider's server failed");
        }
    }
}

fn serve(listener: TcpListener, desk: Desk, stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let app = Router::new().fallback(answer).with_state(desk);
        tokio::select! {
            served = axum::serve(listener, app) => served,
            _ = stopped => Ok(()),
        }
    })
}

async fn answer(State(desk): State<Desk>) -> Response {
    let answer = desk.lock().unwrap_or_else(PoisonError::into_inner).decide(Instant::now());
    if !answer.delay.is_zero() {
        sleep(answer.delay).await;
    }
    let mut response = answer.status.into_response();
    if let Some(wait) = answer.retry_after {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
