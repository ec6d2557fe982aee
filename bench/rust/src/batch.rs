//! Many keys in one call.

use std::hint::black_box;

use throttle_net::Eviction;

use crate::keyed::Order;
use crate::keys::{self, Draw};
use crate::measure::{Column, nanos_each, take_turns};
use crate::peers::{ENDLESS, GOVERNOR, THROTTLE_NET};
use crate::report::{OURS, Target};
use crate::suite::Suite;

pub(crate) fn run(suite: &mut Suite) {
    suite.open(
        "Many keys in one call, Rust",
        "ns per key",
        "`allow_many(keys)` in batches of the size named, beside a loop over the peers' calls for \
         one key (they have none for many) and a loop over our own `allow`; 1 M keys, uniform.",
    );
    let case = |size: usize| format!("allow_many, batches of {size}");
    let sizes = [(16, None), (100, None), (1_000, Some(0.15))];
    if !sizes.iter().any(|(size, _)| suite.wants(&case(*size))) {
        return;
    }
    let count = suite.choose(1_000_000, 20_000);
    let order = Order::new(count, suite.calls(), Draw::Uniform);
    let ours = ENDLESS.limitpal();
    let governor = ENDLESS.governor();
    let throttle_net = ENDLESS.throttle_net(Eviction::unbounded());
    for key in (0..count).map(keys::key) {
        let admitted = ours.allow(&key) && governor.check_key(&key).is_ok();
        assert!(admitted && throttle_net.try_acquire(&key), "an endless limit lets all through");
    }
    for (size, bound) in sizes {
        if !suite.wants(&case(size)) {
            continue;
        }
        let [mut a, mut b, mut c, mut d] = std::array::from_fn(|_| order.reader());
        let in_batches = || {
            let (keys, _) = a.stretch();
            nanos_each(keys.len(), || {
                for batch in keys.chunks(size) {
                    black_box(ours.allow_many(batch));
                }
            })
        };
        let rounds = take_turns(
            suite.rounds(),
            vec![
                Column::new(OURS, in_batches),
                Column::new("limitpal in a loop", || b.each(|key| ours.allow(key))),
                Column::new(GOVERNOR, || c.each(|key| governor.check_key(key).is_ok())),
                Column::new(THROTTLE_NET, || d.each(|key| throttle_net.try_acquire(key))),
            ],
        );
        let target = bound.map(|bound| Target::at_most(bound).of(GOVERNOR));
        suite.add(&case(size), &rounds, target);
    }
}
