//! Lets callers come: random ones until the outage is over, and then calls at the full rate.

use std::rc::Rc;
use std::time::Duration;

use limitpal::{Clock, Instant, MockClock};
use proptest::prelude::*;

use super::world::{Answer, Arrival, Options, SPACING, World, at};
use super::{Stage, bound};
use crate::conformance::tasks::Tasks;

/// How many calls at the full rate there are once all has to be well.
const STEADY: u32 = 12;
/// How long others are inside of the bulkhead.
const VISIT: Duration = Duration::from_millis(30);

/// Returns who comes when.
fn arrivals(world: &World, options: &Options) -> Vec<(Instant, Arrival)> {
    let over = world.service.down.end;
    let mut now = Instant::ZERO;
    let mut all = Vec::new();
    for arrival in &options.arrivals {
        now = now + Duration::from_millis(arrival.pause);
        if now < over {
            all.push((now, arrival.clone()));
        }
    }
    let well = over + bound(world.pair);
    let spacing = Duration::from_millis(SPACING);
    let (mut now, mut is_crowded) = (over, true);
    while now < well + spacing * STEADY {
        // Until all has to be well every other caller may find the bulkhead full, a probe too.
        is_crowded = !is_crowded && now + 2 * spacing < well;
        all.push((now, Arrival { pause: SPACING, lasts: 10, leaves: None, is_crowded }));
        now = now + spacing;
    }
    all
}

enum Event {
    Comes(usize, Duration),
    Leaves(usize),
    Crowd,
}

fn events(arrivals: &[(Instant, Arrival)]) -> Vec<(Instant, Event)> {
    let mut events = Vec::new();
    for (by, (comes, arrival)) in arrivals.iter().enumerate() {
        if arrival.is_crowded {
            events.push((*comes, Event::Crowd));
        }
        events.push((*comes, Event::Comes(by, Duration::from_millis(arrival.lasts))));
        if let Some(leaves) = arrival.leaves {
            events.push((*comes + Duration::from_millis(leaves), Event::Leaves(by)));
        }
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// Keeps what a run came to.
fn note(world: &World, clock: &MockClock, name: &str, answer: Option<Answer>) {
    if let Some(answer) = answer {
        let by: usize = name.parse().unwrap();
        world.answers.borrow_mut()[by].1 = Some((clock.now(), answer));
    }
}

/// Tasks on the mock clock, some of which are dropped.
pub(super) fn awaited(world: World, options: &Options) -> Result<World, TestCaseError> {
    let world = Rc::new(world);
    let clock = world.clock.clone();
    let arrivals = arrivals(&world, options);
    let events = events(&arrivals);
    let mut tasks: Tasks<Option<Answer>> = Tasks::new();
    world.answers.borrow_mut().extend(arrivals.iter().map(|(comes, _)| (*comes, None)));
    let mut ended = |name: &str, answer| note(&world, &clock, name, answer);
    for (when, event) in events {
        tasks.pass(&clock, when, &mut ended);
        world.is_sound()?;
        match event {
            Event::Comes(by, lasts) => {
                let run = Rc::clone(&world).run(by, lasts);
                tasks.spawn(&by.to_string(), async move { Some(run.await) });
                tasks.settle(&mut ended);
            }
            Event::Leaves(by) => {
                world.service.is_left.set(true);
                if tasks.cancel(&by.to_string()) {
                    world.left.set(world.left.get() + 1);
                }
                world.service.is_left.set(false);
            }
            Event::Crowd if world.has(Stage::Bulkhead) => {
                let inside: Vec<_> = std::iter::from_fn(|| world.bulkhead.try_acquire()).collect();
                let sleep = clock.sleep(VISIT);
                tasks.spawn("others", async move {
                    sleep.await;
                    drop(inside);
                    None
                });
            }
            Event::Crowd => {}
        }
    }
    tasks.pass(&clock, clock.now() + Duration::from_secs(5), &mut ended);
    prop_assert!(tasks.unfinished().is_empty(), "{:?} have not ended", tasks.unfinished());
    drop(tasks);
    world.is_sound()?;
    Ok(Rc::into_inner(world).expect("all runs have ended"))
}

/// One run after the other, each as soon as it may.
pub(super) fn blocking(world: World, options: &Options) -> Result<World, TestCaseError> {
    let arrivals = arrivals(&world, options);
    for (by, (comes, arrival)) in arrivals.iter().enumerate() {
        world.clock.advance(comes.saturating_duration_since(world.clock.now()));
        let comes = world.clock.now();
        let crowd = std::iter::from_fn(|| world.bulkhead.try_acquire());
        // The outage may have held this one up until all has to be well.
        let is_crowded = arrival.is_crowded && comes < world.service.down.end + bound(world.pair);
        let inside: Vec<_> = crowd.take(if is_crowded { 9 } else { 0 }).collect();

        let answer = world.run_blocking(by, Duration::from_millis(arrival.lasts));

        drop(inside);
        world.answers.borrow_mut().push((comes, Some((world.clock.now(), answer))));
        world.is_sound()?;
    }
    world.clock.advance(at(5000).saturating_duration_since(Instant::ZERO));
    Ok(world)
}
