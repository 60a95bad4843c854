//! The processes: what each does between its start by the supervisor and its end.

pub mod bastion;
pub mod confine;
pub mod front;
mod init;
pub mod keyd;
pub mod s3;
pub mod trail;
pub mod watch;
mod watch_link;

use std::collections::HashMap;
use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Seek as _};
use std::net::TcpListener;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use writ_keyd_client::arena::inherited_fd;
use writ_keyd_client::channel::Channel;
use writ_keyd_client::control::{Control, Fact, Notice};
use writ_keyd_client::protocol::Role;
use writ_proof::cbor;
use writ_service::listener::TlsSettings;
use zeroize::Zeroizing;

use confine::{Reach, confine};

/// `writ role NAME --fd NAME=NUMBER …`: only the supervisor calls it.
pub fn run(name: &str, fds: &[String]) -> Result<()> {
    let run = match name {
        "bastion" => bastion::run,
        "front" => front::run,
        "keyd" => keyd::run,
        "keyd-init" => return init::keyd(Inherited::take(fds)?),
        "s3" => s3::run,
        "trail" => trail::run,
        "watch" => watch::run,
        _ => bail!("there is no role `{name}`; `writ up` starts the processes"),
    };
    start_log();
    raise_descriptors();
    let mut inherited = Inherited::take(fds)?;
    let line = inherited.control()?;
    let result = run(&mut inherited, &line);
    if let Err(error) = &result {
        line.failed(&format!("{error:#}"));
    }
    result
}

/// What a process inherited, by name.
pub struct Inherited {
    fds: HashMap<String, OwnedFd>,
}

impl Inherited {
    fn take(fds: &[String]) -> Result<Inherited> {
        let mut all = HashMap::new();
        for text in fds {
            let (name, number) = text.split_once('=').context("`--fd` takes NAME=NUMBER")?;
            let number: RawFd = number.parse().context("`--fd` takes NAME=NUMBER")?;
            let fd = inherited_fd(number).with_context(|| format!("`--fd {text}` is not open"))?;
            all.insert(name.to_owned(), fd);
        }
        Ok(Inherited { fds: all })
    }

    /// The descriptor called `name`.
    pub fn fd(&mut self, name: &str) -> Result<OwnedFd> {
        self.fds.remove(name).with_context(|| {
            format!("descriptor `{name}` is missing: start this process with `writ up`")
        })
    }

    /// The channel to `peer`.
    pub fn channel(&mut self, peer: Role) -> Result<Channel> {
        self.fd(peer.name()).map(Channel::from)
    }

    /// The listener.
    pub fn listener(&mut self) -> Result<TcpListener> {
        self.fd("listener").map(TcpListener::from)
    }

    /// The key and the certificates of the listener.
    pub fn tls(&mut self) -> Result<TlsSettings> {
        self.tls_of("tls")
    }

    /// The key and the certificates of another listener, by the name of their descriptor.
    pub fn tls_of(&mut self, name: &str) -> Result<TlsSettings> {
        let mut pem = Zeroizing::new(Vec::new());
        File::from(self.fd(name)?).read_to_end(&mut pem)?;
        writ_service::listener::tls(&pem).context("the listener's certificate cannot be used")
    }

    /// The configuration.
    pub fn config<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let mut text = Vec::new();
        File::from(self.fd("config")?).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The folders that the configuration names as this process's own.
    fn folders(&self) -> Result<Vec<PathBuf>> {
        let mut file = File::from(self.fds.get("config").context("no configuration")?.try_clone()?);
        let config: serde_json::Value = serde_json::from_reader(&mut file)?;
        // The copy shares its offset with the descriptor that is read later.
        file.rewind()?;
        let named = ["folder", "link", "shown", "shown_hosts"].into_iter();
        let named = named.filter_map(|name| config.get(name)?.as_str());
        Ok(named.map(PathBuf::from).collect())
    }

    /// The folders of others that the configuration lets this process read.
    fn readable(&self) -> Result<Vec<PathBuf>> {
        let mut file = File::from(self.fds.get("config").context("no configuration")?.try_clone()?);
        let config: serde_json::Value = serde_json::from_reader(&mut file)?;
        file.rewind()?;
        let named = ["/hr/folder", "/word"].into_iter();
        let named = named.filter_map(|name| config.pointer(name)?.as_str());
        Ok(named.map(PathBuf::from).collect())
    }

