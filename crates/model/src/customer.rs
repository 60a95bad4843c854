//! What a customer decides about operators: the lockbox, the support role, and single requests.

use serde::{Deserialize, Serialize};

/// The support role's name in each account.
pub const SUPPORT_ROLE: &str = "WritSupport";
/// The path of roles that the installation keeps in each account.
pub const SUPPORT_PATH: &str = "/writ/";

/// Whether operators must ask an account before they touch it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockboxMode {
    /// They need not; the customer sees what they do.
    #[default]
    #[serde(rename = "OFF")]
    Off,
    /// One principal of the account must approve each request.
    #[serde(rename = "STREAMLINED")]
    Streamlined,
}

impl LockboxMode {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            LockboxMode::Off => "OFF",
            LockboxMode::Streamlined => "STREAMLINED",
        }
    }

    /// The mode of this name.
    pub fn from_name(name: &str) -> Option<LockboxMode> {
        [LockboxMode::Off, LockboxMode::Streamlined].into_iter().find(|mode| mode.as_str() == name)
    }
}

/// What a customer has said of one request for access. Only the first can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// Yes.
    #[serde(rename = "APPROVED")]
    Approved,
    /// No, for good.
    #[serde(rename = "REFUSED")]
    Refused,
    /// Yes at first, and then no, for good.
    #[serde(rename = "WITHDRAWN")]
    Withdrawn,
}

impl Said {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Said::Approved => "APPROVED",
            Said::Refused => "REFUSED",
            Said::Withdrawn => "WITHDRAWN",
        }
    }

    /// True if `next` may be said after `before` has been.
    pub const fn may_follow(before: Option<Said>, next: Said) -> bool {
        matches!(
            (before, next),
            (None, Said::Approved | Said::Refused)
                | (Some(Said::Approved), Said::Approved | Said::Withdrawn)
                | (Some(Said::Refused), Said::Refused)
                | (Some(Said::Withdrawn), Said::Withdrawn)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_or_withdrawn_is_never_approved() {
        for before in [Said::Refused, Said::Withdrawn] {
            assert!(!Said::may_follow(Some(before), Said::Approved), "{before:?}");
        }
        assert!(Said::may_follow(None, Said::Approved));
        assert!(Said::may_follow(Some(Said::Approved), Said::Withdrawn));
        assert!(!Said::may_follow(None, Said::Withdrawn), "there is nothing to withdraw");
        assert!(!Said::may_follow(Some(Said::Approved), Said::Refused), "that is a withdrawal");
    }
}
