//! The transport's state (RFC 4253) without I/O: bytes of the socket in, messages and bytes for the
//! socket out.
//!
//! Before the first keys nothing but the messages of the key exchange, in their order, is taken,
//! whether or not the peer knows strict key exchange. Where two things have to be asked elsewhere, the
//! host key's signature and whether a host key is the right one, the state waits for the answer.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use writ_model::Env;
use writ_proof::ssh::SshReader;
use writ_proof::ssh_auth::{SessionId, verify_signature};
use writ_proof::sshsig::SshPublicKey;

use crate::cipher::{Opener, Sealer};
use crate::error::Error;
use crate::kex::{ClientHalf, Direction, Keys, Shared, Transcript, derive, serve};
use crate::limits;
use crate::negotiate::{Algorithms, Chosen, Offer, Role};
use crate::wire::{Message, disconnect, number, printable};

/// Our version line, without its end.
const VERSION: &[u8] = b"SSH-2.0-Writ";
/// What we verify, for EXT_INFO (RFC 8308 section 3.1).
const SERVER_SIG_ALGS: [&str; 4] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// What came of the bytes so far.
#[derive(Clone, PartialEq, Eq)]
pub enum Arrived {
    /// The first keys are in use.
    Established,
    /// This host key was sent: answer with [`Transport::host_key`].
    HostKey(Bytes),
    /// A message for the layers above.
    Message(Bytes),
    /// The host's key shall sign this: answer with [`Transport::signed`].
    Sign([u8; 32]),
}

impl std::fmt::Debug for Arrived {
    /// A message's number and length alone: it may be what somebody typed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Arrived::Established => f.write_str("Established"),
            Arrived::HostKey(_) => f.write_str("HostKey"),
            Arrived::Message(message) => {
                write!(f, "Message({:?}, {} bytes)", message.first(), message.len())
            }
            Arrived::Sign(_) => f.write_str("Sign"),
        }
    }
}

/// One end of a connection.
pub struct Transport {
    role: Role,
    env: Arc<dyn Env>,
    algorithms: Algorithms,
    /// Names of the host keys' algorithms: the server's own, or those that the client takes.
    host_keys: Vec<String>,
    /// The server's own host key, or the one that the client took first, with its blob.
    host_key: Option<(Bytes, SshPublicKey)>,
    their_version: Option<Vec<u8>>,
    lines_before_version: usize,
    input: BytesMut,
    output: BytesMut,
    opener: Opener,
    sealer: Sealer,
    state: State,
    /// The next packet is a guess that was wrong.
    skip_guess: bool,
    session_id: Option<SessionId>,
    established: bool,
    strict: bool,
    held: VecDeque<Vec<u8>>,
    last_sequence: u32,
}

/// What both sides said in an exchange.
struct Said {
    chosen: Chosen,
    ours: Vec<u8>,
    theirs: Bytes,
}

/// What an exchange came to, before its signature is made or checked.
struct Agreed {
    said: Said,
    shared: Shared,
    hash: [u8; 32],
}

enum State {
    /// No exchange is under way.
    Idle,
    /// Our KEXINIT is out.
    Offered(Vec<u8>),
    /// The server waits for the client's half.
    AwaitInit(Said),
    /// The server waits for its own signature; with its half.
    AwaitSignature(Agreed, Vec<u8>),
    /// The client waits for the server's half.
    AwaitReply(Said, ClientHalf),
    /// The client waits for the word on the host's key; with blob and signature.
    AwaitHostKey(Agreed, Bytes, Vec<u8>),
    /// Our NEWKEYS is out; theirs switches to these.
    AwaitNewKeys(Chosen, Keys),
    /// An error ended it.
    Ended,
}

impl Transport {
    /// A server with this host key, an Ed25519 one.
    pub fn server(
        algorithms: Algorithms,
        host_key: [u8; 32],
        env: Arc<dyn Env>,
    ) -> Result<Transport, Error> {
        let host_key = SshPublicKey::Ed25519(host_key);
        let names = vec![host_key.algorithm().to_owned()];
        let blob = Bytes::from(host_key.to_blob());
        Transport::new(Role::Server, algorithms, names, Some((blob, host_key)), env)
    }

    /// A client that takes host keys or certificates of these algorithms, in its order.
    pub fn client(
        algorithms: Algorithms,
        host_keys: Vec<String>,
        env: Arc<dyn Env>,
    ) -> Result<Transport, Error> {
        Transport::new(Role::Client, algorithms, host_keys, None, env)
    }

