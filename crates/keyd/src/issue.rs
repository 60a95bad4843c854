//! `issue-credential` and `create-account`: new secrets, each from a verified request.

use writ_aws::generated::{iam::CreateAccessKeyRequest, sts::GetSessionTokenRequest};
use writ_aws::{Input, Value};
use writ_keyd_client::caller::{Caller, CallerKind, Session};
use writ_keyd_client::descriptor::{AccessKeyDescriptor, Descriptor};
use writ_keyd_client::protocol::{CreateAccount, Credential, IssueCredential, Refusal, Reply};
use writ_model::{AccessKeyId, AccountId};
use writ_proof::use_record::{Basis, Use};

use crate::credential::{self, Holder, Owner, Wrapped};
use crate::engine::Engine;
use crate::handles::Admitted;
use crate::head::HeadRecord;
use crate::operations::{Part, part};
use crate::refuse::{self, access_denied, forbidden, internal, unavailable};
use crate::seal::{self, Opened};
use crate::{limits, narrate};

impl Engine {
    pub(crate) fn issue(&self, issue: &IssueCredential) -> Result<Reply, Refusal> {
        let made = self.spend_once(&issue.handle, |admitted| {
            match (part(admitted.service, admitted.operation), admitted.operation) {
                (Some(Part::Issue), "AssumeRole") => self.assume_role(admitted, issue),
                (Some(Part::Issue), "CreateAccessKey") => self.create_access_key(admitted, issue),
                (Some(Part::Issue), "GetSessionToken") => self.get_session_token(admitted),
                _ => Err(forbidden("the handle is for no operation that makes a credential")),
            }
        });
        made.map(|credential| Reply::Credential(Box::new(credential)))
    }

    /// The first credential of an account, for its root. Once an id: again only where front could not
    /// store it and nobody has signed with it ([`Engine::remember_signer`]), also over restarts.
    pub(crate) fn create_account(&self, create: &CreateAccount) -> Result<Reply, Refusal> {
        self.check_loaded()?;
        self.records.check()?;
        let account = create.account;
        if account == AccountId::PLATFORM {
            return Err(forbidden("the platform's own account is no customer's"));
        }
        if !self.catalogue.write().first_credential(account) {
            return Err(forbidden(format!("account {account} has got its first credential")));
        }
        let record = narrate::own(&format!("create-account:{account}"), None);
        let credential = self.long_term(account, None, false, record)?;
        Ok(Reply::Credential(Box::new(credential)))
    }

    /// Keeps in the head file that the account has signed a request, before the first is admitted: from
    /// then on no front, however much it withholds, gets a first credential of it.
    pub(crate) fn remember_signer(&self, account: AccountId) -> Result<(), Refusal> {
        if self.catalogue.read().has_signed(account) {
            return Ok(());
        }
        let mut catalogue = self.catalogue.write();
        if !catalogue.has_signed(account) {
            self.head_log
                .append(&[HeadRecord::Account(account)])
                .map_err(|_| unavailable("the head file cannot be written"))?;
            catalogue.signed(account);
        }
        Ok(())
    }

    fn create_access_key(
        &self,
        admitted: &Admitted,
        issue: &IssueCredential,
    ) -> Result<Credential, Refusal> {
        let request: CreateAccessKeyRequest = input(&admitted.input)?;
        let caller = &admitted.caller;
        let root = caller.kind == CallerKind::Root;
        let user = match (&request.user_name, &issue.subject) {
            (None, None) if root => None,
            (_, Some(sealed)) => match self.subject(sealed)?.descriptor {
                Descriptor::User(user) => Some(user),
                _ => return Err(forbidden("the subject is not a user")),
            },
            _ => return Err(forbidden("the user's descriptor is missing")),
        };
        if let Some(user) = &user {
            let named = match &request.user_name {
                Some(name) => user.name.eq_ignore_ascii_case(name),
                None => caller.kind == CallerKind::User && user.unique_id == caller.unique_id,
            };
            if !named || user.account != caller.account || user.deleted {
                return Err(forbidden("the descriptor is not that of the user in the request"));
            }
        }
        if !root && !issue.delegated {
            let action = "iam:CreateAccessKey";
            let on = user.map(|user| user.name).unwrap_or_default();
            return Err(refuse::query_denied(caller.arn.as_str(), action, &format!("user {on}")));
        }
        let record = delegated(narrate::of(admitted), !root);
        self.long_term(caller.account, user.map(|user| user.unique_id), !root, record)
    }

