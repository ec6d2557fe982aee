//! What holds whatever happens while limits change.

use std::time::Duration;

use limitpal::parts::Grant;
use limitpal::{Carry, Limits, RetryAfter};
use proptest::prelude::*;

use super::world::{KEY, Made, World, limits, made};

#[derive(Clone, Debug)]
pub(super) enum Event {
    Pass(u64),
    Take(u64),
    Join {
        cost: u64,
        timeout: Option<u64>,
        fixed: bool,
    },
    Leave(usize),
    Penalise(u64),
    GiveBack(usize),
    Reset,
    /// Of the key or of all.
    Change(bool, Limits, Carry),
    Unconfigure(Carry),
}

fn carry() -> impl Strategy<Value = Carry> {
    prop_oneof![Just(Carry::Proportional), Just(Carry::AsIs), Just(Carry::Reset)]
}

fn steady(fixed: impl Strategy<Value = bool> + 'static) -> BoxedStrategy<Event> {
    let timeout = proptest::option::of(0_u64..400_000);
    let join = (1_u64..4, timeout, fixed).prop_map(|(cost, timeout, fixed)| Event::Join {
        cost,
        timeout,
        fixed,
    });
    prop_oneof![
        3 => (0_u64..60_000).prop_map(Event::Pass),
        3 => (1_u64..4).prop_map(Event::Take),
        5 => join,
        2 => (0_usize..4).prop_map(Event::Leave),
        2 => (0_u64..200_000).prop_map(Event::Penalise),
        1 => (0_usize..4).prop_map(Event::GiveBack),
    ]
    .boxed()
}

fn changing(fixed: impl Strategy<Value = bool> + 'static) -> BoxedStrategy<Event> {
    let most = proptest::option::of(1_u32..8);
    let to = (most, proptest::option::of(1_u64..50)).prop_map(|(most, nanos)| limits(most, nanos));
    prop_oneof![
        12 => steady(fixed),
        1 => Just(Event::Reset),
        3 => (any::<bool>(), to, carry()).prop_map(|(key, to, carry)| Event::Change(key, to, carry)),
        1 => carry().prop_map(Event::Unconfigure),
    ]
    .boxed()
}

fn happen(world: &mut World, taken: &mut Vec<Grant>, event: Event) {
    match event {
        Event::Pass(nanos) => world.pass(nanos),
        Event::Take(cost) => taken.extend(world.take(cost)),
        Event::Join { cost, timeout, fixed } => world.join(cost, timeout, fixed),
        Event::Leave(back) => world.leave(back),
        Event::Penalise(nanos) => world.penalise(nanos),
        Event::Reset => world.reset(),
        Event::Change(key, to, carry) => world.change(key, &to, carry),
        Event::Unconfigure(carry) => world.unconfigure(carry),
        Event::GiveBack(back) => {
            let Some(rank) = taken.len().checked_sub(back + 1) else { return };
            world.limiter.give_back(taken.remove(rank));
            // What was given back may go again: counting starts over.
            world.went.clear();
            world.look();
        }
    }
}

pub(super) fn run(made: Made, events: Vec<Event>) -> World {
    let (mut world, mut taken) = (World::new(made), Vec::new());
    for event in events {
        let changes = matches!(event, Event::Change(..) | Event::Unconfigure(_) | Event::Reset);
        if changes {
            assert_eq!(None, world.broken_bound());
        }
        happen(&mut world, &mut taken, event);
    }
    world.finish();
    assert_eq!(None, world.broken_bound());
    world
}

/// Checks that one is refused up to when it was told, and admitted then.
fn retry_after_is_exact(world: &World, cost: u64) {
    let told = world.limiter.peek(KEY, cost).unwrap().retry_after;
    match told {
        RetryAfter::Now => {}
        RetryAfter::After(wait) => {
            let due = world.now() + wait;
            world.move_to(due.saturating_sub(Duration::from_nanos(1)));
            assert!(!world.limiter.allow(KEY, cost).unwrap());
            world.move_to(due);
        }
        _ => return,
    }
    assert!(world.limiter.peek(KEY, cost).unwrap().allowed);
    assert!(world.limiter.allow(KEY, cost).unwrap(), "at {told:?}");
}

proptest! {
    #![proptest_config(crate::laws::cases(400))]

    #[test]
    fn all_who_wait_go_in_their_order_or_are_turned_away_whatever_changes(
        made in made(),
        events in proptest::collection::vec(changing(Just(false)), 1..60),
    ) {
        run(made, events);
    }

    #[test]
    fn those_who_cannot_be_moved_are_pushed_back_and_go(
        made in made(),
        events in proptest::collection::vec(changing(any::<bool>()), 1..60),
    ) {
        // One who sleeps on past a reset is not counted where it goes.
        let events = events.into_iter().filter(|event| !matches!(event, Event::Reset));
        run(made, events.collect());
    }

    #[test]
    fn when_to_come_back_is_exact_whatever_changed(
        made in made(),
        events in proptest::collection::vec(changing(Just(false)), 1..40),
        last in proptest::option::of(0_u64..200_000),
        cost in 1_u64..4,
    ) {
        let mut world = run(made, events);
        if let Some(nanos) = last {
            world.penalise(nanos);
        }
        retry_after_is_exact(&world, cost);
    }

    #[test]
    fn what_is_given_back_without_a_grant_counts_as_never_taken(
        made in made().prop_filter("a bucket", |made| !made.is_window()),
        events in proptest::collection::vec((steady(Just(false)), proptest::option::of(1_u64..4)), 1..60),
    ) {
        let (mut world, mut taken) = (World::new(made), Vec::new());
        for (event, back) in events {
            if matches!(event, Event::GiveBack(_)) {
                continue;
            }
            happen(&mut world, &mut taken, event);
            if let Some(cost) = back {
                return_some(&mut world, &made, cost);
            }
        }
        world.finish();
        prop_assert_eq!(None, world.broken_bound());
    }
}

/// Gives back, and strikes as many permits off what went last as were missing, at most.
fn return_some(world: &mut World, made: &Made, cost: u64) {
    let before = world.limiter.peek(KEY, 1).unwrap();
    let missing = (before.reset_after.as_nanos() * 7).div_ceil(7_001 * u128::from(made.nanos));
    let behind = u64::try_from(missing).unwrap();
    let mut left = cost.min(behind.saturating_sub(world.waiting()));
    world.limiter.return_some(KEY, cost).unwrap();
    while let Some((_, last)) = world.went.last_mut().filter(|_| left > 0) {
        let struck = left.min(*last);
        (*last, left) = (*last - struck, left - struck);
        if *last == 0 {
            world.went.pop();
        }
    }
    world.look();
    let after = world.limiter.peek(KEY, 1).unwrap();
    assert!(after.remaining <= made.most && after.reset_after <= before.reset_after);
}
