//! Tests of forward access tickets: what narrows, and what must not widen.

use std::collections::BTreeMap;
use std::time::Duration;

use expect_test::expect;
use proptest::prelude::*;
use writ_model::{AccountId, Arn, Region, Revision, Uuid};

use super::*;
use crate::leaf::Source;

const KEY: [u8; 32] = [1; 32];
const KID: Nonce = Nonce([2; 16]);
const KEY_ARN: &str = "arn:aws:kms:eu-west-1:123456789012:key/k";
const OBJECT: &str = "arn:aws:s3:::bucket/key";

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn region(text: &str) -> Region {
    text.parse().unwrap()
}

fn context() -> BTreeMap<String, String> {
    BTreeMap::from([("aws:s3:arn".to_owned(), OBJECT.to_owned())])
}

fn root() -> Root {
    let account = AccountId::from_number(123_456_789_012).unwrap();
    Root {
        kid: KID,
        txn: Nonce([3; 16]),
        jti: Nonce([4; 16]),
        iat: now(),
        exp: now().plus(Duration::from_secs(300)),
        principal: Customer {
            arn: Arn::iam(account, "user/alice"),
            unique_id: Some("AIDAAAAAAAAAAAAAAAAAA".parse().unwrap()),
            account,
            access_key: "AKIAAAAAAAAAAAAAAAAA".parse().unwrap(),
            issuer: None,
            mfa: Some(Mfa { present: true, at: Some(now()) }),
            source_identity: None,
        },
        req: SignedRequest {
            digest: Hash([5; 32]),
            signature: Hash([6; 32]),
            request_id: Uuid::from_bytes([7; 16]),
            event_id: Uuid::from_bytes([8; 16]),
            service: "s3".to_owned(),
            region: region("eu-west-1"),
            operation: "s3:GetObject".to_owned(),
            resources: vec![OBJECT.to_owned()],
        },
        net: Network {
            source_ip: Some("192.0.2.1".to_owned()),
            vpce: None,
            vpc: None,
            tls: Some("TLSv1.3".to_owned()),
        },
        ctx: Hash([9; 32]),
        fwd: vec![
            Forward {
                audience: "kms".to_owned(),
                action: "kms:Decrypt".to_owned(),
                resource: ResourceRule::Any,
                context: ContextRule::Includes(Pair {
                    key: "aws:s3:arn".to_owned(),
                    value: OBJECT.to_owned(),
                }),
                budget: 1,
            },
            Forward {
                audience: "kms".to_owned(),
                action: "kms:GenerateDataKey".to_owned(),
                resource: ResourceRule::OneOf(vec![KEY_ARN.to_owned()]),
                context: ContextRule::Exactly(vec![context_digest(&context())]),
                budget: 2,
            },
        ],
        holder: Holder::Channel(Source::S3),
        via: vec!["s3.amazonaws.com".to_owned()],
        depth: 0,
        epoch: Revision(42),
    }
}

fn ticket() -> Ticket {
    Ticket::mint(&KEY, &root()).unwrap()
}

