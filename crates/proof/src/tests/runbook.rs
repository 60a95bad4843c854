//! Tests of catalogue entries: what goes in, and what may come out.

use super::*;
use crate::cbor;

fn words(words: &[&str]) -> AtMost<String, { limits::RUNBOOK_MAX_WORDS }> {
    AtMost(words.iter().map(|word| (*word).to_owned()).collect())
}

fn field(name: &str, kind: FieldKind) -> Field {
    Field { name: name.to_owned(), optional: false, kind }
}

fn entry() -> Entry {
    let parameter = |name: &str, kind| Parameter { name: name.to_owned(), kind };
    let percent = Steps { min: 0, max: 100, step: 5 };
    Entry {
        v: Version,
        site: "site-1".parse().unwrap(),
        name: "disk-usage".parse().unwrap(),
        version: 1,
        title: "Disk usage".to_owned(),
        description: "How full the disks of a host are, in steps of five per cent.".to_owned(),
        class: Class::Health,
        group: "oncall".parse().unwrap(),
        parameters: AtMost(vec![
            parameter("volume", ParameterKind::Enum(words(&["root", "var"]))),
            parameter("samples", ParameterKind::Int((1, 9))),
        ]),
        program: Program { path: "/usr/bin/writ".to_owned(), digest: Hash([1; 32]) },
        arguments: AtMost(vec![
            Argument::Literal("disk".to_owned()),
            Argument::Parameter("volume".to_owned()),
            Argument::Parameter("samples".to_owned()),
        ]),
        run_as: "nobody".to_owned(),
        seconds: 10,
        memory_mib: 64,
        output: Output {
            fields: AtMost(vec![
                field("used", FieldKind::Int(percent)),
                field("state", FieldKind::Enum(words(&["ok", "full"]))),
                Field { optional: true, ..field("checked", FieldKind::Time(3600)) },
                field("mounted", FieldKind::Bool),
            ]),
        },
        created: Timestamp::from_secs(1_800_000_000),
    }
}

fn setting(name: &str, value: Value) -> Setting {
    Setting { name: name.to_owned(), value }
}

#[test]
fn entry_format_is_fixed() {
    let digest = sha256(&cbor::to_vec(&entry())).to_string();
    expect_test::expect!["0047ce81bee8ff445af381c288ed9963fb9e8020cc9f0483d40ef0f3d30dccd8"]
        .assert_eq(&digest);
    assert_eq!(cbor::from_slice::<Entry>(&cbor::to_vec(&entry())).unwrap(), entry());
}

