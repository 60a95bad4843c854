//! The `Range` header (RFC 9110 section 14), as S3 reads it: one range of bytes, or none.

use std::ops::Range;

/// What a range header asks of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// These bytes.
    Part(Range<u64>),
    /// No byte of the object lies in it: 416.
    Unsatisfiable,
    /// All of it: there is no header, or it is not one range of bytes.
    Whole,
}

/// Reads the header for an object of `length` bytes.
pub fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some(spec) = header.and_then(single) else { return Wanted::Whole };
    let range = match spec {
        Spec::From(first) => first..length,
        Spec::Between(first, last) => first..last.saturating_add(1).min(length),
        Spec::Last(count) => length.saturating_sub(count)..length,
    };
    if range.start >= length || range.is_empty() {
        Wanted::Unsatisfiable
    } else {
        Wanted::Part(range)
    }
}

/// Reads `x-amz-copy-source-range`: exactly `bytes=a-b`, within the object.
pub fn copy_range(header: &str, length: u64) -> Option<Range<u64>> {
    match single(header)? {
        Spec::Between(first, last) if last < length => Some(first..last + 1),
        _ => None,
    }
}

enum Spec {
    Between(u64, u64),
    From(u64),
    Last(u64),
}

fn single(header: &str) -> Option<Spec> {
    let spec = header.trim().strip_prefix("bytes=")?;
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // A number beyond 64 bits is beyond every object.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first.trim(), last.trim()) {
        ("", last) => Some(Spec::Last(number(last)?)),
        (first, "") => Some(Spec::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::Between(first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_s3_reads_them() {
        for (header, length, expected) in [
            (None, 10, Wanted::Whole),
            (Some("bytes=0-0"), 10, Wanted::Part(0..1)),
            (Some("bytes=2-5"), 10, Wanted::Part(2..6)),
            (Some("bytes=2-"), 10, Wanted::Part(2..10)),
            (Some("bytes=-3"), 10, Wanted::Part(7..10)),
            (Some("bytes=-30"), 10, Wanted::Part(0..10)),
            (Some("bytes=5-99999999999999999999999"), 10, Wanted::Part(5..10)),
            (Some("bytes=10-"), 10, Wanted::Unsatisfiable),
            (Some("bytes=-0"), 10, Wanted::Unsatisfiable),
            (Some("bytes=0-0"), 0, Wanted::Unsatisfiable),
            (Some("bytes=-1"), 0, Wanted::Unsatisfiable),
            (Some("bytes=5-2"), 10, Wanted::Whole),
            (Some("bytes=0-1,4-5"), 10, Wanted::Whole),
            (Some("lines=0-1"), 10, Wanted::Whole),
            (Some("bytes=+1-2"), 10, Wanted::Whole),
            (Some("bytes=-"), 10, Wanted::Whole),
        ] {
            assert_eq!(wanted(header, length), expected, "{header:?} of {length}");
        }
        assert_eq!(copy_range("bytes=0-4", 5), Some(0..5));
        assert_eq!(copy_range("bytes=0-5", 5), None);
        assert_eq!(copy_range("bytes=0-", 5), None);
    }
}
