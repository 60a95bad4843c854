//! Sizes, shares and times of the HR feed and of the rules on persons, each with its reason.

use std::time::Duration;

/// Bytes of one delivery: 50,000 persons with every column filled generously.
pub const FEED_MAX_BYTES: usize = 32 << 20;

/// Lines (or elements) of one delivery. A larger organisation has several installations.
pub const FEED_MAX_ROWS: usize = 50_000;

/// Bytes of one line: fifteen full fields, quoted.
pub const LINE_MAX_BYTES: usize = 16 << 10;

/// Bytes of one field; names and addresses are shorter.
pub const FIELD_MAX_BYTES: usize = 256;

/// Bytes of a person id, which is also a part of file names and record parameters.
pub const PERSON_ID_MAX_BYTES: usize = 64;

/// Problems of one delivery that are kept one by one; all are counted.
pub const PROBLEMS_MAX: usize = 1000;

/// How long a membership outlives a move without a new approval (people, section 2).
pub const REAPPROVAL: Duration = Duration::from_secs(7 * 24 * 3600);

/// The same for the privileged tier.
pub const REAPPROVAL_PRIVILEGED: Duration = Duration::from_secs(24 * 3600);

/// How long a discrepancy waits for an answer before the absent person is suspended.
pub const ABSENCE_ANSWER: Duration = Duration::from_secs(24 * 3600);

/// A delivery that ends more than this share of persons, in percent, waits for a human's word...
pub const MASS_CHANGE_PERCENT: usize = 10;

/// ...if it ends more than this many.
pub const MASS_CHANGE_PERSONS: usize = 5;

/// A full file that lacks more than this share of persons, in percent, is not believed on absences.
pub const SHRUNK_PERCENT: usize = 10;

/// A feed that is silent for longer raises an alarm; a setting.
pub const SILENCE: Duration = Duration::from_secs(24 * 3600);
