//! The listener of the AWS APIs: HTTP/1.1 in TLS or, on loopback, without.
//!
//! One port speaks both: the first byte of a connection tells a TLS handshake from a request line.
//! Who comes in the clear from another machine is told to use HTTPS. Connections, heads, handshakes
//! and the end are bounded; bodies are the handler's to bound.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use writ_aws::limits::{HEAD_MAX_BYTES, HEADERS_MAX};
use writ_keyd_client::protocol::Network;

use crate::limits::{CONNECTIONS_MAX, DRAIN, HEAD_TIMEOUT};
use crate::task;

/// The first byte of a TLS record that carries a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a client in the clear gets where only TLS is served.
const TLS_WANTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
    connection: close\r\ncontent-length: 77\r\n\r\n\
    Plain HTTP is served on loopback only: use https:// and the authority ca.pem\n";

/// How a listener proves who it is.
#[derive(Clone)]
pub struct TlsSettings(Arc<ServerConfig>);

/// TLS 1.2 and 1.3 with the key and the certificates of `pem`, the server's own first.
///
/// # Errors
/// `InvalidData` if it does not hold a key and a certificate for it.
pub fn tls(pem: &[u8]) -> io::Result<TlsSettings> {
    let invalid = |error: &dyn Error| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| invalid(&error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(&error))?
        .with_no_client_auth()
        .with_single_cert(chain.map_err(|error| invalid(&error))?, key)
        .map_err(|error| invalid(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsSettings(Arc::new(config)))
}

/// Serves `listener` with `answer` until `stop` becomes true, then lets open requests end.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve<A, F, B>(
    listener: std::net::TcpListener,
    tls: TlsSettings,
    answer: A,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()>
where
    A: Fn(Request<Incoming>, Network) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let door = Door { tls: TlsAcceptor::from(tls.0), answer };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told(&mut stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors and the like: the peer is told by the closed connection.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (door, stop) = (door.clone(), stop.clone());
        task::spawn("connection", async move {
            if let Err(error) = door.connection(stream, peer, stop).await {
                tracing::debug!(%error, %peer, "a connection ended early");
            }
            drop(place);
        });
    }
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    // Whoever is not done by then is cut off; the ledger has what was acknowledged.
    tokio::time::timeout(DRAIN, places.acquire_many(all)).await.ok();
    Ok(())
}

/// What every connection gets.
#[derive(Clone)]
struct Door<A> {
    tls: TlsAcceptor,
    answer: A,
}

impl<A, F, B> Door<A>
where
    A: Fn(Request<Incoming>, Network) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    async fn connection(
        self,
        mut stream: TcpStream,
        peer: SocketAddr,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        stream.set_nodelay(true).ok();
        let mut first = [0];
        let peeked = tokio::select! {
            peeked = tokio::time::timeout(HEAD_TIMEOUT, stream.peek(&mut first)) => peeked??,
            // Nothing was asked yet.
            () = told(&mut stop) => return Ok(()),
        };
        let mut network =
            Network { source_ip: peer.ip().to_canonical().to_string(), tls: None, vpce: None };
        if peeked == 0 {
            return Ok(());
        }
        if first == [TLS_HANDSHAKE] {
            let handshake = self.tls.accept(stream);
            let stream = tokio::time::timeout(HEAD_TIMEOUT, handshake).await??;
            network.tls = stream.get_ref().1.protocol_version().map(name);
            return self.http(stream, network, stop).await;
        }
        if !stream.local_addr()?.ip().to_canonical().is_loopback() {
            return Ok(tokio::time::timeout(HEAD_TIMEOUT, stream.write_all(TLS_WANTED)).await??);
        }
        self.http(stream, network, stop).await
    }

    async fn http(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        network: Network,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let answer = self.answer;
        let service = service_fn(move |request| {
            let answered = answer(request, network.clone());
            async move { Ok::<_, Infallible>(answered.await) }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            // The head is counted exactly where it is parsed; this bounds what is read before.
            .max_buf_size(HEAD_MAX_BYTES * 2)
            .max_headers(HEADERS_MAX);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => Ok(ended?),
            () = told(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                Ok(connection.await?)
            }
        }
    }
}

/// Waits until the process is told to stop; a sender that is gone means the same.
async fn told(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}

/// As CloudTrail writes it.
fn name(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    }
}
