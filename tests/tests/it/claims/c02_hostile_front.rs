//! C-02, direct uses: a front that somebody took over gets no use of a key without the customer's proof.
//!
//! The key module is the real process; the test has front's whole database, and sits on front's and
//! s3's channels.

use writ_keyd_client::descriptor::{Descriptor, peek};
use writ_keyd_client::protocol::{
    Ack, Authenticate, Authenticated, Beat, Checkpoint, Chunks, Command, CreateAccount, End,
    Handle, Hello, IssueCredential, Load, Network, Payload, Present, Refusal, Reply, Role, Seal,
    Use, UsedKey,
};
use writ_keyd_client::secret::SecretBytes;
use writ_model::{Env as _, Nonce, SystemEnv, Uuid};
use writ_tests::database::{self, Stored};
use writ_tests::http::{Http, Request};
use writ_tests::keyd::Keyd;
use writ_tests::site::{ANN, BOB};
use writ_tests::{Client, Credentials, Site};

use serde_json::{Value, json};

use super::c02_checks::{Checks, Left, Why};
use crate::operations::{Actor, text};

/// A stopped site, its key module started again in the attacker's hands, and what the attacker has.
pub(super) struct Taken {
    pub(super) keyd: Keyd,
    pub(super) state: Vec<Stored>,
    pub(super) ann: Credentials,
    pub(super) bob: Credentials,
    /// A user of ann's account.
    pub(super) carol: Credentials,
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
    let carol = people(&site, &root);
    assert!(site.stop().success());
    let state = database::read(site.dir());
    let descriptors = state
        .iter()
        .filter(|stored| stored.body.get("descriptor").is_some())
        .map(|stored| stored.bytes("descriptor"))
        // The support role has none: nobody can assume it.
        .filter(|sealed| !sealed.is_empty())
        .collect();
    let logs = std::fs::read_dir(site.dir().join("trail/logs/writ")).unwrap().next().unwrap();
    let name = logs.unwrap().file_name().to_string_lossy().into_owned();
    let keyd = Keyd::start(site.dir(), &name, descriptors);
    Taken { keyd, state, ann, bob, carol, keys, blob, _site: site }
}

