//! The plain server: hyper without authentication, encryption or ledger.
//!
//! `POST /` reads the body and answers as many bytes as the header `x-reply-bytes` says, with the
//! header fields of an AWS reply. `PUT /x/y` writes a file durably (temporary file, fsync, rename,
//! fsync of the folder); `GET` reads it.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;

/// Bytes that are read from a file at once.
const READ_BYTES: usize = 256 * 1024;
/// Pieces of a body that wait for the disk or for the network.
const PIECES_WAITING: usize = 4;

type Reply = Response<BoxBody<Bytes, Infallible>>;

/// Serves until it is killed; prints its address first.
pub(crate) fn serve(folder: &Path) -> Result<()> {
    let folder: Arc<Path> = folder.into();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let folder = Arc::clone(&folder);
            let service = service_fn(move |request| answer(request, Arc::clone(&folder)));
            let builder = hyper::server::conn::http1::Builder::new();
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            // A client that goes away ends its connection, and nothing else.
            tokio::spawn(async move { connection.await.ok() });
        }
    })
}

async fn answer(request: Request<Incoming>, folder: Arc<Path>) -> Result<Reply, Infallible> {
    let done = match *request.method() {
        Method::PUT => put(request, &folder).await,
        Method::GET => get(&request, &folder).await,
        _ => post(request).await,
    };
    Ok(done.unwrap_or_else(|error| {
        let mut failed = Response::new(Full::new(Bytes::from(format!("{error:#}\n"))).boxed());
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        failed
    }))
}

async fn post(request: Request<Incoming>) -> Result<Reply> {
    let bytes = request.headers().get("x-reply-bytes").context("no x-reply-bytes")?;
    let bytes: usize = bytes.to_str()?.parse()?;
    request.into_body().collect().await?;
    let response = Response::builder()
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amzn-requestid", "8d2a2f0e-5d0b-4a0f-9d0a-000000000000");
    Ok(response.body(Full::new(Bytes::from(vec![b'x'; bytes])).boxed())?)
}

async fn put(request: Request<Incoming>, folder: &Path) -> Result<Reply> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = file(folder, request.uri().path());
    let temporary = folder.join(format!("tmp-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let (send, pieces) = mpsc::channel(PIECES_WAITING);
    let folder = folder.to_owned();
    let written = tokio::task::spawn_blocking(move || store(pieces, &temporary, &name, &folder));
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data()
            && send.send(data).await.is_err()
        {
            break;
        }
    }
    drop(send);
    written.await??;
    Ok(Response::new(Full::new(Bytes::new()).boxed()))
}

fn store(
    mut pieces: mpsc::Receiver<Bytes>,
    temporary: &Path,
    name: &Path,
    folder: &Path,
) -> Result<()> {
    let mut file = std::fs::File::create(temporary)?;
    while let Some(piece) = pieces.blocking_recv() {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    std::fs::rename(temporary, name)?;
    Ok(std::fs::File::open(folder)?.sync_all()?)
}

async fn get(request: &Request<Incoming>, folder: &Path) -> Result<Reply> {
    let name = file(folder, request.uri().path());
    let (send, pieces) = mpsc::channel(PIECES_WAITING);
    let opened = tokio::task::spawn_blocking(move || -> Result<(std::fs::File, u64)> {
        let file = std::fs::File::open(name)?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    });
    let (file, bytes) = opened.await??;
    if bytes <= READ_BYTES as u64 {
        let read = tokio::task::spawn_blocking(move || read(file)).await??;
        return Ok(Response::new(Full::new(read).boxed()));
    }
    tokio::task::spawn_blocking(move || stream(file, &send));
    let response = Response::builder().header("content-length", bytes);
    Ok(response.body(Pieces(pieces).boxed())?)
}

fn read(mut file: std::fs::File) -> Result<Bytes> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// Ends early, with a short body, when the file cannot be read or the client is gone.
fn stream(mut file: std::fs::File, send: &mpsc::Sender<Bytes>) {
    loop {
        let mut piece = vec![0; READ_BYTES];
        let Ok(bytes) = file.read(&mut piece) else { return };
        piece.truncate(bytes);
        if bytes == 0 || send.blocking_send(piece.into()).is_err() {
            return;
        }
    }
}

fn file(folder: &Path, path: &str) -> PathBuf {
    folder.join(path.trim_start_matches('/').replace('/', "-"))
}

struct Pieces(mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