    fn new(
        role: Role,
        algorithms: Algorithms,
        host_keys: Vec<String>,
        host_key: Option<(Bytes, SshPublicKey)>,
        env: Arc<dyn Env>,
    ) -> Result<Transport, Error> {
        let mut output = BytesMut::new();
        output.extend_from_slice(VERSION);
        output.extend_from_slice(b"\r\n");
        let mut transport = Transport {
            role,
            env,
            algorithms,
            host_keys,
            host_key,
            their_version: None,
            lines_before_version: 0,
            input: BytesMut::new(),
            output,
            opener: Opener::plain(),
            sealer: Sealer::plain(),
            state: State::Idle,
            skip_guess: false,
            session_id: None,
            established: false,
            strict: false,
            held: VecDeque::new(),
            last_sequence: 0,
        };
        transport.rekey()?;
        Ok(transport)
    }

    /// Where bytes of the socket are appended.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Bytes for the socket; whoever writes them takes them off.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Both.
    pub fn buffers(&mut self) -> (&mut BytesMut, &mut BytesMut) {
        (&mut self.input, &mut self.output)
    }

    /// Identifies the connection, once the first exchange has come to its hash.
    pub fn session_id(&self) -> Option<SessionId> {
        self.session_id
    }

    /// True if messages can be sent now; else they wait for the end of a key exchange.
    pub fn may_send(&self) -> bool {
        matches!(self.state, State::Idle | State::AwaitNewKeys(..)) && self.session_id.is_some()
    }

    /// True while a key exchange is under way.
    pub fn exchanging(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Bytes under the present keys, in the direction that had more of them, and packets likewise.
    pub fn used(&self) -> (u64, u64) {
        let (sent, got) = (self.sealer.used(), self.opener.used());
        (sent.bytes.max(got.bytes), sent.packets.max(got.packets))
    }

    /// Sends a message, or holds it until a key exchange ends. Who calls asks [`Transport::may_send`]
    /// first where the peer decides how much is sent.
    pub fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        if self.may_send() {
            return self.seal(message);
        }
        self.held.push_back(message.to_vec());
        Ok(())
    }

    /// Says that the message that came last is unknown (RFC 4253 section 11.4).
    pub fn unimplemented(&mut self) -> Result<(), Error> {
        let message = Message::new(number::UNIMPLEMENTED).number(self.last_sequence).done();
        self.seal(&message)
    }

    /// Says why we leave.
    pub fn disconnect(&mut self, reason: u32, text: &str) -> Result<(), Error> {
        self.state = State::Ended;
        self.seal(&disconnect(reason, text))
    }

    /// Starts a key exchange, unless one is under way.
    pub fn rekey(&mut self) -> Result<(), Error> {
        if matches!(self.state, State::Idle) {
            let ours = self.offer().message(&*self.env);
            self.seal(&ours)?;
            self.state = State::Offered(ours);
        }
        Ok(())
    }

    /// The next thing that the bytes so far come to; `None` if more are needed, or an answer.
    pub fn poll(&mut self) -> Result<Option<Arrived>, Error> {
        if self.their_version.is_none() && !self.read_version()? {
            return Ok(None);
        }
        loop {
            match self.state {
                State::AwaitSignature(..) | State::AwaitHostKey(..) => return Ok(None),
                State::Ended => return Err(Error::Closed),
                _ => {}
            }
            self.last_sequence = self.opener.sequence();
            let Some(payload) = self.opener.open(&mut self.input)? else { return Ok(None) };
            if let Some(arrived) = self.receive(payload)? {
                return Ok(Some(arrived));
            }
        }
    }

    /// The host key's signature over what [`Arrived::Sign`] gave: 64 bytes of Ed25519.
    pub fn signed(&mut self, signature: &[u8; 64]) -> Result<(), Error> {
        let State::AwaitSignature(agreed, half) = self.take_state() else {
            return Err(Error::Protocol("no signature is waited for"));
        };
        let (blob, _) = self.host_key.as_ref().ok_or(Error::Signing)?;
        let signature = Message::default().string("ssh-ed25519").string(signature).done();
        let reply = Message::new(number::KEX_REPLY).string(blob).string(&half).string(signature);
        self.seal(&reply.done())?;
        let ext_info = agreed.said.chosen.ext_info;
        self.switch(agreed)?;
        if ext_info {
            let algorithms = Message::new(number::EXT_INFO).number(1).string("server-sig-algs");
            self.seal(&algorithms.list(&SERVER_SIG_ALGS).done())?;
        }
        self.release()
    }

