//! Circuits of many keys, of which few are remembered: whoever comes while another is forgotten, a
//! key has one circuit at a time, nobody who holds one loses it, and no call goes uncounted.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use limitpal::{BreakerCell, BreakerSettings, BreakerTable, CircuitState, Outcome};
use loom::thread;

use super::{at, model};

/// Makes a table of circuits that open at their first failure.
fn table(max: usize) -> Arc<BreakerTable> {
    let settings = BreakerSettings::new(1, Duration::from_secs(10), 1).expect("good settings");
    Arc::new(BreakerTable::new(settings, Some(max)).expect("at least one"))
}

fn cell(table: &BreakerTable, key: &str) -> Arc<BreakerCell> {
    let Ok(cell) = table.cell(key, at(0));
    cell
}

fn fail(cell: &BreakerCell) {
    let Ok(permit) = cell.admit(at(0));
    let Ok::<(), Infallible>(()) =
        cell.record(permit.expect("it is closed"), Outcome::Failure, at(0));
}

#[test]
fn two_who_bring_the_same_key_find_one_circuit() {
    model(|| {
        let table = table(2);
        let other = table.clone();
        let other = thread::spawn(move || cell(&other, "key"));
        let own = cell(&table, "key");

        let other = other.join().expect("the other thread did not panic");
        assert!(Arc::ptr_eq(&own, &other));
        assert_eq!(1, table.len());
    });
}

#[test]
fn two_newcomers_make_no_more_circuits_than_may_be() {
    model(|| {
        let table = table(1);
        let other = table.clone();
        let other = thread::spawn(move || drop(cell(&other, "one")));
        drop(cell(&table, "two"));

        other.join().expect("the other thread did not panic");
        assert_eq!(1, table.len());
    });
}

#[test]
fn who_holds_a_circuit_keeps_it_while_newcomers_make_room_for_themselves() {
    model(|| {
        let table = table(2);
        drop(cell(&table, "idle"));
        let held = cell(&table, "held");
        let other = table.clone();
        let other = thread::spawn(move || drop(cell(&other, "new")));
        fail(&held);

        other.join().expect("the other thread did not panic");
        let found = table.known("held").expect("it is held");
        assert!(Arc::ptr_eq(&held, &found));
        let Ok(state) = found.state(at(9));
        assert_eq!(CircuitState::Open, state);
    });
}
