//! The way to the host: a certificate for this session alone, a recording, a start in the ledger, a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use writ_keyd_client::operator::{Purpose, SshCertificate, SshSign};
use writ_keyd_client::protocol::{Command, Reply, UsePosition};
use writ_model::Uuid;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::recording::{Header, RecordingKey, SessionKind};
use writ_ssh::{Incoming, IncomingEvents, KnownKey, OpenFailure, SoftUserKey};
use zeroize::Zeroizing;

use super::{Session, printable};
use crate::access::Held;
use crate::limits::HOST_WAIT;
use crate::notary::Owed;
use crate::recorder::Recording;
use crate::teller::Event;

/// The connection to the host, and the recording.
pub(super) struct Upstream {
    pub(super) host: writ_ssh::Session,
    pub(super) recording: Recording,
    /// The grant under which it was opened.
    pub(super) held: Arc<Held>,
    /// What the certificate is for: no channel gets more from the host.
    pub(super) purpose: Purpose,
}

impl Session {
    /// The way to the host, made with the first program that is asked for.
    pub(super) async fn upstream(
        self: &Arc<Self>,
        held: &Arc<Held>,
        purpose: Purpose,
    ) -> Result<&Upstream, String> {
        let made = self.upstream.get_or_try_init(|| self.connect(held, purpose)).await?;
        self.connected.notify_waiters();
        Ok(made)
    }

    async fn connect(
        self: &Arc<Self>,
        held: &Arc<Held>,
        purpose: Purpose,
    ) -> Result<Upstream, String> {
        let _turn = self.connecting.lock().await;
        let access = self.shared.state.current().map_err(|stale| stale.to_string())?;
        let host = access.roster.host(&self.place.host);
        let host = host.ok_or("the host is not in the roster any more")?.clone();
        let stream = self.unless_dead(dial(&host.socket())).await??;
        let local = stream.local_addr().map_err(|error| error.to_string())?;
        let key = self.fresh_key()?;
        let event = Uuid::random(&*self.shared.env);
        let asked = (key.public_key().0, local, event);
        let signed = match self.certificate(held, &purpose, asked).await {
            Ok(signed) => signed,
            Err(why) => return Err(self.refuse_start(event, None, why)),
        };
        let owed = self.owed(held);
        let recording = match self.record(held, &owed).await {
            Ok(recording) => recording,
            Err(why) => return Err(self.refuse_start(event, Some(signed.position), why)),
        };
        let told = self.tell_start(held, &signed, &purpose, &owed, event).await;
        let told = told.map_err(|why| {
            let why = format!("the ledger does not take the session's start: {why}");
            self.refuse_start(event, Some(signed.position), why)
        });
        let connected = match told {
            Ok(()) => {
                let user = SoftUserKey::certified(key, signed.certificate);
                let config = &self.shared.ssh;
                let known = KnownKey(host.key);
                let env = Arc::clone(&self.shared.env);
                let login = &self.place.login;
                let login = writ_ssh::connect(stream, config, &known, login, &user, env);
                self.unless_dead(login).await.and_then(|done| {
                    done.map_err(|error| {
                        format!("the host `{}` lets nobody in: {error}", host.name)
                    })
                })
            }
            Err(why) => Err(why),
        };
        match connected {
            Ok(connected) => {
                let session = connected.session;
                self.drive(async move {
                    if let Err(error) = connected.driver.run().await {
                        tracing::debug!(%error, "the connection to a host ended");
                    }
                });
                let own = Arc::clone(self);
                let incoming = connected.incoming;
                self.spawn(async move { own.refuse_host(incoming).await });
                Ok(Upstream { host: session, recording, held: Arc::clone(held), purpose })
            }
            Err(why) => {
                // Without an end the next start closes it.
                if let Err(error) = recording.end(&why).await {
                    tracing::error!(%error, session = %self.id, "recording.failed");
                }
                Err(why)
            }
        }
    }

    /// Does what may be left at any time, unless the session dies before.
    async fn unless_dead<T>(&self, work: impl Future<Output = T>) -> Result<T, String> {
        let mut dead = self.dead.subscribe();
        tokio::select! {
            done = work => Ok(done),
            _ = dead.wait_for(Option::is_some) => Err("the session ended".to_owned()),
        }
    }

    fn fresh_key(&self) -> Result<SoftKey, String> {
        let mut seed = Zeroizing::new([0; 32]);
        self.shared.env.fill(&mut *seed);
        SoftKey::from_seed(&seed).map_err(|error| error.to_string())
    }

    async fn certificate(
        &self,
        held: &Held,
        purpose: &Purpose,
        (key, local, event): ([u8; 32], SocketAddr, Uuid),
    ) -> Result<SshCertificate, String> {
        let asked = SshSign {
            evidence: held.evidence.clone(),
            login: self.proof.signed_bytes().to_vec(),
            login_signature: self.proof.signature_blob().to_vec(),
            session: self.id,
            host: self.place.host.clone(),
            purpose: purpose.clone(),
            key,
            source: local.ip().to_canonical().to_string(),
            event_id: event,
        };
        match self.shared.keyd.ask(Command::SshSign(Box::new(asked))).await {
            Ok(Reply::Certificate(signed)) => Ok(*signed),
            Ok(_) => Err("the key module answers something else".to_owned()),
            Err(error) => Err(format!("there is no certificate for this session: {error}")),
        }
    }

