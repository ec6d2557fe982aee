//! When those go who wait for a bucket.

/// When one who waits may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// As soon as the bucket has room: a token bucket, bursts pass.
    Burst,
    /// One interval after the one before: a leaky bucket, nothing bunches up.
    Even,
}

impl Pace {
    /// Returns what the rate of such a bucket is called.
    pub fn rate_name(self) -> &'static str {
        match self {
            Self::Burst => "refill_rate",
            Self::Even => "leak_rate",
        }
    }
}

/// Where those who wait stand: what one adds to the level, whoever is ahead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spacing {
    /// Its cost, to the part of a nanosecond.
    Exact,
    /// Its cost, counted from a whole nanosecond.
    Whole,
}
