//! Whatever the tries do: who wins, what is left behind, and how much load there is.

use proptest::prelude::*;

use super::*;
use crate::laws::cases;

/// What a try does, in milliseconds: fails for good, fails, or gives its own number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Value,
    Failure,
    Final,
}

fn tries() -> impl Strategy<Value = Vec<(u64, End)>> {
    let end = prop_oneof![3 => Just(End::Value), 3 => Just(End::Failure), 1 => Just(End::Final)];
    prop::collection::vec((0_u64..60, end), 4)
}

const NAMES: [&str; 4] = ["0", "1", "2", "3"];

fn answer(number: usize, end: End) -> Result<&'static str, &'static str> {
    match end {
        End::Value => Ok(NAMES[number]),
        End::Failure => Err(NAMES[number]),
        End::Final => Err("final"),
    }
}

/// Works out what happens, instant by instant: when each try begins, when the attempt ends, how.
fn expected(
    tries: &[(u64, End)],
    delay: u64,
    most: usize,
) -> (Vec<i64>, u64, Result<&'static str, &'static str>) {
    let mut began = vec![0];
    let mut failed: Vec<usize> = Vec::new();
    for now in 0.. {
        loop {
            for number in 0..began.len() {
                let (after, end) = tries[number];
                if failed.contains(&number) || began[number] as u64 + after > now {
                    continue;
                }
                if end != End::Failure {
                    return (began, now, answer(number, end));
                }
                failed.push(number);
                if failed.len() == began.len() {
                    let earliest = *failed.iter().min().unwrap();
                    return (began, now, answer(earliest, End::Failure));
                }
            }
            let due = *began.last().unwrap() as u64 + delay;
            if began.len() > most || due > now {
                break;
            }
            began.push(now as i64);
        }
    }
    unreachable!()
}

proptest! {
    #![proptest_config(cases(300))]

    /// The outcome is the one that a walk through time, millisecond by millisecond, gives.
    #[test]
    fn an_attempt_ends_as_a_plain_walk_through_time_says(
        tries in tries(), delay in 0_u64..40, most in 1_usize..4,
    ) {
        let clock = MockClock::new();
        let policy = RetryPolicy::builder().retry_if(|error: &&str| *error != "final");
        let hedge = after(MS * delay as u32).max_hedges(most as u32);
        let builder = hedged(&clock, hedge).retry_policy(policy.max_attempts(1).build().unwrap());
        let executor = builder.build().unwrap();
        let lines: Vec<_> = (0..4)
            .map(|number| (MS * tries[number].0 as u32, answer(number, tries[number].1)))
            .collect();
        let service = Service::new(&clock, lines);

        let got = drive(&clock, executor.run("api", || service.call()));

        let (began, ended, end) = expected(&tries, delay, most);
        let got = got.map_err(|error| match error {
            RunError::RetryExhausted(end) => end.last_error,
            RunError::Failed(error) => error,
            other => panic!("{other:?}"),
        });
        prop_assert_eq!(end, got);
        prop_assert_eq!(&began, &service.began());
        prop_assert_eq!(ended as i64, clock.now().as_nanos() / 1_000_000);
        prop_assert_eq!(0, service.under_way.get());
        prop_assert_eq!(None, clock.next_deadline());
        let stats = executor.stats();
        prop_assert_eq!(began.len() as u64, stats.attempts);
        prop_assert_eq!(stats.attempts, stats.firsts + stats.retries + stats.hedges);
        let won = got.is_ok_and(|name| name != "0");
        prop_assert_eq!(u64::from(won), stats.hedge_wins);
    }

    /// Dropped at any instant, a run leaves no try, no timer and no permit, and is counted.
    #[test]
    fn a_run_that_is_dropped_leaves_nothing_behind(
        tries in tries(), delay in 0_u64..40, most in 1_usize..4, dropped in 0_u64..100,
    ) {
        let clock = MockClock::new();
        let limiter = ConcurrencyLimiter::builder(9).build().unwrap();
        let hedge = after(MS * delay as u32).max_hedges(most as u32);
        let executor = hedged(&clock, hedge)
            .limiter(limiter.clone())
            .charge(Charge::Attempt)
            .retry_policy(RetryPolicy::builder().base_delay(10 * MS).build().unwrap())
            .build()
            .unwrap();
        let lines: Vec<_> = (0..4)
            .map(|number| (MS * tries[number].0 as u32, answer(number, tries[number].1)))
            .collect();
        let service = Service::new(&clock, lines);
        {
            let mut run = pin!(executor.run("api", || service.call()));
            let end = Instant::ZERO + MS * dropped as u32;
            while run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                let next = clock.next_deadline().unwrap();
                if clock.now() + next > end {
                    break;
                }
                clock.advance(next);
            }
        }

        prop_assert_eq!(0, service.under_way.get());
        prop_assert_eq!(0, limiter.in_flight("api"));
        prop_assert_eq!(None, clock.next_deadline());
        let stats = executor.stats();
        prop_assert_eq!(service.began().len() as u64, stats.attempts);
        prop_assert_eq!(1, stats.calls);
    }

    /// At a total outage, everything slow, attempts never exceed `(1 + ratio) * calls` and the
    /// reserve of the budget, hedges and retries together; nor hedges those of their own cap.
    #[test]
    fn with_hedges_attempts_stay_within_the_budget(
        ratio in 0.0..=1.0_f64,
        floor in 0.0..2.0_f64,
        load in 0.0..=1.0_f64,
        attempts in 1_u32..4,
        most in 1_u32..4,
        calls in 1_u32..60,
    ) {
        let (clock, still) = (MockClock::new(), MockClock::new());
        let budget = RetryBudget::builder().ratio(ratio).minimum_per_second(floor);
        let budget = budget.clock(still.clone()).build().unwrap();
        let policy = RetryPolicy::builder().max_attempts(attempts).base_delay(MS);
        let hedge = after(10 * MS).max_hedges(most).max_extra_load(load);
        let hedge = hedge.minimum_per_second(0.001).window(Duration::from_secs(3000));
        let executor = hedged(&clock, hedge)
            .retry_policy(policy.build().unwrap())
            .retry_budget(budget)
            .build()
            .unwrap();
        let service = Service::new(&clock, [err(100 * MS, "down")]);

        for call in 1..=calls {
            let _ = drive(&clock, executor.run("api", || service.call()));
            let stats = executor.stats();
            prop_assert_eq!(service.began().len() as u64, stats.attempts);
            let bound = (1.0 + ratio) * f64::from(call) + floor * 10.0;
            prop_assert!(stats.attempts as f64 <= bound + 1e-9, "{stats:?}");
            prop_assert!(stats.hedges as f64 <= load * f64::from(call) + 3.0 + 1e-9, "{stats:?}");
        }
    }
}
