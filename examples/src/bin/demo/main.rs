//! Shows LimitPal's main job on real input.
//!
//! A real HTTP server on loopback plays a hard provider. It serves a fixed number of requests in
//! any one second and answers 429 with `Retry-After` above that; some requests fail with a random
//! 503, some are slow, and for some seconds it is down. The same jobs go through a naive reqwest
//! client that tries again at once, and through the same client inside a `ResilientExecutor`. The
//! table at the end holds what the two clients counted themselves; the provider's own books are
//! the cross-check.

mod clients;
mod meter;
mod plan;
mod provider;
mod report;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::clients::{Client, Http, Resilient};
use crate::meter::Meter;
use crate::plan::Plan;
use crate::provider::{Books, Provider};

/// Sends the same jobs to a hard provider, naive and with LimitPal, and counts.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Jobs for each client, 100 to 500.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(100..=500))]
    requests: u32,
    /// Seed of the provider's luck and of the jitter.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Seconds the provider is down, 0 to 10.
    #[arg(long, default_value = "3", value_parser = parse_outage)]
    outage: Duration,
}

fn parse_outage(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=10.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("give seconds from 0 to 10".to_owned()),
    }
}

/// One client's turn, when it is over: its own counts and the provider's books.
struct Turn {
    name: &'static str,
    meter: Meter,
    books: Books,
}

/// Gives one client its turn at the provider, with progress.
async fn play(client: Client, plan: &Plan, provider: &Provider) -> reqwest::Result<Turn> {
    let meter = Meter::new(plan.clone(), provider.begin(plan));
    let http = Http {
        client: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?,
        url: &provider.url,
        meter: &meter,
    };
    client.look(&meter);
    tokio::select! {
        () = client.take_turn(&http) => {}
        () = report::show_progress(&client, &meter) => {}
    }
    report::show_end(&client, &meter);
    Ok(Turn { name: client.name(), meter, books: provider.books() })
}

async fn play_both(plan: &Plan, provider: &Provider) -> Result<[Turn; 2], Box<dyn Error>> {
    let naive = play(Client::Naive, plan, provider).await?;
    let resilient = Client::Resilient(Box::new(Resilient::new(plan)?));
    Ok([naive, play(resilient, plan, provider).await?])
}

/// Prints the table, the breaker's story, and whether both sides counted alike.
fn conclude(turns: &[Turn]) {
    let columns: Vec<_> = turns.iter().map(|turn| (turn.name, &turn.meter)).collect();
    println!("\n{}", report::table(&columns));
    println!(
        "A job that the open breaker turns away sends nothing; it stays here and comes again."
    );
    for turn in turns {
        let lines = report::transition_lines(&turn.meter);
        if !lines.is_empty() {
            println!("\n{}'s breaker:\n{}", turn.name, lines.join("\n"));
        }
    }
    println!();
    for turn in turns {
        let found = report::differences(&turn.meter, &turn.books);
        let verdict = match found.is_empty() {
            true => "agree with what the client counted".to_owned(),
            false => found.join("; "),
        };
        println!("The provider's own books, {}: {verdict}.", turn.name);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Arguments { requests, seed, outage } = Arguments::parse();
    let plan = Plan { requests, seed, outage };
    let provider = Provider::start(&plan)?;
    report::introduce(&plan, &provider.url);
    tokio::select! {
        turns = play_both(&plan, &provider) => conclude(&turns?),
        stop = tokio::signal::ctrl_c() => {
            stop?;
            eprintln!("\nstopped");
            return Ok(ExitCode::from(130));
        }
    }
    Ok(ExitCode::SUCCESS)
}
