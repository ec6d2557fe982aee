//! How tests hurry every run of the process: `limitpal.testing`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use limitpal::Rehearsal;
use pyo3::prelude::*;

use crate::ask::count;

/// How many blocks there are; as a rule none, and then nobody looks further.
static BLOCKS: AtomicUsize = AtomicUsize::new(0);
static REHEARSALS: Mutex<Vec<(u64, Rehearsal)>> = Mutex::new(Vec::new());

/// Returns what the blocks together ask for: no waits where any leaves them out, and the fewest
/// attempts.
pub(crate) fn present() -> Option<Rehearsal> {
    if BLOCKS.load(Ordering::Acquire) == 0 {
        return None;
    }
    let rehearsals = REHEARSALS.lock().unwrap_or_else(PoisonError::into_inner);
    rehearsals.iter().map(|(_, rehearsal)| *rehearsal).reduce(|one, other| {
        let fewest = [one.max_attempts, other.max_attempts].into_iter().flatten().min();
        Rehearsal::new(one.waits && other.waits, fewest)
    })
}

/// Begins a block, and returns its number.
pub(crate) fn begin(waits: bool, max_attempts: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
    const ADVICE: &str = "give a whole number of at least 1, or None";
    let max_attempts =
        max_attempts.map(|attempts| count("max_attempts", attempts, ADVICE)).transpose()?;
    let mut rehearsals = REHEARSALS.lock().unwrap_or_else(PoisonError::into_inner);
    let number = rehearsals.last().map_or(0, |(last, _)| last + 1);
    rehearsals.push((number, Rehearsal::new(waits, max_attempts)));
    BLOCKS.store(rehearsals.len(), Ordering::Release);
    Ok(number)
}

/// Ends the block with this number, whichever others there are.
pub(crate) fn end(number: u64) {
    let mut rehearsals = REHEARSALS.lock().unwrap_or_else(PoisonError::into_inner);
    rehearsals.retain(|(other, _)| *other != number);
    BLOCKS.store(rehearsals.len(), Ordering::Release);
}
