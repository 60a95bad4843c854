//! Tests of the CloudTrail record.

use expect_test::expect;
use serde_json::json;
use writ_keyd_client::caller::{Caller, CallerKind, Session, SessionRole};
use writ_model::Nonce;
use writ_model::env::TestEnv;
use writ_proof::committed;

use super::*;

fn account(n: u64) -> AccountId {
    AccountId::from_number(n).unwrap()
}

fn role_caller() -> Caller {
    let role: Arn = "arn:aws:iam::123456789012:role/app/reader".parse().unwrap();
    Caller {
        kind: CallerKind::AssumedRole,
        account: account(123_456_789_012),
        arn: "arn:aws:sts::123456789012:assumed-role/reader/job".parse().unwrap(),
        unique_id: "AROAEXAMPLEEXAMPLE000:job".to_owned(),
        user_name: None,
        access_key_id: "ASIAEXAMPLEEXAMPLE00".parse().unwrap(),
        session: Some(Session {
            role: Some(SessionRole {
                arn: role,
                unique_id: "AROAEXAMPLEEXAMPLE000".to_owned(),
                name: "reader".to_owned(),
                session_name: "job".to_owned(),
            }),
            issued: Timestamp::from_secs(1_800_000_000),
            expires: Timestamp::from_secs(1_800_003_600),
            mfa_at: None,
            source_identity: Some("alice".to_owned()),
            tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            policy: None,
            policy_arns: Vec::new(),
            chained: false,
        }),
        delegated: false,
    }
}

fn forwarded() -> Forwarded {
    Forwarded {
        transaction: Nonce([1; 16]),
        ticket_id: Nonce([2; 16]),
        via: vec!["s3.amazonaws.com".to_owned()],
        parent_event: Uuid::from_bytes([3; 16]),
        parent_request: Uuid::from_bytes([4; 16]),
        ticket_digest: [5; 32],
        request_digest: [6; 32],
        signature_digest: [7; 32],
        network: Network { source_ip: "192.0.2.7".to_owned(), tls: None, vpce: None },
        user_agent: Some("aws-cli".to_owned()),
        referer: None,
    }
}

