//! What a file of cases looks like, and how a step is held against what happened.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use limitpal::{Instant, RetryAfter};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A case of some file.
pub(super) trait Case: DeserializeOwned + Debug {
    fn name(&self) -> &str;
    fn why(&self) -> &str;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<C> {
    about: String,
    cases: Vec<C>,
}

/// Returns the folder of the files, at the root of the repository.
pub(super) fn directory() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "conformance"].iter().collect()
}

/// Runs every case of a file, and fails with all that went wrong.
pub(super) fn run_all<C: Case>(file: &str, run: impl Fn(&C) -> Result<(), String>) {
    let text = std::fs::read_to_string(directory().join(format!("{file}.json"))).unwrap();
    let cases: Vec<C> = read(&text).unwrap_or_else(|error| panic!("{file}.json: {error}"));

    let fail = |case: &C| {
        let error = run(case).err()?;
        Some(format!("{file}.json: {}\n    {error}\n    why: {}", case.name(), case.why()))
    };
    let failures: Vec<String> = cases.iter().filter_map(fail).collect();

    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// Reads a file's text.
pub(super) fn read<C: Case>(text: &str) -> Result<Vec<C>, String> {
    let file: File<C> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if file.about.is_empty() || file.cases.is_empty() {
        return Err("a file says what it is about and has cases".to_owned());
    }
    match file.cases.iter().find(|case| case.name().is_empty() || case.why().is_empty()) {
        Some(case) => Err(format!("a case needs a name and a why: {case:?}")),
        None => Ok(file.cases),
    }
}

/// A time in decimal seconds, kept as nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Seconds(pub(super) i64);

impl Seconds {
    pub(super) fn instant(self) -> Instant {
        Instant::from_nanos(self.0)
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_nanos(self.0.try_into().expect("a case has no negative durations"))
    }

    fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let nanos: i64 = format!("{part:0<9}").parse().ok()?;
        let parsed = Self(whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)? + nanos);
        (parsed.0 >= 0 && seconds(parsed.0) == text).then_some(parsed)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no time")))
    }
}

/// Writes nanoseconds as the shortest decimal seconds.
pub(super) fn seconds(nanos: i64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn span(span: Duration) -> String {
    seconds(span.as_nanos().try_into().expect("no case lasts 292 years"))
}

pub(super) fn instant(instant: Instant) -> String {
    seconds(instant.as_nanos())
}

pub(super) fn retry_after(answer: RetryAfter) -> String {
    match answer {
        RetryAfter::Now => "0".to_owned(),
        RetryAfter::After(wait) => span(wait),
        RetryAfter::Never => "never".to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Reads a number as a user types it, or a division of two: `100/60`.
pub(super) fn number(text: &str) -> f64 {
    let (over, under) = text.split_once('/').unwrap_or((text, "1"));
    let read = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("`{text}` is no number"));
    read(over) / read(under)
}

/// What happened, field by field.
pub(super) type Seen = Map<String, Value>;

/// Puts what happened together: `seen([("allowed", true.into())])`.
pub(super) fn seen<const N: usize>(fields: [(&str, Value); N]) -> Seen {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A line of a case: arguments are taken out, what is left must come out.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Step(Map<String, Value>);

impl Step {
    /// Returns whether the step has a field.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Takes an argument out, if it is there.
    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        let wrong = |error| format!("`{name}` is {value}: {error}");
        serde_json::from_value(value.clone()).map(Some).map_err(wrong)
    }

    /// Takes an argument out.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, String> {
        let value = self.optional(name)?;
        value.ok_or_else(|| format!("`{name}` is missing in {}", self.shown()))
    }

    /// Holds what is left against what happened.
    pub(super) fn compare(self, seen: &Seen) -> Result<(), String> {
        if self.0.is_empty() && !seen.is_empty() {
            return Err(format!("a step names what comes out, here {}", shown(seen)));
        }
        for (name, expected) in &self.0 {
            if seen.get(name) != Some(expected) {
                return Err(format!("`{name}` is not {expected}; it came out as {}", shown(seen)));
            }
        }
        Ok(())
    }

    pub(super) fn shown(&self) -> String {
        shown(&self.0)
    }
}

fn shown(fields: &Map<String, Value>) -> String {
    Value::Object(fields.clone()).to_string()
}
