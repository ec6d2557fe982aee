//! When a circuit breaker opens, for how long, and what closes it again.

use std::fmt;
use std::time::Duration;

use super::growth::Growth;
use super::ramp::Ramp;
use super::rules::{Rate, TripRule};
use crate::config::{InvalidConfig, at_least_one, positive};

/// How many failures in a row trip a circuit for which nobody says when it trips.
const USUAL_FAILURES: u32 = 5;
/// How long a step of a ramp takes where nobody says.
const USUAL_STEP: Duration = Duration::from_secs(5);

/// The settings of a circuit breaker as they are given, and their defaults.
#[derive(Clone, PartialEq, Debug)]
pub struct BreakerOptions {
    /// Short for a rule of so many failures in a row.
    pub failure_threshold: Option<u32>,
    /// When it trips.
    pub trip_on: Vec<TripRule>,
    /// How long it stays open, and how long a probe's permit lasts.
    pub recovery_timeout: Duration,
    /// How many successes close it, and how many probes may be out.
    pub half_open_success_threshold: u32,
    /// The longest time in half-open.
    pub half_open_timeout: Option<Duration>,
    /// Which shares of the calls are admitted after recovery.
    pub ramp: Vec<f64>,
    /// How long each share is.
    pub ramp_step: Option<Duration>,
    /// What the time it stays open is multiplied by with each trip.
    pub recovery_backoff: f64,
    /// The longest time it stays open.
    pub max_recovery_timeout: Option<Duration>,
    /// How far that time may stray, as a share of it.
    pub recovery_jitter: f64,
    /// What the jitter is drawn from.
    pub seed: Option<u64>,
    /// Whether each success is counted while nothing hangs on it.
    pub count_successes: bool,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            failure_threshold: None,
            trip_on: Vec::new(),
            recovery_timeout: Duration::from_secs(5),
            half_open_success_threshold: 1,
            half_open_timeout: None,
            ramp: Vec::new(),
            ramp_step: None,
            recovery_backoff: 1.0,
            max_recovery_timeout: None,
            recovery_jitter: 0.0,
            seed: None,
            count_successes: false,
        }
    }
}

/// When a circuit breaker opens, for how long, and what closes it again: checked.
#[derive(Clone, PartialEq)]
pub struct BreakerSettings {
    /// As they were given.
    rules: Box<[TripRule]>,
    /// How many failures in a row trip it.
    pub(super) consecutive: Option<u32>,
    pub(super) rates: Box<[Rate]>,
    pub(super) growth: Growth,
    pub(super) successes: u32,
    pub(super) half_open_timeout: Option<Duration>,
    pub(super) ramp: Option<Ramp>,
    count_successes: bool,
}

impl BreakerSettings {
    /// Checks and keeps the settings of a breaker that trips after so many failures in a row.
    ///
    /// # Errors
    ///
    /// A threshold of 0, no recovery timeout or one above 100 years.
    pub fn new(
        failure_threshold: u32,
        recovery_timeout: Duration,
        half_open_success_threshold: u32,
    ) -> Result<Self, InvalidConfig> {
        Self::checked(BreakerOptions {
            failure_threshold: Some(failure_threshold),
            recovery_timeout,
            half_open_success_threshold,
            ..BreakerOptions::default()
        })
    }

    /// Checks and keeps the settings.
    ///
    /// # Errors
    ///
    /// A number outside its range, or options that contradict each other.
    pub fn checked(options: BreakerOptions) -> Result<Self, InvalidConfig> {
        let rules = rules(options.failure_threshold, options.trip_on)?;
        let limits = rules.iter().filter_map(|rule| match rule {
            TripRule::ConsecutiveFailures(rule) => Some(rule.failures()),
            TripRule::FailureRate(_) | TripRule::SlowCallRate(_) => None,
        });
        let consecutive = limits.min();
        let rates = rules.iter().filter_map(|rule| Rate::of(*rule).transpose());
        let rates = rates.collect::<Result<_, _>>()?;
        let growth = Growth::new(
            options.recovery_timeout,
            options.recovery_backoff,
            options.max_recovery_timeout,
            options.recovery_jitter,
            options.seed,
        )?;
        let successes = options.half_open_success_threshold;
        at_least_one("half_open_success_threshold", successes.into())?;
        if let Some(timeout) = options.half_open_timeout {
            positive("half_open_timeout", timeout)?;
        }
        let ramp = match (&*options.ramp, options.ramp_step) {
            ([], None) => None,
            ([], Some(step)) => {
                let advice = "give ramp too, the shares of calls that are admitted";
                return Err(InvalidConfig::new("ramp_step", format_args!("{step:?}"), advice));
            }
            (shares, step) => Some(Ramp::new(shares, step.unwrap_or(USUAL_STEP))?),
        };
        let BreakerOptions { half_open_timeout, count_successes, .. } = options;
        Ok(Self {
            rules,
            consecutive,
            rates,
            growth,
            successes,
            half_open_timeout,
            ramp,
            count_successes,
        })
    }

