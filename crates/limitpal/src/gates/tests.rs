//! What a crowd costs, in the nodes of the line that are looked at.

use super::*;
use crate::waiting::steps;

/// Lets so many wait behind one who is inside.
fn crowd(gates: &Gates, count: u64) -> Vec<Queued> {
    let key = Fingerprint::EVERYBODY;
    assert_eq!(Entry::Inside(1), gates.enter(key, 1, true));
    let queued = |_| match gates.enter(key, 1, true) {
        Entry::Waits(queued) => queued,
        other => panic!("there is no room: {other:?}"),
    };
    (0..count).map(queued).collect()
}

/// Returns the nodes looked at for each of a crowd who come, and who then go as `go` has it.
fn steps_each(count: u64, go: impl FnOnce(&Gates, &mut Vec<Queued>)) -> (f64, f64) {
    let gates = Gates::new(1, None, true).expect("one is enough");
    let mut queued = Vec::new();
    let coming = steps::during(|| queued = crowd(&gates, count));
    let going = steps::during(|| go(&gates, &mut queued));
    (coming as f64 / count as f64, going as f64 / count as f64)
}

#[test]
fn whoever_leaves_from_wherever_costs_as_much_in_a_line_of_a_hundred_thousand() {
    let at_random = |gates: &Gates, queued: &mut Vec<Queued>| {
        fastrand::Rng::with_seed(3).shuffle(queued);
        queued.iter().for_each(|queued| gates.leave(*queued));
        assert_eq!(0, gates.waiting(Fingerprint::EVERYBODY));
    };
    let (few, many) = (steps_each(1_000, at_random), steps_each(100_000, at_random));
    // A hundred times as many: the logarithm grows by two thirds.
    assert!(many.0 < 2.0 * few.0, "to come: {many:?}, of few: {few:?}");
    assert!(many.1 < 2.0 * few.1, "to leave: {many:?}, of few: {few:?}");
}

#[test]
fn whoever_is_let_in_costs_as_much_in_a_line_of_a_hundred_thousand() {
    let in_turn = |gates: &Gates, queued: &mut Vec<Queued>| {
        let key = Fingerprint::EVERYBODY;
        for queued in &*queued {
            gates.let_out(key, 1);
            assert_eq!(Standing::Inside, gates.standing(*queued, Waker::noop()));
        }
        gates.let_out(key, 1);
        assert!(gates.is_empty());
    };
    let (few, many) = (steps_each(1_000, in_turn), steps_each(100_000, in_turn));
    assert!(many.1 < 2.0 * few.1, "{many:?}, of few: {few:?}");
}
