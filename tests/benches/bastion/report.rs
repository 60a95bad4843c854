//! Medians, quantiles and ratios, as the tables of `docs/performance.md`.

use std::time::Duration;

use crate::measure::Deaths;
use crate::plain::Way;

/// The value below which this share of them lies.
pub(crate) fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort();
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Three figures that mean something.
pub(crate) fn shown(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        ms if ms >= 100.0 => format!("{ms:.0} ms"),
        ms if ms >= 1.0 => format!("{ms:.1} ms"),
        ms => format!("{:.0} µs", ms * 1e3),
    }
}

pub(crate) fn latencies(title: &str, all: &[(Way, Vec<Duration>)]) {
    println!(
        "\n{title}\n\n| way | samples | p50 | p99 | added p50 | added p99 |\n|---|--:|--:|--:|--:|--:|"
    );
    let mut first = None;
    for (way, times) in all {
        let mut times = times.clone();
        let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        let (base50, base99) = *first.get_or_insert((p50, p99));
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            way.name(),
            times.len(),
            shown(p50),
            shown(p99),
            shown(p50.saturating_sub(base50)),
            shown(p99.saturating_sub(base99)),
        );
    }
}

pub(crate) fn rates(title: &str, all: &[(Way, Vec<(f64, f64)>)]) {
    println!(
        "\n{title}\n\n| way | down MB/s | up MB/s | down : plain | up : plain |\n|---|--:|--:|--:|--:|"
    );
    let mut first = None;
    for (way, rates) in all {
        let down = median(rates.iter().map(|rate| rate.0).collect());
        let up = median(rates.iter().map(|rate| rate.1).collect());
        let (plain_down, plain_up) = *first.get_or_insert((down, up));
        println!(
            "| {} | {down:.0} | {up:.0} | {:.2} | {:.2} |",
            way.name(),
            down / plain_down,
            up / plain_up
        );
    }
}

pub(crate) fn per_second(title: &str, all: &[(Way, Vec<f64>)]) {
    println!("\n{title}\n\n| way | sessions/s | : plain |\n|---|--:|--:|");
    let mut first = None;
    for (way, rates) in all {
        let rate = median(rates.clone());
        let plain = *first.get_or_insert(rate);
        println!("| {} | {rate:.1} | {:.2} |", way.name(), rate / plain);
    }
}

pub(crate) fn memory(all: &[(&str, u64)]) {
    println!("\nMemory of an idle session (PSS)\n\n| where | KiB |\n|---|--:|");
    for (name, bytes) in all {
        println!("| {name} | {} |", bytes >> 10);
    }
}

pub(crate) fn deaths(busy: usize, deaths: &Deaths) {
    let sessions = deaths.from_command.len();
    println!("\nRevoked to dead, {sessions} sessions, {busy} of 50 in the middle of output\n");
    println!("| from | p50 | p99 | last |\n|---|--:|--:|--:|");
    let (from, answer) = (&deaths.from_command, &deaths.from_answer);
    for (name, times) in [
        ("the start of `writ revoke`", from),
        ("its end", answer),
        ("(`writ revoke` itself)", &deaths.command),
    ] {
        let mut times = times.clone();
        let mut at = |share: f64| shown(quantile(&mut times, share));
        println!("| {name} | {} | {} | {} |", at(0.5), at(0.99), at(1.0));
    }
}
