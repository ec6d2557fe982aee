//! What a user holds to send no more than a server can bear: counts, dice and a clock.

mod calls;
mod cell;
mod error;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use self::calls::ThrottledCalls;
pub use self::cell::ThrottleCell;
pub use self::error::ThrottleError;
use crate::clock::{SharedClock, TimeSource};
use crate::config::InvalidConfig;
use crate::refusal::{RateLimitExceeded, is_own_refusal};
use crate::retry_after::RetryAfter;
pub use crate::throttle::{Answer, Counted, ThrottleSettings};
use crate::time::Instant;

/// Sends a server that rejects requests few more than it accepts, and refuses the rest here.
///
/// It is the adaptive throttling of [Site Reliability Engineering], chapter 21: of the requests of
/// the last `window`, a share is refused by lot, with the probability
/// `max(0, (requests - k * accepts) / (requests + 1))`. So `k` requests are sent for each that is
/// accepted: enough to notice when the server accepts more, and no flood. Until somebody is turned
/// away nobody is refused, however many requests are still out.
///
/// - A request counts when it is attempted, also one that is refused here.
/// - An accept is an answer of the server's, whether a value or an error of the caller's. What it
///   throws out because it has too much to do is none, and neither is a request that it never
///   answers.
/// - Counts are kept in 60 slices of the window and go by slices, so a request is remembered for
///   a whole window or up to a sixtieth of it less. After a quiet window nothing is left.
///
/// | option | default | |
/// |---|---|---|
/// | `k` | 2.0 | above 1; 1.1 wastes less of the server's work, and notices later that it is back |
/// | `window` | 2 minutes | longer than any answer takes |
/// | `max_rejection` | 1.0 | 0.9 lets one in ten through at worst, to find a server again that was gone |
/// | `seed` | none | seeded, a throttle repeats its lots |
/// | `clock` | [`MonotonicClock`](crate::MonotonicClock) | |
///
/// It is a handle: a clone shares the counts.
///
/// ```
/// use limitpal::{ClientThrottle, MockClock, ThrottleError};
///
/// let throttle = ClientThrottle::builder().seed(7).clock(MockClock::new()).build()?;
/// for _ in 0..9 {
///     let _ = throttle.call_blocking(|| Err::<(), _>("503"));
/// }
/// assert_eq!(0, throttle.accepts());
/// assert_eq!(0.9, throttle.rejection_probability());
///
/// let answer = throttle.call_blocking(|| Ok::<_, &str>("back again"));
/// assert!(matches!(answer, Err(ThrottleError::RateLimitExceeded(_))), "nine in ten are refused");
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
///
/// [Site Reliability Engineering]: https://sre.google/sre-book/handling-overload/
#[derive(Clone)]
pub struct ClientThrottle {
    cell: Arc<ThrottleCell>,
    clock: SharedClock,
}

impl ClientThrottle {
    /// Returns a builder that has the defaults.
    pub fn builder() -> ClientThrottleBuilder {
        ClientThrottleBuilder::default()
    }

    /// Counts a request and returns whether to send it. Report what the server said with
    /// [`record_accept`](Self::record_accept) or [`record_rejection`](Self::record_rejection).
    ///
    /// Where you can, let [`call`](Self::call) do all three: it also takes back a request that was
    /// cancelled.
    ///
    /// ```
    /// use limitpal::ClientThrottle;
    ///
    /// let throttle = ClientThrottle::builder().build()?;
    /// assert!(throttle.allow());
    /// throttle.record_rejection();
    /// assert_eq!(0.5, throttle.rejection_probability());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn allow(&self) -> bool {
        self.admit().is_ok()
    }

    /// Hears that the server accepted a request.
    pub fn record_accept(&self) {
        let Ok(()) = self.cell.record(Answer::Accepted, || self.now());
    }

    /// Hears that the server rejected a request, or did not answer it.
    pub fn record_rejection(&self) {
        let Ok(()) = self.cell.record(Answer::Rejected, || self.now());
    }

    /// Returns the share of requests that is refused now, from 0 to `max_rejection`.
    pub fn rejection_probability(&self) -> f64 {
        let Ok(probability) = self.cell.rejection_probability(|| self.now());
        probability
    }

    /// Returns how many requests there were in the last window, those refused here included.
    pub fn requests(&self) -> u64 {
        let Ok(requests) = self.cell.requests(|| self.now());
        requests
    }

    /// Returns how many requests the server accepted in the last window.
    pub fn accepts(&self) -> u64 {
        let Ok(accepts) = self.cell.accepts(|| self.now());
        accepts
    }

    /// Forgets all counts. Calls that are under way no longer count.
    pub fn reset(&self) {
        self.cell.reset();
    }

    /// Calls `function` unless the lot falls against it, and records what the server said: a value
    /// is an accept and any error a rejection. [`reject_if`](Self::reject_if) tells errors apart.
    ///
    /// A refusal of ours (`RateLimitExceeded`, `CircuitBreakerOpen`, `InvalidConfig`, also in a
    /// `Box<dyn Error + Send + Sync>`) never came to the server: the request is taken back, and so
    /// it is after a panic. No lock is held while the function runs.
    ///
    /// # Errors
    ///
    /// The function's own, or `RateLimitExceeded`; nobody can say for how long.
    pub fn call_blocking<T, E: 'static>(
        &self,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, ThrottleError<E>> {
        let attempt = self.attempt()?;
        attempt.settle(function(), |_| true)
    }

    /// As [`call_blocking`](Self::call_blocking), for a function that returns a future. Dropping
    /// the call before it is done takes the request back.
    ///
    /// ```
    /// use limitpal::ClientThrottle;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let throttle = ClientThrottle::builder().build()?;
    /// let answer = throttle.call(|| async { Ok::<_, std::io::Error>(7) }).await?;
    /// assert_eq!(7, answer);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The function's own, or `RateLimitExceeded`; nobody can say for how long.
    pub async fn call<T, E, F, Answered>(&self, function: F) -> Result<T, ThrottleError<E>>
    where
        E: 'static,
        F: FnOnce() -> Answered,
        Answered: Future<Output = Result<T, E>>,
    {
        let attempt = self.attempt()?;
        attempt.settle(function().await, |_| true)
    }

    /// Returns what calls through this throttle and takes only those errors for rejections of
    /// which `reject_if` says so. Any other is an accept: the server answered.
    ///
    /// ```
    /// use std::io::{Error, ErrorKind};
    ///
    /// use limitpal::ClientThrottle;
    ///
    /// let throttle = ClientThrottle::builder().build()?;
    /// let calls = throttle.reject_if(|error: &Error| error.kind() == ErrorKind::TimedOut);
    ///
    /// assert!(calls.call_blocking(|| Err::<(), Error>(ErrorKind::NotFound.into())).is_err());
    /// assert_eq!(1, throttle.accepts());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn reject_if<E, P: Fn(&E) -> bool>(&self, reject_if: P) -> ThrottledCalls<P> {
        ThrottledCalls::new(self.clone(), reject_if)
    }

    fn now(&self) -> Result<Instant, Infallible> {
        TimeSource::now(&self.clock)
    }

    fn admit(&self) -> Result<Counted, f64> {
        let Ok(admitted) = self.cell.admit(|| self.now());
        admitted
    }

    fn attempt(&self) -> Result<Attempt<'_>, RateLimitExceeded> {
        let refusal = |_| RateLimitExceeded::new(RetryAfter::Unknown);
        let counted = self.admit().map_err(refusal)?;
        Ok(Attempt { throttle: self, counted: Some(counted) })
    }
}

