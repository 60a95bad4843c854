//! The gate: takes connections, proves who comes, and lets in who holds a grant.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use writ_model::{Env, Region};
use writ_proof::ed25519::SoftKey;
use writ_proof::origin::SiteId;
use writ_proof::recording::Mark;
use writ_proof::sshsig::{SshPublicKey, VerifiedSsh};
use writ_ssh::{Answer, Authenticator, Decision, HostKey, Proof, SoftHostKey};

use crate::access::{Need, Place, covering};
use crate::clock::Clock;
use crate::error::Error;
use crate::limits::{NEWS_WAIT, SESSIONS_MAX, STOP_WAIT, TELL_STRANGERS_EVERY};
use crate::lobby::{Lobby, Seat};
use crate::notary::Notary;
use crate::ports::{Keyd, Ledger, State};
use crate::recorder::{self, Disk, Recorder};
use crate::session::Session;
use crate::strangers::Strangers;
use crate::teller::{Event, Teller};

/// What the bastion is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The installation's name in the ledger.
    pub site: SiteId,
    /// Its home region.
    pub region: Region,
    /// Where and how to record.
    pub recorder: recorder::Config,
}

/// Whom the bastion asks.
pub struct Ports {
    /// The state.
    pub state: Arc<dyn State>,
    /// The key module.
    pub keyd: Arc<dyn Keyd>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// Where recordings go; the folder of the settings.
    pub disk: Box<dyn Disk>,
}

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) state: Arc<dyn State>,
    pub(crate) keyd: Arc<dyn Keyd>,
    pub(crate) teller: Arc<Teller>,
    pub(crate) notary: Arc<Notary>,
    pub(crate) recorder: Recorder,
    pub(crate) env: Arc<dyn Env>,
    /// Failed logins that are not told yet.
    strangers: Strangers,
    /// Places for sessions.
    room: Arc<Semaphore>,
    pub(crate) recorder_run: writ_model::Uuid,
    /// How to speak SSH.
    pub(crate) ssh: writ_ssh::Config,
}

/// The bastion: a gate, and the sessions of those who came through it.
pub struct Bastion {
    shared: Arc<Shared>,
    host_key: Arc<dyn HostKey>,
    marks: mpsc::Receiver<Mark>,
    /// Sessions of an earlier run whose end the ledger has still to be told.
    owed: Vec<String>,
}

impl Bastion {
    /// Closes what an earlier run left open, and starts the recorder.
    ///
    /// # Errors
    /// The folder cannot be used: nothing is served without a recorder.
    pub fn start(settings: &Settings, host_key: SoftKey, ports: Ports) -> Result<Bastion, Error> {
        let Ports { state, keyd, ledger, env, disk } = ports;
        let (site, region) = (settings.site.clone(), settings.region.clone());
        let teller = Arc::new(Teller { ledger, site, region, env: Arc::clone(&env) });
        let dir = settings.recorder.dir.clone();
        let (notary, inbox, marks) = Notary::new(Arc::clone(&keyd), Arc::clone(&teller), dir);
        let config = settings.recorder.clone();
        let (recorder, recovered) =
            Recorder::start(config, disk, Box::new(inbox), Arc::clone(&env))?;
        for one in recovered {
            tracing::warn!(session = %one.session, "a recording of an earlier run was closed");
        }
        let notary = Arc::new(notary);
        let owed = notary.recover()?;
        let recorder_run = writ_model::Uuid::random(&*env);
        let ssh = writ_ssh::Config::default();
        let host_key = Arc::new(SoftHostKey(host_key)) as Arc<dyn HostKey>;
        let shared = Arc::new(Shared {
            state,
            keyd,
            teller,
            notary,
            recorder,
            env,
            strangers: Strangers::default(),
            room: Arc::new(Semaphore::new(SESSIONS_MAX)),
            recorder_run,
            ssh,
        });
        Ok(Bastion { shared, host_key, marks, owed })
    }

