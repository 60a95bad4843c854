//! The listener: HTTP/1.1 over accepted connections, one request after the other on each.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use writ_keyd_client::protocol::Network;
use writ_model::Uuid;
use writ_service::task;

use super::record::host_id;
use super::{Answered, Gateway, ReplyBody, fault, ledger};
use crate::blob;
use crate::limits::{HEAD_MAX_BYTES, HEAD_TIMEOUT, HEADERS_MAX};

/// Connections at once.
const CONNECTIONS_MAX: usize = 1_024;

/// Serves `listener` until the future is dropped.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener) {
    task::spawn("upkeep", upkeep(Arc::clone(&gateway)));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ledger::DRAIN_PAUSE).await;
                continue;
            }
        };
        let gateway = Arc::clone(&gateway);
        task::spawn("connection", async move {
            connection(gateway, stream, peer).await;
            drop(place);
        });
    }
}

/// Keeps the outbox and the garbage short.
async fn upkeep(gateway: Arc<Gateway>) {
    loop {
        tokio::time::sleep(ledger::DRAIN_PAUSE).await;
        if gateway.ledger.is_behind()
            && let Err(error) = gateway.ledger.drain(&gateway.index, false).await
        {
            tracing::warn!(%error, "the ledger is still behind");
        }
        let (blobs, index) = (Arc::clone(&gateway.blobs), Arc::clone(&gateway.index));
        if let Some(Err(error)) = task::blocking(move || blob::collect(&blobs, &index)).await {
            tracing::warn!(%error, "garbage was not collected");
        }
    }
}

async fn connection(gateway: Arc<Gateway>, stream: TcpStream, peer: SocketAddr) {
    let network = Network { source_ip: peer.ip().to_string(), tls: None, vpce: None };
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (gateway, network) = (Arc::clone(&gateway), network.clone());
        async move { Ok::<_, Infallible>(respond(gateway, request, network).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX_BYTES * 2)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn respond(
    gateway: Arc<Gateway>,
    request: http::Request<Incoming>,
    network: Network,
) -> Response<ReplyBody> {
    let (parts, body) = request.into_parts();
    let bodiless = parts.method == http::Method::HEAD;
    let sends_body = !body.is_end_stream();
    // A task of its own: a client that goes away must not leave a commit without its acknowledgement.
    let work = Arc::clone(&gateway).answer(parts, body, network);
    let answered = match task::guarded("request", work).await {
        Some(answered) => answered,
        None => gateway.error(&fault::internal(), Uuid::random(&*gateway.env), None),
    };
    response(answered, bodiless, sends_body)
}

fn response(answered: Answered, bodiless: bool, sends_body: bool) -> Response<ReplyBody> {
    let Answered { reply, body, request_id, seq } = answered;
    let refused = reply.status >= 400;
    let at_hand = || ReplyBody::Full((!bodiless).then(|| reply.body.clone().into()));
    let mut response = Response::new(body.unwrap_or_else(at_hand));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut put = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        {
            response.headers_mut().insert(name, value);
        }
    };
    for (name, value) in &reply.headers {
        put(name, value);
    }
    put("x-amz-request-id", &request_id.to_string());
    put("x-amz-id-2", &host_id(request_id));
    put("server", "Writ");
    if let Some(seq) = seq {
        put("x-writ-seq", &seq.to_string());
    }
    // What is left of a refused body is not read: the connection has no further use.
    if refused && sends_body {
        put("connection", "close");
    }
    response
}
