//! What a circuit breaker has counted, as one reads it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{BreakerCell, BreakerTable, CircuitBreaker, KeyedCircuitBreaker};
use crate::breaker::{BreakerMode, CircuitState, Counts};
use crate::time::Instant;

/// What became of the calls of a circuit breaker, since it was made:
/// [`CircuitBreaker::stats`]. A reset forgets none of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BreakerStats {
    /// Where it stands now.
    pub state: CircuitState,
    /// How it is run.
    pub mode: BreakerMode,
    /// How often it has opened, from half-open too.
    pub trips: u64,
    /// Calls that it has refused.
    pub refused: u64,
    /// Calls that it would have refused, in shadow.
    pub shadowed: u64,
    /// Calls that have succeeded, and that counted. None where it is healthy for most of the time
    /// and so not told of them: [`count_successes`](crate::CircuitBreakerBuilder::count_successes).
    pub successes: Option<u64>,
    /// Calls that have failed, and that counted.
    pub failures: u64,
    /// Calls that ended as neither: ignored, refused by another of ours, cancelled, by a panic.
    pub ignored: u64,
    /// Outcomes that counted no more: the state they began under was over.
    pub late: u64,
    /// Calls let through half-open, to find out whether the other side is back.
    pub probes: u64,
}

/// What became of the calls of a breaker for each key:
/// [`KeyedCircuitBreaker::stats`]. It sums up all keys, those that are forgotten too.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct KeyedBreakerStats {
    /// How many keys are remembered now.
    pub keys: usize,
    /// How many of these circuits are open now.
    pub open: usize,
    /// How many of them are half-open now.
    pub half_open: usize,
    /// As [`BreakerStats`] has it.
    pub trips: u64,
    /// As [`BreakerStats`] has it.
    pub refused: u64,
    /// As [`BreakerStats`] has it.
    pub shadowed: u64,
    /// As [`BreakerStats`] has it.
    pub successes: Option<u64>,
    /// As [`BreakerStats`] has it.
    pub failures: u64,
    /// As [`BreakerStats`] has it.
    pub ignored: u64,
    /// As [`BreakerStats`] has it.
    pub late: u64,
    /// As [`BreakerStats`] has it.
    pub probes: u64,
}

impl BreakerCell {
    /// Returns what became of its calls.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn stats<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<BreakerStats, E> {
        let seen = self
            .change_at(read, |breaker, now| (breaker.state(now), breaker.mode(), breaker.counts))?;
        Ok(self.as_seen(seen))
    }

    fn as_seen(&self, seen: (CircuitState, BreakerMode, Counts)) -> BreakerStats {
        let (state, mode, counts) = seen;
        let successes = self.healthy_successes().map(|healthy| healthy + counts.successes);
        BreakerStats {
            state,
            mode,
            trips: counts.trips,
            refused: counts.refused + self.refused_plainly(),
            shadowed: counts.shadowed,
            successes,
            failures: counts.failures,
            ignored: counts.ignored,
            late: counts.late,
            probes: counts.probes,
        }
    }
}

impl BreakerTable {
    /// Returns what became of all calls.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn stats<E>(
        &self,
        mut read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<KeyedBreakerStats, E> {
        let (mut sum, cells) = self.gone_and_there();
        sum.keys = cells.len();
        for cell in cells {
            sum.add(&cell.stats(&mut read)?);
        }
        Ok(sum)
    }

    /// Returns what became of the calls of each key that is remembered.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn stats_by_key<E>(
        &self,
        mut read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<BTreeMap<Arc<str>, BreakerStats>, E> {
        let (_, cells) = self.gone_and_there();
        cells.iter().map(|cell| Ok((cell.key().clone(), cell.stats(&mut read)?))).collect()
    }
}

impl KeyedBreakerStats {
    /// Nothing yet; where successes are counted, none of them.
    pub(super) const fn nothing(counts_successes: bool) -> Self {
        Self {
            keys: 0,
            open: 0,
            half_open: 0,
            trips: 0,
            refused: 0,
            shadowed: 0,
            successes: if counts_successes { Some(0) } else { None },
            failures: 0,
            ignored: 0,
            late: 0,
            probes: 0,
        }
    }

    /// Adds what became of the calls of one key.
    pub(super) fn add(&mut self, one: &BreakerStats) {
        self.open += usize::from(one.state == CircuitState::Open);
        self.half_open += usize::from(one.state == CircuitState::HalfOpen);
        self.trips += one.trips;
        self.refused += one.refused;
        self.shadowed += one.shadowed;
        self.successes = self.successes.zip(one.successes).map(|(all, more)| all + more);
        self.failures += one.failures;
        self.ignored += one.ignored;
        self.late += one.late;
        self.probes += one.probes;
    }

    /// Adds what became of the calls of a key that is forgotten.
    pub(super) fn add_gone(&mut self, cell: &BreakerCell) {
        self.add(&cell.as_seen(cell.counted()));
        (self.open, self.half_open) = (0, 0);
    }
}

impl CircuitBreaker {
    /// Returns where it stands, and what became of its calls.
    ///
    /// ```
    /// use limitpal::{CircuitBreaker, CircuitState};
    ///
    /// let breaker = CircuitBreaker::builder().failure_threshold(1).build()?;
    /// breaker.record_failure();
    /// assert!(!breaker.allow());
    ///
    /// let stats = breaker.stats();
    /// assert_eq!((CircuitState::Open, 1, 1), (stats.state, stats.trips, stats.refused));
    /// assert_eq!((1, None), (stats.failures, stats.successes));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn stats(&self) -> BreakerStats {
        let Ok(stats) = self.cell.stats(|| self.now());
        stats
    }
}

impl KeyedCircuitBreaker {
    /// Returns what became of all calls, those of keys that are forgotten too.
    pub fn stats(&self) -> KeyedBreakerStats {
        let Ok(stats) = self.table().stats(|| self.now());
        stats
    }

    /// Returns where each key that is remembered stands, and what became of its calls.
    pub fn stats_by_key(&self) -> BTreeMap<Arc<str>, BreakerStats> {
        let Ok(stats) = self.table().stats_by_key(|| self.now());
        stats
    }
}

/// How many successes a healthy circuit has counted, in a line of the cache of its own.
#[derive(Default, Debug)]
#[repr(align(128))]
pub(super) struct Successes(crate::sync::atomic::AtomicU64);

impl Successes {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(super) fn sum(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
