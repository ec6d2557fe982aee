//! A lane for each thread: what it alone counts needs no step that excludes others.
//!
//! A step that does costs as much as the rest of a run through an executor whose parts all agree.

#[cfg(not(loom))]
use std::cell::Cell;
#[cfg(not(loom))]
use std::sync::atomic::AtomicU32;

use super::atomic::{AtomicU64, Ordering};

/// How many threads can have one of their own at a time; behind those is the one of all others.
pub(crate) const LANES: usize = 32;

/// Which lanes are somebody's.
#[cfg(not(loom))]
static TAKEN: AtomicU32 = AtomicU32::new(0);

#[cfg(not(loom))]
thread_local! {
    /// This thread's lane, as it is read; above [`LANES`] while none was claimed.
    static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
    /// What gives it back as the thread ends.
    static OWN: Own = Own::claim();
}

/// A lane, as long as its thread lives.
#[cfg(not(loom))]
struct Own(usize);

#[cfg(not(loom))]
impl Own {
    fn claim() -> Self {
        let claim = |taken: u32| {
            let free = taken.trailing_ones();
            (free < u32::BITS).then(|| taken | 1 << free)
        };
        // With it comes what the thread has counted that had it before.
        let taken = TAKEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, claim);
        Self(taken.map_or(LANES, |taken| taken.trailing_ones() as usize))
    }
}

#[cfg(not(loom))]
impl Drop for Own {
    fn drop(&mut self) {
        LANE.set(LANES);
        if self.0 < LANES {
            TAKEN.fetch_and(!(1 << self.0), Ordering::Release);
        }
    }
}

/// Returns this thread's lane, or [`LANES`] if it is one of those that share one.
#[cfg(not(loom))]
#[inline]
pub(crate) fn lane() -> usize {
    let own = LANE.get();
    if own <= LANES { own } else { claim() }
}

#[cfg(not(loom))]
#[cold]
fn claim() -> usize {
    let own = OWN.try_with(|own| own.0).unwrap_or(LANES);
    LANE.set(own);
    own
}

/// Returns this thread's lane, if it has claimed one already: a single look.
#[cfg(not(loom))]
#[inline]
pub(crate) fn own_lane() -> Option<usize> {
    let own = LANE.get();
    (own < LANES).then_some(own)
}

#[cfg(loom)]
pub(crate) fn own_lane() -> Option<usize> {
    None
}

/// In a model all share one: threads come and go between its runs.
#[cfg(loom)]
pub(crate) fn lane() -> usize {
    LANES
}

/// A count that each thread adds to in its own lane.
#[derive(Debug)]
pub(crate) struct Lanes(Box<[Lane]>);

/// A lane's count, in a line of the cache of its own.
#[derive(Default, Debug)]
#[repr(align(128))]
struct Lane(AtomicU64);

impl Lane {
    /// Adds one where nobody else writes; no count ever comes round.
    #[inline]
    fn count_alone(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

impl Lanes {
    pub(crate) fn new() -> Self {
        Self((0..=LANES).map(|_| Lane::default()).collect())
    }

    /// Adds one.
    #[inline]
    pub(crate) fn count(&self) {
        match own_lane() {
            Some(own) => self.0[own].count_alone(),
            None => self.count_late(),
        }
    }

    /// As `count`, for a thread that has no lane yet, or never gets one.
    #[cold]
    #[inline(never)]
    fn count_late(&self) {
        match lane() {
            LANES => drop(self.0[LANES].0.fetch_add(1, Ordering::Relaxed)),
            own => self.0[own].count_alone(),
        }
    }

    /// Adds all up.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, Lane(count)| sum.saturating_add(count.load(Ordering::Relaxed)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn no_two_threads_have_one_lane_and_it_is_given_on() {
        // Other tests' threads have some of them.
        for _ in 0..3 {
            let all = Barrier::new(48);
            let there: Vec<usize> = thread::scope(|scope| {
                let threads: Vec<_> = (0..48)
                    .map(|_| {
                        scope.spawn(|| {
                            let own = lane();
                            all.wait();
                            assert_eq!(own, lane());
                            own
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap_or(LANES)).collect()
            });
            let own: Vec<_> = there.into_iter().filter(|lane| *lane < LANES).collect();
            assert!(!own.is_empty(), "lanes are given back");
            assert_eq!(own.len(), own.iter().collect::<BTreeSet<_>>().len());
        }
    }
}
