//! The engine: every command, its checks and its answer. It has no sockets; the server feeds it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use writ_keyd_client::arena::Arena;
use writ_keyd_client::descriptor::Descriptor;
use writ_keyd_client::protocol::{
    Command, End, Handle, Hello, HelloReply, KeydStatus, Load, PROTOCOL, Refusal, Reply, Role,
    UsePosition,
};
use writ_model::limits::REVOCATION_FEED_AGE_MAX;
use writ_model::{Env, Timestamp, Ulid, Uuid};
use writ_proof::hash::Hash;
use writ_proof::origin::SiteId;
use writ_proof::ssh_auth::SessionId;
use writ_proof::stream::WitnessReply;
use writ_proof::use_record::{Use, What};

use crate::admissions::{Admissions, SigningKeyCache};
use crate::authenticate::too_many;
use crate::budget::Budgets;
use crate::catalogue::{Catalogue, Stale};
use crate::channels::Channels;
use crate::checkpoint::{Checkpoints, Cosigner};
use crate::chunks::Upload;
use crate::domain::Domain;
use crate::fas::FasKeys;
use crate::handles::{Admitted, Handles};
use crate::head::{Head, HeadLog};
use crate::locked::{Locked, ReadLocked};
use crate::policies::Policies;
use crate::records::{RecordSink, Records};
use crate::refuse::{self, forbidden, unavailable};
use crate::root::{Root, SigningKeys};
use crate::roster::Rosters;
use crate::run_order::Runs;
use crate::session::Session;
use crate::shared::{Room, Shared};
use crate::unconfirmed::Unconfirmed;
use crate::{Error, limits, narrate, operations, seal, table};

/// What an engine is made from.
pub(crate) struct EngineParts {
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// The opened root file.
    pub root: Root,
    /// What the head file says.
    pub head: Head,
    /// The head file.
    pub head_log: Arc<dyn HeadLog>,
    /// The channel to trail.
    pub sink: Arc<dyn RecordSink>,
    /// The installation; checkpoints of no other are signed.
    pub site: SiteId,
    /// The domain under which buckets have hosts of their own, if any: as s3 is configured.
    pub s3_domain: Option<String>,
    /// The signed genesis statement.
    pub genesis: Vec<u8>,
}

/// See the module.
pub(crate) struct Engine {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) domain: Domain,
    pub(crate) signing: SigningKeys,
    pub(crate) started: Timestamp,
    pub(crate) records: Records,
    pub(crate) signing_keys: Locked<SigningKeyCache>,
    pub(crate) policies: Policies,
    pub(crate) fas: FasKeys,
    pub(crate) head_log: Arc<dyn HeadLog>,
    pub(crate) s3_domain: Option<String>,
    pub(crate) boot: Uuid,
    mode: String,
    hardening: Locked<Vec<(String, String)>>,
    pub(crate) catalogue: ReadLocked<Catalogue>,
    pub(crate) handles: Locked<Handles>,
    pub(crate) admissions: Locked<Admissions>,
    pub(crate) channels: Locked<Channels>,
    checkpoints: Checkpoints,
    pub(crate) uploads: Locked<Shared<Handle, Upload>>,
    pub(crate) budgets: Locked<Budgets>,
    pub(crate) unconfirmed: Locked<Unconfirmed>,
    pub(crate) rosters: Rosters,
    /// Sessions that a certificate was signed for, until their grants are over.
    pub(crate) sessions: Locked<Shared<Ulid, Session>>,
    /// The version of the last list of revoked certificates.
    pub(crate) krl_version: AtomicU64,
    /// The SSH connections that have opened them.
    pub(crate) connections: Locked<Shared<SessionId, ()>>,
    /// Openings of recordings that were used, while they could be used again.
    pub(crate) openings: Locked<Shared<Hash, ()>>,
    /// Runs of runbooks that an order was signed for.
    pub(crate) runs: Locked<Runs>,
    feed: Locked<Feed>,
}

/// The revocation feed: how far front's view is, and when it last proved it.
#[derive(Default, Clone, Copy)]
struct Feed {
    position: u64,
    at: Option<Duration>,
}

