//! A limiter whose rate follows what the other side says to the calls it let through.

mod calls;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub use self::calls::{AdaptiveCalls, AdaptiveError};
use super::builder::{BucketBuilder, Draft};
use super::change::Change;
use super::keyed::Keyed;
use super::part::Part;
use super::{AnyLimiter, sure};
use crate::algorithm::{
    AdaptiveRate, AdaptiveRateSettings, Algorithm, Carry, Heard, RateAlgorithm,
};
use crate::clock::{SharedClock, TimeSource};
use crate::config::InvalidConfig;
use crate::rate::Rate;

/// Sends as many calls a second as the other side takes, and finds out how many that is.
///
/// For an API whose limit is not told, or that changes. Each key has a bucket whose rate falls when
/// the other side throttles (answers 429, say) and rises with each call that succeeds, up to
/// `max_rate`. Until it has throttled once, the rate is where it began. Those who wait go sooner or
/// later as the rate changes, in their order. All it does besides is written at [`AnyLimiter`], to
/// which it dereferences.
///
/// | algorithm | a success | throttled |
/// |---|---|---|
/// | [`Cubic`](RateAlgorithm::Cubic) | `0.4 * (t - k)^3 + peak`, `t` seconds after throttling, `k = cbrt(peak * (1 - decrease) / 0.4)` | `peak = min(rate, measured)`, `rate = decrease * peak` |
/// | [`Aimd`](RateAlgorithm::Aimd) | `rate + increase / rate`: `increase` a second where all of it is used | the same |
///
/// - `measured` is how many permits went a second: counted for half a second at a time, and averaged
///   with a weight of 0.8 on the last. A success never leaves the rate above twice that.
/// - `Cubic`, these numbers and the lowest rate are those of the adaptive retry mode of the
///   [AWS SDKs](https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
/// - Only what the other side says moves a rate. Refusals of ours, and calls that fail otherwise,
///   are not to be recorded, and [`throttled_if`](Self::throttled_if) does not record them.
///
/// | option | default | |
/// |---|---|---|
/// | `algorithm` | `Cubic` | |
/// | `min_rate` | 0.5 per second | |
/// | `initial_rate` | `max_rate` | |
/// | `burst` | 1 | how many may go at once: evenness is what a server that throttles wants |
/// | `decrease` | 0.7; with `Aimd` 0.9, whose mean is half way down | |
/// | `increase` | `max_rate / 300` a second, each second | of `Aimd` alone |
/// | `cooldown` | 500 ms | further throttling within it does not count: a burst of 429 lowers once |
/// | `forget_after` | 10 minutes | a key that is idle for so long starts over |
///
/// The other options are those of [`BucketBuilder`]. A key is as new, for `ttl` and `max_buckets`,
/// once it is forgotten so; one that was never throttled 10 seconds after its last use.
///
/// ```
/// use limitpal::{AdaptiveLimiter, MockClock, Rate};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let limiter = AdaptiveLimiter::builder(Rate::per_second(100.0)?).clock(&clock).build()?;
/// for _ in 0..50 {
///     assert!(limiter.allow("api"));
///     clock.advance(Duration::from_millis(20)); // fifty a second
/// }
/// limiter.record_throttled("api");
/// assert_eq!(35.0, limiter.rate("api"));
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct AdaptiveLimiter {
    keyed: Arc<Keyed<SharedClock, AdaptiveRate>>,
    any: AnyLimiter,
}

/// Builds an [`AdaptiveLimiter`], which lists the defaults, with the options of [`BucketBuilder`].
pub type AdaptiveLimiterBuilder = BucketBuilder<AdaptiveLimiter, AdaptiveDraft>;

/// The numbers of a rate that adapts, not yet checked.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveDraft {
    algorithm: RateAlgorithm,
    max_rate: Rate,
    min_rate: Option<Rate>,
    initial_rate: Option<Rate>,
    burst: u32,
    decrease: Option<f64>,
    increase: Option<f64>,
    cooldown: Option<Duration>,
    forget_after: Option<Duration>,
}

impl Draft for AdaptiveDraft {
    type Algorithm = AdaptiveRate;

    fn checked(self, _clock: &SharedClock) -> Result<AdaptiveRate, InvalidConfig> {
        let defaults = AdaptiveRateSettings::new(self.max_rate)?;
        AdaptiveRate::new(AdaptiveRateSettings {
            algorithm: self.algorithm,
            max_rate: self.max_rate,
            min_rate: self.min_rate.unwrap_or(defaults.min_rate),
            initial_rate: self.initial_rate.unwrap_or(defaults.initial_rate),
            burst: self.burst,
            decrease: self.decrease,
            increase: self.increase,
            cooldown: self.cooldown.unwrap_or(defaults.cooldown),
            forget_after: self.forget_after.unwrap_or(defaults.forget_after),
        })
    }
}

impl AdaptiveLimiter {
    /// Makes one with the defaults.
    ///
    /// # Errors
    ///
    /// None, for a rate that exists.
    pub fn new(max_rate: Rate) -> Result<Self, InvalidConfig> {
        Self::builder(max_rate).build()
    }

