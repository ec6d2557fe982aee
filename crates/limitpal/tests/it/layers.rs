//! The layer table of ARCHITECTURE.md is true: an import goes down, never up and never sideways.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line as well")]

mod imports;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use imports::{Names, imports};

const LONGEST_FILE: usize = 400;

fn repository() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect()
}

/// The layer of each module; a higher one may use a lower one.
type Layers = BTreeMap<String, usize>;

/// Reads the rows of the table `| layer | modules | in a sentence |`, top layer first.
fn read_table(text: &str) -> Result<Layers, String> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let head = ["layer", "modules", "in a sentence"];
    let mut rows = text.lines().skip_while(|line| cells(line) != head);
    rows.nth(1).ok_or("there is no table `| layer | modules | in a sentence |`")?;

    let mut layers = Layers::new();
    let mut above = usize::MAX;
    for row in rows.take_while(|line| line.trim_start().starts_with('|')) {
        let [layer, modules, _] = cells(row).try_into().map_err(|_| format!("a row is {row}"))?;
        let number = layer.split_whitespace().next().and_then(|number| number.parse().ok());
        let number: usize = number.ok_or_else(|| format!("a layer is {layer}"))?;
        if number >= above {
            return Err(format!("layer {number} stands below layer {above}"));
        }
        above = number;
        for module in modules.split(',').map(|module| module.trim().trim_matches('`')) {
            if layers.insert(module.to_owned(), number).is_some() {
                return Err(format!("{module} stands twice"));
            }
        }
    }
    if layers.is_empty() { Err("the table is empty".to_owned()) } else { Ok(layers) }
}

/// Returns what is wrong with one file's imports: `text` of the module at `path`.
fn broken_imports(layers: &Layers, path: &[&str], text: &str, names: &Names) -> Vec<String> {
    let own = path[0];
    let Some(layer) = layers.get(own) else { return vec![format!("{own} is in no layer")] };
    let wrong = |import: &String| match layers.get(import) {
        _ if import == own => None,
        Some(lower) if lower < layer => None,
        Some(same) if same == layer => Some(format!("sideways: {own} uses {import}")),
        Some(_) => Some(format!("up: {own} uses {import}")),
        None => Some(format!("{own} uses {import}, which is in no layer")),
    };
    imports(path, text, names).iter().filter_map(wrong).collect()
}

/// Returns all files below a folder that end in one of `endings`, but for what tools put there.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let made = ["target", "__pycache__", "node_modules", "build", "dist"];
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !made.contains(&&*name) {
                found.extend(files(&path, endings));
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The modules of the crate: each file of `src` but `lib.rs`, by its path of names.
fn modules() -> Vec<(Vec<String>, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names = |file: &Path| {
        let parts = file.strip_prefix(&src).unwrap().with_extension("");
        parts.iter().map(|part| part.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let read = |file: PathBuf| (names(&file), fs::read_to_string(&file).unwrap());
    files(&src, &[".rs"]).into_iter().map(read).filter(|(path, _)| path != &["lib"]).collect()
}

fn architecture() -> Layers {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    read_table(&text).unwrap_or_else(|error| panic!("ARCHITECTURE.md: {error}"))
}

#[test]
fn imports_go_down_the_layers() {
    let layers = architecture();
    let root =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let names = Names::of_root(&root);

    let broken: Vec<String> = modules()
        .iter()
        .flat_map(|(path, text)| {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            let wrong = broken_imports(&layers, &parts, text, &names);
            wrong.into_iter().map(move |error| format!("{}.rs: {error}", path.join("/")))
        })
        .collect();

    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_table_names_the_modules_that_there_are() {
    let layers = architecture();

    let there: BTreeSet<String> = modules().into_iter().map(|(path, _)| path[0].clone()).collect();

    assert_eq!(there, layers.into_keys().collect(), "files of src, and rows of ARCHITECTURE.md");
}

#[test]
fn no_source_file_is_too_long() {
    let root = repository();
    let folders = ["crates", "python", "examples", "demo"];

    let sources: Vec<PathBuf> =
        folders.iter().flat_map(|folder| files(&root.join(folder), &[".rs", ".py"])).collect();
    let long: Vec<String> = sources
        .iter()
        .map(|file| (file, fs::read_to_string(file).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(file, lines)| format!("{} has {lines} lines", file.display()))
        .collect();

    assert!(sources.len() > 20, "the sources are not where they were");
    assert!(long.is_empty(), "{LONGEST_FILE} lines are the most: {long:#?}");
}

const TABLE: &str = "
| layer | modules | in a sentence |
|---|---|---|
| 2 top | `cake`, icing | sweet |
| 1 middle | dough | plain |
| 0 ground | flour, water | raw |
";

fn wrong(module: &str, text: &str) -> usize {
    let names = Names::of_root("pub use crate::icing::{Sugar, Glaze as Shine};\nmod cake;");
    let path: Vec<&str> = module.split('/').collect();
    broken_imports(&read_table(TABLE).unwrap(), &path, text, &names).len()
}

#[test]
fn an_import_down_or_at_home_is_right() {
    for text in [
        "use crate::dough::Dough;",
        "use crate::{dough::{self, Dough}, flour};\nuse crate::cake::slice;",
        "use std::collections::HashMap; use super::water;",
        "// use crate::icing::Sugar;\n/* crate::icing */ fn f() { \"crate::icing\"; }",
        "mod tests { use super::*; use super::super::flour; }",
        "/// [`Sugar`](crate::icing::Sugar)\nfn f<'a>(c: char) -> bool { c == '\"' }",
        "fn f() { r#\"crate::icing\"#; pub(in crate::cake) struct S; }",
    ] {
        assert_eq!(0, wrong("cake", text), "{text}");
    }
    assert_eq!(0, wrong("cake/slice", "use super::super::dough; use super::icing_of_my_own;"));
}

#[test]
fn an_import_up_or_sideways_is_found() {
    for (module, text) in [
        ("dough", "use crate::cake::Cake;"),
        ("dough", "use crate::{\n    flour,\n    cake::{Cake, slice},\n};"),
        ("cake", "use crate::icing::Sugar;"),
        ("flour", "fn f() { crate::water::pour() }"),
        ("flour", "use super::water;"),
        ("flour", "mod inner { use super::super::water; }"),
        ("flour", "macro_rules! m { () => { $crate::water::pour() } }"),
        ("cake/slice", "use super::super::icing;"),
        ("cake/slice", "use self::super::super::icing;"),
        ("cake", "use crate::Sugar;"),
        ("cake", "use crate::{dough, Shine};"),
        ("cake", "use crate::{dough as d, icing as i};"),
        ("cake", "pub(in crate::icing) struct S;"),
        ("cake", "use r#crate::dough; use crate::r#icing;"),
        ("dough", "use crate::*;"),
        ("dough", "use crate as all;"),
        ("dough", "use crate::{flour, self as all};"),
        ("honey", "struct Honey;"),
        ("cake", "use crate::honey;"),
    ] {
        assert_eq!(1, wrong(module, text), "{module}: {text}");
    }
}

#[test]
fn a_table_that_says_nothing_is_refused() {
    for (from, to) in [
        ("| layer |", "| level |"),
        ("| 1 middle |", "| 3 middle |"),
        ("| 1 middle |", "| middle |"),
        ("flour, water", "flour, dough"),
        ("| plain |", ""),
    ] {
        assert!(read_table(&TABLE.replacen(from, to, 1)).is_err(), "{to}");
    }
    let rows = TABLE.find("| 2").unwrap();
    assert!(read_table(&TABLE[..rows]).is_err(), "no rows");
}
