//! Putting a bucket and its line from old settings to new ones, and to when it opens.

use std::num::NonZeroU64;
use std::task::Waker;

use super::answer::Place;
use super::lineup::{Lineup, Position};
use super::moving::Move;
use super::shard::{Settings, Shard};
use crate::algorithm::{Bucket, Carry, KeptLevel, Level};
use crate::shards::Fingerprint;
use crate::time::Instant;
use crate::waiting::{Freed, Spot};

/// From what to what a line is put.
struct Change<'b> {
    old: &'b Bucket,
    new: &'b Bucket,
    carry: Option<Carry>,
    now: Instant,
    /// Nobody else goes before this.
    from: Instant,
}

/// One who is turned away, and when its turn would come.
type TurnedAway = (NonZeroU64, Instant, Option<Waker>);

impl Change<'_> {
    /// Returns a level by the new settings.
    fn level(&self, level: Level) -> Level {
        match self.carry {
            None => level,
            Some(carry) => self.new.carried(self.old, level, carry, self.now),
        }
    }

    /// Returns what lies between two levels, by the new settings.
    fn between(&self, later: Level, earlier: Level) -> Level {
        let span = self.old.pulled(later.max(earlier), earlier);
        match self.carry {
            None => span,
            Some(Carry::Reset) => Level::ZERO,
            Some(Carry::Proportional | Carry::AsIs) => self.new.respanned(self.old, span),
        }
    }
}

impl Shard {
    pub(super) fn rebuild(
        &mut self,
        (old, settings): (&Settings, &Settings),
        key: Fingerprint,
        carry: Option<Carry>,
        now: Instant,
    ) -> Vec<Waker> {
        let (top, from) = (self.level(settings, key), self.opens(key, now));
        let change = Change { old: &old.bucket, new: &settings.bucket, carry, now, from };
        let Some(lineup) = self.lines.get_mut(&key) else {
            if carry.is_some() {
                self.lower(settings, key, KeptLevel::of(change.level(top)));
            }
            return Vec::new();
        };
        let (level, turned_away) = lineup.replan(&change, top);
        let mut woken: Vec<_> = lineup.oversleeper(&settings.bucket).into_iter().collect();
        if lineup.is_empty() {
            self.lines.remove(&key);
        }
        self.lower(settings, key, KeptLevel::of(level));
        for (id, due, waker) in turned_away {
            self.turn_away(settings, Place { key, id }, due);
            woken.extend(waker);
        }
        woken
    }

    /// Gives back so much of what went last: those who wait have taken too, but have not gone.
    pub(super) fn return_some(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Waker> {
        let (bucket, top, from) =
            (&settings.bucket, self.level(settings, key), self.opens(key, now));
        let gone = self.lines.get(&key).and_then(|lineup| lineup.gone(bucket, now));
        let after = gone.unwrap_or(top);
        let refund = bucket.refund(after, cost, from);
        if refund == Level::ZERO {
            return None;
        }
        // Takes that are given back later may be among those that have been: they give nothing.
        self.disown(settings, key, now);
        let lineup = self.lines.get_mut(&key);
        let level = match lineup {
            None => bucket.pulled(top, refund),
            Some(lineup) if lineup.any_fixed_behind(bucket, after) => {
                let cost = bucket.permits(refund);
                let before = bucket.pulled(after, bucket.span(cost));
                if cost > 0 {
                    lineup.line.free(Freed { cost, before, after, due: from });
                }
                return None;
            }
            Some(lineup) => lineup.move_up(bucket, (None, after), Move::shift(refund), top, from),
        };
        self.lower(settings, key, KeptLevel::of(level));
        self.lines.get_mut(&key)?.oversleeper(bucket)
    }
}

impl Lineup {
    /// Returns the level of all who have gone, if somebody waits who has not.
    fn gone(&self, bucket: &Bucket, now: Instant) -> Option<Level> {
        let waiting = self.line.row().from(self.line.row().first());
        let mut positions = waiting.map(|spot| self.position(bucket, spot));
        positions.find(|position| position.due > now).map(|position| position.before)
    }

    /// Puts all who have not gone behind one another, each as early as it may; those who would go
    /// too late or never leave. Returns the bucket's level then.
    fn replan(&mut self, change: &Change<'_>, top: Level) -> (Level, Vec<TurnedAway>) {
        let Change { old, new, now, from, .. } = *change;
        self.line.clear_freed();
        let gone = self.gone(old, now).unwrap_or(top);
        let spots: Vec<_> = self.line.row().from(self.line.row().first()).collect();
        let mut level = change.level(gone);
        let (mut ahead, mut last) = (gone, from);
        let (mut placed, mut turned_away): (Vec<(Spot, Position)>, Vec<_>) =
            (Vec::new(), Vec::new());
        for spot in spots {
            let was = self.position(old, spot);
            let waiter = self.line.row().get(spot);
            if was.due <= now {
                let (before, after) = (change.level(was.before), change.level(was.after));
                placed.push((spot, Position { before, after, due: was.due }));
                continue;
            }
            let told = if waiter.is_fixed() { waiter.armed } else { from };
            let start = new.pushed(level, change.between(was.before, ahead)).max(Level::at(from));
            ahead = was.after;
            let cost = waiter.cost();
            let due = new.due(new.after(start, cost, from), cost).max(last).max(told);
            let due = if new.serves(cost) { due } else { Instant::MAX };
            if due > waiter.until || due == Instant::MAX {
                turned_away.push((spot, due));
                continue;
            }
            (last, level) = (due, new.after(start, cost, due));
            placed.push((spot, Position { before: start, after: level, due }));
        }
        level = new.pushed(level, change.between(top, ahead));
        let out = |(spot, due): (Spot, Instant)| {
            let id = self.line.row().name(spot);
            (id, due, self.remove(old, spot).0.waker)
        };
        let turned_away = turned_away.into_iter().map(out).collect();
        self.place((old, new), from, placed);
        (level, turned_away)
    }
}
