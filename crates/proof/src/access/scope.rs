//! What can be asked for, and whether a group gives it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use writ_model::{AccountId, ParseError, Ulid};

use super::{REQUEST, refused};
use crate::at_most::AtMost;
use crate::error::Error;
use crate::limits;
use crate::roster::{Group, HostName, RequestKind, is_login, matches_pattern};
use crate::runbook::RunScope;
use crate::{cbor_enum, cbor_map};

/// What is asked for. Closed and exact: no patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One recording, to be read.
    Playback(PlaybackScope),
    /// Runs of a runbook, without a session.
    Runbook(RunScope),
    /// A session on hosts.
    Ssh(SshScope),
}
cbor_enum!(Scope { 0: Ssh(_), 1: Runbook(_), 3: Playback(_) });

/// One recording, to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaybackScope {
    /// The session that was recorded.
    pub session: Ulid,
    /// Where it was.
    pub host: HostName,
    /// The customers whose data it can show, as the recording says; absent if that is anybody's.
    pub accounts: Option<RecordedAccounts>,
}
cbor_map!(PlaybackScope { 1: session, 2: host, 3: opt accounts });

/// The customers whose data a recording can show.
pub type RecordedAccounts = AtMost<AccountId, { limits::RECORDING_MAX_ACCOUNTS }>;

/// A session on hosts. What is not named is not given; forwarding of ports, of agents and of X11 never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshScope {
    /// The hosts.
    pub hosts: AtMost<HostName, { limits::SCOPE_MAX_HOSTS }>,
    /// The login role on them.
    pub login: String,
    /// A shell, and with it any command.
    pub interactive: bool,
    /// Commands, each as a whole.
    pub commands: AtMost<String, { limits::SCOPE_MAX_ITEMS }>,
    /// Files over SFTP.
    pub files: AtMost<FileRule, { limits::SCOPE_MAX_ITEMS }>,
}
cbor_map!(SshScope { 1: hosts, 2: login, 3: interactive, 4: commands, 5: files });

/// What a group's members may ask for in a session on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshRights {
    /// A shell.
    pub interactive: bool,
    /// Commands; `*` stands for any characters.
    pub commands: AtMost<String, { limits::RIGHTS_MAX_ITEMS }>,
    /// Files over SFTP.
    pub files: AtMost<FileRule, { limits::RIGHTS_MAX_ITEMS }>,
}
cbor_map!(SshRights { 1: interactive, 2: commands, 3: files });

impl SshRights {
    /// What a group gives that says nothing of it: a shell, and no files.
    pub const fn shell() -> SshRights {
        SshRights { interactive: true, commands: AtMost(Vec::new()), files: AtMost(Vec::new()) }
    }
}

/// What may be done with a file, or with all below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRule {
    /// What may be done.
    pub rights: AtMost<FileRight, 9>,
    /// An absolute path; one that ends in `/` means all below it.
    pub path: String,
}
cbor_map!(FileRule { 1: rights, 2: path });

/// One thing that SFTP does with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileRight {
    /// Make a link.
    Link,
    /// List a folder.
    List,
    /// Make a folder.
    Mkdir,
    /// Read a file.
    Read,
    /// Remove a file or an empty folder.
    Remove,
    /// Rename.
    Rename,
    /// Change owner, mode and times.
    Setattr,
    /// See attributes.
    Stat,
    /// Write a file.
    Write,
}
cbor_enum!(FileRight {
    0: Read,
    1: Write,
    2: List,
    3: Stat,
    4: Remove,
    5: Rename,
    6: Mkdir,
    7: Setattr,
    8: Link,
});

impl FileRight {
    /// All of them.
    pub const ALL: [FileRight; 9] = [
        FileRight::Link,
        FileRight::List,
        FileRight::Mkdir,
        FileRight::Read,
        FileRight::Remove,
        FileRight::Rename,
        FileRight::Setattr,
        FileRight::Stat,
        FileRight::Write,
    ];

