//! What a user holds to have as many calls in flight as pay: a limit, a count and a clock.

mod cell;

use std::fmt;
use std::sync::Arc;

pub use self::cell::{AdaptiveCell, Taken};
pub use crate::adaptive::{Adaptive, AdaptiveAlgorithm, AdaptiveSettings, Partitions};
use crate::clock::{SharedClock, TimeSource};
use crate::config::InvalidConfig;

/// Lets as many calls be in flight as the other side bears, and finds out how many that is.
///
/// Up to some number of calls at a time, the knee, each more brings more throughput; beyond it
/// calls queue, and only their latency grows. The limit follows the latencies of calls that
/// succeeded and falls with those that were dropped. It moves once in a round: as many calls as
/// the limit, ten at least.
///
/// | algorithm | a round without drops | with drops |
/// |---|---|---|
/// | [`Gradient2`](AdaptiveAlgorithm::Gradient2) | `0.8 * limit + 0.2 * (limit * gradient + 4)`, `gradient = clamp(1.5 * long / short, 0.5, 1)` of the round's latency and its long average | `* 0.9` |
/// | [`Vegas`](AdaptiveAlgorithm::Vegas) | up where `limit * (1 - lowest / latency)` is below `3 * log10(limit)`, down where it is above twice that | `- log10(limit)` |
/// | [`Aimd`](AdaptiveAlgorithm::Aimd) | `+ 1`, whatever the latency | `* 0.9` |
///
/// - The first two go down instead where more calls in flight brought no more throughput in the
///   last ten rounds; else a latency that rises slowly would let them grow without end.
/// - A limit that is not half used stays, and one that is not a fifth used comes down.
/// - What is refused here, ignored or dropped never raises it, however fast it failed.
///
/// | option | default |
/// |---|---|
/// | `algorithm` | `Gradient2` |
/// | `min`, `max` | 1, 200 |
/// | `initial` | 20, or the bound that is nearest |
/// | `seed` | none; seeded, `Vegas` repeats when it measures its lowest latency anew |
/// | `partitions` | none; see [`try_acquire_in`](Self::try_acquire_in) |
/// | `clock` | [`MonotonicClock`](crate::MonotonicClock) |
///
/// It is a handle: a clone shares the limit and the calls in flight. Nobody waits for a place.
///
/// ```
/// use limitpal::{AdaptiveConcurrency, MockClock};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let limiter = AdaptiveConcurrency::builder().initial(2).clock(clock.clone()).build()?;
/// let first = limiter.try_acquire().expect("two may be in flight");
/// let second = limiter.try_acquire().expect("two may be in flight");
/// assert!(limiter.try_acquire().is_none());
///
/// clock.advance(Duration::from_millis(50));
/// first.success();
/// drop(second); // tells nothing, and gives its place back
/// assert_eq!(0, limiter.in_flight());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct AdaptiveConcurrency {
    cell: Arc<AdaptiveCell>,
    clock: SharedClock,
}

impl AdaptiveConcurrency {
    /// Returns a builder that has the defaults.
    pub fn builder() -> AdaptiveConcurrencyBuilder {
        AdaptiveConcurrencyBuilder::default()
    }

    /// Takes a place for one call if there is one left. Where there are partitions, it is a call
    /// of none, and is guaranteed nothing.
    pub fn try_acquire(&self) -> Option<AdaptivePermit> {
        self.try_acquire_as(None)
    }

    /// Takes a place for one call of a class, if there is one left or the class has fewer in
    /// flight than it is guaranteed. So those within their share are never refused, whatever
    /// others do.
    ///
    /// ```
    /// use limitpal::AdaptiveConcurrency;
    ///
    /// let shares = [("live", 0.8), ("batch", 0.2)];
    /// let limiter = AdaptiveConcurrency::builder().initial(10).partitions(shares).build()?;
    /// let batch: Vec<_> = std::iter::from_fn(|| limiter.try_acquire_in("batch").unwrap()).collect();
    /// assert_eq!(10, batch.len(), "what is idle is lent");
    /// assert!(limiter.try_acquire_in("live")?.is_some(), "and is there all the same");
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A class that there is not: the error lists those there are.
    pub fn try_acquire_in(&self, partition: &str) -> Result<Option<AdaptivePermit>, InvalidConfig> {
        Ok(self.try_acquire_as(Some(self.cell.class(partition)?)))
    }

    fn try_acquire_as(&self, class: Option<usize>) -> Option<AdaptivePermit> {
        let Ok(taken) = self.cell.try_acquire_as(class, || TimeSource::now(&self.clock));
        taken.map(|taken| AdaptivePermit { limiter: self.clone(), taken: Some(taken) })
    }

    /// Returns how many calls of a class are in flight.
    ///
    /// # Errors
    ///
    /// A class that there is not.
    pub fn in_flight_of(&self, partition: &str) -> Result<u32, InvalidConfig> {
        Ok(self.cell.in_flight_of(self.cell.class(partition)?))
    }

