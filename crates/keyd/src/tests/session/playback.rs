//! Recordings, opened by a front that cheats.

use writ_keyd_client::operator::{OpenRecording, OpenedRecording};
use writ_model::AccountId;
use writ_proof::access::{Opening, PlaybackScope, seal_info};
use writ_proof::hpke::Recipient;

use super::*;

/// A session that p11 has opened, with its recording's key.
struct Shelf {
    gate: Gate,
    recording: RecordingKey,
}

impl Shelf {
    fn new() -> Shelf {
        let gate = Gate::new();
        gate.sign(gate.ask()).unwrap();
        let recording = gate.new_recording(Ulid::from_bytes([5; 16])).unwrap();
        Shelf { gate, recording }
    }

    /// p14 asks to read it.
    fn request(&self) -> Request {
        let scope = PlaybackScope {
            session: self.recording.facts.session,
            host: self.recording.facts.host.clone(),
            accounts: self.recording.facts.accounts.clone(),
        };
        let id = Ulid::from_bytes([10; 16]);
        let scope = Scope::Playback(scope);
        Request { id, requester: person(14), scope, ..self.gate.request() }
    }

    fn opening(&self, request: &Request, n: u8) -> Opening {
        Opening {
            v: Version,
            site: request.site.clone(),
            request: request.id,
            request_digest: signed_by(request, &[14]).digest(),
            session: Ulid::from_bytes([5; 16]),
            person: person(n),
            recipient: Recipient::new(&[42; 32]).unwrap().public(),
            signed: self.gate.site.env.now(),
        }
    }

    fn ask(&self, request: &Request, approvers: &[u8], opening: &Signed) -> OpenRecording {
        let signed = signed_by(request, &[14]);
        let approvals = approvers.iter().map(|n| {
            let approval = approval(request, signed.digest(), *n);
            signed_by(&approval, &[*n]).to_bytes()
        });
        OpenRecording {
            evidence: Evidence { request: signed.to_bytes(), approvals: approvals.collect() },
            opening: opening.to_bytes(),
            sealed: self.recording.sealed.clone(),
            facts: self.recording.facts.clone(),
            event_id: Uuid::from_bytes([4; 16]),
        }
    }

    /// What front sends when all is well, and what the reader signed.
    fn good(&self) -> (OpenRecording, Signed) {
        let request = self.request();
        let opening = signed_by(&self.opening(&request, 14), &[14]);
        (self.ask(&request, &[12, 13], &opening), opening)
    }

    fn open(&self, asked: OpenRecording) -> Result<OpenedRecording, Refusal> {
        let engine = &self.gate.site.engine;
        match engine.handle(Role::Front, Command::OpenRecording(Box::new(asked)))? {
            Reply::OpenedRecording(opened) => Ok(*opened),
            _ => panic!("no key"),
        }
    }

    fn refused(&self, asked: OpenRecording, why: &str) {
        let Err(Refusal::Forbidden(text)) = self.open(asked) else { panic!("{why}: not refused") };
        assert!(text.contains(why), "{why}: {text}");
        let record = ("open-recording".to_owned(), "Forbidden".to_owned());
        assert_eq!(self.gate.site.last_record(), record);
    }
}

#[test]
fn recordings_key_goes_to_its_reader_alone() {
    let shelf = Shelf::new();
    let (asked, opening) = shelf.good();
    let grant = Signed::from_bytes(&asked.evidence.request).unwrap().digest();
    let opened = shelf.open(asked).unwrap();
    assert_eq!((opened.person, opened.grant), (person(14), grant));
    let reader = Recipient::new(&[42; 32]).unwrap();
    let key = reader.open(&seal_info(&opening), &opened.sealed).unwrap();
    assert_eq!(key.as_slice(), shelf.recording.key.expose());
    let front = Recipient::new(&[43; 32]).unwrap();
    assert!(front.open(&seal_info(&opening), &opened.sealed).is_err());
    let records = shelf.gate.site.records();
    let Some(What::Use(record)) = records.last().map(|record| &record.what) else { panic!() };
    assert_eq!((record.op.as_str(), record.basis), ("open-recording", Basis::Roster));
    assert_eq!(
        (record.proof, record.event_id),
        (UseProof::Request(grant), Uuid::from_bytes([4; 16]))
    );
}

#[test]
fn recording_without_approval_of_others_is_not_opened() {
    let shelf = Shelf::new();
    let request = shelf.request();
    let opening = signed_by(&shelf.opening(&request, 14), &[14]);
    for (approvers, why) in [
        (&[][..], "not approved"),
        (&[12], "not approved"),
        (&[12, 14], "their own request"),
        (&[12, 11], "not a member of `approvers`"),
    ] {
        shelf.refused(shelf.ask(&request, approvers, &opening), why);
    }
    let ssh = shelf.gate.request();
    let ssh = Request { requester: person(14), ..ssh };
    let opening = signed_by(&shelf.opening(&ssh, 14), &[14]);
    shelf.refused(shelf.ask(&ssh, &[12, 13], &opening), "something else than a recording");
}