    /// The name in files and listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            FileRight::Link => "link",
            FileRight::List => "list",
            FileRight::Mkdir => "mkdir",
            FileRight::Read => "read",
            FileRight::Remove => "remove",
            FileRight::Rename => "rename",
            FileRight::Setattr => "setattr",
            FileRight::Stat => "stat",
            FileRight::Write => "write",
        }
    }
}

impl FileRule {
    /// True if this gives everything that `other` gives.
    pub fn covers(&self, other: &FileRule) -> bool {
        let path = match self.path.strip_suffix('/') {
            Some(folder) => {
                let rest = other.path.strip_prefix(folder);
                rest.is_some_and(|rest| rest.starts_with('/'))
            }
            None => self.path == other.path,
        };
        path && other.rights.0.iter().all(|right| self.rights.0.contains(right))
    }

    /// Fails unless it makes sense by itself.
    pub fn check(&self) -> Result<(), &'static str> {
        let unique: BTreeSet<_> = self.rights.0.iter().collect();
        if unique.is_empty() || unique.len() != self.rights.0.len() {
            return Err("a rule for files names no right, or one twice");
        }
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let inner = self.path.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let fits = inner.is_some_and(|inner| inner.is_empty() || inner.split('/').all(plain));
        if !fits || self.path.len() > limits::SCOPE_PATH_MAX_BYTES || hides(&self.path) {
            return Err("a path is not absolute and plain, such as `/var/log/` or `/etc/hosts`");
        }
        Ok(())
    }
}

impl FromStr for FileRule {
    type Err = ParseError;

    /// Reads `RIGHT,RIGHT:PATH`, such as `read,list:/var/log/`. `ro` stands for read, list and stat, `rw` for
    /// everything but links.
    fn from_str(text: &str) -> Result<FileRule, ParseError> {
        let error = || {
            let expected = "a rule for files: RIGHT,RIGHT:PATH with rights of read, write, list, stat, \
                            remove, rename, mkdir, setattr, link, or ro or rw, and an absolute path";
            ParseError::new(text, expected)
        };
        let (rights, path) = text.split_once(':').ok_or_else(error)?;
        let mut all = BTreeSet::new();
        for word in rights.split(',') {
            match word {
                "ro" => all.extend([FileRight::List, FileRight::Read, FileRight::Stat]),
                "rw" => all.extend(FileRight::ALL.into_iter().filter(|r| *r != FileRight::Link)),
                word => {
                    let right = FileRight::ALL.into_iter().find(|right| right.as_str() == word);
                    all.insert(right.ok_or_else(error)?);
                }
            }
        }
        let rule = FileRule { rights: AtMost(all.into_iter().collect()), path: path.to_owned() };
        rule.check().map_err(|_| error())?;
        Ok(rule)
    }
}

impl fmt::Display for FileRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rights: Vec<&str> = self.rights.0.iter().map(|right| right.as_str()).collect();
        write!(f, "{}:{}", rights.join(","), self.path)
    }
}

impl Scope {
    /// The kind of request.
    pub fn kind(&self) -> RequestKind {
        match self {
            Scope::Playback(_) => RequestKind::Playback,
            Scope::Runbook(_) => RequestKind::Runbook,
            Scope::Ssh(_) => RequestKind::Ssh,
        }
    }

    /// The runbook that is asked for, if it is one.
    pub fn runbook(&self) -> Option<&RunScope> {
        match self {
            Scope::Runbook(scope) => Some(scope),
            Scope::Playback(_) | Scope::Ssh(_) => None,
        }
    }

    /// The hosts that it names.
    pub fn hosts(&self) -> &[HostName] {
        match self {
            Scope::Playback(scope) => std::slice::from_ref(&scope.host),
            Scope::Runbook(scope) => &scope.hosts.0,
            Scope::Ssh(scope) => &scope.hosts.0,
        }
    }

