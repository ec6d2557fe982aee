//! Those who wait for a permit: in order, woken once, and none lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use limitpal::{ConcurrencyLimiter, ConcurrencyPermit, MockClock, RetryAfter};

use super::{Answer, cost, limiter, now, refused};
use crate::waiters::Bells;

/// Those who wait for one key, and the wakers they have.
pub(super) struct Crowd {
    limiter: ConcurrencyLimiter,
    waits: Vec<Option<Pin<Box<dyn Future<Output = Answer>>>>>,
    pub(super) bells: Bells,
}

impl Crowd {
    /// Lets some wait, as many as there are costs; none of them goes at once.
    pub(super) fn of(limiter: &ConcurrencyLimiter, costs: &[u64]) -> Self {
        let bells = Bells::default();
        let mut crowd = Self { limiter: limiter.clone(), waits: Vec::new(), bells };
        costs.iter().for_each(|cost| crowd.join(*cost, None));
        crowd
    }

    pub(super) fn join(&mut self, of: u64, timeout: Option<Duration>) {
        let limiter = self.limiter.clone();
        self.waits.push(Some(Box::pin(async move {
            match timeout {
                None => limiter.acquire(("k", cost(of))).await,
                Some(timeout) => limiter.acquire_timeout(("k", cost(of)), timeout).await,
            }
        })));
        assert!(self.poll(self.waits.len() - 1).is_none(), "it was let in at once");
    }

    pub(super) fn poll(&mut self, who: usize) -> Option<Answer> {
        let waker = self.bells.waker(who);
        let wait = self.waits[who].as_mut().expect("it still waits");
        match wait.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => {
                self.waits[who] = None;
                Some(answer)
            }
            Poll::Pending => None,
        }
    }

    /// Polls whoever was woken; returns who has a permit now, in order, and the permits.
    pub(super) fn go(&mut self) -> (Vec<usize>, Vec<ConcurrencyPermit>) {
        let (mut who_went, mut permits) = (Vec::new(), Vec::new());
        while let Some(who) = self.bells.next() {
            who_went.push(who);
            permits.push(self.poll(who).expect("it was woken").expect("it was let in"));
        }
        (who_went, permits)
    }

    pub(super) fn leave(&mut self, who: usize) {
        self.waits[who] = None;
    }
}

#[test]
fn they_go_in_the_order_in_which_they_came_each_woken_once() {
    let limiter = limiter(1);
    let mut held = limiter.try_acquire("k").into_iter().collect::<Vec<_>>();
    let mut crowd = Crowd::of(&limiter, &[1; 5]);
    assert_eq!(5, limiter.waiting("k"));

    let mut order = Vec::new();
    while !held.is_empty() {
        drop(held);
        let (went, permits) = crowd.go();
        assert!(permits.len() <= 1 && limiter.in_flight("k") == permits.len() as u32);
        order.extend(went);
        held = permits;
    }

    assert_eq!(vec![0, 1, 2, 3, 4], order);
    assert_eq!(5, crowd.bells.wakes());
    assert!(limiter.is_empty());
}

#[test]
fn nobody_overtakes_one_who_waits() {
    let limiter = limiter(2);
    let (first, second) = (limiter.try_acquire("k"), limiter.try_acquire("k"));
    let mut crowd = Crowd::of(&limiter, &[2]);

    drop(first);
    assert!(limiter.try_acquire("k").is_none(), "past the one who waits for two");
    assert!(now(limiter.acquire("k")).is_none());
    drop(second);

    assert_eq!(vec![0], crowd.go().0);
}

#[test]
fn one_who_asks_for_all_is_not_starved_by_those_who_ask_for_one() {
    let limiter = limiter(3);
    let mut held: Vec<_> = (0..3).filter_map(|_| limiter.try_acquire("k")).collect();
    let mut crowd = Crowd::of(&limiter, &[3, 1, 1]);

    held.pop();
    held.pop();
    assert_eq!(0, crowd.bells.wakes());
    held.pop();
    let (went, permits) = crowd.go();
    assert_eq!(vec![0], went);
    drop(permits);

    assert_eq!(vec![1, 2], crowd.go().0);
}

