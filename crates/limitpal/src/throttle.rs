//! Which requests not to send to a server that rejects too many: so large a share, by lot.

mod window;

use std::time::Duration;

pub use self::window::Counted;
pub(crate) use self::window::Counts;
use self::window::Window;
use crate::config::{InvalidConfig, positive};
use crate::time::Instant;

/// How many requests a client sends for each that is accepted, and over which time it counts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ThrottleSettings {
    k: f64,
    window: Duration,
    max_rejection: f64,
}

impl ThrottleSettings {
    /// Checks and keeps the settings.
    ///
    /// # Errors
    ///
    /// A `k` that is not above 1, no window or one above 100 years, or a `max_rejection` that is
    /// not above 0 and at most 1.
    pub fn new(k: f64, window: Duration, max_rejection: f64) -> Result<Self, InvalidConfig> {
        // At 1 what was refused once would be refused for ever: nothing is sent that could show
        // that the server accepts more.
        if !(k > 1.0 && k < f64::INFINITY) {
            let advice = "give a finite number above 1; 2 sends up to twice what is accepted";
            return Err(InvalidConfig::new("k", k, advice));
        }
        positive("window", window)?;
        if !(max_rejection > 0.0 && max_rejection <= 1.0) {
            let advice = "give a number above 0, 1 at most; 0.9 lets one in ten through at worst";
            return Err(InvalidConfig::new("max_rejection", max_rejection, advice));
        }
        Ok(Self { k, window, max_rejection })
    }

    /// Returns how many requests are sent for each that is accepted.
    pub fn k(&self) -> f64 {
        self.k
    }

    /// Returns over which time is counted.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// Returns the largest share of requests that is refused.
    pub fn max_rejection(&self) -> f64 {
        self.max_rejection
    }
}

/// What the server said to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It did what it could: a value, or an error that has nothing to do with load.
    Accepted,
    /// It threw the request out, or never answered.
    Rejected,
}

/// The adaptive throttling of [Site Reliability Engineering], chapter 21. It has no clock, no lock
/// and no dice: `now` and the lot are arguments.
///
/// [Site Reliability Engineering]: https://sre.google/sre-book/handling-overload/
#[derive(Debug)]
pub(crate) struct Throttle {
    settings: ThrottleSettings,
    window: Window,
}

impl Throttle {
    pub(crate) fn new(settings: ThrottleSettings) -> Self {
        Self { settings, window: Window::new(settings.window) }
    }

    /// Counts a request, and refuses it where `lot`, from 0 to just below 1, is below the
    /// probability, which is then returned.
    ///
    /// It counts now and not when it ends: requests that nobody answers weigh from the start.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        lot: impl FnOnce() -> f64,
    ) -> Result<Counted, f64> {
        let probability = self.rejection_probability(now);
        let counted = self.window.count_request();
        if probability > 0.0 && lot() < probability {
            self.window.count_turned_away();
            return Err(probability);
        }
        Ok(counted)
    }

    /// Hears what the server said to a request, unless there was a reset since that was counted.
    pub(crate) fn settle(&mut self, counted: Counted, answer: Answer, now: Instant) {
        if self.window.knows(counted) {
            self.record(answer, now);
        }
    }

    /// Hears what the server said to some request.
    pub(crate) fn record(&mut self, answer: Answer, now: Instant) {
        self.window.advance(now);
        match answer {
            Answer::Accepted => self.window.count_accept(),
            Answer::Rejected => self.window.count_turned_away(),
        }
    }

    /// Counts a request no longer that never came to the server.
    pub(crate) fn take_back(&mut self, counted: Counted) {
        self.window.take_back(counted);
    }

    /// Forgets all counts.
    pub(crate) fn reset(&mut self) {
        self.window.clear();
    }

    /// Returns what was counted in the window that ends at `now`.
    pub(crate) fn counts(&mut self, now: Instant) -> Counts {
        self.window.advance(now);
        self.window.total()
    }

    /// Returns the share of requests that is refused at `now`.
    pub(crate) fn rejection_probability(&mut self, now: Instant) -> f64 {
        let Counts { requests, accepts, turned_away } = self.counts(now);
        // However many are still out: so long as nobody was turned away, there is no reason to.
        if turned_away == 0 {
            return 0.0;
        }
        // p = max(0, (requests - K * accepts) / (requests + 1))
        let (requests, accepts) = (requests as f64, accepts as f64);
        let probability = (requests - self.settings.k * accepts) / (requests + 1.0);
        probability.clamp(0.0, self.settings.max_rejection)
    }

    /// Returns what [`Window::ahead_of`] does.
    pub(crate) fn ahead_of(&self, now: Instant) -> Option<i64> {
        self.window.ahead_of(now)
    }
}
