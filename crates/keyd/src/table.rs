//! Who may send what: the whole of it. What is not here is refused and recorded.

use writ_keyd_client::protocol::{Command, Role};

const ALL: &[Role] = &[Role::Bastion, Role::Front, Role::S3, Role::Supervisor, Role::Trail];
const FRONT: &[Role] = &[Role::Front];

/// A command's name in records and refusals, and the roles that may send it.
pub(crate) fn senders(command: &Command) -> (&'static str, &'static [Role]) {
    match command {
        Command::Ack(_) => ("ack", &[Role::Trail]),
        Command::Authenticate(_) => ("authenticate", &[Role::Front, Role::S3]),
        Command::Beat(_) => ("beat", FRONT),
        Command::Checkpoint(_) => ("checkpoint", &[Role::Trail]),
        Command::Chunks(_) => ("chunks", &[Role::S3]),
        Command::Cosign(_) => ("cosign", &[Role::Trail]),
        Command::CreateAccount(_) => ("create-account", FRONT),
        Command::End(_) => ("end", FRONT),
        Command::Hello(_) => ("hello", ALL),
        Command::IssueCredential(_) => ("issue-credential", FRONT),
        Command::Load(_) => ("load", FRONT),
        Command::NewRecording(_) => ("new-recording", &[Role::Bastion]),
        Command::OpenRecording(_) => ("open-recording", FRONT),
        Command::Present(_) => ("present", FRONT),
        Command::Roster(_) => ("roster", FRONT),
        Command::RunOrder(_) => ("run_order", FRONT),
        Command::Seal(_) => ("seal", FRONT),
        Command::SignKrl => ("krl_sign", FRONT),
        Command::SignRecording(_) => ("sign-recording", &[Role::Bastion]),
        Command::SshSign(_) => ("ssh_sign", &[Role::Bastion]),
        Command::Status => ("status", ALL),
        Command::Tick => ("tick", FRONT),
        Command::Use(_) => ("use", FRONT),
    }
}
