//! Tests of the commitments to members of a record.

use expect_test::expect;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const SEED: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn record() -> Value {
    json!({
        "eventVersion": "1.11",
        "eventName": "GetObject",
        "errorMessage": "User: arn:aws:iam::123456789012:user/alice may not",
        "sourceIPAddress": "192.0.2.7",
        "userAgent": "aws-cli/2",
        "userIdentity": {
            "type": "IAMUser",
            "accountId": "123456789012",
            "arn": "arn:aws:iam::123456789012:user/alice",
            "userName": "alice",
            "sessionContext": {"sessionIssuer": {"userName": "role", "type": "Role"}},
        },
        "requestParameters": {"bucketName": "b", "a/b~c": {"pin": "4711"}, "n": null},
        "responseElements": null,
        "resources": [{"ARN": "arn:aws:s3:::b/k", "type": "AWS::S3::Object"}],
        "additionalEventData": {"writ": {"seed": SEED, "replyLost": true}},
    })
}

const POINTERS: &[&str] = &[
    "/errorMessage",
    "/requestParameters/a~1b~0c",
    "/requestParameters/bucketName",
    "/requestParameters/n",
    "/resources/0/ARN",
    "/sourceIPAddress",
    "/userAgent",
    "/userIdentity/arn",
    "/userIdentity/sessionContext/sessionIssuer/userName",
    "/userIdentity/userName",
];

