//! The system's clock, read through the processor's time stamp counter: the same time in half of
//! the time.
//!
//! About once in a millisecond the system's clock is read and the counter anchored to it; in
//! between the counter says how much has passed. So there is nothing to calibrate beforehand and
//! no drift, and whatever the counter does, a reading is off by a millisecond at most. Readings
//! never go back: an anchor is never set behind what the one before it may have told.

#[cfg(not(loom))]
mod machine;
#[cfg(all(test, loom))]
mod models;

#[cfg(not(loom))]
pub(super) use self::machine::now;
use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::sync::thread;

/// How long an anchor holds, in nanoseconds: about a millisecond.
const HORIZON: u64 = 1 << 20;
/// How long the counter is watched before its pace is trusted, and how often it is measured anew.
const FIRST_WATCH: u64 = 10_000_000;
const WATCH: u64 = 1_000_000_000;
/// A reading of the system's clock is paired with the counter only if it took less than this many
/// ticks: then the thread was not suspended in between.
const TIGHT: u64 = 1_000;
/// Nanoseconds for each tick are counted in parts of 2^32.
const PARTS: u32 = 32;
/// The pace is taken this part slower (61 in a million), lest the counter run ahead.
const CAUTION: u64 = 1 << 14;
/// A tick of more than 16 ns is no counter worth reading.
const SLOWEST: u64 = 16 << PARTS;
/// A pace that differs by more than one part in this many tells of a suspended machine.
const STRANGE: u64 = 1_000;
/// How often to look whether another thread has set the anchor, before doing without.
const PATIENCE: u32 = if cfg!(loom) { 1 } else { 1_000 };

/// What the low bits of the version say: an anchor is being set, and somebody waited for it in
/// vain and told the system's time instead. With neither the anchor holds.
const BEING_SET: u64 = 1;
const GIVEN_UP: u64 = 2;
const NEXT: u64 = 4;

/// Where the two clocks are read from; a test has its own.
trait Source {
    /// Reads the counter.
    fn ticks(&self) -> u64;
    /// Reads the system's clock, in nanoseconds.
    fn nanos(&self) -> i64;
}

/// A counter anchored to the system's clock, for all threads.
#[derive(Default, Debug)]
struct Counter {
    /// Counts anchors, above the two bits that say how far the present one is.
    version: AtomicU64,
    ticks: AtomicU64,
    nanos: AtomicU64,
    /// Nanoseconds for each tick, in [`PARTS`]; 0 until it is known.
    pace: AtomicU64,
    /// How many ticks the anchor holds; 0 while the pace is not known.
    horizon: AtomicU64,
    /// Since when the pace is being measured; 0 ticks if it is not.
    watched_ticks: AtomicU64,
    watched_nanos: AtomicU64,
}

/// What an anchor says.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ticks: u64,
    nanos: i64,
    pace: u64,
    horizon: u64,
}

impl Anchor {
    /// Returns the time at a reading of the counter, if the anchor holds for it.
    #[inline]
    fn at(self, ticks: u64) -> Option<i64> {
        let passed = ticks.wrapping_sub(self.ticks);
        (passed < self.horizon).then(|| self.nanos + ((passed * self.pace) >> PARTS) as i64)
    }

    /// Returns the latest that it may have told anybody up to a reading of the counter.
    fn told(self, ticks: u64) -> i64 {
        let passed = ticks.wrapping_sub(self.ticks).cast_signed().max(0).cast_unsigned();
        self.nanos + ((passed.min(self.horizon) * self.pace) >> PARTS) as i64
    }
}

