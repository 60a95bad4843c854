//! What the tour tells: chapters, a step a line with the promise that it is about, and the count at the end.
//!
//! A step is printed only for what was looked at, with what was seen. Nothing here can say that
//! something held but [`Story::check`], [`Story::attack`] and [`Story::need`], which are given the
//! result of looking. Lines are for terminals of 80 columns.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, anyhow};
use writ_model::{Env as _, SystemEnv};

/// Columns of a terminal.
const COLUMNS: usize = 80;
/// Where the text of a step begins: after the mark and the promise.
const INDENT: usize = 16;
/// Columns for the text of a step.
const TEXT_COLUMNS: usize = COLUMNS - INDENT;
/// Lines that each paragraph of what was seen may take; the rest is cut.
const SEEN_MAX_LINES: usize = 2;
/// The same for a step that failed, whose reason is wanted whole.
const FAILED_MAX_LINES: usize = 12;

/// The promises that steps are about, in a few words each.
const PROMISES: [(&str, &str); 12] = [
    ("C-01", "plaintext keys stay inside the key module"),
    ("C-02", "a customer's key is used only with the customer's signature"),
    ("C-03", "everything is in the ledger before its reply"),
    ("C-04", "history cannot be changed, cut or forked unnoticed"),
    ("C-05", "no operator access without approvals of others"),
    ("C-06", "no operator session goes unrecorded"),
    ("C-07", "every action names one human being"),
    ("C-08", "access ends within a second of its end"),
    ("C-09", "the watched cannot switch the watching off"),
    ("C-10", "the customer sees, and decides"),
    ("C-12", "accounts are separated"),
    ("C-13", "deny is the default"),
];

/// The story so far.
pub struct Story {
    started: Duration,
    chapters: u32,
    /// The promise that the next steps are about; empty where they are about none.
    promise: &'static str,
    checks: u32,
    attacks: u32,
    promises: BTreeMap<&'static str, u32>,
    failures: Vec<String>,
}

