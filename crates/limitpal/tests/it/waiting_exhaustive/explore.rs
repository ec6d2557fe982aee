//! Every schedule there is: each is run from its start, and its end drained.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What a schedule happens to.
pub(crate) trait World {
    type Action: Copy + Debug;

    /// Returns what may happen next; at least one thing.
    fn options(&self) -> Vec<Self::Action>;

    fn act(&mut self, action: Self::Action);

    /// Lets everybody go who is still there, and checks what is left.
    fn finish(self);
}

/// The choices made in one schedule: which of how many.
#[derive(Default)]
struct Path(Vec<(usize, usize)>);

impl Path {
    /// Moves on to the next schedule; false after the last.
    fn next(&mut self) -> bool {
        while let Some((choice, options)) = self.0.pop() {
            if choice + 1 < options {
                self.0.push((choice + 1, options));
                return true;
            }
        }
        false
    }

    /// Returns which option is chosen at a step, the first where there was no choice yet.
    fn choose(&mut self, step: usize, options: usize) -> usize {
        if step == self.0.len() {
            self.0.push((0, options));
        }
        self.0[step].0
    }
}

/// Runs every schedule of so many actions; returns how many there were. `case` is named with the
/// schedule that fails.
pub(crate) fn explore<W: World>(
    case: &impl Debug,
    length: usize,
    mut make: impl FnMut() -> W,
) -> usize {
    let (mut path, mut schedules) = (Path::default(), 0);
    loop {
        let mut schedule = Vec::with_capacity(length);
        let run = AssertUnwindSafe(|| run(make(), length, &mut path, &mut schedule));
        if let Err(panic) = catch_unwind(run) {
            eprintln!("{case:?}: {schedule:?}");
            resume_unwind(panic);
        }
        schedules += 1;
        if !path.next() {
            return schedules;
        }
    }
}

fn run<W: World>(mut world: W, length: usize, path: &mut Path, schedule: &mut Vec<W::Action>) {
    for step in 0..length {
        let options = world.options();
        let action = options[path.choose(step, options.len())];
        schedule.push(action);
        world.act(action);
    }
    world.finish();
}
