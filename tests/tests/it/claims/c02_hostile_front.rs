//! C-02, direct uses: a front that somebody took over gets no use of a key without the customer's proof.
//!
//! The key module is the real process; the test has front's whole database, and sits on front's and
//! s3's channels.

use writ_keyd_client::descriptor::{Descriptor, peek};
use writ_keyd_client::protocol::{
    Ack, Authenticate, Authenticated, Checkpoint, Chunks, Command, CreateAccount, Handle,
    IssueCredential, Load, Network, Payload, Present, Refusal, Reply, Role, Seal, Use, UsedKey,
};
use writ_keyd_client::secret::SecretBytes;
use writ_model::{Env as _, Nonce, SystemEnv, Uuid};
use writ_tests::database::{self, Stored};
use writ_tests::http::{Http, Request};
use writ_tests::keyd::Keyd;
use writ_tests::site::{ANN, BOB};
use writ_tests::{Client, Credentials, Site};

use serde_json::json;

use crate::operations::{Actor, text};

/// A stopped site, its key module started again in the attacker's hands, and what the attacker has.
pub(super) struct Taken {
    pub(super) keyd: Keyd,
    pub(super) state: Vec<Stored>,
    pub(super) ann: Credentials,
    pub(super) bob: Credentials,
    /// Ids of two keys of ann's.
    pub(super) keys: [String; 2],
    /// A ciphertext under the first.
    pub(super) blob: String,
    _site: Site,
}

/// Lets customers work, stops the site and takes front over.
pub(super) fn take_over() -> Taken {
    let mut site = Site::start();
    let root = Actor::root(&site, Client::Boto, ANN);
    let key = || text(&root.ok("kms", "CreateKey", json!({})), "/KeyMetadata/KeyId");
    let keys = [key(), key()];
    let sealed = root.ok("kms", "Encrypt", json!({"KeyId": keys[0], "Plaintext": "Z29sZA=="}));
    let blob = text(&sealed, "/CiphertextBlob");
    let (ann, bob) = (site.root(ANN), site.root(BOB));
    assert!(site.stop().success());
    let state = database::read(site.dir());
    let descriptors = state
        .iter()
        .filter(|stored| stored.body.get("descriptor").is_some())
        .map(|stored| stored.bytes("descriptor"))
        .collect();
    let logs = std::fs::read_dir(site.dir().join("trail/logs/writ")).unwrap().next().unwrap();
    let name = logs.unwrap().file_name().to_string_lossy().into_owned();
    let keyd = Keyd::start(site.dir(), &name, descriptors);
    Taken { keyd, state, ann, bob, keys, blob, _site: site }
}

impl Taken {
    /// A key as front stores it.
    pub(super) fn key(&self, id: &str) -> UsedKey {
        let stored = self.state.iter().find(|s| s.kind == "key" && s.id.ends_with(id)).unwrap();
        UsedKey {
            descriptor: stored.bytes("descriptor"),
            tokens: stored.list("tokens"),
            policy: stored.body["policy"].as_str().unwrap().to_owned(),
            tags: Vec::new(),
        }
    }

    /// The wrapped credential of an access key.
    pub(super) fn wrapped(&self, who: &Credentials) -> Vec<u8> {
        let is_it = |stored: &&Stored| stored.kind == "access-key" && stored.id == who.id;
        self.state.iter().find(is_it).unwrap().bytes("wrapped")
    }

    /// A customer's signed KMS request, as front received it.
    fn signed(&self, who: &Credentials, operation: &str, body: &serde_json::Value) -> Request {
        let http = Http::new("http://front.test", "kms");
        let mut request = http.request("POST", "/", "", body.to_string().as_bytes());
        let target = format!("TrentService.{operation}").into_bytes();
        let id = Uuid::random(&SystemEnv).to_string().into_bytes();
        request.headers.push(("content-type".to_owned(), b"application/x-amz-json-1.1".to_vec()));
        request.headers.push(("x-amz-target".to_owned(), target));
        request.headers.push(("amz-sdk-invocation-id".to_owned(), id));
        http.sign(who, &request)
    }

