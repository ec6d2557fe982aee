//! Moving up those who wait behind a take that is given back.

use crate::algorithm::{Bucket, Level};
use crate::time::Instant;
use crate::waiting::{Line, Waiter};

/// Puts those who wait one after another behind `new`, where they stood behind `old`; returns the
/// bucket's level then. Nobody goes before now.
pub(super) fn chain<'w>(
    bucket: &Bucket,
    waiters: impl Iterator<Item = &'w mut Waiter<Level>>,
    (mut old, mut new): (Level, Level),
    top: Level,
    now: Instant,
) -> Level {
    // What lies between two who wait was taken by others on the way, at some time up to now.
    let moved = |level: Level, old: Level, new: Level| match bucket.pulled(level, old) {
        Level::ZERO => new,
        between => bucket.pushed(new.max(Level::at(now)), between),
    };
    for waiter in waiters {
        waiter.before = moved(waiter.before, old, new);
        let due = bucket.due(bucket.after(waiter.before, waiter.cost, Instant::MIN), waiter.cost);
        // Who was due already stays so, unless it is moved back.
        waiter.due = due.max(waiter.due.min(now));
        old = waiter.after;
        waiter.after = bucket.after(waiter.before, waiter.cost, waiter.due);
        new = waiter.after;
    }
    moved(top, old, new)
}

/// Moves those behind a take up by what is left of it; returns the bucket's level then.
pub(super) fn shift(
    bucket: &Bucket,
    line: &mut Line<Level>,
    (refund, after): (Level, Level),
    top: Level,
    now: Instant,
) -> Level {
    let mut ahead: Option<(Level, Level)> = None;
    let follow = |level: Level, ahead: Option<(Level, Level)>| {
        let pulled = bucket.pulled(level, refund);
        ahead.map_or(pulled, |(old, new)| pulled.max(bucket.pushed(new, bucket.pulled(level, old))))
    };
    for waiter in line.behind(after) {
        waiter.before = follow(waiter.before, ahead);
        let least = bucket.after(waiter.before, waiter.cost, Instant::MIN);
        let after = bucket.pulled(waiter.after, refund).max(least);
        waiter.due = bucket.due(after, waiter.cost).max(waiter.due.min(now));
        let new = after.max(bucket.after(waiter.before, waiter.cost, waiter.due));
        ahead = Some((waiter.after, new));
        waiter.after = new;
    }
    follow(top, ahead)
}
