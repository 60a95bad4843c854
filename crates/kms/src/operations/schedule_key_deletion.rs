//! ScheduleKeyDeletion:
//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::schedule_key_deletion::{
    ScheduleKeyDeletionRequest, ScheduleKeyDeletionResponse,
};
use writ_keyd_client::descriptor::{Descriptor, peek};
use writ_service::call::{Call, Outcome};

use super::reseal::reseal;
use crate::access::{authorize, context, not_pending_deletion};
use crate::limits::{DELETION_DAYS, DELETION_DAYS_DEFAULT};
use crate::metadata::resource;
use crate::resolve::own_target;
use crate::{Result, error};

pub(crate) async fn run(call: &Call, input: ScheduleKeyDeletionRequest) -> Result {
    let days = input.pending_window_in_days.unwrap_or(DELETION_DAYS_DEFAULT);
    if !DELETION_DAYS.contains(&days) {
        let (least, most) = (DELETION_DAYS.start(), DELETION_DAYS.end());
        let message = format!("PendingWindowInDays must be between {least} and {most}.");
        return Err(error("ValidationException", message));
    }
    let target = own_target(call, &input.key_id)?;
    let mut context = context(call, &target);
    context.insert("kms:ScheduleKeyDeletionPendingWindowInDays", days.to_string());
    let permit = authorize(call, &target, "kms:ScheduleKeyDeletion", &context)?;
    not_pending_deletion(&target)?;
    let (changes, key, position) = reseal(call, &target, permit, |_| {}).await?;
    let date = match peek(key.descriptor.as_slice()) {
        Ok(Descriptor::Key(descriptor)) => descriptor.deletion_date,
        _ => None,
    };
    let reply = ScheduleKeyDeletionResponse {
        key_id: Some(target.arn().to_string()),
        deletion_date: date,
        key_state: Some("PendingDeletion".to_owned()),
        pending_window_in_days: Some(days),
    };
    Ok(Outcome::changed(reply.into_value(), changes)
        .touching(resource(target.arn()))
        .recorded_at(position))
}
