//! Rust names from model names.

const KEYWORDS: &[&str] = &["type", "match", "ref", "self", "use", "where", "in", "move", "box"];

/// `CreateUser` to `create_user`, `SSEKMSKeyId` to `sse_kms_key_id`, `ChecksumCRC32C` to
/// `checksum_crc32c`, `ETag` to `etag`.
pub(crate) fn snake(name: &str) -> String {
    let name = name.replace("ETag", "Etag").replace("SSEKMS", "SseKms");
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at).copied());
        let after = chars.get(at + 1).copied();
        let boundary = c.is_ascii_uppercase()
            && match before {
                Some(b) if b.is_ascii_lowercase() => true,
                Some(b) if b.is_ascii_uppercase() || b.is_ascii_digit() => {
                    after.is_some_and(|a| a.is_ascii_lowercase())
                }
                _ => false,
            };
        if boundary && !out.ends_with('_') {
            out.push('_');
        }
        out.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    out
}

/// A field's name, raw when it is a keyword.
pub(crate) fn field(name: &str) -> String {
    let snake = snake(name);
    if KEYWORDS.contains(&snake.as_str()) { format!("r#{snake}") } else { snake }
}

/// A type's name.
pub(crate) fn camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

/// The name of a static.
pub(crate) fn screaming(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (name, expected) in [
            ("CreateUser", "create_user"),
            ("SSEKMSKeyId", "sse_kms_key_id"),
            ("ChecksumCRC32C", "checksum_crc32c"),
            ("ChecksumCRC64NVME", "checksum_crc64nvme"),
            ("ListObjectsV2", "list_objects_v2"),
            ("ETag", "etag"),
            ("CopySourceIfMatch", "copy_source_if_match"),
            ("userNameType", "user_name_type"),
            ("ID", "id"),
            ("ACL", "acl"),
            ("ContentMD5", "content_md5"),
            ("SSECustomerKeyMD5", "sse_customer_key_md5"),
            ("URI", "uri"),
        ] {
            assert_eq!(snake(name), expected);
        }
        assert_eq!(field("Type"), "r#type");
        assert_eq!(camel("summaryMapType"), "SummaryMapType");
    }
}
