//! Runs one of the hottest paths so many times, for a tool that counts its instructions.
//!
//! Without arguments it lists the paths; `limitpal-instructions PATH CALLS` runs one.

mod breaker;
mod executor;
mod limiter;
mod ready;
mod repeat;

use std::process::ExitCode;

use limitpal::InvalidConfig;

/// Sets a path up, and calls it so many times within `repeat`.
type Run = fn(usize) -> Result<(), InvalidConfig>;

const PATHS: [(&str, Run); 19] = [
    ("allow, 1 key", limiter::one_key),
    ("allow, 10,000 keys in turn", limiter::keys_in_turn),
    ("allow, refused", limiter::refused),
    ("allow, one bucket for everybody", limiter::one_bucket),
    ("allow_many, 1,000 keys, per key", limiter::many),
    ("allow, a new key in place of a full bucket", limiter::flood_of_idle),
    ("allow, a new key in place of a live bucket", limiter::flood_of_live),
    ("acquire, granted at once, async", limiter::acquire),
    ("breaker, closed", breaker::closed),
    ("breaker, open, refused", breaker::open),
    ("executor, all parts, blocking", executor::blocking),
    ("executor, all parts, async", executor::future),
    ("executor, all parts and timeouts, blocking", executor::timed),
    ("executor, a bulkhead too, blocking", executor::guarded_blocking),
    ("executor, a bulkhead too, async", executor::guarded_future),
    ("executor, refused by its breaker, blocking", executor::refused_blocking),
    ("executor, refused by its breaker, async", executor::refused_future),
    ("executor, five stages, blocking", executor::five_blocking),
    ("executor, five stages, async", executor::five_future),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            PATHS.iter().for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
        [wanted, calls] => match (find(wanted), calls.parse()) {
            (Some(run), Ok(calls)) => finish(run(calls)),
            (None, _) => complain(&format!("no path is called \"{wanted}\"")),
            (_, Err(error)) => complain(&format!("calls is \"{calls}\": {error}")),
        },
        _ => complain("give a path and a number of calls, or nothing to see the paths"),
    }
}

fn find(wanted: &str) -> Option<Run> {
    PATHS.iter().find(|(name, _)| *name == wanted).map(|(_, run)| *run)
}

fn finish(outcome: Result<(), InvalidConfig>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string()),
    }
}

fn complain(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
