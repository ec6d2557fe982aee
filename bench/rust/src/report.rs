//! Tables of rows: what was measured, what was aimed at, and whether it was met.

use serde_json::{Map, Value, json};

use crate::measure::Rounds;

/// Our column, in every table.
pub(crate) const OURS: &str = "limitpal";

/// Tables are read on a screen of some hundred columns.
const CASE_WIDTH: usize = 52;

/// What a row aims at: a bound for our figure, or for its ratio to a peer's.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    ours: String,
    peer: Option<String>,
    bound: Bound,
}

/// A bound for a ratio, or for a figure where there is no peer.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// Ours divided by the peer's stays below.
    AtMost(f64),
    /// The peer's divided by ours, so many times as fast, stays above.
    AtLeast(f64),
}

impl Target {
    /// Ours may be at most `bound`, or at most so many times a peer's.
    pub(crate) fn at_most(bound: f64) -> Self {
        Self { ours: OURS.to_owned(), peer: None, bound: Bound::AtMost(bound) }
    }

    /// Ours must be at least so many times as fast as a peer's.
    pub(crate) fn at_least(bound: f64, peer: &str) -> Self {
        Self { bound: Bound::AtLeast(bound), ..Self::at_most(bound).of(peer) }
    }

    /// The bound is for the ratio to this peer.
    pub(crate) fn of(mut self, peer: &str) -> Self {
        self.peer = Some(peer.to_owned());
        self
    }

    /// The figure that is judged is this column's.
    pub(crate) fn for_column(mut self, ours: &str) -> Self {
        self.ours = ours.to_owned();
        self
    }

    fn ratio(&self, rounds: &Rounds) -> f64 {
        let peer = self.peer.as_deref();
        rounds.within(&self.ours, peer.unwrap_or(&self.ours), |ours, peers| {
            match (peer, self.bound) {
                (None, _) => ours,
                (Some(_), Bound::AtMost(_)) => ours / peers,
                (Some(_), Bound::AtLeast(_)) => peers / ours,
            }
        })
    }

    fn is_met(&self, ratio: f64) -> bool {
        match self.bound {
            Bound::AtMost(bound) => ratio <= bound,
            Bound::AtLeast(bound) => ratio >= bound,
        }
    }

    fn json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("ours".to_owned(), json!(self.ours));
        if let Some(peer) = &self.peer {
            fields.insert("peer".to_owned(), json!(peer));
        }
        let (word, bound) = match self.bound {
            Bound::AtMost(bound) => ("at_most", bound),
            Bound::AtLeast(bound) => ("at_least", bound),
        };
        fields.insert(word.to_owned(), json!(bound));
        Value::Object(fields)
    }

    fn text(&self) -> String {
        match self.bound {
            Bound::AtMost(bound) => format!("<= {bound}"),
            Bound::AtLeast(bound) => format!(">= {bound}"),
        }
    }
}

/// One case: the medians of its columns, and the verdict.
pub(crate) struct Row {
    case: String,
    values: Vec<(String, f64)>,
    judged: Option<(Target, f64)>,
}

impl Row {
    pub(crate) fn new(case: &str, rounds: &Rounds, target: Option<Target>) -> Self {
        let judged = target.map(|target| {
            let ratio = target.ratio(rounds);
            (target, ratio)
        });
        Self { case: case.to_owned(), values: rounds.medians(), judged }
    }

    fn verdict(&self) -> &'static str {
        match &self.judged {
            Some((target, ratio)) if target.is_met(*ratio) => "met",
            Some(_) => "missed",
            None => "",
        }
    }

    fn json(&self) -> Value {
        let values = self.values.iter().map(|(name, value)| (name.clone(), json!(short(*value))));
        let mut row = json!({ "case": self.case, "values": values.collect::<Map<_, _>>() });
        if let Some((target, ratio)) = &self.judged {
            row["target"] = target.json();
            row["ratio"] = json!(short(*ratio));
        }
        row["verdict"] = json!(self.verdict());
        row
    }

    fn print(&self) {
        let values = self.values.iter().map(|(name, value)| format!("{name} {}", short(*value)));
        let values = values.collect::<Vec<_>>().join("  ");
        let judged = self.judged.as_ref().map_or_else(String::new, |(target, ratio)| {
            format!("  | {} ({}) {}", short(*ratio), target.text(), self.verdict())
        });
        println!("  {:<CASE_WIDTH$} {values}{judged}", self.case);
    }
}

/// Rows that share a unit and a way of measuring.
pub(crate) struct Table {
    title: String,
    unit: String,
    note: String,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(title: &str, unit: &str, note: &str) -> Self {
        let [title, unit, note] = [title, unit, note].map(str::to_owned);
        Self { title, unit, note, rows: Vec::new() }
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row and shows it; the first one brings the title with it.
    pub(crate) fn push(&mut self, row: Row) {
        if self.rows.is_empty() {
            println!("\n{} [{}]", self.title, self.unit);
        }
        row.print();
        self.rows.push(row);
    }

    pub(crate) fn json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        json!({ "title": self.title, "unit": self.unit, "note": self.note, "rows": rows })
    }
}

/// Keeps four digits that count: the rest of a measurement is noise.
fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = (3 - value.abs().log10().floor() as i32).max(0);
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