    /// The scope, if it is of a session on hosts.
    pub fn ssh(&self) -> Option<&SshScope> {
        match self {
            Scope::Ssh(scope) => Some(scope),
            Scope::Playback(_) | Scope::Runbook(_) => None,
        }
    }

    /// Fails unless it makes sense by itself.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self {
            Scope::Playback(scope) => scope.check().or_else(|why| refused(REQUEST, why)),
            Scope::Runbook(scope) => scope.check().or_else(|why| refused(REQUEST, why)),
            Scope::Ssh(scope) => scope.check().or_else(|why| refused(REQUEST, why)),
        }
    }

    /// Fails unless the group's members may ask for all of it.
    pub(super) fn within(&self, group: &Group) -> Result<(), Error> {
        let no = |why: String| refused(REQUEST, format!("the group `{}` {why}", group.name));
        let Some(rights) = &group.rights else {
            return no("gives no rights".to_owned());
        };
        if !rights.kinds.0.contains(&self.kind()) {
            return no(format!("does not give `{}`", self.kind().as_str()));
        }
        for host in self.hosts() {
            if !rights.hosts.0.iter().any(|pattern| pattern.matches(host)) {
                return no(format!("does not reach the host `{host}`"));
            }
        }
        match self {
            Scope::Playback(_) => Ok(()),
            // Its entry names the group.
            Scope::Runbook(_) => Ok(()),
            Scope::Ssh(scope) => {
                if !rights.logins.0.contains(&scope.login) {
                    return no(format!("does not give the login role `{}`", scope.login));
                }
                let shell = SshRights::shell();
                scope.within(rights.ssh.as_ref().unwrap_or(&shell)).or_else(no)
            }
        }
    }
}

impl PlaybackScope {
    fn check(&self) -> Result<(), &'static str> {
        let Some(accounts) = &self.accounts else { return Ok(()) };
        let ordered = accounts.0.iter().zip(accounts.0.iter().skip(1)).all(|(a, b)| a < b);
        if ordered { Ok(()) } else { Err("its accounts are not in order, or one is there twice") }
    }
}

impl SshScope {
    /// Of what is no session on hosts.
    pub const fn nothing() -> SshScope {
        SshScope {
            hosts: AtMost(Vec::new()),
            login: String::new(),
            interactive: false,
            commands: AtMost(Vec::new()),
            files: AtMost(Vec::new()),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let unique: BTreeSet<_> = self.hosts.0.iter().collect();
        if unique.is_empty() || unique.len() != self.hosts.0.len() {
            return Err("it names no host, or one twice");
        }
        if !is_login(&self.login) {
            return Err("its login role is no user name of a host");
        }
        if !self.interactive && self.commands.0.is_empty() && self.files.0.is_empty() {
            return Err("it asks for nothing: a shell, commands or files");
        }
        let fits = |command: &String| {
            !command.is_empty()
                && command.len() <= limits::SCOPE_COMMAND_MAX_BYTES
                && !hides(command)
        };
        if !self.commands.0.iter().all(fits) {
            return Err("a command is empty, too long, or has characters that do not show");
        }
        self.files.0.iter().try_for_each(FileRule::check)
    }

    fn within(&self, rights: &SshRights) -> Result<(), String> {
        if self.interactive && !rights.interactive {
            return Err("gives no shell".to_owned());
        }
        for command in &self.commands.0 {
            let given = rights.commands.0.iter().any(|known| matches_pattern(known, command));
            // Who has a shell runs what they like in it.
            if !given && !rights.interactive {
                return Err(format!("does not give the command `{command}`"));
            }
        }
        for file in &self.files.0 {
            if !rights.files.0.iter().any(|known| known.covers(file)) {
                return Err(format!("does not give these rights on `{}`", file.path));
            }
        }
        Ok(())
    }
}

/// True if a text holds what a terminal or a page does not show as it is: control characters, and those
/// that turn the direction of what follows or take no room (Unicode TR36, section 2.5).
pub(crate) fn hides(text: &str) -> bool {
    text.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    })
}
