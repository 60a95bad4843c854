//! C-02: how an attack on the key module is judged. Each must be refused for its own reason, and leave
//! its own record.

use writ_keyd_client::protocol::{Refusal, Reply};
use writ_proof::use_record::{Use, UseResult};
use writ_tests::keyd::Keyd;

/// The refusal that a command must meet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why {
    /// This code of AWS's, with a message that holds this.
    Aws(&'static str, &'static str),
    /// The peer may not ask this: a reason that holds this.
    Forbidden(&'static str),
}

/// What a refused command must leave in keyd's chain.
#[derive(Debug, Clone, Copy)]
pub(super) enum Left {
    /// Nothing, and why.
    Nothing(&'static str),
    /// One denied use of this operation, with the code of the refusal.
    Record(&'static str),
}

/// The attacks of one test; all of them are made before it fails.
pub(super) struct Checks<'k> {
    keyd: &'k Keyd,
    faults: Vec<String>,
    refused: usize,
    unrecorded: Vec<String>,
    controls: usize,
}

impl<'k> Checks<'k> {
    pub(super) fn new(keyd: &'k Keyd) -> Checks<'k> {
        Checks { keyd, faults: Vec::new(), refused: 0, unrecorded: Vec::new(), controls: 0 }
    }

    /// The command must be refused so, and leave this; gives its record.
    pub(super) fn check<T>(
        &mut self,
        what: &str,
        command: impl FnOnce() -> Result<T, Refusal>,
        why: Why,
        left: Left,
    ) -> Option<Use> {
        let before = self.keyd.recorded();
        let result = command();
        let records = self.keyd.uses_after(before);
        let fault = match &result {
            Ok(_) => Some("it was carried out".to_owned()),
            Err(refusal) if !why.is(refusal) => Some(format!("refused otherwise: {refusal:?}")),
            Err(refusal) => left.fault(&records, &code(refusal)),
        };
        self.refused += 1;
        if let Left::Nothing(reason) = left {
            self.unrecorded.push(format!("{what}: {reason}"));
        }
        self.faults.extend(fault.map(|fault| format!("{what}: {fault}")));
        records.into_iter().next()
    }

    /// The right command: it is carried out, so that the attacks fail for what is wrong in them.
    #[track_caller]
    pub(super) fn control(&mut self, what: &str, result: Result<Reply, Refusal>) -> Reply {
        self.controls += 1;
        result.unwrap_or_else(|refusal| {
            panic!("the control `{what}`: {refusal:?}; before it: {:?}", self.faults)
        })
    }

    /// Fails if an attack was not refused as it must be.
    #[track_caller]
    pub(super) fn finish(self) {
        self.unrecorded.iter().for_each(|what| println!("leaves no record: {what}"));
        println!("{} attacks, {} without a record", self.refused, self.unrecorded.len());
        assert!(self.controls > 0, "no control: everything may be refused here");
        assert!(
            self.faults.is_empty(),
            "{} faults:\n{}",
            self.faults.len(),
            self.faults.join("\n")
        );
    }
}

impl Why {
    fn is(self, refusal: &Refusal) -> bool {
        match (self, refusal) {
            (Why::Aws(code, part), Refusal::Aws(aws)) => {
                aws.code == code && aws.message.contains(part)
            }
            (Why::Forbidden(part), Refusal::Forbidden(reason)) => reason.contains(part),
            _ => false,
        }
    }
}

impl Left {
    fn fault(self, records: &[Use], code: &str) -> Option<String> {
        let denied = UseResult::Denied(code.to_owned());
        let shown: Vec<(&str, &UseResult)> =
            records.iter().map(|used| (used.op.as_str(), &used.result)).collect();
        let right = match (self, shown.as_slice()) {
            (Left::Nothing(_), []) => true,
            (Left::Record(op), [(found, result)]) => *found == op && **result == denied,
            _ => false,
        };
        (!right).then(|| format!("it must leave {self:?} with {code}, but left {shown:?}"))
    }
}

/// The code that a record of this refusal has.
fn code(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Aws(aws) => aws.code.clone(),
        Refusal::Forbidden(_) => "Forbidden".to_owned(),
        Refusal::Repeated(_) => "Repeated".to_owned(),
        Refusal::Unavailable(_) => "ServiceUnavailable".to_owned(),
    }
}
