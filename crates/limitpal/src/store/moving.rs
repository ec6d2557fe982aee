//! Moving up those who wait behind a take that is given back.

use super::lineup::{Lineup, Position};
use crate::algorithm::{Bucket, Level};
use crate::time::Instant;
use crate::waiting::Spot;

/// How those behind a take move, one after the other. Nobody goes before now, and who was due
/// already stays so, unless it is moved back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    /// To stand behind `new` where they stood behind `old`.
    Chain { old: Level, new: Level },
    /// Up by what is left of the take, but no further from where `old` lay than to where it lies
    /// now, `new`, of the one ahead.
    Shift { refund: Level, ahead: Option<(Level, Level)> },
}

impl Move {
    pub(super) fn shift(refund: Level) -> Self {
        Self::Shift { refund, ahead: None }
    }

    /// Returns where the next one who waits is moved to; `floor` is when the one ahead goes, where
    /// that may be later than its take says.
    fn step(
        &mut self,
        bucket: &Bucket,
        cost: u64,
        from: Position,
        (now, floor): (Instant, Instant),
    ) -> Position {
        let latest = from.due.min(now.max(floor));
        match self {
            Self::Chain { old, new } => {
                let before = moved(bucket, from.before, (*old, *new), now);
                let due = bucket.due(bucket.after(before, cost, Instant::MIN), cost).max(latest);
                let after = bucket.after(before, cost, due);
                (*old, *new) = (from.after, after);
                Position { before, after, due }
            }
            Self::Shift { refund, ahead } => {
                let before = follow(bucket, from.before, *refund, *ahead);
                let least = bucket.after(before, cost, Instant::MIN);
                let after = bucket.pulled(from.after, *refund).max(least);
                let due = bucket.due(after, cost).max(latest);
                let after = after.max(bucket.after(before, cost, due));
                *ahead = Some((from.after, after));
                Position { before, after, due }
            }
        }
    }

    /// Returns the bucket's level, once all are moved.
    pub(super) fn top(self, bucket: &Bucket, top: Level, now: Instant) -> Level {
        match self {
            Self::Chain { old, new } => moved(bucket, top, (old, new), now),
            Self::Shift { refund, ahead } => follow(bucket, top, refund, ahead),
        }
    }
}

/// Returns a level that lay behind `old`, as it lies behind `new`: what is between the two was
/// taken by others on the way, at some time up to now.
fn moved(bucket: &Bucket, level: Level, (old, new): (Level, Level), now: Instant) -> Level {
    match bucket.pulled(level, old) {
        Level::ZERO => new,
        between => bucket.pushed(new.max(Level::at(now)), between),
    }
}

/// Returns a level moved up by what is left of a take, or less if the one ahead is.
fn follow(bucket: &Bucket, level: Level, refund: Level, ahead: Option<(Level, Level)>) -> Level {
    let pulled = bucket.pulled(level, refund);
    ahead.map_or(pulled, |(old, new)| pulled.max(bucket.pushed(new, bucket.pulled(level, old))))
}

impl Lineup {
    /// Moves those whose takes came after `behind`, from one on if that is said; returns the
    /// bucket's level then.
    ///
    /// Those who are written down are moved one by one. Of those who are counted the first moves,
    /// and as a rule all others with it; else it is written down, and the next one moves.
    pub(super) fn move_up(
        &mut self,
        bucket: &Bucket,
        (first, behind): (Option<Spot>, Level),
        mut by: Move,
        top: Level,
        now: Instant,
    ) -> Level {
        self.settle(bucket, now);
        let mut floor = self.put_off(behind, now);
        self.change_written((first.or(self.line.row().first()), behind), |cost, position| {
            *position = by.step(bucket, cost, *position, (now, floor));
            floor = if floor == Instant::MIN { floor } else { position.due };
        });
        let is_counted = |spot: &Spot| !self.line.row().get(*spot).is_written;
        let mut next = first.filter(is_counted).or_else(|| self.first_counted(bucket, behind));
        while let Some(spot) = next {
            let cost = self.line.row().get(spot).cost();
            let to = by.step(bucket, cost, self.position(bucket, spot), (now, floor));
            if self.carry(bucket, spot, to, now) {
                break;
            }
            next = self.line.row().next(spot);
            self.change_counted(bucket, spot, to);
        }
        by.top(bucket, top, now)
    }

    /// Puts all behind one another from a bucket as new; returns its level then.
    pub(super) fn start_over(&mut self, bucket: &Bucket, now: Instant) -> Level {
        let mut level = bucket.start();
        self.line.clear_freed();
        self.open(now);
        let change = |cost: u64, position: &mut Position| {
            let due = bucket.due(bucket.after(level, cost, now), cost).max(now);
            let (before, after) = (level, bucket.after(level, cost, due));
            *position = Position { before, after, due: position.due.min(due) };
            level = after;
        };
        self.change_all(bucket, change);
        level
    }
}
