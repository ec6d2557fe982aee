//! LimitPal beside its peers in Rust: runs every case, prints the tables, writes them as JSON.
//!
//! ```text
//! limitpal-bench [--quick] [--huge] [--rows TEXT] [--out FILE]
//! ```

mod algorithms;
mod allocator;
mod batch;
mod breakers;
mod direct;
mod executor;
mod flood;
mod floor;
mod keyed;
mod keys;
mod line;
mod machine;
mod measure;
mod memory;
mod peers;
mod refusals;
mod report;
mod suite;
mod threads;
mod waiting;

use std::env;
use std::process::ExitCode;

use suite::{Options, Suite};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).peekable();
    if arguments.next_if(|argument| argument == memory::PROBE).is_some() {
        memory::probe(arguments);
        return ExitCode::SUCCESS;
    }
    if arguments.next_if(|argument| argument == waiting::PROBE).is_some() {
        waiting::probe(arguments);
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(advice) => {
            eprintln!("{advice}");
            return ExitCode::FAILURE;
        }
    };
    if options.quick {
        println!("quick: small numbers, few rounds; no figure here means anything, sizes included");
    }
    let mut suite = Suite::new(options);
    for part in [
        keyed::run,
        batch::run,
        direct::run,
        algorithms::run,
        threads::run,
        memory::run,
        flood::run,
        waiting::run,
        line::run,
        breakers::run,
        executor::run,
        refusals::run,
    ] {
        part(&mut suite);
    }
    match suite.write() {
        Ok(out) => {
            println!("\nwrote {}", out.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot write the figures: {error}");
            ExitCode::FAILURE
        }
    }
}
