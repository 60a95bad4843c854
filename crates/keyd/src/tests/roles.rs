//! Every command from every role: what the table does not have is refused and recorded.

use super::*;

type Make = fn() -> Command;

#[expect(clippy::too_many_lines, reason = "one entry a command")]
fn commands() -> Vec<(&'static str, Make, &'static [Role])> {
    fn authenticate() -> Command {
        Command::Authenticate(Box::new(Authenticate {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            headers: vec![],
            payload: Payload::Body(vec![]),
            credential: None,
            network: Network { source_ip: "192.0.2.1".to_owned(), tls: None, vpce: None },
            request_id: Uuid::from_bytes([0; 16]),
            event_id: Uuid::from_bytes([0; 16]),
            region: region(),
        }))
    }
    fn issue() -> Command {
        Command::IssueCredential(Box::new(IssueCredential {
            handle: nonce(1),
            subject: None,
            delegated: true,
            principal_tags: vec![],
        }))
    }
    fn seal() -> Command {
        Command::Seal(Box::default())
    }
    fn present() -> Command {
        Command::Present(Box::new(Present {
            ticket: writ_keyd_client::secret::SecretBytes::new(vec![]),
            context: vec![],
            proof: [0; 32],
            proof_time: NOON,
            proof_nonce: nonce(1),
            holder: Role::S3,
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            target: String::new(),
            body: vec![],
            request_id: Uuid::from_bytes([0; 16]),
            event_id: Uuid::from_bytes([0; 16]),
            region: region(),
        }))
    }
    fn checkpoint() -> Command {
        let origin = "writ/test/operator".to_owned();
        Command::Checkpoint(Checkpoint { origin, size: 1, root: [1; 32], proof: vec![] })
    }
    let use_none: Make = || Command::Use(Box::new(Use::of(vec![])));
    let load: Make = || {
        let epoch = Uuid::from_bytes([1; 16]);
        Command::Load(Load {
            descriptors: vec![],
            ended: vec![],
            last: true,
            epoch,
            roster: vec![],
        })
    };
    let chunks: Make =
        || Command::Chunks(Chunks { handle: nonce(1), chunks: vec![], trailer: None });
    const ALL: &[Role] = &[Role::Front, Role::S3, Role::Supervisor, Role::Trail];
    vec![
        ("hello", || Command::Hello(hello(None)), ALL),
        ("status", || Command::Status, ALL),
        ("authenticate", authenticate, &[Role::Front, Role::S3]),
        ("issue-credential", issue, &[Role::Front]),
        (
            "create-account",
            || Command::CreateAccount(CreateAccount { account: account(9) }),
            &[Role::Front],
        ),
        ("roster", || Command::Roster(Vec::new()), &[Role::Front]),
        ("seal", seal, &[Role::Front]),
        ("present", present, &[Role::Front]),
        ("use", use_none, &[Role::Front]),
        ("end", || Command::End(End::Principal("AIDA".to_owned())), &[Role::Front]),
        ("chunks", chunks, &[Role::S3]),
        ("load", load, &[Role::Front]),
        ("beat", || Command::Beat(Beat { feed: u64::MAX / 2 }), &[Role::Front]),
        ("tick", || Command::Tick, &[Role::Front]),
        ("checkpoint", checkpoint, &[Role::Trail]),
        ("cosign", || Command::Cosign(Vec::new()), &[Role::Trail]),
        ("ack", || Command::Ack(Ack { boot: Uuid::from_bytes([0; 16]), seq: 0 }), &[Role::Trail]),
    ]
}

#[test]
fn every_command_from_every_wrong_role_is_refused_and_recorded() {
    let roles = [Role::Front, Role::Keyd, Role::S3, Role::Supervisor, Role::Trail, Role::Watch];
    for (name, make, senders) in commands() {
        for role in roles {
            let site = Site::new();
            let before = site.records().len();
            let result = site.engine.handle(role, make());
            let may_not = format!("{} may not send {name}", role.name());
            let refused = matches!(&result, Err(Refusal::Forbidden(why)) if *why == may_not);
            assert_eq!(refused, !senders.contains(&role), "{name} from {role:?}");
            if refused {
                assert_eq!(site.records().len(), before + 1, "{name} from {role:?}");
                let expected = (format!("{}:{name}", role.name()), "Forbidden".to_owned());
                assert_eq!(site.last_record(), expected);
            }
        }
    }
}

#[test]
fn front_without_any_customer_request_gets_nothing() {
    let site = Site::new();
    let handle = "the handle is unknown, spent or expired";
    let ticket = "The forward access session was refused: the ticket is malformed.";
    for (name, make, _) in commands() {
        let (expected, text) = match name {
            "issue-credential" | "seal" | "use" => ("Forbidden", handle),
            "present" => ("AccessDeniedException", ticket),
            _ => continue,
        };
        assert_eq!(code(site.engine.handle(Role::Front, make())), expected, "{name}");
        assert_eq!(why(site.engine.handle(Role::Front, make())), text, "{name}");
    }
}