#[test]
fn opening_that_its_reader_did_not_sign_is_refused() {
    let shelf = Shelf::new();
    let request = shelf.request();
    let right = shelf.opening(&request, 14);
    let with =
        |opening: &Opening, keys: &[u8]| shelf.ask(&request, &[12, 13], &signed_by(opening, keys));
    // Front with a key of its own, an approver, the session's own operator: none of them has the grant.
    let mallory =
        Opening { recipient: Recipient::new(&[43; 32]).unwrap().public(), ..right.clone() };
    shelf.refused(with(&mallory, &[60]), "not in the roster");
    shelf.refused(with(&mallory, &[12]), "`p12`'s");
    shelf.refused(with(&Opening { person: person(12), ..mallory.clone() }, &[12]), "not `p12`'s");
    shelf.refused(with(&Opening { person: person(11), ..mallory }, &[11]), "not `p11`'s");
    shelf.refused(with(&right, &[14, 12]), "nobody else");
    // The recipient in a statement that was signed with another.
    let mut asked = with(&right, &[14]);
    let at = asked.opening.windows(32).position(|bytes| *bytes == right.recipient).unwrap();
    asked.opening[at] ^= 1;
    assert!(shelf.open(asked).is_err());
    let elsewhere = Opening { session: Ulid::from_bytes([6; 16]), ..right.clone() };
    shelf.refused(with(&elsewhere, &[14]), "another session");
    let other = Opening { request_digest: Hash([1; 32]), ..right.clone() };
    shelf.refused(with(&other, &[14]), "another request");
    let nowhere = Opening { recipient: [0; 32], ..right };
    shelf.refused(with(&nowhere, &[14]), "the reader's key");
}

#[test]
fn opening_works_once_and_for_minutes() {
    let shelf = Shelf::new();
    let (asked, opening) = shelf.good();
    shelf.open(asked).unwrap();
    let again = || shelf.ask(&shelf.request(), &[12, 13], &opening);
    let request = shelf.request();
    assert!(
        matches!(shelf.open(again()), Err(Refusal::Forbidden(why)) if why.contains("used already"))
    );
    shelf.gate.site.advance(Duration::from_secs(301));
    // The window of the request is its own: what is sent again is another request.
    drop(request);
    assert!(shelf.open(again()).is_err());
    let late = shelf.request();
    let signed = Timestamp::from_millis(shelf.gate.site.env.now().millis() - 301_000);
    let old = Opening { signed, ..shelf.opening(&late, 14) };
    shelf.refused(shelf.ask(&late, &[12, 13], &signed_by(&old, &[14])), "sign anew");
}

#[test]
fn recording_that_the_grant_is_not_for_stays_closed() {
    let shelf = Shelf::new();
    let (right, _) = shelf.good();
    let facts = right.facts.clone();
    let with = |facts: &RecordingFacts, sealed: Vec<u8>| {
        let request = shelf.request();
        let mut opening = shelf.opening(&request, 14);
        // A fresh one each time.
        opening.signed = shelf.gate.site.env.now();
        let asked = shelf.ask(&request, &[12, 13], &signed_by(&opening, &[14]));
        OpenRecording { facts: facts.clone(), sealed, ..asked }
    };
    use writ_keyd_client::operator::RecordingFacts;
    let session = Ulid::from_bytes([6; 16]);
    let other = RecordingFacts { session, ..facts.clone() };
    shelf.refused(with(&other, right.sealed.clone()), "another session");
    // The key of another recording under this one's name: its seal knows.
    let mut ask = shelf.gate.ask();
    ask.session = session;
    (ask.login, ask.login_signature) = login([8; 32], "svc+web-1", 11);
    shelf.gate.sign(ask).unwrap();
    let another = shelf.gate.new_recording(session).unwrap();
    shelf.refused(with(&facts, another.sealed.clone()), "not of this recording");
    for at in [0, 5, 10, 30, 60] {
        let mut sealed = right.sealed.clone();
        sealed[at] ^= 1;
        shelf.refused(with(&facts, sealed), "not of this recording");
    }
    // Whose data it shows is sealed, too.
    let nobodys = RecordingFacts { accounts: Some(AtMost(Vec::new())), ..facts };
    shelf.refused(with(&nobodys, right.sealed.clone()), "not of this recording");
}

#[test]
fn request_that_leaves_out_whose_data_it_shows_is_refused() {
    let shelf = Shelf::new();
    let mut request = shelf.request();
    let Scope::Playback(scope) = &mut request.scope else { panic!() };
    assert_eq!(scope.accounts, None, "the host is mapped to everybody");
    scope.accounts = Some(AtMost(vec![AccountId::from_number(111_122_223_333).unwrap()]));
    let opening = signed_by(&shelf.opening(&request, 14), &[14]);
    shelf.refused(shelf.ask(&request, &[12, 13], &opening), "does not name all customers");
}
