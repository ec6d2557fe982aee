//! When a circuit trips: failures in a row, or too large a share of calls that fail or are slow.

use std::time::Duration;

use crate::circuit_state::MoveReason;
use crate::config::{InvalidConfig, at_least_one, positive};
use crate::outcome::Outcome;

/// The most calls that a rate looks back on: two bits for each are kept.
const MOST_CALLS: u32 = 1_000_000;
/// How many calls a rate looks back on where nobody says.
const USUAL_CALLS: u32 = 100;
/// How many calls a rate takes to be known where nobody says.
const USUAL_MINIMUM: u32 = 20;

/// When a circuit trips. Of several rules any one trips it.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum TripRule {
    /// So many failures in a row.
    ConsecutiveFailures(ConsecutiveFailures),
    /// A share of calls that fail.
    FailureRate(FailureRate),
    /// A share of calls that take too long.
    SlowCallRate(SlowCallRate),
}

/// Trips after so many failures in a row: at least 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsecutiveFailures {
    failures: u32,
}

impl ConsecutiveFailures {
    /// Names the number of failures; it is checked when the breaker is built.
    pub const fn new(failures: u32) -> Self {
        Self { failures }
    }

    /// Returns how many failures in a row trip it.
    pub const fn failures(self) -> u32 {
        self.failures
    }
}

/// Trips once at least this share of the calls looked back on has failed.
///
/// It looks back on the last 100 calls, or as many as [`calls`](Self::calls) says, or on those
/// that ended within a [`window`](Self::window) of time. Before there are
/// [`minimum_calls`](Self::minimum_calls) of them (20, or all the calls if these are fewer), the
/// rate is unknown and trips nothing. It is worked out whenever a call ends, and `share` itself is
/// enough: 10 of 20 trip at 0.5.
///
/// ```
/// use limitpal::{CircuitBreaker, CircuitState, FailureRate};
///
/// let rule = FailureRate::new(0.5).calls(10).minimum_calls(4);
/// let breaker = CircuitBreaker::builder().trip_on(rule).build()?;
/// breaker.record_success();
/// breaker.record_failure();
/// breaker.record_success();
/// assert_eq!(CircuitState::Closed, breaker.state());
/// breaker.record_failure();
/// assert_eq!(CircuitState::Open, breaker.state());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FailureRate {
    pub(super) share: f64,
    pub(super) span: Span,
}

/// Trips once at least this share of the calls looked back on took longer than `slower_than`.
///
/// As [`FailureRate`] otherwise. A call is counted when it ends, however it ends; a slow one counts
/// against a half-open circuit as a failure does. Only a breaker with such a rule takes the time
/// of its calls; in an executor that is the time of the attempt that ended the run.
///
/// ```
/// use limitpal::{CircuitBreaker, CircuitState, MockClock, SlowCallRate};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let rule = SlowCallRate::new(1.0, Duration::from_secs(2)).minimum_calls(2);
/// let breaker = CircuitBreaker::builder().trip_on(rule).clock(clock.clone()).build()?;
/// for _ in 0..2 {
///     let answer = breaker.call_blocking(|| {
///         clock.advance(Duration::from_secs(3));
///         Ok::<_, String>(7)
///     });
///     assert_eq!(Ok(7), answer);
/// }
/// assert_eq!(CircuitState::Open, breaker.state());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SlowCallRate {
    pub(super) share: f64,
    pub(super) slower_than: Duration,
    pub(super) span: Span,
}

/// On which calls a rate looks back, as it was given.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Span {
    calls: Option<u32>,
    window: Option<Duration>,
    minimum_calls: Option<u32>,
}

/// On which calls a rate looks back, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LookBack {
    Calls(u32),
    Time(Duration),
}

macro_rules! rate {
    ($name:ident) => {
        impl $name {
            /// Sets on how many calls it looks back: from 1 to 1,000,000; it takes two bits for
            /// each. Instead of a window.
            #[must_use]
            pub const fn calls(mut self, calls: u32) -> Self {
                self.span.calls = Some(calls);
                self
            }

            /// Sets on how much time it looks back, instead of on so many calls. It is counted in
            /// sixty parts, so a call is remembered for the whole time or up to a sixtieth less.
            #[must_use]
            pub const fn window(mut self, window: Duration) -> Self {
                self.span.window = Some(window);
                self
            }

            /// Sets before how many calls the rate is unknown: at least 1, at most `calls`.
            #[must_use]
            pub const fn minimum_calls(mut self, minimum_calls: u32) -> Self {
                self.span.minimum_calls = Some(minimum_calls);
                self
            }
        }

        impl From<$name> for TripRule {
            fn from(rule: $name) -> Self {
                Self::$name(rule)
            }
        }
    };
}

