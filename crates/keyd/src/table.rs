//! Who may send what: the whole of it. What is not here is refused and recorded.

use writ_keyd_client::protocol::{Command, Role};

/// A command without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandKind {
    Hello,
    Status,
    Authenticate,
    IssueCredential,
    CreateAccount,
    Seal,
    Present,
    Use,
    End,
    Chunks,
    Load,
    Beat,
    Tick,
    Checkpoint,
    Ack,
}

impl CommandKind {
    /// The kind of a command.
    pub(crate) fn of(command: &Command) -> CommandKind {
        match command {
            Command::Hello(_) => CommandKind::Hello,
            Command::Status => CommandKind::Status,
            Command::Authenticate(_) => CommandKind::Authenticate,
            Command::IssueCredential(_) => CommandKind::IssueCredential,
            Command::CreateAccount(_) => CommandKind::CreateAccount,
            Command::Seal(_) => CommandKind::Seal,
            Command::Present(_) => CommandKind::Present,
            Command::Use(_) => CommandKind::Use,
            Command::End(_) => CommandKind::End,
            Command::Chunks(_) => CommandKind::Chunks,
            Command::Load(_) => CommandKind::Load,
            Command::Beat(_) => CommandKind::Beat,
            Command::Tick => CommandKind::Tick,
            Command::Checkpoint(_) => CommandKind::Checkpoint,
            Command::Ack(_) => CommandKind::Ack,
        }
    }

    /// The name in records and refusals.
    pub(crate) fn name(self) -> &'static str {
        match self {
            CommandKind::Hello => "hello",
            CommandKind::Status => "status",
            CommandKind::Authenticate => "authenticate",
            CommandKind::IssueCredential => "issue-credential",
            CommandKind::CreateAccount => "create-account",
            CommandKind::Seal => "seal",
            CommandKind::Present => "present",
            CommandKind::Use => "use",
            CommandKind::End => "end",
            CommandKind::Chunks => "chunks",
            CommandKind::Load => "load",
            CommandKind::Beat => "beat",
            CommandKind::Tick => "tick",
            CommandKind::Checkpoint => "checkpoint",
            CommandKind::Ack => "ack",
        }
    }

    /// The roles that may send it.
    pub(crate) fn senders(self) -> &'static [Role] {
        const ALL: &[Role] = &[Role::Front, Role::S3, Role::Supervisor, Role::Trail];
        match self {
            CommandKind::Hello | CommandKind::Status => ALL,
            CommandKind::Authenticate => &[Role::Front, Role::S3],
            CommandKind::Chunks => &[Role::S3],
            CommandKind::Checkpoint | CommandKind::Ack => &[Role::Trail],
            CommandKind::IssueCredential
            | CommandKind::CreateAccount
            | CommandKind::Seal
            | CommandKind::Present
            | CommandKind::Use
            | CommandKind::End
            | CommandKind::Load
            | CommandKind::Beat
            | CommandKind::Tick => &[Role::Front],
        }
    }
}

/// True if the table has this pair.
pub(crate) fn allows(role: Role, command: CommandKind) -> bool {
    command.senders().contains(&role)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 6] =
        [Role::Front, Role::Keyd, Role::S3, Role::Supervisor, Role::Trail, Role::Watch];

    #[test]
    fn table_is_exactly_this() {
        // One line a command, one column a role in the order of ROLES.
        let expected = [
            (CommandKind::Hello, "f.sut."),
            (CommandKind::Status, "f.sut."),
            (CommandKind::Authenticate, "f.s..."),
            (CommandKind::IssueCredential, "f....."),
            (CommandKind::CreateAccount, "f....."),
            (CommandKind::Seal, "f....."),
            (CommandKind::Present, "f....."),
            (CommandKind::Use, "f....."),
            (CommandKind::End, "f....."),
            (CommandKind::Chunks, "..s..."),
            (CommandKind::Load, "f....."),
            (CommandKind::Beat, "f....."),
            (CommandKind::Tick, "f....."),
            (CommandKind::Checkpoint, "....t."),
            (CommandKind::Ack, "....t."),
        ];
        for (command, row) in expected {
            for (role, mark) in ROLES.into_iter().zip(row.chars()) {
                assert_eq!(allows(role, command), mark != '.', "{role:?} {}", command.name());
            }
        }
    }
}
