//! How delays grow from attempt to attempt, before jitter and cap.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::seconds;
use crate::config::InvalidConfig;

/// How delays grow from attempt to attempt, before jitter, floor and cap.
///
/// ```
/// use limitpal::{Delays, RetryPolicy};
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs;
/// for (delays, expected) in [
///     (Delays::exponential(seconds(1), 2.0), [1, 2, 4, 8, 16]),
///     (Delays::constant(seconds(2)), [2, 2, 2, 2, 2]),
///     (Delays::linear(seconds(1), seconds(3)), [1, 4, 7, 10, 13]),
///     (Delays::fibonacci(seconds(1)), [1, 1, 2, 3, 5]),
///     (Delays::list([seconds(1), seconds(10)]), [1, 10, 10, 10, 10]),
///     (Delays::by(|attempt| Duration::from_secs(attempt.into())), [1, 2, 3, 4, 5]),
/// ] {
///     let policy = RetryPolicy::<()>::builder().delays(delays).max_delay(seconds(60)).build()?;
///     assert_eq!(expected, [1, 2, 3, 4, 5].map(|n| policy.delay(n).as_secs()));
/// }
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Delays(pub(crate) Shape);

/// [`Delays`] in seconds.
#[derive(Clone)]
#[non_exhaustive]
#[doc(hidden)]
pub enum Shape {
    /// `base * factor^(n-1)`
    Exponential { base: f64, factor: f64 },
    /// `seconds`
    Constant { seconds: f64 },
    /// `base + step * (n-1)`
    Linear { base: f64, step: f64 },
    /// `base * F(n)`, where F is 1, 1, 2, 3, 5, …
    Fibonacci { base: f64 },
    /// The n-th of them, the last again after that.
    List(Arc<[f64]>),
    /// What a function says.
    By(Arc<dyn Fn(u32) -> Duration + Send + Sync>),
}

impl Delays {
    /// Each delay is `factor` times the one before: `base * factor^(n-1)` after attempt `n`.
    pub fn exponential(base: Duration, factor: f64) -> Self {
        Self(Shape::Exponential { base: seconds(base), factor })
    }

    /// The same delay after each attempt.
    pub fn constant(delay: Duration) -> Self {
        Self(Shape::Constant { seconds: seconds(delay) })
    }

    /// Each delay is longer by `step`: `base + step * (n-1)` after attempt `n`.
    pub fn linear(base: Duration, step: Duration) -> Self {
        Self(Shape::Linear { base: seconds(base), step: seconds(step) })
    }

    /// Each delay is the sum of the two before: `base` times 1, 1, 2, 3, 5, 8, and so on.
    pub fn fibonacci(base: Duration) -> Self {
        Self(Shape::Fibonacci { base: seconds(base) })
    }

    /// These delays in turn; after the last one it repeats.
    pub fn list(delays: impl IntoIterator<Item = Duration>) -> Self {
        Self(Shape::List(delays.into_iter().map(seconds).collect()))
    }

    /// What `delay` says to the number of the attempt that ended, counted from 1.
    ///
    /// Two such are equal when their function is one and the same.
    pub fn by(delay: impl Fn(u32) -> Duration + Send + Sync + 'static) -> Self {
        Self(Shape::By(Arc::new(delay)))
    }

    /// Makes delays of numbers that were not checked.
    ///
    /// # Errors
    ///
    /// A number outside its range, by the name it has in [`Shape`].
    #[doc(hidden)]
    pub fn of(shape: Shape) -> Result<Self, InvalidConfig> {
        let delays = Self(shape);
        delays.check().map(|()| delays)
    }