fn verified(ticket: &Ticket) -> VerifiedTicket {
    let again = Ticket::from_bytes(&ticket.to_bytes()).unwrap();
    again.verify(&KEY).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// A use, by default the one that the ticket is for.
#[derive(Debug, Clone)]
struct Wanted {
    holder: Holder,
    audience: &'static str,
    region: Region,
    action: &'static str,
    resource: &'static str,
    context: BTreeMap<String, String>,
    request: Hash,
    spent: u32,
}

fn wanted() -> Wanted {
    Wanted {
        holder: Holder::Channel(Source::S3),
        audience: "kms",
        region: region("eu-west-1"),
        action: "kms:Decrypt",
        resource: KEY_ARN,
        context: context(),
        request: Hash([10; 32]),
        spent: 0,
    }
}

fn judge(ticket: &Ticket, wanted: &Wanted, now: Timestamp) -> Result<(), Refusal> {
    let wanted = TicketUse {
        holder: &wanted.holder,
        audience: wanted.audience,
        region: &wanted.region,
        action: wanted.action,
        resource: wanted.resource,
        context: &wanted.context,
        request: wanted.request,
        spent: wanted.spent,
    };
    verified(ticket).allows(&wanted, now)
}

#[test]
fn ticket_format_is_fixed() {
    let ticket = ticket().append(&Caveat::Action("kms:Decrypt".to_owned())).unwrap();
    expect!["8401590266ae015002020202020202020202020202020202025003030303030303030303030303030303035004040404040404040404040404040404041b000001a3185c5000051b000001a31860e3e006a501782461726e3a6177733a69616d3a3a3132333435363738393031323a757365722f616c6963650275414944414141414141414141414141414141414141031b0000001cbe991a140474414b49414141414141414141414141414141414106a201f5021b000001a3185c500007a80158200505050505050505050505050505050505050505050505050505050505050505025820060606060606060606060606060606060606060606060606060606060606060603500707070707070707070707070707070704500808080808080808080808080808080805627333066965752d776573742d31076c73333a4765744f626a65637408817761726e3a6177733a73333a3a3a6275636b65742f6b657908a201693139322e302e322e310467544c5376312e3309582009090909090909090909090909090909090909090909090909090909090909090a82a501636b6d73026b6b6d733a44656372797074038100048202a2016a6177733a73333a61726e027761726e3a6177733a73333a3a3a6275636b65742f6b65790501a501636b6d7302736b6d733a47656e6572617465446174614b657903820181782861726e3a6177733a6b6d733a65752d776573742d313a3132333435363738393031323a6b65792f6b048201815820c0e7ffdeeaf86484c88b1789abf5d6c4461d4af7ad22368f45d196919eb497e605020b820081010c817073332e616d617a6f6e6177732e636f6d0d000e182a814e82016b6b6d733a446563727970745820bad2cc0b34786a36552ebe3b9ca5afa79c8527c3f8bd54d4470a4514d1357f38"].assert_eq(&hex::encode(ticket.to_bytes()));
    expect!["c0e7ffdeeaf86484c88b1789abf5d6c4461d4af7ad22368f45d196919eb497e6"]
        .assert_eq(&context_digest(&context()).to_string());
    let request = ProvenRequest {
        method: "POST",
        path: "/",
        query: "",
        body: Hash([1; 32]),
        ticket: ticket.digest(),
    };
    let proof = Proof::make(&KEY, &request, now(), Nonce([11; 16]));
    expect!["a3011b000001a3185c500002500b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b035820be0109955a16503883176061de4d374238edba433f9ddc6e7b1dc53e1b7e013e"].assert_eq(&hex::encode(proof.to_bytes()));
}

#[test]
fn ticket_allows_its_use_and_names_why_not() {
    assert_eq!(judge(&ticket(), &wanted(), now()), Ok(()));
    type Harm = fn(&mut Wanted);
    let harms: [(Refusal, Harm); 8] = [
        (Refusal::Holder, |w| w.holder = Holder::Channel(Source::Front)),
        (Refusal::Holder, |w| w.holder = Holder::Key(Hash::ZERO)),
        (Refusal::Audience, |w| w.audience = "sts"),
        (Refusal::Region, |w| w.region = region("us-east-1")),
        (Refusal::Action, |w| w.action = "kms:Encrypt"),
        (Refusal::Context, |w| w.context.clear()),
        (Refusal::Context, |w| {
            w.context.insert("aws:s3:arn".to_owned(), format!("{OBJECT}2"));
        }),
        (Refusal::Budget, |w| w.spent = 1),
    ];
    for (refusal, harm) in harms {
        let mut other = wanted();
        harm(&mut other);
        assert_eq!(judge(&ticket(), &other, now()), Err(refusal));
    }
    let mut data_key = wanted();
    data_key.action = "kms:GenerateDataKey";
    data_key.spent = 1;
    assert_eq!(judge(&ticket(), &data_key, now()), Ok(()));
    data_key.context.insert("more".to_owned(), "x".to_owned());
    assert_eq!(judge(&ticket(), &data_key, now()), Err(Refusal::Context));
    data_key.resource = "arn:aws:kms:eu-west-1:123456789012:key/other";
    assert_eq!(judge(&ticket(), &data_key, now()), Err(Refusal::Resource));
}

#[test]
fn ticket_is_valid_in_its_time_only() {
    let at = |ms: u64| judge(&ticket(), &wanted(), Timestamp::from_millis(ms));
    let start = now().millis();
    assert_eq!(at(start + 299_999), Ok(()));
    assert_eq!(at(start + 300_000), Err(Refusal::Expired));
    assert_eq!(at(start - 5_000), Ok(()), "the skew of a cluster");
    assert_eq!(at(start - 5_001), Err(Refusal::NotYet));
    let short = ticket().append(&Caveat::Expires(now())).unwrap();
    assert_eq!(judge(&short, &wanted(), now()), Err(Refusal::Expired));
}

#[test]
fn each_caveat_narrows() {
    let mut other = context();
    other.insert("b".to_owned(), "c".to_owned());
    let cases = [
        (Caveat::Audience("kms".to_owned()), Ok(())),
        (Caveat::Audience("s3".to_owned()), Err(Refusal::Audience)),
        (Caveat::Action("kms:Decrypt".to_owned()), Ok(())),
        (Caveat::Action("kms:*".to_owned()), Err(Refusal::Action)),
        (Caveat::Resource(KEY_ARN.to_owned()), Ok(())),
        (Caveat::Resource("*".to_owned()), Err(Refusal::Resource)),
        (Caveat::ContextDigest(context_digest(&context())), Ok(())),
        (Caveat::ContextDigest(context_digest(&other)), Err(Refusal::Context)),
        (Caveat::Budget(9), Ok(())),
        (Caveat::Budget(0), Err(Refusal::Budget)),
        (Caveat::RequestDigest(Hash([10; 32])), Ok(())),
        (Caveat::RequestDigest(Hash([11; 32])), Err(Refusal::Request)),
    ];
    for (caveat, expected) in cases {
        let narrowed = ticket().append(&caveat).unwrap();
        assert_eq!(judge(&narrowed, &wanted(), now()), expected, "{caveat:?}");
    }
}

#[test]
fn a_ticket_changed_in_any_way_is_refused() {
    let a = Caveat::Audience("kms".to_owned());
    let b = Caveat::Budget(1);
    let both = ticket().append(&a).unwrap().append(&b).unwrap();
    let mut removed = both.clone();
    removed.caveats.pop();
    let mut swapped = both.clone();
    swapped.caveats.swap(0, 1);
    let mut spliced = both.clone();
    spliced.caveats[1] = cbor::to_vec(&Caveat::Budget(9));
    let mut stripped = both.clone();
    stripped.caveats.clear();
    for (name, changed) in
        [("removed", removed), ("swapped", swapped), ("spliced", spliced), ("stripped", stripped)]
    {
        assert!(matches!(changed.verify(&KEY), Err(Refusal::Mac)), "{name}");
    }
    let bytes = both.to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let refused = Ticket::from_bytes(&changed).map(|ticket| ticket.verify(&KEY).is_err());
        assert_ne!(refused, Ok(false), "byte {at}");
    }
    let forged = Ticket::mint(&[9; 32], &root()).unwrap();
    assert!(matches!(forged.verify(&KEY), Err(Refusal::Mac)));
}

