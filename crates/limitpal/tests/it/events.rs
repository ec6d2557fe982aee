//! What observers of a limiter hear, and that they harm nobody.

mod growth;
mod laws;
mod limiters;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use limitpal::{AnyLimiter, Event, MockClock, Rate, RetryAfter, Subscription, TokenBucket};

/// What was heard so far.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    pub(crate) fn of(limiter: &AnyLimiter) -> (Self, Subscription) {
        let heard = Self::default();
        let subscription = limiter.observe(heard.clone().listener());
        (heard, subscription)
    }

    pub(crate) fn listener(self) -> impl Fn(&Event) + Send + Sync + 'static {
        move |event| self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone())
    }

    /// Takes out what was heard.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes out what was heard, in short.
    pub(crate) fn words(&self) -> Vec<String> {
        self.take().iter().map(word).collect()
    }
}

fn word(event: &Event) -> String {
    match event {
        Event::Refused { key, cost, retry_after, .. } => {
            format!("refused {key} {cost} {retry_after:?}")
        }
        Event::NearLimit { key, used, limit, .. } => format!("near {key} {used} of {limit}"),
        Event::KeysGrowLikeCalls { calls, new_keys, .. } => format!("grow {new_keys} of {calls}"),
        Event::EvictedLive { key, evicted, total, .. } => {
            format!("evicted {key} {evicted} {total}")
        }
        _ => "unknown".to_owned(),
    }
}

fn bucket(capacity: u32, clock: &MockClock) -> TokenBucket {
    let rate = Rate::per_second(1.0).unwrap();
    TokenBucket::builder(capacity, rate).clock(clock).build().unwrap()
}

#[test]
fn a_crossing_is_told_once_each_time_it_happens() {
    let clock = MockClock::new();
    let limiter = bucket(5, &clock);
    let (heard, _subscription) = Heard::of(&limiter);

    let _answers = limiter.allow_many(["ann"; 5]);
    assert_eq!(["near ann 4 of 5"], *heard.words());

    clock.advance(Duration::from_secs(1));
    assert!(limiter.allow("ann"));
    assert_eq!(Vec::<String>::new(), heard.words(), "four of five were used before too");

    clock.advance(Duration::from_secs(2));
    assert!(limiter.allow("ann"));
    assert_eq!(["near ann 4 of 5"], *heard.words());
}

#[test]
fn each_observer_has_a_share_of_its_own() {
    let limiter = bucket(10, &MockClock::new());
    let heard = Heard::default();
    for share in [0.07, 0.5, 1.0] {
        limiter.observe_near(share, heard.clone().listener()).unwrap();
    }

    let _answers = limiter.allow_many(["ann"; 10]);

    let told = ["near ann 1 of 10", "near ann 5 of 10", "near ann 10 of 10"];
    assert_eq!(told, *heard.words());
}

#[test]
fn a_share_that_is_none_is_refused_by_name() {
    let limiter = bucket(1, &MockClock::new());
    for share in [0.0, -0.5, 1.01, f64::NAN, f64::INFINITY] {
        let refused = limiter.observe_near(share, |_| ()).unwrap_err();
        assert_eq!("near_limit", refused.parameter(), "{share}");
    }
}

#[test]
fn who_has_left_hears_no_more_and_may_be_dropped_meanwhile() {
    let limiter = bucket(1, &MockClock::new());
    let (heard, subscription) = Heard::of(&limiter);
    let (other, _still) = Heard::of(&limiter);
    let _answers = limiter.allow_many(["ann"; 2]);
    assert!(subscription.is_open());

    subscription.close();
    subscription.close();
    assert!(!limiter.allow("ann"));

    assert!(!subscription.is_open());
    assert_eq!(2, heard.words().len(), "near, refused");
    assert_eq!(3, other.words().len());
}

#[test]
fn a_subscription_ends_with_its_limiter_and_lets_go_of_its_observer() {
    let kept = Arc::new(());
    let held = Arc::clone(&kept);
    let limiter = bucket(1, &MockClock::new());
    let subscription = limiter.observe(move |_| assert_eq!(2, Arc::strong_count(&held)));

    drop(limiter);

    assert!(!subscription.is_open());
    subscription.close();
    assert_eq!(1, Arc::strong_count(&kept));
}

#[test]
fn a_panic_of_an_observer_reaches_neither_the_call_nor_other_observers() {
    let limiter = bucket(1, &MockClock::new());
    let bad = limiter.observe(|_| panic!("this one is for the observer"));
    let (heard, good) = Heard::of(&limiter);

    assert_eq!(vec![true, false], limiter.allow_many(["ann"; 2]));

    assert_eq!(["near ann 1 of 1", "refused ann 1 After(1s)"], *heard.words());
    assert_eq!((2, 0), (bad.panics(), good.panics()));
    assert!(bad.is_open());
}

#[test]
fn an_observer_may_use_the_limiter_and_hears_nothing_of_that() {
    let clock = MockClock::new();
    let limiter = bucket(1, &clock);
    let own = limiter.clone();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let _subscription = limiter.observe(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        assert!(!own.allow("ann"), "the bucket is not locked");
        let added = own.observe(|_| ());
        added.close();
        own.reset("bob");
    });

    assert_eq!(vec![true, false], limiter.allow_many(["ann"; 2]));

    assert_eq!(2, calls.load(Ordering::Relaxed));
}

#[test]
fn an_observer_may_end_its_own_subscription() {
    let limiter = bucket(1, &MockClock::new());
    let own: Arc<Mutex<Option<Subscription>>> = Arc::default();
    let (ended, heard) = (Arc::clone(&own), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&heard);
    let subscription = limiter.observe(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        ended.lock().unwrap().take().unwrap().close();
    });
    *own.lock().unwrap() = Some(subscription);

    let _answers = limiter.allow_many(["ann"; 3]);

    assert_eq!(1, heard.load(Ordering::Relaxed));
}

#[test]
fn an_eviction_in_use_is_told_with_the_key_that_came() {
    let clock = MockClock::new();
    let builder = TokenBucket::builder(2, Rate::per_second(1.0).unwrap());
    let limiter = builder.clock(&clock).max_buckets(1).build().unwrap();
    let _answers = limiter.allow_many(["ann", "bob"]);
    let (heard, _subscription) = Heard::of(&limiter);

    let _answers = limiter.allow_many(["cid", "cid", "dan"]);

    assert_eq!(["evicted cid 1 2", "near cid 2 of 2", "evicted dan 1 3"], *heard.words());
    assert_eq!(3, limiter.evicted_live());
}

#[test]
fn every_thread_s_refusal_is_told_and_a_crossing_once() {
    const THREADS: usize = 4;
    const CALLS: usize = 500;
    let clock = MockClock::new();
    let limiter = bucket(100, &clock);
    let (heard, _subscription) = Heard::of(&limiter);

    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..CALLS).filter(|_| limiter.allow("ann")).count());
        }
    });

    let events = heard.take();
    let is_near = |event: &&Event| matches!(event, Event::NearLimit { .. });
    let near: Vec<_> = events.iter().filter(is_near).map(word).collect();
    assert_eq!(["near ann 80 of 100"], *near);
    let is_refused =
        |event: &&Event| matches!(event, Event::Refused { retry_after: RetryAfter::After(_), .. });
    assert_eq!(THREADS * CALLS - 100, events.iter().filter(is_refused).count());
}
