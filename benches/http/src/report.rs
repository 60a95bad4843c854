//! Medians, ratios, and the tables of `docs/performance.md`.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::case::{Measured, Round};
use crate::cpu::{between, used};
use crate::site::Site;

/// Roles whose CPU time answers a request. watch mirrors the ledger and the supervisor watches the
/// others: they have a column of their own, because a real site runs watch elsewhere.
const SERVING: [&str; 4] = ["front", "keyd", "trail", "s3"];

/// Prints what the processes use without any request.
pub(crate) fn idle(site: &Site, time: Duration) -> Result<()> {
    if time.is_zero() {
        return Ok(());
    }
    let before = used(&site.pids)?;
    sleep(time);
    let idle = between(&before, &used(&site.pids)?);
    let shown: Vec<String> = idle
        .iter()
        .map(|(role, used)| format!("{role} {:.1} ms", millis(*used) / time.as_secs_f64()))
        .collect();
    println!("CPU time a second without requests: {}\n", shown.join(", "));
    Ok(())
}

/// One line for who waits.
pub(crate) fn progress(measured: Option<&Measured>) {
    let Some(measured) = measured else { return };
    let rates: Vec<String> =
        measured.writ.iter().map(|round| format!("{:.0}", rate(round))).collect();
    eprintln!("{}: {} requests/s", measured.name, rates.join(" "));
}

/// Prints the tables.
pub(crate) fn print(results: &[Measured]) {
    println!(
        "| case | server CPU a request: plain | writ | ratio (least..most) | front | keyd | trail | s3 | watch, supervisor |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for measured in results {
        let plain = median(measured.plain.iter().map(|r| of(r, &["plain"])));
        let writ = median(measured.writ.iter().map(|r| of(r, &SERVING)));
        let role = |roles: &[&str]| shown(median(measured.writ.iter().map(|r| of(r, roles))));
        let pairs = measured.plain.iter().zip(&measured.writ);
        let ratios = pairs.map(|(p, w)| of(w, &SERVING) / of(p, &["plain"]));
        let ratios = sorted(ratios);
        println!(
            "| {} | {} | {} | {:.1} ({:.1}..{:.1}) | {} | {} | {} | {} | {} |",
            measured.name,
            shown(plain),
            shown(writ),
            middle(&ratios),
            ratios.first().copied().unwrap_or_default(),
            ratios.last().copied().unwrap_or_default(),
            role(&["front"]),
            role(&["keyd"]),
            role(&["trail"]),
            role(&["s3"]),
            role(&["watch", "supervisor"]),
        );
    }
    println!(
        "\n| case | requests/s: plain | writ | ratio | p50: plain | writ | p99: plain | writ |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for measured in results {
        let at = |rounds: &[Round], share: f64| {
            shown(median(rounds.iter().map(|round| millis(quantile(round, share)))))
        };
        let plain = median(measured.plain.iter().map(rate));
        let writ = median(measured.writ.iter().map(rate));
        println!(
            "| {} | {plain:.0} | {writ:.0} | {:.2} | {} | {} | {} | {} |",
            measured.name,
            writ / plain,
            at(&measured.plain, 0.5),
            at(&measured.writ, 0.5),
            at(&measured.plain, 0.99),
            at(&measured.writ, 0.99),
        );
    }
}

/// Milliseconds of CPU time a request.
fn of(round: &Round, roles: &[&str]) -> f64 {
    let used: Duration = roles.iter().filter_map(|role| round.used.get(*role)).sum();
    millis(used) / round.times.len() as f64
}

fn rate(round: &Round) -> f64 {
    round.times.len() as f64 / round.took.as_secs_f64()
}

fn quantile(round: &Round, share: f64) -> Duration {
    let last = round.times.len().saturating_sub(1);
    round.times.get((last as f64 * share) as usize).copied().unwrap_or_default()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    middle(&sorted(values))
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Milliseconds with three figures that mean something.
fn shown(millis: f64) -> String {
    match millis {
        m if m >= 100.0 => format!("{m:.0} ms"),
        m if m >= 1.0 => format!("{m:.1} ms"),
        m => format!("{:.0} µs", m * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_units() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median(std::iter::empty()), 0.0);
        assert_eq!(
            [0.0123, 1.26, 640.0].map(shown),
            ["12 µs", "1.3 ms", "640 ms"].map(str::to_owned)
        );
    }
}