#[test]
fn a_caveat_on_what_the_root_decides_is_refused() {
    // Tag 7, as a holder would be: the MAC holds, since anybody can append, but nobody reads it.
    let mut ticket = ticket();
    let caveat = vec![0x82, 0x07, 0x62, b's', b'3'];
    ticket.tag = labelled_mac(&ticket.tag, CAVEAT_LABEL, &caveat).0;
    ticket.caveats.push(caveat);
    assert!(matches!(ticket.verify(&KEY), Err(Refusal::Format)));
}

#[test]
fn limits_of_tickets_hold() {
    let mut ticket = ticket();
    for _ in 0..limits::TICKET_MAX_CAVEATS {
        ticket = ticket.append(&Caveat::Budget(1)).unwrap();
    }
    assert!(ticket.append(&Caveat::Budget(1)).is_err());
    assert!(self::ticket().append(&Caveat::Resource("x".repeat(4096))).is_err());
    let long = Root { exp: now().plus(Duration::from_secs(301)), ..root() };
    assert!(Ticket::mint(&KEY, &long).is_err());
    let via = |count: usize| vec!["s3.amazonaws.com".to_owned(); count];
    let hop = |depth: u32, secs: u64| Root {
        via: via(depth as usize + 1),
        depth,
        exp: now().plus(Duration::from_secs(secs)),
        ..root()
    };
    assert!(Ticket::mint(&KEY, &hop(1, 60)).is_ok());
    assert!(Ticket::mint(&KEY, &hop(1, 61)).is_err());
    assert!(Ticket::mint(&KEY, &hop(8, 60)).is_ok());
    assert!(Ticket::mint(&KEY, &hop(9, 60)).is_err(), "nine hops");
    assert!(Ticket::mint(&KEY, &Root { via: via(2), ..root() }).is_err(), "via against depth");
}

