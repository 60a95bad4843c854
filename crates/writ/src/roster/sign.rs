//! Signing a statement: through `ssh-keygen`, or in mode `dev` with a software founder.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_console::caller;
use writ_model::{Env as _, SystemEnv};
use writ_proof::ed25519::SoftKey;
use writ_proof::roster::{RosterStatement, Rule};
use writ_proof::sshsig::SshSig;
use writ_proof::statement::{Namespace, Signed};
use zeroize::Zeroizing;

use super::source::SourceArgs;
use super::{describe, read};
use crate::up::data::write_durably;

/// What `writ roster sign` takes.
#[derive(clap::Args)]
pub struct SignArgs {
    /// The statement; the signature is added to it.
    file: PathBuf,
    /// An SSH key as `ssh-keygen -Y sign -f` takes it: a private key, or a public one whose private half
    /// is in the agent or on a token.
    #[arg(long, value_name = "PATH", conflicts_with = "founder")]
    key: Option<PathBuf>,
    /// The software founder of this number, from DIR/founders; mode dev.
    #[arg(long, value_name = "N", required_unless_present = "key")]
    founder: Option<u32>,
    /// The data directory, for --founder.
    #[arg(long, value_name = "DIR", default_value = "writ-data")]
    data: PathBuf,
}

/// Prints the statement and adds one signature.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn run(args: &SignArgs) -> Result<()> {
    let (mut signed, statement) = read(&args.file)?;
    print!("{}", describe::statement(&statement));
    let signature = match (&args.key, args.founder) {
        (Some(key), _) => by_key(signed.body(), signed.namespace().as_str(), key)?,
        (None, Some(number)) => {
            let key = founder(&args.data, number)?;
            SshSig::sign(signed.body(), signed.namespace().as_str(), &key)?
        }
        (None, None) => bail!("name a key with --key, or in mode dev a founder with --founder"),
    };
    if signers(&signed).contains(signature.key()) {
        bail!("{:?} has signed it already; another person must", signature.key());
    }
    signed.add(&signature).context("the signature does not hold")?;
    write_durably(&std::path::absolute(&args.file)?, &signed.to_bytes(), 0o644)?;
    print!("{}", describe::signatures(&signed));
    let file = args.file.display();
    let (sign, send) = (format!("writ roster sign {file}"), format!("writ roster submit {file}"));
    let (n, enough) = (signed.signatures().len(), judged(args, &signed, &statement));
    println!("written to {file}\n{}", next(n, &enough, &sign, &send));
    Ok(())
}

/// By the roster of the data directory, where there is one and it is this installation's.
fn judged(args: &SignArgs, signed: &Signed, statement: &RosterStatement) -> Enough {
    let source = SourceArgs { data: args.data.clone(), endpoint: None, ca: None, genesis: None };
    let Ok((_, mut roster)) = source.roster() else { return Enough::Unknown };
    if *roster.site() != statement.site {
        return Enough::Unknown;
    }
    let follows = statement.prev == roster.head();
    let rule = roster.rule(Namespace::Roster).filter(|_| follows).cloned();
    match roster.apply(signed) {
        Ok(_) => Enough::Yes,
        Err(error) => Enough::No(rule, error.to_string()),
    }
}

/// Whether a statement has the signatures that it needs.
pub enum Enough {
    /// It is not known here what its rule is.
    Unknown,
    /// It has them.
    Yes,
    /// Its rule, if signatures may be what it lacks, and what is wrong.
    No(Option<Rule>, String),
}

/// What is to be done with a statement of `n` signatures: `sign` and `send` are the commands for it.
pub fn next(n: usize, enough: &Enough, sign: &str, send: &str) -> String {
    match enough {
        Enough::Unknown => {
            format!("signed by {n} so far; when all whom the rule asks have signed: `{send}`")
        }
        Enough::Yes => format!("signed by {n}, as its rule wants; next: `{send}`"),
        Enough::No(Some(rule), _) if n < usize::try_from(rule.threshold).unwrap_or(usize::MAX) => {
            let of = rule.group.as_ref().map_or(String::new(), |group| format!(" of `{group}`"));
            format!("{n} of {} signatures; next: `{sign}` by another{of}", rule.threshold)
        }
        Enough::No(_, why) => format!("signed by {n}, but it cannot be sent in as it is: {why}"),
    }
}

