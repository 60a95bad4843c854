//! `cargo xtask bench`: each bench beside its baseline, in one run.
//!
//! A bench is a release build. Those outside the workspace share its target directory, so that common
//! dependencies are built once.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{cargo, check, root, target};

struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(options: &[String]) -> Result<()>,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "policy",
        about: "policy decisions: 1, 10 and 100 policies, all layers, 10,000 in the account",
        run: |_| check(&mut cargo(&["bench", "-p", "writ-policy", "--bench", "decide"])),
    },
    Bench {
        name: "cedar",
        about: "the same question to our policy engine and to cedar-policy",
        run: |_| check(outside("reference").args(["bench", "--bench", "beside_cedar"])),
    },
    Bench {
        name: "sigv4",
        about: "verification of a signature beside its hashing alone",
        run: |_| check(&mut cargo(&["bench", "-p", "writ-aws", "--bench", "sigv4"])),
    },
    Bench {
        name: "ledger",
        about: "ledger append beside a raw loop of write and fdatasync",
        run: |_| check(&mut cargo(&["bench", "-p", "writ-trail", "--bench", "append"])),
    },
    Bench {
        name: "http",
        about: "the whole system beside a plain hyper server; OPTIONs are its own, try --help",
        run: http,
    },
    Bench {
        name: "bastion",
        about: "sessions through the bastion beside plain OpenSSH; OPTION is --scale SHARE",
        run: bastion,
    },
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Some((name, options)) = arguments.split_first() else {
        for bench in BENCHES {
            println!("\n== {}: {}", bench.name, bench.about);
            (bench.run)(&[])?;
        }
        return Ok(());
    };
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        let known: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        bail!("there is no bench `{name}`; there are: {}", known.join(", "));
    };
    (bench.run)(options)
}

fn http(options: &[String]) -> Result<()> {
    check(&mut cargo(&["build", "--release", "-p", "writ"]))?;
    check(outside("http").args(["build", "--release"]))?;
    let built = target().join("release");
    let mut bench = Command::new(built.join("writ-http-bench"));
    check(bench.arg("--writ").arg(built.join("writ")).args(options))
}

/// Only what is measured is a release build; what drives it starts stock clients and waits for them.
fn bastion(options: &[String]) -> Result<()> {
    check(&mut cargo(&["build", "--release", "-p", "writ"]))?;
    let mut bench =
        cargo(&["bench", "-p", "writ-tests", "--bench", "bastion", "--profile", "dev", "--"]);
    check(bench.args(options).env("WRIT_BIN", target().join("release").join("writ")))
}

/// Cargo in a package below `benches/`, which is a workspace of its own.
fn outside(package: &str) -> Command {
    let mut command = cargo(&[]);
    command.current_dir(root().join("benches").join(package)).env("CARGO_TARGET_DIR", target());
    command
}
