//! A level in a word of 128 bits, which a take changes without a lock: 96 bits of it are the level,
//! and its tag says how many have taken, and whether all are to go through the lock.

use crate::algorithm::Level;

/// Set in the tag of a word that is held. Below it stands how many have taken since it was last
/// let go: of which the last that there is room for holds the word, so that the next call counts
/// them where there is more.
pub(super) const HELD: u32 = 1 << 31;
/// One that has taken.
pub(super) const ONE: u32 = 1 << 21;
/// Below that, a number that is another one whenever the word is let go.
pub(super) const NUMBER: u32 = (ONE - 1) & !OURS;
/// The least of such numbers but zero.
pub(super) const NEXT: u32 = 2 * OURS;
/// Set in the tag of a word whose level the shard has.
pub(super) const OURS: u32 = 1;

/// Returns a tag where it stands in a word.
pub(super) fn tagged(tag: u32) -> u128 {
    u128::from(tag) << 96
}

#[inline]
pub(super) fn word(level: Level, tag: u32) -> u128 {
    u128::from(level.whole as u64) | u128::from(level.part) << 64 | tagged(tag)
}

#[inline]
pub(super) fn level(word: u128) -> Level {
    Level { whole: word as u64 as i64, part: (word >> 64) as u32 }
}

#[inline]
pub(super) fn tag(word: u128) -> u32 {
    (word >> 96) as u32
}

/// Returns how many have taken.
pub(super) fn taken(tag: u32) -> u64 {
    let all = u64::from(HELD / ONE);
    if tag & HELD != 0 { all } else { u64::from(tag / ONE) }
}
