//! What a person sees: progress while it runs, and the table at the end.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::clients::Client;
use crate::meter::Meter;
use crate::plan::Plan;
use crate::provider::Books;

const BAR: usize = 10;
const REDRAW_EVERY: Duration = Duration::from_millis(100);
const REDRAWS_PER_LINE: u32 = 10;
const EDGES: &str =
    "into the outage (requests on their way when it begins or ends fall on either side)";

/// Returns one line on how far a client is, short enough for 80 columns.
fn progress_line(name: &str, meter: &Meter) -> String {
    let elapsed = meter.elapsed();
    let (over, all) = (meter.over(), meter.plan.requests);
    let bar = "#".repeat(BAR * over as usize / all as usize);
    let mut line = format!(
        "{name:<8} [{bar:.<BAR$}] {over:>3}/{all}{:5.1}s  ok {}  sent {}  429 {}  5xx {}",
        elapsed.as_secs_f64(),
        meter.done.get(),
        meter.sent.get(),
        meter.over_quota.get(),
        meter.server_errors.get(),
    );
    if meter.plan.in_outage(elapsed) {
        line += "  DOWN";
    }
    if let Some(state) = meter.breaker_state.get() {
        line += &format!("  {state}");
    }
    line
}

/// Shows progress until dropped: one line redrawn on a terminal, else one line a second.
pub(crate) async fn show_progress(client: &Client, meter: &Meter) {
    let terminal = is_terminal();
    let mut ticks = interval(REDRAW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    for tick in 1_u32.. {
        ticks.tick().await;
        client.look(meter);
        let line = progress_line(client.name(), meter);
        if terminal {
            let (terminal_size::Width(width), _) = terminal_size::terminal_size()
                .unwrap_or((terminal_size::Width(80), terminal_size::Height(24)));
            let width = usize::from(width).saturating_sub(1);
            print!("\r\x1b[K{}", line.get(..width).unwrap_or(&line));
            // Progress that cannot be shown is no reason to stop.
            let _ = std::io::stdout().flush();
        } else if tick.is_multiple_of(REDRAWS_PER_LINE) {
            println!("{line}");
        }
    }
}

/// Shows where a client stands when its turn is over.
pub(crate) fn show_end(client: &Client, meter: &Meter) {
    let start = if is_terminal() { "\r\x1b[K" } else { "" };
    println!("{start}{}", progress_line(client.name(), meter));
}

fn is_terminal() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A line of the table: its title, and a meter's cell in it.
type Row = (&'static str, fn(&Meter) -> String);

const ROWS: [Row; 11] = [
    ("jobs done", |meter| format!("{} of {}", meter.done.get(), meter.plan.requests)),
    ("success rate", |meter| {
        let share = f64::from(meter.done.get()) / f64::from(meter.plan.requests);
        format!("{:.1} %", 100.0 * share)
    }),
    ("requests sent", |meter| meter.sent.get().to_string()),
    ("429 received", |meter| meter.over_quota.get().to_string()),
    ("5xx received", |meter| meter.server_errors.get().to_string()),
    ("no answer", |meter| meter.unanswered.get().to_string()),
    ("sent into the outage", |meter| meter.into_outage.get().to_string()),
    ("turned away on our side", |meter| meter.turned_away.get().to_string()),
    ("wait for quota", wait_cell),
    ("breaker transitions", |meter| match meter.breaker_state.get() {
        Some(_) => meter.transitions.borrow().len().to_string(),
        None => "no breaker".to_owned(),
    }),
    ("time", |meter| format!("{:.1} s", meter.took.get().as_secs_f64())),
];

fn wait_cell(meter: &Meter) -> String {
    let waits = meter.waits.borrow();
    let (Some(most), Ok(count)) = (waits.iter().max(), u32::try_from(waits.len())) else {
        return "no limiter".to_owned();
    };
    let mean = waits.iter().sum::<Duration>() / count;
    format!("{:.2} s mean, {:.2} s most", mean.as_secs_f64(), most.as_secs_f64())
}

/// Returns the counts of all clients side by side.
pub(crate) fn table(columns: &[(&str, &Meter)]) -> String {
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(columns.iter().map(|(name, _)| (*name).to_owned()));
    for (title, cell) in ROWS {
        let mut row = vec![title.to_owned()];
        row.extend(columns.iter().map(|(_, meter)| cell(meter)));
        rows.push(row);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=columns.len()).map(width).collect();
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let mut line = format!("{:<width$}", row[0], width = widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                line += &format!("  {cell:>width$}");
            }
            line
        })
        .collect();
    let rule = "-".repeat(lines[0].len());
    lines.insert(1, rule.clone());
    lines.push(rule);
    lines.join("\n")
}

/// Returns the breaker's story, one line a transition.
pub(crate) fn transition_lines(meter: &Meter) -> Vec<String> {
    let line = |seen: &crate::meter::Transition| {
        format!("  {:6.2} s  {} -> {}", seen.at.as_secs_f64(), seen.before, seen.after)
    };
    meter.transitions.borrow().iter().map(line).collect()
}

/// Returns where the client's counts and the provider's own books differ.
pub(crate) fn differences(meter: &Meter, books: &Books) -> Vec<String> {
    [
        ("requests", meter.sent.get(), books.received),
        ("429", meter.over_quota.get(), books.over_quota),
        ("5xx", meter.server_errors.get(), books.server_errors),
        (EDGES, meter.into_outage.get(), books.into_outage),
    ]
    .into_iter()
    .filter(|(_, ours, theirs)| ours != theirs)
    .map(|(title, ours, theirs)| format!("{title}: counted {ours} here, {theirs} there"))
    .collect()
}

/// Says what is about to happen.
pub(crate) fn introduce(plan: &Plan, url: &str) {
    println!(
        "A hard provider at {url}: {} requests in any {} s, {} % random 503,\n\
         {} % slow answers, down from {:.1} s to {:.1} s. {} jobs in {} bursts, {} s apart.\n\
         naive: up to {tries} tries, one right after the other.\n\
         limitpal: up to {tries} attempts with backoff, {} a second (burst {}), a circuit breaker.\n\
         On the way: jobs over, time, jobs done, requests sent, and DOWN while the provider is.\n",
        plan.quota(),
        Plan::WINDOW.as_secs(),
        Plan::FAILURE_PERCENT,
        Plan::SLOW_PERCENT,
        Plan::OUTAGE_START.as_secs_f64(),
        plan.outage_end().as_secs_f64(),
        plan.requests,
        Plan::BURSTS,
        Plan::BURST_GAP.as_secs(),
        plan.rate(),
        plan.burst(),
        tries = Plan::TRIES,
    );
}
