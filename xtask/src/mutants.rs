//! A seeded sample of mutations over the crates that must not be wrong.
//!
//! `cargo mutants` deals all mutations out into shards, one after the other; the seed says which shard is
//! the sample, so it repeats it. (Its filters by name let the deletions of fields through:
//! sourcefrog/cargo-mutants, issue 632.) A mutation that no test notices fails the stage, unless
//! `xtask/survivors.toml` says why nothing can notice it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::run::{output, root, target};
use crate::tools;

const PACKAGES: [&str; 3] = ["writ-keyd", "writ-policy", "writ-proof"];
/// All of the sample, in seconds.
const LIMIT_SECONDS: &str = "1200";
/// One mutation's build and tests, in seconds.
const TIMEOUT_SECONDS: &str = "300";
/// How many mutations are drawn: about as many as fit into the time on two processors.
const SAMPLE: usize = 40;
/// With fewer that were built and tested, the sample says nothing.
const TESTED_MIN: usize = 12;
/// Names the number that another sample is drawn with.
const SEED: &str = "WRIT_MUTANTS_SEED";
/// Without one: the same code has the same sample, and so the same result.
const SEED_DEFAULT: u64 = 1;

/// A mutation that no test can notice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Survivor {
    /// Its name without line and column, which move.
    mutation: String,
    /// Why.
    reason: String,
}

#[derive(Deserialize)]
struct Survivors {
    #[serde(default)]
    survivor: Vec<Survivor>,
}

/// Draws the sample, tests it, and fails for a survivor that is not excused.
pub(crate) fn run() -> Result<()> {
    let seed = match std::env::var(SEED) {
        Ok(text) => text.parse().with_context(|| format!("{SEED} is not a number"))?,
        Err(_) => SEED_DEFAULT,
    };
    let excused = survivors()?;
    let all = list()?.lines().count();
    let shard = shard(all, seed);
    println!("seed {seed}: shard {shard} of {all} mutations ({SEED}=N draws another)");
    let folder = target().join("mutants");
    std::fs::remove_dir_all(folder.join("mutants.out")).ok();
    let tree = folder.join("tree");
    copy_tree(&tree)?;
    let mut command = Command::new("timeout");
    command.args(["--signal=INT", LIMIT_SECONDS, "cargo", "mutants", "--shard", &shard]);
    // Within the shard in any order: if the time does not suffice, every crate has had its share.
    command.args(["--sharding", "round-robin", "--shuffle", "--in-place"]);
    command.args(["--timeout", TIMEOUT_SECONDS, "--test-tool", "nextest"]);
    command.args(packages()).arg("--output").arg(&folder);
    // It compiles programs of its own for half a minute, and is about types, which no mutation changes.
    command.args(["--", "-E", "not test(permit_cannot_be_forged)"]);
    // What is built of other people's crates is kept for the next sample.
    command.env("CARGO_TARGET_DIR", folder.join("build")).env("CARGO_PROFILE_DEV_DEBUG", "0");
    let status = command.current_dir(&tree).env("PATH", tools::path()).status()?;
    // 124: the time is over; 2 and 3: mutants survived or timed out. What that means is judged below.
    if !matches!(status.code(), Some(0 | 2 | 3 | 124)) {
        bail!("cargo mutants failed: {status}");
    }
    judge(&folder.join("mutants.out"), &excused)
}

