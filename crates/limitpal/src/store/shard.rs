//! One locked part of the store: its buckets, its lines and its time.

use std::collections::HashMap;

use super::answer::Request;
use super::evict::{Buckets, Evictor, Lines, Seen};
use super::own::Own;
pub(super) use super::settings::Settings;
use super::slot::Slot;
use super::stored::Stored;
use super::table::Table;
use super::tally::Tally;
use super::timeline::Timeline;
use super::voids::Voids;
use super::{Full, Grant, StoreOptions, Turn};
use crate::algorithm::{Bucket, Mark};
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::time::Instant;

/// Tables of fewer buckets than these are in the cache already.
const WARM: usize = 1024;

/// One part of a store. What every call changes comes first, beside the lock's own word: so a
/// thread that follows another fetches one line of the cache from it, and not three.
#[derive(Debug)]
#[repr(C)]
pub struct Shard<A: Stored = Bucket> {
    pub(super) time: Timeline,
    stamp: i64,
    pub(super) table: Table<A::State>,
    /// How many calls have taken, at once or after a wait.
    pub(super) admitted: u64,
    /// How many were refused at once.
    pub(super) refused: u64,
    calls: usize,
    /// What keys have of their own, if any has.
    pub(super) own: Option<Box<Own<A>>>,
    pub(super) lines: Lines<A>,
    pub(super) voids: Voids,
    pub(super) evictor: Evictor,
    /// Counts those who have waited here, so that no two who do have the same number.
    pub(super) places: u32,
    /// Buckets left by the last look for those to forget: as many calls pass before the next, so
    /// that a call pays for a few buckets, however many there are.
    kept: usize,
    /// The bucket in use that was found where one as new was looked for.
    pub(super) spared: Option<Fingerprint>,
    pub(super) tally: Tally,
}

impl<A: Stored> Shard<A> {
    pub(super) fn new(options: &StoreOptions, is_steady: bool) -> Self {
        Self {
            time: Timeline::new(is_steady),
            table: Table::new(),
            admitted: 0,
            refused: 0,
            tally: Tally::default(),
            lines: HashMap::new(),
            voids: Voids::default(),
            evictor: Evictor::new(options.max_buckets),
            stamp: i64::MIN,
            places: 0,
            calls: 0,
            own: None,
            kept: 0,
            spared: None,
        }
    }

    /// Takes `cost` if there is room for it now.
    #[inline]
    pub(super) fn take(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Result<Option<Grant>, Full> {
        self.take_as(settings, key, cost, now, |grant| grant)
    }

    /// As `take`, for whoever gives nothing back: a grant is not made where nobody looks at it.
    #[inline(never)] // everywhere it would be laid out once more
    pub(super) fn allow(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Result<Option<()>, Full> {
        self.take_as(settings, key, cost, now, drop)
    }

    /// As `allow`, for whoever asks for many in a row.
    #[inline(always)]
    pub(super) fn allow_next(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Result<Option<()>, Full> {
        self.take_as(settings, key, cost, now, drop)
    }

    #[inline(always)] // in each of the three above
    fn take_as<T>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
        make: impl FnOnce(Grant) -> T,
    ) -> Result<Option<T>, Full> {
        if self.own.is_some() {
            return self.take_own(settings, key, cost, now, make);
        }
        self.take_by(settings, key, cost, now, make)
    }

    #[inline(always)] // as `take_as`
    pub(super) fn take_by<T>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
        make: impl FnOnce(Grant) -> T,
    ) -> Result<Option<T>, Full> {
        self.tidy(settings, now);
        let used = self.stamp(now);
        let Some(slot) = self.table.find_mut(key) else {
            return Ok(self.take_from_new(settings, key, cost, now, used)?.map(make));
        };
        slot.used = used;
        let Some(mark) = settings.bucket.take(&mut slot.state, cost, now) else {
            let taken = A::take_beside(self, settings, key, cost, now);
            self.count(taken.is_some());
            return Ok(taken.map(make));
        };
        self.admitted += 1;
        Ok(Some(make(self.grant(key, cost, mark))))
    }

    #[inline(never)] // a new key costs more than the call
    fn take_from_new(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
        used: i64,
    ) -> Result<Option<Grant>, Full> {
        let mut state = settings.bucket.fresh();
        let bucket = &settings.bucket;
        let taken = bucket.take(&mut state, cost, now);
        let owing = || bucket.take_owing(&mut state, cost, now);
        let Some(mark) = taken.or_else(owing) else {
            self.refused += 1;
            return Ok(None);
        };
        self.make_room(settings, now)?;
        self.insert(settings, key, state, used);
        self.admitted += 1;
        Ok(Some(self.grant(key, cost, mark)))
    }

    /// Returns a take as one that can be given back.
    #[inline]
    pub(super) fn grant(&self, key: Fingerprint, cost: u64, mark: Mark) -> Grant {
        let Mark { before, after } = mark;
        Grant { key, cost, after, before, epoch: self.voids.epoch() }
    }

    /// Takes, now or later; refuses what would wait longer than the timeout, without taking.
    #[inline(always)] // an answer of this size goes through memory wherever it is returned
    pub(super) fn reserve_as<T>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        request: Request,
        now: Instant,
        make: impl Fn(Grant) -> T,
    ) -> Result<Turn<T>, Full> {
        if self.own.is_some() {
            return self.reserve_own(settings, key, request, now, make);
        }
        match self.at_once(settings, key, request, now, &make) {
            Some(turn) => Ok(turn),
            None => Ok(self.reserve_in_line(settings, key, request, now)?.map(make)),
        }
    }

