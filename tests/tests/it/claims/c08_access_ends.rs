//! C-08: access ends everywhere within one second of its acknowledged end, running streams included.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use writ_tests::http::{Http, Request};
use writ_tests::site::ANN;
use writ_tests::wait::within;
use writ_tests::{Client, Credentials, Site, until};

use super::{allow, user};
use crate::operations::Actor;

/// From the reply that acknowledges the end to the last request that is still answered.
const DEADLINE: Duration = Duration::from_secs(1);
/// What may be on its way in the sockets' buffers when a stream is cut.
const BUFFERED_MAX: usize = 16 << 20;
/// An object's size: at [`PIECE`] each [`PAUSE`] it takes some seconds.
const SIZE: usize = 64 << 20;
/// Bytes that a client moves at once.
const PIECE: usize = 512 << 10;
/// How long a client waits before the next piece.
const PAUSE: Duration = Duration::from_millis(50);
/// Between the deadline and the client's notice: one piece more, on a busy machine.
const NOTICE: Duration = Duration::from_millis(700);

/// A body that moves slowly, until it is through or cut.
struct Stream {
    moved: Arc<AtomicUsize>,
    hurry: Arc<AtomicBool>,
    thread: JoinHandle<Instant>,
}

impl Stream {
    fn begin(
        site: &Site,
        request: Request,
        step: fn(&mut TcpStream, &[u8], usize) -> Option<usize>,
    ) -> Stream {
        let address = site.endpoint("s3").trim_start_matches("http://").to_owned();
        let (moved, hurry) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, fast) = (Arc::clone(&moved), Arc::clone(&hurry));
        let thread = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&request.head()).unwrap();
            while let Some(more) = step(&mut stream, &request.body, count.load(Ordering::SeqCst)) {
                count.fetch_add(more, Ordering::SeqCst);
                if !fast.load(Ordering::SeqCst) {
                    std::thread::sleep(PAUSE);
                }
            }
            Instant::now()
        });
        Stream { moved, hurry, thread }
    }

    fn moved(&self) -> usize {
        self.moved.load(Ordering::SeqCst)
    }

    /// Moves what is left as fast as it can; gives how much there was, and when it was over.
    fn finish(self) -> (usize, Instant) {
        self.hurry.store(true, Ordering::SeqCst);
        let over = self.thread.join().unwrap();
        (self.moved.load(Ordering::SeqCst), over)
    }
}

fn read_piece(stream: &mut TcpStream, _body: &[u8], _at: usize) -> Option<usize> {
    let mut buffer = vec![0; PIECE];
    stream.read(&mut buffer).ok().filter(|read| *read > 0)
}

fn write_piece(stream: &mut TcpStream, body: &[u8], at: usize) -> Option<usize> {
    let piece = body.get(at..)?.chunks(PIECE).next()?;
    stream.write_all(piece).ok().map(|()| piece.len())
}

/// What is served to `who` while `end` ends it, and after.
fn check(site: &Site, what: &str, who: &Credentials, end: impl FnOnce()) {
    let s3 = site.http("s3");
    let get = s3.sign(who, &s3.request("GET", "/streams/large", "", b""));
    let put = s3.request("PUT", &format!("/streams/{what}"), "", &vec![7; SIZE]);
    let (down, up) = (
        Stream::begin(site, get, read_piece),
        Stream::begin(site, s3.sign(who, &put), write_piece),
    );
    let flow = || (down.moved() > 2 * PIECE && up.moved() > 2 * PIECE).then_some(());
    until("the streams to flow", flow);
    end();
    let ended = Instant::now();
    let front = site.http("sts");
    let refused = std::thread::scope(|scope| {
        let at_front = scope.spawn(|| refused_in_time(ended, || caller_identity(&front, who)));
        let at_s3 = scope.spawn(|| refused_in_time(ended, || objects(&s3, who)));
        [at_front, at_s3].map(|poll| poll.join().unwrap())
    });
    within(DEADLINE.saturating_sub(ended.elapsed()), || None::<()>);
    let before = down.moved();
    let (read, _) = down.finish();
    assert!(read - before <= BUFFERED_MAX, "{what}: {} more bytes were read", read - before);
    assert!(read < SIZE, "{what}: the download came to its end");
    let (written, cut) = up.finish();
    let cut = cut.saturating_duration_since(ended);
    assert!(written < SIZE && cut <= DEADLINE + NOTICE, "{what}: the upload was cut after {cut:?}");
    println!("{what}: refused by front and s3 after {refused:?}, the upload cut after {cut:?}");
    let root = site.root(ANN);
    let reply = s3.send(&root, "HEAD", &format!("/streams/{what}"), "", &[], b"").unwrap();
    assert_eq!(reply.status, 404, "{what}: the upload that was cut left an object");
}