    /// Serves until `stop` says so; ends all sessions then.
    pub async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let Bastion { shared, host_key, marks, owed } = self;
        let mut notary = JoinSet::new();
        notary.spawn(Arc::clone(&shared.notary).run(marks));
        let settling = Arc::clone(&shared.notary);
        let mut settle = JoinSet::new();
        settle.spawn(async move {
            for session in owed {
                settling.settle(&session).await;
            }
        });
        let mut looking = JoinSet::new();
        looking.spawn(look_around(Arc::clone(&shared)));
        let lobby = Arc::new(Lobby::default());
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let entered = lobby.enter(peer.ip());
            let (shared, key, stop) = (Arc::clone(&shared), Arc::clone(&host_key), stop.clone());
            connections.spawn(connection(shared, key, stream, peer, entered, stop));
        }
        drop(listener);
        let all = async { while connections.join_next().await.is_some() {} };
        tokio::time::timeout(STOP_WAIT, all).await.ok();
        connections.shutdown().await;
        settle.shutdown().await;
        looking.shutdown().await;
        tokio::time::timeout(STOP_WAIT, shared.strangers.tell(&shared.teller)).await.ok();
        // The recorder's end of the marks goes with it; what is told by then is told, the rest at the next start.
        drop(shared);
        let told = async { while notary.join_next().await.is_some() {} };
        tokio::time::timeout(STOP_WAIT, told).await.ok();
    }
}

/// Tells from time to time who tried in vain, and whether somebody moves the clock.
async fn look_around(shared: Arc<Shared>) {
    let mut clock = Clock::new(&*shared.env);
    loop {
        tokio::time::sleep(TELL_STRANGERS_EVERY).await;
        clock.look(&*shared.env, &shared.teller).await;
        shared.strangers.tell(&shared.teller).await;
    }
}

async fn connection(
    shared: Arc<Shared>,
    host_key: Arc<dyn HostKey>,
    stream: TcpStream,
    peer: SocketAddr,
    (seat, gives_way): (Seat, oneshot::Receiver<()>),
    stop: watch::Receiver<bool>,
) {
    // Keystrokes go out as they come.
    stream.set_nodelay(true).ok();
    let source = peer.ip().to_string();
    let mut gate = Gate {
        shared: Arc::clone(&shared),
        source,
        seat: Some(seat),
        let_in: None,
        offered: Mutex::default(),
        told: false,
    };
    let config = &shared.ssh;
    let login = writ_ssh::accept(stream, config, host_key, &mut gate, Arc::clone(&shared.env));
    let accepted = tokio::select! {
        accepted = login => accepted.map_err(|error| error.to_string()),
        Ok(()) = gives_way => Err("it gave way to a newer connection before it logged in".to_owned()),
    };
    match (accepted, gate.let_in.take()) {
        (Ok(accepted), Some((place, _room))) => {
            drop(gate);
            Session::run(shared, place, peer.ip().to_string(), accepted, stop).await;
        }
        (Ok(_), None) => tracing::error!("a login was accepted that nobody was named for"),
        (Err(error), _) => {
            tracing::info!(error, %peer, "a connection did not log in");
            if !gate.told {
                let offered = gate.offered.into_inner().unwrap_or_else(PoisonError::into_inner);
                shared.strangers.note(&gate.source, offered.as_deref(), &error);
            }
        }
    }
}

/// Decides on the logins of one connection.
struct Gate {
    shared: Arc<Shared>,
    source: String,
    /// Among those who have not logged in.
    seat: Option<Seat>,
    /// Who came in, after the signature held, and the session's place.
    let_in: Option<(Place, OwnedSemaphorePermit)>,
    /// The fingerprint of the key that was offered last; nothing of it is proven.
    offered: Mutex<Option<String>>,
    /// The ledger has been told of the refusal.
    told: bool,
}

impl Authenticator for Gate {
    fn offered(&self, _: &str, key: &SshPublicKey) -> bool {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        *offered = Some(key.fingerprint());
        // Nothing of the login name: a stranger learns no hosts, roles or people.
        self.shared.state.current().is_ok_and(|access| access.roster.person(key).is_some())
    }

