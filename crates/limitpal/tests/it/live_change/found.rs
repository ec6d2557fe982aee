//! Histories that once admitted too many, found by the laws: each is held against the bound.

use std::time::Duration;

use limitpal::parts::Request;
use limitpal::{Carry, Limits, Rate};

use super::laws::{Event, run};
use super::world::{KEY, Kind, Made, World, limits};

fn made(kind: Kind, most: u32, nanos: u64) -> Made {
    Made { kind, most, nanos, per_key: false }
}

fn join(cost: u64, fixed: bool) -> Event {
    Event::Join { cost, timeout: None, fixed }
}

#[test]
fn what_is_given_back_late_is_no_whole_place_before_a_sleeper_that_cannot_be_moved() {
    let events = [
        Event::Take(2),
        join(2, true),
        Event::Pass(1),
        Event::GiveBack(0),
        join(2, false),
        Event::Pass(0),
    ];
    run(made(Kind::Token, 2, 6), events.into());
}

#[test]
fn who_leaves_the_end_of_a_freed_place_gives_back_no_more_than_it_had() {
    let events = [
        Event::Penalise(1),
        join(3, false),
        join(1, true),
        join(3, false),
        Event::Leave(2),
        join(1, true),
        Event::Leave(2),
        join(1, false),
        Event::Leave(0),
    ];
    run(made(Kind::Token, 3, 21), events.into());
}

#[test]
fn nobody_overtakes_one_who_was_put_off_behind_a_sleeper_that_has_left() {
    let rate = Rate::per_second(111_095.240_362_487_9).unwrap();
    let other = Limits::some(Some(5), Some(rate), Some(Duration::from_nanos(36_000)));
    let events = [
        Event::Take(1),
        join(1, true),
        join(2, false),
        join(1, true),
        Event::Change(false, other, Carry::Reset),
        join(1, false),
        Event::Leave(3),
        Event::Leave(1),
        Event::Change(false, limits(Some(1), None), Carry::Proportional),
    ];
    run(made(Kind::Debt(1), 1, 8), events.into());
}

/// It stayed empty: who wants less, and so may owe less, would go there before a permit is there.
#[test]
fn a_place_freed_where_permits_may_be_owed_goes_to_one_who_may_owe_as_much() {
    let mut world = World::new(made(Kind::Debt(2), 3, 1));
    let wait = |world: &World, cost| {
        let request = Request { cost, timeout: None, fixed: false, ticket: None };
        world.limiter.quote(KEY, request).unwrap()
    };
    assert!(world.take(3).is_some());
    let place = wait(&world, 3);
    world.join(3, None, false);
    world.join(1, None, true);
    let behind = (wait(&world, 1), wait(&world, 3));
    assert!(place < behind.1);

    world.leave(1);

    assert_eq!((behind.0, place), (wait(&world, 1), wait(&world, 3)));
    world.join(3, None, false);
    assert_eq!(behind.1, wait(&world, 3));
    world.finish();
    assert_eq!(None, world.broken_bound());
}

/// Two who could owe nothing went in the place of one who could.
#[test]
fn nobody_owes_more_for_going_in_the_place_of_another() {
    let events = [
        Event::Penalise(22_624),
        join(2, false),
        join(2, false),
        Event::Change(false, limits(Some(1), None), Carry::Proportional),
        join(1, false),
        join(1, true),
        Event::Leave(1),
        join(1, false),
        join(1, false),
        Event::Leave(0),
        Event::Leave(0),
        join(1, false),
        Event::Leave(3),
        join(1, false),
        join(1, false),
    ];
    run(made(Kind::Debt(1), 2, 24), events.into());
}

/// It was not woken, since only the first in line was, and slept on past when it was counted.
#[test]
fn who_moves_up_behind_a_sleeper_that_cannot_be_moved_goes_when_it_is_counted() {
    let events = [
        Event::Change(false, limits(Some(1), Some(32)), Carry::Proportional),
        Event::Take(1),
        join(1, false),
        join(1, false),
        Event::Pass(12_379),
        join(1, true),
        join(1, true),
        Event::Change(true, limits(Some(7), Some(10)), Carry::Proportional),
        join(2, false),
        Event::Pass(6_107),
        join(1, false),
        Event::Leave(2),
        Event::Pass(69_529),
        Event::Unconfigure(Carry::Proportional),
    ];
    run(made(Kind::Token, 3, 1), events.into());
}