impl Counter {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self {
            version: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            pace: AtomicU64::new(0),
            horizon: AtomicU64::new(0),
            watched_ticks: AtomicU64::new(0),
            watched_nanos: AtomicU64::new(0),
        }
    }

    /// Returns the time.
    #[inline]
    fn now(&self, source: &impl Source) -> i64 {
        self.now_by_anchor(source).unwrap_or_else(|| self.now_anew(source))
    }

    /// Returns the time if there is an anchor that holds, and nobody set another meanwhile.
    #[inline]
    fn now_by_anchor(&self, source: &impl Source) -> Option<i64> {
        let version = self.version.load(Ordering::Acquire);
        let anchor = self.anchor();
        if anchor.horizon == 0 || !version.is_multiple_of(NEXT) {
            return None;
        }
        let now = anchor.at(source.ticks());
        fence(Ordering::Acquire);
        now.filter(|_| self.version.load(Ordering::Relaxed) == version)
    }

    #[inline]
    fn anchor(&self) -> Anchor {
        let read = |field: &AtomicU64| field.load(Ordering::Relaxed);
        let (ticks, nanos) = (read(&self.ticks), read(&self.nanos).cast_signed());
        Anchor { ticks, nanos, pace: read(&self.pace), horizon: read(&self.horizon) }
    }

    /// Sets an anchor, or takes that which another thread has set meanwhile: else threads would
    /// set one after another for ever, each because another had.
    #[cold]
    fn now_anew(&self, source: &impl Source) -> i64 {
        let mut patience = PATIENCE;
        loop {
            if let Some(now) = self.now_by_anchor(source) {
                return now;
            }
            let version = self.version.load(Ordering::Acquire);
            if version.is_multiple_of(NEXT) {
                if self.exchange(version, version | BEING_SET) {
                    return self.now_settled(version, source);
                }
            } else if version & GIVEN_UP == 0 && patience > 0 {
                patience -= 1;
                thread::yield_now();
            } else {
                // A fork may have left an anchor half set for ever. If it was not for ever, that
                // anchor could tell an earlier time than this: so it may hold for nobody.
                let now = source.nanos();
                if self.exchange(version, version | GIVEN_UP) {
                    return now;
                }
            }
        }
    }

    /// Sets the anchor that this thread alone may set now.
    fn now_settled(&self, version: u64, source: &impl Source) -> i64 {
        let now = self.set_anchor(source);
        let settled = version.wrapping_add(NEXT);
        if !self.exchange(version | BEING_SET, settled) {
            self.horizon.store(0, Ordering::Relaxed);
            self.version.store(settled, Ordering::Release);
        }
        now
    }

    fn exchange(&self, version: u64, next: u64) -> bool {
        let (order, failed) = (Ordering::AcqRel, Ordering::Acquire);
        self.version.compare_exchange(version, next, order, failed).is_ok()
    }

    /// Reads both clocks; only one thread at a time does.
    fn set_anchor(&self, source: &impl Source) -> i64 {
        let old = self.anchor();
        fence(Ordering::Release);
        let (before, nanos, ticks) = (source.ticks(), source.nanos(), source.ticks());
        let now = nanos.max(old.told(ticks));
        let is_tight = ticks.wrapping_sub(before) < TIGHT;
        let pace = if is_tight { self.measure(old.pace, ticks, nanos) } else { old.pace };
        let horizon = (HORIZON << PARTS).checked_div(pace).filter(|_| is_tight).unwrap_or(0);
        self.store(Anchor { ticks, nanos: now, pace, horizon });
        now
    }

    fn store(&self, anchor: Anchor) {
        let write = |field: &AtomicU64, value| field.store(value, Ordering::Relaxed);
        write(&self.ticks, anchor.ticks);
        write(&self.nanos, anchor.nanos.cast_unsigned());
        write(&self.pace, anchor.pace);
        write(&self.horizon, anchor.horizon);
    }

    /// Returns the nanoseconds for each tick as far as they are known.
    fn measure(&self, pace: u64, ticks: u64, nanos: i64) -> u64 {
        let since = self.watched_ticks.load(Ordering::Relaxed);
        let passed = nanos.wrapping_sub(self.watched_nanos.load(Ordering::Relaxed).cast_signed());
        if since != 0 && passed.cast_unsigned() < if pace == 0 { FIRST_WATCH } else { WATCH } {
            return pace;
        }
        self.watched_ticks.store(ticks, Ordering::Relaxed);
        self.watched_nanos.store(nanos.cast_unsigned(), Ordering::Relaxed);
        if since == 0 {
            return pace;
        }
        let parts = u128::from(passed.cast_unsigned()) << PARTS;
        let measured = parts.checked_div(ticks.wrapping_sub(since).into()).unwrap_or(0);
        let measured = u64::try_from(measured).ok().filter(|pace| *pace <= SLOWEST).unwrap_or(0);
        let slower = measured - measured / CAUTION;
        if pace != 0 && pace.abs_diff(slower) > pace / STRANGE { 0 } else { slower }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::{Cell, RefCell};

    use fastrand::Rng;

    use super::*;

    /// Clocks that move by a script: how long each reading takes, in nanoseconds.
    struct Script {
        true_nanos: Cell<u64>,
        /// Ticks for each thousand nanoseconds.
        speed: Cell<u64>,
        /// How much the counter is ahead by other means, such as a suspended system clock.
        slept: Cell<u64>,
        rng: RefCell<Rng>,
        longest_step: u64,
    }

    impl Script {
        fn new(seed: u64, longest_step: u64) -> Self {
            Self {
                true_nanos: Cell::new(5_000),
                speed: Cell::new(2_600),
                slept: Cell::new(0),
                rng: RefCell::new(Rng::with_seed(seed)),
                longest_step,
            }
        }

        fn pass(&self, nanos: u64) {
            self.true_nanos.set(self.true_nanos.get() + nanos);
        }

        fn step(&self) {
            let step = self.rng.borrow_mut().u64(1..=self.longest_step);
            self.pass(step);
        }
    }

    impl Source for Script {
        fn ticks(&self) -> u64 {
            self.step();
            (self.true_nanos.get() + self.slept.get()) * self.speed.get() / 1_000
        }

        fn nanos(&self) -> i64 {
            self.step();
            self.true_nanos.get() as i64
        }
    }

    /// Reads at random times for `seconds`, and returns by how much readings were off at most.
    fn watch(counter: &Counter, script: &Script, seconds: u64) -> (i64, u32) {
        let (mut last, mut furthest, mut anchored) = (i64::MIN, 0, 0);
        let end = script.true_nanos.get() + seconds * 1_000_000_000;
        while script.true_nanos.get() < end {
            let gap = script.rng.borrow_mut().u64(1..200_000);
            script.pass(gap);
            let system_before = script.true_nanos.get() as i64;
            let now = counter.now(script);
            let system_after = script.true_nanos.get() as i64;
            assert!(now >= last, "went back from {last} to {now}");
            last = now;
            furthest = furthest.max(system_before - now).max(now - system_after);
            anchored += u32::from(counter.anchor().horizon > 0);
        }
        (furthest, anchored)
    }

    #[test]
    fn it_follows_the_system_clock_to_a_fraction_of_a_microsecond() {
        for seed in 0..8 {
            let (counter, script) = (Counter::new(), Script::new(seed, 30));
            let (furthest, anchored) = watch(&counter, &script, 3);

            assert!(furthest < 300, "off by {furthest} ns");
            assert!(anchored > 10_000, "anchored in {anchored} readings");
        }
    }

    #[test]
    fn threads_that_are_suspended_while_they_read_do_no_harm() {
        for seed in 0..8 {
            // Many readings take longer than what counts as tight.
            let (counter, script) = (Counter::new(), Script::new(seed, 1_000));
            let (furthest, anchored) = watch(&counter, &script, 3);

            assert!(furthest < 1_500, "off by {furthest} ns");
            assert!(anchored > 100, "anchored in {anchored} readings");
        }
    }

    #[test]
    fn a_machine_that_was_suspended_is_off_by_a_millisecond_at_most() {
        let (counter, script) = (Counter::new(), Script::new(7, 30));
        watch(&counter, &script, 2);
        script.slept.set(3_600_000_000_000);
        let (furthest, _) = watch(&counter, &script, 1);
        assert!(furthest < 1_100_000, "off by {furthest} ns");

        let (furthest, anchored) = watch(&counter, &script, 2);
        assert!(furthest < 1_100_000, "off by {furthest} ns");
        assert!(anchored > 1_000, "it is read again");
    }

    #[test]
    fn another_pace_is_learnt() {
        let (counter, script) = (Counter::new(), Script::new(7, 30));
        watch(&counter, &script, 2);
        script.speed.set(1_300);
        watch(&counter, &script, 3);
        let (furthest, anchored) = watch(&counter, &script, 2);

        assert!(furthest < 1_100_000, "off by {furthest} ns");
        assert!(anchored > 1_000, "it is read again");
    }

    #[test]
    fn an_anchor_left_half_set_by_a_fork_hangs_nobody() {
        let (counter, script) = (Counter::new(), Script::new(7, 30));
        counter.version.store(BEING_SET, Ordering::Relaxed);

        for _ in 0..3 {
            let before = script.true_nanos.get() as i64;
            assert!(counter.now(&script) > before);
            let version = counter.version.load(Ordering::Relaxed);
            assert_eq!(BEING_SET | GIVEN_UP, version, "the next reading does not wait");
        }
    }
}
