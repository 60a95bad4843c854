//! Tests of the listener for the stream.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use rustls::ClientConfig;
use writ_model::SystemEnv;
use writ_proof::Hash;
use writ_proof::roster::ChannelPins;
use writ_proof::stream::{FromWatch, StreamPosition};

use super::*;
use crate::client::Connection;
use crate::world::{Log, WATCH_SEED, tls_identity};
use crate::{SEED_FILE, disk};

const PATIENCE: Duration = Duration::from_secs(5);

/// An installation on disk with both TLS identities.
struct Site {
    temp: tempfile::TempDir,
    log: Log,
    trail: (String, String),
    watch_pin: Hash,
}

/// A running watch.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), WatchError>>,
}

impl Site {
    fn new() -> Site {
        let temp = tempfile::tempdir().unwrap();
        let (trail_cert, trail_key, trail_pin) = tls_identity();
        let (watch_cert, watch_key, watch_pin) = tls_identity();
        for (name, bytes) in [
            (tls::CERTIFICATE_FILE, watch_cert.as_bytes()),
            (tls::KEY_FILE, watch_key.as_bytes()),
            (SEED_FILE, &WATCH_SEED),
        ] {
            disk::replace(&temp.path().join(name), bytes, 0o600).unwrap();
        }
        let log = Log::new(ChannelPins { trail: trail_pin, watch: watch_pin });
        Site { temp, log, trail: (trail_cert, trail_key), watch_pin }
    }

    fn start(&self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let folder = self.temp.path().to_owned();
        let genesis = self.log.genesis.to_bytes();
        let config = WatchConfig { folder, genesis, word: None, hosts_word: None };
        let agents = TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = Listeners { trail: listener, agents };
        let thread = std::thread::spawn(move || {
            run(&config, listeners, Arc::new(SystemEnv), stopped, || {})
        });
        Running { address, stop, thread }
    }

    fn client(&self, watch_pin: Hash) -> Arc<ClientConfig> {
        let (cert, key) = &self.trail;
        let identity = Identity::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
        tls::client_config(identity, watch_pin).unwrap()
    }

    fn connect(&self, running: &Running) -> Connection {
        Connection::open(running.address, self.client(self.watch_pin)).unwrap()
    }
}

impl Running {
    fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

fn ask(connection: &mut Connection, message: &ToWatch) -> FromWatch {
    connection.send(message).unwrap();
    connection.recv(PATIENCE).unwrap().expect("an answer in time")
}

#[test]
fn stream_goes_on_over_restarts_of_either_side() {
    let mut site = Site::new();
    let running = site.start();
    let mut trail = site.connect(&running);
    let first = site.log.first();
    let hello = ToWatch::Hello(site.log.hello());
    let start = FromWatch::Welcome(StreamPosition::default());
    assert_eq!(ask(&mut trail, &hello), start);
    let acked = ask(&mut trail, &ToWatch::Frame(first));
    assert_eq!(acked, FromWatch::Ack(site.log.position()));
    assert_eq!(trail.recv(Duration::from_millis(20)).unwrap(), None);

    // trail connects anew while the old connection still hangs.
    let mut again = site.connect(&running);
    let welcome = FromWatch::Welcome(site.log.position());
    assert_eq!(ask(&mut again, &hello), welcome);
    // A frame larger than one TLS record and one read.
    let large = vec![7; 3 * READ_BYTES];
    let frame = site.log.grow(&large);
    assert_eq!(ask(&mut again, &ToWatch::Frame(frame)), FromWatch::Ack(site.log.position()));
    running.stop();

    let running = site.start();
    let mut trail = site.connect(&running);
    let hello = ToWatch::Hello(site.log.hello());
    assert_eq!(ask(&mut trail, &hello), FromWatch::Welcome(site.log.position()));
    match ask(&mut trail, &ToWatch::Checkpoint(site.log.request(0))) {
        FromWatch::Answer(reply) => assert_eq!(reply.status, 200),
        other => panic!("{other:?}"),
    }
    running.stop();
}

#[test]
fn peers_with_other_keys_are_refused_on_both_sides() {
    let site = Site::new();
    let running = site.start();
    let wrong = Connection::open(running.address, site.client(Hash([5; 32])));
    assert!(wrong.is_err(), "trail speaks to nobody but watch");

    let (cert, key, _) = tls_identity();
    let stranger = Identity::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    let config = tls::client_config(stranger, site.watch_pin).unwrap();
    let outcome = Connection::open(running.address, config).and_then(|mut connection| {
        connection.send(&ToWatch::Hello(site.log.hello()))?;
        connection.recv(PATIENCE)
    });
    assert!(outcome.is_err(), "watch listens to nobody but trail");

    let mut trail = site.connect(&running);
    assert!(matches!(ask(&mut trail, &ToWatch::Hello(site.log.hello())), FromWatch::Welcome(_)));
    running.stop();
}

#[test]
fn refused_connection_hears_why_and_ends() {
    let site = Site::new();
    let running = site.start();
    let mut trail = site.connect(&running);
    let foreign = writ_proof::stream::Hello { genesis: Hash::ZERO, ..site.log.hello() };
    assert!(matches!(ask(&mut trail, &ToWatch::Hello(foreign)), FromWatch::Refuse(_)));
    assert!(trail.recv(PATIENCE).is_err());
    running.stop();
}