    /// The line to the supervisor.
    pub fn control(&mut self) -> Result<Line> {
        Ok(Line { channel: Arc::new(self.fd("control").map(Channel::from)?) })
    }
}

/// A process's line to the supervisor.
#[derive(Clone)]
pub struct Line {
    channel: Arc<Channel>,
}

impl Line {
    /// Says that this process serves.
    pub fn ready(&self, facts: Vec<(String, String)>) -> Result<()> {
        let facts = facts.into_iter().map(|(name, value)| Fact { name, value }).collect();
        Ok(self.channel.send(&cbor::to_vec(&Notice::Ready(facts)))?)
    }

    /// Says why this process cannot go on.
    pub fn failed(&self, why: &str) {
        // If the supervisor is gone nobody is left to tell.
        self.channel.send(&cbor::to_vec(&Notice::Failed(why.to_owned()))).ok();
    }

    /// The raw channel, for a process that reads it itself.
    pub fn channel(&self) -> Arc<Channel> {
        Arc::clone(&self.channel)
    }

    /// Listens on a thread of its own: `on_peer` for each new channel, `on_stop` once, when told to
    /// stop or when the supervisor is gone.
    pub fn listen(
        &self,
        mut on_peer: impl FnMut(Role, Channel) + Send + 'static,
        on_stop: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let channel = Arc::clone(&self.channel);
        std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            while let Ok(Some(mut packet)) = channel.recv() {
                match (cbor::from_slice(&packet.bytes), packet.fds.pop()) {
                    (Ok(Control::Peer(role)), Some(fd)) => on_peer(role, Channel::from(fd)),
                    (Ok(Control::Stop), _) => break,
                    _ => tracing::error!("the supervisor sent something unknown"),
                }
            }
            on_stop();
        })?;
        Ok(())
    }
}

/// Makes this process keep no core dumps, gain no privileges and open nothing outside its folders; what is
/// refused is reported. Call it before there are other threads.
pub fn harden(inherited: &Inherited, reach: Reach) -> Vec<(String, String)> {
    let mut measures = harden_process();
    let landlock = match inherited.folders().and_then(|own| Ok((own, inherited.readable()?))) {
        Ok((own, readable)) => confine(&own, &readable, reach),
        Err(error) => format!("refused: {error}"),
    };
    measures.push(("landlock".to_owned(), landlock));
    measures
}

fn harden_process() -> Vec<(String, String)> {
    let shown = |name: &str, result: rustix::io::Result<()>| {
        let value = result.map_or_else(|error| format!("refused: {error}"), |()| "on".to_owned());
        (name.to_owned(), value)
    };
    let core = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    vec![
        shown("no new privileges", rustix::thread::set_no_new_privs(true)),
        shown(
            "not dumpable",
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable),
        ),
        shown("no core dumps", rustix::process::setrlimit(rustix::process::Resource::Core, core)),
    ]
}

/// Lets this process have as many descriptors open as its hard limit allows. The usual soft limit of 1,024 is for
/// programs that call select(2) (getrlimit(2)); none of ours does, and each connection is a descriptor.
pub fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the soft limit of open files stays as it is");
    }
}

/// Logs of a process on standard error, at level `info`: one JSON object a line, or lines for people on a terminal.
pub fn start_log() {
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::fmt::layer;
    use tracing_subscriber::prelude::*;
    let is_read_by_people = std::io::stderr().is_terminal();
    let lines = is_read_by_people
        .then(|| layer().compact().with_writer(std::io::stderr).with_filter(LevelFilter::INFO));
    let json = (!is_read_by_people).then(|| {
        let json = layer().json().flatten_event(true).with_current_span(false);
        json.with_writer(std::io::stderr).with_filter(LevelFilter::INFO)
    });
    // A second subscriber in one process is a bug of ours that only loses log lines.
    tracing_subscriber::registry().with(lines).with(json).try_init().ok();
}