fn signers(signed: &Signed) -> Vec<writ_proof::sshsig::SshPublicKey> {
    let held = signed.signatures().iter().filter_map(|bytes| SshSig::from_bytes(bytes).ok());
    held.map(|signature| signature.key().clone()).collect()
}

/// What a file with a software key's 32 bytes ends in; its public half lies beside it, in FILE.pub.
pub const SEED: &str = "seed";

/// Signs with a person's key file: through `ssh-keygen`, or here with a software key such as the founders' of mode `dev`.
pub fn by_key(message: &[u8], namespace: &str, key: &Path) -> Result<SshSig> {
    match key.extension().is_some_and(|ending| ending == SEED) {
        true => Ok(SshSig::sign(message, namespace, &soft_key(key)?)?),
        false => by_ssh_keygen(message, namespace, key),
    }
}

/// `ssh-keygen` asks for passphrase, PIN and touch on the terminal itself.
#[expect(clippy::disallowed_methods, reason = "the person's keys are ssh-keygen's to reach")]
fn by_ssh_keygen(message: &[u8], namespace: &str, key: &Path) -> Result<SshSig> {
    // -q leaves out that it signs standard input. Its standard error stays ours, so that it asks for a
    // touch at once.
    let mut child = std::process::Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("`ssh-keygen` cannot be started; install OpenSSH's client")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(message)?;
    }
    let mut armor = String::new();
    if let Some(output) = &mut child.stdout {
        output.read_to_string(&mut armor)?;
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`ssh-keygen -Y sign -f {}` failed; see its message above", key.display());
    }
    SshSig::from_armor(&armor).context("ssh-keygen made a signature of a kind that is not taken")
}

/// The fields that prove who sends a request without a query; `sign` makes the signature.
pub fn proof(
    (method, path, body): (&str, &str, &[u8]),
    sign: impl FnOnce(&[u8]) -> Result<SshSig>,
) -> Result<[(&'static str, String); 2]> {
    let date = SystemEnv.now().basic();
    let signature = sign(caller::message(method, path, &date, body).as_bytes())?;
    let proof = format!("{}{}", caller::SCHEME, STANDARD.encode(signature.to_bytes()));
    Ok([(caller::DATE, date), ("authorization", proof)])
}

/// The key of a software founder; mode `dev`.
pub fn founder(data: &Path, number: u32) -> Result<SoftKey> {
    let path = data.join(format!("founders/founder-{number}.{SEED}"));
    soft_key(&path).context("software founders are in mode dev only")
}

/// The software key in a file.
pub fn soft_key(path: &Path) -> Result<SoftKey> {
    let read = std::fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()));
    let seed = Zeroizing::new(read?);
    let seed = <[u8; 32]>::try_from(seed.as_slice());
    let seed = Zeroizing::new(seed.with_context(|| format!("`{}` is damaged", path.display()))?);
    Ok(SoftKey::from_seed(&seed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_of_two_signers_is_not_told_to_submit() {
        let rule = Rule {
            namespace: Namespace::Roster,
            threshold: 2,
            hardware: false,
            group: Some("founders".parse().unwrap()),
        };
        let told = |enough| next(1, &enough, "SIGN", "SEND");
        let lacks = |rule: Rule| Enough::No(Some(rule), "counted: anna".to_owned());
        assert_eq!(
            told(lacks(rule.clone())),
            "1 of 2 signatures; next: `SIGN` by another of `founders`"
        );
        assert!(told(Enough::Unknown).starts_with("signed by 1 so far; when all"));
        assert!(told(Enough::Yes).ends_with("next: `SEND`"));
        // Enough signatures, and not of the people who count.
        assert!(told(lacks(Rule { threshold: 1, ..rule })).ends_with("as it is: counted: anna"));
    }
}