#[test]
fn checkpoint_must_extend_the_last_one_of_its_log_also_over_a_restart() {
    let site = Site::new();
    let ask = |site: &Site, origin: &str, size, root, proof: Vec<[u8; 32]>| {
        let origin = origin.to_owned();
        let asked = Checkpoint { origin, size, root, proof };
        site.engine.handle(Role::Trail, Command::Checkpoint(asked))
    };
    use writ_proof::merkle::{leaf_hash, node_hash};
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let both = node_hash(&a, &b).0;
    let log = "writ/test/operator";
    let Ok(Reply::Note(note)) = ask(&site, log, 1, a.0, vec![]) else { panic!("no note") };
    assert!(note.starts_with("writ/test/operator\n1\n"), "{note}");
    assert!(ask(&site, log, 1, a.0, vec![]).is_ok(), "the same again");
    type Row<'a> = (&'a str, &'a str, u64, [u8; 32], Vec<[u8; 32]>);
    let table: [Row<'_>; 6] = [
        ("another tree of the same size", log, 1, b.0, vec![]),
        ("larger, without proof", log, 2, both, vec![]),
        ("larger, with a wrong proof", log, 2, both, vec![[9; 32]]),
        ("an account's log", "writ/test/account/123456789012", 1, a.0, vec![]),
        ("another site's log", "writ/other/operator", 1, a.0, vec![]),
        ("no origin at all", "operator", 1, a.0, vec![]),
    ];
    for (name, origin, size, root, proof) in table {
        assert_eq!(code(ask(&site, origin, size, root, proof)), "Forbidden", "{name}");
    }
    let again = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    assert_eq!(code(ask(&again, log, 1, b.0, vec![])), "Forbidden", "forked after a restart");
    assert!(ask(&again, log, 2, both, vec![b.0]).is_ok());
    assert_eq!(code(ask(&again, log, 1, a.0, vec![])), "Forbidden", "backwards");
}

#[test]
fn host_log_is_cosigned_only_if_it_extends_what_was_also_over_a_restart() {
    use writ_proof::checkpoint::Checkpoint as HostCheckpoint;
    use writ_proof::ed25519::SoftKey;
    use writ_proof::hash::Hash;
    use writ_proof::merkle::{leaf_hash, node_hash};
    use writ_proof::note::{KeyKind, Note, VerifierKey};
    use writ_proof::witness::AddCheckpoint;

    let origin = "writ/test/host";
    let watch = SoftKey::from_seed(&[106; 32]).unwrap();
    let stranger = SoftKey::from_seed(&[107; 32]).unwrap();
    let note = |origin: &str, size, root: Hash, key: &SoftKey| {
        let mut note = HostCheckpoint::new(origin, size, root).to_note().unwrap();
        note.add(note.sign(origin, key).unwrap());
        note
    };
    let ask = |site: &Site, old, proof: Vec<Hash>, checkpoint: Note| {
        let body = AddCheckpoint { old, proof, checkpoint }.to_bytes();
        match site.engine.handle(Role::Trail, Command::Cosign(body)).unwrap() {
            Reply::Cosigned(reply) => (reply.status, String::from_utf8(reply.body).unwrap()),
            _ => panic!("another reply"),
        }
    };
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let both = node_hash(&a, &b);
    let site = Site::new();
    let first = note(origin, 1, a, &watch);
    let (status, line) = ask(&site, 0, vec![], first.clone());
    assert_eq!(status, 200);
    let mut cosigned = first.clone();
    cosigned.add(line.parse().unwrap());
    let keyd = VerifierKey::new("test/keyd", KeyKind::Cosignature, site.keys.checkpoint).unwrap();
    cosigned.verify_one(&keyd).unwrap();
    assert_eq!(ask(&site, 0, vec![], first.clone()).0, 200, "the same again, its answer was lost");
    assert_eq!(ask(&site, 0, vec![], note(origin, 2, both, &watch)), (409, "1\n".to_owned()));
    assert_eq!(ask(&site, 1, vec![], note(origin, 2, both, &watch)).0, 422, "no proof");
    assert_eq!(ask(&site, 1, vec![], note(origin, 1, b, &watch)).0, 422, "another tree");
    assert_eq!(ask(&site, 1, vec![b], note(origin, 2, both, &stranger)).0, 403);
    let operator = note("writ/test/operator", 2, both, &watch);
    assert_eq!(ask(&site, 1, vec![b], operator).0, 404, "another log");
    assert_eq!(ask(&site, 1, vec![b], note(origin, 2, both, &watch)).0, 200);
    let again = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    assert_eq!(ask(&again, 1, vec![], first), (409, "2\n".to_owned()), "rolled back");
}

#[test]
fn records_of_refusals_form_one_chain() {
    let site = Site::new();
    for _ in 0..5 {
        assert_eq!(code(site.engine.handle(Role::S3, Command::Tick)), "Forbidden");
    }
    let sequence: Vec<u64> = site.records().iter().map(|record| record.seq).collect();
    assert_eq!(sequence, (0..6).collect::<Vec<u64>>());
}
