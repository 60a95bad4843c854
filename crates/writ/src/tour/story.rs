//! What the tour tells: chapters, one line a check, and the count at the end.
//!
//! A line is printed only for what was looked at, with what was seen. Nothing here can say that
//! something held but [`Story::check`], [`Story::attack`] and [`Story::need`], which are given the
//! result of looking.

use std::time::Duration;

use anyhow::{Result, anyhow};
use writ_model::{Env as _, SystemEnv};

/// Columns of the text that says what was checked; longer ones push what was seen aside.
const WHAT_COLUMNS: usize = 50;
/// Characters of what was seen that are printed; the rest is cut, so that a line stays a line.
const SEEN_MAX_CHARS: usize = 84;

/// The story so far.
pub struct Story {
    started: Duration,
    chapters: u32,
    checks: u32,
    attacks: u32,
    failures: u32,
}

impl Story {
    /// An empty story; its clock runs.
    pub fn new() -> Story {
        let started = SystemEnv.monotonic();
        Story { started, chapters: 0, checks: 0, attacks: 0, failures: 0 }
    }

    /// Begins a chapter.
    pub fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        print(&format!("\n{} {title}", self.chapters));
    }

    /// A line that claims nothing.
    pub fn line(&self, text: &str) {
        print(&format!("            {text}"));
    }

    /// Something that must work, and what was seen of it.
    pub fn check(&mut self, what: &str, seen: Result<String>) {
        self.checks += 1;
        self.tell("[ok]", what, seen);
    }

    /// An attack, and how it was refused; an error says how it was not.
    pub fn attack(&mut self, what: &str, refused: Result<String>) {
        self.attacks += 1;
        self.tell("[refused]", what, refused);
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
                self.tell("[ok]", what, Ok(seen(&value)));
                Ok(value)
            }
            Err(error) => {
                self.tell("[ok]", what, Err(error));
                Err(anyhow!("without it the tour cannot go on: {what}"))
            }
        }
    }

    /// Something that went wrong outside all checks.
    pub fn failed(&mut self, error: &anyhow::Error) {
        self.failures += 1;
        print(&format!("\n  [FAILED]  {error:#}"));
    }

    /// True if all that was looked at held, and something was looked at.
    pub fn held(&self) -> bool {
        self.failures == 0 && self.checks > 0
    }

    /// The last line.
    pub fn summary(&self) {
        let seconds = SystemEnv.monotonic().saturating_sub(self.started).as_secs_f64();
        let Story { checks, attacks, failures, .. } = self;
        print(&match self.held() {
            true => {
                format!(
                    "\nAll held: {checks} checks, {attacks} attacks refused, in {seconds:.1} s."
                )
            }
            false => format!(
                "\nNOT all held: {failures} failed of {checks} checks and {attacks} attacks, \
                 in {seconds:.1} s."
            ),
        });
    }

    fn tell(&mut self, mark: &str, what: &str, seen: Result<String>) {
        let (mark, seen) = match seen {
            Ok(seen) => (mark, seen),
            Err(error) => {
                self.failures += 1;
                ("[FAILED]", format!("{error:#}"))
            }
        };
        let seen = one_line(&seen);
        print(format!("  {mark:9} {what:WHAT_COLUMNS$}  {seen}").trim_end());
    }
}

#[expect(clippy::print_stdout, reason = "the tour is there to be read")]
fn print(line: &str) {
    println!("{line}");
}

/// `text` on one line, cut where it gets long.
fn one_line(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match joined.char_indices().nth(SEEN_MAX_CHARS) {
        Some((at, _)) => format!("{}…", joined.get(..at).unwrap_or_default()),
        None => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn story_holds_only_if_all_held() {
        let mut story = Story::new();
        assert!(!story.held(), "nothing was looked at");
        story.check("one", Ok("seen".to_owned()));
        assert!(story.held());
        story.attack("two", Err(anyhow!("it worked")));
        assert!(!story.held());
        assert!(story.need("three", Err::<(), _>(anyhow!("no")), |()| String::new()).is_err());
        assert_eq!((story.checks, story.attacks, story.failures), (2, 1, 2));
    }

    #[test]
    fn long_text_becomes_one_short_line() {
        assert_eq!(one_line("a\n  b\tc"), "a b c");
        assert_eq!(one_line(&"é".repeat(200)).chars().count(), SEEN_MAX_CHARS + 1);
    }
}
