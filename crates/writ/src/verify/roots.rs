//! Genesis: as given, signed by all founders, the same everywhere.

use writ_proof::Hash;
use writ_proof::note::{KeyKind, VerifierKey};
use writ_proof::origin::{LogName, Origin};
use writ_proof::roster::{Genesis, Mode, Roster};
use writ_proof::statement::Signed;

use super::finding::{Code, Report};
use super::source::Source;

/// What everything else rests on.
pub(crate) struct Root {
    /// The statement.
    pub(crate) genesis: Genesis,
    /// Its digest.
    pub(crate) digest: Hash,
    /// The roster right after it.
    pub(crate) roster: Roster,
}

impl Root {
    /// The full name of a log.
    pub(crate) fn origin(&self, log: LogName) -> Origin {
        Origin::new(self.genesis.site.clone(), log)
    }

    /// The key that signs a log's checkpoints.
    pub(crate) fn log_key(&self, log: LogName) -> Result<VerifierKey, writ_proof::Error> {
        let key = self.genesis.keyd.checkpoint;
        VerifierKey::new(&self.origin(log).to_string(), KeyKind::Ed25519, key)
    }
}

/// Checks the genesis statement. `given` is its digest as it came out of band, `seen` the one that an
/// earlier verification found. Without a root nothing else can be checked.
pub(crate) fn check(source: &dyn Source, given: Option<Hash>, report: &mut Report) -> Option<Root> {
    let bytes = report.take(source.genesis())?;
    let verified = Signed::from_bytes(&bytes)
        .and_then(|signed| Roster::begin(&signed, given).map(|root| (signed, root)));
    let (signed, (genesis, roster)) = match verified {
        Ok(verified) => verified,
        Err(error) => {
            report.add(Code::Roots, "genesis", error);
            return None;
        }
    };
    let digest = signed.digest();
    let mode = match genesis.mode {
        Mode::Dev => "dev: software keys and founders",
        Mode::Software => "software",
        Mode::Hsm => "hsm",
        Mode::Tee => "tee",
    };
    report.checked("site", &genesis.site);
    report.checked("mode", mode);
    report.compared = given.is_some();
    let compared = if given.is_some() { "as given" } else { "NOT compared: give --genesis" };
    report.checked("genesis", format!("{digest} ({compared})"));
    Some(Root { genesis, digest, roster })
}