#[test]
fn a_permit_for_many_lets_in_several_at_once() {
    let limiter = limiter(4);
    let four = limiter.try_acquire(("k", cost(4)));
    let mut crowd = Crowd::of(&limiter, &[1, 2, 2, 1]);

    drop(four);

    let (went, permits) = crowd.go();
    assert_eq!((vec![0, 1], 3), (went, limiter.in_flight("k")));
    drop(permits);
    assert_eq!(vec![2, 3], crowd.go().0);
}

#[test]
fn whoever_leaves_gives_its_place_to_the_next() {
    for leaver in 0..4 {
        let limiter = limiter(1);
        let held = limiter.try_acquire("k");
        let mut crowd = Crowd::of(&limiter, &[1; 4]);

        crowd.leave(leaver);
        assert_eq!((3, 0), (limiter.waiting("k"), crowd.bells.wakes()));
        drop(held);
        let mut order = Vec::new();
        for _ in 0..3 {
            order.extend(crowd.go().0);
        }

        assert_eq!((0..4).filter(|who| *who != leaver).collect::<Vec<_>>(), order);
        assert!(limiter.is_empty());
    }
}

#[test]
fn one_in_the_way_who_leaves_lets_in_those_behind() {
    let limiter = limiter(3);
    let held = limiter.try_acquire(("k", cost(2)));
    let mut crowd = Crowd::of(&limiter, &[2, 1, 1]);

    crowd.leave(0);

    let (went, permits) = crowd.go();
    assert_eq!((vec![1], 3, 1), (went, limiter.in_flight("k"), limiter.waiting("k")));
    drop((permits, held));
    assert_eq!(vec![2], crowd.go().0);
}

#[test]
fn one_who_is_dropped_in_the_moment_it_is_let_in_hands_its_permit_on() {
    let limiter = limiter(1);
    let held = limiter.try_acquire("k");
    let mut crowd = Crowd::of(&limiter, &[1, 1]);

    drop(held);
    assert_eq!((Some(0), 1), (crowd.bells.next(), limiter.in_flight("k")));
    crowd.leave(0);

    assert_eq!(vec![1], crowd.go().0);
    assert!(limiter.is_empty());
}

#[test]
fn a_future_that_was_never_polled_holds_no_place() {
    let limiter = limiter(1);
    let permit = limiter.try_acquire("k");

    let wait = limiter.acquire("k");
    assert_eq!(0, limiter.waiting("k"));
    drop(wait);

    drop(permit);
    assert!(limiter.is_empty());
}

