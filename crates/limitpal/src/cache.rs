//! A cache of what calls gave: for a time, as many as fit.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::config::InvalidConfig;
pub use crate::shelf::{CacheStats, Found, Keeping, Shelf};

/// Keeps what calls gave, for [`TypedExecutor::run_cached`](crate::TypedExecutor::run_cached).
///
/// - A call that is answered from here is no run: no breaker, no quota, no budget.
/// - Errors are not kept.
/// - It keeps as many values as fit, and lets those go that are asked for least
///   ([S3-FIFO](https://s3fifo.com), by `quick_cache`).
/// - Time is that of the executor which asks.
///
/// It is a handle: a clone shares the values, and executors may share it.
pub struct Cache<T>(Arc<Shelf<Box<str>, T>>);

impl<T> Cache<T> {
    /// Makes one that keeps values for so long, 1024 of them at most.
    ///
    /// # Errors
    ///
    /// A time of zero.
    pub fn new(ttl: Duration) -> Result<Self, InvalidConfig> {
        Self::builder(ttl).build()
    }

    /// Starts one with options.
    pub fn builder(ttl: Duration) -> CacheBuilder<T> {
        let keeping = Keeping { ttl, stale_for: Duration::ZERO, max_entries: 1024 };
        CacheBuilder(keeping, PhantomData)
    }

    /// Forgets what a call gave; false if there is nothing. A run that is under way is not kept
    /// either, and who asks now waits for another.
    pub fn invalidate(&self, call: &str) -> bool {
        self.0.forget(call)
    }

    /// Forgets all, likewise.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// Returns how many values are kept, the outdated ones too.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what became of the calls that have asked.
    pub fn stats(&self) -> CacheStats {
        self.0.stats()
    }

    pub(crate) fn shelf(&self) -> &Shelf<Box<str>, T> {
        &self.0
    }
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Keeping { ttl, stale_for, max_entries } = self.0.keeping();
        f.debug_struct("Cache")
            .field("ttl", &ttl)
            .field("stale_for", &stale_for)
            .field("max_entries", &max_entries)
            .finish_non_exhaustive()
    }
}

/// Builds a [`Cache`]: by default 1024 values at most, and none once it is outdated.
#[must_use = "a builder makes nothing until `build` is called"]
#[derive(Debug)]
pub struct CacheBuilder<T>(Keeping, PhantomData<fn() -> T>);

impl<T> CacheBuilder<T> {
    /// Lets an outdated value stand in for an error, for so long after its time.
    pub fn stale_for(mut self, stale_for: Duration) -> Self {
        self.0.stale_for = stale_for;
        self
    }

    /// Keeps so many values at most.
    pub fn max_entries(mut self, max_entries: u32) -> Self {
        self.0.max_entries = max_entries;
        self
    }

    /// Checks the options and makes the cache.
    ///
    /// # Errors
    ///
    /// A `ttl` of zero; no entries at all.
    pub fn build(self) -> Result<Cache<T>, InvalidConfig> {
        Ok(Cache(Arc::new(Shelf::new(self.0.check()?))))
    }
}
