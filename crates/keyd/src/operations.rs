//! The operations that keyd has a part in. All others it only authenticates.

use writ_aws::Service;

use crate::limits;

/// What keyd does for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Makes a credential.
    Issue,
    /// Seals descriptors.
    Seal,
    /// Uses keys.
    Use,
}

const TABLE: &[(Service, &str, Part)] = &[
    (Service::Iam, "CreateAccessKey", Part::Issue),
    (Service::Iam, "CreateRole", Part::Seal),
    (Service::Iam, "CreateUser", Part::Seal),
    (Service::Iam, "DeleteAccessKey", Part::Seal),
    (Service::Iam, "DeleteRole", Part::Seal),
    (Service::Iam, "DeleteUser", Part::Seal),
    (Service::Iam, "UpdateAccessKey", Part::Seal),
    (Service::Iam, "UpdateAssumeRolePolicy", Part::Seal),
    (Service::Iam, "UpdateRole", Part::Seal),
    (Service::Iam, "UpdateUser", Part::Seal),
    (Service::Kms, "CancelKeyDeletion", Part::Seal),
    (Service::Kms, "CreateAlias", Part::Seal),
    (Service::Kms, "CreateKey", Part::Seal),
    (Service::Kms, "Decrypt", Part::Use),
    (Service::Kms, "DeleteAlias", Part::Seal),
    (Service::Kms, "DisableKey", Part::Seal),
    (Service::Kms, "EnableKey", Part::Seal),
    (Service::Kms, "Encrypt", Part::Use),
    (Service::Kms, "GenerateDataKey", Part::Use),
    (Service::Kms, "GenerateDataKeyWithoutPlaintext", Part::Use),
    (Service::Kms, "GenerateRandom", Part::Use),
    (Service::Kms, "PutKeyPolicy", Part::Seal),
    (Service::Kms, "ReEncrypt", Part::Use),
    (Service::Kms, "ScheduleKeyDeletion", Part::Seal),
    (Service::Kms, "UpdateAlias", Part::Seal),
    (Service::Sts, "AssumeRole", Part::Issue),
    (Service::Sts, "GetSessionToken", Part::Issue),
    (Service::Writ, "ApproveOperatorAccess", Part::Seal),
    (Service::Writ, "DisableSupportRole", Part::Seal),
    (Service::Writ, "EnableSupportRole", Part::Seal),
    (Service::Writ, "PutLockbox", Part::Seal),
    (Service::Writ, "RefuseOperatorAccess", Part::Seal),
    (Service::Writ, "WithdrawOperatorAccess", Part::Seal),
];

/// keyd's part in an operation.
pub(crate) fn part(service: Service, operation: &str) -> Option<Part> {
    let row = TABLE.iter().find(|(s, name, _)| *s == service && *name == operation);
    row.map(|(_, _, part)| *part)
}

/// How often one signature has this operation carried out.
pub(crate) fn per_signature(operation: &str) -> u32 {
    let is_use = |(_, name, part): &(Service, &str, Part)| *name == operation && *part == Part::Use;
    match operation {
        "AssumeRole" | "GetSessionToken" => limits::SESSIONS_PER_SIGNATURE,
        _ if TABLE.iter().any(is_use) => limits::ADMISSIONS_PER_SIGNATURE,
        _ => limits::CHANGES_PER_SIGNATURE,
    }
}

/// keyd's own text of an operation's name, if it has a part in it.
pub(crate) fn name(service: Service, operation: &str) -> Option<&'static str> {
    TABLE.iter().find(|(s, name, _)| *s == service && *name == operation).map(|(_, name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_of_the_table_is_in_the_models() {
        for (service, name, _) in TABLE {
            assert!(writ_aws::operation(*service, name).is_some(), "{name}");
        }
    }
}
