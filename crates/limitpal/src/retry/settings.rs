//! The part of a retry policy that knows no error type: how many attempts, and the delays.

use std::time::Duration;

use super::spacing::Spacing;
use crate::backoff::{Backoff, Delays, Jitter, Memory, Shape, duration};
use crate::config::{InvalidConfig, at_least_one, positive};
use crate::random::Random;

/// How many attempts, and how long to wait between them, checked and in seconds.
///
/// It is for those who write a loop of their own; [`RetryPolicy`](crate::RetryPolicy) is what
/// others want. A clone draws its jitter from the seed anew; share one behind an `Arc` to go on.
#[derive(Clone, PartialEq, Debug)]
pub struct RetrySettings {
    max_attempts: Option<u32>,
    max_elapsed: Option<Duration>,
    delays: Delays,
    classes: Vec<Delays>,
    backoff: Backoff,
    max_server_delay: f64,
    random: Random,
}

/// What [`RetrySettings`] are made of. The defaults are those of a policy.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct RetryOptions {
    /// How many attempts there are, the first one included; none for as many as it takes.
    pub max_attempts: Option<u32>,
    /// How long after its beginning a run may still begin an attempt.
    pub max_elapsed: Option<Duration>,
    /// How delays grow.
    pub delays: Delays,
    /// How delays grow after errors of some classes, by number.
    pub classes: Vec<Delays>,
    /// The shortest delay, in seconds.
    pub min_delay: f64,
    /// The longest delay, in seconds.
    pub max_delay: f64,
    /// How delays stray.
    pub jitter: Jitter,
    /// What jitter starts from.
    pub seed: Option<u64>,
    /// The longest delay that an error may ask for, in seconds.
    pub max_server_delay: f64,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            max_attempts: Some(3),
            max_elapsed: None,
            delays: Delays::default(),
            classes: Vec::new(),
            min_delay: 0.0,
            max_delay: 5.0,
            jitter: Jitter::Share(0.0),
            seed: None,
            max_server_delay: 60.0,
        }
    }
}

impl RetrySettings {
    /// Checks and keeps exponential delays; `delays` are the base and the longest, in seconds.
    ///
    /// # Errors
    ///
    /// A setting outside its range, by the name [`RetryPolicy`](crate::RetryPolicy) gives it.
    pub fn new(
        max_attempts: u32,
        delays: (f64, f64),
        backoff: f64,
        jitter: f64,
        seed: Option<u64>,
    ) -> Result<Self, InvalidConfig> {
        let (base, max_delay) = delays;
        Self::of(RetryOptions {
            max_attempts: Some(max_attempts),
            delays: exponential(base, backoff)?,
            max_delay,
            jitter: Jitter::Share(jitter),
            seed,
            ..RetryOptions::default()
        })
    }

    /// Checks and keeps the options.
    ///
    /// # Errors
    ///
    /// An option outside its range, by its name.
    pub fn of(options: RetryOptions) -> Result<Self, InvalidConfig> {
        let RetryOptions { min_delay: floor, max_delay: cap, jitter, .. } = options;
        if let Some(max_attempts) = options.max_attempts {
            at_least_one("max_attempts", max_attempts.into())?;
        }
        if let Some(max_elapsed) = options.max_elapsed {
            positive("max_elapsed", max_elapsed)?;
        }
        let backoff = Backoff { jitter, floor, cap };
        let mut least = 0.0_f64;
        for delays in std::iter::once(&options.delays).chain(&options.classes) {
            delays.check()?;
            backoff.check(delays)?;
            least = least.max(delays.known());
        }
        if !(least..f64::INFINITY).contains(&cap) {
            let what = match &options.delays.0 {
                Shape::Exponential { base, .. } if *base == least => "base_delay",
                _ => "the delays known",
            };
            let advice = format!("give a finite number of seconds, at least {what} ({least})");
            return Err(InvalidConfig::new("max_delay", cap, advice));
        }
        if !(0.0..=cap).contains(&floor) {
            let advice = format!("give a number of seconds from 0 to max_delay ({cap})");
            return Err(InvalidConfig::new("min_delay", floor, advice));
        }
        if !(0.0..f64::INFINITY).contains(&options.max_server_delay) {
            let advice = "give a finite number of seconds, at least 0";
            return Err(InvalidConfig::new("max_server_delay", options.max_server_delay, advice));
        }
        let RetryOptions { max_attempts, max_elapsed, delays, classes, .. } = options;
        let (max_server_delay, random) = (options.max_server_delay, Random::new(options.seed));
        Ok(Self { max_attempts, max_elapsed, delays, classes, backoff, max_server_delay, random })
    }

