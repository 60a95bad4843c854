//! What the gateway answers over HTTP, and its upkeep beside that.

use std::io;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::sync::watch;
use writ_keyd_client::protocol::Network;
use writ_model::Uuid;
use writ_service::listener::{self, TlsSettings};
use writ_service::task;

use super::record::host_id;
use super::{Answered, Gateway, ReplyBody, fault, ledger};
use crate::blob;

/// Serves `listener` until `stop` becomes true.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(
    gateway: Arc<Gateway>,
    listener: std::net::TcpListener,
    tls: TlsSettings,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    task::spawn("upkeep", upkeep(Arc::clone(&gateway)));
    let answer = move |request, network| respond(Arc::clone(&gateway), request, network);
    listener::serve(listener, tls, answer, stop).await
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
