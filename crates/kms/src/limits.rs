//! Quotas of the KMS API (AWS KMS Developer Guide, "Quotas").

/// Keys of an account in a region.
pub(crate) const KEYS_MAX: usize = 100_000;

/// Aliases of one key.
pub(crate) const ALIASES_PER_KEY_MAX: usize = 50;

/// Tags of one key.
pub(crate) const TAGS_MAX: usize = 50;

/// Bytes of a key policy.
pub(crate) const POLICY_MAX_BYTES: usize = 32 * 1024;

/// Days until a scheduled deletion, unless the caller says otherwise.
pub(crate) const DELETION_DAYS_DEFAULT: i64 = 30;

/// The fewest and most days until a scheduled deletion.
pub(crate) const DELETION_DAYS: std::ops::RangeInclusive<i64> = 7..=30;

/// Entries of a list's page, unless the caller says otherwise.
pub(crate) const PAGE_DEFAULT: usize = 100;

/// Entries of ListAliases' and ListResourceTags' page, unless the caller says otherwise.
pub(crate) const PAGE_SMALL_DEFAULT: usize = 50;
