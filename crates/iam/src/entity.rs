//! What users, roles and groups have in common, and how an operation finds the one that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use writ_aws::ApiError;
use writ_model::{AccountId, Arn, SUPPORT_PATH, UniqueId};
use writ_policy::{InlineOwner, Permit, limits as policy_limits};
use writ_service::call::{Call, Changes};
use writ_store::snapshot::Held;
use writ_store::state::{Group, Role, User};
use writ_store::{Body, Entry, Kind, Object};

use crate::access::Ask;
use crate::error;

/// A user, role or group.
pub(crate) trait Entity: Held + Into<Body> {
    /// In messages and ARNs: `user`.
    const NOUN: &'static str;
    /// At the start of messages: `User`.
    const TITLE: &'static str;
    /// The quota on attached policies.
    const ATTACHED_QUOTA: &'static str;
    /// Whose inline policies it has.
    const INLINE_OWNER: InlineOwner;
    /// All inline policies together, in characters without whitespace.
    const INLINE_MAX: usize;

    fn name(&self) -> &str;
    fn path(&self) -> &str;
    fn unique_id(&self) -> &UniqueId;
    fn inline(&self) -> &BTreeMap<String, String>;
    fn inline_mut(&mut self) -> &mut BTreeMap<String, String>;
    fn attached(&self) -> &BTreeSet<Arn>;
    fn attached_mut(&mut self) -> &mut BTreeSet<Arn>;
    /// Groups have none.
    fn boundary(&self) -> Option<&Arn> {
        None
    }
    /// Groups have none.
    fn tags(&self) -> Option<&BTreeMap<String, String>> {
        None
    }

    /// Its ARN.
    fn arn(&self, account: AccountId) -> Arn {
        arn(Self::NOUN, account, self.path(), self.name())
    }
}

/// A user or role: it can have a boundary and tags.
pub(crate) trait Principal: Entity {
    fn boundary_mut(&mut self) -> &mut Option<Arn>;
    fn tags_mut(&mut self) -> &mut BTreeMap<String, String>;
}

macro_rules! common {
    () => {
        fn name(&self) -> &str {
            &self.name
        }
        fn path(&self) -> &str {
            &self.path
        }
        fn unique_id(&self) -> &UniqueId {
            &self.unique_id
        }
        fn inline(&self) -> &BTreeMap<String, String> {
            &self.inline_policies
        }
        fn inline_mut(&mut self) -> &mut BTreeMap<String, String> {
            &mut self.inline_policies
        }
        fn attached(&self) -> &BTreeSet<Arn> {
            &self.attached_policies
        }
        fn attached_mut(&mut self) -> &mut BTreeSet<Arn> {
            &mut self.attached_policies
        }
    };
}

macro_rules! principal {
    ($type:ident, $noun:literal, $max:ident) => {
        impl Entity for $type {
            const NOUN: &'static str = $noun;
            const TITLE: &'static str = stringify!($type);
            const ATTACHED_QUOTA: &'static str = concat!("PoliciesPer", stringify!($type));
            const INLINE_OWNER: InlineOwner = InlineOwner::$type;
            const INLINE_MAX: usize = policy_limits::$max;

            common!();

            fn boundary(&self) -> Option<&Arn> {
                self.boundary.as_ref()
            }
            fn tags(&self) -> Option<&BTreeMap<String, String>> {
                Some(&self.tags)
            }
        }

        impl Principal for $type {
            fn boundary_mut(&mut self) -> &mut Option<Arn> {
                &mut self.boundary
            }
            fn tags_mut(&mut self) -> &mut BTreeMap<String, String> {
                &mut self.tags
            }
        }
    };
}

principal!(Role, "role", ROLE_INLINE_MAX_CHARS);
principal!(User, "user", USER_INLINE_MAX_CHARS);

impl Entity for Group {
    const NOUN: &'static str = "group";
    const TITLE: &'static str = "Group";
    const ATTACHED_QUOTA: &'static str = "PoliciesPerGroup";
    const INLINE_OWNER: InlineOwner = InlineOwner::Group;
    const INLINE_MAX: usize = policy_limits::GROUP_INLINE_MAX_CHARS;

