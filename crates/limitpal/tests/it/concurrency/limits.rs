//! A limit that changes while permits are out and others wait.

use limitpal::RetryAfter;

use super::waiting::Crowd;
use super::{cost, limiter, refused};

#[test]
fn a_higher_limit_lets_in_more_at_once() {
    let limiter = limiter(2);
    let held = limiter.try_acquire(("k", cost(2)));
    let other = limiter.try_acquire("other");
    let mut crowd = Crowd::of(&limiter, &[1, 1, 2]);

    limiter.set_limit(4).unwrap();

    let (went, permits) = crowd.go();
    assert_eq!((vec![0, 1], 4, 4), (went, limiter.in_flight("k"), limiter.limit()));
    drop((permits, held, other));
    assert_eq!(vec![2], crowd.go().0);
    assert!(limiter.is_empty());
}

#[test]
fn with_a_lower_limit_nobody_is_put_out_and_nobody_let_in_until_there_is_room() {
    let limiter = limiter(3);
    let mut held: Vec<_> = (0..3).filter_map(|_| limiter.try_acquire("k")).collect();
    let mut crowd = Crowd::of(&limiter, &[1]);

    limiter.set_limit(1).unwrap();
    assert_eq!(3, limiter.in_flight("k"));
    held.pop();
    held.pop();
    assert_eq!((0, 1), (crowd.bells.wakes(), limiter.in_flight("k")));
    held.pop();

    assert_eq!(vec![0], crowd.go().0);
    assert!(limiter.try_acquire(("k", cost(2))).is_none());
}

#[test]
fn whoever_waits_for_more_than_the_limit_has_become_is_refused_and_not_in_the_way() {
    let limiter = limiter(3);
    let held = limiter.try_acquire("k");
    let mut crowd = Crowd::of(&limiter, &[3, 2, 1, 3]);

    limiter.set_limit(2).unwrap();

    for who in [0, 3] {
        assert_eq!(Some(who), crowd.bells.next());
        let answer = crowd.poll(who).expect("it was told");
        assert_eq!(refused(RetryAfter::Never), answer.err());
    }
    assert_eq!((2, 1), (limiter.waiting("k"), limiter.in_flight("k")));
    drop(held);
    let (went, permits) = crowd.go();
    assert_eq!(vec![1], went);
    drop(permits);
    assert_eq!(vec![2], crowd.go().0);
    assert!(limiter.is_empty());
}

#[test]
fn one_who_is_refused_by_a_lower_limit_and_dropped_unasked_takes_nothing_along() {
    let limiter = limiter(2);
    let held = limiter.try_acquire("k");
    let mut crowd = Crowd::of(&limiter, &[2, 2]);

    limiter.set_limit(1).unwrap();
    crowd.leave(0);
    drop(held);
    assert!(limiter.is_empty());
    let permit = limiter.try_acquire("k");

    let answer = crowd.poll(1).expect("it was told");
    assert_eq!(refused(RetryAfter::Never), answer.err());
    assert_eq!(1, limiter.in_flight("k"));
    drop(permit);
    assert!(limiter.is_empty());
}