impl Engine {
    /// Opens the domain and begins a new boot of the use-record chain.
    ///
    /// # Errors
    /// No locked memory at all, or the cryptographic library refuses a key.
    pub(crate) fn new(parts: EngineParts) -> Result<Engine, Error> {
        let EngineParts { env, root, head, head_log, sink, site, s3_domain, genesis } = parts;
        let arena = Arena::new(limits::ARENA_SLOTS).map_err(Error::io("mapping the key arena"))?;
        let domain = Domain::new(&root, arena)?;
        let boot = Uuid::random(&*env);
        let records = Records::begin(boot, &head, sink, Arc::clone(&head_log), Arc::clone(&env));
        let rosters = Rosters::begin(&genesis, &head, Arc::clone(&head_log), Arc::clone(&env));
        let mut catalogue = Catalogue::default();
        for account in &head.accounts {
            catalogue.signed(*account);
        }
        let guard = domain.arena().guard();
        let hardening = vec![
            ("memfd_secret".to_owned(), guard.memfd_secret.clone()),
            ("locked key memory".to_owned(), guard.locked.clone()),
        ];
        Ok(Engine {
            started: env.now(),
            fas: FasKeys::new(&*env),
            domain,
            signing: root.signing,
            mode: root.mode,
            records,
            head_log,
            s3_domain,
            boot,
            hardening: Locked::new(hardening),
            catalogue: ReadLocked::new(catalogue),
            checkpoints: Checkpoints::new(site, head.signed),
            signing_keys: Locked::default(),
            policies: Policies::default(),
            handles: Locked::default(),
            admissions: Locked::default(),
            channels: Locked::default(),
            uploads: Locked::new(Shared::new(Room::of(limits::HANDLES_MAX))),
            budgets: Locked::default(),
            unconfirmed: Locked::default(),
            rosters,
            sessions: Locked::new(Shared::new(Room::of(limits::SESSIONS_MAX))),
            krl_version: AtomicU64::new(0),
            connections: Locked::new(Shared::new(Room::of(limits::SESSIONS_MAX))),
            openings: Locked::new(Shared::new(Room::of(limits::OPENINGS_MAX))),
            runs: Locked::default(),
            feed: Locked::default(),
            env,
        })
    }

    /// Carries out one command of the peer at the end of `role`'s channel.
    ///
    /// # Errors
    /// The refusal that goes to the peer.
    pub(crate) fn handle(&self, role: Role, command: Command) -> Result<Reply, Refusal> {
        let (name, senders) = table::senders(&command);
        if !senders.contains(&role) {
            self.record_if_ready(narrate::forbidden(role, name));
            return Err(forbidden(format!("{} may not send {name}", role.name())));
        }
        match command {
            Command::Hello(hello) => self.hello(role, &hello),
            Command::Status => Ok(Reply::Status(self.status())),
            Command::Authenticate(request) => self.authenticate(role, &request),
            Command::IssueCredential(issue) => self.issue(&issue),
            Command::CreateAccount(create) => self.create_account(&create),
            Command::Seal(seal) => self.seal(&seal),
            Command::Present(present) => self.present(&present),
            Command::Use(wanted) => self.use_keys(*wanted),
            Command::End(end) => {
                if let End::AccessKey(id) = &end {
                    self.signing_keys.lock().forget(id);
                }
                let kept = self.catalogue.write().end(end);
                if kept { Ok(Reply::Done) } else { Err(unavailable("too many things have ended")) }
            }
            Command::Chunks(chunks) => self.chunks(&chunks),
            Command::Load(load) => self.load(load),
            Command::Beat(beat) => self.beat(beat.feed),
            Command::Tick => self.tick(),
            Command::Checkpoint(asked) => {
                let key = &self.signing.checkpoint;
                let head = self.records.head();
                self.checkpoints.sign(&asked, key, &*self.head_log, head).map(Reply::Note)
            }
            Command::Cosign(body) => self.cosign(&body).map(Reply::Cosigned),
            Command::Ack(ack) => self.records.acknowledge(ack.boot, ack.seq).map(|()| Reply::Done),
            Command::Roster(statement) => self.rosters.apply(&statement).map(|()| Reply::Done),
            Command::RunOrder(asked) => self.run_order(&asked),
            Command::SshSign(asked) => self.ssh_sign(&asked),
            Command::NewRecording(session) => self.new_recording(session),
            Command::SignRecording(mark) => self.sign_recording(&mark),
            Command::OpenRecording(asked) => self.open_recording(&asked),
            Command::SignKrl => self.sign_krl(),
        }
    }

