//! What a user gives an executor so that slow attempts get another try.

mod cell;

use std::time::Duration;

pub use self::cell::HedgeCell;
use crate::config::InvalidConfig;
pub use crate::hedging::HedgeSettings;

/// Sends another try of an attempt that is slow, and takes whichever gives a value first.
///
/// A hedge is for what is slow by chance: a busy server, a lost packet. One that starts when most
/// calls would have been answered costs a small share of calls more, and turns the slowest ones
/// into usual ones.
///
/// - A hedge starts when the try before it has taken `delay`, or where there is a `percentile` and
///   enough is known, as long as that percentile of the latency (1 ms at least).
/// - The first value wins, and the other tries are dropped. An error waits for the tries under way;
///   one that the retry policy does not retry ends the attempt at once. Once all have failed, so
///   has the attempt, with the error of the earliest one. A hedge is for slowness: what has failed
///   gets no hedge, but a retry.
/// - To breaker, retry policy and limiter it is one attempt with one outcome. With
///   [`Charge::Attempt`](crate::Charge::Attempt) each hedge takes quota, and without waiting:
///   where there is none, there is no hedge.
/// - In the last `window` there may be `max_extra_load * calls + minimum_per_second * window`
///   hedges. A [`RetryBudget`](crate::RetryBudget) of the executor is charged for hedges, too.
///
/// Latencies are those of first tries that gave a value. One that lost to its hedge counts as
/// having taken as long as it was let run: were it left out, the slow ones would be missing, and the
/// percentile too low. Failures and refusals count nothing. What is read lies at most a 32nd above
/// the true percentile, never below.
///
/// | option | default | |
/// |---|---|---|
/// | `delay` | none | up to 100 years; beside a percentile, for as long as too little is known |
/// | `percentile` | none | above 0 and below 100; without a delay there is no hedge until enough is known |
/// | `min_samples` | 100 | how many latencies are enough |
/// | `max_hedges` | 1 | of one attempt, from 1 to 10 |
/// | `max_extra_load` | 0.1 | hedges for each call, from 0 to 1 |
/// | `minimum_per_second` | 1.0 | hedges besides, so that a quiet client may hedge; all of a window's may come at once |
/// | `window` | 30 s | for how long calls and hedges are remembered; latencies for half of it at least |
///
/// [`run`](crate::ResilientExecutor::run) and
/// [`run_on_threads`](crate::ResilientExecutor::run_on_threads) hedge; `run_blocking` calls in the
/// caller's own thread, and cannot.
///
/// It is a value. What is counted belongs to the executor, and its clones share it. The idea is
/// that of [The Tail at Scale], the cap that of [Finagle].
///
/// ```
/// use std::time::Duration;
///
/// use limitpal::{Clock, Hedge, MockClock, ResilientExecutor};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = MockClock::new();
/// let executor = ResilientExecutor::builder()
///     .hedge(Hedge::after(Duration::from_millis(100))?)
///     .clock(clock.clone())
///     .build()?;
///
/// let (sleeper, mut tries) = (clock.clone(), 0);
/// let run = executor.run("api", || {
///     tries += 1;
///     // The first try is slow, the second is not.
///     let (answer, latency) = (tries, if tries == 1 { 3000 } else { 20 });
///     let slept = sleeper.sleep(Duration::from_millis(latency));
///     async move { slept.await; Ok::<_, std::io::Error>(answer) }
/// });
/// let (answer, ()) = tokio::join!(run, clock.run_for(Duration::from_millis(120)));
///
/// assert_eq!(2, answer?);
/// let stats = executor.stats();
/// assert_eq!((1, 1, 2), (stats.hedges, stats.hedge_wins, stats.attempts));
/// # Ok(())
/// # }
/// ```
///
/// [The Tail at Scale]: https://research.google/pubs/the-tail-at-scale/
/// [Finagle]: https://twitter.github.io/finagle/guide/MethodBuilder.html#backup-requests
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Hedge {
    settings: HedgeSettings,
}

impl Hedge {
    /// Hedges what has taken this long.
    ///
    /// # Errors
    ///
    /// A delay of more than 100 years.
    pub fn after(delay: Duration) -> Result<Self, InvalidConfig> {
        Self::builder().delay(delay).build()
    }

    /// Returns a builder that has the defaults; it needs a delay or a percentile.
    pub fn builder() -> HedgeBuilder {
        HedgeBuilder::default()
    }

    pub(crate) fn settings(&self) -> HedgeSettings {
        self.settings
    }
}

/// Puts a [`Hedge`] together, which lists the defaults.
#[derive(Clone, Copy, Default, Debug)]
pub struct HedgeBuilder {
    settings: HedgeSettings,
}

impl HedgeBuilder {
    /// Sets how long a try may take before the next one starts; zero: they start together.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.settings.delay = Some(delay);
        self
    }

    /// Sets which percentile of the latency takes the place of the delay: above 0, below 100.
    #[must_use]
    pub fn percentile(mut self, percentile: f64) -> Self {
        self.settings.percentile = Some(percentile);
        self
    }

    /// Sets how many latencies must be known before the percentile counts: at least 1.
    #[must_use]
    pub fn min_samples(mut self, min_samples: u32) -> Self {
        self.settings.min_samples = min_samples;
        self
    }

    /// Sets how many hedges one attempt may have: from 1 to 10.
    #[must_use]
    pub fn max_hedges(mut self, max_hedges: u32) -> Self {
        self.settings.max_hedges = max_hedges;
        self
    }

    /// Sets how many hedges there may be for each call: from 0 to 1.
    #[must_use]
    pub fn max_extra_load(mut self, max_extra_load: f64) -> Self {
        self.settings.max_extra_load = max_extra_load;
        self
    }

    /// Sets how many hedges a second there may be besides: from 0 to a million.
    #[must_use]
    pub fn minimum_per_second(mut self, minimum_per_second: f64) -> Self {
        self.settings.minimum_per_second = minimum_per_second;
        self
    }

    /// Sets for how long calls, hedges and latencies are remembered: above 0, 100 years at most.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.settings.window = window;
        self
    }

    /// Builds the hedge.
    ///
    /// # Errors
    ///
    /// Neither a delay nor a percentile, or an option outside its range.
    pub fn build(self) -> Result<Hedge, InvalidConfig> {
        Ok(Hedge { settings: self.settings.checked()? })
    }
}