    /// Returns how many calls in flight a class is guaranteed now: its share of the limit, rounded
    /// up.
    ///
    /// # Errors
    ///
    /// A class that there is not.
    pub fn places_of(&self, partition: &str) -> Result<u32, InvalidConfig> {
        Ok(self.cell.places_of(self.cell.class(partition)?))
    }

    /// Returns how many calls may be in flight.
    pub fn limit(&self) -> u32 {
        self.cell.limit()
    }

    /// Returns how many calls are in flight.
    pub fn in_flight(&self) -> u32 {
        self.cell.in_flight()
    }
}

impl fmt::Debug for AdaptiveConcurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.cell.settings();
        f.debug_struct("AdaptiveConcurrency")
            .field("algorithm", &settings.algorithm())
            .field("min", &settings.min())
            .field("max", &settings.max())
            .field("clock", &self.clock)
            .field("limit", &self.limit())
            .field("in_flight", &self.in_flight())
            .finish()
    }
}

/// A place among the calls in flight, which measures how long its call takes.
///
/// Say how the call went; dropped without a word, it is as after [`ignore`](Self::ignore).
#[derive(Debug)]
#[must_use = "dropping it gives the place back at once"]
pub struct AdaptivePermit {
    limiter: AdaptiveConcurrency,
    taken: Option<Taken>,
}

impl AdaptivePermit {
    /// Gives the place back: the call did what it should, and its latency counts.
    pub fn success(mut self) {
        if let Some(taken) = self.taken.take() {
            let clock = &self.limiter.clock;
            let Ok(()) = self.limiter.cell.succeeded(taken, || TimeSource::now(clock));
        }
    }

    /// Gives the place back: the call timed out or was thrown out for overload. The limit falls.
    pub fn dropped(mut self) {
        if let Some(taken) = self.taken.take() {
            self.limiter.cell.dropped(taken);
        }
    }

    /// Gives the place back: the call tells nothing about the load, as one that was cancelled or
    /// that failed for a reason of its own.
    pub fn ignore(self) {}
}

impl Drop for AdaptivePermit {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.limiter.cell.ignore(taken);
        }
    }
}

/// Puts an [`AdaptiveConcurrency`] together, which lists the defaults.
#[derive(Clone, Debug)]
pub struct AdaptiveConcurrencyBuilder {
    algorithm: AdaptiveAlgorithm,
    min: u32,
    max: u32,
    initial: Option<u32>,
    partitions: Option<Vec<(String, f64)>>,
    seed: Option<u64>,
    clock: SharedClock,
}

impl AdaptiveConcurrencyBuilder {
    /// Sets how the limit is found.
    #[must_use]
    pub fn algorithm(mut self, algorithm: AdaptiveAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets the lowest limit: at least 1.
    #[must_use]
    pub fn min(mut self, min: u32) -> Self {
        self.min = min;
        self
    }

    /// Sets the highest limit.
    #[must_use]
    pub fn max(mut self, max: u32) -> Self {
        self.max = max;
        self
    }

    /// Sets the limit at the start.
    #[must_use]
    pub fn initial(mut self, initial: u32) -> Self {
        self.initial = Some(initial);
        self
    }

    /// Guarantees each class of calls its share of the limit; their sum is 1.
    #[must_use]
    pub fn partitions<N: Into<String>>(
        mut self,
        partitions: impl IntoIterator<Item = (N, f64)>,
    ) -> Self {
        let named = partitions.into_iter().map(|(name, share)| (name.into(), share));
        self.partitions = Some(named.collect());
        self
    }

    /// Sets by which chances `Vegas` measures its lowest latency anew.
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

    /// Builds the limiter, with nothing in flight.
    ///
    /// # Errors
    ///
    /// A `min` of 0, a `max` below it, or an `initial` that is not between them; no partitions, the
    /// same twice, a share that is not above 0, or a sum that is not 1.
    pub fn build(self) -> Result<AdaptiveConcurrency, InvalidConfig> {
        let bounds = (self.min, self.max);
        let settings = AdaptiveSettings::new(self.algorithm, bounds, self.initial)?;
        let partitions = self.partitions.map(Partitions::new).transpose()?;
        let cell = Arc::new(AdaptiveCell::partitioned(settings, partitions, self.seed));
        Ok(AdaptiveConcurrency { cell, clock: self.clock })
    }
}

impl Default for AdaptiveConcurrencyBuilder {
    fn default() -> Self {
        Self {
            algorithm: AdaptiveAlgorithm::default(),
            min: AdaptiveSettings::MIN,
            max: AdaptiveSettings::MAX,
            initial: None,
            partitions: None,
            seed: None,
            clock: SharedClock::default(),
        }
    }
}
