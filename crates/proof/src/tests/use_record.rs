//! Tests of the chain of keyd's use records.

use expect_test::expect;
use writ_model::{AccountId, Timestamp};

use super::*;

fn full() -> UseRecord {
    let account = AccountId::from_number(123_456_789_012).unwrap();
    UseRecord {
        v: Version,
        boot: Uuid::from_bytes([1; 16]),
        seq: 7,
        time: Timestamp::from_millis(1_800_000_000_123),
        what: What::Use(Box::new(Use {
            op: "kms:Decrypt".to_owned(),
            key: Some("arn:aws:kms:eu-west-1:123456789012:key/k".parse().unwrap()),
            backing_key: Some([2; 16]),
            principal: Some(UsePrincipal {
                arn: Arn::iam(account, "user/a"),
                unique_id: Some("AIDAAAAAAAAAAAAAAAAAA".parse().unwrap()),
                account,
            }),
            proof: UseProof::Ticket(TicketProof {
                ticket: Hash([3; 32]),
                parent: Uuid::from_bytes([4; 16]),
                signature: Hash([5; 32]),
            }),
            request: Some(Hash([6; 32])),
            context: Some(Hash([7; 32])),
            policy: Some(Hash([8; 32])),
            grant: None,
            basis: Basis::Delegated,
            result: UseResult::Denied("AccessDenied".to_owned()),
            request_id: Uuid::from_bytes([9; 16]),
            event_id: Uuid::from_bytes([10; 16]),
            via: vec!["s3.amazonaws.com".to_owned()],
            run: Some(UseRun {
                run: Ulid::from_bytes([11; 16]),
                entry: Hash([12; 32]),
                host: "web-1".parse().unwrap(),
            }),
        })),
    }
}

#[test]
fn use_record_format_is_fixed() {
    let bytes = full().to_bytes();
    expect!["a501010250010101010101010101010101010101010307041b000001a3185c507b058201ae016b6b6d733a4465637279707402782861726e3a6177733a6b6d733a65752d776573742d313a3132333435363738393031323a6b65792f6b03500202020202020202020202020202020204a301782061726e3a6177733a69616d3a3a3132333435363738393031323a757365722f610275414944414141414141414141414141414141414141031b0000001cbe991a14058202a3015820030303030303030303030303030303030303030303030303030303030303030302500404040404040404040404040404040403582005050505050505050505050505050505050505050505050505050505050505050658200606060606060606060606060606060606060606060606060606060606060606075820070707070707070707070707070707070707070707070707070707070707070708582008080808080808080808080808080808080808080808080808080808080808080a81030b82016c41636365737344656e6965640c50090909090909090909090909090909090d500a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0e817073332e616d617a6f6e6177732e636f6d0fa301500b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0258200c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c03657765622d31"].assert_eq(&hex::encode(&bytes));
    assert_eq!(UseRecord::from_bytes(&bytes).unwrap(), full());
    expect!["a92560cab6987821183ebd560ebc796a048d15ec7a0192f923e77018070343d8"]
        .assert_eq(&chain(&Hash([11; 32]), &bytes).to_string());
}

#[test]
fn head_message_is_fixed() {
    let head = UsePosition { boot: Uuid::from_bytes([1; 16]), seq: 300, hash: Hash([2; 32]) };
    expect!["777269742d7573652d686561642d76310083500101010101010101010101010101010119012c58200202020202020202020202020202020202020202020202020202020202020202"].assert_eq(&hex::encode(head_message(&head)));
}

#[test]
fn only_record_0_tells_of_the_boot() {
    let mut record = full();
    record.seq = 0;
    assert!(UseRecord::from_bytes(&record.to_bytes()).is_err());
    let boot = Boot { persisted: None, acknowledged: None, signed: Vec::new() };
    record.what = What::Boot(boot);
    assert!(UseRecord::from_bytes(&record.to_bytes()).is_ok());
    record.seq = 1;
    assert!(UseRecord::from_bytes(&record.to_bytes()).is_err());
}

/// A chain of a boot record and three uses, as one batch.
fn batch() -> (UseBatch, crate::ed25519::SoftKey) {
    let key = crate::ed25519::SoftKey::from_seed(&[1; 32]).unwrap();
    let mut end = ChainEnd::begin(Uuid::from_bytes([1; 16]));
    let boot = What::Boot(Boot { persisted: None, acknowledged: None, signed: Vec::new() });
    let mut records = vec![end.add(Timestamp::from_secs(1), boot).0];
    let mut last = None;
    for _ in 0..3 {
        let (bytes, position) = end.add(Timestamp::from_secs(2), full().what);
        records.push(bytes);
        last = Some(position);
    }
    (UseBatch::sign(records, 0, last.unwrap(), &key).unwrap(), key)
}

#[test]
fn view_of_a_batch_chains_as_the_batch_does_and_hides_the_rest() {
    let (batch, key) = batch();
    let view = batch.viewed(&|record| record.seq == 2).unwrap();
    let hidden = view.records.0.iter().filter(|r| matches!(r, ViewedRecord::Hash(_))).count();
    assert_eq!((hidden, view.records.0.len()), (3, 4));
    let begin = ChainEnd::begin(batch.boot);
    let (mut whole, mut viewed) = (begin, begin);
    let records = whole.accept(&batch, &key.public_key()).unwrap();
    let read = viewed.accept_view(&view, &key.public_key()).unwrap();
    assert_eq!(whole, viewed);
    assert_eq!(read[2].1.as_ref(), Some(&records[2]));
    assert_eq!((read[3].0, &read[3].1), (batch.position(), &None));
    let bytes = cbor::to_vec(&view);
    assert_eq!(cbor::from_slice::<UseBatchView>(&bytes).unwrap(), view);
}

#[test]
fn view_that_was_changed_is_refused() {
    let (batch, key) = batch();
    let view = batch.viewed(&|record| record.seq == 2).unwrap();
    let refused = |change: &dyn Fn(&mut UseBatchView)| {
        let mut changed = view.clone();
        change(&mut changed);
        let mut end = ChainEnd::begin(batch.boot);
        assert!(end.accept_view(&changed, &key.public_key()).is_err());
        assert_eq!(end, ChainEnd::begin(batch.boot), "nothing is stepped over");
    };
    refused(&|view| view.records.0.swap(0, 1));
    refused(&|view| view.records.0[1] = ViewedRecord::Hash(Hash::ZERO));
    refused(&|view| view.records.0[1] = view.records.0[2].clone());
    refused(&|view| view.records.0[2] = ViewedRecord::Whole(full().to_bytes()));
    refused(&|view| drop(view.records.0.pop()));
    refused(&|view| view.records.0.clear());
    refused(&|view| view.first_seq = 1);
    refused(&|view| view.signature[0] ^= 1);
}