#[test]
fn of_several_wakers_the_last_is_woken() {
    let limiter = limiter(1);
    let held = limiter.try_acquire("k");
    let (first, last) = (Bells::default(), Bells::default());
    let mut wait = Box::pin(limiter.acquire("k"));

    for bells in [&first, &last, &last] {
        let waker = bells.waker(0);
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(held);

    assert_eq!((0, 1), (first.wakes(), last.wakes()));
}

#[test]
fn so_many_may_wait_and_no_more() {
    for most in 0..3 {
        let limiter = ConcurrencyLimiter::builder(1).max_waiting(most).build().unwrap();
        let held = limiter.try_acquire("k");
        let mut crowd = Crowd::of(&limiter, &vec![1; most as usize]);

        let answer = now(limiter.acquire("k")).expect("it does not wait");
        assert_eq!(refused(RetryAfter::Unknown), answer.err());
        let answer = limiter.acquire_timeout_blocking("k", Duration::MAX);
        assert_eq!(refused(RetryAfter::Unknown), answer.err());
        assert!(limiter.try_acquire("another").is_some(), "each key has a line of its own");

        if most > 0 {
            crowd.leave(0);
            assert!(now(limiter.acquire("k")).is_none(), "there is room to wait again");
        }
        drop(held);
    }
}

#[test]
fn a_wait_ends_at_its_timeout_and_not_before() {
    let clock = MockClock::new();
    let limiter = ConcurrencyLimiter::builder(1).clock(&clock).build().unwrap();
    let held = limiter.try_acquire("k");
    let mut crowd = Crowd::of(&limiter, &[1]);
    crowd.join(1, Some(Duration::from_secs(5)));
    crowd.join(1, Some(Duration::from_secs(7)));

    clock.advance(Duration::from_nanos(4_999_999_999));
    assert_eq!((None, 3), (crowd.bells.next(), limiter.waiting("k")));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(Some(1), crowd.bells.next());
    let answer = crowd.poll(1).expect("its time is over");
    assert_eq!(refused(RetryAfter::Unknown), answer.err());
    assert_eq!(2, limiter.waiting("k"));

    drop(held);
    let (went, permits) = crowd.go();
    assert_eq!(vec![0], went);
    drop(permits);
    assert_eq!(vec![2], crowd.go().0);
    assert_eq!(None, clock.next_deadline(), "a timer has outlived its wait");
}

#[test]
fn a_permit_that_is_there_when_the_time_is_over_is_taken() {
    let clock = MockClock::new();
    let limiter = ConcurrencyLimiter::builder(1).clock(&clock).build().unwrap();
    let held = limiter.try_acquire("k");
    let mut crowd = Crowd::of(&limiter, &[]);
    crowd.join(1, Some(Duration::from_secs(5)));

    clock.advance(Duration::from_secs(5));
    drop(held);

    assert!(crowd.poll(0).expect("it was woken").is_ok());
    assert!(limiter.is_empty(), "and came back");
}

#[test]
fn one_in_the_way_whose_time_is_over_lets_in_those_behind() {
    let clock = MockClock::new();
    let limiter = ConcurrencyLimiter::builder(2).clock(&clock).build().unwrap();
    let _held = limiter.try_acquire("k");
    let mut crowd = Crowd::of(&limiter, &[]);
    crowd.join(2, Some(Duration::from_secs(1)));
    crowd.join(1, None);

    clock.advance(Duration::from_secs(1));
    assert_eq!(Some(0), crowd.bells.next());
    assert!(crowd.poll(0).expect("its time is over").is_err());

    assert_eq!(vec![1], crowd.go().0);
}

/// A waker that asks the limiter everything, when it is woken and when it is dropped.
struct Meddler(ConcurrencyLimiter);

impl Meddler {
    fn meddle(&self) {
        let Self(limiter) = self;
        let _ =
            (limiter.in_flight("k"), limiter.waiting("k"), limiter.len(), limiter.contains("k"));
        let _ = (limiter.try_acquire("k"), now(limiter.acquire("k")), limiter.set_limit(1));
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.meddle();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.meddle();
    }
}

#[test]
fn a_waker_may_use_the_limiter_when_it_is_woken_and_when_it_is_dropped() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let limiter = limiter(1);
        let held = limiter.try_acquire("k");
        let meddler = || Waker::from(Arc::new(Meddler(limiter.clone())));
        let mut waits: Vec<_> = (0..3).map(|_| Box::pin(limiter.acquire("k"))).collect();
        for wait in &mut waits {
            // The second poll replaces the first one's waker, and drops it.
            for _ in 0..2 {
                assert!(wait.as_mut().poll(&mut Context::from_waker(&meddler())).is_pending());
            }
        }
        drop(waits.pop());
        drop(held);
        waits.into_iter().rev().for_each(drop);
        done.send(limiter.is_empty()).unwrap();
    });

    // Only a thread that waits for itself takes so long.
    assert_eq!(Ok(true), finished.recv_timeout(Duration::from_secs(20)));
}