    /// Returns how many attempts there are, the first one included; none for as many as it takes.
    pub fn max_attempts(&self) -> Option<u32> {
        self.max_attempts
    }

    /// Returns how long after its beginning a run may still begin an attempt.
    pub fn max_elapsed(&self) -> Option<Duration> {
        self.max_elapsed
    }

    /// Returns whether it matters when a run began, for a [`Plan`](crate::Plan).
    pub fn is_timed(&self) -> bool {
        self.max_elapsed.is_some()
    }

    /// Returns how delays grow, before jitter.
    pub fn delays(&self) -> &Delays {
        &self.delays
    }

    /// Returns how delays grow after errors of some classes, by number.
    pub fn classes(&self) -> &[Delays] {
        &self.classes
    }

    /// Returns the delay after the first attempt without jitter, in seconds.
    pub fn base_delay(&self) -> f64 {
        self.delays.after(1, self.backoff.cap)
    }

    /// Returns the shortest delay, in seconds.
    pub fn min_delay(&self) -> f64 {
        self.backoff.floor
    }

    /// Returns the longest delay, in seconds.
    pub fn max_delay(&self) -> f64 {
        self.backoff.cap
    }

    /// Returns what each delay is multiplied by to give the next, if they are exponential.
    pub fn backoff(&self) -> Option<f64> {
        match self.delays.0 {
            Shape::Exponential { factor, .. } => Some(factor),
            _ => None,
        }
    }

    /// Returns how a delay may stray.
    pub fn jitter(&self) -> Jitter {
        self.backoff.jitter
    }

    /// Returns the longest delay that an error may ask for, in seconds.
    pub fn max_server_delay(&self) -> f64 {
        self.max_server_delay
    }

    /// Returns what the jitter's generator was started at.
    pub fn seed(&self) -> Option<u64> {
        self.random.seed()
    }

    /// Returns whether an attempt is left after attempt `n`, counted from 1.
    pub fn has_attempt_after(&self, n: u32) -> bool {
        self.max_attempts.is_none_or(|max_attempts| n < max_attempts)
    }

    /// Returns the seconds to wait after attempt `n`, counted from 1.
    ///
    /// Where a delay depends on the one before, those before are drawn as well, at most 64.
    pub fn delay_secs(&self, n: u32) -> f64 {
        self.backoff.delay_alone(&self.delays, n, || self.random.unit())
    }

    /// Returns how long to wait after attempt `n`, counted from 1.
    pub fn delay(&self, n: u32) -> Duration {
        duration(self.delay_secs(n))
    }

    /// Returns how long a run waits after its attempt `n`.
    pub(crate) fn spaced(&self, spacing: Spacing, n: u32, memory: &mut Memory) -> Duration {
        let unit = || self.random.unit();
        duration(match spacing {
            Spacing::Policy => self.backoff.delay(&self.delays, n, memory, unit),
            Spacing::Class(class) => {
                let delays = self.classes.get(class).unwrap_or(&self.delays);
                self.backoff.delay(delays, n, memory, unit)
            }
            Spacing::Given(delay) => self.backoff.given(delay, unit),
            Spacing::Server(delay) => delay.min(self.max_server_delay),
            Spacing::Exactly(delay) => return delay,
        })
    }

    /// Returns the seconds after attempt `n` if somebody else computes them, jittered and capped.
    #[doc(hidden)]
    pub fn given_secs(&self, delay: f64) -> f64 {
        self.backoff.given(delay, || self.random.unit())
    }
}

/// Returns exponential delays, refused by the names that a policy's own arguments have.
#[doc(hidden)]
pub fn exponential(base_delay: f64, backoff: f64) -> Result<Delays, InvalidConfig> {
    Delays::of(Shape::Exponential { base: base_delay, factor: backoff }).map_err(|error| {
        let name = if error.parameter() == "base" { "base_delay" } else { "backoff" };
        error.about(name)
    })
}
