//! The server of a managed host that is no `sshd`: it lets in whoever an authority has certified.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use writ_model::Env;

use crate::auth::{Certified, HostAuth, HostStep, Judge};
use crate::config::Config;
use crate::connection::{IncomingEvents, Session};
use crate::driver::Driver;
use crate::error::Error;
use crate::login::Wire;
use crate::server::{HostKey, established};
use crate::transport::{Arrived, Transport};

/// A connection whose client has shown a certificate.
pub struct Admitted<S> {
    /// Who it is.
    pub certified: Certified,
    /// The connection.
    pub session: Session,
    /// Its events.
    pub incoming: IncomingEvents,
    /// What carries it: nothing happens until it runs.
    pub driver: Driver<S>,
}

/// Serves the stream until its client has shown a certificate that `judge` takes, and signed with its
/// key. Whatever ends it is told to the client.
pub async fn admit<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    config: &Config,
    host_key: Arc<dyn HostKey>,
    judge: &Judge,
    env: Arc<dyn Env>,
) -> Result<Admitted<S>, Error> {
    let transport = Transport::server(config.algorithms.clone(), host_key.public_key(), env)?;
    let mut wire = Wire { stream, transport };
    let limit = config.login_grace;
    let late = Error::Timeout { what: "login", limit };
    let work = login(&mut wire, config, &*host_key, judge);
    let done = tokio::time::timeout(limit, work).await.unwrap_or(Err(late));
    match (done, wire.transport.session_id()) {
        (Ok(certified), Some(session_id)) => {
            let (driver, session) = Driver::new(wire, session_id, config, Some(host_key));
            let incoming = driver.incoming();
            Ok(Admitted { certified, session, incoming, driver })
        }
        (Ok(_), None) => Err(Error::Closed),
        (Err(error), _) => {
            wire.part(&error).await;
            Err(error)
        }
    }
}

async fn login<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    config: &Config,
    host_key: &dyn HostKey,
    judge: &Judge,
) -> Result<Certified, Error> {
    let session_id = established(wire, host_key).await?;
    let mut auth = HostAuth::new(session_id, config.auth_max_attempts, judge);
    loop {
        let Arrived::Message(message) = wire.next().await? else {
            return Err(Error::Protocol("new keys were asked for before authentication"));
        };
        match auth.receive(&message)? {
            HostStep::Send(reply) => wire.send(&reply).await?,
            HostStep::Unimplemented => wire.transport.unimplemented()?,
            HostStep::Certified(certified) => {
                wire.send(&auth.accept(&certified)).await?;
                return Ok(*certified);
            }
        }
    }
}