    common!();
}

/// `arn:aws:iam::ACCOUNT:NOUN/PATH/NAME`. A path begins and ends with `/`.
pub(crate) fn arn(noun: &str, account: AccountId, path: &str, name: &str) -> Arn {
    Arn::iam(account, &format!("{noun}{path}{name}"))
}

/// The thing that a request names. Whether it exists is said only once the caller may know.
pub(crate) struct Target<'c, T: Entity> {
    call: &'c Call,
    name: String,
    entry: Option<&'c Arc<Entry<T>>>,
    /// Its ARN; with path `/` if it does not exist.
    pub(crate) arn: Arn,
}

impl<'c, T: Entity> Target<'c, T> {
    /// The one of this name (in any case) in the caller's account.
    pub(crate) fn of(call: &'c Call, name: &str) -> Target<'c, T> {
        let account = call.account();
        let entry = call.snapshot.get::<T>(account, name);
        let arn = match entry {
            Some(entry) => entry.arn(account),
            None => arn(T::NOUN, account, "/", name),
        };
        Target { call, name: name.to_owned(), entry, arn }
    }

    /// The question about it, with what conditions may ask of it.
    pub(crate) fn ask(&self) -> Ask<'c> {
        let ask = Ask::of(self.call);
        let Some(entry) = self.entry else { return ask };
        let ask = ask.with_boundary(entry.boundary().map(Arn::as_str));
        match entry.tags() {
            Some(tags) => ask.on_tags(tags),
            None => ask,
        }
    }

    /// Decides, then looks. What the installation keeps in an account is changed by no call of IAM.
    pub(crate) fn permit(&self, ask: Ask<'c>) -> Result<(Permit, &'c Arc<Entry<T>>), ApiError> {
        let permit = ask.permit(self.arn.as_str())?;
        let found = self.found()?;
        if T::KIND == Kind::Role && found.path() == SUPPORT_PATH && !self.call.operation.read_only {
            return Err(error::unmodifiable(found.name()));
        }
        Ok((permit, found))
    }

    /// Decides for the plain question, then looks.
    pub(crate) fn open(&self) -> Result<(Permit, &'c Arc<Entry<T>>), ApiError> {
        self.permit(self.ask())
    }

    /// What it is; only after a permit.
    pub(crate) fn found(&self) -> Result<&'c Arc<Entry<T>>, ApiError> {
        self.entry.ok_or_else(|| error::no_such(T::NOUN, &self.name))
    }
}

/// The change of one thing.
pub(crate) fn edited<T: Entity>(
    call: &Call,
    permit: Permit,
    entry: &Entry<T>,
    edit: impl FnOnce(&mut T),
) -> Changes {
    let mut value = T::clone(&entry.value);
    edit(&mut value);
    Changes::permitted(permit).update(Object::new(call.account(), value), entry.revision)
}

/// Whose access keys a request means.
pub(crate) enum Holder {
    /// The account's root.
    Root,
    /// The user of this name.
    User(String),
}

/// The user that a request names, or the caller if it names none.
pub(crate) fn named_or_caller(call: &Call, name: Option<&str>) -> Result<Holder, ApiError> {
    use writ_keyd_client::caller::CallerKind;
    if let Some(name) = name {
        return Ok(Holder::User(name.to_owned()));
    }
    let unsaid =
        || error::validation("Must specify userName when calling with non-User credentials");
    match call.caller.kind {
        CallerKind::Root => Ok(Holder::Root),
        CallerKind::AssumedRole => Err(unsaid()),
        CallerKind::User => {
            let id: UniqueId = call.caller.unique_id.parse().map_err(|_| unsaid())?;
            let user = call.snapshot.user_by_unique_id(call.account(), &id);
            user.map(|user| Holder::User(user.name.clone())).ok_or_else(unsaid)
        }
    }
}
