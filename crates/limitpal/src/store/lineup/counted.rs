//! Where those who wait stand by rule: each take starts where the one ahead has left the bucket, or
//! at the next whole nanosecond where that is when it goes; others may have taken in between.

use super::{Lineup, Position};
use crate::algorithm::{Bucket, Level, Spacing};
use crate::time::Instant;
use crate::waiting::{Distance, Spot, Waiter};

/// What is known of all who are counted.
#[derive(Debug)]
pub(super) struct Counted {
    /// Where the first one's take starts.
    start: Level,
    /// When somebody last moved up: nobody became due before that by it.
    moved: Instant,
    /// Whether a change of limits has put some off behind a sleeper that could not be moved.
    pub(super) are_put_off: bool,
    /// The first one that was not due by then. For those ahead of it is settled when they were;
    /// for it and all behind the rule says when they will be.
    unsettled: Option<Spot>,
}

impl Default for Counted {
    fn default() -> Self {
        Self { start: Level::ZERO, moved: Instant::MIN, are_put_off: false, unsettled: None }
    }
}

/// The furthest from zero that is counted; beyond it levels begin to saturate.
const FAR: u64 = i64::MAX as u64 / 2;

fn is_near(level: Level) -> bool {
    level.whole.unsigned_abs() < FAR
}

/// Returns by how many parts of a nanosecond the rule puts a take off, that it may go at a whole
/// one; nothing where no rule would put it there.
fn lag(bucket: &Bucket, cost: u64, to: Position) -> Option<u32> {
    let start = bucket.started(to.after, cost);
    let lag = bucket.pulled(start, to.before);
    let is_ruled = match bucket.spacing(cost)? {
        Spacing::Exact => lag == Level::ZERO,
        Spacing::Whole => start.part == 0 && lag.whole == 0,
    };
    (is_ruled && is_near(to.before) && is_near(to.after)).then_some(lag.part)
}

/// Returns the level that a take leaves which starts there.
fn after(bucket: &Bucket, start: Level, cost: u64) -> Level {
    bucket.after(start, cost, Instant::MIN)
}

impl Lineup {
    pub(super) fn counted_position(&self, bucket: &Bucket, spot: Spot) -> Position {
        let (waiter, start) = (self.line.row().get(spot), self.start(bucket, spot));
        let after = after(bucket, start, waiter.cost());
        let before = bucket.pulled(start, Level { whole: 0, part: waiter.lag });
        let due = bucket.due(after, waiter.cost()).max(self.counted.moved);
        Position { before, after, due: waiter.settled().unwrap_or(due) }
    }

    /// Returns where the take of one who is counted starts.
    pub(super) fn start(&self, bucket: &Bucket, spot: Spot) -> Level {
        self.so_far_behind(bucket, self.line.row().ahead(spot))
    }

    fn so_far_behind(&self, bucket: &Bucket, ahead: Distance) -> Level {
        bucket.moved(self.counted.start, ahead.whole, ahead.part)
    }

    /// Returns the first one that is counted whose take came after `behind`.
    pub(in crate::store) fn first_counted(&self, bucket: &Bucket, behind: Level) -> Option<Spot> {
        self.line.row().first_where(|waiter, ahead| {
            let start = self.so_far_behind(bucket, ahead);
            !waiter.is_written && after(bucket, start, waiter.cost()) > behind
        })
    }

    /// Returns the lag of one who is let in before `next` or at the end, if it can be counted and
    /// nobody else moves by that.
    pub(super) fn room(
        &self,
        bucket: &Bucket,
        cost: u64,
        to: Position,
        next: Option<Spot>,
    ) -> Option<u32> {
        let row = self.line.row();
        let ahead = next.map_or_else(|| row.last(), |next| row.previous(next));
        let is_ahead = next.is_none_or(|next| {
            // Those for whom it is settled stand before all others.
            let is_unsettled = !row.get(next).is_written && row.get(next).settled().is_none();
            is_unsettled && to.after <= self.position(bucket, next).before
        });
        let is_due = to.due == bucket.due(to.after, cost).max(self.counted.moved);
        let is_ruled = is_ahead && is_due && self.is_behind(bucket, ahead, to);
        lag(bucket, cost, to).filter(|_| is_ruled)
    }

    /// Returns whether somebody stands behind another, unless that one is written down.
    fn is_behind(&self, bucket: &Bucket, ahead: Option<Spot>, to: Position) -> bool {
        ahead.is_none_or(|ahead| {
            self.line.row().get(ahead).is_written
                || self.counted_position(bucket, ahead).after <= to.before
        })
    }

    pub(super) fn join_counted(
        &mut self,
        bucket: &Bucket,
        mut waiter: Waiter,
        number: u32,
        (to, lag): (Position, u32),
        next: Option<Spot>,
    ) -> Spot {
        let start = bucket.started(to.after, waiter.cost());
        let next_start = next.map(|next| (next, self.start(bucket, next)));
        waiter.lag = lag;
        let spot = self.line.join(waiter, number, next);
        self.put(bucket, spot, start);
        if let Some((next, start)) = next_start {
            self.put(bucket, next, start);
        }
        self.set_unsettled(next, Some(spot));
        spot
    }

