//! GenerateRandom: <https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateRandom.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::generate_random::{GenerateRandomRequest, GenerateRandomResponse};
use writ_keyd_client::protocol::Use;
use writ_policy::Access;
use writ_service::call::{Call, Outcome};

use super::decrypt::no_recipient;
use crate::{Result, error};

pub(crate) async fn run(call: &Call, input: GenerateRandomRequest) -> Result {
    no_recipient(input.recipient.is_some())?;
    if input.custom_key_store_id.is_some() {
        let message = "Custom key stores are not supported.";
        return Err(error("UnsupportedOperationException", message));
    }
    if input.number_of_bytes.is_none() {
        return Err(error("ValidationException", "NumberOfBytes is required."));
    }
    let permit = call.authorize(&call.context(), &[Access::new("kms:GenerateRandom", "*")])?;
    let used = call.use_keys(&permit, Use::of(Vec::new())).await?;
    let reply = GenerateRandomResponse {
        plaintext: used.plaintext.as_ref().map(|secret| secret.expose().to_vec()),
        ..GenerateRandomResponse::default()
    };
    Ok(Outcome::reply(reply.into_value()).recorded_at(Some(used.position)))
}
