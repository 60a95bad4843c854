//! Looking at Rust source just closely enough: words, and the code of a line without its comment.

use super::{Finding, Tree};

/// The one module that may hold unsafe code.
pub(super) const UNSAFE_MODULE: &str = "crates/keyd-client/src/arena.rs";

/// An identifier-like word with the character that follows it (a space at the end).
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) next: char,
}

/// The words of a line, in order.
pub(super) fn words(line: &str) -> impl Iterator<Item = Word<'_>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.find(is_part)?;
        let tail = rest.get(start..)?;
        let length = tail.find(|c| !is_part(c)).unwrap_or(tail.len());
        let (text, after) = tail.split_at(length);
        rest = after;
        Some(Word { text, next: after.chars().next().unwrap_or(' ') })
    })
}

/// The line up to a comment. Good enough for rules about words: a `//` within a string cuts it too.
pub(super) fn code(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// Unsafe code lives in one module; a second one needs a decision record first.
pub(super) fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    // fuzz_target! expands to an exported function; the package forbids nothing and holds no secret.
    for file in tree.rust().filter(|file| file.path != UNSAFE_MODULE) {
        for (index, line) in file.text.lines().enumerate() {
            let is_block = |word: Word<'_>| {
                word.text == "unsafe" && [' ', '('].contains(&word.next) && !line.contains('"')
            };
            if words(code(line)).any(is_block) {
                let problem = format!("unsafe code lives in {UNSAFE_MODULE} only");
                findings.push(file.line(index, problem));
            }
        }
    }
    findings
}
