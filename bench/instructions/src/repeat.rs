//! The calls that are counted: what runs within `repeat`, and nothing else.

use std::hint::black_box;

/// Calls `path` so many times, and panics unless each call went as meant.
///
/// Never inlined: callgrind counts from its first instruction to its last, and knows it by name.
#[inline(never)]
pub(crate) fn repeat(calls: usize, mut path: impl FnMut() -> bool) {
    let mut as_meant = 0;
    for _ in 0..calls {
        as_meant += usize::from(black_box(path()));
    }
    assert_eq!(calls, as_meant, "every call of a path goes the same way");
}