    fn proven<'a>(&'a mut self, proof: &'a Proof) -> Answer<'a, Decision> {
        Box::pin(async move {
            let judged = self.judge_with_patience(proof).await;
            match judged.and_then(|place| self.room_for(place)) {
                Ok(let_in) => {
                    self.let_in = Some(let_in);
                    // From here on nobody makes it give way.
                    self.seat = None;
                    Decision::Accept
                }
                Err(Refused { person, why }) => {
                    if let Some(person) = person {
                        self.told = self.record(proof, person, &why).await;
                    }
                    Decision::Disconnect(why)
                }
            }
        })
    }
}

/// Why somebody was not let in.
struct Refused {
    /// The person whose key signed; of nobody it is counted.
    person: Option<String>,
    why: String,
}

impl Gate {
    /// A grant that was just made may not be known here yet: a refusal waits for the next word of front.
    async fn judge_with_patience(&self, proof: &Proof) -> Result<Place, Refused> {
        let mut changes = self.shared.state.changes();
        let judged = self.judge(proof);
        if !matches!(&judged, Err(Refused { person: Some(_), .. })) {
            return judged;
        }
        let again = async {
            while changes.changed().await.is_ok() {
                let place = self.judge(proof);
                if place.is_ok() {
                    return place;
                }
            }
            std::future::pending().await
        };
        let patience = tokio::time::timeout(NEWS_WAIT, again).await;
        patience.unwrap_or_else(|_| self.judge(proof))
    }

    /// Without room nobody comes in: whoever is in stays in.
    fn room_for(&self, place: Place) -> Result<(Place, OwnedSemaphorePermit), Refused> {
        let person = place.person.to_string();
        let full = |_| Refused {
            person: Some(person),
            why: format!(
                "the bastion carries {SESSIONS_MAX} sessions and no more: try again when one has ended"
            ),
        };
        let room = Arc::clone(&self.shared.room).try_acquire_owned().map_err(full)?;
        Ok((place, room))
    }

    fn judge(&self, proof: &Proof) -> Result<Place, Refused> {
        let access = self
            .shared
            .state
            .current()
            .map_err(|stale| Refused { person: None, why: stale.to_string() })?;
        let signer =
            VerifiedSsh { key: proof.key().clone(), hardware: proof.hardware(), webauthn: None };
        // Which logins need a key in hardware is the group's word, which keyd asks for.
        let person = access
            .roster
            .signer(&signer, false)
            .map_err(|error| Refused { person: None, why: error.to_string() })?;
        let refuse = |why: String| Refused { person: Some(person.to_string()), why };
        let Some(place) = Place::parse(proof.user(), person.clone()) else {
            return Err(refuse(
                "the login name is ROLE+HOST, such as `ssh svc+web-1@bastion`".to_owned(),
            ));
        };
        if access.roster.host(&place.host).is_none() {
            return Err(refuse(format!("there is no host `{}` in the roster", place.host)));
        }
        if let Some(why) = access.away.get(person) {
            return Err(refuse(format!("`{person}` may not act now: {why}")));
        }
        access.watched(&place.host).map_err(refuse)?;
        let live = access.live(&place, self.shared.env.now());
        match covering(&live, &Need::Login) {
            Some(_) => Ok(place),
            None => Err(refuse(format!(
                "no grant lets `{person}` log in as `{}` on `{}` now: ask for one with `writ request \
                 --host {} --login {} ...`",
                place.login, place.host, place.host, place.login
            ))),
        }
    }

    /// A refusal of somebody whom the roster knows is told; if it cannot be, it is a refusal all the same.
    async fn record(&self, proof: &Proof, person: String, why: &str) -> bool {
        let shown = vec![
            ("person", person),
            ("user", proof.user().chars().take(128).collect()),
            ("key", proof.key().fingerprint()),
        ];
        let refused = Some(("AccessDenied", why.to_owned()));
        let event = Event { refused, ..Event::new("RefuseLogin", shown) };
        let told = self.shared.teller.tell(&self.source, vec![event]).await;
        if let Err(error) = &told {
            tracing::warn!(error, "a refused login is not in the ledger");
        }
        told.is_ok()
    }
}
