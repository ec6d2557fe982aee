//! What several limiters count for themselves: who was admitted by all, and whom each has refused.
//!
//! Who waits does so in one of them, which counts it.

use super::Composite;
use crate::clock::TimeSource;
use crate::stats::LimiterStats;
use crate::sync::Lanes;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The counts of one composite.
pub(super) struct Counts {
    admitted: Lanes,
    /// By the parts' ranks, the doors behind the others.
    refused_by: Box<[AtomicU64]>,
}

impl Counts {
    pub(super) fn new(parts: usize) -> Self {
        let refused_by = (0..parts).map(|_| AtomicU64::new(0)).collect();
        Self { admitted: Lanes::new(), refused_by }
    }

    pub(super) fn admit(&self) {
        self.admitted.count();
    }

    pub(super) fn refuse(&self, by: usize) {
        if let Some(count) = self.refused_by.get(by) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<S: TimeSource> Composite<S> {
    /// Returns what became of all who asked; waits are those in its parts, whoever else they serve.
    pub fn stats(&self) -> Result<LimiterStats, S::Error> {
        let refused = self.counts.refused_by.iter().map(|count| count.load(Ordering::Relaxed));
        let refused_by: Vec<u64> = refused.collect();
        let mut stats = LimiterStats {
            admitted: self.counts.admitted.sum(),
            refused: refused_by.iter().sum(),
            refused_by,
            ..LimiterStats::default()
        };
        for part in &self.parts {
            stats.add_waits(&part.stats()?);
        }
        for door in &self.doors {
            stats.add_waits(&door.gates().stats());
        }
        Ok(stats)
    }

    /// Returns the rank of the first part that would refuse.
    pub(super) fn refuser(&self, key: &str, cost: u64) -> Result<usize, S::Error> {
        for (rank, part) in self.parts.iter().enumerate() {
            if !part.peek(key, cost)?.allowed {
                return Ok(rank);
            }
        }
        Ok(self.parts.len())
    }
}
