//! The console's listener: bodies within its own bounds, then the console. The paths of access are answered here
//! as on front's own listener, and so are the calls that the customer's page signs.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::watch;
use writ_console::Console;
use writ_console::limits::BODY_MAX_BYTES;
use writ_keyd_client::protocol::Network;
use writ_service::http::Reply;
use writ_service::listener::{self, TlsSettings};
use writ_service::pipeline::Pipeline;

use super::access::{self, Access};
use super::clerk::Clerk;
use super::enrol::Enrolments;
use super::listener::{collect, head_of, of_access, response};

/// Who answers what.
pub struct Desks {
    /// Calls of AWS form.
    pub pipeline: Arc<Pipeline>,
    /// Links to enrol.
    pub enrolments: Arc<Enrolments>,
    /// The API of access.
    pub access: Arc<Access>,
    /// Pages.
    pub clerk: Arc<Clerk>,
}

/// Serves until `stop` becomes true, then lets open requests end.
pub async fn serve(
    listener: std::net::TcpListener,
    tls: TlsSettings,
    desks: Desks,
    names: Vec<String>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let port = listener.local_addr()?.port();
    // An address is no name of a site: a browser makes no passkey for it.
    let named = |name: &String| name.parse::<std::net::IpAddr>().is_err();
    let names = names.into_iter().filter(named).map(|name| name.to_ascii_lowercase()).collect();
    let Desks { pipeline, enrolments, access, clerk } = desks;
    let console = Console::new(enrolments, clerk, port, names);
    let answer = move |request, network| {
        let (pipeline, access) = (Arc::clone(&pipeline), Arc::clone(&access));
        answer(request, network, console.clone(), (pipeline, access))
    };
    Ok(listener::serve(listener, tls, answer, stop).await?)
}

async fn answer(
    request: hyper::Request<Incoming>,
    network: Network,
    console: Console,
    (pipeline, access): (Arc<Pipeline>, Arc<Access>),
) -> hyper::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let mut request = head_of(&head, network);
    if access::api::is_for(&request.path) {
        return response(of_access(&access, request, body).await);
    }
    let is_call = console.is_call(&request);
    response(match collect(body, BODY_MAX_BYTES).await {
        Ok(body) if is_call => {
            request.body = body;
            console.guarded(pipeline.handle(request).await)
        }
        Ok(body) => {
            request.body = body;
            // A task of its own: what has begun ends with its record, also when the client hangs up.
            let work = async move { console.answer(request).await };
            let failed = Reply::new(500, "text/plain", b"See front's log.\n".to_vec());
            writ_service::task::guarded("console", work).await.unwrap_or(failed)
        }
        Err(error) => console.unread(error.status, &error.message),
    })
}
