//! What front answers over HTTP: the body collected within bounds, then the pipeline.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use tokio::sync::watch;
use writ_aws::ApiError;
use writ_keyd_client::protocol::Network;
use writ_service::http::{Reply, Request};
use writ_service::limits::{BODY_MAX_BYTES, BODY_TIMEOUT};
use writ_service::listener::{self, TlsSettings};
use writ_service::pipeline::Pipeline;

use super::access::{self, Access};
use super::people::api::{self, Readers};
use super::roster::Keeper;
use super::runs::{self, Runs};
use super::statements;

/// Who answers what.
#[derive(Clone)]
pub struct Desks {
    /// AWS's APIs.
    pub pipeline: Arc<Pipeline>,
    /// The roster.
    pub keeper: Arc<Keeper>,
    /// Persons.
    pub readers: Arc<Readers>,
    /// Requests, decisions, grants and tickets.
    pub access: Arc<Access>,
    /// Runbooks and their runs.
    pub runs: Arc<Runs>,
}

/// Serves until `stop` becomes true, then lets open requests end.
pub async fn serve(
    listener: std::net::TcpListener,
    tls: TlsSettings,
    desks: Desks,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let answer = move |request, network| answer(request, network, desks.clone());
    Ok(listener::serve(listener, tls, answer, stop).await?)
}

async fn answer(
    request: hyper::Request<Incoming>,
    network: Network,
    desks: Desks,
) -> hyper::Response<Full<Bytes>> {
    let Desks { pipeline, keeper, readers, access, runs } = desks;
    if request.uri().path() == "/healthz" && request.method() == hyper::Method::GET {
        let body = b"{\"status\":\"ok\"}\n".to_vec();
        return response(Reply::new(200, "application/json", body));
    }
    let (head, body) = request.into_parts();
    let mut request = head_of(&head, network);
    if Readers::is_for(&request.path) {
        return response(match collect(body, api::BODY_MAX_BYTES).await {
            Ok(body) => {
                request.body = body;
                readers.answer(request).await
            }
            Err(error) => readers.unread(&request, error.status, &error.message).await,
        });
    }
    if statements::is_for(&request.path) {
        return response(match collect(body, statements::BODY_MAX_BYTES).await {
            Ok(body) => {
                request.body = body;
                statements::answer(&keeper, request).await
            }
            Err(error) => statements::unread(&keeper, &request, error.status, &error.message).await,
        });
    }
    if access::api::is_for(&request.path) {
        return response(of_access(&access, request, body).await);
    }
    if runs::api::is_for(&request.path) {
        return response(match collect(body, access::api::BODY_MAX_BYTES).await {
            Ok(body) => {
                request.body = body;
                runs::api::answer(&runs, request).await
            }
            Err(error) => runs::api::unread(&runs, &request, error.status, &error.message).await,
        });
    }
    let reply = match collect(body, BODY_MAX_BYTES).await {
        Ok(body) => {
            request.body = body;
            pipeline.handle(request).await
        }
        // The rest of the body is not read: the connection has no further use.
        Err(error) => pipeline.unread(request, error).await.with("connection", "close"),
    };
    response(reply)
}

/// What is asked of access; the console's listener has it too.
pub(super) async fn of_access(access: &Arc<Access>, mut request: Request, body: Incoming) -> Reply {
    match collect(body, access::api::BODY_MAX_BYTES).await {
        Ok(body) => {
            request.body = body;
            access::api::answer(access, request).await
        }
        Err(error) => access::api::unread(access, &request, error.status, &error.message).await,
    }
}

/// The head of a request; its body comes later.
pub(super) fn head_of(head: &http::request::Parts, network: Network) -> Request {
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
        network,
    }
}

/// The body of a request, of at most `max_bytes`.
pub(super) async fn collect(body: Incoming, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let text = format!("The request body is larger than {max_bytes} bytes.");
        ApiError::new("RequestEntityTooLarge", text, 413)
    };
    // Who announces too much need not send it first.
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, max_bytes).collect());
    match collected.await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::new("IncompleteBody", "The request body ends early.", 400)),
        Err(_) => Err(ApiError::new("RequestTimeout", "The request body came too slowly.", 408)),
    }
}

/// The reply as hyper writes it.
pub(super) fn response(reply: Reply) -> hyper::Response<Full<Bytes>> {
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