#[test]
fn committed_form_is_fixed() {
    assert_eq!(committed_pointers(&record()), POINTERS);
    let form = committed_form(&record()).unwrap();
    expect![[r#"{"additionalEventData":{"writ":{"replyLost":true}},"errorMessage":{"$c":"PsOXbYhS01iWfXti8ctCTnZ5IO0T03jjcqrydOcVtsQ="},"eventName":"GetObject","eventVersion":"1.11","requestParameters":{"a/b~c":{"$c":"8a6k5cb+N2SNC5StkcOhWO5n6TlSk6jtNkYiLZDErJ0="},"bucketName":{"$c":"SBQtC3sCsW7KCxsA6UZrGg/JXC7h8EgRqzmYVNZ3Bfo="},"n":{"$c":"4NzPqnQBG+GhxF2iKIRhpzdAD74ozB/71055QK+IIe8="}},"resources":[{"ARN":{"$c":"aQZuGYavcETu8H5Ow7VCrguNH7j7PXliA2aSzSEz76M="},"type":"AWS::S3::Object"}],"responseElements":null,"sourceIPAddress":{"$c":"xUGRQL6l6NN9p7AfrhYPNEHnUTL6iR47Palgs9HY3HY="},"userAgent":{"$c":"bNN1FF+wYvj7DVEom6e/656YHEoq0TOv4N4l6AkOekc="},"userIdentity":{"accountId":"123456789012","arn":{"$c":"kMG8J7t3eyDfE1tYL7Ixr2EvnzmgLmnBJ/L4Z4tnwhw="},"sessionContext":{"sessionIssuer":{"type":"Role","userName":{"$c":"8R2DRNp9/LKTpd23Kc/SRPS/Ag6wrU3x9mmiGnMdh5I="}}},"type":"IAMUser","userName":{"$c":"so/g8fAY2UpohIrvtpHEoW8BwMdTmhYP/oermHhTCTw="}}}"#]].assert_eq(&String::from_utf8(canonical(&form).unwrap()).unwrap());
    expect!["7f59d2f9bf26c6ce869c823fa28e5b7b529f7272c5b6f783effce15f210d91f9"]
        .assert_eq(&commit(&record()).unwrap().to_string());
}

#[test]
fn committed_form_shows_no_value() {
    let form = committed_form(&record()).unwrap().to_string();
    for hidden in ["alice", "4711", "192.0.2.7", "aws-cli", "\"b\"", "s3:::b", SEED] {
        assert!(!form.contains(hidden), "{hidden} is in {form}");
    }
    assert!(form.contains("GetObject") && form.contains("replyLost"));
}

#[test]
fn every_change_of_a_record_shows() {
    let rec = commit(&record()).unwrap();
    assert_eq!(verify(&record(), &rec).unwrap(), Vec::<String>::new());
    for pointer in POINTERS.iter().chain(&["/eventName", "/userIdentity/type"]) {
        let mut changed = record();
        *changed.pointer_mut(pointer).unwrap() = json!("other");
        assert!(verify(&changed, &rec).is_err(), "{pointer}");
    }
    let mut more = record();
    more["requestParameters"]["x"] = json!(1);
    assert!(verify(&more, &rec).is_err());
    let mut seedless = record();
    seedless["additionalEventData"]["writ"] = json!({});
    assert!(verify(&seedless, &rec).is_err());
    assert!(commit(&seedless).is_err());
}

#[test]
fn redacted_record_still_verifies_and_says_what_is_gone() {
    let rec = commit(&record()).unwrap();
    let gone = ["/requestParameters/a~1b~0c", "/userIdentity/userName"];
    let redacted = redact(&record(), &gone).unwrap();
    assert_eq!(verify(&redacted, &rec).unwrap(), gone);
    assert_eq!(redacted["requestParameters"]["bucketName"], "b");
    assert!(!redacted.to_string().contains("4711"));
    assert!(!redacted.to_string().contains(SEED));
    // Without the seed, the right guess for a 4-digit value cannot be told from the wrong ones.
    let salts = redacted["additionalEventData"]["writ"]["salts"].as_object().unwrap();
    assert!(gone.iter().all(|pointer| !salts.contains_key(*pointer)));
    let mut guess = redacted.clone();
    guess["requestParameters"]["a/b~c"] = json!({"pin": "4711"});
    assert!(verify(&guess, &rec).is_err());

    let mut twice = redact(&record(), &gone[..1]).unwrap();
    twice["eventName"] = json!("PutObject");
    assert!(verify(&twice, &rec).is_err());
    let everything = redact(&record(), POINTERS).unwrap();
    assert_eq!(verify(&everything, &rec).unwrap(), POINTERS);
    assert!(redact(&record(), &["/eventName"]).is_err());
    assert!(redact(&record(), &["/nothing"]).is_err());
}

#[test]
fn redacted_record_can_lose_more() {
    let rec = commit(&record()).unwrap();
    let once = redact(&record(), &["/userAgent"]).unwrap();
    let twice = redact(&once, &["/userIdentity/arn"]).unwrap();
    assert_eq!(verify(&twice, &rec).unwrap(), ["/userAgent", "/userIdentity/arn"]);
}

#[test]
fn a_value_that_looks_like_a_commitment_is_not_taken_for_one() {
    let mut tricky = record();
    tricky["requestParameters"]["bucketName"] = json!({"$c": STANDARD.encode([7; 32])});
    let rec = commit(&tricky).unwrap();
    assert_eq!(verify(&tricky, &rec).unwrap(), Vec::<String>::new());
    let redacted = redact(&tricky, &["/userAgent"]).unwrap();
    assert_eq!(
        verify(&redacted, &rec).unwrap(),
        ["/requestParameters/bucketName", "/userAgent"],
        "it goes with what was asked to go"
    );
}

#[test]
fn a_record_without_a_seed_or_with_parameters_of_another_shape_is_refused() {
    assert!(commit(&json!({"eventName": "x"})).is_err());
    for name in ["requestParameters", "responseElements"] {
        for other in [json!(false), json!([1]), json!("x")] {
            let mut shaped = record();
            shaped[name] = other;
            assert!(commit(&shaped).is_err());
            assert!(redact(&shaped, &[]).is_err());
        }
    }
}

#[test]
fn records_that_two_readers_read_differently_are_refused() {
    for json in [
        "",
        "[]",
        "1",
        r#"{"a":1,"a":2}"#,
        r#"{"a":{"b":1,"b":1}}"#,
        r#"{"a":[{"b":1,"b":1}]}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{} {}"#,
        r#"{}x"#,
    ] {
        assert!(parse(json.as_bytes()).is_err(), "{json}");
    }
    assert_eq!(parse(record().to_string().as_bytes()).unwrap(), record());
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z$~/]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof![
            Just("requestParameters".to_owned()),
            Just("resources".to_owned()),
            Just("ARN".to_owned()),
            Just("additionalEventData".to_owned()),
            Just("writ".to_owned()),
            Just("salts".to_owned()),
            Just("$c".to_owned()),
            "[a-z/~]{0,3}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_judged_without_panic(mut value in json_value(), seeded in any::<bool>()) {
        if seeded && value.is_object() {
            value["additionalEventData"] = json!({"writ": {"seed": SEED}});
        }
        verify(&value, &Hash::ZERO).ok();
        let pointers = committed_pointers(&value);
        if let Ok(rec) = commit(&value) {
            prop_assert_eq!(verify(&value, &rec).unwrap(), Vec::<String>::new());
            let all: Vec<&str> = pointers.iter().map(String::as_str).collect();
            let redacted = redact(&value, &all).unwrap();
            prop_assert_eq!(verify(&redacted, &rec).unwrap(), pointers);
        }
    }
}
