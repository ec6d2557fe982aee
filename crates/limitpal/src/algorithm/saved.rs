//! A state written down, to be read where another clock has another zero.

use super::Algorithm;
use crate::time::Instant;

/// An algorithm whose states can be written down. Instants are kept by how far from now they are,
/// so that the time in between counts as none.
pub trait Saved: Algorithm {
    /// Returns its settings as numbers, exactly.
    fn numbers(&self) -> [u64; 4];

    /// Writes a state that is not as new.
    fn save(&self, state: &Self::State, now: Instant, into: &mut Vec<u8>);

    /// Reads one, at another clock's now: one that admits nothing that the state written would
    /// not. None if such an algorithm has none like that; whether it has is no matter of now.
    fn load(&self, from: &mut Bytes<'_>, now: Instant) -> Option<Self::State>;

    /// Returns how to count where another clock takes over now, and until when, if that is other
    /// than before: it is for keys of which nothing was written, too.
    fn restored(&self, now: Instant) -> Option<(Self, Instant)> {
        let _ = now;
        None
    }
}

/// Bytes that are yet to be read.
#[derive(Clone, Debug)]
pub struct Bytes<'b>(pub(crate) &'b [u8]);

impl<'b> Bytes<'b> {
    pub(crate) fn slice(&mut self, length: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}

/// Writes how far an instant, in nanoseconds, is from now.
pub(crate) fn put_from(now: Instant, at: i64, into: &mut Vec<u8>) {
    into.extend(at.saturating_sub(now.as_nanos()).to_le_bytes());
}

pub(super) fn put_count(count: u32, into: &mut Vec<u8>) {
    into.extend(count.to_le_bytes());
}
