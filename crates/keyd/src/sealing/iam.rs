//! Users, roles and the status of access keys. Their identity policies decide in front, which is the
//! owner account's own matter; keyd makes sure that the account itself asked for exactly this.

use writ_aws::generated::iam::{
    CreateRoleRequest, CreateUserRequest, DeleteAccessKeyRequest, DeleteRoleRequest,
    DeleteUserRequest, UpdateAccessKeyRequest, UpdateAssumeRolePolicyRequest, UpdateRoleRequest,
    UpdateUserRequest,
};
use writ_keyd_client::descriptor::{
    AccessKeyDescriptor, Descriptor, RoleDescriptor, UserDescriptor,
};
use writ_keyd_client::protocol::{End, Refusal, Seal};
use writ_model::{AccountId, Arn, UniqueId, UniqueIdKind};
use writ_policy::{Policy, PolicyKind};

use super::Change;
use crate::engine::Engine;
use crate::handles::Admitted;
use crate::issue::{delegated, duration, input};
use crate::refuse::{self, forbidden};
use crate::{limits, narrate};

const ROLE_SESSION_DEFAULT_SECS: u64 = 3600;

impl Engine {
    pub(super) fn change_iam(&self, admitted: &Admitted, seal: &Seal) -> Result<Change, Refusal> {
        let descriptor = match admitted.operation {
            "CreateUser" => self.create_user(admitted, seal)?,
            "UpdateUser" => self.update_user(admitted, seal)?,
            "DeleteUser" => self.delete_user(admitted, seal)?,
            "CreateRole" => self.create_role(admitted, seal)?,
            "UpdateRole" | "UpdateAssumeRolePolicy" | "DeleteRole" => {
                self.change_role(admitted, seal)?
            }
            "UpdateAccessKey" | "DeleteAccessKey" => self.change_access_key(admitted, seal)?,
            _ => return Err(forbidden("this operation seals nothing")),
        };
        let root = admitted.caller.kind == writ_keyd_client::caller::CallerKind::Root;
        let record = delegated(narrate::of(admitted), !root);
        Ok(Change { descriptor, tokens: Vec::new(), policy: None, record })
    }

    fn create_user(&self, admitted: &Admitted, seal: &Seal) -> Result<Descriptor, Refusal> {
        let request: CreateUserRequest = input(&admitted.input)?;
        let account = admitted.caller.account;
        let unique_id = self.new_unique_id(seal, UniqueIdKind::User)?;
        let path = request.path.unwrap_or_else(|| "/".to_owned());
        self.check_free(account, "user", &request.user_name, &unique_id)?;
        let name = request.user_name;
        let user = UserDescriptor { account, unique_id, name, path, revision: 1, deleted: false };
        Ok(Descriptor::User(user))
    }

    fn update_user(&self, admitted: &Admitted, seal: &Seal) -> Result<Descriptor, Refusal> {
        let request: UpdateUserRequest = input(&admitted.input)?;
        let old = self.current_user(admitted, seal, &request.user_name)?;
        let name = request.new_user_name.unwrap_or_else(|| old.name.clone());
        let path = request.new_path.unwrap_or_else(|| old.path.clone());
        self.check_free(old.account, "user", &name, &old.unique_id)?;
        Ok(Descriptor::User(UserDescriptor { name, path, revision: old.revision + 1, ..old }))
    }

    fn delete_user(&self, admitted: &Admitted, seal: &Seal) -> Result<Descriptor, Refusal> {
        let request: DeleteUserRequest = input(&admitted.input)?;
        let old = self.current_user(admitted, seal, &request.user_name)?;
        Ok(Descriptor::User(UserDescriptor { revision: old.revision + 1, deleted: true, ..old }))
    }

    fn create_role(&self, admitted: &Admitted, seal: &Seal) -> Result<Descriptor, Refusal> {
        let request: CreateRoleRequest = input(&admitted.input)?;
        let account = admitted.caller.account;
        let unique_id = self.new_unique_id(seal, UniqueIdKind::Role)?;
        let path = request.path.unwrap_or_else(|| "/".to_owned());
        self.check_free(account, "role", &request.role_name, &unique_id)?;
        let seconds = duration(request.max_session_duration);
        let (trust_policy, principals) = self.trust_policy(request.assume_role_policy_document)?;
        Ok(Descriptor::Role(RoleDescriptor {
            account,
            unique_id,
            name: request.role_name,
            path,
            trust_policy,
            max_session_secs: seconds.unwrap_or(ROLE_SESSION_DEFAULT_SECS),
            revision: 1,
            deleted: false,
            principals,
        }))
    }