    /// Returns when it trips: on any of these.
    pub fn trip_on(&self) -> &[TripRule] {
        &self.rules
    }

    /// Returns how many failures in a row open the circuit, if that is all that opens it.
    pub fn failure_threshold(&self) -> Option<u32> {
        if self.rates.is_empty() { self.consecutive } else { None }
    }

    /// Returns how long the circuit stays open at first, and how long a probe's permit lasts.
    pub fn recovery_timeout(&self) -> Duration {
        self.growth.base
    }

    /// Returns how many successes close the half-open circuit, and how many probes may be out.
    pub fn half_open_success_threshold(&self) -> u32 {
        self.successes
    }

    /// Returns the longest time in half-open.
    pub fn half_open_timeout(&self) -> Option<Duration> {
        self.half_open_timeout
    }

    /// Returns the shares of calls that are admitted after recovery, and how long each is.
    pub fn ramp(&self) -> Option<(Vec<f64>, Duration)> {
        self.ramp.as_ref().map(|ramp| (ramp.shares().collect(), ramp.step()))
    }

    /// Returns what the time it stays open is multiplied by with each trip.
    pub fn recovery_backoff(&self) -> f64 {
        self.growth.factor
    }

    /// Returns the longest time it stays open.
    pub fn max_recovery_timeout(&self) -> Duration {
        self.growth.most
    }

    /// Returns how far the time it stays open may stray, as a share of it.
    pub fn recovery_jitter(&self) -> f64 {
        self.growth.jitter
    }

    /// Returns what the jitter is drawn from.
    pub fn seed(&self) -> Option<u64> {
        self.growth.random.seed()
    }

    /// Returns whether each success is counted while nothing hangs on it.
    pub fn count_successes(&self) -> bool {
        self.count_successes
    }

    /// Returns whether a success hangs on every rule being told of it.
    pub(crate) fn hears_successes(&self) -> bool {
        !self.rates.is_empty()
    }

    /// Returns whether a call's time matters.
    pub(crate) fn times_calls(&self) -> bool {
        self.rates.iter().any(|rate| rate.slower_than.is_some())
    }

    /// Returns whether a call that took so long counts as a failure where one failure is enough.
    pub(super) fn is_slow(&self, took: Option<Duration>) -> bool {
        self.rates.iter().any(|rate| rate.slower_than.is_some_and(|limit| took > Some(limit)))
    }

    /// Shows what was given, and what differs from the defaults.
    pub(crate) fn show(&self, debug: &mut fmt::DebugStruct<'_, '_>) {
        match self.failure_threshold() {
            Some(threshold) => debug.field("failure_threshold", &threshold),
            None => debug.field("trip_on", &self.rules),
        };
        debug
            .field("recovery_timeout", &self.growth.base)
            .field("half_open_success_threshold", &self.successes);
        if let Some(timeout) = self.half_open_timeout {
            debug.field("half_open_timeout", &timeout);
        }
        if let Some((shares, step)) = self.ramp() {
            debug.field("ramp", &shares).field("ramp_step", &step);
        }
        if self.count_successes {
            debug.field("count_successes", &true);
        }
        if self.growth.factor != 1.0 || self.growth.jitter != 0.0 {
            debug
                .field("recovery_backoff", &self.growth.factor)
                .field("max_recovery_timeout", &self.growth.most)
                .field("recovery_jitter", &self.growth.jitter);
        }
    }
}

impl fmt::Debug for BreakerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("BreakerSettings");
        self.show(&mut debug);
        debug.finish()
    }
}

/// Returns when it trips, of the two ways to say it.
fn rules(threshold: Option<u32>, given: Vec<TripRule>) -> Result<Box<[TripRule]>, InvalidConfig> {
    let failures = |limit| super::ConsecutiveFailures::new(limit).into();
    match (threshold, &*given) {
        (None, []) => Ok([failures(USUAL_FAILURES)].into()),
        (Some(limit), []) => {
            at_least_one("failure_threshold", limit.into())?;
            Ok([failures(limit)].into())
        }
        (Some(limit), _) => {
            let advice = "leave it out, trip_on says when it trips; ConsecutiveFailures is the \
                          rule that it is short for";
            Err(InvalidConfig::new("failure_threshold", limit, advice))
        }
        (None, rules) => {
            rules.iter().try_for_each(|rule| rule.check())?;
            Ok(rules.into())
        }
    }
}