/// Asks until the answer is no; what is asked after the deadline must not be answered.
fn refused_in_time(ended: Instant, mut ask: impl FnMut() -> (u16, String)) -> Duration {
    let unknown = ["InvalidClientTokenId", "InvalidAccessKeyId"];
    loop {
        let asked = ended.elapsed();
        match ask() {
            (200, _) => {
                assert!(asked <= DEADLINE, "answered to a request of {asked:?} after the end")
            }
            (403, code) if unknown.contains(&code.as_str()) => return asked,
            (status, code) => panic!("refused with {status} `{code}`"),
        }
    }
}

fn caller_identity(front: &Http, who: &Credentials) -> (u16, String) {
    let reply = front.query(who, "Action=GetCallerIdentity&Version=2011-06-15").unwrap();
    (reply.status, reply.code())
}

fn objects(s3: &Http, who: &Credentials) -> (u16, String) {
    let reply = s3.send(who, "GET", "/streams", "list-type=2", &[], b"").unwrap();
    (reply.status, reply.code())
}

#[test]
fn c08_ended_access_is_refused_within_a_second_in_streams_too() {
    let site = Site::start();
    let root = Actor::root(&site, Client::Boto, ANN);
    root.ok("s3", "CreateBucket", json!({"Bucket": "streams"}));
    let s3 = site.http("s3");
    let made = s3.send(&site.root(ANN), "PUT", "/streams/large", "", &[], &vec![1; SIZE]).unwrap();
    assert_eq!(made.status, 200, "{}", made.text());

    let key = |name: &str, who: &Credentials| json!({"UserName": name, "AccessKeyId": who.id});
    let delete_key = |name: &str, who: &Credentials| {
        root.ok("iam", "DeleteAccessKey", key(name, who));
    };
    let all = allow("*", "*");
    let inactive = user(&site, "inactive", Some(&all)).who;
    check(&site, "key-made-inactive", &inactive, || {
        let mut update = key("inactive", &inactive);
        update["Status"] = json!("Inactive");
        root.ok("iam", "UpdateAccessKey", update);
    });
    let deleted = user(&site, "deleted", Some(&all)).who;
    check(&site, "key-deleted", &deleted, || delete_key("deleted", &deleted));

    let leaver = user(&site, "leaver", None);
    let bucket = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": [format!("arn:aws:iam::{ANN}:user/leaver"),
            format!("arn:aws:iam::{ANN}:role/job")]},
        "Action": "s3:*", "Resource": ["arn:aws:s3:::streams", "arn:aws:s3:::streams/*"]}]});
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ANN}:root")}, "Action": "sts:AssumeRole"}]});
    let role = json!({"RoleName": "job", "AssumeRolePolicyDocument": trust.to_string()});
    root.ok("iam", "CreateRole", role);
    let policy = json!({"Bucket": "streams", "Policy": bucket.to_string()});
    root.ok("s3", "PutBucketPolicy", policy);
    let worker = user(&site, "worker", Some(&all));
    let assume =
        json!({"RoleArn": format!("arn:aws:iam::{ANN}:role/job"), "RoleSessionName": "night"});
    let session = worker.ok("sts", "AssumeRole", assume);
    let session = Credentials::of_reply(ANN, &session["Credentials"]);
    check(&site, "role-deleted", &session, || {
        root.ok("iam", "DeleteRole", json!({"RoleName": "job"}));
    });
    let session = leaver.ok("sts", "GetSessionToken", json!({}));
    let session = Credentials::of_reply(ANN, &session["Credentials"]);
    delete_key("leaver", &leaver.who);
    check(&site, "user-deleted", &session, || {
        root.ok("iam", "DeleteUser", json!({"UserName": "leaver"}));
    });
}