    /// Refuses what is no time, or does not grow.
    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        let not_negative = |parameter: &'static str, value: f64| {
            if (0.0..f64::INFINITY).contains(&value) {
                return Ok(());
            }
            let advice = "give a finite number of seconds, at least 0";
            Err(InvalidConfig::new(parameter, value, advice))
        };
        match &self.0 {
            Shape::Exponential { base, factor } => {
                not_negative("base", *base)?;
                if !(1.0..f64::INFINITY).contains(factor) {
                    let advice = "give a finite number of at least 1";
                    return Err(InvalidConfig::new("factor", factor, advice));
                }
                Ok(())
            }
            Shape::Constant { seconds } => not_negative("seconds", *seconds),
            Shape::Linear { base, step } => {
                not_negative("base", *base)?;
                not_negative("step", *step)
            }
            Shape::Fibonacci { base } => not_negative("base", *base),
            Shape::List(delays) if delays.is_empty() => {
                Err(InvalidConfig::new("delays", "empty", "give at least one delay"))
            }
            Shape::List(delays) => {
                delays.iter().try_for_each(|delay| not_negative("delays", *delay))
            }
            Shape::By(_) => Ok(()),
        }
    }

    /// Returns the longest delay that is known to come, which no cap should be below: the first
    /// of those that grow, the longest of a list.
    pub(crate) fn known(&self) -> f64 {
        match &self.0 {
            Shape::List(delays) => delays.iter().copied().fold(0.0, f64::max),
            Shape::By(_) => 0.0,
            _ => self.after(1, f64::INFINITY),
        }
    }

    /// Returns the seconds after attempt `n`, counted from 1, at most `cap`. Nothing overflows: a
    /// number too large for a float is the cap, and no delay at all stays none.
    pub(crate) fn after(&self, n: u32, cap: f64) -> f64 {
        let steps = f64::from(n.saturating_sub(1));
        match &self.0 {
            Shape::Exponential { base, .. } if *base == 0.0 => 0.0,
            Shape::Exponential { base, factor } => cap.min(base * factor.powf(steps)),
            Shape::Constant { seconds } => cap.min(*seconds),
            Shape::Linear { base, step } => cap.min(base + step * steps),
            Shape::Fibonacci { base } => fibonacci(*base, n, cap),
            Shape::List(delays) => {
                let rank = (n.saturating_sub(1) as usize).min(delays.len() - 1);
                cap.min(delays[rank])
            }
            Shape::By(delay) => cap.min(seconds(delay(n))),
        }
    }
}

/// Returns the `n`-th of base, base, 2 base, 3 base, 5 base, at most `cap`.
fn fibonacci(base: f64, n: u32, cap: f64) -> f64 {
    let (mut delay, mut before) = (base, 0.0);
    for _ in 1..n {
        // A float holds the first 1,476 numbers; a base of none would be added for ever.
        if delay >= cap || delay == 0.0 {
            break;
        }
        (delay, before) = (delay + before, delay);
    }
    cap.min(delay)
}

impl Default for Delays {
    /// A tenth of a second, then twice the one before.
    fn default() -> Self {
        Self(Shape::Exponential { base: 0.1, factor: 2.0 })
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exponential { base, factor }, Self::Exponential { base: b, factor: f }) => {
                (base, factor) == (b, f)
            }
            (Self::Constant { seconds }, Self::Constant { seconds: s }) => seconds == s,
            (Self::Linear { base, step }, Self::Linear { base: b, step: s }) => {
                (base, step) == (b, s)
            }
            (Self::Fibonacci { base }, Self::Fibonacci { base: b }) => base == b,
            (Self::List(delays), Self::List(others)) => delays == others,
            (Self::By(delay), Self::By(other)) => Arc::ptr_eq(delay, other),
            _ => false,
        }
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential { base, factor } => {
                f.debug_struct("Exponential").field("base", base).field("factor", factor).finish()
            }
            Self::Constant { seconds } => {
                f.debug_struct("Constant").field("seconds", seconds).finish()
            }
            Self::Linear { base, step } => {
                f.debug_struct("Linear").field("base", base).field("step", step).finish()
            }
            Self::Fibonacci { base } => f.debug_struct("Fibonacci").field("base", base).finish(),
            Self::List(delays) => f.debug_list().entries(delays.iter()).finish(),
            Self::By(_) => f.write_str("a closure"),
        }
    }
}