rate!(FailureRate);
rate!(SlowCallRate);

impl FailureRate {
    /// Names the share: above 0, at most 1; it is checked when the breaker is built.
    pub const fn new(share: f64) -> Self {
        Self { share, span: Span { calls: None, window: None, minimum_calls: None } }
    }
}

impl SlowCallRate {
    /// Names the share, above 0 and at most 1, and the longest time that is not slow; both are
    /// checked when the breaker is built.
    pub const fn new(share: f64, slower_than: Duration) -> Self {
        let span = Span { calls: None, window: None, minimum_calls: None };
        Self { share, slower_than, span }
    }
}

impl From<ConsecutiveFailures> for TripRule {
    fn from(rule: ConsecutiveFailures) -> Self {
        Self::ConsecutiveFailures(rule)
    }
}

impl TripRule {
    /// Checks the rule, as the builder of a breaker does.
    ///
    /// # Errors
    ///
    /// A number outside its range, or both `calls` and a `window`.
    pub fn check(self) -> Result<(), InvalidConfig> {
        match self {
            Self::ConsecutiveFailures(rule) => at_least_one("failures", rule.failures.into()),
            Self::FailureRate(_) | Self::SlowCallRate(_) => Rate::of(self).map(drop),
        }
    }
}

/// A rule about a share of calls, checked.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Rate {
    pub(super) look_back: LookBack,
    share: f64,
    minimum_calls: u32,
    /// Slow calls count, longer than this; otherwise failures do.
    pub(super) slower_than: Option<Duration>,
}

impl Rate {
    /// Checks a rule about a share; none for one that is about something else.
    pub(super) fn of(rule: TripRule) -> Result<Option<Self>, InvalidConfig> {
        let (share, span, slower_than) = match rule {
            TripRule::ConsecutiveFailures(_) => return Ok(None),
            TripRule::FailureRate(rule) => (rule.share, rule.span, None),
            TripRule::SlowCallRate(rule) => (rule.share, rule.span, Some(rule.slower_than)),
        };
        if !(share > 0.0 && share <= 1.0) {
            let advice = "give a number above 0, 1 at most; 0.5 is every second call";
            return Err(InvalidConfig::new("share", share, advice));
        }
        if let Some(slower_than) = slower_than {
            positive("slower_than", slower_than)?;
        }
        let look_back = match (span.calls, span.window) {
            (Some(calls), Some(_)) => {
                let advice = "give calls or window, not both; for both, give two rules";
                return Err(InvalidConfig::new("calls", calls, advice));
            }
            (None, Some(window)) => {
                positive("window", window)?;
                LookBack::Time(window)
            }
            (calls, None) => LookBack::Calls(calls.unwrap_or(USUAL_CALLS)),
        };
        let minimum_calls = span.minimum(look_back)?;
        Ok(Some(Self { look_back, share, minimum_calls, slower_than }))
    }

    /// Returns whether a call that ended like this counts against the other side.
    pub(super) fn is_bad(&self, outcome: Outcome, took: Option<Duration>) -> bool {
        match self.slower_than {
            None => outcome == Outcome::Failure,
            Some(slower_than) => took.is_some_and(|took| took > slower_than),
        }
    }

    /// Returns why a circuit opens that it trips.
    pub(super) fn reason(&self) -> MoveReason {
        match self.slower_than {
            None => MoveReason::FailureRate,
            Some(_) => MoveReason::SlowCallRate,
        }
    }

    /// Returns whether so many bad calls of so many are enough to trip.
    ///
    /// Both sides are the floats nearest to one fraction, so what is equal compares equal: 7 of
    /// 100 trip at 0.07.
    pub(super) fn trips_at(&self, bad: u32, calls: u32) -> bool {
        calls >= self.minimum_calls && f64::from(bad) / f64::from(calls) >= self.share
    }
}

impl Span {
    /// Checks the numbers of calls, and returns how many there must be at least.
    fn minimum(self, look_back: LookBack) -> Result<u32, InvalidConfig> {
        let most = match look_back {
            LookBack::Time(_) => u32::MAX,
            LookBack::Calls(calls @ 1..=MOST_CALLS) => calls,
            LookBack::Calls(calls) => {
                let advice = format!("give a whole number from 1 to {MOST_CALLS}");
                return Err(InvalidConfig::new("calls", calls, advice));
            }
        };
        let minimum = self.minimum_calls.unwrap_or(USUAL_MINIMUM.min(most));
        at_least_one("minimum_calls", minimum.into())?;
        if minimum > most {
            let advice = format!("give at most {most}, as many as calls; above it never trips");
            return Err(InvalidConfig::new("minimum_calls", minimum, advice));
        }
        Ok(minimum)
    }
}