    /// Starts one with options.
    pub fn builder(max_rate: Rate) -> AdaptiveLimiterBuilder {
        BucketBuilder::of(AdaptiveDraft {
            algorithm: RateAlgorithm::default(),
            max_rate,
            min_rate: None,
            initial_rate: None,
            burst: 1,
            decrease: None,
            increase: None,
            cooldown: None,
            forget_after: None,
        })
    }

    /// Hears that the other side did what a call asked for: the rate may rise.
    pub fn record_success(&self, key: &str) {
        self.hear(key, Heard::Success);
    }

    /// Hears that the other side throttled a call: the rate falls, unless it just has.
    pub fn record_throttled(&self, key: &str) {
        self.hear(key, Heard::Throttled);
    }

    /// Returns what calls functions through this limiter and records what comes of it: a value is
    /// a success, an error of which `throttled_if` says so is throttling, and any other error says
    /// nothing about the rate.
    ///
    /// ```
    /// use limitpal::{AdaptiveLimiter, Rate};
    ///
    /// let limiter = AdaptiveLimiter::new(Rate::per_second(100.0)?)?;
    /// let calls = limiter.throttled_if(|status: &u16| *status == 429);
    ///
    /// assert_eq!(Ok(7), calls.call_blocking("api", || Ok(7)));
    /// assert!(calls.call_blocking("api", || Err::<(), _>(404)).is_err());
    /// assert_eq!(100.0, limiter.rate("api"));
    /// assert!(calls.call_blocking("api", || Err::<(), _>(429)).is_err());
    /// assert!(limiter.rate("api") < 100.0);
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn throttled_if<E, P: Fn(&E) -> bool>(&self, throttled_if: P) -> AdaptiveCalls<P> {
        AdaptiveCalls::new(self.clone(), throttled_if)
    }

    /// Returns a key's rate now, in permits a second.
    pub fn rate(&self, key: &str) -> f64 {
        let key = sure(self.keyed.fingerprint(key));
        sure(self.keyed.rate(key))
    }

    /// Returns the highest rate.
    pub fn max_rate(&self) -> Rate {
        self.settings().max_rate
    }

    /// Returns the lowest rate.
    pub fn min_rate(&self) -> Rate {
        self.settings().min_rate
    }

    /// Returns how the rate moves.
    pub fn algorithm(&self) -> RateAlgorithm {
        self.settings().algorithm
    }

    /// Returns how many may go at once.
    pub fn burst(&self) -> u32 {
        Algorithm::capacity(&self.keyed.store().bucket())
    }

    fn settings(&self) -> AdaptiveRateSettings {
        *self.keyed.store().bucket().settings()
    }

    fn hear(&self, key: &str, heard: Heard) {
        let key = sure(self.keyed.fingerprint(key));
        sure(self.keyed.hear(key, heard));
    }
}

impl AdaptiveLimiterBuilder {
    /// Sets how the rate moves.
    pub fn algorithm(mut self, algorithm: RateAlgorithm) -> Self {
        self.draft.algorithm = algorithm;
        self
    }

    /// Sets the lowest rate.
    pub fn min_rate(mut self, min_rate: Rate) -> Self {
        self.draft.min_rate = Some(min_rate);
        self
    }

    /// Sets the rate until something is known; successes raise it from there.
    pub fn initial_rate(mut self, initial_rate: Rate) -> Self {
        self.draft.initial_rate = Some(initial_rate);
        self
    }

    /// Lets so many go at once after a pause.
    pub fn burst(mut self, burst: u32) -> Self {
        self.draft.burst = burst;
        self
    }

    /// Sets what is left of the rate when the other side throttles: above 0 and below 1.
    pub fn decrease(mut self, decrease: f64) -> Self {
        self.draft.decrease = Some(decrease);
        self
    }

    /// Sets by how many permits a second [`Aimd`](RateAlgorithm::Aimd) rises in a second.
    pub fn increase(mut self, increase: f64) -> Self {
        self.draft.increase = Some(increase);
        self
    }

    /// Sets how long after it fell the rate does not fall again: as long as answers are on their
    /// way to calls that were sent before. With 0 each answer lowers it.
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.draft.cooldown = Some(cooldown);
        self
    }

    /// Sets how long a key must be idle until what was learned about it is forgotten.
    pub fn forget_after(mut self, forget_after: Duration) -> Self {
        self.draft.forget_after = Some(forget_after);
        self
    }
}

impl<S: TimeSource> Keyed<S, AdaptiveRate> {
    /// Hears what the other side said to a call.
    pub fn hear(&self, key: crate::shards::Fingerprint, heard: Heard) -> Result<(), S::Error> {
        self.store().hear(key, heard, || self.source().now())
    }

    /// Returns a key's rate now, in permits a second.
    pub fn rate(&self, key: crate::shards::Fingerprint) -> Result<f64, S::Error> {
        self.store().rate(key, || self.source().now())
    }
}

super::keyed_handle!(AdaptiveLimiter, AdaptiveRate);