    fn command(&self, who: &Credentials, request: Request) -> Authenticate {
        Authenticate {
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            payload: Payload::Body(request.body),
            credential: Some(self.wrapped(who)),
            network: Network { source_ip: "192.0.2.7".to_owned(), tls: None, vpce: None },
            request_id: Uuid::random(&SystemEnv),
            event_id: Uuid::random(&SystemEnv),
            region: "us-east-1".parse().unwrap(),
        }
    }

    fn authenticate(&self, command: Authenticate) -> Result<Authenticated, Refusal> {
        match self.keyd.ask(Role::Front, Command::Authenticate(Box::new(command)))? {
            Reply::Authenticated(answer) => Ok(*answer),
            _ => panic!("not an answer to authenticate"),
        }
    }

    /// A handle for a Decrypt of ann's blob that `who` signed.
    fn handle(&self, who: &Credentials, body: &serde_json::Value) -> Handle {
        let request = self.signed(who, "Decrypt", body);
        self.authenticate(self.command(who, request)).unwrap().handle
    }

    fn spend(&self, handle: Handle, keys: Vec<UsedKey>) -> Result<Reply, Refusal> {
        self.keyd.ask(
            Role::Front,
            Command::Use(Box::new(Use { handle, delegated: true, ..Use::of(keys) })),
        )
    }

    fn blob_of_ann(&self) -> serde_json::Value {
        json!({"CiphertextBlob": self.blob})
    }
}

#[track_caller]
fn refused(what: &str, result: Result<Reply, Refusal>) -> Refusal {
    match result {
        Err(refusal) => refusal,
        Ok(_) => panic!("`{what}` was carried out"),
    }
}

/// The control: with the customer's proof the same commands give the plaintext.
#[test]
fn c02_the_customers_own_request_is_carried_out() {
    let taken = take_over();
    let handle = taken.handle(&taken.ann, &taken.blob_of_ann());
    let used =
        taken.spend(handle, vec![taken.key(&taken.keys[0])]).unwrap_or_else(|r| panic!("{r:?}"));
    let Reply::Used(used) = used else { panic!("not an answer to use") };
    assert_eq!(used.plaintext.unwrap().expose(), b"gold");
}

/// A handle is for one use of exactly what was signed, whatever else front adds.
#[test]
fn c02_front_cannot_bend_a_customers_request() {
    let taken = take_over();
    let [first, second] = [0, 1].map(|n| taken.key(&taken.keys[n]));
    let mut other_policy = taken.key(&taken.keys[0]);
    other_policy.policy = other_policy.policy.replace("root", "user/mallory");
    let mut forged = taken.key(&taken.keys[0]);
    let last = forged.descriptor.len() - 1;
    forged.descriptor[last] ^= 1;
    let mut swapped = taken.key(&taken.keys[0]);
    swapped.tokens = second.tokens.clone();
    let cheats: Vec<(&str, Vec<UsedKey>)> = vec![
        ("another key", vec![second]),
        ("no key", vec![]),
        ("a key twice", vec![taken.key(&taken.keys[0]), taken.key(&taken.keys[0])]),
        ("another policy", vec![other_policy]),
        ("a forged descriptor", vec![forged]),
        ("tokens of another key", vec![swapped]),
    ];
    let count = cheats.len();
    for (what, keys) in cheats {
        let handle = taken.handle(&taken.ann, &taken.blob_of_ann());
        let before = taken.keyd.recorded();
        refused(what, taken.spend(handle, keys));
        let record = taken.keyd.denied_after(before, what);
        assert!(record.principal.unwrap().arn.as_str().contains(ANN), "{what}");
    }
    let handle = taken.handle(&taken.ann, &taken.blob_of_ann());
    taken.spend(handle, vec![first]).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    refused("the same handle again", taken.spend(handle, vec![taken.key(&taken.keys[0])]));
    let context = json!({"CiphertextBlob": taken.blob, "EncryptionContext": {"a": "b"}});
    let handle = taken.handle(&taken.ann, &context);
    refused("another context", taken.spend(handle, vec![taken.key(&taken.keys[0])]));
    println!("{} ways to bend a request were refused", count + 2);
}

