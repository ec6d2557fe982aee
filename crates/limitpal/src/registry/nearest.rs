//! Which of several names is most like one that is not among them.

/// Returns the nearest name, if it is near: at most a third of the letters differ.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let length = |text: &str| text.chars().count();
    let distances = names.map(|known| (distance(name, known), known));
    let (letters, near) = distances.min_by_key(|(letters, _)| *letters)?;
    (letters * 3 <= length(name).max(length(near))).then_some(near)
}

/// How many letters are to be put in, taken out or replaced to make one text of another: the
/// [Levenshtein distance](https://en.wikipedia.org/wiki/Levenshtein_distance), row by row.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (place, letter) in from.chars().enumerate() {
        // The distance one row up and one to the left.
        let mut corner = row[0];
        row[0] = place + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = corner + usize::from(letter != *other);
            corner = row[column + 1];
            row[column + 1] = replaced.min(corner + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn a_distance_counts_letters_put_in_taken_out_and_replaced() {
        let cases = [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("users", "users", 0),
            ("user", "users", 1),
            ("usres", "users", 2),
            ("kitten", "sitting", 3),
            ("ärger", "arger", 1),
        ];
        for (from, to, letters) in cases {
            assert_eq!(letters, distance(from, to), "{from} to {to}");
            assert_eq!(letters, distance(to, from), "{to} to {from}");
        }
    }

    #[test]
    fn a_name_is_near_that_differs_in_a_third_of_its_letters_at_most() {
        let names = ["users", "pages", "payments"];
        let near = |name| nearest(name, names.into_iter());

        assert_eq!(Some("users"), near("user"));
        assert_eq!(Some("payments"), near("paymnets"));
        assert_eq!(None, near("zzz"));
        assert_eq!(None, nearest("users", std::iter::empty()));
    }
}