#[test]
fn proof_covers_the_whole_request() {
    let request = ProvenRequest {
        method: "POST",
        path: "/a",
        query: "b",
        body: Hash([1; 32]),
        ticket: Hash([2; 32]),
    };
    let proof = Proof::make(&KEY, &request, now(), Nonce([3; 16]));
    let proof = Proof::from_bytes(&proof.to_bytes()).unwrap();
    let check = |request: &ProvenRequest<'_>, ms: u64| {
        proof.verify(&KEY, request, Timestamp::from_millis(ms))
    };
    let start = now().millis();
    assert_eq!(check(&request, start + 5_000), Ok(()));
    assert_eq!(check(&request, start + 5_001), Err(Refusal::Clock));
    assert_eq!(check(&request, start - 5_001), Err(Refusal::Clock));
    for other in [
        ProvenRequest { method: "GET", ..request },
        ProvenRequest { path: "/ab", query: "", ..request },
        ProvenRequest { query: "", ..request },
        ProvenRequest { body: Hash([2; 32]), ..request },
        ProvenRequest { ticket: Hash([3; 32]), ..request },
    ] {
        assert_eq!(check(&other, start), Err(Refusal::Possession));
    }
    assert_eq!(proof.verify(&[2; 32], &request, now()), Err(Refusal::Possession));
    let other = Proof { nonce: Nonce([4; 16]), ..proof.clone() };
    assert_eq!(other.verify(&KEY, &request, now()), Err(Refusal::Possession));
}

#[test]
fn context_digests_do_not_collide() {
    let of = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        context_digest(&pairs.collect())
    };
    let all = [
        of(&[]),
        of(&[("", "")]),
        of(&[("a", "bc")]),
        of(&[("ab", "c")]),
        of(&[("a", "b"), ("c", "")]),
        of(&[("a", "b"), ("", "c")]),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one));
    }
    assert_eq!(of(&[("b", "1"), ("a", "2")]), of(&[("a", "2"), ("b", "1")]));
}

fn caveat() -> impl Strategy<Value = Caveat> {
    let text = || prop::sample::select(vec!["kms", "s3", "kms:Decrypt", KEY_ARN, "*"]);
    prop_oneof![
        text().prop_map(|t| Caveat::Audience(t.to_owned())),
        text().prop_map(|t| Caveat::Action(t.to_owned())),
        text().prop_map(|t| Caveat::Resource(t.to_owned())),
        any::<bool>().prop_map(|own| {
            Caveat::ContextDigest(if own { context_digest(&context()) } else { Hash::ZERO })
        }),
        (0u64..1000).prop_map(|s| Caveat::Expires(now().plus(Duration::from_secs(s)))),
        (0u32..4).prop_map(Caveat::Budget),
        (9u8..12).prop_map(|n| Caveat::RequestDigest(Hash([n; 32]))),
    ]
}

fn any_use() -> impl Strategy<Value = Wanted> {
    (
        prop::sample::select(vec![Source::S3, Source::Front]),
        prop::sample::select(vec!["kms", "s3"]),
        prop::sample::select(vec!["kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt"]),
        prop::sample::select(vec![KEY_ARN, "*"]),
        any::<bool>(),
        9u8..12,
        0u32..3,
    )
        .prop_map(|(source, audience, action, resource, own, request, spent)| Wanted {
            holder: Holder::Channel(source),
            audience,
            region: region("eu-west-1"),
            action,
            resource,
            context: if own { context() } else { BTreeMap::new() },
            request: Hash([request; 32]),
            spent,
        })
}

proptest! {
    #[test]
    fn no_sequence_of_appends_makes_an_unusable_use_usable(
        caveats in prop::collection::vec(caveat(), 0..8),
        wanted in any_use(),
        secs in 0u64..400,
    ) {
        let at = now().plus(Duration::from_secs(secs));
        let mut ticket = ticket();
        let mut usable = judge(&ticket, &wanted, at).is_ok();
        for caveat in caveats {
            ticket = ticket.append(&caveat).unwrap();
            let still = judge(&ticket, &wanted, at).is_ok();
            prop_assert!(usable || !still, "{:?} widened", caveat);
            usable = still;
        }
    }

    #[test]
    fn any_bytes_are_judged_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        tag in any::<[u8; 32]>(),
    ) {
        if let Ok(ticket) = Ticket::from_bytes(&bytes) {
            prop_assert_eq!(ticket.to_bytes(), bytes.clone());
            prop_assert!(ticket.verify(&KEY).is_err());
        }
        Proof::from_bytes(&bytes).ok();
        let ticket = Ticket { root: cbor::to_vec(&root()), caveats: vec![bytes], tag };
        prop_assert!(ticket.verify(&KEY).is_err());
    }
}
