//! trail's connection to watch: the port that `writ_trail` defines, over `writ_watch`'s mutual TLS.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::ClientConfig;
use writ_proof::roster::Genesis;
use writ_proof::statement::Signed;
use writ_proof::stream::{FromWatch, ToWatch};
use writ_trail::push::{WatchConnector, WatchLink};
use writ_watch::client::Connection;
use writ_watch::tls::{Identity, client_config};

/// Connects to watch at `address` with the TLS identity in `folder`, and to nobody but the holder of the
/// key that `genesis` (the signed statement) pins. trail itself pauses between attempts.
pub(crate) fn connector(
    address: &str,
    folder: &Path,
    genesis: &[u8],
) -> Result<Box<dyn WatchConnector>> {
    let genesis = Genesis::verify(&Signed::from_bytes(genesis)?, None)?;
    let address = address.parse().with_context(|| format!("`{address}` is no address of watch"))?;
    let tls = client_config(Identity::load(folder)?, genesis.channel.watch)?;
    Ok(Box::new(Connector { address, tls }))
}

struct Connector {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl WatchConnector for Connector {
    fn connect(&mut self) -> io::Result<Box<dyn WatchLink>> {
        let connection = Connection::open(self.address, Arc::clone(&self.tls))?;
        Ok(Box::new(Link(connection)))
    }
}

struct Link(Connection);

impl WatchLink for Link {
    fn send(&mut self, message: &ToWatch) -> io::Result<()> {
        self.0.send(message)
    }

    fn recv(&mut self, patience: Duration) -> io::Result<Option<FromWatch>> {
        self.0.recv(patience)
    }
}
