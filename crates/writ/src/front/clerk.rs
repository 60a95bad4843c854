//! Lets people into the console with their passkeys, and answers their pages.
//!
//! Who is signed in may read, and nothing else. A session ends with its passkey, with the enrolment, and when HR's
//! word keeps its person from acting: that is looked at with each request.

use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use writ_console::port::{
    Act, Books, Decided, OpenedRecording, PortFuture, SignedCall, Want, Wish,
};
use writ_console::session::{Gate, GateError, Session, Token};
use writ_console::sign_in;
use writ_console::view::{
    AlarmsView, DraftView, GrantView, Inbox, Page, PersonView, Reader, RequestPage, RequestView,
    SessionView, TicketView,
};
use writ_console::webauthn::Assertion;
use writ_model::{Env as _, PersonId, SystemEnv, Ulid};
use writ_proof::access::{Approval, Opening};
use writ_proof::roster::{PersonKey, Roster};
use writ_proof::sshsig::SshSig;
use writ_proof::statement::Signed;
use writ_service::http::{Refused, Request};
use writ_service::pipeline::Pipeline;
use writ_service::record::StrangerLimit;
use writ_store::Snapshot;
use writ_trail::record::{Call, Identity};

use super::access::Access;
use super::alarms::Alarms;
use super::people;
use super::platform::{self, Platform};
use super::roster::Keeper;

/// The service in the records of signing in, and of what is read of people.
const SOURCE: &str = "people.writ.internal";

/// See the module.
pub struct Clerk {
    pipeline: Arc<Pipeline>,
    platform: Platform,
    keeper: Arc<Keeper>,
    access: Arc<Access>,
    alarms: Alarms,
    gate: StdMutex<Gate>,
    strangers: StrangerLimit,
}