    /// Makes a long-term key and its status descriptor, and records it.
    fn long_term(
        &self,
        account: AccountId,
        user: Option<String>,
        delegated: bool,
        record: Use,
    ) -> Result<Credential, Refusal> {
        let env = &*self.env;
        let (id, created) = (AccessKeyId::long_term(account, env), env.now());
        let descriptor = Descriptor::AccessKey(AccessKeyDescriptor {
            id: id.clone(),
            account,
            user: user.clone(),
            active: true,
            created,
            revision: 1,
            deleted: false,
        });
        let holder = Holder::LongTerm(Owner { account, user, created, delegated });
        let wrapped = Wrapped { id: id.clone(), secret: credential::new_secret(env), holder };
        let bytes = credential::wrap(&self.domain, &wrapped, env);
        let sealed = self.seal_new(&descriptor)?;
        let position = self.record(record);
        Ok(Credential {
            access_key_id: id,
            secret: wrapped.secret,
            wrapped: Some(bytes.ok_or_else(|| internal("the credential cannot be wrapped"))?),
            descriptor: Some(sealed),
            session_token: None,
            expires: None,
            caller: None,
            packed_policy_size: None,
            position: Some(position),
        })
    }

    /// GetSessionToken needs no permission, but a long-term key.
    fn get_session_token(&self, admitted: &Admitted) -> Result<Credential, Refusal> {
        let request: GetSessionTokenRequest = input(&admitted.input)?;
        let caller = &admitted.caller;
        if caller.session.is_some() {
            return Err(access_denied("Cannot call GetSessionToken with session credentials"));
        }
        if request.serial_number.is_some() || request.token_code.is_some() {
            return Err(mfa_refused());
        }
        let asked = duration(request.duration_seconds);
        let default = limits::SESSION_TOKEN_DEFAULT.as_secs();
        let mut seconds = asked.unwrap_or(default);
        if caller.kind == CallerKind::Root {
            seconds = seconds.min(limits::SESSION_DEFAULT.as_secs());
        }
        let now = self.env.now();
        let session = Session {
            role: None,
            issued: now,
            expires: now.plus(std::time::Duration::from_secs(seconds)),
            mfa_at: None,
            source_identity: None,
            tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            policy: None,
            policy_arns: Vec::new(),
            chained: false,
        };
        let access_key_id = AccessKeyId::session(caller.account, &*self.env);
        let caller = Caller { access_key_id, session: Some(session), ..caller.clone() };
        self.session(caller, None, narrate::of(admitted))
    }

    /// Makes a session credential: the token carries the caller's facts.
    pub(crate) fn session(
        &self,
        caller: Caller,
        packed_policy_size: Option<u64>,
        record: Use,
    ) -> Result<Credential, Refusal> {
        let env = &*self.env;
        let expires = caller.session.as_ref().map(|session| session.expires);
        let wrapped = Wrapped {
            id: caller.access_key_id.clone(),
            secret: credential::new_secret(env),
            holder: Holder::Session(Box::new(caller.clone())),
        };
        let token = credential::wrap(&self.domain, &wrapped, env)
            .ok_or_else(|| internal("the session token cannot be wrapped"))?;
        let position = self.record(record);
        Ok(Credential {
            access_key_id: wrapped.id,
            secret: wrapped.secret,
            wrapped: None,
            descriptor: None,
            session_token: Some(credential::token_text(&token)),
            expires,
            caller: Some(caller),
            packed_policy_size,
            position: Some(position),
        })
    }

    /// A sealed descriptor that the peer gave, if it is the newest of its id.
    pub(crate) fn subject(&self, sealed: &[u8]) -> Result<Opened, Refusal> {
        let opened = seal::open(&self.domain, sealed);
        let opened = opened.ok_or_else(|| forbidden("the descriptor is not sealed here"))?;
        self.catalogue.read().current(&opened).map_err(|stale| forbidden(stale.why()))?;
        Ok(opened)
    }

    /// Seals a descriptor and makes it the newest of its id.
    pub(crate) fn seal_new(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Refusal> {
        let sealed = seal::seal(&self.domain, descriptor)
            .ok_or_else(|| internal("the descriptor cannot be sealed"))?;
        let opened = Opened { descriptor: descriptor.clone(), digest: seal::digest(descriptor) };
        self.catalogue.write().admit(&opened).map_err(|stale| forbidden(stale.why()))?;
        Ok(sealed)
    }
}

/// The typed parameters of an admitted request.
pub(crate) fn input<I: Input>(value: &Value) -> Result<I, Refusal> {
    I::from_value(value.clone()).map_err(refuse::api)
}

/// A record whose decision rests on front's word, or on the policy that keyd saw.
pub(crate) fn delegated(record: Use, delegated: bool) -> Use {
    Use { basis: if delegated { Basis::Delegated } else { Basis::Policy }, ..record }
}

/// Positive seconds; the model has checked the range.
pub(crate) fn duration(seconds: Option<i64>) -> Option<u64> {
    seconds.and_then(|seconds| u64::try_from(seconds).ok())
}

/// There are no MFA devices to check a code against.
pub(crate) fn mfa_refused() -> Refusal {
    access_denied("MultiFactorAuthentication failed with invalid MFA one time pass code.")
}
