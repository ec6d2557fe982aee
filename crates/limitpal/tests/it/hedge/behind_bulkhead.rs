//! Hedges behind a bulkhead: a permit for each run, or for each try.

use limitpal::Bulkhead;
use proptest::prelude::*;

use super::*;
use crate::laws::cases;

/// An executor that hedges after 100 ms, and a bulkhead for so many.
fn guarded(
    clock: &MockClock,
    limit: u32,
    charge: Charge,
) -> (Bulkhead, ResilientExecutor<&'static str>) {
    let bulkhead = Bulkhead::builder(limit).clock(clock).build().unwrap();
    let executor = hedged(clock, after(100 * MS)).bulkhead(bulkhead.clone()).charge(charge);
    (bulkhead, executor.build().unwrap())
}

/// The first try takes 900 ms, its hedge so long.
fn slow_then(clock: &MockClock, hedge: Line<&'static str>) -> Service<&'static str> {
    Service::new(clock, [ok(900 * MS), hedge])
}

/// Says how many are inside after each of these steps in time, and whether the run has ended.
fn inside(
    clock: &MockClock,
    bulkhead: &Bulkhead,
    run: impl Future<Output = Result<&'static str, RunError<&'static str>>>,
    steps: &[Duration],
) -> (Vec<u32>, bool) {
    let mut run = pin!(run);
    let mut has_ended = false;
    let seen = steps.iter().map(|step| {
        clock.advance(*step);
        let context = &mut Context::from_waker(Waker::noop());
        has_ended = has_ended || run.as_mut().poll(context).is_ready();
        bulkhead.in_flight()
    });
    (seen.collect(), has_ended)
}

#[test]
fn by_runs_all_tries_together_hold_one_permit() {
    let clock = MockClock::new();
    let (bulkhead, executor) = guarded(&clock, 1, Charge::Call);
    let service = slow_then(&clock, ok(50 * MS));

    let run = executor.run("api", || service.call());
    let seen = inside(&clock, &bulkhead, run, &[Duration::ZERO, 100 * MS, 50 * MS]);

    assert_eq!((vec![1, 1, 0], true), seen);
    assert_eq!((vec![0, 100], 1), (service.began(), executor.stats().hedge_wins));
}

#[test]
fn by_attempts_each_try_holds_its_own_and_the_loser_gives_it_back() {
    let clock = MockClock::new();
    let (bulkhead, executor) = guarded(&clock, 2, Charge::Attempt);
    let service = slow_then(&clock, ok(50 * MS));

    let run = executor.run("api", || service.call());
    let seen = inside(&clock, &bulkhead, run, &[Duration::ZERO, 100 * MS, 50 * MS]);

    assert_eq!((vec![1, 2, 0], true), seen, "the first try has lost, and is gone");
    assert_eq!(1, executor.stats().hedge_wins);
}

#[test]
fn a_hedge_that_fails_gives_its_permit_back_while_the_first_try_goes_on() {
    let clock = MockClock::new();
    let (bulkhead, executor) = guarded(&clock, 2, Charge::Attempt);
    let service = slow_then(&clock, err(50 * MS, "down"));

    let run = executor.run("api", || service.call());
    let seen = inside(&clock, &bulkhead, run, &[Duration::ZERO, 100 * MS, 50 * MS, 750 * MS]);

    assert_eq!((vec![1, 2, 1, 0], true), seen);
    assert_eq!((1, 0), (executor.stats().successes, executor.stats().hedge_wins));
}

#[test]
fn by_attempts_there_is_no_hedge_without_a_place_and_that_is_no_refusal() {
    let clock = MockClock::new();
    let (bulkhead, executor) = guarded(&clock, 1, Charge::Attempt);
    let service = slow_then(&clock, ok(50 * MS));

    let run = executor.run("api", || service.call());
    let seen = inside(&clock, &bulkhead, run, &[Duration::ZERO, 100 * MS, 800 * MS]);

    assert_eq!((vec![1, 1, 0], true), seen);
    let stats = executor.stats();
    assert_eq!((vec![0], 0), (service.began(), stats.hedges));
    assert_eq!((1, 0, 0), (stats.successes, stats.refusals(), stats.stopped_by_bulkhead));
}

#[test]
fn a_hedge_does_not_overtake_those_who_wait_for_a_place() {
    let clock = MockClock::new();
    let bulkhead = Bulkhead::builder(2).max_waiting(1).clock(&clock).build().unwrap();
    let executor = hedged(&clock, after(100 * MS)).bulkhead(bulkhead.clone());
    let executor = executor.charge(Charge::Attempt).build().unwrap();
    let service = slow_then(&clock, ok(50 * MS));
    let mut run = pin!(executor.run("api", || service.call()));
    let context = &mut Context::from_waker(Waker::noop());
    assert!(run.as_mut().poll(context).is_pending());
    let other = bulkhead.try_acquire().unwrap();
    let mut waits = pin!(bulkhead.acquire());
    assert!(waits.as_mut().poll(context).is_pending());

    drop(other);
    clock.advance(100 * MS);
    assert!(run.as_mut().poll(context).is_pending());

    assert_eq!((vec![0], 2), (service.began(), bulkhead.in_flight()));
    assert!(matches!(waits.as_mut().poll(context), Poll::Ready(Ok(_))), "it came first");
}

proptest! {
    #![proptest_config(cases(300))]

    /// Whatever the tries do and whenever the run is dropped, no permit is lost, and there are
    /// never more tries at a time than permits.
    #[test]
    fn permits_are_whole_whatever_the_tries_do(
        lasts in prop::collection::vec((0_u64..60, any::<bool>()), 4),
        limit in 1_u32..4,
        most in 1_u32..4,
        by_attempts in any::<bool>(),
        dropped in 0_u64..150,
    ) {
        let clock = MockClock::new();
        let bulkhead = Bulkhead::builder(limit).clock(&clock).build().unwrap();
        let charge = if by_attempts { Charge::Attempt } else { Charge::Call };
        let executor = hedged(&clock, after(10 * MS).max_hedges(most))
            .bulkhead(bulkhead.clone())
            .charge(charge)
            .build()
            .unwrap();
        let lines: Vec<_> = lasts
            .iter()
            .map(|(millis, fails)| {
                let span = MS * *millis as u32;
                if *fails { err(span, "down") } else { ok(span) }
            })
            .collect();
        let service = Service::new(&clock, lines);
        {
            let mut run = pin!(executor.run("api", || service.call()));
            let mut left = dropped;
            while run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                let tries = service.under_way.get() as u32;
                // The attempt's own permit lasts as long as the attempt, and not as its first try.
                let gone = clock.now() >= Instant::ZERO + MS * lasts[0].0 as u32;
                let permits = if by_attempts { tries + u32::from(gone) } else { 1 };
                prop_assert_eq!(permits, bulkhead.in_flight());
                if left == 0 {
                    break;
                }
                left -= 1;
                clock.advance(MS);
            }
        }

        prop_assert_eq!((0, 0), (service.under_way.get(), bulkhead.in_flight()));
        prop_assert_eq!(service.began().len() as u64, executor.stats().attempts);
        prop_assert_eq!(Ok("value"), executor.run_blocking("api", || Ok("value")));
    }
}
