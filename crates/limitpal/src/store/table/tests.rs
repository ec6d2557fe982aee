//! A table is as a map of the standard library has it, and its slots lie where a look finds them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Moved, Table};
use crate::shards::Fingerprint;
use crate::store::slot::Slot;

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u64),
    Remove(u64),
    Retain(i64),
}

/// Hashes of which many are the same, or crowd at an end.
fn hashes() -> impl Strategy<Value = u64> {
    prop_oneof![1..6_u64, u64::MAX - 5..=u64::MAX, (0..64_u64).prop_map(|n| (n << 58).max(1))]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => hashes().prop_map(Step::Insert),
        3 => hashes().prop_map(Step::Remove),
        1 => (2..4_i64).prop_map(Step::Retain),
    ];
    prop::collection::vec(step, 0..400)
}

/// Each hash has two keys.
fn key(hash: u64, which: u32) -> Fingerprint {
    Fingerprint::chosen(hash, which)
}

fn places(table: &Table<i64>) -> Vec<Option<(Fingerprint, i64)>> {
    let all = 0..table.places();
    all.map(|place| table.at(place).map(|slot| (slot.key(), slot.state))).collect()
}

/// Checks that it holds what the map does, in order, and nothing behind a gap.
fn is_as(table: &Table<i64>, map: &BTreeMap<Fingerprint, i64>) -> Result<(), TestCaseError> {
    prop_assert_eq!(map.len(), table.len());
    prop_assert!(table.len() * 5 <= table.homes as usize * 4);
    for (key, state) in map {
        prop_assert_eq!(Some(*state), table.find(*key).map(|slot| slot.state));
    }
    let hashes: Vec<_> = table.iter().map(Slot::hash).collect();
    prop_assert!(hashes.is_sorted());
    for (place, slot) in places(table).iter().enumerate() {
        let Some((key, _)) = slot else { continue };
        prop_assert!((table.home(*key)..place).all(|before| table.at(before).is_some()));
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_table_is_as_a_map_has_it(steps in steps()) {
        let (mut table, mut map) = (Table::new(), BTreeMap::new());
        for (rank, step) in steps.into_iter().enumerate() {
            let state = rank as i64;
            let which = rank as u32 % 2;
            match step {
                Step::Insert(hash) => {
                    let key = key(hash, which);
                    match table.find_mut(key) {
                        Some(slot) => slot.state = state,
                        None => table.insert(Slot::new(key, state, state)),
                    }
                    map.insert(key, state);
                }
                Step::Remove(hash) => {
                    let key = key(hash, which);
                    let before = places(&table);
                    let moved = table.remove(key);
                    prop_assert_eq!(map.remove(&key).is_some(), moved.is_some());
                    if let Some(Moved { from, to }) = moved {
                        let mut expected = before;
                        expected[from] = None;
                        expected[from..=to].rotate_left(1);
                        prop_assert_eq!(expected, places(&table));
                    }
                }
                Step::Retain(part) => {
                    table.retain(|slot| slot.state % part != 0);
                    map.retain(|_, state| *state % part != 0);
                }
            }
            is_as(&table, &map)?;
        }
    }
}

#[test]
fn a_large_table_is_never_nearly_half_empty_nor_slots_far_from_where_hashes_say() {
    let mut table = Table::new();
    let mut hash = 0_u64;
    let (mut displaced, mut looked) = (0, 0);
    for count in 0..50_000_u64 {
        hash = hash.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (hash ^ hash >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let key = key((mixed ^ mixed >> 32).max(1), 0);
        table.insert(Slot::new(key, 0_i64, 0));
        if count % 97 == 0 {
            let place = (table.home(key)..)
                .find(|place| table.at(*place).is_some_and(|slot| slot.is_of(key)));
            displaced += place.expect("it is there") - table.home(key);
            looked += 1;
        }
        if count > 500 {
            assert!(table.len() * 100 > (table.places() - super::SPILL) * 55);
        }
    }
    assert!(displaced < 3 * looked, "{displaced} places in {looked} looks");
}
