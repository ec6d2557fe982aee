//! A window in the store: the slot has what went, and while somebody waits, a queue has it.

use std::task::Waker;
use std::time::Duration;

use super::Full;
use super::answer::{Grant, Pending, Place, Request, Turn};
use super::no_shortcut::NoShortcut;
use super::queue::{Queue, Stand};
use super::shard::{Settings, Shard};
use super::stored::Stored;
use crate::algorithm::{Carry, Level, Mark, Undone, Window};
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::time::Instant;
use crate::waiting::Waiter;

impl<W: Window> Shard<W> {
    /// Returns the time of a step that must not fail: never ahead of what has been seen.
    fn seen(&self, now: Instant) -> Instant {
        now.min(self.time.now())
    }

    /// Takes, now or later, where nobody waits.
    fn begin(
        &mut self,
        settings: &Settings<W>,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> Result<Turn, Full> {
        let (bucket, cost) = (&settings.bucket, request.cost);
        let (used, opens) = (self.stamp(now), self.opens(key, now));
        let Some(slot) = self.slot(key) else {
            let mut state = bucket.fresh();
            let mark = bucket.put(&mut state, cost, now);
            self.put(settings, key, state, now)?;
            return Ok(Turn::Now(self.grant(key, cost, mark)));
        };
        let due = bucket.turn(&slot.state, cost, opens);
        if due <= now {
            let mark = bucket.put(&mut slot.state, cost, now);
            slot.used = used;
            return Ok(Turn::Now(self.grant(key, cost, mark)));
        }
        let wait = due.saturating_duration_since(now);
        if request.timeout.is_some_and(|timeout| wait > timeout) {
            return Ok(Turn::Refused(RetryAfter::After(wait)));
        }
        slot.used = used;
        let facts = std::mem::replace(&mut slot.state, bucket.held());
        let from = if opens > now { opens } else { Instant::MIN };
        self.lines.insert(key, Queue::new(facts, from));
        self.join(settings, key, request, now)
    }

    /// Takes, now or later, behind those who wait.
    fn join(
        &mut self,
        settings: &Settings<W>,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> Result<Turn, Full> {
        let (bucket, Request { cost, timeout, fixed, ticket }) = (&settings.bucket, request);
        let used = self.stamp(now);
        let Some(queue) = self.lines.get_mut(&key) else {
            return self.begin(settings, key, request, now);
        };
        let stand = queue.stand(bucket, request, now);
        let Stand { due, .. } = stand;
        let wait = due.saturating_duration_since(now);
        if timeout.is_some_and(|timeout| wait > timeout) {
            return Ok(Turn::Refused(RetryAfter::After(wait)));
        }
        let stands = if wait.is_zero() {
            Err(queue.pass(bucket, cost, now))
        } else {
            let cost = u32::try_from(cost).expect("only what the limit can serve waits");
            let mut waiter = Waiter::new(cost, ticket, fixed, due);
            waiter.until = request.until(now);
            self.places = self.places.wrapping_add(1);
            Ok(queue.join(waiter, self.places, stand))
        };
        if let Some(slot) = self.slot(key) {
            slot.used = used;
        }
        Ok(match stands {
            Ok(id) => Turn::Wait(Place { key, id }, wait),
            Err(mark) => Turn::Now(self.grant(key, cost, mark)),
        })
    }

    /// Ends the queue if nobody waits any more; else returns the waker of the first in it, if it
    /// sleeps longer than it has to.
    pub(super) fn end(&mut self, settings: &Settings<W>, key: Fingerprint) -> Option<Waker> {
        let queue = self.lines.get_mut(&key)?;
        if !queue.is_empty() {
            return queue.oversleeper(&settings.bucket);
        }
        let queue = self.lines.remove(&key)?;
        self.lower(settings, key, queue.into_facts());
        None
    }
}

impl<W: Window> Stored for W {
    type Line = Queue<W>;
    type Shortcut = NoShortcut;
    type Front = NoShortcut;
    const ONE_WORD: bool = false;

    fn converted(&self, old: &W, state: &W::State, now: Instant) -> W::State {
        self.carried(old, state, Carry::Proportional, now)
    }

    fn facts<'l>(&self, line: &'l mut Queue<W>, now: Instant) -> Option<&'l W::State> {
        line.settle(self, now);
        Some(line.facts())
    }