/// Users and roles of ann's, and a user of bob's with the name of one of them; gives carol's key.
fn people(site: &Site, root: &Actor<'_>) -> Credentials {
    for name in ["carol", "dave"] {
        root.ok("iam", "CreateUser", json!({"UserName": name}));
    }
    Actor::root(site, Client::Boto, BOB).ok("iam", "CreateUser", json!({"UserName": "carol"}));
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ANN}:root")}, "Action": "sts:AssumeRole"}]});
    for name in ["job", "other"] {
        let role = json!({"RoleName": name, "AssumeRolePolicyDocument": trust.to_string()});
        root.ok("iam", "CreateRole", role);
    }
    let key = root.ok("iam", "CreateAccessKey", json!({"UserName": "carol"}));
    Credentials::of_reply(ANN, &key["AccessKey"])
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

    /// The sealed descriptor of something else.
    pub(super) fn descriptor(&self, account: &str, kind: &str, id: &str) -> Vec<u8> {
        let is_it = |s: &&Stored| s.account == account && s.kind == kind && s.id == id;
        self.state.iter().find(is_it).unwrap().bytes("descriptor")
    }

    /// A handle for a KMS request that `who` signed.
    pub(super) fn admitted(&self, who: &Credentials, operation: &str, body: &Value) -> Handle {
        let request = self.signed(who, operation, body);
        self.authenticate(self.command(who, request)).unwrap().handle
    }

    /// A handle for an IAM or STS request that `who` signed.
    pub(super) fn admitted_form(
        &self,
        who: &Credentials,
        service: &'static str,
        form: &str,
    ) -> Handle {
        let http = Http::new("http://front.test", service);
        let mut request = http.request("POST", "/", "", form.as_bytes());
        let kind = b"application/x-www-form-urlencoded".to_vec();
        let id = Uuid::random(&SystemEnv).to_string().into_bytes();
        request.headers.push(("content-type".to_owned(), kind));
        request.headers.push(("amz-sdk-invocation-id".to_owned(), id));
        let request = http.sign(who, &request);
        self.authenticate(self.command(who, request)).unwrap().handle
    }

    /// A customer's signed KMS request, as front received it.
    fn signed(&self, who: &Credentials, operation: &str, body: &Value) -> Request {
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
    fn handle(&self, who: &Credentials, body: &Value) -> Handle {
        self.admitted(who, "Decrypt", body)
    }

    pub(super) fn spend(&self, handle: Handle, keys: Vec<UsedKey>) -> Result<Reply, Refusal> {
        self.keyd.ask(
            Role::Front,
            Command::Use(Box::new(Use { handle, delegated: true, ..Use::of(keys) })),
        )
    }

    pub(super) fn blob_of_ann(&self) -> Value {
        json!({"CiphertextBlob": self.blob})
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
    let not_the_key = "not that of the key in the request";
    let cheats: Vec<(&str, Vec<UsedKey>, &'static str)> = vec![
        ("another key", vec![second], not_the_key),
        ("no key", vec![], "as many keys must come"),
        (
            "a key twice",
            vec![taken.key(&taken.keys[0]), taken.key(&taken.keys[0])],
            "as many keys must come",
        ),
        ("another policy", vec![other_policy], "not the one that is sealed to the key"),
        ("a forged descriptor", vec![forged], "not sealed here"),
        ("tokens of another key", vec![swapped], "the token does not belong to the key"),
    ];
    let mut checks = Checks::new(&taken.keyd);
    for (what, keys, reason) in cheats {
        let handle = taken.handle(&taken.ann, &taken.blob_of_ann());
        let spend = || taken.spend(handle, keys);
        let record = checks.check(what, spend, Why::Forbidden(reason), Left::Record("kms:Decrypt"));
        let principal = record.and_then(|used| used.principal).map(|who| who.arn.to_string());
        assert!(principal.is_some_and(|arn| arn.contains(ANN)), "{what}");
    }
    let context = json!({"CiphertextBlob": taken.blob, "EncryptionContext": {"a": "b"}});
    let handle = taken.handle(&taken.ann, &context);
    checks.check(
        "another context",
        || taken.spend(handle, vec![taken.key(&taken.keys[0])]),
        Why::Aws("InvalidCiphertextException", ""),
        Left::Record("kms:Decrypt"),
    );
    let handle = taken.handle(&taken.ann, &taken.blob_of_ann());
    checks.control("the right key", taken.spend(handle, vec![first]));
    checks.check(
        "the same handle again",
        || taken.spend(handle, vec![taken.key(&taken.keys[0])]),
        Why::Forbidden(UNKNOWN_HANDLE),
        Left::Nothing(NOBODY),
    );
    checks.finish();
}

/// Bob signs, front says that it is allowed: the policy that is sealed to ann's key decides.
#[test]
fn c02_another_accounts_signature_opens_nothing() {
    let taken = take_over();
    let mut checks = Checks::new(&taken.keyd);
    let named = json!({"CiphertextBlob": taken.blob,
        "KeyId": format!("arn:aws:kms:us-east-1:{ANN}:key/{}", taken.keys[0])});
    for (what, body) in [("by its blob", taken.blob_of_ann()), ("by its name", named)] {
        let handle = taken.handle(&taken.bob, &body);
        let record = checks.check(
            what,
            || taken.spend(handle, vec![taken.key(&taken.keys[0])]),
            Why::Aws("AccessDeniedException", "kms:Decrypt"),
            Left::Record("kms:Decrypt"),
        );
        let principal = record.and_then(|used| used.principal).map(|who| who.arn.to_string());
        assert!(principal.is_some_and(|arn| arn.contains(BOB)), "{what}");
        let handle = taken.handle(&taken.ann, &body);
        checks.control(what, taken.spend(handle, vec![taken.key(&taken.keys[0])]));
    }
    checks.finish();
}

/// What was signed cannot be changed, nor put under another credential.
#[test]
fn c02_a_changed_request_is_not_the_customers() {
    type Change = fn(&Taken, &mut Authenticate);
    const WRONG: Why =
        Why::Aws("InvalidSignatureException", "does not match the signature you provided");
    const UNKNOWN: Why = Why::Aws("UnrecognizedClientException", "");
    let taken = take_over();
    let changes: Vec<(&str, Change, Why)> = vec![
        (
            "another body",
            |t, a| {
                a.payload = Payload::Body(
                    json!({"CiphertextBlob": t.blob, "KeyId": t.keys[1]}).to_string().into(),
                );
            },
            WRONG,
        ),
        ("no body", |_, a| a.payload = Payload::Body(Vec::new()), WRONG),
        (
            "an unsigned payload",
            |_, a| a.payload = Payload::Declared("UNSIGNED-PAYLOAD".to_owned()),
            Why::Forbidden("not of the service's form"),
        ),
        (
            "another operation",
            |_, a| {
                let target = a.headers.iter_mut().find(|(name, _)| name == "x-amz-target").unwrap();
                target.1 = b"TrentService.ReEncrypt".to_vec();
            },
            WRONG,
        ),
        ("another path", |_, a| a.path = "/other".to_owned(), WRONG),
        ("another method", |_, a| a.method = "GET".to_owned(), WRONG),
        ("another query", |_, a| a.query = "a=b".to_owned(), WRONG),
        (
            "an unsigned header",
            |_, a| a.headers.push(("x-amz-other".to_owned(), b"1".to_vec())),
            Why::Aws("InvalidSignatureException", "must be a 'SignedHeader'"),
        ),
        ("bob's credential", |t, a| a.credential = Some(t.wrapped(&t.bob)), UNKNOWN),
        ("no credential", |_, a| a.credential = None, UNKNOWN),
        (
            "a damaged credential",
            |t, a| {
                let mut wrapped = t.wrapped(&t.ann);
                wrapped[40] ^= 1;
                a.credential = Some(wrapped);
            },
            UNKNOWN,
        ),
        (
            "no signature",
            |_, a| a.headers.retain(|(name, _)| name != "authorization"),
            Why::Aws("MissingAuthenticationTokenException", ""),
        ),
    ];
    let left = Left::Nothing("nobody is authenticated; front records the request as refused");
    let mut checks = Checks::new(&taken.keyd);
    for (what, change, why) in changes {
        let request = taken.signed(&taken.ann, "Decrypt", &taken.blob_of_ann());
        let mut command = taken.command(&taken.ann, request);
        change(&taken, &mut command);
        checks.check(what, || taken.authenticate(command), why, left);
    }
    stale_signatures(&taken, &mut checks, left);
    let handle = taken.handle(&taken.ann, &taken.blob_of_ann());
    checks.control("the request as it is", taken.spend(handle, vec![taken.key(&taken.keys[0])]));
    checks.finish();
}

/// The right request, signed outside the window.
fn stale_signatures(taken: &Taken, checks: &mut Checks<'_>, left: Left) {
    let http = Http::new("http://front.test", "kms");
    let mut request = taken.signed(&taken.ann, "Decrypt", &taken.blob_of_ann());
    request.headers.retain(|(name, _)| !["authorization", "x-amz-date"].contains(&name.as_str()));
    for (what, hours) in [("an hour ago", -1i64), ("an hour ahead", 1)] {
        let now = i64::try_from(SystemEnv.now().secs()).unwrap() + 3600 * hours;
        let at = writ_model::Timestamp::from_secs(u64::try_from(now).unwrap());
        let stale = taken.command(&taken.ann, http.sign_at(&taken.ann, &request, at));
        let why = Why::Aws("InvalidSignatureException", "");
        checks.check(what, || taken.authenticate(stale), why, left);
    }
}

/// A command, who sends it, and what must come of it.
type Unallowed = (&'static str, Role, Command, (Why, Left));

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
        Command::Load(Load {
            descriptors: vec![descriptor],
            ended: Vec::new(),
            last: false,
            epoch,
            roster: vec![],
        })
    }

    fn chunks(&self) -> Command {
        Command::Chunks(Chunks { handle: NO_HANDLE, chunks: Vec::new(), trailer: None })
    }

    fn checkpoint(&self) -> Command {
        let origin = "writ/x/operator".to_owned();
        Command::Checkpoint(Checkpoint { origin, size: 1, root: [0; 32], proof: Vec::new() })
    }

    fn ack(&self) -> Command {
        Command::Ack(Ack { boot: Uuid::from_bytes([1; 16]), seq: 9 })
    }

    fn end(&self) -> Command {
        Command::End(End::AccessKey(self.0.ann.id.parse().unwrap()))
    }

    /// ann's account, which has got its credential.
    fn account(&self) -> Command {
        Command::CreateAccount(CreateAccount { account: ANN.parse().unwrap() })
    }

    /// A customer's genuine request.
    fn authenticate(&self) -> Command {
        let request = self.0.signed(&self.0.ann, "Decrypt", &self.0.blob_of_ann());
        Command::Authenticate(Box::new(self.0.command(&self.0.ann, request)))
    }

    /// What front may not send, or not so.
    fn fronts(&self) -> Vec<Unallowed> {
        let forbidden = |reason| (Why::Forbidden(reason), Left::Nothing(NOBODY));
        let refused = Why::Aws("AccessDeniedException", "forward access session was refused");
        let ticket = (refused, Left::Record("present:Decrypt"));
        let beat = Command::Beat(Beat { feed: 0 });
        let hello = Command::Hello(Hello { protocol: 0, x25519: None });
        let table = [
            ("use", self.spend(), forbidden(UNKNOWN_HANDLE)),
            ("seal", self.seal(), forbidden(UNKNOWN_HANDLE)),
            ("issue", self.issue(), forbidden(UNKNOWN_HANDLE)),
            ("present", self.present(), ticket),
            ("an account again", self.account(), forbidden("has got its first credential")),
            ("a forged descriptor", self.load(), forbidden("not sealed here")),
            ("a beat from before", beat, forbidden("went backwards")),
            ("another protocol", hello, forbidden("start both from one build")),
            ("chunks", self.chunks(), not_its("front:chunks")),
            ("checkpoint", self.checkpoint(), not_its("front:checkpoint")),
            ("ack", self.ack(), not_its("front:ack")),
        ];
        table.map(|(what, command, expected)| (what, Role::Front, command, expected)).into()
    }

    /// The same for s3 and trail.
    fn others(&self) -> Vec<Unallowed> {
        let (s3, trail) = (Role::S3, Role::Trail);
        let forbidden = |reason| (Why::Forbidden(reason), Left::Nothing(NOBODY));
        vec![
            ("use", s3, self.spend(), not_its("s3:use")),
            ("seal", s3, self.seal(), not_its("s3:seal")),
            ("issue", s3, self.issue(), not_its("s3:issue-credential")),
            ("present", s3, self.present(), not_its("s3:present")),
            ("load", s3, self.load(), not_its("s3:load")),
            ("tick", s3, Command::Tick, not_its("s3:tick")),
            ("end", s3, self.end(), not_its("s3:end")),
            ("ack", s3, self.ack(), not_its("s3:ack")),
            ("an account", s3, self.account(), not_its("s3:create-account")),
            ("chunks of nothing", s3, self.chunks(), forbidden("upload's handle is unknown")),
            ("checkpoint", s3, self.checkpoint(), not_its("s3:checkpoint")),
            ("authenticate", trail, self.authenticate(), not_its("trail:authenticate")),
            ("use", trail, self.spend(), not_its("trail:use")),
            ("seal", trail, self.seal(), not_its("trail:seal")),
            ("issue", trail, self.issue(), not_its("trail:issue-credential")),
            ("present", trail, self.present(), not_its("trail:present")),
            ("load", trail, self.load(), not_its("trail:load")),
            ("end", trail, self.end(), not_its("trail:end")),
            ("tick", trail, Command::Tick, not_its("trail:tick")),
            (
                "a checkpoint of nothing",
                trail,
                self.checkpoint(),
                forbidden("not signed by the key module"),
            ),
        ]
    }
}

