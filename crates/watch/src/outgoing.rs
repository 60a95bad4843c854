//! A connection to where alarms go: name resolution, TCP, TLS. Nothing of the control side is asked.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use writ_link::tls::provider;

/// Where systems keep the authorities that they trust.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A connection, with TLS or without.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to one of the name's addresses.
pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(|error| format!("cannot connect to {host}:{port}: {error}"))?;
    stream.set_nodelay(true).ok();
    Ok(stream)
}

/// TLS over the connection; the peer must prove to be `host`.
pub(crate) async fn secure(
    stream: TcpStream,
    host: &str,
    ca: Option<&Path>,
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` is no name that a certificate can have"))?;
    let connector = TlsConnector::from(config(ca)?);
    let secured = connector.connect(name, stream).await;
    secured.map_err(|error| format!("{host} does not prove to be it: {error}"))
}

fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let path = match ca {
        Some(path) => path.to_owned(),
        None => SYSTEM.iter().map(PathBuf::from).find(|path| path.exists()).ok_or(
            "this machine has no list of authorities: install ca-certificates, or name a file with `ca`",
        )?,
    };
    let unread = |why: String| {
        let shown = path.display();
        format!(
            "the authorities in `{shown}` cannot be read: {why}; it must lie below /etc or watch's folder"
        )
    };
    let pem = std::fs::read(&path).map_err(|error| unread(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    let all: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if roots.add_parsable_certificates(all).0 == 0 {
        return Err(unread("it holds no certificate in PEM".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
