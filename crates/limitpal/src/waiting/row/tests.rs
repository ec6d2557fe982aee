//! A row is as a plain list has it.

use super::*;

/// The same row as a list: who, its name, and the distance to the next.
type Listed = Vec<(u32, NonZeroU64, i64)>;

fn compare(row: &Row<u32>, listed: &Listed) {
    let mut ahead = Distance::NONE;
    let mut spot = row.first();
    for (who, name, distance) in listed {
        let here = spot.expect("as many are in the row");
        assert_eq!((*who, *name, Some(here)), (*row.get(here), row.name(here), row.find(*name)));
        assert_eq!(ahead, row.ahead(here));
        ahead += Distance { whole: *distance, part: -distance };
        spot = row.next(here);
    }
    assert_eq!(None, spot);
    let back: Vec<_> = row.back_from(row.last()).map(|spot| *row.get(spot)).collect();
    assert!(back.iter().rev().eq(listed.iter().map(|(who, _, _)| who)));
}

#[test]
fn a_row_is_as_a_plain_list_has_it() {
    let mut random = fastrand::Rng::with_seed(5);
    let (mut row, mut listed, mut gone) = (Row::new(), Listed::new(), Vec::new());

    for number in 0..3_000 {
        let index = random.usize(..=listed.len());
        let there = listed.get(index).copied();
        let spot = there.and_then(|(_, name, _)| row.find(name));
        match (random.u8(..8), spot) {
            (0..4, before) => {
                let name = {
                    let spot = row.insert(number, number, before);
                    row.name(spot)
                };
                listed.insert(index, (number, name, 0));
            }
            (4..6, Some(spot)) => {
                assert_eq!(listed[index].0, row.remove(spot));
                gone.push(listed.remove(index).1);
            }
            (_, Some(spot)) => {
                let distance = random.i64(0..1_000);
                row.set_distance(spot, Distance { whole: distance, part: -distance });
                listed[index].2 = distance;
            }
            (_, None) => {}
        }
        compare(&row, &listed);
    }
    assert!(gone.iter().all(|name| row.find(*name).is_none()));
    assert!(gone.len() > 500 && listed.len() > 500, "{} {}", gone.len(), listed.len());
}

#[test]
fn the_first_that_stands_far_enough_is_found() {
    let mut row = Row::new();
    for who in 0..100 {
        let spot = row.insert(who, who, None);
        row.set_distance(spot, Distance { whole: 10, part: 0 });
    }

    for least in 0..=990 {
        let found = row.first_where(|_, ahead| ahead.whole >= least);
        assert_eq!(Some(least.unsigned_abs().div_ceil(10) as u32), found.map(|it| *row.get(it)));
    }
    assert_eq!(None, row.first_where(|_, ahead| ahead.whole > 990));
}
