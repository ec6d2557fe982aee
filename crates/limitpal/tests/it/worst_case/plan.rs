//! How an adversary asks: when, for how much, by which calls; and what it is given.

use std::time::Duration;

use fastrand::Rng;
use limitpal::{AnyLimiter, Cost, MockClock};

use crate::conformance::tasks::Tasks;
use crate::models::span;

/// The most moves in a plan.
const MOVES: usize = 12;

/// What is worth trying in a window that admits so much.
pub(super) struct Scale {
    window: i64,
    bound: u64,
}

impl Scale {
    pub(super) fn of(window: Duration, bound: u64) -> Self {
        Self { window: window.as_nanos().try_into().unwrap(), bound }
    }

    fn instant(&self, random: &mut Rng) -> i64 {
        let step = self.window / i64::try_from(self.bound).unwrap() + 1;
        match random.u8(0..8) {
            0 => 0,
            1 => self.window,
            2 => self.window + random.i64(0..=2),
            3 => self.window.saturating_sub(random.i64(0..=2)).max(0),
            4 => step * random.i64(0..=4),
            5 => 2 * self.window,
            _ => random.i64(0..=2 * self.window),
        }
    }

    fn ask(&self, random: &mut Rng) -> Move {
        let call = match random.u8(0..8) {
            0..=2 => Call::Allow,
            3 => Call::AllowMany,
            4..=6 => Call::Acquire,
            _ => Call::Leave,
        };
        let cost = if random.bool() { 1 } else { random.u64(1..=4) };
        Move { at: self.instant(random), call, cost, times: random.u64(1..=self.bound) }
    }
}

/// What one does at an instant, so many times.
#[derive(Clone, Copy, Debug)]
struct Move {
    at: i64,
    call: Call,
    cost: u64,
    times: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Allow,
    AllowMany,
    /// By tasks that wait as long as it takes.
    Acquire,
    /// Some of those who wait leave.
    Leave,
}

/// Moves; those at one instant are made in their order.
#[derive(Clone, Debug)]
pub(super) struct Plan(Vec<Move>);

impl Plan {
    pub(super) fn random(scale: &Scale, random: &mut Rng) -> Self {
        Self((0..random.usize(1..=MOVES)).map(|_| scale.ask(random)).collect())
    }

    /// Returns it with a move added, taken away, moved or made another.
    pub(super) fn changed(&self, scale: &Scale, random: &mut Rng) -> Self {
        let mut moves = self.0.clone();
        let at = random.usize(..moves.len());
        match random.u8(0..8) {
            0 if moves.len() < MOVES => moves.insert(at, scale.ask(random)),
            1 if moves.len() > 1 => drop(moves.remove(at)),
            2 => {
                let other = random.usize(..moves.len());
                moves.swap(at, other);
            }
            3 | 4 => moves[at].at = scale.instant(random),
            5 => moves[at].times = random.u64(1..=scale.bound),
            6 => moves[at].cost = random.u64(1..=2),
            _ => moves[at] = scale.ask(random),
        }
        Self(moves)
    }

    /// Asks as planned; returns what was admitted and when, in order.
    pub(super) fn play(&self, limiter: &AnyLimiter, clock: &MockClock) -> Vec<(i64, u64)> {
        let (mut tasks, mut grants, mut came) = (Tasks::new(), Vec::new(), 0);
        let pass = |tasks: &mut Tasks<Option<u64>>, grants: &mut Vec<(i64, u64)>, nanos: i64| {
            tasks.pass(clock, clock.now() + span(nanos), |_, cost| {
                grants.extend(cost.map(|cost| (clock.now().as_nanos(), cost)));
            });
        };
        let mut moves = self.0.clone();
        moves.sort_by_key(|one| one.at);
        for Move { at: now, call, cost, times } in moves {
            pass(&mut tasks, &mut grants, now - clock.now().as_nanos());
            let checked = Cost::new(cost).unwrap();
            match call {
                Call::Allow => {
                    let allowed = (0..times).filter(|_| limiter.allow(("k", checked)));
                    grants.extend(allowed.map(|_| (now, cost)));
                }
                Call::AllowMany => {
                    let asks = (0..times).map(|_| ("k", checked));
                    let allowed = limiter.allow_many(asks).into_iter().filter(|allowed| *allowed);
                    grants.extend(allowed.map(|_| (now, cost)));
                }
                Call::Acquire => {
                    for _ in 0..times {
                        came += 1;
                        let limiter = limiter.clone();
                        tasks.spawn(&came.to_string(), async move {
                            limiter.acquire(("k", checked)).await.ok().map(|()| cost)
                        });
                    }
                }
                Call::Leave => {
                    let every = usize::try_from(cost).unwrap();
                    let waiting = tasks.unfinished().into_iter().map(str::to_owned);
                    let leaving = waiting.step_by(every).take(times.try_into().unwrap());
                    for name in leaving.collect::<Vec<_>>() {
                        tasks.cancel(&name);
                    }
                }
            }
            pass(&mut tasks, &mut grants, 0);
        }
        // Nobody who waits still is left without its turn.
        while let Some(left) = clock.next_deadline() {
            pass(&mut tasks, &mut grants, left.as_nanos().try_into().unwrap());
        }
        grants
    }
}

/// Returns the most permits admitted in any window, both its ends included.
pub(super) fn most_in_a_window(grants: &[(i64, u64)], window: Duration) -> u64 {
    let (window, mut first, mut within) = (i64::try_from(window.as_nanos()).unwrap(), 0, 0);
    let mut most = 0;
    for (at, cost) in grants {
        within += cost;
        while grants[first].0 < at - window {
            within -= grants[first].1;
            first += 1;
        }
        most = most.max(within);
    }
    most
}
