//! Who calls, and which principals a policy names.

use writ_model::{AccountId, Arn, UniqueId};

use crate::error::Problem;

/// What kind of caller a principal is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// Nobody: an unsigned request.
    Anonymous,
    /// A session of a role.
    AssumedRole,
    /// A caller known by an identity provider, before a role gives a session: the provider's ARN,
    /// or its name (`cognito-identity.amazonaws.com`).
    Federated(String),
    /// A session made by GetFederationToken.
    FederatedUser,
    /// The account's root user.
    Root,
    /// A service that acts for itself, by its name: `cloudtrail.amazonaws.com`.
    Service(String),
    /// An IAM user, with its own keys or a session of GetSessionToken.
    User,
}

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// What it is.
    pub kind: PrincipalKind,
    /// The ARN that error messages name: the user's, the role session's (`assumed-role/R/S`) ...
    pub arn: Arn,
    /// The role of a session; the user who called GetFederationToken for a federated user.
    pub role_arn: Option<Arn>,
    /// `aws:userid`: `AIDA...`, `AROA...:session`, the account id for root.
    pub unique_id: String,
    /// The account of the caller. Services and federated callers have none; theirs is never read.
    pub account: AccountId,
    /// The unique id (`AROA...`, `AIDA...`) of what `role_arn` names.
    pub role_unique_id: Option<String>,
    /// The name of the session.
    pub session_name: Option<String>,
    /// The role is linked to a service: SCP, RCP and boundaries do not apply.
    pub service_linked: bool,
    /// The canonical user id of the account, for S3's `CanonicalUser`.
    pub canonical_user_id: Option<String>,
}

impl Principal {
    /// The root user of an account.
    pub fn root(account: AccountId) -> Principal {
        Principal::new(PrincipalKind::Root, Arn::root(account), account, account.to_string())
    }

    /// An IAM user.
    pub fn user(arn: Arn, account: AccountId, unique_id: &str) -> Principal {
        Principal::new(PrincipalKind::User, arn, account, unique_id.to_owned())
    }

    /// A session of the role `role_arn`, whose unique id is `role_unique_id`.
    pub fn role_session(
        role_arn: Arn,
        account: AccountId,
        role_unique_id: &str,
        session_name: &str,
    ) -> Principal {
        let role_name = role_arn.resource().rsplit('/').next().unwrap_or_default();
        let resource = format!("assumed-role/{role_name}/{session_name}");
        let arn = Arn::build("sts", "", Some(account), &resource);
        let id = format!("{role_unique_id}:{session_name}");
        let mut principal = Principal::new(PrincipalKind::AssumedRole, arn, account, id);
        principal.service_linked = role_arn.resource().starts_with("role/aws-service-role/");
        principal.role_arn = Some(role_arn);
        principal.role_unique_id = Some(role_unique_id.to_owned());
        principal.session_name = Some(session_name.to_owned());
        principal
    }

    /// The session `name` that the user `user_arn` made with GetFederationToken.
    pub fn federated_user(
        user_arn: Option<Arn>,
        account: AccountId,
        user_unique_id: Option<&str>,
        name: &str,
    ) -> Principal {
        let arn = Arn::build("sts", "", Some(account), &format!("federated-user/{name}"));
        let id = format!("{account}:{name}");
        let mut principal = Principal::new(PrincipalKind::FederatedUser, arn, account, id);
        principal.role_arn = user_arn;
        principal.role_unique_id = user_unique_id.map(str::to_owned);
        principal.session_name = Some(name.to_owned());
        principal
    }

    /// A service that acts for itself, for example `cloudtrail.amazonaws.com`.
    pub fn service(name: &str) -> Principal {
        let kind = PrincipalKind::Service(name.to_owned());
        Principal::new(kind, outside(name), NOBODY, name.to_owned())
    }

    /// A caller whom the identity provider `provider` (ARN or name) vouches for.
    pub fn federated(provider: &str) -> Principal {
        let kind = PrincipalKind::Federated(provider.to_owned());
        Principal::new(kind, outside(provider), NOBODY, provider.to_owned())
    }

    fn new(kind: PrincipalKind, arn: Arn, account: AccountId, unique_id: String) -> Principal {
        Principal {
            kind,
            arn,
            role_arn: None,
            unique_id,
            account,
            role_unique_id: None,
            session_name: None,
            service_linked: false,
            canonical_user_id: None,
        }
    }

    /// How error messages name the caller: its ARN, or the name of a service or provider.
    pub fn display(&self) -> &str {
        match &self.kind {
            PrincipalKind::Anonymous => "anonymous",
            PrincipalKind::Federated(name) | PrincipalKind::Service(name) => name,
            _ => self.arn.as_str(),
        }
    }

    /// `aws:PrincipalArn`: a role session's is the role's ARN. Services and the like have none.
    pub fn principal_arn(&self) -> Option<&Arn> {
        match self.kind {
            PrincipalKind::AssumedRole => self.role_arn.as_ref().or(Some(&self.arn)),
            PrincipalKind::FederatedUser | PrincipalKind::Root | PrincipalKind::User => {
                Some(&self.arn)
            }
            _ => None,
        }
    }

