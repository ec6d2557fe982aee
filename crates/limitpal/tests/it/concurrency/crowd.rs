//! A hundred thousand who wait for one key: in order, woken once each, and none lost.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::limiter;
use crate::waiters::Bells;

const MANY: usize = 100_000;

#[test]
fn of_a_hundred_thousand_three_in_ten_leave_and_the_others_go_in_order() {
    let limiter = limiter(10);
    let mut held: Vec<_> = (0..10).filter_map(|_| limiter.try_acquire("k")).collect();
    let bells = Bells::default();
    let mut waits: Vec<_> = (0..MANY).map(|_| Some(Box::pin(limiter.acquire("k")))).collect();
    let poll = |wait: Pin<&mut _>, who| {
        let wait: Pin<&mut dyn Future<Output = super::Answer>> = wait;
        wait.poll(&mut Context::from_waker(&bells.waker(who)))
    };
    for (who, wait) in waits.iter_mut().enumerate() {
        assert!(poll(wait.as_mut().expect("it is there").as_mut(), who).is_pending());
    }

    let mut random = fastrand::Rng::with_seed(11);
    let (mut order, mut left) = (Vec::new(), 0);
    while let Some(permit) = held.pop() {
        drop(permit);
        let leaver = random.usize(..MANY);
        if left < MANY * 3 / 10 && waits[leaver].take().is_some() {
            left += 1;
        }
        while let Some(who) = bells.next() {
            let Some(mut wait) = waits[who].take() else { continue };
            let Poll::Ready(Ok(permit)) = poll(wait.as_mut(), who) else {
                panic!("{who} was woken for nothing");
            };
            held.push(permit);
            order.push(who);
        }
        assert!(limiter.in_flight("k") <= 10);
    }

    assert!(left > MANY / 5, "only {left} left");
    assert_eq!(MANY, order.len() + left);
    assert!(order.is_sorted());
    assert!(bells.wakes() as usize <= MANY);
    assert!(limiter.is_empty());
}
