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
        Self { ttl: None, max_buckets: None, cleanup_interval: 100 }
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