    /// `aws:PrincipalType`, as the table "request information that you can use for policy
    /// variables" has it.
    pub fn principal_type(&self) -> &'static str {
        match self.kind {
            PrincipalKind::Anonymous => "Anonymous",
            PrincipalKind::AssumedRole => "AssumedRole",
            PrincipalKind::Federated(_) => "FederatedUser",
            PrincipalKind::FederatedUser => "FederatedUser",
            PrincipalKind::Root => "Account",
            PrincipalKind::Service(_) => "Service",
            PrincipalKind::User => "User",
        }
    }

    /// `aws:username`: IAM users alone have one.
    pub fn user_name(&self) -> Option<&str> {
        match self.kind {
            PrincipalKind::User => self.arn.resource().rsplit('/').next(),
            _ => None,
        }
    }

    /// True for callers that belong to an account, so that identity policies and SCPs speak of them.
    pub fn has_account(&self) -> bool {
        matches!(
            self.kind,
            PrincipalKind::AssumedRole
                | PrincipalKind::FederatedUser
                | PrincipalKind::Root
                | PrincipalKind::User
        )
    }
}

/// An ARN for callers that have none of their own; only debug output shows it.
fn outside(name: &str) -> Arn {
    name.parse().unwrap_or_else(|_| Arn::build("iam", "", None, &format!("outside/{name}")))
}

/// The account field of callers without an account.
const NOBODY: AccountId = match AccountId::from_number(0) {
    Some(account) => account,
    None => unreachable!(),
};

/// The ways in which an Allow can name a caller; a set, because several statements may match. What
/// the grant survives depends on it ("Policy evaluation for requests within a single account").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Forms(u8);

impl Forms {
    pub(crate) const NONE: Forms = Forms(0);
    pub(crate) const ANYONE: Forms = Forms(1);
    pub(crate) const ACCOUNT: Forms = Forms(2);
    pub(crate) const USER: Forms = Forms(4);
    /// A role's ARN, or the user behind a federated user: boundary and session policies limit it.
    pub(crate) const ROLE: Forms = Forms(8);
    pub(crate) const SESSION: Forms = Forms(16);
    pub(crate) const SERVICE: Forms = Forms(32);
    pub(crate) const FEDERATED: Forms = Forms(64);

    pub(crate) fn with(self, other: Forms) -> Forms {
        Forms(self.0 | other.0)
    }

    pub(crate) fn has(self, other: Forms) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// One entry of a `Principal` or `NotPrincipal` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spec {
    Anyone,
    Account(AccountId),
    /// A user; once bound, only the unique id counts.
    User(Arn, Option<UniqueId>),
    /// A role and all of its sessions; once bound, only the unique id counts.
    Role(Arn, Option<UniqueId>),
    /// One role session or federated user.
    Session(Arn),
    /// What AWS shows in place of the ARN of something deleted.
    UniqueId(Box<str>),
    Service(Box<str>),
    Federated(Box<str>),
    Canonical(Box<str>),
}

impl Spec {
    /// Reads an entry under `AWS`.
    pub(crate) fn parse_aws(text: &str) -> Result<Spec, Problem> {
        let wrong = || {
            Problem::value(
                text,
                "a principal: an account id, `*`, or the full ARN of an account, user, role or session",
            )
        };
        if text == "*" {
            return Ok(Spec::Anyone);
        }
        if let Ok(account) = text.parse() {
            return Ok(Spec::Account(account));
        }
        if text.contains(['*', '?']) {
            let expected = "a principal: wildcards are allowed only as a lone `*`";
            return Err(Problem::value(text, expected));
        }
        if is_unique_id(text) {
            return Ok(Spec::UniqueId(text.into()));
        }
        let arn: Arn = text.parse().map_err(|_| wrong())?;
        let account = arn.account().filter(|_| arn.region().is_empty()).ok_or_else(wrong)?;
        let (head, tail) = arn.resource().split_once('/').unwrap_or((arn.resource(), ""));
        let named = !tail.is_empty() && !tail.ends_with('/');
        match (arn.service(), head) {
            ("iam", "root") if tail.is_empty() => Ok(Spec::Account(account)),
            ("iam", "user") if named => Ok(Spec::User(arn, None)),
            ("iam", "role") if named => Ok(Spec::Role(arn, None)),
            ("sts", "assumed-role") if named && tail.contains('/') => Ok(Spec::Session(arn)),
            ("sts", "federated-user") if named => Ok(Spec::Session(arn)),
            _ => Err(wrong()),
        }
    }

    /// Reads an entry under `Service`.
    pub(crate) fn parse_service(text: &str) -> Result<Spec, Problem> {
        let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if text.contains('.') && text.chars().all(host) {
            Ok(Spec::Service(text.into()))
        } else {
            Err(Problem::value(text, "a service principal such as `ec2.amazonaws.com`"))
        }
    }

