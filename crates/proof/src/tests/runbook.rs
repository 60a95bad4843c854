//! Tests of catalogue entries: what goes in, and what may come out.

use super::*;

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
        program: Hash([1; 32]),
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
    let digest = crate::hash::sha256(&crate::cbor::to_vec(&entry())).to_string();
    expect_test::expect!["8652fb983039027e1c1f732085527fa8ee648aea449e1e592b44226e8dfc52df"].assert_eq(&digest);
    assert_eq!(crate::cbor::from_slice::<Entry>(&crate::cbor::to_vec(&entry())).unwrap(), entry());
}

#[test]
fn entry_that_makes_no_sense_is_refused() {
    type Harm = fn(&mut Entry);
    let harms: [(&str, Harm); 15] = [
        ("counts from 1", |e| e.version = 0),
        ("title", |e| e.title.clear()),
        ("title", |e| e.description = "x".repeat(2001)),
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
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(!error.contains(secret), "{error}");
    }
    assert!(output.read(&[b' '; 65_537]).is_err());
}
