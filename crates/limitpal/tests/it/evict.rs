//! What becomes of a newcomer where every place is taken: the three policies, for each algorithm.

mod laws;
mod refused;

use std::time::Duration;

use limitpal::{
    AdaptiveLimiter, Align, AnyLimiter, Evict, FixedWindow, InvalidConfig, LeakyBucket, MockClock,
    Rate, SlidingWindowCounter, SlidingWindowLog, TokenBucket, WarmUpBucket,
};

pub(crate) const KINDS: usize = 6;
/// With those besides that warm up, or adapt to what is said.
pub(crate) const ALL_KINDS: usize = 8;
/// How long the windows last, and how long it takes a bucket to fill.
pub(crate) const PER: Duration = Duration::from_nanos(10_001);
pub(crate) const LIMIT: u32 = 4;

/// A limiter of one of the kinds, and what it says of those who came too many.
pub(crate) struct Limited {
    pub(crate) limiter: AnyLimiter,
    pub(crate) evicted_live: Box<dyn Fn() -> u64>,
    pub(crate) refused_new: Box<dyn Fn() -> u64>,
    pub(crate) len: Box<dyn Fn() -> usize>,
    pub(crate) snapshot: Box<dyn Fn() -> Vec<u8>>,
    pub(crate) restore: Restore,
}

type Restore = Box<dyn Fn(&[u8]) -> Result<(), InvalidConfig>>;

/// What is remembered: the most, and what then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) max_buckets: Option<usize>,
    pub(crate) evict: Evict,
}

/// Sets the options of a builder, and takes what every handle says.
macro_rules! limited {
    ($builder:expr, $memory:expr, $clock:expr) => {{
        let Memory { max_buckets, evict } = $memory;
        let mut builder = $builder.clock($clock).evict(evict);
        if let Some(max_buckets) = max_buckets {
            builder = builder.max_buckets(max_buckets);
        }
        let limiter = builder.build().unwrap();
        let [lost, refused, kept, saved, restored] = [(); 5].map(|()| limiter.clone());
        Limited {
            limiter: limiter.into(),
            evicted_live: Box::new(move || lost.evicted_live()),
            refused_new: Box::new(move || refused.refused_new()),
            len: Box::new(move || kept.len()),
            snapshot: Box::new(move || saved.snapshot()),
            restore: Box::new(move |bytes| restored.restore(bytes)),
        }
    }};
}

/// Makes one that lets `LIMIT` pass in about `PER`.
pub(crate) fn limited(kind: usize, memory: Memory, clock: &MockClock) -> Limited {
    let rate = Rate::new(LIMIT, PER).unwrap();
    match kind {
        0 => limited!(TokenBucket::builder(LIMIT, rate), memory, clock),
        1 => limited!(LeakyBucket::builder(LIMIT, rate), memory, clock),
        2 => limited!(FixedWindow::builder(LIMIT, PER), memory, clock),
        3 => limited!(FixedWindow::builder(LIMIT, PER).align(Align::FirstUse), memory, clock),
        4 => limited!(SlidingWindowCounter::builder(LIMIT, PER), memory, clock),
        5 => limited!(SlidingWindowLog::builder(LIMIT, PER), memory, clock),
        6 => limited!(WarmUpBucket::builder(LIMIT, rate, 2 * PER), memory, clock),
        _ => limited!(AdaptiveLimiter::builder(rate).burst(LIMIT), memory, clock),
    }
}

/// Makes one without a cap.
pub(crate) fn unlimited(kind: usize, clock: &MockClock) -> Limited {
    limited(kind, Memory { max_buckets: None, evict: Evict::NearestNew }, clock)
}

pub(crate) const POLICIES: [Evict; 3] = [Evict::NearestNew, Evict::RefuseNew, Evict::Inherit];

#[test]
fn a_policy_is_a_word() {
    for policy in POLICIES {
        assert_eq!(Some(policy), Evict::named(policy.as_str()));
    }
    assert_eq!(None, Evict::named("lru"));
    assert_eq!("refuse_new", Evict::RefuseNew.as_str());
}
