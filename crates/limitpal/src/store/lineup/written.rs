//! Where those at the front stand, each by itself: where rounding or chance has put them, or one
//! among them. Each that moves is moved by itself.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Lineup, Position};
use crate::algorithm::{Bucket, Level};
use crate::time::Instant;
use crate::waiting::{Spot, Waiter};

/// Where those stand who are written down.
#[derive(Debug)]
pub(super) struct Written {
    positions: HashMap<Spot, Position, RandomState>,
    /// No take of theirs came after this one.
    reach: Level,
}

impl Default for Written {
    fn default() -> Self {
        Self { positions: HashMap::default(), reach: NOBODY }
    }
}

const NOBODY: Level = Level::at(Instant::MIN);

impl Written {
    pub(super) fn get(&self, spot: Spot) -> Option<Position> {
        if self.positions.is_empty() { None } else { self.positions.get(&spot).copied() }
    }

    pub(super) fn set(&mut self, spot: Spot, position: Position) {
        self.positions.insert(spot, position);
        self.reach = self.reach.max(position.after);
    }

    fn change(&mut self, spot: Spot, change: impl FnOnce(&mut Position)) {
        if let Some(position) = self.positions.get_mut(&spot) {
            change(position);
            self.reach = self.reach.max(position.after);
        }
    }

    /// Forgets one; false if it is not written down.
    pub(super) fn remove(&mut self, spot: Spot) -> bool {
        let was_written = !self.positions.is_empty() && self.positions.remove(&spot).is_some();
        if self.positions.is_empty() {
            self.reach = NOBODY;
        }
        was_written
    }
}

impl Lineup {
    /// Returns those who are written down, from one on, whose takes came after `behind`.
    pub(super) fn written_behind(&self, first: Option<Spot>, behind: Level) -> Vec<Spot> {
        let first = first.filter(|_| self.written.reach > behind);
        let written = self.line.row().from(first).map_while(|spot| {
            let position = self.written.get(spot)?;
            Some((spot, position.after))
        });
        written.filter(|(_, after)| *after > behind).map(|(spot, _)| spot).collect()
    }

    /// Adds one where no rule would put it, so that all ahead of it are written down too.
    pub(super) fn join_written(
        &mut self,
        bucket: &Bucket,
        mut waiter: Waiter,
        number: u32,
        position: Position,
        next: Option<Spot>,
    ) -> Spot {
        let row = self.line.row();
        if let Some(ahead) = next.map_or_else(|| row.last(), |next| row.previous(next)) {
            self.write_down(bucket, ahead);
        }
        waiter.is_written = true;
        let spot = self.line.join(waiter, number, next);
        self.written.set(spot, position);
        spot
    }

    /// Returns when the last of those goes who sleep on past when their takes say, of takes up to
    /// `behind`: nobody behind them goes before that. Only a change of limits leaves such ones.
    pub(in crate::store) fn put_off(&mut self, behind: Level, now: Instant) -> Instant {
        if !self.line.any_fixed() && !self.counted.are_put_off {
            self.open(now);
            return Instant::MIN;
        }
        let row = self.line.row();
        let written = row.from(row.first()).map_while(|spot| self.written.get(spot));
        let ahead = written.filter(|position| position.after <= behind);
        ahead.map(|position| position.due).max().unwrap_or(Instant::MIN)
    }

    /// Changes where those stand who are written down, from one on, whose takes came after
    /// `behind`.
    pub(in crate::store) fn change_written(
        &mut self,
        (first, behind): (Option<Spot>, Level),
        mut change: impl FnMut(u64, &mut Position),
    ) {
        for spot in self.written_behind(first, behind) {
            let cost = self.line.row().get(spot).cost();
            self.written.change(spot, |position| change(cost, position));
        }
    }

    /// Changes where one who is counted stands, as no rule would.
    pub(in crate::store) fn change_counted(&mut self, bucket: &Bucket, spot: Spot, to: Position) {
        self.write_down(bucket, spot);
        self.written.set(spot, to);
    }

    /// Changes where each stands, in their order; counts those at the end who stand by rule then.
    pub(in crate::store) fn change_all(
        &mut self,
        bucket: &Bucket,
        change: impl FnMut(u64, &mut Position),
    ) {
        if let Some(last) = self.line.row().last() {
            self.write_down(bucket, last);
        }
        let first = self.line.row().first();
        self.change_written((first, NOBODY), change);
        self.count_back(bucket);
    }

    /// Puts all where they stand by other settings; nobody goes before `from`.
    pub(in crate::store) fn place(
        &mut self,
        (old, new): (&Bucket, &Bucket),
        from: Instant,
        placed: Vec<(Spot, Position)>,
    ) {
        if let Some(last) = self.line.row().last() {
            self.write_down(old, last);
        }
        for (spot, position) in placed {
            self.written.set(spot, position);
            self.line.waiter_mut(spot).is_pushed = true;
        }
        self.count_anew(from);
        self.count_back(new);
        self.keep_behind(from);
    }

    /// Counts those at the end who stand by rule.
    fn count_back(&mut self, bucket: &Bucket) {
        let mut last = self.line.row().last();
        while let Some(spot) = last {
            let Some(position) = self.written.get(spot) else { return };
            if !self.count(bucket, spot, position) {
                return;
            }
            self.written.remove(spot);
            last = self.line.row().previous(spot);
        }
    }
}