/// Bob signs, front says that it is allowed: the policy that is sealed to ann's key decides.
#[test]
fn c02_another_accounts_signature_opens_nothing() {
    let taken = take_over();
    for body in [
        taken.blob_of_ann(),
        json!({"CiphertextBlob": taken.blob,
            "KeyId": format!("arn:aws:kms:us-east-1:{ANN}:key/{}", taken.keys[0])}),
    ] {
        let before = taken.keyd.recorded();
        let handle = taken.handle(&taken.bob, &body);
        let refusal =
            refused("bob's decrypt", taken.spend(handle, vec![taken.key(&taken.keys[0])]));
        assert!(matches!(refusal, Refusal::Aws(_)), "{refusal:?}");
        let record = taken.keyd.denied_after(before, "bob's decrypt");
        assert!(record.principal.unwrap().arn.as_str().contains(BOB));
    }
}

/// What was signed cannot be changed, nor put under another credential.
#[test]
fn c02_a_changed_request_is_not_the_customers() {
    type Change = fn(&Taken, &mut Authenticate);
    let taken = take_over();
    let changes: Vec<(&str, Change)> = vec![
        ("another body", |t, a| {
            a.payload = Payload::Body(
                json!({"CiphertextBlob": t.blob, "KeyId": t.keys[1]}).to_string().into(),
            );
        }),
        ("no body", |_, a| a.payload = Payload::Body(Vec::new())),
        ("an unsigned payload", |_, a| {
            a.payload = Payload::Declared("UNSIGNED-PAYLOAD".to_owned())
        }),
        ("another operation", |_, a| {
            let target = a.headers.iter_mut().find(|(name, _)| name == "x-amz-target").unwrap();
            target.1 = b"TrentService.ReEncrypt".to_vec();
        }),
        ("another path", |_, a| a.path = "/other".to_owned()),
        ("another method", |_, a| a.method = "GET".to_owned()),
        ("another query", |_, a| a.query = "a=b".to_owned()),
        ("an unsigned header", |_, a| a.headers.push(("x-amz-other".to_owned(), b"1".to_vec()))),
        ("bob's credential", |t, a| a.credential = Some(t.wrapped(&t.bob))),
        ("no credential", |_, a| a.credential = None),
        ("a damaged credential", |t, a| {
            let mut wrapped = t.wrapped(&t.ann);
            wrapped[40] ^= 1;
            a.credential = Some(wrapped);
        }),
        ("no signature", |_, a| a.headers.retain(|(name, _)| name != "authorization")),
    ];
    for (what, change) in &changes {
        let request = taken.signed(&taken.ann, "Decrypt", &taken.blob_of_ann());
        let mut command = taken.command(&taken.ann, request);
        change(&taken, &mut command);
        assert!(taken.authenticate(command).is_err(), "`{what}` was admitted");
    }
    let http = Http::new("http://front.test", "kms");
    let mut request = taken.signed(&taken.ann, "Decrypt", &taken.blob_of_ann());
    request.headers.retain(|(name, _)| !["authorization", "x-amz-date"].contains(&name.as_str()));
    for hours in [-1i64, 1] {
        let now = i64::try_from(SystemEnv.now().secs()).unwrap() + 3600 * hours;
        let at = writ_model::Timestamp::from_secs(u64::try_from(now).unwrap());
        let stale = taken.command(&taken.ann, http.sign_at(&taken.ann, &request, at));
        assert!(taken.authenticate(stale).is_err(), "a signature {hours} h off was admitted");
    }
    println!("{} changed requests were refused", changes.len() + 2);
}

/// Commands of somebody who has no customer's request for them.
struct Unproven<'t>(&'t Taken);

