//! The HTTP/1.1 listener of front: bounded connections, heads, bodies and times; draining at the end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use writ_aws::ApiError;
use writ_keyd_client::protocol::Network;
use writ_service::http::{Reply, Request};
use writ_service::limits::BODY_MAX_BYTES;
use writ_service::pipeline::Pipeline;

/// Connections that are open at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1024;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request's body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest request head, in bytes.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// The most header fields of a request.
const HEADERS_MAX: usize = 100;
/// How long open requests may take to end once the process shall stop.
const DRAIN: Duration = Duration::from_secs(4);

/// Serves until `stop` becomes true, then lets open requests end.
pub async fn serve(
    listener: std::net::TcpListener,
    pipeline: Arc<Pipeline>,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener).context("cannot use the listener")?;
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&connections).acquire_owned().await?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors and the like: the peer is told by the closed connection.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (pipeline, stop) = (Arc::clone(&pipeline), stop.clone());
        writ_service::task::spawn("connection", async move {
            connection(stream, peer, pipeline, stop).await;
            drop(permit);
        });
    }
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    // Whoever is not done by then is cut off; the ledger has what was acknowledged.
    tokio::time::timeout(DRAIN, connections.acquire_many(all)).await.ok();
    Ok(())
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    pipeline: Arc<Pipeline>,
    mut stop: watch::Receiver<bool>,
) {
    stream.set_nodelay(true).ok();
    let service = service_fn(move |request| answer(request, peer, Arc::clone(&pipeline)));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX_BYTES)
        .max_headers(HEADERS_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    pipeline: Arc<Pipeline>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/healthz" && request.method() == hyper::Method::GET {
        let body = b"{\"status\":\"ok\"}\n".to_vec();
        return Ok(response(Reply::new(200, "application/json", body)));
    }
    let (head, body) = request.into_parts();
    let mut request = head_of(&head, peer);
    let reply = match collect(body).await {
        Ok(body) => {
            request.body = body;
            pipeline.handle(request).await
        }
        // The rest of the body is not read: the connection has no further use.
        Err(error) => pipeline.unread(request, error).await.with("connection", "close"),
    };
    Ok(response(reply))
}

fn head_of(head: &http::request::Parts, peer: SocketAddr) -> Request {
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
        network: Network { source_ip: peer.ip().to_string(), tls: None, vpce: None },
    }
}

async fn collect(body: Incoming) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let text = format!("The request body is larger than {BODY_MAX_BYTES} bytes.");
        ApiError::new("RequestEntityTooLarge", text, 413)
    };
    // Who announces too much need not send it first.
    if body.size_hint().lower() > BODY_MAX_BYTES as u64 {
        return Err(too_large());
    }
    let collected =
        tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_MAX_BYTES).collect());
    match collected.await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::new("IncompleteBody", "The request body ends early.", 400)),
        Err(_) => Err(ApiError::new("RequestTimeout", "The request body came too slowly.", 408)),
    }
}

fn response(reply: Reply) -> hyper::Response<Full<Bytes>> {
    let mut builder = hyper::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(Bytes::from(reply.body))).unwrap_or_else(|_| {
        // INVARIANT: names and values are ours; a bad one is a bug, answered as one.
        let mut failed = hyper::Response::new(Full::new(Bytes::new()));
        *failed.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        failed
    })
}
