//! Catalogue entries and run orders, as hosts and verifiers read them, and what a runbook's program answers.

use writ_proof::at_most::AtMost;
use writ_proof::runbook::{
    AnswerValue, Ended, Entry, Field, FieldKind, Output, RunOrder, RunScope, SignedOrder, Steps,
};

use crate::input::strict;

/// One field of each kind, half of them optional.
fn schema() -> Output {
    let words = vec!["down".to_owned(), "running".to_owned()];
    let kinds = [
        ("alive", FieldKind::Bool),
        ("state", FieldKind::Enum(AtMost(words))),
        ("used", FieldKind::Int(Steps { min: -10, max: 1000, step: 5 })),
        ("since", FieldKind::Time(60)),
    ];
    let field = |(at, (name, kind)): (usize, (&str, FieldKind))| Field {
        name: name.to_owned(),
        optional: at % 2 == 1,
        kind,
    };
    Output { fields: AtMost(kinds.into_iter().enumerate().map(field).collect()) }
}

pub(crate) fn run(input: &[u8]) {
    if let Some(entry) = strict::<Entry>(input) {
        let _read = (entry.check(), entry.arguments(&[]), entry.bits(), entry.output.read(b"{}"));
    }
    strict::<SignedOrder>(input);
    strict::<RunOrder>(input);
    strict::<RunScope>(input);
    strict::<Ended>(input);
    let schema = schema();
    let Ok(answer) = schema.read(input) else { return };
    for value in answer.0.values() {
        match value {
            AnswerValue::Word(word) => assert!(word == "down" || word == "running"),
            AnswerValue::Int(number) => {
                assert!((-10..=1000).contains(number) && (number + 10) % 5 == 0)
            }
            AnswerValue::Time(time) => assert!(time.secs() % 60 == 0),
            AnswerValue::Bool(_) => {}
        }
    }
    // What is kept of an answer, read again, is the same.
    let json = answer.to_json();
    assert!(schema.read(json.as_bytes()).as_ref() == Ok(&answer), "{json}");
}
