//! Tags of users, roles and policies. Keys are compared without case and kept as given ("Tags for
//! IAM resources").

use std::collections::BTreeMap;

use writ_aws::ApiError;
use writ_aws::generated::iam::Tag;

use crate::error;
use crate::limits::TAGS_MAX;

/// Tags, key to value.
pub(crate) type Tags = BTreeMap<String, String>;

/// The tags of a request.
pub(crate) fn read(tags: &[Tag]) -> Result<Tags, ApiError> {
    let mut read = Tags::new();
    for tag in tags {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            let message = "Tag keys that begin with `aws:` are reserved for AWS use.";
            return Err(error::invalid_input(message));
        }
        if read.keys().any(|key| same(key, &tag.key)) {
            let message =
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(error::invalid_input(message));
        }
        read.insert(tag.key.clone(), tag.value.clone());
    }
    if read.len() > TAGS_MAX {
        return Err(error::too_many_tags());
    }
    Ok(read)
}

/// `old` with `new` in it; a key that differs only in case is replaced.
pub(crate) fn merged(old: &Tags, new: &Tags) -> Result<Tags, ApiError> {
    let mut tags = old.clone();
    tags.retain(|key, _| !new.keys().any(|other| same(key, other)));
    tags.extend(new.iter().map(|(key, value)| (key.clone(), value.clone())));
    if tags.len() > TAGS_MAX {
        return Err(error::too_many_tags());
    }
    Ok(tags)
}

/// `old` without `keys`.
pub(crate) fn without(old: &Tags, keys: &[String]) -> Tags {
    let mut tags = old.clone();
    tags.retain(|key, _| !keys.iter().any(|other| same(key, other)));
    tags
}

/// As the API shows them.
pub(crate) fn shown(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}

/// The same; absent if there are none.
pub(crate) fn shown_if_any(tags: &Tags) -> Option<Vec<Tag>> {
    (!tags.is_empty()).then(|| shown(tags))
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
        let tag = |(key, value): &(&str, &str)| Tag { key: (*key).into(), value: (*value).into() };
        pairs.iter().map(tag).collect()
    }

    #[test]
    fn tag_keys_are_one_without_case_and_the_last_spelling_stays() {
        let old = read(&tags(&[("Cost", "1"), ("Team", "a")])).unwrap();
        let new = merged(&old, &read(&tags(&[("cost", "2")])).unwrap()).unwrap();
        assert_eq!(shown(&new), tags(&[("Team", "a"), ("cost", "2")]));
        assert_eq!(shown(&without(&new, &["TEAM".to_owned()])), tags(&[("cost", "2")]));
        assert!(shown_if_any(&Tags::new()).is_none());
    }

    #[test]
    fn tags_over_the_quota_repeated_or_reserved_are_refused() {
        let many = |n: usize| -> Vec<Tag> {
            (0..n).map(|n| Tag { key: format!("k{n}"), value: String::new() }).collect()
        };
        let full = read(&many(TAGS_MAX)).unwrap();
        assert!(merged(&full, &read(&tags(&[("K0", "x")])).unwrap()).is_ok());
        let error = merged(&full, &read(&tags(&[("one more", "x")])).unwrap()).unwrap_err();
        assert_eq!(&*error.code, "LimitExceeded");
        for pairs in [&[("a", "1"), ("A", "2")][..], &[("aws:x", "1")]] {
            assert_eq!(&*read(&tags(pairs)).unwrap_err().code, "InvalidInput");
        }
    }
}
