//! Conditional reads, in S3's order: If-Match, If-Unmodified-Since, If-None-Match,
//! If-Modified-Since (S3 User Guide, "Conditional reads").

use writ_model::Timestamp;

use crate::index::Condition;

/// The conditions of a read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`.
    pub if_match: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<Timestamp>,
}

/// What the conditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer 412; the condition that failed.
    Fail(&'static str),
    /// Answer 304.
    NotModified,
    /// Answer the read.
    Proceed,
}

impl ReadConditions {
    /// Decides for an object with this ETag (without quotes) and time.
    pub fn decide(&self, etag: &str, modified: Timestamp) -> Verdict {
        match &self.if_match {
            Some(tags) if !names(tags, etag) => return Verdict::Fail("If-Match"),
            None if self.if_unmodified_since.is_some_and(|at| modified.secs() > at.secs()) => {
                return Verdict::Fail("If-Unmodified-Since");
            }
            _ => {}
        }
        match &self.if_none_match {
            Some(tags) if names(tags, etag) => Verdict::NotModified,
            None if self.if_modified_since.is_some_and(|at| modified.secs() <= at.secs()) => {
                Verdict::NotModified
            }
            _ => Verdict::Proceed,
        }
    }
}

/// True if a list of entity tags has this one, or is `*`.
fn names(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || unquoted(tag) == etag)
}

/// An entity tag without its quotes and weakness.
pub fn unquoted(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}

/// The condition of a write; none if `If-None-Match` has another value than `*`, which S3 does not
/// implement.
pub fn write_condition(if_match: Option<&str>, if_none_match: Option<&str>) -> Option<Condition> {
    if if_none_match.is_some_and(|tag| tag.trim() != "*") {
        return None;
    }
    Some(Condition {
        absent: if_none_match.is_some(),
        etag: if_match.map(|tag| unquoted(tag).to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_decided_in_order() {
        let at = Timestamp::from_secs;
        let modified = Timestamp::from_millis(100_500);
        let (same, other) = (Some("\"e\""), Some("\"x\""));
        let decide = |m: Option<&str>, n: Option<&str>, since: Option<u64>, until: Option<u64>| {
            ReadConditions {
                if_match: m.map(str::to_owned),
                if_none_match: n.map(str::to_owned),
                if_modified_since: since.map(at),
                if_unmodified_since: until.map(at),
            }
            .decide("e", modified)
        };
        assert_eq!(decide(None, None, None, None), Verdict::Proceed);
        assert_eq!(decide(other, same, None, None), Verdict::Fail("If-Match"));
        assert_eq!(decide(same, None, None, Some(1)), Verdict::Proceed);
        assert_eq!(decide(None, None, None, Some(99)), Verdict::Fail("If-Unmodified-Since"));
        assert_eq!(decide(None, None, None, Some(100)), Verdict::Proceed);
        assert_eq!(decide(None, same, Some(1), None), Verdict::NotModified);
        assert_eq!(decide(None, other, Some(200), None), Verdict::Proceed);
        assert_eq!(decide(None, None, Some(100), None), Verdict::NotModified);
        assert_eq!(decide(None, None, Some(99), None), Verdict::Proceed);
        assert_eq!(decide(Some("\"x\", \"e\""), None, None, None), Verdict::Proceed);
        assert_eq!(decide(None, Some("*"), None, None), Verdict::NotModified);
        assert_eq!(decide(Some("e"), None, None, None), Verdict::Proceed);
    }

    #[test]
    fn write_condition_with_another_none_match_is_refused() {
        assert_eq!(write_condition(None, Some("\"e\"")), None);
        let absent = Condition { absent: true, etag: None };
        assert_eq!(write_condition(None, Some("*")), Some(absent));
        let is = Condition { absent: false, etag: Some("e".to_owned()) };
        assert_eq!(write_condition(Some("\"e\""), None), Some(is));
    }
}
