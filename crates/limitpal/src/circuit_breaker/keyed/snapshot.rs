//! What the circuits of many keys remember, as bytes.
//!
//! As that of one circuit, of kind "circuit". Instead of its state there are, in the order of their
//! last use,
//!
//! ```text
//! circuits: u64, each of
//!     its key: u32 bytes, its state: u32 numbers of i64
//! ```

use std::collections::HashSet;
use std::sync::Arc;

use super::super::BreakerCell;
use super::super::snapshot::{KEYED, damaged, heading, opened, refused, sealed};
use super::{BreakerTable, KeyedCircuitBreaker};
use crate::algorithm::Bytes;
use crate::config::InvalidConfig;
use crate::time::Instant;

/// A key, and the state of its circuit.
type Circuit = (Arc<str>, Vec<i64>);

impl BreakerTable {
    /// Writes down what is remembered of each key whose circuit is not as new. Meanwhile others go
    /// on: each circuit is written as it is at some instant of the call.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn snapshot<E>(&self, mut read: impl FnMut() -> Result<Instant, E>) -> Result<Vec<u8>, E> {
        let (mut circuits, mut bytes) = (0_u64, Vec::new());
        for cell in self.by_last_use() {
            let Some(numbers) = cell.saved(&mut read)? else { continue };
            circuits += 1;
            bytes.extend((cell.key().len() as u32).to_le_bytes());
            bytes.extend(cell.key().as_bytes());
            bytes.extend((numbers.len() as u32).to_le_bytes());
            bytes.extend(numbers.into_iter().flat_map(i64::to_le_bytes));
        }
        let mut whole = heading(KEYED, self.settings());
        whole.extend(circuits.to_le_bytes());
        whole.extend(bytes);
        Ok(sealed(whole))
    }

    /// Remembers what a snapshot does. Refused whole, all is as it was.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn restore<E>(
        &self,
        snapshot: &[u8],
        read: impl FnOnce() -> Result<Instant, E>,
    ) -> Result<Result<(), InvalidConfig>, E> {
        let bytes = match opened(snapshot, KEYED, self.settings()) {
            Ok(bytes) => bytes,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(circuits) = read_all(bytes) else { return Ok(Err(damaged())) };
        let now = read()?;
        let loaded: Option<Vec<_>> =
            circuits.into_iter().map(|one| self.loaded(one, now)).collect();
        let Some(cells) = loaded else { return Ok(Err(damaged())) };
        if let Err(refusal) = self.take_in(&cells) {
            return Ok(Err(refusal));
        }
        // Only now are their moves told of, and to whoever has begun to listen meanwhile.
        cells.iter().for_each(|cell| cell.refresh());
        Ok(Ok(()))
    }

    fn loaded(&self, (key, numbers): Circuit, now: Instant) -> Option<Arc<BreakerCell>> {
        let cell = self.made(key);
        cell.load_quietly(&numbers, now)?;
        Some(Arc::new(cell))
    }

    /// Takes all of them in, if nobody is there and there is room.
    fn take_in(&self, cells: &[Arc<BreakerCell>]) -> Result<(), InvalidConfig> {
        if let Some(most) = self.max_breakers().filter(|most| *most < cells.len()) {
            let what = format_args!("of {} keys", cells.len());
            return Err(refused(what, format!("allow more max_breakers than {most}")));
        }
        if self.fill(cells) {
            return Ok(());
        }
        let advice = "restore it into a new one, before its first call";
        Err(refused("given to breakers that were used already", advice))
    }
}

/// Reads all circuits, to the last byte; none if no such table wrote them.
fn read_all(mut bytes: Bytes<'_>) -> Option<Vec<Circuit>> {
    let count = bytes.u64()?;
    let (mut circuits, mut keys) = (Vec::new(), HashSet::new());
    for _ in 0..count {
        let length = bytes.u32()?;
        let key: Arc<str> = std::str::from_utf8(bytes.slice(length as usize)?).ok()?.into();
        let count = bytes.u32()?;
        let numbers: Option<Vec<_>> = (0..count).map(|_| bytes.i64()).collect();
        keys.insert(key.clone()).then_some(())?;
        circuits.push((key, numbers?));
    }
    bytes.0.is_empty().then_some(circuits)
}

impl KeyedCircuitBreaker {
    /// Writes down what each circuit remembers that is not as new, for [`restore`](Self::restore) in
    /// another process: as [`CircuitBreaker::snapshot`](crate::CircuitBreaker::snapshot) does, and
    /// with the keys as they are.
    ///
    /// Others go on meanwhile: each circuit is written as it is at some instant of the call.
    pub fn snapshot(&self) -> Vec<u8> {
        let Ok(bytes) = self.table().snapshot(|| self.now());
        bytes
    }

    /// Remembers what a snapshot does, before the first call.
    ///
    /// ```
    /// use limitpal::{CircuitBreaker, CircuitState};
    ///
    /// let build = || CircuitBreaker::builder().failure_threshold(1).build_keyed(Some(10_000));
    /// let (before, after) = (build()?, build()?);
    /// before.record_failure("eu.example.com");
    /// after.restore(&before.snapshot())?;
    /// assert_eq!(CircuitState::Open, after.state("eu.example.com"));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A snapshot that is damaged, of another version, of one breaker, or of breakers with other
    /// options; breakers that were used already; fewer `max_breakers` than the snapshot has keys. All
    /// is then as it was.
    pub fn restore(&self, snapshot: &[u8]) -> Result<(), InvalidConfig> {
        let Ok(restored) = self.table().restore(snapshot, || self.now());
        restored
    }
}
