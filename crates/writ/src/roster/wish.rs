//! Changes as people write them: flags of a command, or keys of a TOML file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;
use writ_model::{AccountId, PersonId, Timestamp};
use writ_proof::access::SshRights;
use writ_proof::at_most::AtMost;
use writ_proof::roster::{
    Accounts, Admits, Approver, Attribute, Change, Enrolment, EnrolmentId, Group, Host, MemberId,
    Membership, PersonKey, RequestKind, Rights, Roster, Rule, Slot, Tier,
};
use writ_proof::sshsig::SshPublicKey;

/// A file with a change above this is refused.
const FILE_MAX_BYTES: u64 = 256 * 1024;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// A change that somebody wants.
#[derive(Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Wish {
    AddGroup(AddGroup),
    AddHost(AddHost),
    AddKey(KeyOf),
    AddMember(AddMember),
    EndEnrolment(Somebody),
    Enrol(Enrol),
    RemoveGroup(Named),
    RemoveHost(Named),
    RemoveKey(KeyOf),
    RemoveMember(MemberOf),
    SetOrigins(Origins),
    SetRule(SetRule),
}

/// A person.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Somebody {
    /// The person's id, as in the HR feed.
    #[arg(long, value_name = "PERSON")]
    person: PersonId,
}

/// A group or host.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name.
    name: String,
}

/// A person's key.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyOf {
    /// The person's id, as in the HR feed.
    #[arg(long, value_name = "PERSON")]
    person: PersonId,
    /// The public key: a .pub file, or for one of the roster its fingerprint SHA256:….
    #[arg(long, value_name = "FILE")]
    key: String,
}

/// A person with their first keys.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The person's id, as in the HR feed.
    #[arg(long, value_name = "PERSON")]
    person: PersonId,
    /// A public key, a .pub file; repeatable.
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
}

/// A person in a group.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberOf {
    /// The group.
    #[arg(long, value_name = "GROUP")]
    group: String,
    /// The person's id, as in the HR feed.
    #[arg(long, value_name = "PERSON")]
    person: PersonId,
}

/// A person in a group, and for how long.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddMember {
    #[command(flatten)]
    #[serde(flatten)]
    member: MemberOf,
    /// The membership ends after this many days.
    #[arg(long, value_name = "N", conflicts_with = "expires")]
    days: Option<u64>,
    /// The membership ends at this time, such as 2027-01-31T00:00:00Z. With neither it does not end,
    /// which only groups without rights take.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

/// A host.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddHost {
    /// Its name.
    name: String,
    /// Where its sshd listens: NAME or NAME:PORT.
    #[arg(long, value_name = "ADDRESS")]
    address: String,
    /// sshd's public key, /etc/ssh/ssh_host_ed25519_key.pub of the host.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A customer whose data it holds; repeatable. Without any, and without --no-customer-data, it counts
    /// as holding everybody's.
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "no_customer_data")]
    #[serde(default)]
    account: Vec<AccountId>,
    /// It holds no customer's data.
    #[arg(long)]
    #[serde(default, rename = "no-customer-data")]
    no_customer_data: bool,
}

/// A group.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AddGroup {
    /// Its name.
    name: String,
    /// What people call it.
    #[arg(long)]
    title: String,
    /// standard, sensitive or privileged.
    #[arg(long, default_value = "standard")]
    #[serde(default = "standard")]
    tier: String,
    /// A person who answers for it; repeatable, at least two.
    #[arg(long, value_name = "PERSON", required = true)]
    owner: Vec<PersonId>,
    /// Who must agree to a request: NAME:COUNT:FROM, where FROM is group:GROUP, owner, manager or
    /// customer; repeatable.
    #[arg(long, value_name = "SLOT")]
    #[serde(default)]
    slot: Vec<String>,
    /// A host, or several with `*`, on which members may ask for something; repeatable.
    #[arg(long, value_name = "PATTERN")]
    #[serde(default)]
    host: Vec<String>,
    /// A login role on these hosts; repeatable.
    #[arg(long, value_name = "USER")]
    #[serde(default)]
    login: Vec<String>,
    /// What members may ask for: ssh, runbook, credentials, playback, break-glass; repeatable. A group
    /// without any gives no rights; it can own and approve.
    #[arg(long, value_name = "KIND")]
    #[serde(default)]
    kind: Vec<String>,
    /// The longest grant, 1 to 8 hours.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[serde(default = "one")]
    max_hours: u32,
    /// No shell: only the commands and files that are named.
    #[arg(long)]
    #[serde(default)]
    no_shell: bool,
    /// A command that members may ask for, `*` standing for any characters; repeatable.
    #[arg(long, value_name = "PATTERN")]
    #[serde(default)]
    command: Vec<String>,
    /// Files that members may ask for: RIGHT,RIGHT:PATH, such as `ro:/var/log/`; repeatable. A path that
    /// ends in `/` means all below it.
    #[arg(long, value_name = "RULE")]
    #[serde(default)]
    file: Vec<String>,
    /// People whom the HR feed admits: ATTRIBUTE=VALUE or ATTRIBUTE=VALUE|VALUE; repeatable, all must hold.
    #[arg(long, value_name = "RULE")]
    #[serde(default)]
    admit: Vec<String>,
}

