//! Which names a bucket may have (S3 User Guide, "General purpose bucket naming rules").

/// True if a new bucket may have this name.
pub fn is_valid(name: &str) -> bool {
    let bytes = name.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
    (3..=63).contains(&bytes.len())
        && ends
        && bytes.iter().all(|b| alphanumeric(b) || matches!(b, b'.' | b'-'))
        && !name.contains("..")
        && !is_address(name)
        && !RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// The form of an IPv4 address.
fn is_address(name: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    name.split('.').count() == 4 && name.split('.').all(number)
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn bucket_names_follow_the_rules() {
        let long = "a".repeat(64);
        for (name, valid) in [
            ("abc", true),
            ("a-b.c", true),
            ("1bucket9", true),
            (&long[..63], true),
            ("ab", false),
            (long.as_str(), false),
            ("Abc", false),
            ("a_b", false),
            ("-ab", false),
            ("ab.", false),
            ("a..b", false),
            ("192.168.5.4", false),
            ("1.2.3", true),
            ("xn--abc", false),
            ("sthree-x", false),
            ("my-s3alias", false),
            ("my--ol-s3", false),
            ("bücket", false),
        ] {
            assert_eq!(is_valid(name), valid, "{name}");
        }
    }
}