/// The reason for a handle that stands for nothing.
pub(super) const UNKNOWN_HANDLE: &str = "the handle is unknown, spent or expired";
/// Why a command without an admitted request leaves no record of a use.
pub(super) const NOBODY: &str = "there is no request behind it that was authenticated";

/// A handle that nobody was given.
const NO_HANDLE: Handle = Nonce([7; 16]);

/// Without any customer request, and with commands of other roles, nothing is given.
#[test]
fn c02_every_command_without_its_proof_is_refused() {
    let taken = take_over();
    let no = Unproven(&taken);
    let mut checks = Checks::new(&taken.keyd);
    for (what, role, command, (why, left)) in no.fronts().into_iter().chain(no.others()) {
        let what = format!("{what} by {}", role.name());
        checks.check(&what, || taken.keyd.ask(role, command), why, left);
    }
    let handle = taken.handle(&taken.ann, &taken.blob_of_ann());
    checks.control("a use with its proof", taken.spend(handle, vec![taken.key(&taken.keys[0])]));
    checks.finish();
}

/// A command that is not the role's, which keyd records as `op`.
fn not_its(op: &'static str) -> (Why, Left) {
    (Why::Forbidden("may not send"), Left::Record(op))
}

/// `Status` is for every peer and names no secret; `End` takes away, and nothing gives back.
#[test]
fn c02_status_tells_nothing_and_end_cannot_be_undone() {
    let taken = take_over();
    let mut checks = Checks::new(&taken.keyd);
    for role in [Role::Front, Role::S3, Role::Trail] {
        let status = checks.control(role.name(), taken.keyd.ask(role, Command::Status));
        let Reply::Status(status) = status else { panic!("not an answer to status") };
        assert_eq!(status.mode, "dev");
    }
    let handle = taken.handle(&taken.ann, &taken.blob_of_ann());
    let end = Command::End(End::AccessKey(taken.ann.id.parse().unwrap()));
    checks.control("an end by front", taken.keyd.ask(Role::Front, end));
    checks.check(
        "a handle from before the end",
        || taken.spend(handle, vec![taken.key(&taken.keys[0])]),
        Why::Aws("UnrecognizedClientException", ""),
        Left::Record("kms:Decrypt"),
    );
    let all = taken.state.iter().filter(|stored| stored.body.get("descriptor").is_some());
    let descriptors =
        all.map(|stored| stored.bytes("descriptor")).filter(|sealed| !sealed.is_empty()).collect();
    let epoch = Uuid::from_bytes([1; 16]);
    let load = Load { descriptors, ended: Vec::new(), last: true, epoch, roster: vec![] };
    checks.control("everything is loaded again", taken.keyd.ask(Role::Front, Command::Load(load)));
    let request = taken.signed(&taken.ann, "Decrypt", &taken.blob_of_ann());
    let command = taken.command(&taken.ann, request);
    checks.check(
        "a request after the end",
        || taken.authenticate(command),
        Why::Aws("UnrecognizedClientException", ""),
        Left::Nothing("front records it as refused, with the caller"),
    );
    checks.finish();
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
    let mut checks = Checks::new(&taken.keyd);
    let handle = taken.handle(&taken.ann, &taken.blob_of_ann());
    checks.check(
        "the descriptor from before",
        || taken.spend(handle, vec![current]),
        Why::Forbidden("not the newest revision"),
        Left::Record("kms:Decrypt"),
    );
    let body = json!({"KeyId": taken.keys[1], "Plaintext": "Z29sZA=="});
    let handle = taken.admitted(&taken.ann, "Encrypt", &body);
    checks.control("the other key", taken.spend(handle, vec![taken.key(&taken.keys[1])]));
    checks.finish();
}