impl Clerk {
    /// The clerk of this installation; nobody is signed in.
    pub fn new(
        pipeline: Arc<Pipeline>,
        platform: Platform,
        keeper: Arc<Keeper>,
        access: Arc<Access>,
        alarms: Alarms,
    ) -> Clerk {
        let mut key = [0; 32];
        SystemEnv.fill(&mut key);
        let gate = StdMutex::new(Gate::new(&key));
        Clerk {
            pipeline,
            platform,
            keeper,
            access,
            alarms,
            gate,
            strangers: StrangerLimit::default(),
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn let_in(
        &self,
        challenge: &str,
        answer: &Assertion,
        origin: &str,
        request: &Request,
    ) -> Result<Token, Refused> {
        let roster = self.keeper.current();
        let session = match self.judged(challenge, answer, origin, &roster) {
            Ok(session) => session,
            Err((person, refused)) => {
                self.tell_refusal("SignIn", person.as_ref(), &refused, request).await;
                return Err(refused);
            }
        };
        let shown = [
            ("personId", session.person.to_string()),
            ("key", session.key.fingerprint()),
            ("ends", session.began.plus(writ_console::limits::SESSION_LIFETIME).iso()),
        ];
        self.tell("SignIn", false, &shown, request).await?;
        let mut token: Token = [0; writ_console::limits::COOKIE_BYTES];
        SystemEnv.fill(&mut token);
        self.gate().enter(&token, session).map_err(at_gate)?;
        Ok(token)
    }

    /// Whose passkey has signed exactly this sign-in. The challenge works once.
    fn judged(
        &self,
        challenge: &str,
        answer: &Assertion,
        origin: &str,
        roster: &Roster,
    ) -> Result<Session, (Option<PersonId>, Refused)> {
        let denied = |what: String| Refused::new(403, "AccessDenied", what);
        let known = |what: String| (None, denied(what));
        let key = passkey(roster, &answer.credential_id);
        let key = key.ok_or_else(|| known("this passkey is not in the roster".to_owned()))?;
        let person = key.person.clone();
        let refused = |what: String| (Some(person.clone()), denied(what));
        let signature = answer.signature(&key.key, sign_in::NAMESPACE);
        let signature = signature.map_err(|error| refused(error.to_string()))?;
        let message = sign_in::message(roster.site(), origin, challenge);
        let signer = signature
            .verify(message.as_bytes(), sign_in::NAMESPACE)
            .map_err(|error| refused(format!("the signature does not hold: {error}")))?;
        if signer.webauthn.as_ref().is_none_or(|webauthn| webauthn.origin != origin) {
            return Err(refused("it was signed at another page".to_owned()));
        }
        let signed = roster.signer(&signer, true).map_err(|error| refused(error.to_string()))?;
        if *signed != person {
            return Err(refused("the passkey is another person's".to_owned()));
        }
        let snapshot = self.pipeline.store.snapshot();
        let may_act = self.keeper.may_act(&person, &snapshot);
        may_act.map_err(|why| refused(format!("`{person}` may not act now: {why}")))?;
        let enrolment = roster.enrolment(&person);
        let enrolment = enrolment.ok_or_else(|| refused("the enrolment has ended".to_owned()))?;
        let now = SystemEnv.now();
        self.gate().take(challenge, now).map_err(|error| (Some(person.clone()), at_gate(error)))?;
        Ok(Session { person, enrolment, key: signer.key, began: now, used: now })
    }

    /// True while a session's passkey is its person's, of the same enrolment, and HR lets them act.
    fn still(&self, session: &Session, roster: &Roster, snapshot: &Snapshot) -> bool {
        roster.person(&session.key) == Some(&session.person)
            && roster.enrolment(&session.person) == Some(session.enrolment)
            && self.keeper.may_act(&session.person, snapshot).is_ok()
    }

    async fn people_page(
        &self,
        after: Option<&str>,
        reader: &Reader,
        request: &Request,
    ) -> Result<Page<PersonView>, Refused> {
        let shown = [("reader", reader.person.to_string()), ("personId", "*".to_owned())];
        self.tell("ReadPersons", true, &shown, request).await?;
        let snapshot = self.pipeline.store.snapshot();
        let hr = people::people(&snapshot);
        let enrolled = reader.roster.people().map(|(person, _)| person.clone());
        let known = hr.keys().filter_map(|id| id.parse().ok());
        let all: std::collections::BTreeSet<PersonId> = enrolled.chain(known).collect();
        let mut ids = all.into_iter().filter(|id| after.is_none_or(|after| id.as_str() > after));
        let page: Vec<PersonId> = ids.by_ref().take(writ_console::limits::PEOPLE_PAGE).collect();
        let next = ids.next().and(page.last()).map(ToString::to_string);
        let items = page.into_iter().map(|id| PersonView {
            hr: hr.get(id.as_str()).map(|person| person.state.as_str()),
            denied: self.keeper.may_act(&id, &snapshot).err(),
            id,
        });
        Ok(Page { items: items.collect(), next })
    }

    /// Appends the event of what changes nothing that is stored.
    async fn tell(
        &self,
        name: &'static str,
        read_only: bool,
        shown: &[(&str, String)],
        request: &Request,
    ) -> Result<(), Refused> {
        let call = Call {
            request_parameters: platform::parameters(shown),
            read_only,
            ..self.platform.asked(request, SOURCE, name)
        };
        platform::tell(&self.pipeline.trail, &call).await
    }

    /// Records a refusal; of strangers only so many a second.
    async fn tell_refusal(
        &self,
        name: &'static str,
        person: Option<&PersonId>,
        refused: &Refused,
        request: &Request,
    ) {
        if !self.strangers.admit(SystemEnv.now()) {
            return;
        }
        let shown: Vec<(&str, String)> =
            person.map(|person| ("personId", person.to_string())).into_iter().collect();
        let call = Call {
            // Who they say they are; what was refused proves nothing.
            identity: Identity::Unknown { access_key_id: None },
            error: Some((refused.code, refused.message.as_str())),
            request_parameters: platform::parameters(&shown),
            ..self.platform.asked(request, SOURCE, name)
        };
        // It is refused in any case, and what is wrong with it is the better answer.
        platform::tell(&self.pipeline.trail, &call).await.ok();
    }
}

/// The passkey of this credential id. Two of one id are none: nobody can tell which was meant.
fn passkey<'a>(roster: &'a Roster, credential_id: &[u8]) -> Option<&'a PersonKey> {
    let mut found = roster.people().flat_map(|(_, person)| &person.keys).filter(|key| {
        key.passkey.as_ref().is_some_and(|passkey| passkey.credential_id == credential_id)
    });
    match (found.next(), found.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

fn at_gate(error: GateError) -> Refused {
    let status = if error == GateError::Full { 429 } else { 403 };
    Refused::new(status, "BadChallenge", error.to_string())
}

impl Books for Clerk {
    fn challenge(&self) -> String {
        self.gate().challenge(SystemEnv.nonce(), SystemEnv.now())
    }

    fn sign_in<'a>(
        &'a self,
        challenge: &'a str,
        answer: &'a Assertion,
        origin: &'a str,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Token, Refused>> {
        Box::pin(self.let_in(challenge, answer, origin, request))
    }

    fn reader(&self, token: &Token) -> Option<Reader> {
        let (roster, snapshot) = (self.keeper.current(), self.pipeline.store.snapshot());
        let now = SystemEnv.now();
        let still = |session: &Session| self.still(session, &roster, &snapshot);
        let session = self.gate().find(token, now, still)?;
        let ends = session.ends();
        Some(Reader { person: session.person, ends, now, roster })
    }

    fn sign_out<'a>(
        &'a self,
        token: &'a Token,
        request: &'a Request,
    ) -> PortFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            // It ends also where the ledger does not answer.
            let Some(session) = self.gate().leave(token) else { return Ok(()) };
            let shown = [("personId", session.person.to_string())];
            self.tell("SignOut", false, &shown, request).await
        })
    }

    fn inbox<'a>(
        &'a self,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Inbox, Refused>> {
        Box::pin(self.access.inbox(reader, request))
    }

    fn requests<'a>(
        &'a self,
        before: Option<&'a str>,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Page<RequestView>, Refused>> {
        Box::pin(self.access.requests_page(before, reader, request))
    }

    fn request<'a>(
        &'a self,
        id: Ulid,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<RequestPage, Refused>> {
        Box::pin(self.access.request_page(id, reader, request))
    }

    fn grants<'a>(
        &'a self,
        before: Option<&'a str>,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Page<GrantView>, Refused>> {
        Box::pin(self.access.grants_page(before, reader, request))
    }

    fn tickets<'a>(
        &'a self,
        before: Option<&'a str>,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Page<TicketView>, Refused>> {
        Box::pin(self.access.tickets_page(before, reader, request))
    }

    fn sessions<'a>(
        &'a self,
        before: Option<&'a str>,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Page<SessionView>, Refused>> {
        Box::pin(self.access.sessions_page(before, reader, request))
    }

    fn session<'a>(
        &'a self,
        id: &'a str,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<SessionView, Refused>> {
        Box::pin(self.access.session_page(id, reader, request))
    }

    fn opening<'a>(
        &'a self,
        session: Ulid,
        recipient: [u8; 32],
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Opening, Refused>> {
        Box::pin(self.access.opening_in_browser(session, recipient, reader, request))
    }

    fn open_recording<'a>(
        &'a self,
        signed: Signed,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<OpenedRecording, Refused>> {
        Box::pin(self.access.open_in_browser(signed, reader, request))
    }

    fn people<'a>(
        &'a self,
        after: Option<&'a str>,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Page<PersonView>, Refused>> {
        Box::pin(self.people_page(after, reader, request))
    }

    fn groups<'a>(
        &'a self,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            let shown = [("reader", reader.person.to_string())];
            self.tell("ReadGroups", true, &shown, request).await
        })
    }

    fn statement<'a>(
        &'a self,
        wish: Wish,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Approval, Refused>> {
        Box::pin(self.access.begin_in_browser(wish, reader, request))
    }

    fn decide<'a>(
        &'a self,
        said: Approval,
        signature: SshSig,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Decided, Refused>> {
        Box::pin(
            async move { self.access.decide_in_browser(said, &signature, reader, request).await },
        )
    }

    fn alarms<'a>(
        &'a self,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<AlarmsView, Refused>> {
        Box::pin(async move {
            let shown = [("reader", reader.person.to_string())];
            self.tell("ReadAlarms", true, &shown, request).await?;
            Ok(self.alarms.shown(reader.now))
        })
    }

    fn draft<'a>(
        &'a self,
        want: Want,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<DraftView, Refused>> {
        Box::pin(self.access.draft_in_browser(want, reader, request))
    }

    fn file<'a>(
        &'a self,
        asked: writ_proof::access::Request,
        signature: SshSig,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Ulid, Refused>> {
        Box::pin(
            async move { self.access.file_in_browser(asked, &signature, reader, request).await },
        )
    }

    fn call<'a>(
        &'a self,
        call: SignedCall,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<(), Refused>> {
        Box::pin(self.access.call_in_browser(call, reader, request))
    }

    fn refused<'a>(
        &'a self,
        act: Act,
        refused: &'a Refused,
        reader: Option<&'a Reader>,
        request: &'a Request,
    ) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let name = match act {
                Act::ReadAlarms => "ReadAlarms",
                Act::ReadGroups => "ReadGroups",
                Act::ReadPeople => "ReadPersons",
                Act::SignIn => "SignIn",
                Act::SignOut => "SignOut",
                _ => return self.access.refused_in_browser(act, refused, reader, request).await,
            };
            let person = reader.map(|reader| &reader.person);
            self.tell_refusal(name, person, refused, request).await;
        })
    }
}
