//! What a recording may do to the terminal that plays it: draw, and nothing else.
//!
//! A host that was broken into writes what it likes. Sequences that make a terminal answer, set its clipboard or its
//! title, or start a string that swallows what follows, do not pass (ECMA-48, section 8.3; xterm's control sequences).

use std::collections::BTreeMap;

/// Text without what acts on a terminal.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// Modes that are on when a terminal begins.
const ON: [&str; 2] = ["?25", "?7"];

/// The most characters of a control sequence; a longer one is none.
const SEQUENCE_MAX_CHARS: usize = 64;

/// Lets pass what draws; keeps its place between pieces.
#[derive(Debug, Default)]
pub(super) struct Filter {
    state: State,
    /// The sequence so far.
    held: String,
    /// Modes that are another way now than a terminal begins, with the letter that takes them back.
    modes: BTreeMap<String, char>,
    /// Colours and the like are on.
    attributes: bool,
    /// The keypad sends sequences.
    keypad: bool,
    /// Another set of characters is drawn.
    charset: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate character.
    Charset,
    /// After ESC [.
    Csi,
    /// In OSC, DCS, APC, PM or SOS: until BEL or ST.
    Text,
    /// In such a text, after ESC.
    TextEscape,
}

impl Filter {
    /// What of the piece may go to the terminal.
    pub(super) fn pass(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        piece.chars().for_each(|c| self.step(c, &mut out));
        out
    }

    /// What brings the terminal back to how it begins, from what has passed; nothing if nothing has changed.
    pub(super) fn undo(&mut self) -> String {
        let mut out = String::new();
        for (mode, letter) in std::mem::take(&mut self.modes) {
            out.push_str(&format!("\u{1b}[{mode}{letter}"));
        }
        let others = [
            (&mut self.attributes, "\u{1b}[0m"),
            (&mut self.keypad, "\u{1b}>"),
            (&mut self.charset, "\u{1b}(B"),
        ];
        for (on, off) in others {
            if std::mem::take(on) {
                out.push_str(off);
            }
        }
        out
    }