    fn change_role(&self, admitted: &Admitted, seal: &Seal) -> Result<Descriptor, Refusal> {
        let Descriptor::Role(old) = self.current(seal, admitted.caller.account)? else {
            return Err(forbidden("the current descriptor is not a role's"));
        };
        if old.deleted {
            return Err(forbidden("the role is deleted"));
        }
        let mut new = RoleDescriptor { revision: old.revision + 1, ..old };
        let named = match admitted.operation {
            "UpdateRole" => {
                let request: UpdateRoleRequest = input(&admitted.input)?;
                let seconds = duration(request.max_session_duration);
                new.max_session_secs = seconds.unwrap_or(new.max_session_secs);
                request.role_name
            }
            "UpdateAssumeRolePolicy" => {
                let request: UpdateAssumeRolePolicyRequest = input(&admitted.input)?;
                (new.trust_policy, new.principals) = self.trust_policy(request.policy_document)?;
                request.role_name
            }
            _ => {
                let request: DeleteRoleRequest = input(&admitted.input)?;
                new.deleted = true;
                request.role_name
            }
        };
        if !new.name.eq_ignore_ascii_case(&named) {
            return Err(forbidden("the descriptor is not that of the role in the request"));
        }
        Ok(Descriptor::Role(new))
    }

    fn change_access_key(&self, admitted: &Admitted, seal: &Seal) -> Result<Descriptor, Refusal> {
        let Descriptor::AccessKey(old) = self.current(seal, admitted.caller.account)? else {
            return Err(forbidden("the current descriptor is not an access key's"));
        };
        if old.deleted {
            return Err(forbidden("the access key is deleted"));
        }
        let mut new = AccessKeyDescriptor { revision: old.revision + 1, ..old };
        let (named, user) = if admitted.operation == "UpdateAccessKey" {
            let request: UpdateAccessKeyRequest = input(&admitted.input)?;
            new.active = request.status == "Active";
            (request.access_key_id, request.user_name)
        } else {
            let request: DeleteAccessKeyRequest = input(&admitted.input)?;
            new.deleted = true;
            (request.access_key_id, request.user_name)
        };
        if new.id.as_str() != named || !self.owns(admitted, &new, user.as_deref()) {
            return Err(forbidden("the descriptor is not that of the access key in the request"));
        }
        if new.deleted && !self.catalogue.write().end(End::AccessKey(new.id.clone())) {
            return Err(refuse::unavailable("too many things have ended"));
        }
        Ok(Descriptor::AccessKey(new))
    }

    /// True if the key belongs to the user whom the request names, or to the caller if it names none.
    fn owns(&self, admitted: &Admitted, key: &AccessKeyDescriptor, user: Option<&str>) -> bool {
        let caller = &admitted.caller;
        let catalogue = self.catalogue.read();
        match (user, &key.user) {
            (Some(name), Some(owner)) => {
                catalogue.user(owner).is_some_and(|user| user.name.eq_ignore_ascii_case(name))
            }
            (None, Some(owner)) => *owner == caller.unique_id,
            (None, None) => caller.unique_id == caller.account.to_string(),
            (Some(_), None) => false,
        }
    }

    fn current_user(
        &self,
        admitted: &Admitted,
        seal: &Seal,
        named: &str,
    ) -> Result<UserDescriptor, Refusal> {
        let Descriptor::User(user) = self.current(seal, admitted.caller.account)? else {
            return Err(forbidden("the current descriptor is not a user's"));
        };
        if user.deleted || !user.name.eq_ignore_ascii_case(named) {
            return Err(forbidden("the descriptor is not that of the user in the request"));
        }
        Ok(user)
    }

    /// The unique id that front drew; it must be of the kind and new.
    fn new_unique_id(&self, seal: &Seal, kind: UniqueIdKind) -> Result<String, Refusal> {
        let text = seal.new_id.as_deref().unwrap_or_default();
        let fits = text.parse::<UniqueId>().is_ok() && text.starts_with(kind.prefix());
        let noun = if kind == UniqueIdKind::User { "user" } else { "role" };
        if !fits || self.catalogue.read().knows(&format!("{noun}/{text}")) {
            return Err(forbidden("the new unique id is not of its kind, or not new"));
        }
        Ok(text.to_owned())
    }

    /// A trust policy that can be read, with those whom it names; what cannot be would deny everybody.
    fn trust_policy(&self, text: String) -> Result<(String, Vec<(Arn, UniqueId)>), Refusal> {
        if text.chars().count() > limits::TRUST_POLICY_MAX_CHARS {
            let message = "Cannot exceed quota for ACLSizePerRole: 2048";
            return Err(refuse::aws("LimitExceeded", message, 409));
        }
        let malformed = |why: String| refuse::aws("MalformedPolicyDocument", why, 400);
        let policy = Policy::parse(&text, PolicyKind::Trust)
            .map_err(|errors| malformed(errors.to_string()))?;
        match self.bind(&policy) {
            Some(bound) => Ok((text, bound)),
            None => Err(malformed("Invalid principal in policy".to_owned())),
        }
    }

    /// No other live user or role has the name; the catalogue checks it again when it admits.
    fn check_free(
        &self,
        account: AccountId,
        noun: &'static str,
        name: &str,
        unique_id: &str,
    ) -> Result<(), Refusal> {
        match self.catalogue.read().holder(account, noun, name) {
            Some(holder) if holder != unique_id => Err(refuse::aws(
                "EntityAlreadyExists",
                format!("{} with name {name} already exists.", capitalised(noun)),
                409,
            )),
            _ => Ok(()),
        }
    }
}

fn capitalised(noun: &str) -> &'static str {
    if noun == "user" { "User" } else { "Role" }
}