    /// Reads an entry under `Federated`.
    pub(crate) fn parse_federated(text: &str) -> Result<Spec, Problem> {
        let wrong = || Problem::value(text, "a provider's ARN or a known provider's name");
        if text.contains(['*', '?']) || text.is_empty() {
            return Err(wrong());
        }
        if !text.starts_with("arn:") {
            let name = text.contains('.') && !text.contains(char::is_whitespace);
            return if name { Ok(Spec::Federated(text.into())) } else { Err(wrong()) };
        }
        let arn: Arn = text.parse().map_err(|_| wrong())?;
        let provider = arn.resource().starts_with("saml-provider/")
            || arn.resource().starts_with("oidc-provider/");
        if arn.service() == "iam" && provider {
            Ok(Spec::Federated(text.into()))
        } else {
            Err(wrong())
        }
    }

    /// Reads an entry under `CanonicalUser`.
    pub(crate) fn parse_canonical(text: &str) -> Result<Spec, Problem> {
        let hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if hex {
            Ok(Spec::Canonical(text.into()))
        } else {
            Err(Problem::value(text, "a canonical user id of 64 hexadecimal digits"))
        }
    }

    /// How this entry names `principal`, if it does.
    pub(crate) fn names(&self, principal: Option<&Principal>) -> Forms {
        if matches!(self, Spec::Anyone) {
            return Forms::ANYONE;
        }
        let Some(p) = principal else { return Forms::NONE };
        let when = |matches: bool, form: Forms| if matches { form } else { Forms::NONE };
        match (self, &p.kind) {
            (Spec::Account(account), _) => {
                when(p.has_account() && p.account == *account, Forms::ACCOUNT)
            }
            (Spec::Canonical(id), _) => {
                when(p.canonical_user_id.as_deref() == Some(&**id), Forms::ACCOUNT)
            }
            (Spec::User(arn, None), PrincipalKind::User) => when(p.arn == *arn, Forms::USER),
            (Spec::User(_, Some(id)), PrincipalKind::User) => {
                when(p.unique_id == id.as_str(), Forms::USER)
            }
            (Spec::User(arn, None), PrincipalKind::FederatedUser)
            | (Spec::Role(arn, None), PrincipalKind::AssumedRole) => {
                when(p.role_arn.as_ref() == Some(arn), Forms::ROLE)
            }
            (Spec::User(_, Some(id)), PrincipalKind::FederatedUser)
            | (Spec::Role(_, Some(id)), PrincipalKind::AssumedRole) => {
                when(p.role_unique_id.as_deref() == Some(id.as_str()), Forms::ROLE)
            }
            (Spec::Session(arn), PrincipalKind::AssumedRole | PrincipalKind::FederatedUser) => {
                when(p.arn == *arn, Forms::SESSION)
            }
            (Spec::UniqueId(id), PrincipalKind::User) => when(p.unique_id == **id, Forms::USER),
            (Spec::UniqueId(id), _) => {
                when(p.role_unique_id.as_deref() == Some(&**id), Forms::ROLE)
            }
            (Spec::Service(name), PrincipalKind::Service(caller)) => {
                when(caller == &**name, Forms::SERVICE)
            }
            (Spec::Federated(name), PrincipalKind::Federated(caller)) => {
                when(caller == &**name, Forms::FEDERATED)
            }
            _ => Forms::NONE,
        }
    }
}

fn is_unique_id(text: &str) -> bool {
    let prefixed = ["AIDA", "AROA"].iter().any(|prefix| text.starts_with(prefix));
    let body = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    prefixed && body && (16..=128).contains(&text.len())
}

/// True if a `NotPrincipal` list leaves this caller out of a **Deny**. The list must name the account
/// and each of user, role and session that the caller is; with an entry missing, the caller is
/// denied through it ("AWS JSON policy elements: NotPrincipal").
pub(crate) fn exempt_from_deny(list: &[Spec], principal: Option<&Principal>) -> bool {
    let forms = forms_of(list, principal);
    let Some(p) = principal else { return forms.has(Forms::ANYONE) };
    if forms.has(Forms::ANYONE) {
        return true;
    }
    match p.kind {
        PrincipalKind::Root => forms.has(Forms::ACCOUNT),
        PrincipalKind::User => forms.has(Forms::ACCOUNT) && forms.has(Forms::USER),
        PrincipalKind::AssumedRole => {
            let session = forms.has(Forms::SESSION) || p.session_name.is_none();
            forms.has(Forms::ACCOUNT) && forms.has(Forms::ROLE) && session
        }
        PrincipalKind::FederatedUser => forms.has(Forms::ACCOUNT) && forms.has(Forms::SESSION),
        _ => !forms.is_empty(),
    }
}

/// All ways in which the list names the caller.
pub(crate) fn forms_of(list: &[Spec], principal: Option<&Principal>) -> Forms {
    list.iter().fold(Forms::NONE, |forms, spec| forms.with(spec.names(principal)))
}
