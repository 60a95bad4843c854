//! Bodies: what is written, and what is refused.

use expect_test::{Expect as Shown, expect};

use super::*;
use crate::Blob;

fn revocation() -> Body {
    Revocation {
        subject: "AROAEXAMPLEEXAMPLE123".to_owned(),
        before: writ_model::Timestamp::from_millis(1_700_000_000_123),
    }
    .into()
}

fn check_refused(kind: Kind, json: &str, shown: &Shown) {
    shown.assert_eq(&Body::decode(kind, json).unwrap_err().to_string());
}

#[test]
fn body_round_trips_in_a_form_that_a_person_can_read() {
    let json = revocation().encode().unwrap();
    expect![[r#"{"v":1,"body":{"subject":"AROAEXAMPLEEXAMPLE123","before":1700000000123}}"#]]
        .assert_eq(&json);
    assert_eq!(Body::decode(Kind::Revocation, &json).unwrap(), revocation());
}

#[test]
fn body_with_a_blob_holds_base64() {
    let key = Alias {
        arn: "arn:aws:kms:us-east-1:000000000001:alias/a".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
        name: "alias/a".to_owned(),
        target: "00000000-0000-4000-8000-000000000000".parse().unwrap(),
        descriptor: Blob::from(vec![0xff, 0, 1]),
        created: writ_model::Timestamp::from_secs(1),
        updated: writ_model::Timestamp::from_secs(2),
    };
    let json = Body::from(key.clone()).encode().unwrap();
    assert!(json.contains(r#""descriptor":"/wAB""#), "{json}");
    assert_eq!(Body::decode(Kind::Alias, &json).unwrap(), key.into());
}

#[test]
fn body_of_another_version_or_with_an_unknown_field_is_refused() {
    let newer = r#"{"v":2,"body":{"subject":"x","until":5}}"#;
    check_refused(
        Kind::Revocation,
        newer,
        &expect![
            "the store is damaged or not ours: a stored revocation has version 2, this program reads version 1; start the program that wrote it"
        ],
    );
    let field = r#"{"v":1,"body":{"subject":"x","before":5,"hint":1}}"#;
    check_refused(
        Kind::Revocation,
        field,
        &expect![
            "the store is damaged or not ours: a stored revocation cannot be read: unknown field `hint`, expected `subject` or `before` at line 1 column 46"
        ],
    );
    assert!(Body::decode(Kind::Revocation, r#"{"v":1,"body":{"subject":"x"}}"#).is_err());
    assert!("no-such-kind".parse::<Kind>().is_err());
}

#[test]
fn ids_of_names_are_lower_case() {
    let account = AccountId::from_number(1).unwrap();
    assert_eq!(ObjectId::of::<User>(account, "Bob").to_string(), "000000000001/user/bob");
    assert_eq!(ObjectId::of::<Revocation>(account, "AIDA").id, "AIDA");
}

/// The form of a person on disk: an auditor reads it, and later versions must.
#[test]
fn person_round_trips_in_a_form_that_a_person_can_read() {
    let at = writ_model::Timestamp::from_secs(1);
    let person = Person {
        id: "p1".to_owned(),
        epoch: 2,
        state: PersonState::Left,
        why: None,
        since: at,
        hr_state: HrState::Terminated,
        user_name: "ann".to_owned(),
        display_name: "Ann".to_owned(),
        email: String::new(),
        employment: Employment::Contractor,
        manager: None,
        team: "t".to_owned(),
        job_code: "j".to_owned(),
        cost_center: String::new(),
        valid_until: Some(at),
        gates: Gates {
            nda: Some(at),
            policy: Some(PolicyAccepted { version: "1".to_owned(), at }),
            training_until: None,
            screening: Screening::Cleared(Cleared { at }),
        },
        gates_from: None,
        moved_at: None,
        reapprovals: [("ops".to_owned(), Reapproval { moved_at: at, deadline: at })].into(),
        absent_since: None,
        receipt: Some(Receipt {
            epoch: 1,
            enrolment: Some(1),
            found: at,
            ended: vec![ReceiptItem { what: "person".to_owned(), id: "p1".to_owned(), at: None }],
        }),
        created: at,
    };
    let json = Body::from(person.clone()).encode().unwrap();
    expect![[r#"{"v":1,"body":{"id":"p1","epoch":2,"state":"left","why":null,"since":1000,"hr_state":"terminated","user_name":"ann","display_name":"Ann","email":"","employment":"contractor","manager":null,"team":"t","job_code":"j","cost_center":"","valid_until":1000,"gates":{"nda":1000,"policy":{"version":"1","at":1000},"training_until":null,"screening":{"cleared":{"at":1000}}},"gates_from":null,"moved_at":null,"reapprovals":{"ops":{"moved_at":1000,"deadline":1000}},"absent_since":null,"receipt":{"epoch":1,"enrolment":1,"found":1000,"ended":[{"what":"person","id":"p1","at":null}]},"created":1000}}"#]].assert_eq(&json);
    assert_eq!(Body::decode(Kind::Person, &json).unwrap(), Body::from(person));
    assert!(Body::decode(Kind::Person, &json.replace("\"team\"", "\"right\"")).is_err());
}