    /// Answers for a bucket that is remembered where one need not wait, or may not and nobody does.
    #[inline(always)] // as `reserve_as`
    pub(super) fn at_once<T>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        request: Request,
        now: Instant,
        make: impl Fn(Grant) -> T,
    ) -> Option<Turn<T>> {
        self.tidy(settings, now);
        let (bucket, cost) = (&settings.bucket, request.cost);
        let used = self.stamp(now);
        let is_free = self.lines.is_empty();
        let slot = self.slot(key)?;
        if let Some(mark) = bucket.take_in_turn(&mut slot.state, cost, now) {
            slot.used = used;
            self.admitted += 1;
            return Some(Turn::Now(make(self.grant(key, cost, mark))));
        }
        let is_refused = is_free && bucket.serves(cost);
        let timeout = request.timeout.filter(|_| is_refused)?;
        let wait = bucket.turn(&slot.state, cost, now).saturating_duration_since(now);
        if timeout >= wait {
            return None;
        }
        self.refused += 1;
        Some(Turn::Refused(RetryAfter::After(wait)))
    }

    /// Adds a bucket that was last used some time ago.
    pub(super) fn take_in(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        state: A::State,
        used: i64,
    ) {
        self.stamp = self.stamp.max(used);
        self.insert(settings, key, state, used);
    }

    pub(super) fn insert(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        state: A::State,
        used: i64,
    ) {
        let fresh_at = self.buckets(settings).fresh_at(key, &state);
        self.table.insert(Slot::new(key, state, used));
        self.lowered(settings, key, Seen { fresh_at, used, awaited: false });
    }

    /// Tells who chooses what to forget that a bucket has been added, or is nearer to new.
    #[inline]
    pub(super) fn lowered(&mut self, settings: &Settings<A>, key: Fingerprint, seen: Seen) {
        if self.evictor.lowered(key, seen, self.table.len()) {
            let Self { table, lines, evictor, own, .. } = self;
            let own = own.as_deref();
            evictor.relook(Buckets { table, lines, bucket: &settings.bucket, own });
        }
    }

    /// Brings the buckets of several keys into the cache: reads that do not wait for one another.
    #[inline]
    pub(super) fn look_ahead(&self, keys: impl Iterator<Item = Fingerprint>) {
        if self.table.len() < WARM {
            return;
        }
        std::hint::black_box(keys.fold(0, |seen, key| seen ^ self.table.touch(key)));
    }

    pub(super) fn slot(&mut self, key: Fingerprint) -> Option<&mut Slot<A::State>> {
        self.table.find_mut(key)
    }

    /// Reads something off a key's state, whether or not it is remembered.
    pub(super) fn look<T>(
        &self,
        settings: &Settings<A>,
        key: Fingerprint,
        look: impl FnOnce(&A::State) -> T,
    ) -> T {
        match self.table.find(key) {
            Some(slot) => look(&slot.state),
            None => look(&settings.bucket.fresh()),
        }
    }

    /// Returns whether there are buckets that nobody waits for.
    pub(super) fn has_idlers(&self) -> bool {
        self.table.len() > self.lines.len()
    }

    /// Returns how many slots have been looked at to find buckets to forget.
    pub(super) fn looks(&self) -> u64 {
        self.evictor.looks()
    }

    /// Forgets one bucket whatever its state.
    pub(super) fn remove(&mut self, settings: &Settings<A>, key: Fingerprint) {
        if self.forget(key) {
            settings.forgot(1);
        }
    }

    /// Forgets one bucket, leaving the count to the caller.
    pub(super) fn forget(&mut self, key: Fingerprint) -> bool {
        if self.own.is_some() {
            self.forget_own(key);
        }
        let Some(moved) = self.table.remove(key) else { return false };
        self.evictor.removed(moved);
        true
    }

    /// Sets the state of a key, remembered or not, which is not nearer to new by that.
    pub(super) fn put(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        state: A::State,
        now: Instant,
    ) -> Result<(), Full> {
        let used = self.stamp(now);
        if let Some(slot) = self.slot(key) {
            slot.state = state;
            slot.used = used;
            return Ok(());
        }
        self.make_room(settings, now)?;
        self.insert(settings, key, state, used);
        Ok(())
    }

    /// Puts a bucket back to an earlier state, and in its place among those to be forgotten.
    pub(super) fn lower(&mut self, settings: &Settings<A>, key: Fingerprint, state: A::State) {
        let fresh_at = settings.bucket.fresh_at(&state);
        let Some(slot) = self.slot(key) else { return };
        slot.state = state;
        let used = slot.used;
        let awaited = self.lines.contains_key(&key);
        self.lowered(settings, key, Seen { fresh_at, used, awaited });
    }

    /// Makes all takes so far from a bucket give nothing back.
    pub(super) fn disown(&mut self, settings: &Settings<A>, key: Fingerprint, now: Instant) {
        let fresh_at = self.fresh_at(settings, key);
        self.voids.add(key, fresh_at, now);
    }

    /// Returns from when on a key is as new, whichever it is.
    pub(super) fn fresh_at(&self, settings: &Settings<A>, key: Fingerprint) -> Instant {
        self.look(settings, key, |state| self.buckets(settings).fresh_at(key, state))
    }

    pub(super) fn buckets<'s>(&'s self, settings: &'s Settings<A>) -> Buckets<'s, A> {
        let Self { table, lines, own, .. } = self;
        Buckets { table, lines, bucket: &settings.bucket, own: own.as_deref() }
    }

    /// Forgets what is idle for the `ttl` and as new again; every so many calls.
    #[inline(always)] // a call would cost more than the look at what is seldom set
    pub(super) fn tidy(&mut self, settings: &Settings<A>, now: Instant) {
        if settings.options.ttl.is_some() {
            self.tidy_up(settings, now);
        }
    }

    #[inline(never)] // or those without a `ttl` make room for it in their frame
    fn tidy_up(&mut self, settings: &Settings<A>, now: Instant) {
        self.calls += 1;
        if self.calls >= settings.options.cleanup_interval.max(self.kept) {
            self.calls = 0;
            self.forget_expired(settings, now);
            self.kept = self.table.len();
        }
    }

    /// Returns an instant of its own for this use.
    #[inline]
    pub(super) fn stamp(&mut self, now: Instant) -> i64 {
        self.stamp = self.stamp.saturating_add(1).max(now.as_nanos());
        self.stamp
    }
}
