//! Java regular expressions, as the models write them, for the `regex` crate.
//!
//! The differences that matter: `\w`, `\d` and `\s` are ASCII in Java, `\uXXXX` is a UTF-16 unit
//! (two of them can be a surrogate pair), and a model's pattern must match the whole text.

use std::iter::Peekable;
use std::str::Chars;

/// IAM's `accountAliasType`, the one pattern in use with a lookahead.
const ACCOUNT_ALIAS: &str = "^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$";

/// A pattern that can be matched.
pub(crate) enum Compiled {
    /// [`ACCOUNT_ALIAS`], matched by hand.
    AccountAlias,
    /// All others.
    Regex(regex::Regex),
}

/// The compiled form of `pattern`, anchored at both ends; `None` when it uses what the `regex`
/// crate lacks, such as lookahead.
pub(crate) fn compile(pattern: &str) -> Option<Compiled> {
    if pattern == ACCOUNT_ALIAS {
        return Some(Compiled::AccountAlias);
    }
    let translated = translate(pattern)?;
    regex::Regex::new(&format!(r"\A(?:{translated})\z")).ok().map(Compiled::Regex)
}

impl Compiled {
    /// Whether the whole of `text` matches.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            Compiled::AccountAlias => is_account_alias(text),
            Compiled::Regex(regex) => regex.is_match(text),
        }
    }
}

fn is_account_alias(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (3..=63).contains(&text.len())
        && text.bytes().all(|b| plain(b) || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

fn translate(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, in_class, &mut out)?,
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Inside a class Java's `[` begins a union, which no model uses.
            '[' => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

fn escape(chars: &mut Peekable<Chars<'_>>, in_class: bool, out: &mut String) -> Option<()> {
    let ascii = |set: &str| if in_class { set.to_owned() } else { format!("[{set}]") };
    match chars.next()? {
        'w' => out.push_str(&ascii("0-9A-Za-z_")),
        'd' => out.push_str(&ascii("0-9")),
        's' => out.push_str(&ascii(r"\t\n\x0B\x0C\r ")),
        'u' => {
            let unit = hex4(chars)?;
            let scalar = if (0xD800..0xDC00).contains(&unit) {
                if (chars.next()?, chars.next()?) != ('\\', 'u') {
                    return None;
                }
                let low = hex4(chars)?.checked_sub(0xDC00)?;
                0x1_0000 + ((unit - 0xD800) << 10) + low
            } else {
                unit
            };
            char::from_u32(scalar)?;
            out.push_str(&format!(r"\x{{{scalar:X}}}"));
        }
        other => {
            out.push('\\');
            out.push(other);
        }
    }
    Some(())
}

fn hex4(chars: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        value = value * 16 + chars.next()?.to_digit(16)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_patterns_match_as_java_does() {
        for (pattern, text, expected) in [
            (r"[\w+=,.@-]+", "Ana.Lima@example", true),
            (r"[\w+=,.@-]+", "é", false),
            (r"[\w+=,.@-]+", "a\n", false),
            (r"[\w+=,.@-]+", "", false),
            (r"\d{12}", "123456789012", true),
            (r"\d{12}", "١٢٣٤٥٦٧٨٩٠١٢", false),
            (r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)", "/", true),
            (r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)", "/a/", true),
            (r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)", "/a", false),
            (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "Größe 1", true),
            (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "a;b", false),
            (r"[\uD800\uDC00-\uDBFF\uDFFF]", "\u{1F600}", true),
            (r"^[a-zA-Z0-9-_.]+$", "a-b_c", true),
            (r"^[a-zA-Z0-9:/_-]+$", "alias/x", true),
            (ACCOUNT_ALIAS, "a-b", true),
            (ACCOUNT_ALIAS, "a--b", false),
            (ACCOUNT_ALIAS, "-ab", false),
            (ACCOUNT_ALIAS, "ab-", false),
            (ACCOUNT_ALIAS, "ab", false),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(text), expected, "{pattern} {text:?}");
        }
    }

    #[test]
    fn lookahead_is_not_supported() {
        assert!(compile("^a(?!b)$").is_none());
    }
}
