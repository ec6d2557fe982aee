//! What a store remembers, and how long.

use std::time::Duration;

use crate::config::{self, InvalidConfig};

/// How long and how many buckets a store remembers.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// A bucket idle this long, and full again, is forgotten.
    pub ttl: Option<Duration>,
    /// Never more buckets than these.
    pub max_buckets: Option<usize>,
    /// Look for buckets to forget every so many calls.
    pub cleanup_interval: usize,
    /// What becomes of a newcomer where there are so many, all in use.
    pub evict: Evict,
}

/// What becomes of a newcomer where `max_buckets` are remembered and none of them is as new.
///
/// While one of them is, the newcomer takes its place, whatever is said here: that loses nothing.
/// A bucket for which somebody waits keeps its place in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Evict {
    /// It takes the place of the one nearest to new, and starts as new itself. Everybody is
    /// served, so who brings new keys all the time gets as many bursts as keys.
    #[default]
    NearestNew,
    /// It is refused until one of them is as new.
    RefuseNew,
    /// It takes over the one nearest to new as it is, with what is taken already; if that has no
    /// room for it, it is refused. A flood of new keys shares what so many keys may have.
    Inherit,
}

impl Evict {
    const ALL: [Self; 3] = [Self::NearestNew, Self::RefuseNew, Self::Inherit];

    /// Returns the policy as one word: `nearest_new`, `refuse_new` or `inherit`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NearestNew => "nearest_new",
            Self::RefuseNew => "refuse_new",
            Self::Inherit => "inherit",
        }
    }

    /// Returns the policy that a word stands for.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }
}

/// What a store need not do, for the limiter it belongs to.
#[derive(Clone, Copy, Default, Debug)]
pub struct Scope {
    /// All keys are one.
    pub one_bucket: bool,
    /// The clock never steps back.
    pub steady_clock: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { ttl: None, max_buckets: None, cleanup_interval: 100, evict: Evict::default() }
    }
}

impl StoreOptions {
    pub(super) fn checked(self) -> Result<Self, InvalidConfig> {
        if let Some(ttl) = self.ttl {
            config::positive("ttl", ttl)?;
        }
        if let Some(max_buckets) = self.max_buckets {
            config::at_least_one("max_buckets", max_buckets as u64)?;
        }
        config::at_least_one("cleanup_interval", self.cleanup_interval as u64)?;
        Ok(self)
    }
}
