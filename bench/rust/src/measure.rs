//! Contestants take turns, round by round; what counts is the median over the rounds.

use std::hint::black_box;
use std::time::Instant;

use crate::allocator;

/// One contestant: its name, and what measures it once.
pub(crate) struct Column<'a, M = f64> {
    name: String,
    run: Box<dyn FnMut() -> M + 'a>,
}

impl<'a, M> Column<'a, M> {
    pub(crate) fn new(name: impl Into<String>, run: impl FnMut() -> M + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// What every contestant reached in every round.
pub(crate) struct Rounds<M = f64> {
    names: Vec<String>,
    rounds: Vec<Vec<M>>,
}

/// Lets the columns take turns. A first round warms everything up and is thrown away.
pub(crate) fn take_turns<M>(rounds: usize, columns: Vec<Column<'_, M>>) -> Rounds<M> {
    let mut all = take_cold_turns(rounds + 1, columns);
    all.rounds.remove(0);
    all
}

/// Lets the columns take turns where there is nothing to warm up.
pub(crate) fn take_cold_turns<M>(rounds: usize, mut columns: Vec<Column<'_, M>>) -> Rounds<M> {
    let mut round = || columns.iter_mut().map(|column| (column.run)()).collect();
    let rounds = (0..rounds).map(|_| round()).collect();
    Rounds { names: columns.into_iter().map(|column| column.name).collect(), rounds }
}

impl<M> Rounds<M> {
    /// Returns one figure of all that was measured.
    pub(crate) fn figure(&self, of: impl Fn(&M) -> f64) -> Rounds {
        let rounds = self.rounds.iter().map(|round| round.iter().map(&of).collect()).collect();
        Rounds { names: self.names.clone(), rounds }
    }
}

impl Rounds {
    /// Returns each column's median over the rounds.
    pub(crate) fn medians(&self) -> Vec<(String, f64)> {
        let column = |index: usize| self.rounds.iter().map(|round| round[index]).collect();
        let named = self.names.iter().enumerate();
        named.map(|(index, name)| (name.clone(), median(column(index)))).collect()
    }

    /// Returns the median of what `combine` makes of two columns within one round.
    pub(crate) fn within(&self, a: &str, b: &str, combine: impl Fn(f64, f64) -> f64) -> f64 {
        let (a, b) = (self.index(a), self.index(b));
        median(self.rounds.iter().map(|round| combine(round[a], round[b])).collect())
    }

    /// Returns, round by round, what `combine` makes of two columns, under a name of its own.
    pub(crate) fn derived(
        &self,
        name: &str,
        (a, b): (&str, &str),
        combine: impl Fn(f64, f64) -> f64,
    ) -> Self {
        let (a, b) = (self.index(a), self.index(b));
        let rounds = self.rounds.iter().map(|round| vec![combine(round[a], round[b])]).collect();
        Self { names: vec![name.to_owned()], rounds }
    }

    /// Leaves out a column.
    pub(crate) fn without(mut self, name: &str) -> Self {
        let index = self.index(name);
        self.names.remove(index);
        for round in &mut self.rounds {
            round.remove(index);
        }
        self
    }

    fn index(&self, name: &str) -> usize {
        let found = self.names.iter().position(|other| other == name);
        found.unwrap_or_else(|| panic!("no column is called `{name}`"))
    }
}

/// Returns the middle value, or the mean of the middle two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

/// Returns the nanoseconds that `work` took for each of its calls.
pub(crate) fn nanos_each(calls: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / calls as f64
}

/// Returns the nanoseconds that one call takes.
#[inline]
pub(crate) fn per_call<T>(calls: usize, mut call: impl FnMut() -> T) -> f64 {
    nanos_each(calls, || {
        for _ in 0..calls {
            black_box(call());
        }
    })
}

/// Returns the nanoseconds that one call takes which is awaited.
#[inline]
pub(crate) async fn per_await<T>(calls: usize, mut call: impl AsyncFnMut() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        black_box(call().await);
    }
    start.elapsed().as_nanos() as f64 / calls as f64
}

/// What one call takes.
pub(crate) struct Run {
    pub(crate) nanos: f64,
    pub(crate) allocations: f64,
}

/// Measures the time of calls, and then the same once more to count what they allocate.
pub(crate) fn counted(calls: usize, mut work: impl FnMut() -> f64) -> Run {
    let nanos = work();
    let (heap, _) = allocator::count(work);
    Run { nanos, allocations: heap.allocations / calls as f64 }
}
