//! Which modules of its own crate a source file names, in `use` trees and in paths.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{is_word, tokens};

/// The names that the root re-exports, and the module each comes from.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    /// Reads `lib.rs`.
    pub(super) fn of_root(text: &str) -> Self {
        let tokens = tokens(text);
        let mut names = BTreeMap::new();
        for (at, _) in tokens.iter().enumerate().filter(|(_, token)| **token == "use") {
            let mut paths = Vec::new();
            tree(&tokens, at + 1, &mut Vec::new(), &mut paths);
            for path in paths {
                let path: Vec<&str> = path.into_iter().filter(|part| *part != "crate").collect();
                if let ([module, ..], Some(name)) = (&*path, path.last()) {
                    names.insert((*name).to_owned(), (*module).to_owned());
                }
            }
        }
        Self(names)
    }

    /// Returns the module behind a name at the root of the crate.
    fn module(&self, name: &str) -> String {
        self.0.get(name).map_or(name, |module| module).to_owned()
    }
}

/// Reads a use tree from `at`: every path in it, by its last name; returns where it ends.
fn tree<'t>(
    tokens: &[&'t str],
    mut at: usize,
    prefix: &mut Vec<&'t str>,
    paths: &mut Vec<Vec<&'t str>>,
) -> usize {
    let depth = prefix.len();
    loop {
        match tokens.get(at).copied() {
            Some("::") => at += 1,
            Some("as") => {
                // `Glaze as Shine` is known as Shine.
                prefix.pop();
                prefix.extend(tokens.get(at + 1));
                at += 2;
            }
            Some("{") => {
                at += 1;
                while !matches!(tokens.get(at).copied(), None | Some("}")) {
                    at = tree(tokens, at, prefix, paths);
                    at += usize::from(tokens.get(at) == Some(&","));
                }
                prefix.truncate(depth);
                return at + 1;
            }
            Some(word) if word == "*" || word.starts_with(is_word) => {
                prefix.push(word);
                at += 1;
            }
            _ => {
                paths.push(prefix.clone());
                prefix.truncate(depth);
                return at;
            }
        }
    }
}

/// Returns the modules of its own crate that the file at `path` names.
pub(super) fn imports(path: &[&str], text: &str, names: &Names) -> BTreeSet<String> {
    let tokens = tokens(text);
    let mut found = BTreeSet::new();
    let (mut braces, mut inner) = (0_usize, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match *token {
            "{" => {
                braces += 1;
                if at >= 2 && tokens[at - 2] == "mod" {
                    inner.push(braces);
                }
            }
            "}" => {
                inner.pop_if(|depth| *depth == braces);
                braces = braces.saturating_sub(1);
            }
            "crate" if is_root(&tokens, at) => named(&tokens, at + 1, names, &mut found),
            "super" if !starts_after_path(&tokens, at) => {
                let supers = count_supers(&tokens, at);
                if supers == path.len() + inner.len() {
                    named(&tokens, at + 2 * supers - 1, names, &mut found);
                }
            }
            _ => {}
        }
    }
    found
}

/// Returns whether `crate` begins a path, or is the crate itself; `pub(crate)` is neither.
fn is_root(tokens: &[&str], at: usize) -> bool {
    !starts_after_path(tokens, at) && matches!(tokens.get(at + 1), Some(&"::" | &"as"))
}

/// Returns whether a path goes on here: `a::super`. What follows `self::` begins anew.
fn starts_after_path(tokens: &[&str], at: usize) -> bool {
    at >= 2 && tokens[at - 1] == "::" && tokens[at - 2] != "self"
}

fn count_supers(tokens: &[&str], at: usize) -> usize {
    let after = |n: &usize| tokens.get(at + 2 * n) == Some(&"super");
    let chained = |n: &usize| *n == 0 || tokens.get(at + 2 * n - 1) == Some(&"::");
    (0..).take_while(|n| after(n) && chained(n)).count()
}

/// Adds what is named right below the root, from the `::` or `as` at `at` on.
fn named(tokens: &[&str], at: usize, names: &Names, found: &mut BTreeSet<String>) {
    match (tokens.get(at).copied(), tokens.get(at + 1).copied()) {
        (Some("::"), Some("{")) => {
            let mut depth = 1;
            let mut begins = true;
            for pair in tokens[at + 2..].windows(2) {
                match *pair {
                    ["{", _] => depth += 1,
                    ["}", _] => depth -= 1,
                    ["self", "as"] if depth == 1 => whole(found),
                    [word, _] if depth == 1 && begins && word != "self" => {
                        found.insert(names.module(word));
                    }
                    _ => {}
                }
                begins = depth == 1 && pair[0] == ",";
                if depth == 0 {
                    return;
                }
            }
        }
        (Some("::"), Some(word)) => {
            found.insert(names.module(word));
        }
        _ => whole(found),
    }
}

/// `use crate as all` would hide everything behind another name.
fn whole(found: &mut BTreeSet<String>) {
    found.insert("the whole crate".to_owned());
}