    /// Notes what a sequence that passes does beyond drawing.
    fn note(&mut self, last: char) {
        match last {
            'm' => self.attributes = !matches!(self.held.as_str(), "" | "0"),
            'h' | 'l' => {
                // The cursor is shown and lines wrap at the start; all else is off.
                let starts = if ON.contains(&self.held.as_str()) { 'h' } else { 'l' };
                if last == starts {
                    self.modes.remove(&self.held);
                } else {
                    self.modes.insert(self.held.clone(), starts);
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, c: char, out: &mut String) {
        match (self.state, c) {
            // CAN and SUB end whatever was begun.
            (_, '\u{18}' | '\u{1a}') => self.end(),
            (State::Text, '\u{7}' | '\u{9c}') => self.end(),
            (State::Text, '\u{1b}') => self.state = State::TextEscape,
            (State::Text, _) => {}
            (State::TextEscape, '\\') => self.end(),
            (State::TextEscape, '\u{1b}') => {}
            (State::TextEscape, _) => self.state = State::Text,
            (_, '\u{1b}') => {
                self.held.clear();
                self.state = State::Escape;
            }
            // The same in one character.
            (_, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => self.state = State::Text,
            (_, '\u{9b}') => {
                self.held.clear();
                self.state = State::Csi;
            }
            (State::Ground, c) => out.extend(drawn(c)),
            (State::Escape, '[') => self.state = State::Csi,
            (State::Escape, ']' | 'P' | '_' | '^' | 'X') => self.state = State::Text,
            (State::Escape, ' '..='/') => {
                self.held.push(c);
                self.state = State::Charset;
            }
            // Save, restore, index, next line, tab stop, reverse index, keypad modes, reset.
            (State::Escape, '7' | '8' | 'D' | 'E' | 'H' | 'M' | '=' | '>' | 'c') => {
                out.push('\u{1b}');
                out.push(c);
                match c {
                    '=' => self.keypad = true,
                    '>' => self.keypad = false,
                    'c' => *self = Filter::default(),
                    _ => {}
                }
                self.end();
            }
            (State::Escape, _) => self.end(),
            (State::Charset, '0'..='~') => {
                if matches!(self.held.as_str(), "(" | ")" | "*" | "+" | "#") {
                    out.push('\u{1b}');
                    out.push_str(&self.held);
                    out.push(c);
                    if self.held == "(" {
                        self.charset = c != 'B';
                    }
                }
                self.end();
            }
            (State::Charset, _) => self.end(),
            (State::Csi, '@'..='~') => {
                if draws(&self.held, c) {
                    self.note(c);
                    out.push_str("\u{1b}[");
                    out.push_str(&self.held);
                    out.push(c);
                }
                self.end();
            }
            (State::Csi, ' '..='?') if self.held.len() < SEQUENCE_MAX_CHARS => self.held.push(c),
            // A control character within a sequence is carried out at once.
            (State::Csi, c) if c.is_control() => out.extend(drawn(c)),
            (State::Csi, _) => self.end(),
        }
    }

    fn end(&mut self) {
        self.held.clear();
        self.state = State::Ground;
    }
}

/// What shows, and the control characters that move the cursor.
fn drawn(c: char) -> Option<char> {
    match c {
        '\u{8}'..='\u{f}' => Some(c),
        c if c.is_control() => None,
        c => Some(c),
    }
}

/// True for a control sequence that draws, moves the cursor or sets a mode of the screen. With a private marker or an
/// intermediate character the same last one is another sequence, and many of those are questions: `CSI ? 4 m`,
/// `CSI ? 1 ; 1 ; 0 S`, `CSI # S`.
fn draws(parameters: &str, last: char) -> bool {
    let numbers = |text: &str| text.chars().all(|c| matches!(c, '0'..='9' | ';' | ':'));
    match last {
        // Erase, also only what is not protected.
        'J' | 'K' => numbers(parameters.strip_prefix('?').unwrap_or(parameters)),
        // With more than the number of lines it begins to follow the mouse.
        'T' => numbers(parameters) && !parameters.contains(';'),
        '@'..='H'
        | 'I'
        | 'L'
        | 'M'
        | 'P'
        | 'S'
        | 'X'
        | 'Z'
        | '`'
        | 'a'
        | 'b'
        | 'd'..='g'
        | 'm'
        | 'r' => numbers(parameters),
        's' | 'u' => parameters.is_empty(),
        // Cursor keys, wrapping, origin, the cursor, the other screen. No mouse, no focus, no paste: they send.
        'h' | 'l' => {
            let known = [
                "4", "20", "?1", "?3", "?5", "?6", "?7", "?12", "?25", "?47", "?1047", "?1048",
                "?1049",
            ];
            known.contains(&parameters)
        }
        // The shape of the cursor.
        'q' => parameters.strip_suffix(' ').is_some_and(numbers),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_that_draw_pass_and_others_do_not() {
        for (given, passes) in [
            ("a\tb\r\n", "a\tb\r\n"),
            ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m"),
            ("\u{1b}[2J\u{1b}[H\u{1b}[?25l", "\u{1b}[2J\u{1b}[H\u{1b}[?25l"),
            ("\u{1b}(B\u{1b}7\u{1b}8", "\u{1b}(B\u{1b}7\u{1b}8"),
            ("x\u{7}y", "xy"),
            // Title, clipboard, a link; terminated either way, and never.
            ("\u{1b}]0;title\u{7}a", "a"),
            ("\u{1b}]52;c;cm0=\u{1b}\\a", "a"),
            ("\u{1b}Pq#0\u{1b}\\a\u{1b}_x\u{9c}b", "ab"),
            ("\u{1b}]0;never ends", ""),
            // Questions that a terminal answers as if somebody typed.
            ("\u{1b}[6n\u{1b}[c\u{1b}[>c\u{1b}[5n\u{1b}Z\u{1b}[x\u{1b}[21t", ""),
            ("\u{1b}[?1;1;0S\u{1b}[?4m\u{1b}[#S\u{1b}[?5W\u{1b}[>q\u{1b}[> q\u{1b}[>4m", ""),
            ("\u{1b}[1;2;3;4;5T\u{1b}[?2004r\u{1b}[?25$p\u{1b}[1$r", ""),
            ("\u{1b}[?2J\u{1b}[?K\u{1b}[2S\u{1b}[3T", "\u{1b}[?2J\u{1b}[?K\u{1b}[2S\u{1b}[3T"),
            ("\u{1b}[38:5:1m\u{1b}[2 q", "\u{1b}[38:5:1m\u{1b}[2 q"),
            ("\u{1b}[?1003h\u{1b}[?2004h\u{1b}[?1004h", ""),
            ("\u{1b}[5\u{18}ma", "ma"),
            ("\u{9b}6n\u{9d}0;t\u{7}", ""),
        ] {
            assert_eq!(Filter::default().pass(given), passes, "{given:?}");
            // In pieces it is the same.
            let mut filter = Filter::default();
            let pieces: String = given.chars().map(|c| filter.pass(&c.to_string())).collect();
            assert_eq!(pieces, passes, "{given:?} in pieces");
        }
        for (given, undone) in [
            ("plain\u{1b}[1;31mred\u{1b}[0m", ""),
            ("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?25h\u{1b}[?1049l", ""),
            ("\u{1b}[?1049h\u{1b}[?25l", "\u{1b}[?1049l\u{1b}[?25h"),
            ("\u{1b}[1m\u{1b}=\u{1b}(0", "\u{1b}[0m\u{1b}>\u{1b}(B"),
            ("\u{1b}[1m\u{1b}[?25l\u{1b}c", ""),
            // What does not pass is not taken back.
            ("\u{1b}[?1003h", ""),
        ] {
            let mut filter = Filter::default();
            filter.pass(given);
            assert_eq!(filter.undo(), undone, "{given:?}");
        }
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
