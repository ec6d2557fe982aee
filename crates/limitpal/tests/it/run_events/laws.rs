//! For all scripts: at every event what is counted adds up, and is what was told so far.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    Bulkhead, Charge, CircuitBreaker, Clock, Event, ExecutorStats, Hedge, MockClock, Rate,
    ResilientExecutor, RetryBudget, RetryPolicy, RunEnd, RunError, TokenBucket,
};
use proptest::prelude::*;

use crate::executor_stats::adds_up;
use crate::laws::cases;

/// What the function does when it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Value,
    /// A value, after a while.
    Late,
    /// An error that deserves another attempt.
    Slow,
    Wrong,
    Panic,
    /// Never ends, if it is awaited.
    Hang,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[derive(Clone, Debug)]
enum Act {
    Start { awaits: bool, lines: [Line; 4] },
    Pass(u64),
    Drop(prop::sample::Index),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let line = || {
        prop_oneof![
            4 => Just(Line::Value), 3 => Just(Line::Late), 4 => Just(Line::Slow),
            1 => Just(Line::Wrong), 1 => Just(Line::Panic), 1 => Just(Line::Hang),
        ]
    };
    let lines = [line(), line(), line(), line()];
    let act = prop_oneof![
        5 => (any::<bool>(), lines).prop_map(|(awaits, lines)| Act::Start { awaits, lines }),
        4 => (0_u64..1500).prop_map(Act::Pass),
        1 => any::<prop::sample::Index>().prop_map(Act::Drop),
    ];
    proptest::collection::vec(act, 1..40)
}

/// What was told of the runs so far.
#[derive(Default)]
struct Told {
    /// Of each run under way: attempts that have begun, whether one is, and hedges.
    under_way: BTreeMap<u64, (u32, bool, u64)>,
    calls: u64,
    ended: BTreeMap<&'static str, u64>,
    attempts: u64,
    firsts: u64,
    hedges: u64,
    /// What does not hold.
    wrong: Vec<String>,
}

impl Told {
    fn hear(&mut self, event: &Event, stats: &ExecutorStats) {
        let is_right = match event {
            Event::RunBegan { run, .. } => {
                self.calls += 1;
                self.under_way.insert(*run, (0, false, 0)).is_none() && *run == self.calls
            }
            Event::RunEnded { run, end, attempts, .. } => {
                *self.ended.entry(end.as_str()).or_default() += 1;
                self.attempts += u64::from(*attempts);
                self.firsts += u64::from(*attempts > 0);
                let was = self.under_way.remove(run);
                self.hedges += was.map_or(0, |(.., hedges)| hedges);
                was.is_some_and(|(begun, ..)| begun == *attempts)
                    && self.hedges <= stats.hedges
                    && (self.attempts, self.firsts) == (stats.firsts + stats.retries, stats.firsts)
            }
            Event::AttemptBegan { run, attempt, .. } => {
                self.under_way.get_mut(run).is_some_and(|(begun, is_in, _)| {
                    *begun += 1;
                    *begun == *attempt && !std::mem::replace(is_in, true)
                })
            }
            Event::AttemptFailed { run, attempt, words, .. } => {
                self.under_way.get_mut(run).is_some_and(|(begun, is_in, _)| {
                    *begun == *attempt && std::mem::take(is_in) && !words.is_empty()
                })
            }
            Event::RetryPlanned { run, attempt, .. } => self
                .under_way
                .get(run)
                .is_some_and(|(begun, is_in, _)| begun + 1 == *attempt && !is_in),
            Event::HedgeStarted { run, attempt, .. } => {
                self.under_way.get_mut(run).is_some_and(|(begun, is_in, hedges)| {
                    *hedges += 1;
                    *begun == *attempt && *is_in
                })
            }
            _ => false,
        };
        let in_flight = self.under_way.len() as u64;
        let ended = |end: RunEnd| self.ended.get(end.as_str()).copied().unwrap_or_default();
        let counts = [
            (stats.calls, self.calls),
            (stats.in_flight, in_flight),
            (stats.successes, ended(RunEnd::Success)),
            (stats.cancelled, ended(RunEnd::Cancelled)),
            (stats.refused_by_limiter, ended(RunEnd::RefusedByLimiter)),
            (stats.refused_by_breaker, ended(RunEnd::RefusedByBreaker)),
            (stats.refused_by_bulkhead, ended(RunEnd::RefusedByBulkhead)),
            (stats.refused_by_timeout, ended(RunEnd::RefusedByTimeout)),
            (stats.timed_out, ended(RunEnd::TimedOut)),
        ];
        if !is_right || !adds_up(stats) || counts.iter().any(|(one, other)| one != other) {
            self.wrong.push(format!("{event:?}: {counts:?} of {stats:?}"));
        }
    }
}

type Run = Pin<Box<dyn Future<Output = Result<(), RunError<Line>>>>>;

/// An executor, those of its runs that are under way, and what was told of them.
struct World {
    clock: MockClock,
    executor: ResilientExecutor<Line>,
    runs: Vec<Run>,
    told: Arc<Mutex<Told>>,
}

