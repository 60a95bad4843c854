//! `x-amz-copy-source`: `[/]BUCKET/KEY[?versionId=ID]`, URL-encoded once.

use percent_encoding::percent_decode_str;

/// What to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// The version, where one is named.
    pub version: Option<String>,
}

/// Reads the header; none if it names no bucket and key.
pub fn parse(header: &str) -> Option<CopySource> {
    let (path, version) = match header.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version.to_owned())),
        None => (header, None),
    };
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/')?;
    if bucket.is_empty() || key.is_empty() || bucket.starts_with("arn:") {
        return None;
    }
    Some(CopySource { bucket: bucket.to_owned(), key: key.to_owned(), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_sources_are_decoded_once() {
        let source = |bucket: &str, key: &str| {
            Some(CopySource { bucket: bucket.to_owned(), key: key.to_owned(), version: None })
        };
        assert_eq!(parse("b/k"), source("b", "k"));
        assert_eq!(parse("/b/a/../k"), source("b", "a/../k"));
        assert_eq!(parse("b/a%20b%2520+"), source("b", "a b%20+"));
        assert_eq!(parse("b/k?versionId=null").unwrap().version.as_deref(), Some("null"));
        for bad in ["", "b", "b/", "/k", "//k", "b/%ff", "arn:aws:s3:::b/k"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
