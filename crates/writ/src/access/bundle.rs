//! The evidence of one grant in one file, which `tar` and `ssh-keygen` alone can check.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_proof::roster::Roster;
use writ_proof::sshsig::SshSig;
use writ_proof::statement::Signed;

use super::describe;
use crate::front::access::show::ShownRequest;

/// A block of a tar file (POSIX.1-1988, ustar).
const BLOCK: usize = 512;

/// The tar file of a request with what was decided on it.
pub fn make(shown: &ShownRequest, roster: &Roster) -> Result<Vec<u8>> {
    let mut tar = Tar::default();
    let mut allowed = BTreeSet::new();
    let mut commands = String::new();
    let request = signed(shown.statement.as_deref())?;
    let mut add = |name: &str, who: &str, signed: &Signed| -> Result<()> {
        let signature = signed.signatures().first().context("a statement has no signature")?;
        let signature = SshSig::from_bytes(signature)?;
        let namespace = signed.namespace();
        allowed
            .insert(format!("{who} namespaces=\"request@writ,approval@writ\" {}", signature.key()));
        tar.file(name, signed.body())?;
        tar.file(&format!("{name}.sig"), signature.to_armor().as_bytes())?;
        writeln!(
            commands,
            "ssh-keygen -Y verify -f allowed_signers -I {who} -n {namespace} -s {name}.sig < {name}"
        )?;
        Ok(())
    };
    add("request", shown.requester.as_str(), &request)?;
    for decision in &shown.decisions {
        let name = format!("{}-{}", decision.decision, decision.approver);
        add(&name, decision.approver.as_str(), &signed(decision.statement.as_deref())?)?;
    }
    let allowed: Vec<String> = allowed.into_iter().collect();
    tar.file("allowed_signers", format!("{}\n", allowed.join("\n")).as_bytes())?;
    let body = writ_proof::cbor::from_slice(request.body())?;
    let readme = format!(
        "Evidence of access request {}\n\n{}  digest    {}\n\nEach line checks one signature with OpenSSH alone; \
         each must say Good:\n\n{commands}\nA statement is CBOR (RFC 8949); `request` and each decision are the bytes that \
         were signed, and a decision\nholds the digest of the signed request. allowed_signers has the keys that signed; \
         whose they are, says the\nroster of the installation (`writ roster show --genesis SHA256`), statement {} when this \
         was written. That all of it\nis in the operator log, says `writ verify`.\n",
        shown.id,
        describe::request(&body, roster),
        shown.digest,
        roster.seq(),
    );
    tar.file("README", readme.as_bytes())?;
    Ok(tar.finish())
}

fn signed(text: Option<&str>) -> Result<Signed> {
    let bytes = STANDARD.decode(text.context("the reply lacks a statement")?)?;
    Ok(Signed::from_bytes(&bytes)?)
}

#[derive(Default)]
struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// Adds a file.
    fn file(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let mut head = Vec::with_capacity(BLOCK);
        let mut field = |text: &str, width: usize| -> Result<()> {
            let rest = width.checked_sub(text.len()).context("a name is too long for tar")?;
            head.extend_from_slice(text.as_bytes());
            head.resize(head.len() + rest, 0);
            Ok(())
        };
        field(name, 100)?;
        field("0000644", 8)?;
        field("0000000", 8)?;
        field("0000000", 8)?;
        field(&format!("{:011o}", content.len()), 12)?;
        field("00000000000", 12)?;
        // The sum is taken with blanks in its own place.
        field("        ", 8)?;
        field("0", 1)?;
        field("", 100)?;
        field("ustar", 6)?;
        field("00", 2)?;
        field("", BLOCK - 265)?;
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        let sum = format!("{sum:06o}\0 ");
        head.iter_mut().skip(148).zip(sum.bytes()).for_each(|(to, from)| *to = from);
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}