impl Unproven<'_> {
    fn seal(&self) -> Command {
        Command::Seal(Box::new(Seal {
            handle: NO_HANDLE,
            keys: vec![self.0.key(&self.0.keys[0])],
            ..Seal::default()
        }))
    }

    fn issue(&self) -> Command {
        Command::IssueCredential(Box::new(IssueCredential {
            handle: NO_HANDLE,
            subject: None,
            delegated: true,
            principal_tags: Vec::new(),
        }))
    }

    fn spend(&self) -> Command {
        let keys = vec![self.0.key(&self.0.keys[0])];
        Command::Use(Box::new(Use { handle: NO_HANDLE, delegated: true, ..Use::of(keys) }))
    }

    fn present(&self) -> Command {
        Command::Present(Box::new(Present {
            ticket: SecretBytes::new(vec![1; 200]),
            context: Vec::new(),
            proof: [1; 32],
            proof_time: SystemEnv.now(),
            proof_nonce: Nonce([1; 16]),
            holder: Role::S3,
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            target: "TrentService.Decrypt".to_owned(),
            body: self.0.blob_of_ann().to_string().into_bytes(),
            request_id: Uuid::random(&SystemEnv),
            event_id: Uuid::random(&SystemEnv),
            region: "us-east-1".parse().unwrap(),
        }))
    }

    /// A descriptor that keyd did not seal.
    fn load(&self) -> Command {
        let mut descriptor = self.0.key(&self.0.keys[0]).descriptor;
        let at = descriptor.len() / 2;
        descriptor[at] ^= 1;
        let epoch = Uuid::from_bytes([1; 16]);
        Command::Load(Load { descriptors: vec![descriptor], ended: Vec::new(), last: false, epoch })
    }

    fn chunks(&self) -> Command {
        Command::Chunks(Chunks { handle: NO_HANDLE, chunks: Vec::new(), trailer: None })
    }

    fn checkpoint(&self) -> Command {
        let origin = "writ/x/operator".to_owned();
        Command::Checkpoint(Checkpoint { origin, size: 1, root: [0; 32], proof: Vec::new() })
    }
}

/// A handle that nobody was given.
const NO_HANDLE: Handle = Nonce([7; 16]);

/// Without any customer request, and with commands of other roles, nothing is given.
#[test]
fn c02_every_command_without_its_proof_is_refused() {
    let taken = take_over();
    let no = Unproven(&taken);
    let account = ANN.parse().unwrap();
    let ack = || Command::Ack(Ack { boot: Uuid::from_bytes([1; 16]), seq: 9 });
    let table: Vec<(&str, Role, Command)> = vec![
        ("use", Role::Front, no.spend()),
        ("seal", Role::Front, no.seal()),
        ("issue", Role::Front, no.issue()),
        ("present", Role::Front, no.present()),
        ("an account again", Role::Front, Command::CreateAccount(CreateAccount { account })),
        ("a forged descriptor", Role::Front, no.load()),
        ("chunks", Role::Front, no.chunks()),
        ("checkpoint", Role::Front, no.checkpoint()),
        ("ack", Role::Front, ack()),
        ("use", Role::S3, no.spend()),
        ("seal", Role::S3, no.seal()),
        ("issue", Role::S3, no.issue()),
        ("present", Role::S3, no.present()),
        ("load", Role::S3, no.load()),
        ("tick", Role::S3, Command::Tick),
        ("chunks without an upload", Role::S3, no.chunks()),
        ("checkpoint", Role::S3, no.checkpoint()),
        ("use", Role::Trail, no.spend()),
        ("tick", Role::Trail, Command::Tick),
        ("a checkpoint of nothing", Role::Trail, no.checkpoint()),
    ];
    let count = table.len();
    for (what, role, command) in table {
        refused(&format!("{what} by {}", role.name()), taken.keyd.ask(role, command));
    }
    taken.keyd.denied_after(0, "forbidden commands");
    println!("{count} commands without proof were refused");
}

/// What front stores names no secret: a sealed descriptor can be read, but not made.
#[test]
fn c02_descriptor_of_another_revision_is_refused() {
    let taken = take_over();
    let current = taken.key(&taken.keys[0]);
    let Ok(Descriptor::Key(descriptor)) = peek(&current.descriptor) else { panic!("no key") };
    // ann disables her key; front keeps the descriptor from before.
    let disable = taken.signed(&taken.ann, "DisableKey", &json!({"KeyId": taken.keys[0]}));
    let handle = taken.authenticate(taken.command(&taken.ann, disable)).unwrap().handle;
    let sealed = taken.keyd.ask(
        Role::Front,
        Command::Seal(Box::new(Seal {
            handle,
            keys: vec![taken.key(&taken.keys[0])],
            ..Seal::default()
        })),
    );
    let Ok(Reply::Sealed(sealed)) = sealed else { panic!("the key is not disabled") };
    let Ok(Descriptor::Key(newer)) = peek(&sealed.descriptors[0]) else { panic!("no key") };
    assert!(newer.revision > descriptor.revision);
    let before = taken.keyd.recorded();
    let handle = taken.handle(&taken.ann, &taken.blob_of_ann());
    refused("the descriptor from before", taken.spend(handle, vec![current]));
    taken.keyd.denied_after(before, "the descriptor from before");
}