    /// Cosigns watch's host log.
    fn cosign(&self, body: &[u8]) -> Result<WitnessReply, Refusal> {
        let (log, name) = self.rosters.host_log()?;
        let signer = Cosigner { name, key: &self.signing.checkpoint, now: self.env.now() };
        let head = self.records.head();
        self.checkpoints.cosign(body, log, &signer, &*self.head_log, head)
    }

    /// Work that is due now and then: a head record, forgetting what has expired.
    ///
    /// # Errors
    /// The head file cannot be written.
    pub(crate) fn maintain(&self) -> std::io::Result<()> {
        let now = self.env.now();
        self.admissions.lock().sweep(now);
        self.budgets.lock().sweep(now);
        self.uploads.lock().sweep(now);
        self.handles.lock().sweep(now);
        self.signing_keys.lock().sweep(now);
        self.sessions.lock().sweep(now);
        self.connections.lock().sweep(now);
        self.openings.lock().sweep(now);
        self.runs.lock().sweep(now);
        self.fas.rotate(&*self.env);
        self.records.persist()
    }

    /// Adds what the sandbox reports to the lines of the status.
    pub(crate) fn report_hardening(&self, lines: impl IntoIterator<Item = (String, String)>) {
        self.hardening.lock().extend(lines);
    }

    /// What keyd says of itself.
    pub(crate) fn status(&self) -> KeydStatus {
        let catalogue = self.catalogue.read();
        KeydStatus {
            mode: self.mode.clone(),
            boot: self.boot,
            hardening: self.hardening.lock().clone(),
            unacknowledged: self.records.unacknowledged(),
            catalogue: catalogue.len() as u64,
            loaded: catalogue.loaded,
            roster: self.rosters.status(|person, number| catalogue.is_ended(person, number)),
            ended_grants: catalogue.ended_grants(),
        }
    }

    /// Position of the revocation feed.
    pub(crate) fn feed_position(&self) -> u64 {
        self.feed.lock().position
    }

    /// Fails until front has loaded the catalogue.
    pub(crate) fn check_loaded(&self) -> Result<(), Refusal> {
        if self.catalogue.read().loaded {
            Ok(())
        } else {
            Err(unavailable("the key module has just started"))
        }
    }

    /// Fails unless uses may happen now: catalogue loaded, revocations current, records flowing.
    pub(crate) fn check_ready(&self) -> Result<(), Refusal> {
        self.check_loaded()?;
        let feed = *self.feed.lock();
        let now = self.env.monotonic();
        if feed.at.is_none_or(|at| now.saturating_sub(at) > REVOCATION_FEED_AGE_MAX) {
            return Err(unavailable("the revocation feed is not current"));
        }
        self.records.check()
    }

    /// Spends a handle, if its signer is still good.
    pub(crate) fn spend(&self, handle: &Handle) -> Result<Admitted, Refusal> {
        self.check_ready()?;
        let now = self.env.now();
        let admitted = self.handles.lock().spend(handle, now);
        let admitted =
            admitted.ok_or_else(|| forbidden("the handle is unknown, spent or expired"))?;
        if self.catalogue.read().is_live(&admitted.caller, now) {
            return Ok(admitted);
        }
        let refusal = refuse::ended(admitted.service);
        self.record_denied(&admitted, &refusal);
        Err(refusal)
    }

