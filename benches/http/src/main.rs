//! The whole system under load: `writ up` and a plain hyper server in turns, driven by one client.
//!
//! Each case runs in rounds, the plain server and Writ after each other, so that what the machine does
//! besides hits both. What counts is the processes' CPU time a request (`utime + stime` of
//! `/proc/PID/stat`), less open to a busy machine than the time on the clock; latency is printed too.

mod baseline;
mod case;
mod cpu;
mod load;
mod report;
mod site;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

/// Drives `writ up` and a plain server in turns; prints a table of CPU time a request.
#[derive(Parser)]
#[command(
    after_help = "Example:\n  writ-http-bench --writ target/release/writ --only kms --rounds 3"
)]
struct Arguments {
    /// The binary under test, a release build.
    #[arg(long, value_name = "FILE", required_unless_present = "serve")]
    writ: Option<PathBuf>,
    /// Where both servers keep their data; it must be passable for other users.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    base: PathBuf,
    /// Rounds of each case.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only the cases whose name contains this.
    #[arg(long, value_name = "PART", default_value = "")]
    only: String,
    /// Multiplies the requests of a round.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Measures for this many seconds what the processes use without any request.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    idle: u64,
    /// Be the plain server, on a free port, with its files here. Used by the bench itself.
    #[arg(long, value_name = "DIR")]
    serve: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(folder) = arguments.serve {
        return baseline::serve(&folder);
    }
    let writ = arguments.writ.unwrap_or_default();
    let base = site::Base::new(&arguments.base)?;
    let plain = site::Plain::start(base.path())?;
    let site = site::Site::start(&writ, base.path())?;
    let world = case::World::prepare(&site, &plain)?;
    report::idle(&site, Duration::from_secs(arguments.idle))?;
    let cases = case::all(&world);
    let cases = cases.iter().filter(|case| case.name.contains(&arguments.only));
    let mut results = Vec::new();
    for case in cases {
        results.push(case::run(case, &world, arguments.rounds, arguments.scale)?);
        report::progress(results.last());
    }
    report::print(&results);
    Ok(())
}