impl Story {
    /// An empty story; its clock runs.
    pub fn new() -> Story {
        Story {
            started: SystemEnv.monotonic(),
            chapters: 0,
            promise: "",
            checks: 0,
            attacks: 0,
            promises: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Begins a chapter, whose steps are about this promise until [`Story::about`] names another.
    pub fn chapter(&mut self, title: &str, promise: &'static str) {
        self.chapters += 1;
        self.promise = promise;
        let title = format!("{} {title}", self.chapters);
        print(&format!("\n{title:<70}{:>8.1} s", self.seconds()));
    }

    /// The promise that the next steps are about (one of [`PROMISES`]).
    pub fn about(&mut self, promise: &'static str) {
        self.promise = promise;
    }

    /// A line that claims nothing.
    pub fn line(&self, text: &str) {
        let lines = match text.chars().count() <= TEXT_COLUMNS {
            true => vec![text.to_owned()],
            false => wrapped(text, FAILED_MAX_LINES),
        };
        lines.iter().for_each(|line| print(format!("{:INDENT$}{line}", "").trim_end()));
    }

    /// A line of somebody else's, as it is.
    pub fn quote(&self, line: &str) {
        print(&format!("  | {line}"));
    }

    /// Something that must work, and what was seen of it.
    pub fn check(&mut self, what: &str, seen: Result<String>) {
        self.checks += 1;
        self.tell("ok", what, seen);
    }

    /// An attack, and how it was refused; an error says how it was not.
    pub fn attack(&mut self, what: &str, refused: Result<String>) {
        self.attacks += 1;
        self.tell("refused", what, refused);
    }

    /// A check without which there is nothing to go on with.
    ///
    /// # Errors
    /// When it did not hold; the reason has been printed.
    pub fn need<T>(
        &mut self,
        what: &str,
        found: Result<T>,
        seen: impl FnOnce(&T) -> String,
    ) -> Result<T> {
        self.checks += 1;
        match found {
            Ok(value) => {
                self.tell("ok", what, Ok(seen(&value)));
                Ok(value)
            }
            Err(error) => {
                self.tell("ok", what, Err(error));
                Err(anyhow!("without it the tour cannot go on: {what}"))
            }
        }
    }

    /// Something that went wrong outside all checks.
    pub fn failed(&mut self, error: &anyhow::Error) {
        self.failures.push(format!("in chapter {}: {error:#}", self.chapters));
        print(&format!("\n  FAILED  {error:#}"));
    }

    /// True if all that was looked at held, and something was looked at.
    pub fn held(&self) -> bool {
        self.failures.is_empty() && self.checks > 0
    }

    /// The last lines.
    pub fn summary(&self) {
        let Story { checks, attacks, failures, promises, .. } = self;
        let seconds = self.seconds();
        print("\nWhat the steps were about");
        for (promise, words) in PROMISES {
            let count = promises.get(promise).copied().unwrap_or_default();
            print(&format!("  {promise}  {words:60}  {count:>4}"));
        }
        if self.held() {
            print(&format!(
                "\nAll held: {checks} checks, {attacks} attacks refused, in {seconds:.1} s."
            ));
            return;
        }
        print(&format!(
            "\nNOT all held: {} failed of {checks} checks and {attacks} attacks, in {seconds:.1} s:",
            failures.len()
        ));
        failures.iter().for_each(|failure| self.line(failure));
    }

    fn seconds(&self) -> f64 {
        SystemEnv.monotonic().saturating_sub(self.started).as_secs_f64()
    }

    fn tell(&mut self, mark: &str, what: &str, seen: Result<String>) {
        let promise = self.promise;
        let (mark, seen, most) = match seen {
            Ok(seen) => (mark, seen, SEEN_MAX_LINES),
            Err(error) => {
                self.failures.push(format!("in chapter {}: {what}", self.chapters));
                ("FAILED", format!("{error:#}"), FAILED_MAX_LINES)
            }
        };
        if !promise.is_empty() {
            *self.promises.entry(promise).or_default() += 1;
        }
        let lines = paragraphs(&seen, most);
        let head = format!("  {mark:7} {promise:5} {what}");
        match lines.as_slice() {
            [only] if head.chars().count() + 2 + only.chars().count() <= COLUMNS => {
                print(&format!("{head}  {only}"));
            }
            lines => {
                print(&head);
                lines.iter().for_each(|line| print(&format!("{:INDENT$}{line}", "")));
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "the tour is there to be read")]
fn print(line: &str) {
    println!("{line}");
}

/// Each line of `text` as [`wrapped`] has it.
fn paragraphs(text: &str, most: usize) -> Vec<String> {
    text.lines().flat_map(|line| wrapped(line, most)).collect()
}

/// `text` in lines of [`TEXT_COLUMNS`], broken between words; what does not fit in `most` of them is cut.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace().flat_map(pieces) {
        let fits =
            |line: &&mut String| line.chars().count() + 1 + word.chars().count() <= TEXT_COLUMNS;
        match lines.last_mut().filter(fits) {
            Some(line) => {
                line.push(' ');
                line.push_str(&word);
            }
            None => lines.push(word),
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let kept: String = last.chars().take(TEXT_COLUMNS - 2).collect();
            *last = format!("{kept} …");
        }
    }
    lines
}

/// A word, or the parts of one that is longer than a line.
fn pieces(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    chars.chunks(TEXT_COLUMNS).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn story_holds_only_if_all_held() {
        let mut story = Story::new();
        assert!(!story.held(), "nothing was looked at");
        story.chapter("a chapter", "C-01");
        story.check("one", Ok("seen".to_owned()));
        assert!(story.held());
        story.about("C-02");
        story.attack("two", Err(anyhow!("it worked")));
        assert!(!story.held());
        assert!(story.need("three", Err::<(), _>(anyhow!("no")), |()| String::new()).is_err());
        assert_eq!((story.checks, story.attacks, story.failures.len()), (2, 1, 2));
        assert_eq!(story.promises, BTreeMap::from([("C-01", 1), ("C-02", 2)]));
    }

    #[test]
    fn text_is_broken_between_words_and_cut() {
        assert_eq!(wrapped("a\n  b\tc", 2), ["a b c"]);
        let long = "word ".repeat(40);
        let lines = wrapped(&long, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= TEXT_COLUMNS), "{lines:?}");
        assert!(lines[1].ends_with(" …"));
        assert_eq!(wrapped(&"é".repeat(100), 2).len(), 2);
        assert!(wrapped("", 2).is_empty());
        assert_eq!(paragraphs("a b\nc", 2), ["a b", "c"]);
    }
}
