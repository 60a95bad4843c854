//! How statements come in, and how anybody reads the roster and the list of revoked certificates:
//! `/writ/v1/statements`, `/writ/v1/roster` and `/writ/v1/krl`. Any listener can serve them; they need no
//! credential, since what comes and goes there is signed, and public to whoever reaches the listener.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use writ_keyd_client::protocol::RosterStatus;
use writ_service::http::{Refused, Reply, Request};

use super::roster::Keeper;

/// Where statements are posted.
pub const STATEMENTS: &str = "/writ/v1/statements";
/// Where the roster is read.
pub const ROSTER: &str = "/writ/v1/roster";
/// Where the list of revoked certificates is read, as keyd signs it.
pub const KRL: &str = "/writ/v1/krl";
/// The type of a signed statement.
pub const CONTENT_TYPE: &str = "application/cbor";
/// A body above this is not read.
pub const BODY_MAX_BYTES: usize = writ_proof::limits::ROSTER_STATEMENT_MAX_BYTES;
/// Requests of this kind in work; more are refused as retryable. Anybody may send them.
const IN_WORK_MAX: usize = 8;
static IN_WORK: Semaphore = Semaphore::const_new(IN_WORK_MAX);
/// Statements that one page of the roster holds.
const PAGE: usize = 256;

/// True for a path that is answered here.
pub fn is_for(path: &str) -> bool {
    path == STATEMENTS || path == ROSTER || path == KRL
}

/// Answers a request whose path is one of these.
pub async fn answer(keeper: &Arc<Keeper>, request: Request) -> Reply {
    let Ok(_slot) = IN_WORK.try_acquire() else {
        return refusal(&Refused::new(503, "Busy", "too many at once; send it again"));
    };
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", STATEMENTS) => submit(keeper, request).await,
        ("GET", ROSTER) => match keeper.told_stranger(&request.network, None).await {
            Ok(()) => roster(keeper, &request.query).await,
            Err(refused) => refusal(&refused),
        },
        ("GET", KRL) => match keeper.told_stranger(&request.network, None).await {
            Ok(()) => krl(keeper).await,
            Err(refused) => refusal(&refused),
        },
        (_, path) => {
            let allowed = if path == STATEMENTS { "POST" } else { "GET" };
            let what = format!("only {allowed} is answered here");
            refusal(&Refused::new(405, "MethodNotAllowed", what)).with("allow", allowed)
        }
    }
}

/// The refusal of a body that is too large or did not come whole.
pub async fn unread(keeper: &Keeper, request: &Request, status: u16, message: &str) -> Reply {
    let refused = Refused::new(status, "BodyRefused", message);
    let recorded = keeper.told_stranger(&request.network, Some(&refused)).await;
    refusal(&recorded.err().unwrap_or(refused)).with("connection", "close")
}

async fn submit(keeper: &Arc<Keeper>, request: Request) -> Reply {
    let wanted = |value: &str| value.split(';').next().map(str::trim) == Some(CONTENT_TYPE);
    if !request.header("content-type").is_some_and(wanted) {
        let what = format!("send the signed statement with the content type {CONTENT_TYPE}");
        return refusal(&Refused::new(415, "UnsupportedMediaType", what));
    }
    let keeper = Arc::clone(keeper);
    // A task of its own: what has begun ends with its record, also when the client hangs up.
    let work = writ_service::task::guarded("statement", async move {
        keeper.submit(&request.body, &request.network).await
    });
    match work.await {
        Some(Ok(accepted)) => reply(
            200,
            &json!({
                "seq": accepted.seq,
                "digest": accepted.digest.to_string(),
                "keyd": accepted.keyd,
            }),
        ),
        Some(Err(refused)) => refusal(&refused),
        None => refusal(&Refused::new(500, "Internal", "see front's log")),
    }
}

/// One page of the roster: the statements after `after`.
async fn roster(keeper: &Keeper, query: &str) -> Reply {
    let after = match query.strip_prefix("after=") {
        None if query.is_empty() => Some(0),
        None => None,
        Some(number) => number.parse().ok(),
    };
    let Some(after) = after else {
        let what = "the only parameter is `after`, the number of the last statement that you have";
        return refusal(&Refused::new(400, "BadQuery", what));
    };
    let roster = keeper.current();
    let statements = keeper.statements(after, PAGE);
    let next = after.saturating_add(statements.len() as u64);
    let statements: Vec<String> = statements.iter().map(|bytes| STANDARD.encode(bytes)).collect();
    let keyd = keeper.keyd().await.map(|keyd| {
        let RosterStatus { head, fault, .. } = keyd.roster;
        json!({
            "seq": head.seq,
            "head": hex::encode(head.digest),
            "fault": fault,
            "ended_grants": keyd.ended_grants,
        })
    });
    reply(
        200,
        &json!({
            "site": roster.site().as_str(),
            "genesis": STANDARD.encode(keeper.genesis().to_bytes()),
            "seq": roster.seq(),
            "head": roster.head().to_string(),
            "keyd": keyd,
            "statements": statements,
            "more": next < roster.seq(),
        }),
    )
}

/// The certificates that open nothing any more, signed by keyd for hosts that fetch it.
async fn krl(keeper: &Keeper) -> Reply {
    match keeper.krl().await {
        Some(signed) => reply(
            200,
            &json!({
                "krl": STANDARD.encode(&signed.list),
                "signature": STANDARD.encode(&signed.signature),
            }),
        ),
        None => refusal(&Refused::new(503, "Unavailable", "keyd does not answer; send it again")),
    }
}

fn refusal(refused: &Refused) -> Reply {
    guarded(refused.reply())
}

fn reply(status: u16, body: &Value) -> Reply {
    guarded(Reply::new(status, "application/json", format!("{body}\n").into_bytes()))
}

/// What every reply says of itself.
fn guarded(reply: Reply) -> Reply {
    reply.with("cache-control", "no-store").with("x-content-type-options", "nosniff")
}
