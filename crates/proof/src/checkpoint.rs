//! Checkpoints: origin, size and root of a log as the text of a signed note (C2SP tlog-checkpoint).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::hash::Hash;
use crate::note::{Note, VerifierKey};

const WHAT: &str = "checkpoint";

/// The text of a checkpoint; `Display` and `FromStr` are its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name. A foreign log's is any text, so it is no [`crate::origin::Origin`] here.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The Merkle root.
    pub root: Hash,
    /// Further lines, which ours never have; they are signed with the rest.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    pub fn new(origin: impl fmt::Display, size: u64, root: Hash) -> Checkpoint {
        Checkpoint { origin: origin.to_string(), size, root, extensions: Vec::new() }
    }

    /// The unsigned note of this checkpoint.
    pub fn to_note(&self) -> Result<Note, Error> {
        // Read back, so that an origin with a newline in it cannot become a line of its own.
        let text = self.to_string();
        if text.parse::<Checkpoint>()? == *self {
            Note::new(&text)
        } else {
            Err(Error::malformed(WHAT, "a line holds a newline or is empty"))
        }
    }

    /// The checkpoint that `note` holds. Its signatures are not looked at.
    pub fn of(note: &Note) -> Result<Checkpoint, Error> {
        note.text().parse()
    }

    /// The checkpoint in a note that the log's own key has signed. The key's name must be the origin.
    pub fn verify(note: &Note, key: &VerifierKey) -> Result<Checkpoint, Error> {
        let checkpoint = Checkpoint::of(note)?;
        if checkpoint.origin != key.name() {
            return Err(Error::malformed(WHAT, "the origin is not the name of the log's key"));
        }
        note.verify_one(key)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root.0))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Checkpoint, Error> {
        let malformed = |why| Error::malformed(WHAT, why);
        let body = text.strip_suffix('\n').ok_or_else(|| malformed("the last line is cut"))?;
        let mut lines = body.split('\n');
        let mut line =
            || lines.next().filter(|l| !l.is_empty()).ok_or_else(|| malformed("a line is missing"));
        let (origin, size, root) = (line()?, line()?, line()?);
        let root = STANDARD.decode(root).ok().and_then(|bytes| Hash::from_slice(&bytes));
        let root = root.ok_or_else(|| malformed("the root is not 32 bytes in base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(malformed("an extension line is empty"));
        }
        Ok(Checkpoint { origin: origin.to_owned(), size: decimal(size)?, root, extensions })
    }
}

/// A decimal number in its one form: no sign, no leading zero.
pub(crate) fn decimal(text: &str) -> Result<u64, Error> {
    let number: u64 =
        text.parse().map_err(|_| Error::malformed("number", "it is not decimal and 64-bit"))?;
    if number.to_string() == text {
        Ok(number)
    } else {
        Err(Error::malformed("number", "it has a sign or a leading zero"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoint_of_the_specification_round_trips() {
        let text =
            "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint: Checkpoint = text.parse().unwrap();
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.to_string(), text);
        assert_eq!(checkpoint.to_note().unwrap().text(), text);
    }

    #[test]
    fn checkpoint_of_other_forms_is_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for text in [
            String::new(),
            format!("a\n1\n{root}"),
            format!("\n1\n{root}\n"),
            format!("a\n01\n{root}\n"),
            format!("a\n+1\n{root}\n"),
            format!("a\n-1\n{root}\n"),
            format!("a\n18446744073709551616\n{root}\n"),
            format!("a\n1\n{}\n", &root[4..]),
            format!("a\n1\n{}\n", root.trim_end_matches('=')),
            format!("a\n1\n{root}\n\n"),
            format!("a\n1\n{root}\n\nx\n"),
        ] {
            assert!(text.parse::<Checkpoint>().is_err(), "{text:?}");
        }
        assert!(Checkpoint::new("a\nb", 1, Hash::ZERO).to_note().is_err());
    }
}
