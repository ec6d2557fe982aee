//! What a key of a store goes by, and what is counted of all keys.

use std::sync::Arc;

use super::StoreOptions;
use crate::algorithm::Bucket;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a key goes by, and what all shards share.
#[derive(Clone, Debug)]
pub struct Settings<A = Bucket> {
    pub(super) bucket: A,
    pub(super) options: StoreOptions,
    pub(super) counts: Arc<Counts>,
}

/// What is counted of all shards.
#[derive(Debug)]
pub(super) struct Counts {
    /// Buckets in all shards, kept where `max_buckets` is set.
    pub(super) buckets: AtomicUsize,
    pub(super) evicted_live: AtomicU64,
    pub(super) refused_new: AtomicU64,
}

impl<A> Settings<A> {
    pub(super) fn new(bucket: A, options: StoreOptions) -> Self {
        let (evicted_live, refused_new) = (AtomicU64::new(0), AtomicU64::new(0));
        let counts = Counts { buckets: AtomicUsize::new(0), evicted_live, refused_new };
        Self { bucket, options, counts: Arc::new(counts) }
    }

    /// Returns the same with another bucket.
    pub(super) fn with(&self, bucket: A) -> Self {
        Self { bucket, options: self.options, counts: self.counts.clone() }
    }

    /// Counts buckets that are gone.
    pub(super) fn forgot(&self, buckets: usize) {
        if self.options.max_buckets.is_some() {
            self.counts.buckets.fetch_sub(buckets, Ordering::Relaxed);
        }
    }
}