/// The records of a Decrypt by a role through s3, changed by `change`.
fn records(change: impl FnOnce(&mut Call<'_>)) -> Vec<Record> {
    let env = TestEnv::new(Timestamp::from_secs(1_800_000_100), 7);
    let (site, region) = ("site-1".parse().unwrap(), "us-east-1".parse().unwrap());
    let network = Network { source_ip: "192.0.2.7".to_owned(), tls: None, vpce: None };
    let (caller, forwarded) = (role_caller(), forwarded());
    let mut call = Call {
        site: &site,
        identity: Identity::Caller(&caller),
        time: env.now(),
        event_source: "kms.amazonaws.com",
        event_name: "Decrypt",
        region: &region,
        network: &network,
        user_agent: Some("aws-cli"),
        host: None,
        error: None,
        request_parameters: Some(
            json!({ "encryptionContext": { "a": "b" } }).as_object().unwrap().clone(),
        ),
        response_elements: Some(json!({ "ignored": true }).as_object().unwrap().clone()),
        additional: Map::new(),
        request_id: Uuid::from_bytes([8; 16]),
        event_id: Uuid::from_bytes([9; 16]),
        read_only: true,
        resources: vec![Resource {
            arn: "arn:aws:kms:us-east-1:123456789012:key/x".parse().unwrap(),
            account: Some(account(123_456_789_012)),
            kind: "AWS::KMS::Key",
        }],
        api_version: None,
        category: Category::Management,
        forwarded: Some(&forwarded),
        use_position: Some(UsePosition {
            boot: Uuid::from_bytes([10; 16]),
            seq: 5,
            hash: Hash([11; 32]),
        }),
    };
    change(&mut call);
    call.records(&env).unwrap()
}

#[test]
fn record_of_a_forwarded_use_has_cloudtrails_fields_in_its_order() {
    let records = records(|_| {});
    assert_eq!(records.len(), 1);
    let text = String::from_utf8(records[0].json.clone()).unwrap();
    let seed = text.split("\"seed\":\"").nth(1).unwrap().split('"').next().unwrap();
    expect![[r#"{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLEEXAMPLE000:job","arn":"arn:aws:sts::123456789012:assumed-role/reader/job","accountId":"123456789012","accessKeyId":"ASIAEXAMPLEEXAMPLE00","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLEEXAMPLE000","arn":"arn:aws:iam::123456789012:role/app/reader","accountId":"123456789012","userName":"reader"},"attributes":{"creationDate":"2027-01-15T08:00:00Z","mfaAuthenticated":"false"},"sourceIdentity":"alice"},"invokedBy":"s3.amazonaws.com"},"eventTime":"2027-01-15T08:01:40Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt","awsRegion":"us-east-1","sourceIPAddress":"s3.amazonaws.com","userAgent":"s3.amazonaws.com","requestParameters":{"encryptionContext":{"a":"b"}},"responseElements":null,"additionalEventData":{"fas":{"transactionId":"01010101010101010101010101010101","parentEventId":"03030303-0303-0303-0303-030303030303","parentRequestId":"04040404-0404-0404-0404-040404040404","serviceChain":["s3.amazonaws.com"],"requestSha256":"0606060606060606060606060606060606060606060606060606060606060606","signatureSha256":"0707070707070707070707070707070707070707070707070707070707070707","sourceIp":"192.0.2.7"},"writ":{"log":"writ/site-1/account/123456789012","seed":"SEED","useRecord":{"boot":"0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a","seq":5,"hash":"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"}}},"requestID":"08080808-0808-0808-0808-080808080808","eventID":"09090909-0909-0909-0909-090909090909","readOnly":true,"resources":[{"ARN":"arn:aws:kms:us-east-1:123456789012:key/x","accountId":"123456789012","type":"AWS::KMS::Key"}],"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management"}"#]]
    .assert_eq(&text.replace(seed, "SEED"));
    let value = committed::parse(text.as_bytes()).unwrap();
    committed::commit(&value).unwrap();
}

#[test]
fn owner_of_another_account_gets_a_record_of_its_own_without_names() {
    let records = records(|call| call.resources[0].account = Some(account(2)));
    let value = |n: usize| serde_json::from_slice::<Value>(&records[n].json).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].log, LogName::Account(account(123_456_789_012)));
    assert_eq!(records[1].log, LogName::Account(account(2)));
    assert_ne!(records[0].event_id, records[1].event_id);
    assert_eq!(value(0)["sharedEventID"], value(1)["sharedEventID"]);
    assert_eq!(value(1)["recipientAccountId"], "000000000002");
    assert_eq!(
        value(1)["userIdentity"],
        json!({ "type": "AWSAccount", "principalId": "AROAEXAMPLEEXAMPLE000:job",
            "accountId": "123456789012", "invokedBy": "s3.amazonaws.com" })
    );
    assert!(!String::from_utf8_lossy(&records[1].json).contains("alice"));
}

#[test]
fn call_by_nobody_goes_to_the_operator_log() {
    let records = records(|call| {
        call.identity = Identity::Unknown { access_key_id: None };
        call.error = Some(("InvalidClientTokenId", "no"));
        call.forwarded = None;
    });
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].log, LogName::Operator);
    let value: Value = serde_json::from_slice(&records[0].json).unwrap();
    assert_eq!(value["userIdentity"], json!({ "type": "Unknown" }));
    assert_eq!(value["errorCode"], "InvalidClientTokenId");
}

#[test]
fn values_above_their_cap_are_hashed_never_cut() {
    let long = "x".repeat(200 * 1024);
    let agent = "y".repeat(1025);
    let mut parameters = Map::new();
    parameters.insert("policy".to_owned(), json!(long));
    parameters.insert("keyId".to_owned(), json!("k"));
    let records = records(|call| {
        call.request_parameters = Some(parameters);
        call.forwarded = None;
        call.user_agent = Some("z");
    });
    let value: Value = serde_json::from_slice(&records[0].json).unwrap();
    assert_eq!(value["requestParameters"]["keyId"], "k");
    let json = format!("\"{long}\"");
    let digest = sha(json.as_bytes());
    assert_eq!(
        value["requestParameters"]["policy"],
        json!({ "sha256": digest, "length": json.len() })
    );
    let hashed: Value = serde_json::from_str(&caps::text(&agent)).unwrap();
    assert_eq!(hashed, json!({ "sha256": sha(agent.as_bytes()), "length": 1025 }));
    assert!(records[0].json.len() < 4096);
}

fn sha(bytes: &[u8]) -> String {
    writ_proof::hash::sha256(bytes).to_string()
}

#[test]
fn lost_reply_is_marked_and_the_rest_stays() {
    let record = records(|_| {}).remove(0);
    let marked = mark_reply_lost(&record.json).unwrap();
    let mut value: Value = serde_json::from_slice(&marked).unwrap();
    let writ = value["additionalEventData"]["writ"].as_object_mut().unwrap();
    assert_eq!(writ.remove("replyLost"), Some(Value::Bool(true)));
    assert_eq!(value, serde_json::from_slice::<Value>(&record.json).unwrap());
    assert!(mark_reply_lost(b"{}").is_err());
}
