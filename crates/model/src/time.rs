//! Time as milliseconds since 1970, and the forms in which AWS writes it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// A moment in UTC, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: u64) -> Timestamp {
        Timestamp(ms)
    }

    /// The moment `s` seconds after the epoch.
    pub const fn from_secs(s: u64) -> Timestamp {
        Timestamp(s.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// This moment and `by` more.
    pub fn plus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// `2026-11-21T20:15:00Z`: whole seconds, as CloudTrail, IAM and STS write it.
    pub fn iso(self) -> String {
        self.strftime("%Y-%m-%dT%H:%M:%SZ")
    }

    /// `2026-11-21T20:15:00.123Z`: with milliseconds, as S3 writes it in XML.
    pub fn iso_millis(self) -> String {
        format!("{}.{:03}Z", self.strftime("%Y-%m-%dT%H:%M:%S"), self.0 % 1000)
    }

    /// `20261121T201500Z`: the basic form of `x-amz-date`.
    pub fn basic(self) -> String {
        self.strftime("%Y%m%dT%H%M%SZ")
    }

    /// `Sat, 21 Nov 2026 20:15:00 GMT`: HTTP's form (RFC 9110 section 5.6.7).
    pub fn http(self) -> String {
        self.strftime("%a, %d %b %Y %H:%M:%S GMT")
    }

    /// Reads the basic form of `x-amz-date`, exactly.
    pub fn parse_basic(text: &str) -> Result<Timestamp, ParseError> {
        let error = || ParseError::new(text, "a time of the form YYYYMMDD'T'HHMMSS'Z'");
        let b = text.as_bytes();
        let shaped = b.len() == 16 && b.get(8) == Some(&b'T') && b.get(15) == Some(&b'Z');
        if !shaped {
            return Err(error());
        }
        let number = |from: usize, to: usize| -> Option<i16> {
            let part = text.get(from..to)?;
            if part.bytes().all(|d| d.is_ascii_digit()) { part.parse().ok() } else { None }
        };
        let small = |from, to| number(from, to).and_then(|n| i8::try_from(n).ok());
        let read = || {
            let (year, month, day) = (number(0, 4)?, small(4, 6)?, small(6, 8)?);
            let (hour, minute, second) = (small(9, 11)?, small(11, 13)?, small(13, 15)?);
            jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()
        };
        let civil = read().ok_or_else(error)?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| error())?;
        Timestamp::from_jiff(zoned.timestamp()).ok_or_else(error)
    }

    /// Reads an ISO 8601 (RFC 3339) moment such as `2026-11-21T20:15:00Z`.
    pub fn parse_iso(text: &str) -> Result<Timestamp, ParseError> {
        let error = || ParseError::new(text, "an ISO 8601 time such as 2026-11-21T20:15:00Z");
        let time: jiff::Timestamp = text.parse().map_err(|_| error())?;
        Timestamp::from_jiff(time).ok_or_else(error)
    }

    fn from_jiff(time: jiff::Timestamp) -> Option<Timestamp> {
        u64::try_from(time.as_millisecond()).ok().map(Timestamp)
    }

    fn strftime(self, format: &str) -> String {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(ms)
            .unwrap_or(jiff::Timestamp::MAX)
            .strftime(format)
            .to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso_millis())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_forms_are_those_of_aws() {
        let t = Timestamp::from_millis(1_440_938_160_007);
        assert_eq!(t.iso(), "2015-08-30T12:36:00Z");
        assert_eq!(t.iso_millis(), "2015-08-30T12:36:00.007Z");
        assert_eq!(t.basic(), "20150830T123600Z");
        assert_eq!(t.http(), "Sun, 30 Aug 2015 12:36:00 GMT");
        assert_eq!(Timestamp::parse_basic("20150830T123600Z").unwrap().secs(), t.secs());
        assert_eq!(Timestamp::parse_iso("2015-08-30T12:36:00.007Z").unwrap(), t);
    }

    #[test]
    fn timestamp_of_other_forms_is_refused() {
        for text in
            ["", "2015-08-30T12:36:00Z", "20150830T123600", "20151330T123600Z", "2015083+T123600Z"]
        {
            assert!(Timestamp::parse_basic(text).is_err(), "{text}");
        }
    }
}
