//! Genesis: as given, signed by all founders, the same everywhere.

use writ_proof::Hash;
use writ_proof::leaf::{Kind, Leaf};
use writ_proof::note::{KeyKind, VerifierKey};
use writ_proof::origin::{LogName, Origin};
use writ_proof::roster::{Genesis, Mode, Roster};
use writ_proof::statement::{Namespace, Signed};

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

/// The statements of the operator log, leaf by leaf: genesis first, then the roster's.
pub(crate) struct Statements<'a> {
    root: &'a Root,
    roster: Roster,
    /// True once leaf 0 has been seen, whatever it was.
    pub(crate) began: bool,
}

impl<'a> Statements<'a> {
    /// Before the first leaf.
    pub(crate) fn new(root: &'a Root) -> Statements<'a> {
        Statements { root, roster: root.roster.clone(), began: false }
    }

    /// Takes over a leaf of any log with its record.
    pub(crate) fn see(&mut self, leaf: &Leaf, record: &[u8], report: &mut Report) {
        let is_first = leaf.log == LogName::Operator && leaf.seq == 0;
        let place = || format!("{} leaf {}", self.root.origin(leaf.log), leaf.seq);
        if is_first {
            self.began = true;
            if leaf.kind != Kind::Statement || leaf.rec != self.root.digest {
                report.add(Code::Roots, place(), "it is not the genesis statement");
            }
            return;
        }
        if leaf.kind != Kind::Statement {
            return;
        }
        let applied = Signed::from_bytes(record).and_then(|signed| match signed.namespace() {
            Namespace::Roster => self.roster.apply(&signed).map(|_| ()),
            _ => Ok(()),
        });
        if let Err(error) = applied {
            report.add(Code::Roots, place(), error);
        }
    }

    /// The number of the newest roster statement.
    pub(crate) fn seq(&self) -> u64 {
        self.roster.seq()
    }
}