    /// The key that the host must have signed with: that of the blob in [`Arrived::HostKey`], or the
    /// one in the certificate there, after it was found to be the right one.
    pub fn host_key(&mut self, key: SshPublicKey) -> Result<(), Error> {
        let State::AwaitHostKey(agreed, blob, signature) = self.take_state() else {
            return Err(Error::Protocol("no host key is waited for"));
        };
        if verify_signature(&key, &agreed.hash, &signature).is_err() {
            return Err(Error::HostKey("its signature does not hold".to_owned()));
        }
        self.host_key = Some((blob, key));
        self.switch(agreed)?;
        self.release()
    }

    fn offer(&self) -> Offer<'_> {
        Offer {
            role: self.role,
            algorithms: &self.algorithms,
            host_keys: &self.host_keys,
            first: !self.established,
        }
    }

    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Ended)
    }

    fn seal(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.sealer.seal(payload, &*self.env, &mut self.output)
    }

    /// Reads the peer's version line; a server's may follow other lines (RFC 4253 section 4.2).
    fn read_version(&mut self) -> Result<bool, Error> {
        loop {
            let window = self.input.get(..limits::VERSION_LINE_MAX_BYTES).unwrap_or(&self.input);
            let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
                let size = self.input.len();
                Error::limit("version line bytes", size, limits::VERSION_LINE_MAX_BYTES - 1)?;
                return Ok(false);
            };
            let line = self.input.split_to(end + 1);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.starts_with(b"SSH-") {
                let good = line.starts_with(b"SSH-2.0-")
                    && line.iter().all(|byte| matches!(byte, b' '..=b'~'));
                self.their_version = Some(line.to_vec());
                return if good {
                    Ok(true)
                } else {
                    Err(Error::Protocol("the version is not SSH-2.0"))
                };
            }
            self.lines_before_version += 1;
            let most = if self.role == Role::Client { limits::BANNER_LINES_MAX } else { 0 };
            Error::limit("lines before the version", self.lines_before_version, most)?;
        }
    }

    fn receive(&mut self, payload: Bytes) -> Result<Option<Arrived>, Error> {
        let kind = payload.first().copied().ok_or(Error::Protocol("a message is empty"))?;
        if kind == number::DISCONNECT {
            return Err(disconnected(&payload)?);
        }
        if (number::KEXINIT..=number::KEX_LAST).contains(&kind) {
            return self.exchange(kind, payload);
        }
        if !self.established {
            return Err(Error::Protocol("another message came before the first keys"));
        }
        match kind {
            number::IGNORE | number::DEBUG | number::UNIMPLEMENTED | number::EXT_INFO => Ok(None),
            _ if matches!(self.state, State::Idle | State::Offered(_)) => {
                Ok(Some(Arrived::Message(payload)))
            }
            _ => Err(Error::Protocol("another message came within a key exchange")),
        }
    }

    /// A message of the key exchange, which must be the one that is due.
    fn exchange(&mut self, kind: u8, payload: Bytes) -> Result<Option<Arrived>, Error> {
        if self.skip_guess && (number::KEX_INIT..=number::KEX_LAST).contains(&kind) {
            self.skip_guess = false;
            return Ok(None);
        }
        match (kind, self.take_state()) {
            (number::KEXINIT, State::Idle) => {
                self.state = State::Idle;
                self.rekey()?;
                self.exchange(kind, payload)
            }
            (number::KEXINIT, State::Offered(ours)) => self.begin(ours, payload),
            (number::KEX_INIT, State::AwaitInit(said)) => self.serve(said, &payload),
            (number::KEX_REPLY, State::AwaitReply(said, half)) => self.agree(said, &half, &payload),
            (number::NEWKEYS, State::AwaitNewKeys(chosen, keys)) => {
                if payload.len() != 1 {
                    return Err(Error::Protocol("bytes follow NEWKEYS"));
                }
                let cipher = match self.role {
                    Role::Client => chosen.to_client,
                    Role::Server => chosen.to_server,
                };
                self.opener.rekey(cipher, &keys.key, &keys.iv, self.strict)?;
                self.state = State::Idle;
                let first = !std::mem::replace(&mut self.established, true);
                Ok(first.then_some(Arrived::Established))
            }
            _ => Err(Error::Protocol("a message of the key exchange is out of order")),
        }
    }

    fn begin(&mut self, ours: Vec<u8>, theirs: Bytes) -> Result<Option<Arrived>, Error> {
        let chosen = self.offer().choose(&theirs, self.strict)?;
        self.strict = chosen.strict;
        self.skip_guess = chosen.skip_guess;
        let kex = chosen.kex;
        let said = Said { chosen, ours, theirs };
        self.state = match self.role {
            Role::Server => State::AwaitInit(said),
            Role::Client => {
                let half = ClientHalf::new(kex)?;
                self.seal(&Message::new(number::KEX_INIT).string(half.public()).done())?;
                State::AwaitReply(said, half)
            }
        };
        Ok(None)
    }

    /// The server's side of the agreement.
    fn serve(&mut self, said: Said, payload: &[u8]) -> Result<Option<Arrived>, Error> {
        let mut reader = SshReader::new(payload);
        reader.byte()?;
        let init = reader.string()?;
        reader.finish()?;
        let (reply, shared) = serve(said.chosen.kex, init)?;
        let (blob, _) = self.host_key.as_ref().ok_or(Error::Signing)?;
        let hash = Transcript {
            client_version: self.their_version.as_deref().unwrap_or_default(),
            server_version: VERSION,
            client_kexinit: &said.theirs,
            server_kexinit: &said.ours,
            host_key: blob,
            init,
            reply: &reply,
        }
        .hash(&shared);
        self.session_id.get_or_insert(hash);
        self.state = State::AwaitSignature(Agreed { said, shared, hash }, reply);
        Ok(Some(Arrived::Sign(hash)))
    }

    /// The client's side of the agreement.
    fn agree(
        &mut self,
        said: Said,
        half: &ClientHalf,
        payload: &Bytes,
    ) -> Result<Option<Arrived>, Error> {
        let mut reader = SshReader::new(payload);
        reader.byte()?;
        let (blob, reply, signature) = (reader.string()?, reader.string()?, reader.string()?);
        reader.finish()?;
        Error::limit("host key bytes", blob.len(), limits::HOST_KEY_MAX_BYTES)?;
        if SshReader::new(blob).string()? != said.chosen.host_key.as_bytes() {
            return Err(Error::HostKey("it is of another algorithm than was agreed on".to_owned()));
        }
        let shared = half.agree(reply)?;
        let hash = Transcript {
            client_version: VERSION,
            server_version: self.their_version.as_deref().unwrap_or_default(),
            client_kexinit: &said.ours,
            server_kexinit: &said.theirs,
            host_key: blob,
            init: half.public(),
            reply,
        }
        .hash(&shared);
        self.session_id.get_or_insert(hash);
        let (signature, blob) = (signature.to_vec(), payload.slice_ref(blob));
        let known = self.host_key.clone();
        let agreed = Agreed { said, shared, hash };
        self.state = State::AwaitHostKey(agreed, blob.clone(), signature);
        match known {
            None => Ok(Some(Arrived::HostKey(blob))),
            Some((first, key)) if first == blob => self.host_key(key).map(|()| None),
            Some(_) => Err(Error::HostKey("it changed within the connection".to_owned())),
        }
    }

    /// Sends NEWKEYS, and switches what we send to the new keys.
    fn switch(&mut self, agreed: Agreed) -> Result<(), Error> {
        let Agreed { said, shared, hash } = agreed;
        let session = self.session_id.ok_or(Error::Protocol("there is no session id"))?;
        self.seal(&[number::NEWKEYS])?;
        let chosen = said.chosen;
        let to_server =
            derive(&shared, &hash, &session, chosen.to_server, Direction::ClientToServer);
        let to_client =
            derive(&shared, &hash, &session, chosen.to_client, Direction::ServerToClient);
        let (cipher, ours, theirs) = match self.role {
            Role::Client => (chosen.to_server, to_server, to_client),
            Role::Server => (chosen.to_client, to_client, to_server),
        };
        self.sealer.rekey(cipher, &ours.key, &ours.iv, self.strict)?;
        self.state = State::AwaitNewKeys(chosen, theirs);
        Ok(())
    }

    /// Sends what was held while keys were exchanged.
    fn release(&mut self) -> Result<(), Error> {
        while let Some(message) = self.held.pop_front() {
            self.seal(&message)?;
        }
        Ok(())
    }
}

fn disconnected(payload: &[u8]) -> Result<Error, Error> {
    let mut reader = SshReader::new(payload);
    reader.byte()?;
    let reason = reader.number()?;
    // Some leave the texts out.
    let text = printable(reader.string().unwrap_or_default());
    Ok(Error::Disconnected { reason, text })
}