#[test]
fn entry_that_makes_no_sense_is_refused() {
    type Harm = fn(&mut Entry);
    let harms: [(&str, Harm); 19] = [
        ("counts from 1", |e| e.version = 0),
        ("title", |e| e.title.clear()),
        ("title", |e| e.description = "x".repeat(2001)),
        ("title", |e| e.title = "Disk\u{202e}".to_owned()),
        ("plain absolute", |e| e.program.path = "bin/writ".to_owned()),
        ("plain absolute", |e| e.program.path = "/usr/../bin/writ".to_owned()),
        ("plain absolute", |e| e.program.path = "/usr/bin/\n".to_owned()),
        ("no user", |e| e.run_as = "Root!".to_owned()),
        ("no time", |e| e.seconds = 0),
        ("no time", |e| e.seconds = 3601),
        ("one name", |e| e.parameters.0[1].name = "volume".to_owned()),
        ("allows no number", |e| e.parameters.0[1].kind = ParameterKind::Int((2, 1))),
        ("list of words", |e| e.parameters.0[0].kind = ParameterKind::Enum(words(&[]))),
        ("word is none", |e| e.parameters.0[0].kind = ParameterKind::Enum(words(&["a b"]))),
        ("names no parameter", |e| {
            e.arguments.0.push(Argument::Parameter("x".to_owned()));
        }),
        ("control", |e| e.arguments.0.push(Argument::Literal("\n".to_owned()))),
        ("have one", |e| e.output.fields.0[1].name = "used".to_owned()),
        ("no steps", |e| e.output.fields.0[2].kind = FieldKind::Time(0)),
        ("256 bits", |e| {
            let wide = Steps { min: i64::MIN, max: i64::MAX, step: 1 };
            let all = (0..5).map(|n| field(&format!("f{n}"), FieldKind::Int(wide.clone())));
            e.output.fields.0 = all.collect();
        }),
    ];
    entry().check().unwrap();
    for (why, harm) in harms {
        let mut harmed = entry();
        harm(&mut harmed);
        let error = harmed.check().unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn arguments_are_the_entrys_with_the_values_in_place() {
    let entry = entry();
    let volume = |value: &str| setting("volume", Value::Word(value.to_owned()));
    let samples = |value| setting("samples", Value::Int(value));
    let arguments = entry.arguments(&[samples(3), volume("var")]).unwrap();
    assert_eq!(arguments, ["disk", "var", "3"]);
    for settings in [
        vec![],
        vec![volume("var")],
        vec![volume("var"), samples(10)],
        vec![volume("/etc"), samples(1)],
        vec![setting("volume", Value::Int(1)), samples(1)],
        vec![volume("var"), volume("var")],
        vec![volume("var"), samples(1), setting("x", Value::Bool(true))],
    ] {
        assert!(entry.arguments(&settings).is_err(), "{settings:?}");
    }
    let [volume, samples] = entry.parameters.0.as_slice() else { panic!() };
    assert_eq!(volume.parse("var").unwrap(), Value::Word("var".to_owned()));
    assert_eq!(samples.parse("9").unwrap(), Value::Int(9));
    for (parameter, text) in [(volume, "usr"), (samples, "0"), (samples, "x")] {
        assert!(parameter.parse(text).is_err());
    }
}

#[test]
fn output_tells_no_more_than_its_schema() {
    let output = entry().output;
    // 21 numbers, 2 words, 876601 times or none, and one bit.
    assert_eq!(output.bits(), 5 + 1 + 20 + 1);
    let read = |text: &str| output.read(text.as_bytes());
    let good = r#"{"used":63,"state":"ok","checked":1800003599,"mounted":true}"#;
    let Answer(answer) = read(good).unwrap();
    assert_eq!(answer["used"], AnswerValue::Int(60), "cut to its step");
    assert_eq!(answer["checked"], AnswerValue::Time(Timestamp::from_secs(1_800_000_000)));
    assert_eq!(answer["state"], AnswerValue::Word("ok".to_owned()));
    assert!(read(r#"{"used":0,"state":"ok","mounted":false}"#).is_ok());
    let secret = "root:x:0:0";
    for text in [
        "",
        "[]",
        "root:x:0:0",
        r#"{"used":0,"state":"root:x:0:0","mounted":false}"#,
        r#"{"used":0,"state":"ok","mounted":false,"more":"root:x:0:0"}"#,
        r#"{"used":0,"state":"ok","mounted":false,"root:x:0:0":1}"#,
        r#"{"used":101,"state":"ok","mounted":false}"#,
        r#"{"used":1.5,"state":"ok","mounted":false}"#,
        r#"{"used":"1","state":"ok","mounted":false}"#,
        r#"{"used":1,"state":"ok","mounted":1}"#,
        r#"{"used":1,"state":"ok"}"#,
        r#"{"used":1,"state":"ok","mounted":true,"checked":-1}"#,
        r#"{"used":1,"state":"ok","mounted":true} {"more":1}"#,
        r#"{"used":1,"used":2,"state":"ok","mounted":true}"#,
        r#"{"used":1,"state":"ok\nroot:x:0:0","mounted":true}"#,
        r#"{"used":1,"state":["ok","root:x:0:0"],"mounted":true}"#,
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(!error.contains(secret), "{error}");
    }
    assert!(output.read(&[b' '; 65_537]).is_err());
    let wrong = read(r#"{"used":1,"state":"root:x:0:0","mounted":true}"#).unwrap_err();
    assert_eq!(wrong.field.as_deref(), Some("state"), "named by the schema");
    assert_eq!(entry().bits(), 27 + limits::RUNBOOK_END_BITS, "how it ends tells something, too");
    let nothing = Output { fields: AtMost(Vec::new()) };
    assert_eq!(nothing.read(b"").unwrap().to_json(), "{}");
    assert!(nothing.read(b"root:x:0:0").is_err());
}

#[test]
fn answer_is_the_same_json_for_the_same_values_and_is_read_again() {
    let output = entry().output;
    let loose = r#" {"state": "full", "mounted":true, "used":  64 }"#;
    let json = output.read(loose.as_bytes()).unwrap().to_json();
    assert_eq!(json, r#"{"mounted":true,"state":"full","used":60}"#);
    assert_eq!(output.read(json.as_bytes()).unwrap().to_json(), json);
}

#[test]
fn order_is_keyds_and_for_its_entry() {
    use crate::ed25519::{Signer as _, SoftKey};
    let (keyd, other) =
        (SoftKey::from_seed(&[1; 32]).unwrap(), SoftKey::from_seed(&[2; 32]).unwrap());
    let settings =
        vec![setting("volume", Value::Word("var".to_owned())), setting("samples", Value::Int(1))];
    let order = RunOrder {
        v: Version,
        site: "site-1".parse().unwrap(),
        run: writ_model::Ulid::from_bytes([7; 16]),
        grant: Hash([3; 32]),
        person: "p11".parse().unwrap(),
        entry: entry().digest(),
        settings: AtMost(settings),
        host: "web-1".parse().unwrap(),
        not_before: Timestamp::from_secs(1_800_000_000),
        not_after: Timestamp::from_secs(1_800_000_060),
    };
    let signed = order.sign(&keyd).unwrap();
    assert_eq!(signed.verify(&keyd.public_key()).unwrap(), order);
    assert!(signed.verify(&other.public_key()).is_err());
    for at in 0..signed.order.len() {
        let mut bent = signed.clone();
        bent.order[at] ^= 1;
        assert!(bent.verify(&keyd.public_key()).is_err(), "byte {at}");
    }
    assert_eq!(order.arguments(&entry()).unwrap(), ["disk", "var", "1"]);
    let wider = Entry { seconds: 3600, ..entry() };
    assert!(order.arguments(&wider).is_err(), "another entry than was ordered");
}

#[test]
fn scope_must_be_what_the_catalogue_says() {
    let scope = |harm: fn(&mut RunScope)| {
        let mut scope = RunScope {
            hosts: AtMost(vec!["web-1".parse().unwrap()]),
            runbook: "disk-usage".parse().unwrap(),
            version: 1,
            entry: entry().digest(),
            class: Class::Health,
            settings: AtMost(vec![
                setting("volume", Value::Word("var".to_owned())),
                setting("samples", Value::Int(1)),
            ]),
        };
        harm(&mut scope);
        scope
    };
    let (group, other) = ("oncall".parse().unwrap(), "others".parse().unwrap());
    entry().check_scope(&scope(|_| ()), &group).unwrap();
    let harms: [fn(&mut RunScope); 5] = [
        |s| s.version = 2,
        |s| s.entry = Hash([9; 32]),
        |s| s.class = Class::Platform,
        |s| s.runbook = "other".parse().unwrap(),
        |s| s.settings.0[1].value = Value::Int(10),
    ];
    for harm in harms {
        assert!(entry().check_scope(&scope(harm), &group).is_err());
    }
    let why = entry().check_scope(&scope(|_| ()), &other).unwrap_err().to_string();
    assert!(why.contains("members of `oncall`"), "{why}");
}
