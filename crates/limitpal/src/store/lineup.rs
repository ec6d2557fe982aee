//! Those who wait for one bucket, and where each of them stands.

mod counted;
#[cfg(all(test, not(loom)))]
mod tests;
mod written;

use std::num::NonZeroU64;
use std::task::Waker;

use self::counted::Counted;
use self::written::Written;
use crate::algorithm::{Bucket, Level};
use crate::time::Instant;
use crate::waiting::{Freed, Line, Spot, Waiter};

/// Those who wait for one bucket.
///
/// As a rule each stands just behind the one ahead, so where one stands is counted, and who moves
/// up takes along all behind it in one step. Where rounding or chance has put somebody as no rule
/// would, its place is written down, and so are those of all ahead of it. That is so for a few at
/// the front, who go soon.
#[derive(Debug)]
pub struct Lineup {
    pub(super) line: Line<Level>,
    counted: Counted,
    written: Written,
}

/// Where one who waits stands: the bucket's level goes from `before` to `after` by its take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Position {
    pub(super) before: Level,
    pub(super) after: Level,
    /// When it may go.
    pub(super) due: Instant,
}

impl Lineup {
    pub(super) fn new() -> Self {
        Self { line: Line::new(), counted: Counted::default(), written: Written::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.row().is_empty()
    }

    pub(super) fn find(&self, name: NonZeroU64) -> Option<Spot> {
        self.line.row().find(name)
    }

    /// Returns where one stands.
    pub(super) fn position(&self, bucket: &Bucket, spot: Spot) -> Position {
        let written = self.written.get(spot);
        written.unwrap_or_else(|| self.counted_position(bucket, spot))
    }

    /// Returns the last take that is known here, of one who waits or has left.
    pub(super) fn last_take(&self, bucket: &Bucket) -> Option<Level> {
        let freed = self.line.last_freed().map(|place| place.after);
        self.last_waiting(bucket).max(freed)
    }

    /// Returns the take of the last who waits.
    pub(super) fn last_waiting(&self, bucket: &Bucket) -> Option<Level> {
        self.line.row().last().map(|last| self.position(bucket, last).after)
    }

    /// Takes the last freed place if everybody behind it can be moved.
    pub(super) fn pop_movable_freed(&mut self, bucket: &Bucket) -> Option<Freed<Level>> {
        let place = self.line.last_freed()?;
        if self.any_fixed_behind(bucket, place.after) { None } else { self.line.pop_freed() }
    }

    /// Returns whether a sleeper that cannot be moved took after this one.
    pub(super) fn any_fixed_behind(&self, bucket: &Bucket, after: Level) -> bool {
        let row = self.line.row();
        let is_fixed = |spot: Spot| row.get(spot).is_fixed();
        self.line.any_fixed()
            && (row.from(self.first_counted(bucket, after)).any(is_fixed)
                || self.written_behind(row.first(), after).into_iter().any(is_fixed))
    }

    /// Adds one who waits, behind all whose takes came before; returns what it is called.
    pub(super) fn join(
        &mut self,
        bucket: &Bucket,
        waiter: Waiter,
        number: u32,
        position: Position,
    ) -> NonZeroU64 {
        let next = self.next_of(bucket, position);
        let spot = match self.room(bucket, waiter.cost(), position, next) {
            Some(lag) => self.join_counted(bucket, waiter, number, (position, lag), next),
            None => self.join_written(bucket, waiter, number, position, next),
        };
        self.line.row().name(spot)
    }

    /// Returns the first of those at the end whose takes all come after this one.
    fn next_of(&self, bucket: &Bucket, position: Position) -> Option<Spot> {
        let (row, after) = (self.line.row(), position.after);
        if self.last_waiting(bucket).is_none_or(|last| last <= after) {
            return None;
        }
        let counted = self.first_counted(bucket, after);
        let ahead = counted.map_or_else(|| row.last(), |spot| row.previous(spot));
        let is_behind =
            |spot: &Spot| self.written.get(*spot).is_some_and(|position| position.after > after);
        row.back_from(ahead).take_while(is_behind).last().or(counted)
    }

    /// Takes one out; nobody moves by that.
    pub(super) fn remove(&mut self, bucket: &Bucket, spot: Spot) -> (Waiter, Position) {
        let position = self.position(bucket, spot);
        let waiter = if self.written.remove(spot) {
            self.line.remove(spot)
        } else {
            self.remove_counted(bucket, spot)
        };
        (waiter, position)
    }

    /// Returns the waker of the first who can be moved if it sleeps longer than it has to.
    ///
    /// Ahead of it may be sleepers that cannot be moved: behind them one may be due before they go.
    #[must_use = "wake it once the lock is released"]
    pub(super) fn oversleeper(&mut self, bucket: &Bucket) -> Option<Waker> {
        let first = self.line.first_movable()?;
        let due = self.position(bucket, first).due;
        self.line.oversleeper(first, due)
    }
}
