//! SSH's data types (RFC 4251 section 5), as signatures, certificates and packets are made of them.

use crate::error::Error;

const CUT: Error = Error::malformed("SSH data", "it ends within a value");

/// Appends a string: its length in four bytes, then its bytes.
pub fn put_string(bytes: &mut Vec<u8>, string: &[u8]) {
    let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(string);
}

/// Reads SSH data from its start.
pub struct SshReader<'a> {
    rest: &'a [u8],
}

impl<'a> SshReader<'a> {
    /// From the first of these bytes.
    pub fn new(rest: &'a [u8]) -> SshReader<'a> {
        SshReader { rest }
    }

    /// A byte.
    pub fn byte(&mut self) -> Result<u8, Error> {
        let (byte, rest) = self.rest.split_first().ok_or(CUT)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// A `uint32`.
    pub fn number(&mut self) -> Result<u32, Error> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or(CUT)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    /// A `uint64`.
    pub fn long(&mut self) -> Result<u64, Error> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or(CUT)?;
        self.rest = rest;
        Ok(u64::from_be_bytes(*bytes))
    }

    /// A boolean: any byte but 0 is true.
    pub fn boolean(&mut self) -> Result<bool, Error> {
        self.byte().map(|byte| byte != 0)
    }

    /// A string.
    pub fn string(&mut self) -> Result<&'a [u8], Error> {
        let length = usize::try_from(self.number()?).map_err(|_| CUT)?;
        let (string, rest) = self.rest.split_at_checked(length).ok_or(CUT)?;
        self.rest = rest;
        Ok(string)
    }

    /// A string that is UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Error> {
        let string = self.string()?;
        std::str::from_utf8(string).map_err(|_| Error::malformed("SSH data", "it is not UTF-8"))
    }

    /// A positive integer of at most 32 bytes, left-padded with zeros.
    pub fn mpint32(&mut self) -> Result<[u8; 32], Error> {
        const BAD: Error = Error::malformed("SSH integer", "it is not minimal, positive and short");
        let magnitude = match self.string()? {
            [0, rest @ ..] if rest.first().is_some_and(|b| b & 0x80 != 0) => rest,
            [0, ..] => return Err(BAD),
            [first, ..] if first & 0x80 != 0 => return Err(BAD),
            other => other,
        };
        let mut fixed = [0; 32];
        let pad = fixed.len().checked_sub(magnitude.len()).ok_or(BAD)?;
        fixed.iter_mut().skip(pad).zip(magnitude).for_each(|(to, from)| *to = *from);
        Ok(fixed)
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bytes that must be there as they are.
    pub fn literal(&mut self, expected: &[u8]) -> Result<(), Error> {
        let wrong = Error::malformed("SSH data", "its magic is absent");
        self.rest = self.rest.strip_prefix(expected).ok_or(wrong)?;
        Ok(())
    }

    /// Fails if anything is left.
    pub fn finish(&self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::malformed("SSH data", "bytes follow it"))
        }
    }
}