#[derive(Clone, Copy, Debug)]
struct Parts {
    attempts: bool,
    limited: bool,
    broken: bool,
    retried: bool,
    guarded: bool,
    hedged: bool,
    timed: bool,
    capped: bool,
}

fn executor(clock: &MockClock, parts: Parts) -> ResilientExecutor<Line> {
    let millis = Duration::from_millis;
    let charge = if parts.attempts { Charge::Attempt } else { Charge::Call };
    let mut builder = ResilientExecutor::builder().clock(clock).charge(charge);
    if parts.limited {
        let bucket = TokenBucket::builder(3, Rate::per_second(1.0).unwrap()).clock(clock);
        builder = builder.limiter(bucket.build().unwrap()).acquire_timeout(millis(500));
    }
    if parts.broken {
        let breaker = CircuitBreaker::builder().failure_threshold(2).clock(clock);
        builder = builder.circuit_breaker(breaker.build().unwrap());
    }
    if parts.retried {
        let policy = RetryPolicy::builder().retry_if(|line| *line == Line::Slow);
        builder = builder.retry_policy(policy.build().unwrap());
    }
    if parts.guarded {
        builder = builder.bulkhead(Bulkhead::builder(2).clock(clock).build().unwrap());
    }
    if parts.hedged {
        builder = builder.hedge(Hedge::builder().delay(millis(200)).build().unwrap());
    }
    if parts.timed {
        builder = builder.timeout(millis(2000)).attempt_timeout(millis(900));
    }
    if parts.capped {
        let budget = RetryBudget::builder().clock(clock).build().unwrap();
        builder = builder.retry_budget(budget);
    }
    builder.build().unwrap()
}

impl World {
    fn new(parts: Parts) -> Self {
        let clock = MockClock::new();
        let executor = executor(&clock, parts);
        let told = Arc::new(Mutex::new(Told::default()));
        let (own, heard) = (executor.clone(), Arc::clone(&told));
        let _subscription = executor.observe(move |event| {
            heard.lock().unwrap().hear(event, &own.stats());
        });
        Self { clock, executor, runs: Vec::new(), told }
    }

    fn start(&mut self, awaits: bool, lines: [Line; 4]) {
        let (executor, clock) = (self.executor.clone(), self.clock.clone());
        let mut script = lines.into_iter();
        let mut next = move || match script.next() {
            Some(Line::Panic) => panic!("as told"),
            line => line.unwrap_or(Line::Value),
        };
        let late = Duration::from_millis(700);
        if awaits {
            let answer = move |line, clock: MockClock| async move {
                match line {
                    Line::Value => Ok(()),
                    Line::Late => {
                        clock.sleep(late).await;
                        Ok(())
                    }
                    Line::Hang => pending().await,
                    line => Err(line),
                }
            };
            let run = async move { executor.run("key", || answer(next(), clock.clone())).await };
            self.runs.push(Box::pin(run));
        } else {
            let run = || {
                executor.run_blocking("key", || match next() {
                    Line::Value | Line::Hang => Ok(()),
                    Line::Late => {
                        clock.sleep_blocking(late);
                        Ok(())
                    }
                    line => Err(line),
                })
            };
            drop(catch_unwind(AssertUnwindSafe(run)));
        }
    }

    /// Polls each run that is under way, in turn.
    fn poll(&mut self) {
        self.runs.retain_mut(|run| {
            let poll = || run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            matches!(catch_unwind(AssertUnwindSafe(poll)), Ok(Poll::Pending))
        });
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn at_every_event_what_is_counted_adds_up(
        parts in any::<[bool; 8]>(),
        acts in acts(),
    ) {
        let [attempts, limited, broken, retried, guarded, hedged, timed, capped] = parts;
        let parts =
            Parts { attempts, limited, broken, retried, guarded, hedged, timed, capped };
        let mut world = World::new(parts);

        for act in acts {
            match act {
                Act::Start { awaits, lines } => world.start(awaits, lines),
                Act::Pass(millis) => world.clock.advance(Duration::from_millis(millis)),
                Act::Drop(which) if !world.runs.is_empty() => {
                    let gone = world.runs.swap_remove(which.index(world.runs.len()));
                    drop(gone);
                }
                Act::Drop(_) => {}
            }
            world.poll();
        }
        world.runs.clear();

        let (stats, told) = (world.executor.stats(), world.told.lock().unwrap());
        prop_assert!(told.wrong.is_empty(), "{:#?}", told.wrong);
        prop_assert!(told.under_way.is_empty() && stats.in_flight == 0 && adds_up(&stats));
        prop_assert_eq!((told.calls, told.hedges), (stats.calls, stats.hedges));
        let failures = stats.failures - stats.timed_out;
        let failed = ["failed", "exhausted"].map(|end| told.ended.get(end).copied().unwrap_or(0));
        prop_assert_eq!(failures, failed.iter().sum::<u64>());
    }
}
