//! What runs, how much of it, and what has been found so far.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::machine;
use crate::measure::Rounds;
use crate::report::{Row, Table, Target};

/// What the command line asked for.
pub(crate) struct Options {
    /// A few short rounds with small numbers: shows that everything runs.
    pub(crate) quick: bool,
    /// The rows with ten million keys too.
    pub(crate) huge: bool,
    /// Only rows whose table and case contain this.
    rows: Option<String>,
    out: PathBuf,
}

impl Options {
    /// Reads the arguments; the error says what may be given.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let out = PathBuf::from("target/bench/rust.json");
        let mut options = Self { quick: false, huge: false, rows: None, out };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("`{argument}` wants a value"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--huge" => options.huge = true,
                "--rows" => options.rows = Some(value()?),
                "--out" => options.out = value()?.into(),
                _ => {
                    let usage = "give --quick, --huge, --rows TEXT or --out FILE";
                    return Err(format!("`{argument}` means nothing here; {usage}"));
                }
            }
        }
        Ok(options)
    }
}

/// The tables as they grow.
pub(crate) struct Suite {
    options: Options,
    tables: Vec<Table>,
}

impl Suite {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, tables: Vec::new() }
    }

    /// Returns the one number, or with `--quick` the other.
    pub(crate) fn choose(&self, full: usize, quick: usize) -> usize {
        if self.options.quick { quick } else { full }
    }

    /// Returns how many rounds count, for what is over in a second or so.
    pub(crate) fn rounds(&self) -> usize {
        self.choose(7, 2)
    }

    /// Returns how many calls make one measurement of something that takes nanoseconds.
    pub(crate) fn calls(&self) -> usize {
        self.choose(1_000_000, 50_000)
    }

    pub(crate) fn huge(&self) -> bool {
        self.options.huge
    }

    /// Begins a table; rows then go into it.
    pub(crate) fn open(&mut self, title: &str, unit: &str, note: &str) {
        self.tables.push(Table::new(title, unit, note));
    }

    /// Returns whether a row of the open table was asked for.
    pub(crate) fn wants(&self, case: &str) -> bool {
        let title = self.tables.last().map_or("", Table::title);
        let asked = self.options.rows.as_deref();
        asked.is_none_or(|text| format!("{title} / {case}").contains(text))
    }

    /// Adds a row to the open table.
    pub(crate) fn add(&mut self, case: &str, rounds: &Rounds, target: Option<Target>) {
        let table = self.tables.last_mut().expect("a table is opened before its rows");
        table.push(Row::new(case, rounds, target));
    }

    /// Writes all tables that have rows.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn write(&self) -> std::io::Result<&Path> {
        let tables = self.tables.iter().filter(|table| !table.is_empty());
        let tables: Vec<_> = tables.map(Table::json).collect();
        let suite = json!({
            "suite": "rust",
            "versions": machine::versions(),
            "machine": machine::describe(),
            "quick": self.options.quick,
            "tables": tables,
        });
        let out = &self.options.out;
        if let Some(folder) = out.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(out, format!("{suite:#}\n"))?;
        Ok(out)
    }
}

/// Starts this program once more as a contestant of its own process, and returns the numbers that it
/// tells.
pub(crate) fn ask<const N: usize>(probe: &str, contestant: &str, size: usize) -> [f64; N] {
    let program = env::current_exe().expect("a program knows where it lies");
    let answer = Command::new(program).args([probe, contestant, &size.to_string()]).output();
    let answer = answer.expect("this program can be started again");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().expect("a contestant tells so many numbers")
}

/// Reads what a contestant was asked: who it is, and how much.
pub(crate) fn asked(mut arguments: impl Iterator<Item = String>) -> (String, usize) {
    let contestant = arguments.next().expect("a probe names its contestant");
    let size = arguments.next().and_then(|size| size.parse().ok()).expect("a probe names a size");
    (contestant, size)
}