impl fmt::Debug for ClientThrottle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.cell.settings();
        f.debug_struct("ClientThrottle")
            .field("k", &settings.k())
            .field("window", &settings.window())
            .field("max_rejection", &settings.max_rejection())
            .field("seed", &self.cell.seed())
            .field("clock", &self.clock)
            .field("rejection_probability", &self.rejection_probability())
            .finish()
    }
}

/// A request while the user's function runs. Dropped unanswered, by a panic or with a cancelled
/// future, it is taken back.
struct Attempt<'a> {
    throttle: &'a ClientThrottle,
    counted: Option<Counted>,
}

impl Attempt<'_> {
    fn settle<T, E: 'static>(
        mut self,
        result: Result<T, E>,
        reject_if: impl FnOnce(&E) -> bool,
    ) -> Result<T, ThrottleError<E>> {
        let answer = match &result {
            Ok(_) => Answer::Accepted,
            Err(error) if is_own_refusal(error) => return result.map_err(ThrottleError::Failed),
            Err(error) if reject_if(error) => Answer::Rejected,
            Err(_) => Answer::Accepted,
        };
        if let Some(counted) = self.counted.take() {
            let Ok(()) = self.throttle.cell.settle(counted, answer, || self.throttle.now());
        }
        result.map_err(ThrottleError::Failed)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(counted) = self.counted {
            self.throttle.cell.take_back(counted);
        }
    }
}

/// Puts a [`ClientThrottle`] together, which lists the defaults.
#[derive(Clone, Debug)]
pub struct ClientThrottleBuilder {
    k: f64,
    window: Duration,
    max_rejection: f64,
    seed: Option<u64>,
    clock: SharedClock,
}

impl ClientThrottleBuilder {
    /// Sets how many requests are sent for each that is accepted: a number above 1.
    #[must_use]
    pub fn k(mut self, k: f64) -> Self {
        self.k = k;
        self
    }

    /// Sets over which time requests and accepts are counted.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets the largest share of requests that is refused: above 0, 1 at most.
    #[must_use]
    pub fn max_rejection(mut self, max_rejection: f64) -> Self {
        self.max_rejection = max_rejection;
        self
    }

    /// Sets what the lots start at, so that they can be repeated.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Into<SharedClock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Builds the throttle, which has counted nothing.
    ///
    /// # Errors
    ///
    /// A `k` that is not above 1, no window or one above 100 years, or a `max_rejection` that is
    /// not above 0 and at most 1.
    pub fn build(self) -> Result<ClientThrottle, InvalidConfig> {
        let settings = ThrottleSettings::new(self.k, self.window, self.max_rejection)?;
        let cell = Arc::new(ThrottleCell::new(settings, self.seed));
        Ok(ClientThrottle { cell, clock: self.clock })
    }
}

impl Default for ClientThrottleBuilder {
    fn default() -> Self {
        Self {
            k: 2.0,
            window: Duration::from_secs(120),
            max_rejection: 1.0,
            seed: None,
            clock: SharedClock::default(),
        }
    }
}
