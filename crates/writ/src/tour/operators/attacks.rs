//! Chapter: attacks on the operators' way in. Each is signed by somebody's own key and sent without our commands.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use writ_proof::access::Approval;
use writ_proof::statement::{Signed, Statement};

use super::super::story::Story;
use super::crew::text;
use super::session::ENDS_WITHIN;
use super::{Shift, request, staff};
use crate::access::decide::draft;
use crate::front::access::api::APPROVALS;

/// The chapter.
pub fn chapter(story: &mut Story, shift: &Shift<'_>) -> Result<()> {
    story.chapter("Attacks on the operators' way in", "C-05");
    let id = request::ask(shift)?;
    approvals(story, shift, &id)?;
    shift.trace.begin()?;
    let refused = by_front_alone(shift);
    let refused = shift.trace.of(refused, "SubmitStatement");
    story.attack("front makes dora an approver, with keys of its own", refused);
    shift.crew.run_as("carla", &["approve", &id])?.saying("granted: ")?;
    let visit = shift.enter("anna")?;
    let _running = visit.begin()?;
    shift.trace.begin()?;
    let refused = visit.forward(shift.host.address);
    let refused = shift.trace.of(refused, "RefuseRequest");
    story.attack("anna forwards a port through the bastion", refused);
    let elsewhere = format!("{}+db-1", shift.host.login);
    let refused = shift.is_refused("anna", &elsewhere, "no host `db-1`");
    story.attack("anna goes on to another host", refused);
    let refused = shift.is_refused("dora", &shift.login(), "no grant lets `dora` log in");
    story.attack("dora uses anna's grant", refused);
    story.about("C-08");
    staff::deliver(&shift.crew, &["terminated", "active", "active", "active"])?;
    // HR's file is looked at each 100 ms, and taken when two looks agree.
    let ended = visit.ends(ENDS_WITHIN + Duration::from_millis(500));
    story.check(
        "HR says that anna has left: her session dies",
        ended.map(|(said, took)| format!("{} ms after HR's file, told: {said}", took.as_millis())),
    );
    let refused = shift.is_refused("anna", &shift.login(), "no grant lets `anna` log in");
    story.attack("anna logs in after she has left", refused);
    shift.trace.begin()?;
    let refused = request::file(shift).and_then(|done| done.refusing("refused"));
    story.attack("… and asks for access again", shift.trace.of(refused, "RequestAccess"));
    Ok(())
}

/// What is done with approvals that others, or nobody, meant so.
fn approvals(story: &mut Story, shift: &Shift<'_>, id: &str) -> Result<()> {
    let right = draft(id.parse()?, &shift.crew.who("boris"))?;
    let own = Approval { approver: "anna".parse()?, ..right.clone() };
    let mut attack = |what: &str, signed: Result<Signed>, part: &str| -> Result<()> {
        shift.trace.begin()?;
        let refused = send(shift, &signed?, part);
        story.attack(what, shift.trace.of(refused, "ApproveAccess"));
        Ok(())
    };
    attack("anna approves her own request", signed(shift, &own, "anna"), "own request")?;
    attack(
        "… and again, in boris's name",
        signed(shift, &right, "anna"),
        "the key that signed it",
    )?;
    let good = signed(shift, &right, "boris")?;
    let changed = forged(&good, b"web-1", b"web-2");
    attack("boris's approval, one byte of its scope changed", changed, "")?;
    let longer =
        Approval { not_after: right.not_after.plus(Duration::from_secs(1)), ..right.clone() };
    attack("an approval of more than was asked", signed(shift, &longer, "boris"), "wider")?;
    let taken = shift.crew.who("boris").send(APPROVALS, &good);
    story.check("control: the right one counts", taken.map(|_| "taken, once".to_owned()));
    let mut attack = |what: &str, signed: Result<Signed>, part: &str| -> Result<()> {
        shift.trace.begin()?;
        let refused = send(shift, &signed?, part);
        story.attack(what, shift.trace.of(refused, "ApproveAccess"));
        Ok(())
    };
    let later = Approval { signed: right.signed.plus(Duration::from_millis(1)), ..right.clone() };
    attack("its nonce once more", signed(shift, &later, "boris"), "BadNonce")?;
    let other = request::ask(shift)?;
    let of_other = draft(other.parse()?, &shift.crew.who("carla"))?;
    let replayed = Approval { nonce: right.nonce, approver: right.approver.clone(), ..of_other };
    attack("boris's nonce for another request", signed(shift, &replayed, "boris"), "BadNonce")
}

fn signed<T: Statement>(shift: &Shift<'_>, statement: &T, person: &str) -> Result<Signed> {
    let mut signed = Signed::new(statement)?;
    let namespace = signed.namespace();
    signed.add(&shift.crew.who(person).sign(signed.body(), namespace.as_str())?)?;
    Ok(signed)
}

/// Other bytes of the same length within a signed statement; the signature stays as it was.
fn forged(signed: &Signed, from: &[u8], to: &[u8]) -> Result<Signed> {
    let mut bytes = signed.to_bytes();
    let at = super::super::reply::find(&bytes, from).context("there is nothing to change")?;
    ensure!(from.len() == to.len(), "a forgery keeps the length");
    bytes.splice(at..at + from.len(), to.iter().copied());
    Ok(Signed::from_bytes(&bytes)?)
}

/// Sends an approval that must be refused.
fn send(shift: &Shift<'_>, signed: &Signed, part: &str) -> Result<String> {
    match shift.crew.who("boris").send(APPROVALS, signed) {
        Ok(_) => bail!("IT WAS TAKEN"),
        Err(error) => {
            let said = format!("{error:#}");
            ensure!(
                said.starts_with("refused (") && said.contains(part),
                "not for `{part}`: {said}"
            );
            Ok(said)
        }
    }
}

/// Somebody who has front makes keys, signs with them that their friend is an approver, and sends it in.
fn by_front_alone(shift: &Shift<'_>) -> Result<String> {
    let crew = &shift.crew;
    let join = ["add-member", "--group=approvers", "--person=dora", "--days=30"];
    let file = crew.propose(&join)?;
    for name in ["front-1", "front-2"] {
        crew.make_key(name)?;
        let key = crew.key(name);
        crew.run(&["roster", "sign", &file, "--key", text(&key)?])?.saying("written to")?;
    }
    let sent = crew.run(&["roster", "submit", &file])?;
    sent.refusing("not in the roster")
}
