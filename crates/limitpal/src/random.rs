//! Seedable numbers for jitter.

use std::sync::atomic::{AtomicU64, Ordering};

/// The odd constant that SplitMix64 steps by; see <https://prng.di.unimi.it/splitmix64.c>.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A source of numbers from 0 to 1. It can be shared between threads and never locks.
#[derive(Debug)]
pub(crate) struct Random(Kind);

#[derive(Debug)]
enum Kind {
    Thread,
    Seeded { seed: u64, state: AtomicU64 },
}

impl Random {
    /// Returns the generator that starts at `seed`; without one, that of the calling thread.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(match seed {
            Some(seed) => Kind::Seeded { seed, state: AtomicU64::new(seed) },
            None => Kind::Thread,
        })
    }

    /// Returns what the generator was started at.
    pub(crate) fn seed(&self) -> Option<u64> {
        match self.0 {
            Kind::Thread => None,
            Kind::Seeded { seed, .. } => Some(seed),
        }
    }

    /// Returns a number from 0 to just below 1, each as likely.
    pub(crate) fn unit(&self) -> f64 {
        let bits = match &self.0 {
            // A forked child inherits its thread's generator; the process id tells the two apart.
            Kind::Thread => mix(fastrand::u64(..) ^ u64::from(std::process::id())),
            Kind::Seeded { state, .. } => {
                mix(state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
            }
        };
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A copy starts at the seed again, as every value made from the same settings does.
impl Clone for Random {
    fn clone(&self) -> Self {
        Self::new(self.seed())
    }
}

impl PartialEq for Random {
    fn eq(&self, other: &Self) -> bool {
        self.seed() == other.seed()
    }
}

/// Spreads the bits of `value`, as SplitMix64 does.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