    /// Spends a handle on a change or a new credential, which one signature makes only so often. What
    /// comes to nothing does not count.
    pub(crate) fn spend_once<T>(
        &self,
        handle: &Handle,
        carry_out: impl FnOnce(&Admitted) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let admitted = self.spend(handle)?;
        let counted = admitted.window.as_ref().map_or(Ok(()), |window| {
            self.admissions.lock().admit(window, operations::per_signature(admitted.operation))
        });
        let done = match counted {
            Ok(()) => carry_out(&admitted).inspect_err(|_| {
                if let Some(window) = &admitted.window {
                    self.admissions.lock().take_back(&window.signature);
                }
            }),
            Err(why) => Err(too_many(&why, &admitted.caller)),
        };
        done.inspect_err(|refusal| self.record_denied(&admitted, refusal))
    }

    fn hello(&self, role: Role, hello: &Hello) -> Result<Reply, Refusal> {
        if hello.protocol != PROTOCOL {
            return Err(forbidden(format!(
                "protocol {} is spoken here, not {}; start both from one build",
                PROTOCOL, hello.protocol
            )));
        }
        let agreed = hello.x25519.map(|peer| self.channels.lock().agree(role, &peer, &*self.env));
        if agreed == Some(None) {
            return Err(forbidden("the X25519 key is not acceptable"));
        }
        let x25519 = agreed.flatten();
        if role == Role::Front {
            self.unconfirmed.lock().begin_load();
            self.rosters.begin_load();
        }
        if role == Role::Trail {
            self.records.restart_stream(&self.signing.use_records);
        }
        let reply = HelloReply { protocol: PROTOCOL, role, boot: self.boot, x25519 };
        Ok(Reply::Hello(reply))
    }

    /// An old descriptor is skipped, not an error: a restarted front may hold what it could not
    /// replace any more. Uses of it are refused; the answer to the last batch gives the newest of
    /// what it lost. What was created in this run and is not among what front holds was never
    /// stored: it ends, and its name is free again.
    fn load(&self, load: Load) -> Result<Reply, Refusal> {
        let mut catalogue = self.catalogue.write();
        for sealed in &load.descriptors {
            let opened = seal::open(&self.domain, sealed);
            let opened =
                opened.ok_or_else(|| forbidden("a loaded descriptor is not sealed here"))?;
            self.unconfirmed.lock().shown(opened.descriptor.id());
            if let Descriptor::AccessKey(key) = &opened.descriptor
                && key.user.is_none()
            {
                catalogue.shown(key.account);
            }
            match catalogue.admit(&opened) {
                Err(Stale::Full) => return Err(unavailable("the catalogue is full")),
                Err(Stale::Old | Stale::Other | Stale::Taken | Stale::Unknown) => {
                    self.unconfirmed.lock().lost(opened.descriptor.id());
                }
                Ok(()) => {}
            }
        }
        for end in load.ended {
            if !catalogue.end(end) {
                return Err(unavailable("there is no room for what has ended"));
            }
        }
        self.rosters.show(&load.roster);
        catalogue.loaded |= load.last;
        if !load.last {
            return Ok(Reply::Done);
        }
        catalogue.forget_unstored_accounts();
        self.rosters.end_load();
        for sealed in self.unconfirmed.lock().take_missing() {
            if let Some(opened) = seal::open(&self.domain, &sealed) {
                catalogue.end_unstored(&opened.descriptor);
            }
        }
        let lost = self.unconfirmed.lock().take_lost();
        Ok(lost.map_or(Reply::Done, Reply::Sealed))
    }

    fn beat(&self, position: u64) -> Result<Reply, Refusal> {
        let mut feed = self.feed.lock();
        if position < feed.position {
            return Err(forbidden("the revocation feed went backwards"));
        }
        *feed = Feed { position, at: Some(self.env.monotonic()) };
        Ok(Reply::Done)
    }

    /// Puts a record into the chain and streams it.
    pub(crate) fn record(&self, record: Use) -> UsePosition {
        self.records.put(&self.signing.use_records, What::Use(Box::new(record)))
    }

    fn record_denied(&self, admitted: &Admitted, refusal: &Refusal) {
        self.record_if_ready(narrate::denied(admitted, refusal));
    }

    /// A refusal leaves no record while trail owes too much.
    pub(crate) fn record_if_ready(&self, record: Use) {
        if self.records.check().is_ok() {
            self.record(record);
        }
    }
}
