//! CPU time of processes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// CPU time by the process's role.
pub(crate) type Used = BTreeMap<String, Duration>;

/// What these processes have used since their start: `utime + stime` of `/proc/PID/stat`.
pub(crate) fn used(pids: &BTreeMap<String, u32>) -> Result<Used> {
    pids.iter().map(|(role, pid)| Ok((role.clone(), of(*pid)?))).collect()
}

/// What was used between two readings.
pub(crate) fn between(before: &Used, after: &Used) -> Used {
    let since = |role: &String| before.get(role).copied().unwrap_or_default();
    after.iter().map(|(role, used)| (role.clone(), used.saturating_sub(since(role)))).collect()
}

fn of(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name may hold spaces and brackets; fields are counted from behind it (proc(5)).
    let (_, fields) = text.rsplit_once(')').context("a stat line without a name")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().context("too few fields")?.parse()?) };
    let ticks = next()? + next()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(ticks * 1000 / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_grows_with_work() {
        let me = BTreeMap::from([("me".to_owned(), std::process::id())]);
        let before = used(&me).unwrap();
        let mut sum = 0u64;
        while between(&before, &used(&me).unwrap())["me"] < Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(used(&me).unwrap()["me"] >= Duration::from_millis(20));
    }
}
