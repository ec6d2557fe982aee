//! How chance spreads delays, so that those who failed together do not come back together.

use std::fmt;

/// How chance spreads a delay `v`; `U(a, b)` is a number from `a` to `b`, each as likely.
///
/// | jitter | the delay | |
/// |---|---|---|
/// | a share `j` from 0 to 1 | `v * U(1-j, 1+j)` | |
/// | `Full` | `U(0, v)` | spreads most |
/// | `Equal` | `v/2 + U(0, v/2)` | never less than half |
/// | `Decorrelated` | `U(base, 3 * s)`, `s` the delay before, first `base` | grows by itself |
/// | `SmoothedDecorrelated` | `(f(t) - f(t')) * base / 1.4`, where `f(t) = 2^t * tanh(sqrt(4t))`, `t = n - 1 + U(0, 1)`, `t'` the one before | in the middle about `base`, `base`, `2 base`, `4 base`, … without steps |
///
/// The first three go with any delays. The last two make delays of the base alone, and so want
/// exponential ones with the factor 2. Full, equal and decorrelated jitter are those of
/// [Exponential Backoff And Jitter], by its [simulator]; the smoothed one is that of
/// [Polly.Contrib.WaitAndRetry].
///
/// [Exponential Backoff And Jitter]: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
/// [simulator]: https://github.com/aws-samples/aws-arch-backoff-simulator
/// [Polly.Contrib.WaitAndRetry]: https://github.com/Polly-Contrib/Polly.Contrib.WaitAndRetry
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Jitter {
    /// As much less as more.
    Share(f64),
    /// From nothing to the delay.
    Full,
    /// From half of the delay to the whole.
    Equal,
    /// From the base to three times the delay before.
    Decorrelated,
    /// As decorrelated, but spread evenly in time, without peaks.
    SmoothedDecorrelated,
}

impl Jitter {
    /// Every jitter that has a name.
    pub const NAMED: [Self; 4] =
        [Self::Full, Self::Equal, Self::Decorrelated, Self::SmoothedDecorrelated];

    /// Returns the jitter as one word: `full`, `equal`, `decorrelated` or
    /// `smoothed_decorrelated`; a share has none.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Share(_) => None,
            Self::Full => Some("full"),
            Self::Equal => Some("equal"),
            Self::Decorrelated => Some("decorrelated"),
            Self::SmoothedDecorrelated => Some("smoothed_decorrelated"),
        }
    }

    /// Returns whether it makes delays grow by itself.
    pub(crate) fn grows(self) -> bool {
        matches!(self, Self::Decorrelated | Self::SmoothedDecorrelated)
    }
}

impl From<f64> for Jitter {
    fn from(share: f64) -> Self {
        Self::Share(share)
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => share.fmt(f),
            named => f.write_str(named.as_str().unwrap_or_default()),
        }
    }
}

/// Returns a delay of `U(base, 3 * before)`, at most `cap`; `before` is 0 at first, for `base`.
pub(super) fn decorrelated(base: f64, before: f64, cap: f64, unit: f64) -> f64 {
    let most = cap.min(3.0 * before.max(base));
    cap.min(base + (most - base).max(0.0) * unit)
}

/// Returns `f(t)` of the smoothed jitter, where `t` is `n - 1 + unit` after attempt `n`.
pub(super) fn smoothed(n: u32, unit: f64) -> f64 {
    let t = f64::from(n.saturating_sub(1)) + unit;
    t.exp2() * (4.0 * t).sqrt().tanh()
}

/// By what `f` is divided, so that the first delays are about the base.
pub(super) const SMOOTHED_SCALE: f64 = 1.4;