    /// keyd has recorded that it was asked, so the ledger must tell what came of it, under the name that keyd
    /// knows: also later, if it cannot be told now.
    fn refuse_start(&self, event: Uuid, position: Option<UsePosition>, why: String) -> String {
        let refused = Some(("SessionRefused", why.clone()));
        let shown = self.shown();
        let event =
            Event { id: Some(event), position, refused, ..Event::new("RefuseSession", shown) };
        self.shared.notary.tell_later(self.source.clone(), event);
        why
    }

    fn owed(&self, held: &Held) -> Owed {
        let env = &*self.shared.env;
        Owed {
            session: self.id,
            request: held.grant.request,
            grant: held.grant.digest.to_string(),
            person: self.place.person.clone(),
            pseudonym: held.pseudonym.clone(),
            login: self.place.login.clone(),
            host: self.place.host.to_string(),
            source: self.source.clone(),
            event: Uuid::random(env),
            accounts: held.accounts.iter().map(|one| (*one, Uuid::random(env))).collect(),
        }
    }

    /// Begins the recording; what the ledger will be owed is noted before.
    async fn record(&self, held: &Held, owed: &Owed) -> Result<Recording, String> {
        let key = match self.shared.keyd.ask(Command::NewRecording(self.id)).await {
            Ok(Reply::Recording(key)) => key,
            Ok(_) => return Err("the key module answers something else".to_owned()),
            Err(error) => return Err(format!("there is no key for the recording: {error}")),
        };
        let header = Header {
            v: Default::default(),
            session: self.id,
            request: held.grant.request,
            grants: vec![held.grant.digest],
            human: self.place.person.clone(),
            host: self.place.host.to_string(),
            kind: SessionKind::Ssh,
            start: self.shared.env.now(),
            key: crate::notary::hex(&key.sealed),
            recorder: self.shared.recorder_run,
            accounts: key.facts.accounts.clone(),
        };
        let bytes: &[u8; 32] =
            key.key.expose().try_into().map_err(|_| "the recording's key is none".to_owned())?;
        let key = RecordingKey::new(bytes).map_err(|error| error.to_string())?;
        let cannot = |error: crate::Error| format!("the session cannot be recorded: {error}");
        self.shared.notary.begin(owed.clone(), self.dead.clone()).map_err(cannot)?;
        let opened = self.shared.recorder.open(header, key).await;
        opened.inspect_err(|_| self.shared.notary.forget(self.id)).map_err(cannot)
    }

    /// The session's start, in the operator log and in those of the customers whom it may touch.
    async fn tell_start(
        &self,
        held: &Held,
        signed: &SshCertificate,
        purpose: &Purpose,
        owed: &Owed,
        event: Uuid,
    ) -> Result<(), String> {
        let mut shown = owed.shown();
        let purpose = match purpose {
            Purpose::Command(command) => format!("command: {command}"),
            Purpose::Files => "files".to_owned(),
            Purpose::Shell => "shell".to_owned(),
        };
        shown.extend([
            ("certificateSerial", signed.serial.to_string()),
            ("purpose", purpose),
            ("key", self.proof.key().fingerprint()),
            ("token", token(&self.proof).to_owned()),
            ("notAfter", held.grant.not_after.iso()),
            ("recording", format!("{}.rec", self.id)),
        ]);
        let start = Event {
            id: Some(event),
            position: Some(signed.position),
            ..Event::new("StartSession", shown)
        };
        let mut events = vec![start];
        events.extend(held.accounts.iter().map(|account| {
            let mut shown = owed.shown_to_customers();
            shown.push(("notAfter", held.grant.not_after.iso()));
            Event { account: Some(*account), ..Event::new("OperatorSessionStarted", shown) }
        }));
        self.shared.teller.tell(&self.source, events).await
    }

    /// A host opens nothing here: no X11, no agent, no forwarded connections.
    async fn refuse_host(&self, mut incoming: IncomingEvents) {
        while let Some(event) = incoming.next().await {
            match event {
                Incoming::Open(open) => {
                    let what = format!("channel {} of the host", printable(open.kind()));
                    self.refuse(0, what, "a host opens nothing").await;
                    open.refuse(OpenFailure::Prohibited, "a host opens nothing");
                }
                Incoming::Refused { kind, .. } => {
                    let what = format!("channel {} of the host", printable(&kind));
                    self.refuse(0, what, "a host opens nothing").await;
                }
                // Its other keys (hostkeys-00@openssh.com) and whether we are there.
                Incoming::Global(request) => request.answer(None),
            }
        }
    }
}

/// What the key's hardware says of its user at this login.
fn token(proof: &writ_ssh::Proof) -> &'static str {
    match proof.hardware() {
        None => "none",
        Some(flags) if flags.user_present() && flags.user_verified() => "touched, user verified",
        Some(flags) if flags.user_present() => "touched",
        Some(_) => "not touched",
    }
}

/// Connects to `ADDRESS` or `ADDRESS:PORT`.
async fn dial(address: &str) -> Result<TcpStream, String> {
    let stream = match tokio::time::timeout(HOST_WAIT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return Err(format!("the host cannot be reached at `{address}`: {error}"));
        }
        Err(_) => return Err(format!("the host does not answer at `{address}`")),
    };
    // Keystrokes go out as they come.
    stream.set_nodelay(true).ok();
    Ok(stream)
}
