//! CreateAlias: <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html>

use writ_aws::Value;
use writ_aws::generated::kms::create_alias::CreateAliasRequest;
use writ_keyd_client::protocol::{Seal, UsedKey};
use writ_model::Arn;
use writ_policy::Access;
use writ_service::call::{Call, Changes, Outcome};
use writ_store::state::Alias;
use writ_store::{Blob, Object};
use writ_trail::record::Resource;

use crate::access::{aliases_of, authorize_all, context, not_pending_deletion, on_key};
use crate::limits::ALIASES_PER_KEY_MAX;
use crate::metadata::resource;
use crate::resolve::{Target, own_target};
use crate::{Result, error};

pub(crate) async fn run(call: &Call, input: CreateAliasRequest) -> Result {
    let arn = alias_arn(call, &input.alias_name)?;
    let target = own_target(call, &input.target_key_id)?;
    let context = context(call, &target);
    let accesses =
        [Access::new("kms:CreateAlias", arn.as_str()), on_key("kms:CreateAlias", &target)];
    let permit = authorize_all(call, &context, &accesses)?;
    not_pending_deletion(&target)?;
    if call.snapshot.alias(&arn).is_some() {
        let message = format!("An alias with the name {arn} already exists");
        return Err(error("AlreadyExistsException", message));
    }
    if aliases_of(call, &target).len() >= ALIASES_PER_KEY_MAX {
        let message = format!("A key has at most {ALIASES_PER_KEY_MAX} aliases.");
        return Err(error("LimitExceededException", message));
    }
    let sealed = call.seal(&permit, seal(None, &[&target])).await?;
    let alias = Alias {
        arn: arn.clone(),
        region: call.region.clone(),
        name: input.alias_name,
        target: target.descriptor.key_id.clone(),
        descriptor: Blob::from(sealed.descriptors.into_iter().next().unwrap_or_default()),
        created: call.now,
        updated: call.now,
    };
    let changes = Changes::permitted(permit).create(Object::new(call.account(), alias));
    Ok(Outcome::changed(Value::empty(), changes)
        .touching(alias_resource(&arn))
        .touching(resource(target.arn()))
        .recorded_at(sealed.position))
}

/// The ARN of an alias of the caller's own, whose name must be one that customers may use.
pub(crate) fn alias_arn(call: &Call, name: &str) -> Result<Arn> {
    let rest = name.strip_prefix("alias/").filter(|rest| !rest.is_empty());
    let Some(rest) = rest else {
        let message = "Alias must start with the prefix \"alias/\". Please see \
                       https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html";
        return Err(error("ValidationException", message));
    };
    if rest.starts_with("aws/") {
        let message = "Alias names that begin with alias/aws/ are reserved.";
        return Err(error("NotAuthorizedException", message));
    }
    if rest.contains(':') {
        let message = format!("{name} contains invalid characters for an alias");
        return Err(error("InvalidAliasNameException", message));
    }
    Ok(Arn::build("kms", call.region.as_str(), Some(call.account()), name))
}

/// What keyd needs to seal a change of an alias: the keys that it shall mean and means.
pub(crate) fn seal(current: Option<&Alias>, keys: &[&Target]) -> Seal {
    Seal {
        current: current.map(|alias| alias.descriptor.as_slice().to_vec()),
        keys: keys.iter().map(|key| UsedKey { tokens: Vec::new(), ..key.used() }).collect(),
        ..Seal::default()
    }
}

/// An alias in the `resources` of a record.
pub(crate) fn alias_resource(arn: &Arn) -> Resource {
    Resource { arn: arn.clone(), account: arn.account(), kind: "AWS::KMS::Alias" }
}