/// The pages of the installation.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origins {
    /// A page, such as `https://writ.example:8441`; repeatable. What is not named any more ends.
    #[arg(long, value_name = "URL")]
    #[serde(default)]
    origin: Vec<String>,
}

/// A rule for a kind of statement.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRule {
    /// The kind, such as roster@writ.
    kind: String,
    /// How many people must sign.
    #[arg(long, value_name = "N")]
    threshold: u32,
    /// The group of which they must be members; without it anybody who is enrolled.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Each with a hardware key.
    #[arg(long)]
    #[serde(default)]
    hardware: bool,
}

fn standard() -> String {
    Tier::Standard.as_str().to_owned()
}

fn one() -> u32 {
    1
}

/// Reads a change from a TOML file.
pub fn read(path: &Path) -> Result<Wish> {
    use std::io::Read as _;
    let shown = || format!("`{}` is no change of the roster", path.display());
    let file = std::fs::File::open(path).with_context(shown)?;
    let mut text = String::new();
    file.take(FILE_MAX_BYTES).read_to_string(&mut text).with_context(shown)?;
    toml::from_str(&text).with_context(shown)
}

impl Wish {
    /// The change, as it fits the roster now.
    pub fn change(self, roster: &Roster, now: Timestamp) -> Result<Change> {
        Ok(match self {
            Wish::AddGroup(wish) => Change::SetGroup(Box::new(wish.group()?)),
            Wish::AddHost(wish) => Change::SetHost(Box::new(wish.host(roster)?)),
            Wish::AddKey(KeyOf { person, key }) => {
                Change::AddKey(PersonKey { person, key: public(Path::new(&key))?, passkey: None })
            }
            Wish::AddMember(wish) => Change::AddMember(wish.membership(now)?),
            Wish::EndEnrolment(Somebody { person }) => {
                let number = roster.enrolment(&person);
                let number = number.with_context(|| format!("`{person}` is not enrolled"))?;
                Change::EndEnrolment(EnrolmentId { person, number })
            }
            Wish::Enrol(Enrol { person, key }) => {
                let keys = key.iter().map(|path| {
                    Ok(PersonKey { person: person.clone(), key: public(path)?, passkey: None })
                });
                let keys = AtMost(keys.collect::<Result<_>>()?);
                let number = roster.next_enrolment(&person);
                Change::Enrol(Enrolment { id: EnrolmentId { person, number }, keys })
            }
            Wish::RemoveGroup(Named { name }) => Change::RemoveGroup(name.parse()?),
            Wish::RemoveHost(Named { name }) => Change::RemoveHost(name.parse()?),
            Wish::RemoveKey(KeyOf { person, key }) => {
                Change::RemoveKey(held(roster, &person, &key)?)
            }
            Wish::RemoveMember(MemberOf { group, person }) => {
                Change::RemoveMember(MemberId { group: group.parse()?, person })
            }
            Wish::SetOrigins(Origins { origin }) => Change::SetOrigins(AtMost(origin)),
            Wish::SetRule(SetRule { kind, threshold, group, hardware }) => Change::SetRule(Rule {
                namespace: kind.parse()?,
                threshold,
                hardware,
                group: group.map(|group| group.parse()).transpose()?,
            }),
        })
    }
}

impl AddMember {
    fn membership(self, now: Timestamp) -> Result<Membership> {
        let MemberOf { group, person } = self.member;
        let expires = match (self.days, self.expires) {
            (Some(days), None) => {
                let length = days.checked_mul(DAY_MS).context("that many days are too many")?;
                Some(Timestamp::from_millis(now.millis().saturating_add(length)))
            }
            (None, Some(time)) => Some(Timestamp::parse_iso(&time)?),
            (None, None) => None,
            (Some(_), Some(_)) => bail!("give days or a time, not both"),
        };
        Ok(Membership { group: group.parse()?, person, expires })
    }
}

impl AddHost {
    fn host(self, roster: &Roster) -> Result<Host> {
        let accounts = match (self.account.is_empty(), self.no_customer_data) {
            (true, false) => Accounts::All,
            (true, true) => Accounts::Only(AtMost(Vec::new())),
            (false, false) => Accounts::Only(AtMost(self.account)),
            (false, true) => bail!("a host with accounts holds customers' data"),
        };
        let key = public(&self.key)?;
        if let Some(person) = roster.person(&key) {
            bail!("`{}` is the key of `{person}`: a host has one of its own", self.key.display());
        }
        Ok(Host { name: self.name.parse()?, address: self.address, key, accounts })
    }
}

