//! The machine and the versions that the figures belong to.

use std::fs;
use std::thread;

use serde_json::{Map, Value, json};

/// Whose versions go beside the figures.
const CONTESTANTS: [&str; 12] = [
    "limitpal",
    "governor",
    "throttle-net",
    "leaky-bucket",
    "ratelimit",
    "recloser",
    "failsafe",
    "tower",
    "tower-resilience",
    "trypema",
    "tokio",
    "quanta",
];

/// Returns processor, memory, system and compiler.
pub(crate) fn describe() -> Value {
    let kernel = read("/proc/sys/kernel/osrelease");
    let system = field(&read("/etc/os-release"), "PRETTY_NAME", '=').replace('"', "");
    let kibibytes = field(&read("/proc/meminfo"), "MemTotal", ':');
    let kibibytes = kibibytes.trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0);
    json!({
        "cpu": field(&read("/proc/cpuinfo"), "model name", ':'),
        "cores": thread::available_parallelism().map_or(0, usize::from),
        "memory_gib": (kibibytes / f64::from(1 << 20)).round(),
        "os": format!("{system}, Linux {}", kernel.trim()),
        "rustc": env!("BUILT_WITH").trim_start_matches("rustc "),
    })
}

/// Returns the versions that this build was locked to.
pub(crate) fn versions() -> Map<String, Value> {
    let lock = include_str!("../Cargo.lock");
    let locked = |name: &str| {
        let (_, package) = lock.split_once(&format!("\nname = \"{name}\"\n"))?;
        let version = package.lines().next()?.strip_prefix("version = ")?;
        Some(json!(version.trim_matches('"')))
    };
    let known = CONTESTANTS.iter().filter_map(|name| Some(((*name).to_owned(), locked(name)?)));
    known.collect()
}

/// Returns the resident memory of this process in bytes.
pub(crate) fn resident_bytes() -> f64 {
    let kibibytes = field(&read("/proc/self/status"), "VmRSS", ':');
    kibibytes.trim_end_matches(" kB").parse::<f64>().expect("Linux tells VmRSS") * 1024.0
}

/// Returns the processor time that this process has used, in milliseconds.
pub(crate) fn processor_millis() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 * 1e3 + used.tv_nsec as f64 / 1e6
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Returns the value of the first line that has this name.
fn field(text: &str, name: &str, separator: char) -> String {
    let values = text.lines().filter_map(|line| line.split_once(separator));
    let mut found = values.filter(|(key, _)| key.trim() == name);
    found.next().map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}
