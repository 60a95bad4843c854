//! A client that says what a test wants, over a stream in memory.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use writ_model::SystemEnv;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::ssh::put_string;
use writ_proof::ssh_auth::{SessionId, UserAuth};
use writ_proof::sshsig::SshPublicKey;
use writ_ssh::{
    Accepted, Algorithms, Answer, Arrived, Authenticator, Config, Decision, Error, Proof,
    SoftHostKey, Transport, accept,
};

use crate::world::{host_key, host_public};

/// What the server's authenticator saw.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// Welcomes each offered key, and lets in each proven one; says whose it was.
pub(crate) struct Anybody(pub(crate) Seen);

impl Authenticator for Anybody {
    fn offered(&self, _: &str, key: &SshPublicKey) -> bool {
        self.0.lock().unwrap().push(format!("offered {}", key.fingerprint()));
        true
    }

    fn proven<'a>(&'a mut self, proof: &'a Proof) -> Answer<'a, Decision> {
        self.0.lock().unwrap().push(format!("proven {}", proof.key().fingerprint()));
        Box::pin(async { Decision::Accept })
    }
}

pub(crate) type Serving = JoinHandle<Result<Accepted<DuplexStream>, Error>>;

/// A server on one end of a stream.
pub(crate) fn serve(config: Config) -> (DuplexStream, Serving, Seen) {
    let (near, far) = duplex(64 * 1024);
    let seen = Seen::default();
    let mut anybody = Anybody(Arc::clone(&seen));
    let serving = tokio::spawn(async move {
        let key = Arc::new(SoftHostKey(host_key()));
        accept(far, &config, key, &mut anybody, Arc::new(SystemEnv)).await
    });
    (near, serving, seen)
}

pub(crate) struct Raw {
    stream: DuplexStream,
    pub(crate) transport: Transport,
    pub(crate) serving: Option<Serving>,
    pub(crate) seen: Seen,
}

impl Raw {
    /// A client whose first keys are agreed on, and that has asked for ssh-userauth.
    pub(crate) async fn secured() -> Raw {
        Raw::secured_with(Config::default()).await
    }

    pub(crate) async fn secured_with(config: Config) -> Raw {
        let (stream, serving, seen) = serve(config);
        let names = vec!["ssh-ed25519".to_owned()];
        let transport =
            Transport::client(Algorithms::default(), names, Arc::new(SystemEnv)).unwrap();
        let mut raw = Raw { stream, transport, serving: Some(serving), seen };
        raw.send(&message(5, &[b"ssh-userauth"])).await;
        assert_eq!(raw.next().await.unwrap()[0], 6);
        raw
    }

    /// A client that is let in, and the server's side of it.
    pub(crate) async fn authenticated(config: Config) -> (Raw, Accepted<DuplexStream>) {
        let mut raw = Raw::secured_with(config).await;
        let session = raw.session();
        raw.send(&signed(&key(1), session, "svc")).await;
        assert_eq!(raw.next().await.unwrap()[..], [52]);
        let accepted = raw.serving.take().unwrap().await.unwrap().unwrap();
        (raw, accepted)
    }

    pub(crate) fn session(&self) -> SessionId {
        self.transport.session_id().unwrap()
    }

    pub(crate) async fn send(&mut self, payload: &[u8]) {
        self.transport.send(payload).unwrap();
        self.flush().await;
    }

    async fn flush(&mut self) {
        let output = self.transport.output().split();
        // The server may have ended the connection already.
        self.stream.write_all(&output).await.ok();
    }

    pub(crate) async fn next(&mut self) -> Result<Bytes, Error> {
        loop {
            match self.transport.poll()? {
                Some(Arrived::Message(message)) => return Ok(message),
                Some(Arrived::HostKey(blob)) => {
                    assert_eq!(blob, host_public().to_blob());
                    self.transport.host_key(host_public())?;
                }
                Some(_) => {}
                None => {
                    self.flush().await;
                    if self.stream.read_buf(self.transport.input()).await.unwrap() == 0 {
                        return Err(Error::Closed);
                    }
                }
            }
        }
    }

    /// What the server ended the login with.
    pub(crate) async fn refusal(&mut self) -> Error {
        self.serving.take().unwrap().await.unwrap().err().expect("the client was let in")
    }
}

pub(crate) fn key(seed: u8) -> SoftKey {
    SoftKey::from_seed(&[seed; 32]).unwrap()
}

pub(crate) fn public(key: &SoftKey) -> SshPublicKey {
    SshPublicKey::Ed25519(key.public_key().0)
}

/// A message of strings.
pub(crate) fn message(number: u8, strings: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![number];
    strings.iter().for_each(|string| put_string(&mut message, string));
    message
}

/// The request of a key's holder, signed for this session.
pub(crate) fn signed(key: &SoftKey, session_id: SessionId, user: &str) -> Vec<u8> {
    let request = UserAuth { session_id, user: user.to_owned(), key: public(key) }.to_bytes();
    let signature = message(0, &[b"ssh-ed25519", &key.sign(&request).unwrap()])[1..].to_vec();
    let mut message = request[36..].to_vec();
    put_string(&mut message, &signature);
    message
}

/// The question whether a key may be tried.
pub(crate) fn offered(key: &SoftKey, user: &str) -> Vec<u8> {
    let mut offer = message(50, &[user.as_bytes(), b"ssh-connection", b"publickey"]);
    offer.push(0);
    put_string(&mut offer, b"ssh-ed25519");
    put_string(&mut offer, &public(key).to_blob());
    offer
}
