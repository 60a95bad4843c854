//! One line of `writ policy eval`: parse, compile, evaluate, explain. Whatever comes, one answer.

const DECISIONS: [&str; 4] = ["Allowed", "ImplicitlyDenied", "ExplicitlyDenied", "error"];

pub(crate) fn run(input: &[u8]) {
    let Ok(line) = std::str::from_utf8(input) else { return };
    let answer = writ_policy::cases::eval_case(line);
    assert!(!answer.contains('\n'), "an answer is one line");
    let decided = |word: &&str| answer.contains(&format!("\"decision\":\"{word}\""));
    assert!(DECISIONS.iter().any(decided), "`{answer}` decides nothing");
}