impl AddGroup {
    fn group(self) -> Result<Group> {
        let tier = [Tier::Privileged, Tier::Sensitive, Tier::Standard];
        let tier = tier.into_iter().find(|tier| tier.as_str() == self.tier);
        let tier = tier.with_context(|| {
            format!("`{}` is no tier: standard, sensitive, privileged", self.tier)
        })?;
        let rights = match self.kind.is_empty() {
            true if !self.host.is_empty() || !self.login.is_empty() => {
                bail!("a group with hosts or login roles needs --kind, such as --kind ssh")
            }
            true => None,
            false => Some(Rights {
                hosts: AtMost(
                    self.host.iter().map(|text| Ok(text.parse()?)).collect::<Result<_>>()?,
                ),
                logins: AtMost(self.login),
                kinds: AtMost(self.kind.iter().map(|text| kind(text)).collect::<Result<_>>()?),
                max_hours: self.max_hours,
                ssh: match self.no_shell || !self.command.is_empty() || !self.file.is_empty() {
                    false => None,
                    true => Some(SshRights {
                        interactive: !self.no_shell,
                        commands: AtMost(self.command),
                        files: AtMost(
                            self.file
                                .iter()
                                .map(|text| Ok(text.parse()?))
                                .collect::<Result<_>>()?,
                        ),
                    }),
                },
            }),
        };
        let at_hosts = [RequestKind::Playback, RequestKind::Runbook, RequestKind::Ssh];
        if let Some(rights) = &rights
            && rights.hosts.0.is_empty()
            && let Some(kind) = rights.kinds.0.iter().find(|kind| at_hosts.contains(kind))
        {
            bail!("its right to ask for {} reaches no host: add --host PATTERN", kind.as_str());
        }
        let admits = match self.admit.is_empty() {
            true => None,
            false => {
                let all = self.admit.iter().map(|text| attribute(text)).collect::<Result<_>>()?;
                Some(Admits { all: AtMost(all) })
            }
        };
        Ok(Group {
            name: self.name.parse()?,
            title: self.title,
            tier,
            owners: AtMost(self.owner),
            rule: AtMost(self.slot.iter().map(|text| slot(text)).collect::<Result<_>>()?),
            rights,
            admits,
        })
    }
}

fn kind(text: &str) -> Result<RequestKind> {
    let found = RequestKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.with_context(|| {
        let known = RequestKind::ALL.map(RequestKind::as_str).join(", ");
        format!("`{text}` is nothing that can be asked for: {known}")
    })
}

fn slot(text: &str) -> Result<Slot> {
    let shape = || {
        format!(
            "`{text}` is no slot: write NAME:COUNT:FROM, such as security:2:group:founders, \
             owner:1:owner or manager:1:manager"
        )
    };
    let mut parts = text.splitn(3, ':');
    let (Some(name), Some(count), Some(from)) = (parts.next(), parts.next(), parts.next()) else {
        bail!(shape());
    };
    let from = match from.split_once(':') {
        Some(("group", group)) => Approver::Group(group.parse()?),
        None if from == "owner" => Approver::Owner,
        None if from == "manager" => Approver::ManagerOfRequester,
        None if from == "customer" => Approver::Customer,
        _ => bail!(shape()),
    };
    Ok(Slot { slot: name.parse()?, count: count.parse().with_context(shape)?, from })
}

fn attribute(text: &str) -> Result<Attribute> {
    let (name, values) = text
        .split_once('=')
        .with_context(|| format!("`{text}` is no rule: write ATTRIBUTE=VALUE|VALUE"))?;
    let any_of = AtMost(values.split('|').map(str::to_owned).collect());
    Ok(Attribute { name: name.to_owned(), any_of })
}

/// The public key of a `.pub` file.
fn public(path: &Path) -> Result<SshPublicKey> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the public key `{}` cannot be read", path.display()))?;
    if text.contains("PRIVATE KEY") {
        bail!("`{}` is a private key: name the .pub file beside it", path.display());
    }
    text.parse().with_context(|| format!("`{}` is no public key that is taken", path.display()))
}

/// A key that a person has, by file or fingerprint.
fn held(roster: &Roster, person: &PersonId, key: &str) -> Result<PersonKey> {
    let wanted = match key.starts_with("SHA256:") {
        true => key.to_owned(),
        false => public(Path::new(key))?.fingerprint(),
    };
    let mut keys = roster.keys(person).iter();
    let found = keys.find(|own| own.key.fingerprint() == wanted);
    found.cloned().with_context(|| format!("`{person}` does not have the key {wanted}"))
}
