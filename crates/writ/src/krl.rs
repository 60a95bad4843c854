//! `writ krl`: brings the list of revoked certificates to a host's `sshd` (`RevokedKeys`).
//!
//! Whoever serves the list is not believed: keyd's signature is checked with the key that genesis names, an
//! older list than the one that is there is refused, and so is one that is too old. `sshd` refuses every login
//! while the file is missing or cut, so it is replaced by a rename, and left alone by a failure.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use writ_model::{Env as _, SystemEnv};
use writ_proof::krl::Krl;
use writ_proof::roster::Genesis;
use writ_proof::sshsig::{SshPublicKey, SshSig};
use writ_proof::statement::Namespace;

use crate::front::statements::KRL;
use crate::roster::client::Client;
use crate::roster::source::SourceArgs;
use crate::up::data::write_durably;

/// A file above this is no list of ours.
const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// A host's clock may be behind ours by this much.
const CLOCK_SKEW_SECS: u64 = 120;

/// `writ krl …`.
#[derive(clap::Args)]
pub struct KrlArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The file that `RevokedKeys` of sshd_config names.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How old a list may be, such as `10m`.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = crate::access::seconds)]
    max_age: u64,
    /// Fetch nothing: say how old the list is that is there.
    #[arg(long)]
    check: bool,
}

#[derive(Deserialize)]
struct Answer {
    krl: String,
    signature: String,
}

/// Fetches, checks and installs the list, or says how old the one is that is there.
///
/// # Errors
/// What is wrong with it and what to do.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn run(args: &KrlArgs) -> Result<()> {
    let now = SystemEnv.now().secs();
    let held = held(&args.out)?;
    if args.check {
        let held = held.with_context(|| {
            format!("`{}` is not there: sshd refuses every login", args.out.display())
        })?;
        check_age(&held, now, args.max_age)?;
        println!("version {}, {} s old", held.version(), now.saturating_sub(held.date()));
        return Ok(());
    }
    let (genesis, _) = args.source.roster()?;
    let (bytes, new) = fetch(&args.source.client()?, &genesis)?;
    check_age(&new, now, args.max_age)?;
    if let Some(held) = held.filter(|held| held.version() > new.version()) {
        bail!(
            "the list is older (version {}) than the one that is there (version {}): somebody shows an old one",
            new.version(),
            held.version()
        );
    }
    write_durably(&args.out, &bytes, 0o644)?;
    println!("version {}, {} bytes in `{}`", new.version(), bytes.len(), args.out.display());
    Ok(())
}

fn held(path: &Path) -> Result<Option<Krl>> {
    let bytes = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.len() > FILE_MAX_BYTES => bail!("`{}` is no list of ours", path.display()),
        _ => std::fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?,
    };
    // A damaged one locks everybody out, and is replaced.
    Ok(Krl::from_bytes(&bytes).ok())
}

fn fetch(client: &Client, genesis: &Genesis) -> Result<(Vec<u8>, Krl)> {
    let reply = client.exchange("GET", KRL, &[], b"")?;
    let answer: Answer = serde_json::from_slice(&reply).context("the reply cannot be read")?;
    let bytes = STANDARD.decode(answer.krl).context("the reply cannot be read")?;
    let signature = STANDARD.decode(answer.signature).context("the reply cannot be read")?;
    let signature = SshSig::from_bytes(&signature)?;
    let verified = signature.verify(&bytes, Namespace::Krl.as_str());
    let verified = verified.context("the list is not what was signed: leave the old one")?;
    if verified.key != SshPublicKey::Ed25519(genesis.keyd.krl.0) {
        bail!(
            "the list is signed by another key than the one that genesis names: leave the old one"
        );
    }
    let krl = Krl::from_bytes(&bytes)?;
    Ok((bytes, krl))
}

fn check_age(krl: &Krl, now: u64, max_age: u64) -> Result<()> {
    let date = krl.date();
    if date > now.saturating_add(CLOCK_SKEW_SECS) {
        bail!("the list is of the future: look at the clocks");
    }
    let age = now.saturating_sub(date);
    if age > max_age {
        bail!("the list is {age} s old, and may be {max_age} s: look why no newer one comes");
    }
    Ok(())
}