    /// Takes one who is counted out of the line, or out of those who are counted.
    fn uncount<T>(&mut self, bucket: &Bucket, spot: Spot, out: impl FnOnce(&mut Self) -> T) -> T {
        let next = self.line.row().next(spot);
        let next_start = next.map(|next| (next, self.start(bucket, next)));
        let done = out(self);
        if let Some((next, start)) = next_start {
            self.put(bucket, next, start);
        }
        self.set_unsettled(Some(spot), next);
        done
    }

    pub(super) fn remove_counted(&mut self, bucket: &Bucket, spot: Spot) -> Waiter {
        self.uncount(bucket, spot, |lineup| lineup.line.remove(spot))
    }

    /// Writes down where those stand who are counted, up to `last`.
    pub(super) fn write_down(&mut self, bucket: &Bucket, last: Spot) {
        while !self.line.row().get(last).is_written {
            let Some(spot) = self.line.row().first_where(|waiter, _| !waiter.is_written) else {
                return;
            };
            let position = self.counted_position(bucket, spot);
            self.uncount(bucket, spot, |lineup| {
                lineup.line.waiter_mut(spot).is_written = true;
                lineup.line.set_distance(spot, Distance::default());
            });
            self.written.set(spot, position);
        }
    }

    /// Begins counting again where nobody is counted and nobody goes before `moved`.
    pub(super) fn count_anew(&mut self, moved: Instant) {
        self.counted = Counted { moved, ..Counted::default() };
    }

    /// Has nobody who is counted move up to before those go who are not.
    pub(super) fn keep_behind(&mut self, from: Instant) {
        self.counted.are_put_off = self.line.any_fixed();
        let put_off = self.put_off(Level::at(Instant::MAX), from);
        self.counted.moved = self.counted.moved.max(put_off);
    }

    /// Lets those go who were not to go before their key was open.
    pub(in crate::store) fn open(&mut self, now: Instant) {
        self.counted.moved = self.counted.moved.min(now);
    }

    /// Counts one who stands right ahead of those who are counted.
    pub(super) fn count(&mut self, bucket: &Bucket, spot: Spot, to: Position) -> bool {
        let row = self.line.row();
        let (next, cost) = (row.next(spot), row.get(spot).cost());
        let is_ahead =
            next.is_none_or(|next| to.after <= self.counted_position(bucket, next).before);
        let is_due = to.due == bucket.due(to.after, cost).max(self.counted.moved);
        let lag = lag(bucket, cost, to).filter(|_| is_ahead && is_due);
        let Some(lag) = lag else { return false };
        let next_start = next.map(|next| (next, self.start(bucket, next)));
        let waiter = self.line.waiter_mut(spot);
        (waiter.lag, waiter.is_written) = (lag, false);
        waiter.settle(None);
        self.put(bucket, spot, bucket.started(to.after, cost));
        if let Some((next, start)) = next_start {
            self.put(bucket, next, start);
        }
        self.counted.unsettled = Some(spot);
        true
    }

    /// Puts one where its take starts, and all behind with it.
    fn put(&mut self, bucket: &Bucket, spot: Spot, start: Level) {
        let row = self.line.row();
        match row.previous(spot).filter(|ahead| !row.get(*ahead).is_written) {
            None => self.counted.start = start,
            Some(ahead) => {
                let Level { whole, part } = bucket.pulled(start, self.start(bucket, ahead));
                self.line.set_distance(ahead, Distance { whole, part: part.into() });
            }
        }
    }

    /// Says that another is now the first for whom nothing is settled.
    fn set_unsettled(&mut self, old: Option<Spot>, new: Option<Spot>) {
        if self.counted.unsettled == old {
            self.counted.unsettled = new;
        }
    }

    /// Settles for those who are due when they were.
    pub(in crate::store) fn settle(&mut self, bucket: &Bucket, now: Instant) {
        while let Some(spot) = self.counted.unsettled {
            let due = self.counted_position(bucket, spot).due;
            if due > now {
                return;
            }
            self.line.waiter_mut(spot).settle(Some(due));
            self.counted.unsettled = self.line.row().next(spot);
        }
    }

    /// Moves one who is counted to where it stands now, and all behind it as far; false if they
    /// would not simply follow. Who is due is settled.
    pub(in crate::store) fn carry(
        &mut self,
        bucket: &Bucket,
        spot: Spot,
        to: Position,
        now: Instant,
    ) -> bool {
        let Some(lag) = self.lag_once_moved(bucket, spot, to, now) else { return false };
        let start = bucket.started(to.after, self.line.row().get(spot).cost());
        self.put(bucket, spot, start);
        self.line.waiter_mut(spot).lag = lag;
        self.counted.moved = self.counted.moved.max(now);
        true
    }

    fn lag_once_moved(
        &self,
        bucket: &Bucket,
        spot: Spot,
        to: Position,
        now: Instant,
    ) -> Option<u32> {
        let row = self.line.row();
        let (waiter, settled) = (row.get(spot), row.get(spot).settled());
        let was = self.counted_position(bucket, spot);
        let may_move = to.after <= was.after
            // Who was due is not moved back, nor anybody too far.
            || settled.is_none() && self.last_waiting(bucket).is_some_and(is_near);
        // Where some are put off, their takes count from when they go.
        let moved = self.counted.moved;
        let is_in_time = moved <= now || to.before >= Level::at(moved);
        let is_behind = is_in_time && self.is_behind(bucket, row.previous(spot), to);
        let follows = to.after >= Level::at(now) && is_behind;
        lag(bucket, waiter.cost(), to).filter(|_| may_move && follows)
    }
}