    fn take_beside(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Grant> {
        if shard.lines.is_empty() {
            return None;
        }
        let mark = shard.lines.get_mut(&key)?.take(&settings.bucket, cost, now)?;
        Some(shard.grant(key, cost, mark))
    }

    fn retry_in(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> RetryAfter {
        let bucket = &settings.bucket;
        match shard.lines.get_mut(&key) {
            Some(queue) => queue.retry_after(bucket, cost, now),
            None => {
                let opens = shard.opens(key, now);
                let answer =
                    shard.look(settings, key, |state| bucket.retry_after(state, cost, opens));
                answer.later(opens.saturating_duration_since(now))
            }
        }
    }

    fn standing(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        key: Fingerprint,
        answer: RetryAfter,
        now: Instant,
    ) -> Decision {
        let bucket = &settings.bucket;
        match shard.lines.get_mut(&key) {
            Some(queue) => queue.decision(bucket, answer, now),
            None => {
                let opens = shard.opens(key, now);
                let decision =
                    shard.look(settings, key, |state| bucket.decision(state, answer, opens));
                decision.while_closed(now, opens)
            }
        }
    }

    fn reserve(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> Result<Turn, Full> {
        if !settings.bucket.serves(request.cost) {
            return Ok(Turn::Refused(RetryAfter::Never));
        }
        shard.join(settings, key, request, now)
    }

    fn quote(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> RetryAfter {
        let bucket = &settings.bucket;
        if !bucket.serves(request.cost) {
            return RetryAfter::Never;
        }
        let due = match shard.lines.get_mut(&key) {
            Some(queue) => queue.stand(bucket, request, now).due,
            None => {
                let opens = shard.opens(key, now);
                shard.look(settings, key, |state| bucket.turn(state, request.cost, opens))
            }
        };
        RetryAfter::wait(due.saturating_duration_since(now))
    }

    fn arm(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        place: Place,
        waker: Option<Waker>,
        now: Instant,
    ) -> (Option<Waker>, Pending) {
        let queue = shard.lines.get_mut(&place.key);
        let found = queue.and_then(|queue| Some((queue.find(place.id)?, queue)));
        let Some((spot, queue)) = found else {
            return (
                waker,
                Pending { due: now, wait: Duration::ZERO, has_waker: false, refused: None },
            );
        };
        queue.settle(&settings.bucket, now);
        let due = queue.due(&settings.bucket, spot);
        let waiter = queue.waiter_mut(spot);
        // If others have put it off beyond its time, it hears of that within it.
        let due = due.min(waiter.until);
        waiter.armed = due;
        let replaced = std::mem::replace(&mut waiter.waker, waker);
        let wait = due.saturating_duration_since(now);
        (replaced, Pending { due, wait, has_waker: true, refused: None })
    }

    fn still(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        place: Place,
        waker: Option<&Waker>,
        now: Instant,
    ) -> Option<Pending> {
        let queue = shard.lines.get_mut(&place.key)?;
        let spot = queue.find(place.id)?;
        queue.settle(&settings.bucket, now);
        let due = queue.due(&settings.bucket, spot);
        if due <= now {
            return None;
        }
        // Told so, it sleeps until then, though it was to wake earlier once and is not armed anew.
        let waiter = queue.waiter_mut(spot);
        waiter.armed = due;
        let has_waker = waiter.waker.as_ref().zip(waker).is_some_and(|(own, it)| own.will_wake(it));
        Some(Pending { has_waker, ..Pending::within(waiter.until, due, now) })
    }

    fn go(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        place: Place,
        now: Instant,
    ) -> (Grant, [Option<Waker>; 2]) {
        let (key, now) = (place.key, shard.seen(now));
        let queue = shard.lines.get_mut(&key);
        let Some((spot, queue)) = queue.and_then(|queue| Some((queue.find(place.id)?, queue)))
        else {
            // Nobody knows the place any more: it has waited, so it goes, and returns nothing.
            let after = Level::FRESH;
            return (Grant { key, cost: 0, after, before: None, epoch: 0 }, [None, None]);
        };
        let (waiter, mark) = queue.go(&settings.bucket, spot, now);
        let next = shard.end(settings, key);
        (shard.grant(key, waiter.cost(), mark), [next, waiter.waker])
    }

    fn leave(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        place: Place,
        now: Instant,
    ) -> [Option<Waker>; 2] {
        let now = shard.seen(now);
        let queue = shard.lines.get_mut(&place.key);
        let Some((spot, queue)) = queue.and_then(|queue| Some((queue.find(place.id)?, queue)))
        else {
            return [None, None];
        };
        let (waiter, void) = queue.leave(&settings.bucket, spot, now);
        if let Some(fresh_at) = void {
            shard.voids.add(place.key, fresh_at, now);
        }
        [shard.end(settings, place.key), waiter.waker]
    }

    fn give_back(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        grant: Grant,
        now: Instant,
    ) -> Option<Waker> {
        let Grant { key, cost, after, before, epoch } = grant;
        // Without a reading of the clock it is in doubt what there is to give.
        if cost == 0 || now > shard.time.now() || shard.voids.has(key, epoch) {
            return None;
        }
        let (bucket, mark) = (&settings.bucket, Mark { before, after });
        if let Some(queue) = shard.lines.get_mut(&key) {
            if let Some(fresh_at) = queue.undo(bucket, cost, mark, now) {
                shard.voids.add(key, fresh_at, now);
            }
            return shard.lines.get_mut(&key)?.oversleeper(bucket);
        }
        let is_open = shard.opens(key, now) == now;
        let slot = shard.slot(key)?;
        let fresh_at = bucket.fresh_at(&slot.state);
        match bucket.undo(&mut slot.state, cost, mark, now) {
            Undone::Not => return None,
            Undone::Wholly => {}
            Undone::Amid => shard.voids.add(key, fresh_at, now),
        }
        let slot = shard.slot(key)?;
        if is_open && bucket.fresh_at(&slot.state) == Instant::MIN {
            shard.remove(settings, key);
        } else {
            let state = std::mem::replace(&mut slot.state, bucket.held());
            shard.lower(settings, key, state);
        }
        None
    }

    fn pushed_back(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        place: Place,
        now: Instant,
    ) -> Option<Pending> {
        let (bucket, queue) = (&settings.bucket, shard.lines.get_mut(&place.key)?);
        let spot = queue.find(place.id)?;
        let due = queue.due(bucket, spot);
        let waiter = queue.waiter_mut(spot);
        let due = waiter.push_back(due, bucket.leaving_delays())?;
        (due > now).then(|| Pending::within(waiter.until, due, now))
    }

    fn rebuild(
        shard: &mut Shard<W>,
        (old, settings): (&Settings<W>, &Settings<W>),
        key: Fingerprint,
        carry: Option<Carry>,
        now: Instant,
    ) -> Vec<Waker> {
        shard.rebuild((old, settings), key, carry, now)
    }

    fn return_some(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Waker> {
        shard.return_some(settings, key, cost, now)
    }

    fn reset(
        shard: &mut Shard<W>,
        settings: &Settings<W>,
        key: Fingerprint,
        now: Instant,
    ) -> Option<Waker> {
        let bucket = &settings.bucket;
        let Some(queue) = shard.lines.get_mut(&key) else {
            shard.disown(settings, key, now);
            shard.remove(settings, key);
            return None;
        };
        let fresh_at = queue.fresh_at(bucket);
        queue.start_over(bucket, now);
        let next = queue.oversleeper(bucket);
        shard.voids.add(key, fresh_at, now);
        next
    }
}