/// Makes `to` a copy of the checkout without what git ignores: mutations are made in it, one by one.
fn copy_tree(to: &Path) -> Result<()> {
    std::fs::remove_dir_all(to).ok();
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    for name in output(&mut list)?.split_terminator('\0') {
        let (from, to) = (root().join(name), to.join(name));
        // A file that was removed and not yet committed is still in the list.
        if !from.is_file() {
            continue;
        }
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

fn judge(folder: &Path, excused: &BTreeSet<String>) -> Result<()> {
    let lines = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let [caught, missed, timeout, unviable] =
        ["caught.txt", "missed.txt", "timeout.txt", "unviable.txt"].map(lines);
    let tested = caught.len() + missed.len() + timeout.len();
    println!(
        "{} caught, {} missed, {} timed out, {} unviable",
        caught.len(),
        missed.len(),
        timeout.len(),
        unviable.len(),
    );
    let survived: Vec<&String> =
        missed.iter().filter(|name| !excused.contains(&without_place(name))).collect();
    if !survived.is_empty() {
        let survived: Vec<&str> = survived.into_iter().map(String::as_str).collect();
        bail!(
            "no test notices these mutations; write one, or say in xtask/survivors.toml why none can:\n  {}",
            survived.join("\n  ")
        );
    }
    if tested < TESTED_MIN {
        bail!(
            "only {tested} mutations were tested, fewer than {TESTED_MIN}: this sample says nothing"
        );
    }
    Ok(())
}

fn packages() -> impl Iterator<Item = &'static str> {
    PACKAGES.into_iter().flat_map(|package| ["-p", package])
}

/// Every mutation there is, a line each.
fn list() -> Result<String> {
    let mut command = Command::new("cargo");
    command.args(["mutants", "--list"]).args(packages());
    output(command.current_dir(root()).env("PATH", tools::path()))
}

/// `k/n`: one of as many shards as make each of them about [`SAMPLE`] mutations.
fn shard(all: usize, seed: u64) -> String {
    let shards = all.div_ceil(SAMPLE).max(1);
    let mut state = seed;
    format!("{}/{shards}", split_mix(&mut state) % shards as u64)
}

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// `PATH: MUTATION` of `PATH:LINE:COLUMN: MUTATION`.
fn without_place(name: &str) -> String {
    let Some((place, mutation)) = name.split_once(": ") else { return name.to_owned() };
    let path = place.split(':').next().unwrap_or(place);
    format!("{path}: {mutation}")
}

fn survivors() -> Result<BTreeSet<String>> {
    let path = root().join("xtask/survivors.toml");
    let text = std::fs::read_to_string(&path)?;
    let list: Survivors = toml::from_str(&text).context("xtask/survivors.toml")?;
    for Survivor { mutation, reason } in &list.survivor {
        let file = mutation.split(':').next().unwrap_or_default();
        if reason.len() < 20 || !root().join(file).is_file() {
            bail!("xtask/survivors.toml: `{mutation}` needs a reason and a file that exists");
        }
    }
    Ok(list.survivor.into_iter().map(|survivor| survivor.mutation).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_is_decided_by_its_seed() {
        assert_eq!(shard(3340, 7), shard(3340, 7));
        assert_ne!(shard(3340, 7), shard(3340, 8));
        assert!(shard(3340, 7).ends_with("/84"));
        assert_eq!(shard(0, 7), "0/1");
    }

    #[test]
    fn place_of_a_mutation_is_taken_off() {
        let name = "crates/proof/src/note.rs:300:5: replace is_key_name -> bool with true";
        assert_eq!(
            without_place(name),
            "crates/proof/src/note.rs: replace is_key_name -> bool with true"
        );
    }

    #[test]
    fn survivor_or_too_small_a_sample_fails_the_stage() {
        let folder = target().join(format!("mutants-judge-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let caught: String = (0..TESTED_MIN).map(|n| format!("f.rs:{n}:1: caught\n")).collect();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("caught.txt", "f.rs:1:1: caught\n");
        assert!(judge(&folder, &BTreeSet::new()).is_err(), "one is no sample");
        write("caught.txt", &caught);
        assert!(judge(&folder, &BTreeSet::new()).is_ok());
        write("missed.txt", "f.rs:9:9: replace a with b\n");
        assert!(judge(&folder, &BTreeSet::new()).is_err(), "a survivor");
        let excused = BTreeSet::from(["f.rs: replace a with b".to_owned()]);
        assert!(judge(&folder, &excused).is_ok(), "an excused survivor");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
