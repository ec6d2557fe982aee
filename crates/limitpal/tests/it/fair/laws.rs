//! What holds for all demands: a share for each, nothing unused, and never more than one bucket.

use std::time::Duration;

use limitpal::{Cost, FairBucket, Instant, MockClock, Rate, TokenBucket};
use proptest::prelude::*;

/// One key's calls: of what cost, and how many milliseconds apart.
#[derive(Clone, Copy, Debug)]
struct Client {
    cost: u64,
    every: u64,
    first: u64,
}

/// What a client asked for, and got.
#[derive(Clone, Copy, Default, Debug)]
struct Got {
    asked: u64,
    admitted: u64,
}

fn client() -> impl Strategy<Value = Client> {
    (1_u64..4, 5_u64..2000, 0_u64..50).prop_map(|(cost, every, first)| Client {
        cost,
        every,
        first,
    })
}

const MILLIS: u64 = 20_000;

/// Lets all ask for a while, the hot one each millisecond; returns what each got, and every grant.
fn run(limiter: &FairBucket, clock: &MockClock, clients: &[Client]) -> (Vec<Got>, Vec<(u64, u64)>) {
    let mut got = vec![Got::default(); clients.len()];
    let mut grants = Vec::new();
    for at in 0..MILLIS {
        for (who, client) in clients.iter().enumerate() {
            if at < client.first || (at - client.first) % client.every != 0 {
                continue;
            }
            got[who].asked += client.cost;
            if limiter.allow((&*who.to_string(), Cost::new(client.cost).unwrap())) {
                got[who].admitted += client.cost;
                grants.push((at, client.cost));
            }
        }
        clock.advance(Duration::from_millis(1));
    }
    (got, grants)
}

/// Returns what one gets from a bucket of its own that is as large as its share.
fn alone(client: Client, burst: u32, share: Rate) -> u64 {
    let clock = MockClock::new();
    let bucket = TokenBucket::builder(burst, share).clock(clock.clone()).build().unwrap();
    let mut admitted = 0;
    let every = usize::try_from(client.every).unwrap();
    for at in (client.first..MILLIS).step_by(every) {
        clock.set_time(Instant::from_nanos(at as i64 * 1_000_000));
        if bucket.allow(("alone", Cost::new(client.cost).unwrap())) {
            admitted += client.cost;
        }
    }
    admitted
}

proptest! {
    #![proptest_config(super::super::laws::cases(60))]

    #[test]
    fn each_gets_its_share_and_all_get_the_limit(
        mut clients in prop::collection::vec(client(), 1..8),
        hot in (1_u64..4, 0_u64..50),
        burst in 4_u32..40,
        rate in 5_u32..400,
        turn in 0_usize..8,
    ) {
        let n = clients.len() as u64 + 1;
        let hot = Client { cost: hot.0, every: 1, first: hot.1 };
        clients.insert(turn % clients.len(), hot);
        let capacity = burst * n as u32;
        let clock = MockClock::new();
        let builder = FairBucket::builder(capacity, Rate::per_second(rate.into()).unwrap());
        let limiter = builder.clock(clock.clone()).build().unwrap();

        let (got, grants) = run(&limiter, &clock, &clients);

        let limit = f64::from(rate) * MILLIS as f64 / 1000.0;
        let share = Rate::per_second(f64::from(rate) / n as f64).unwrap();
        for (client, got) in clients.iter().zip(&got) {
            // Who seldom asks for much at once loses some to a full bucket, its own as well.
            let least = alone(*client, burst, share) as f64;
            // One burst of the share, and what one call may lack.
            let slack = f64::from(capacity) / n as f64 + client.cost as f64;
            prop_assert!(got.admitted as f64 >= least - slack, "{client:?}: {got:?} of {least}");
        }
        let all: u64 = got.iter().map(|got| got.admitted).sum();
        let asked: u64 = got.iter().map(|got| got.asked).sum();
        let most = 0.95 * (asked as f64).min(limit);
        prop_assert!(all as f64 >= most, "{all} of {most}: {got:?}");
        for (first, (begin, _)) in grants.iter().enumerate() {
            let mut permits = 0;
            for (end, cost) in &grants[first..] {
                permits += cost;
                prop_assert!(permits <= limiter.bound(Duration::from_millis(end - begin)));
                if end - begin > 2000 {
                    break;
                }
            }
        }
    }

    #[test]
    fn who_keeps_to_its_share_is_never_refused_while_the_same_are_active(
        others in 1_u64..6,
        burst in 1_u32..20,
        rate in 5_u32..200,
        pauses in prop::collection::vec(0_u64..300, 50..200),
    ) {
        let n = others + 1;
        let clock = MockClock::new();
        let rate = Rate::per_second(rate.into()).unwrap();
        let capacity = burst * n as u32;
        let limiter = FairBucket::builder(capacity, rate).clock(clock.clone()).build().unwrap();
        // What the quiet one keeps to: a bucket of its own, no larger than its share.
        let share = Rate::per_second(rate.as_per_second() / n as f64 * 0.999).unwrap();
        let own = TokenBucket::builder(burst, share).clock(clock.clone()).build().unwrap();
        prop_assert!(limiter.allow("quiet"));
        for other in 0..others {
            limiter.allow(&*other.to_string());
        }
        clock.advance(Duration::from_secs(58).min(limiter.active_for()));
        prop_assume!(limiter.tokens() == f64::from(capacity));

        for pause in pauses {
            for _ in 0..pause {
                for other in 0..others {
                    while limiter.allow(&*other.to_string()) {}
                }
                clock.advance(Duration::from_millis(1));
            }
            if own.allow("quiet") {
                prop_assert!(limiter.allow("quiet"), "{:?}", limiter.peek("quiet"));
            }
        }
    }
}
