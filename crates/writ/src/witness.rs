//! `writ witness`: cosigns checkpoints for whoever runs it (C2SP tlog-witness over HTTP/1.1).
//!
//! It knows the logs whose verifier keys it was given, now or at an earlier start. What it has
//! cosigned is on its disk before it answers.

use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use writ_model::{Env, SystemEnv};
use writ_proof::Hash;
use writ_proof::ed25519::SoftKey;
use writ_proof::limits::NOTE_MAX_BYTES;
use writ_proof::note::VerifierKey;
use writ_watch::witness::{SIZE_MEDIA_TYPE, Witness};

/// Connections at one time; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 64;
/// The head of a request, in bytes.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// The body of a request, in bytes: a note, a proof of 63 hashes, and the first line.
const BODY_MAX_BYTES: usize = NOTE_MAX_BYTES + 4096;
/// How long head and body may take to come.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// The witness's key, 32 bytes.
const SEED_FILE: &str = "witness.seed";
/// The verifier keys of known logs, one a line.
const LOGS_FILE: &str = "logs";
/// What was cosigned.
const STATE_FOLDER: &str = "cosigned";

/// `writ witness …`.
#[derive(clap::Args)]
pub(crate) struct WitnessArgs {
    /// The witness's folder: its key, made at the first start, and what it has cosigned.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The witness's name, such as example.org/witness.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// The verifier key of a log to cosign, as `writ verify` prints it; repeatable, and remembered.
    #[arg(long, value_name = "VKEY")]
    pub(crate) origin_key: Vec<VerifierKey>,
}

/// Runs until the process is ended.
///
/// # Errors
/// When the folder is damaged or in use, or the address cannot be had.
pub(crate) fn run(args: &WitnessArgs) -> Result<()> {
    let witness = open(args, &SystemEnv)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on `{}`", args.listen))?;
        announce(&witness, listener.local_addr()?, &args.data)?;
        serve(listener, Arc::new(Mutex::new(witness)), Arc::new(SystemEnv)).await
    })
}

#[expect(clippy::print_stdout, reason = "the key is what the command is started for")]
fn announce(witness: &Witness, address: SocketAddr, data: &Path) -> Result<()> {
    println!("{}", witness.verifier());
    eprintln!("witness of {} at http://{address}", witness.verifier().name());
    if logs(data)?.is_empty() {
        eprintln!("it knows no log yet: start it again with --origin-key VKEY");
    }
    Ok(())
}

fn open(args: &WitnessArgs, env: &dyn Env) -> Result<Witness> {
    make_folder(&args.data)?;
    let mut known = logs(&args.data)?;
    let before = known.len();
    known.extend(
        args.origin_key.iter().filter(|key| !known.contains(key)).cloned().collect::<Vec<_>>(),
    );
    let mut names: Vec<&str> = known.iter().map(VerifierKey::name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        bail!("two keys are given for one log: a log's key never changes, only its name with it");
    }
    let key = signing_key(&args.data, env)?;
    let witness = Witness::open(&args.data.join(STATE_FOLDER), &args.name, key, known.clone())?;
    if known.len() > before {
        let text: String = known.iter().map(|key| format!("{key}\n")).collect();
        crate::up::data::write_durably(&args.data.join(LOGS_FILE), text.as_bytes(), 0o644)?;
    }
    Ok(witness)
}

fn make_folder(path: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the folder `{}`", path.display()))
}

fn logs(data: &Path) -> Result<Vec<VerifierKey>> {
    let path = data.join(LOGS_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
        }
    };
    let keys: Result<Vec<VerifierKey>, _> = text.lines().map(str::parse).collect();
    keys.with_context(|| format!("`{}` does not hold verifier keys", path.display()))
}

/// The key, made at the first start; only its owner may read it.
fn signing_key(data: &Path, env: &dyn Env) -> Result<SoftKey> {
    let path = data.join(SEED_FILE);
    let mut seed = zeroizing();
    match std::fs::OpenOptions::new().read(true).open(&path) {
        Ok(mut file) => {
            let damaged = || format!("`{}` is damaged: restore it from a backup", path.display());
            file.read_exact(&mut *seed).with_context(damaged)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            env.fill(&mut *seed);
            crate::up::data::write_durably(&path, &*seed, 0o600)?;
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
        }
    }
    Ok(SoftKey::from_seed(&seed)?)
}

fn zeroizing() -> zeroize::Zeroizing<[u8; 32]> {
    zeroize::Zeroizing::new([0; 32])
}

type Shared = Arc<Mutex<Witness>>;

async fn serve(listener: TcpListener, witness: Shared, env: Arc<dyn Env>) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, Arc::clone(&witness), Arc::clone(&env)));
                }
                Err(error) => {
                    // Out of descriptors, for instance: it passes.
                    eprintln!("a connection could not be taken: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, witness: Shared, env: Arc<dyn Env>) {
    let service = service_fn(move |request| {
        let (witness, env) = (Arc::clone(&witness), Arc::clone(&env));
        async move { Ok::<_, std::convert::Infallible>(respond(request, &witness, &*env).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_MAX)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // A client that goes away is no event here.
    drop(served);
}

async fn respond(
    request: Request<Incoming>,
    witness: &Mutex<Witness>,
    env: &dyn Env,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/add-checkpoint") => {
            let body = Limited::new(request.into_body(), BODY_MAX_BYTES).collect();
            match tokio::time::timeout(REQUEST_MAX, body).await {
                Ok(Ok(body)) => add_checkpoint(&body.to_bytes(), witness, env),
                Ok(Err(_)) => plain(StatusCode::BAD_REQUEST, Vec::new()),
                Err(_) => plain(StatusCode::REQUEST_TIMEOUT, Vec::new()),
            }
        }
        (&Method::GET, path) => checkpoint(path, witness),
        _ => plain(StatusCode::NOT_FOUND, Vec::new()),
    }
}

fn add_checkpoint(body: &[u8], witness: &Mutex<Witness>, env: &dyn Env) -> Response<Full<Bytes>> {
    let mut witness = witness.lock().unwrap_or_else(PoisonError::into_inner);
    let answered = match witness.answer(body, env.now()) {
        Ok(answered) => answered,
        Err(error) => {
            eprintln!("a checkpoint was not cosigned, for it could not be kept: {error}");
            return plain(StatusCode::INTERNAL_SERVER_ERROR, Vec::new());
        }
    };
    if let Some(breach) = &answered.breach {
        eprintln!("ALARM: {breach:?}");
    }
    let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status, answered.body);
    if status == StatusCode::CONFLICT {
        let media = http::HeaderValue::from_static(SIZE_MEDIA_TYPE);
        response.headers_mut().insert(http::header::CONTENT_TYPE, media);
    }
    response
}

/// `GET /<sha256 of the origin, in hexadecimal>/checkpoint`, for monitors.
fn checkpoint(path: &str, witness: &Mutex<Witness>) -> Response<Full<Bytes>> {
    let origin = path.strip_prefix('/').and_then(|rest| rest.strip_suffix("/checkpoint"));
    let origin = origin.and_then(|hex| hex.parse::<Hash>().ok());
    let witness = witness.lock().unwrap_or_else(PoisonError::into_inner);
    match origin.and_then(|origin| witness.checkpoint(&origin).map(<[u8]>::to_vec)) {
        Some(note) => plain(StatusCode::OK, note),
        None => plain(StatusCode::NOT_FOUND, Vec::new()),
    }
}

fn plain(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let media = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, media);
    response
}

#[cfg(test)]
#[path = "tests/witness.rs"]
mod tests;
