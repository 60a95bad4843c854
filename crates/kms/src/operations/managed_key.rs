//! The key that a service manages for an account, such as `aws/s3`: made at its first use.
//!
//! It comes with its alias and with a policy that nobody can change. The customer needs no
//! `kms:CreateKey`: their signed request to the service is what asks for it, and keyd admits exactly
//! this with a ticket. A policy of theirs that denies it still stops it.

use std::collections::BTreeMap;

use writ_aws::Output as _;
use writ_aws::generated::kms::{CreateKeyRequest, CreateKeyResponse};
use writ_keyd_client::descriptor::{Descriptor, peek};
use writ_keyd_client::key_policy::managed_key_policy;
use writ_keyd_client::protocol::Seal;
use writ_model::{Arn, KeyId};
use writ_policy::{Access, Policy, PolicyKind, ResourceKind};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::state::{Alias, Key};
use writ_store::{Blob, Object};

use crate::Result;
use crate::metadata::{metadata, resource};
use crate::resolve::key_arn;

/// The only service with a managed key so far.
const SERVICE: &str = "s3";

/// Stands in for the key policy that does not exist yet: whoever the service serves may have it made.
const FIRST_USE: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"FirstUse","Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:CreateKey","Resource":"*","Condition":{"Bool":{"aws:ViaAWSService":"true"}}}]}"#;

pub(crate) async fn run(call: &Call, input: CreateKeyRequest) -> Result {
    let id = KeyId::random(&*call.env);
    let arn = key_arn(call, &id);
    let name = format!("alias/aws/{SERVICE}");
    let alias_arn = Arn::build("kms", call.region.as_str(), Some(call.account()), &name);
    let first_use = Policy::load(FIRST_USE, PolicyKind::Resource(ResourceKind::Key));
    let mut access = Access::new("kms:CreateKey", alias_arn.as_str())
        .owned_by(call.account())
        .with_policy("first use of a managed key", &first_use);
    access.mode = writ_policy::Mode::RootOfTrust;
    let permit = call.authorize(&call.context(), &[access])?;

    let policy = managed_key_policy(SERVICE, call.account(), &call.region);
    let sealed =
        call.seal(&permit, Seal { new_id: Some(id.to_string()), ..Seal::default() }).await?;
    let internal = || writ_aws::ApiError::internal(writ_aws::Service::Kms);
    let [key_seal, alias_seal]: [Vec<u8>; 2] =
        sealed.descriptors.try_into().map_err(|_| internal())?;
    let Ok(Descriptor::Key(facts)) = peek(&key_seal) else { return Err(internal()) };
    let key = Key {
        arn: arn.clone(),
        key_id: id.clone(),
        region: call.region.clone(),
        description: input.description.unwrap_or_default(),
        policy,
        principals: BTreeMap::new(),
        tags: BTreeMap::new(),
        descriptor: Blob::from(key_seal),
        tokens: sealed.tokens.into_iter().map(Blob::from).collect(),
        created: facts.created,
        managed_by: facts.managed_by.clone(),
    };
    let alias = Alias {
        arn: alias_arn,
        region: call.region.clone(),
        name,
        target: id,
        descriptor: Blob::from(alias_seal),
        created: call.now,
        updated: call.now,
    };
    let reply = CreateKeyResponse { key_metadata: Some(metadata(&key, &facts)) };
    let changes = Changes::permitted(permit)
        .create(Object::new(call.account(), key))
        .create(Object::new(call.account(), alias));
    Ok(Outcome::changed(reply.into_value(), changes)
        .touching(resource(&arn))
        .recorded_at(sealed.position))
}
