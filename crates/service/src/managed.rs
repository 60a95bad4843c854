//! AWS's own managed policies that Writ knows: `arn:aws:iam::aws:policy/NAME`.
//!
//! Their effect is that of the policies of the same name at AWS, limited to the services served here.

use std::sync::{Arc, OnceLock};

use writ_model::{Arn, Timestamp};
use writ_policy::{Policy, PolicyKind};

/// A managed policy of AWS.
pub struct AwsPolicy {
    /// The part of the ARN after `policy/`.
    pub name: &'static str,
    /// `ANPA…`, as at AWS.
    pub unique_id: &'static str,
    /// What AWS says of it.
    pub description: &'static str,
    /// The document.
    pub document: &'static str,
    /// When AWS made it.
    pub created: Timestamp,
}

/// All of them, sorted by name.
pub const ALL: [AwsPolicy; 5] = [
    AwsPolicy {
        name: "AdministratorAccess",
        unique_id: "ANPAIWMBCKSKIEE64ZLYK",
        description: "Provides full access to AWS services and resources.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
        created: Timestamp::from_secs(1_423_247_986),
    },
    AwsPolicy {
        name: "AmazonS3FullAccess",
        unique_id: "ANPAIFIR6V6BVTRAHWINE",
        description: "Provides full access to all buckets.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":"*"}]}"#,
        created: Timestamp::from_secs(1_423_247_998),
    },
    AwsPolicy {
        name: "AmazonS3ReadOnlyAccess",
        unique_id: "ANPAIZTJ4DXE7G6AGAE6M",
        description: "Provides read only access to all buckets.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*"],"Resource":"*"}]}"#,
        created: Timestamp::from_secs(1_423_247_999),
    },
    AwsPolicy {
        name: "IAMFullAccess",
        unique_id: "ANPAI7XKCFMBPM3QQRRVQ",
        description: "Provides full access to IAM.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}]}"#,
        created: Timestamp::from_secs(1_423_247_998),
    },
    AwsPolicy {
        name: "IAMReadOnlyAccess",
        unique_id: "ANPAJKSO7NDY4T57MWDSQ",
        description: "Provides read only access to IAM.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*","iam:Simulate*"],"Resource":"*"}]}"#,
        created: Timestamp::from_secs(1_423_247_999),
    },
];

impl AwsPolicy {
    /// `arn:aws:iam::aws:policy/NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::aws:policy/{}", self.name)
    }
}

/// The policy that `arn` names, if it is one of these.
pub fn find(arn: &Arn) -> Option<&'static AwsPolicy> {
    ALL.iter().find(|policy| policy.arn() == arn.as_str())
}

/// The same, compiled.
pub fn compiled(arn: &Arn) -> Option<Arc<Policy>> {
    static COMPILED: OnceLock<Vec<Arc<Policy>>> = OnceLock::new();
    let compile =
        || ALL.iter().map(|p| Arc::new(Policy::load(p.document, PolicyKind::Identity))).collect();
    let at = ALL.iter().position(|policy| policy.arn() == arn.as_str())?;
    COMPILED.get_or_init(compile).get(at).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_sound_and_sorted() {
        assert!(ALL.is_sorted_by_key(|policy| policy.name));
        for policy in &ALL {
            let arn = policy.arn().parse().unwrap();
            assert!(compiled(&arn).unwrap().unreadable().is_none(), "{}", policy.name);
            assert!(policy.unique_id.parse::<writ_model::UniqueId>().is_ok());
        }
    }
}
