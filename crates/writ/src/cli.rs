//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use writ_model::{AccountId, Region};

/// Writ: a security control plane that takes away the operators' technical means to reach
/// customers' data, and gives the customer proof.
#[derive(Parser)]
#[command(name = "writ", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  writ tour                                       see it work, in under a minute
  writ up --data ./writ-data --account 123456789012
  AWS_CONFIG_FILE=./writ-data/config AWS_SHARED_CREDENTIALS_FILE=./writ-data/credentials \\
    aws --profile 123456789012 sts get-caller-identity
  writ verify --data ./writ-data --genesis SHA256";

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    /// Run everything in the foreground, as separate processes under one supervisor.
    #[command(
        after_help = "Example:\n  writ up --data ./writ-data --account 123456789012 --listen 127.0.0.1:8440\n\n\
        DIR/ready.json appears when everything serves; DIR/config and DIR/credentials are for the AWS CLI.\n\
        Ctrl-C or SIGTERM stops all processes in order."
    )]
    Up {
        /// The data directory; it is made if it does not exist, and used again by later starts.
        #[arg(long, value_name = "DIR", default_value = "writ-data")]
        data: PathBuf,
        /// Where IAM, STS, KMS and CloudTrail are served; loopback only, port 0 takes a free one. Like
        /// --region it is kept by the first start; then writ.toml is the place.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
        /// A customer account to create if it does not exist (mode dev); repeatable.
        #[arg(long, value_name = "ACCOUNT")]
        account: Vec<AccountId>,
        /// A region to serve; repeatable, the first is home.
        #[arg(long, value_name = "REGION")]
        region: Vec<Region>,
    },
    /// Say what runs, in which mode, and which promises this mode cannot keep.
    #[command(after_help = "Example:\n  writ status --data ./writ-data\n\n\
        Exit codes: 0 everything runs; 1 nothing serves, or a process is being restarted.")]
    Status {
        /// The data directory of a running `writ up`.
        #[arg(long, value_name = "DIR", default_value = "writ-data")]
        data: PathBuf,
    },
    /// Check the ledger offline with public keys and witnesses alone.
    #[command(after_help = VERIFY_HELP)]
    Verify(crate::verify::VerifyArgs),
    /// Write one account's history into a file that its owner can verify anywhere.
    #[command(after_help = EXPORT_HELP)]
    Export(crate::export::ExportArgs),
    /// Run a witness: it cosigns checkpoints that extend the last one it saw.
    #[command(
        after_help = "Example:\n  writ witness --data ./my-witness --name example.org/witness \\\n      \
        --listen 127.0.0.1:8450\n\n\
        It prints the verifier key to put under [[witness]] in writ.toml."
    )]
    Witness(crate::witness::WitnessArgs),
    /// Mend a damaged log of the ledger from watch's copy; `writ up` must be stopped.
    #[command(after_help = "Example:\n  writ recover --data ./writ-data\n\n\
        A log that reads whole is left alone. What was acknowledged and is in neither copy is named, and \
        given up only with --accept-loss.")]
    Recover(crate::recover::RecoverArgs),
    /// List the persons of the operating side, or check an HR feed.
    #[command(after_help = "Examples:\n  writ people --data ./writ-data\n  \
        writ people show p1 --data ./writ-data\n  writ people check ./feed.csv\n\n\
        Lists are for enrolled persons: each read is signed with --key and recorded.")]
    People(crate::people::PeopleArgs),
    /// Work with policies offline.
    Policy {
        /// What to do with them.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Work with the configuration.
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Give a person keys: a passkey in the browser, an SSH key, or both.
    Enrol(crate::enrol::EnrolArgs),
    /// Ask for access: make a request, sign it, file it.
    #[command(after_help = REQUEST_HELP)]
    Request(crate::access::ask::RequestArgs),
    /// Agree to a request, with your own key.
    #[command(after_help = APPROVE_HELP)]
    Approve(crate::access::decide::ApproveArgs),
    /// Say no to a request; that is final.
    #[command(
        after_help = "Example:\n  writ deny 01JD8Z3X5QJ6T4W0RZV9K2M7AB --key ~/.ssh/id_writ_sk"
    )]
    Deny(crate::access::decide::DenyArgs),
    /// Take a pending request of your own back.
    #[command(
        after_help = "Example:\n  writ withdraw 01JD8Z3X5QJ6T4W0RZV9K2M7AB --key ~/.ssh/id_writ_sk"
    )]
    Withdraw(crate::access::IdArgs),
    /// End a grant at once; any enrolled person may.
    #[command(
        after_help = "Example:\n  writ revoke 01JD8Z3X5QJ6T4W0RZV9K2M7AB --key ~/.ssh/id_writ_sk"
    )]
    Revoke(crate::access::IdArgs),
    /// List the requests that wait for you, or others.
    #[command(
        after_help = "Examples:\n  writ requests --key ~/.ssh/id_writ_sk\n  writ requests --all --data ./writ-data"
    )]
    Requests(crate::access::list::RequestsArgs),
    /// List grants, or write the evidence of one into a file.
    #[command(after_help = "Examples:\n  writ grants --all --data ./writ-data\n  \
        writ grants 01JD8Z3X5QJ6T4W0RZV9K2M7AB --bundle ./evidence.tar --key ~/.ssh/id_writ_sk")]
    Grants(crate::access::list::GrantsArgs),
    /// Log in to a host, through the bastion and with the stock `ssh`.
    #[command(after_help = "Examples:\n  writ ssh svc@web-1 --key ~/.ssh/id_writ_sk\n  \
        writ ssh svc@web-1 -- systemctl status nginx")]
    Ssh(crate::gate::SshArgs),
    /// Bring the list of revoked certificates to a host's sshd, verified.
    #[command(after_help = KRL_HELP)]
    Krl(crate::krl::KrlArgs),
    /// List operators' sessions, from the ledger.
    #[command(
        after_help = "Example:\n  writ sessions --request 01JD8Z3X5QJ6T4W0RZV9K2M7AB --data ./writ-data"
    )]
    Sessions(crate::gate::SessionsArgs),
    /// Play, export or list what was recorded of a session; others must have approved that you read it.
    #[command(after_help = PLAY_HELP)]
    Play(crate::play::PlayArgs),
    /// Let hosts do something without entering them: ask for a runbook, wait for the approval, print the answer.
    #[command(after_help = RUN_HELP)]
    Run(crate::runbook::RunArgs),
    /// List runs of runbooks.
    Runs(crate::runbook::RunsArgs),
    /// Make, sign, publish, list and withdraw the runbooks of the catalogue.
    Runbook {
        /// What to do.
        #[command(subcommand)]
        command: crate::runbook::RunbookCommand,
    },
    /// Open, close and list the tickets that requests name.
    Ticket {
        /// What to do.
        #[command(subcommand)]
        command: crate::access::ticket::TicketCommand,
    },
    /// Say who may do what, and make, sign and send in the statements that change it.
    Roster {
        /// What to do.
        #[command(subcommand)]
        command: crate::roster::RosterCommand,
    },
    /// Run the agent of a managed host: it reports to watch what happens there.
    #[command(after_help = AGENT_HELP)]
    Agent {
        /// What to do.
        #[command(subcommand)]
        command: crate::agent::AgentCommand,
    },
    /// Ask watch: alarms, hosts, tokens for agents. For the security organisation, on watch's own machine.
    #[command(after_help = WATCH_HELP)]
    Watch {
        /// What to do.
        #[command(subcommand)]
        command: crate::watch::WatchCommand,
    },
    /// Show the main job end to end, with attacks, on a temporary directory.
    Tour(crate::tour::TourArgs),
    /// One process of `writ up`; only the supervisor calls this.
    #[command(hide = true)]
    Role {
        /// Which one.
        name: String,
        /// Inherited descriptors, NAME=NUMBER.
        #[arg(long)]
        fd: Vec<String>,
    },
}

/// `writ policy …`.
#[derive(Subcommand)]
pub enum PolicyCommand {
    /// Decide cases: one JSON case a line on standard input, one decision a line on standard output.
    #[command(
        after_help = "Example, one line of standard input broken as a shell may break it:\n  \
        printf '%s' '{\"id\":1,\"principal\":\"arn:aws:iam::123456789012:user/ann\",' \\\n    \
        '\"action\":\"s3:GetObject\",\"resource\":\"arn:aws:s3:::b/k\",' \\\n    \
        '\"identity\":[{\"Version\":\"2012-10-17\",\"Statement\":' \\\n    \
        '{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}]}' | writ policy eval"
    )]
    Eval,
}

/// `writ config …`.
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Say whether a writ.toml is sound.
    Check {
        /// The file, or a data directory that holds it.
        path: PathBuf,
    },
}

const REQUEST_HELP: &str = "\
Examples:
  writ request --group support --host web-1 --login svc --ticket OPS-17 \\
      --reason 'the disk is full' --for 45m --key ~/.ssh/id_writ_sk
  writ request --group support --host web-1 --login svc --ticket OPS-17 \\
      --reason 'read the logs' --file ro:/var/log/ \\
      --command 'systemctl status nginx' --key ~/.ssh/id_writ_sk

It is printed before it is signed, with whose data it can lead to and who must agree. Approvers \
see the same code. It never changes: to ask for something else, or for longer, is a new request.";

const RUN_HELP: &str = "\
Examples:
  writ run disk-usage --host web-1 --param mount=root --ticket OPS-17 \\
      --reason 'is it full?' --key ~/.ssh/id_writ_sk
  writ run service-restart --host web-1 --param service=nginx --ticket OPS-17 \\
      --reason 'it hangs' --key ~/.ssh/id_writ_sk --json

Go on with a request that was filed before:
  writ run service-restart --request 01JD8Z3X5QJ6T4W0RZV9K2M7AB --key ~/.ssh/id_writ_sk

It waits while people approve, and runs once on each host. Nobody comes to the host; only the \
typed values that the catalogue names come back (`writ runbook show NAME`). Ctrl-C while it waits: \
nothing is run.
Exit codes: 0 every run is ok; 1 one is not, or it was refused.";

const PLAY_HELP: &str = "\
Examples:
  writ sessions                                          what there is
  writ request --group review --playback 01JD8Z3X5QJ6T4W0RZV9K2M7AB --ticket OPS-17 \\
      --basis review --reason 'what was changed' --key ~/.ssh/id_writ_sk
  writ play 01JD8Z3X5QJ6T4W0RZV9K2M7AB --speed 4 --idle-limit 2 --key ~/.ssh/id_writ_sk
  writ play 01JD8Z3X5QJ6T4W0RZV9K2M7AB --list            who ran what, and which files went where
  writ play 01JD8Z3X5QJ6T4W0RZV9K2M7AB --export ./session.cast

Each opening is signed with your key and told in the ledger, and to the customers whose data it \
can show. Nothing is shown before the recording has been verified. What was typed is shown with \
--input alone: it may hold passwords.";

const APPROVE_HELP: &str = "\
Examples:
  writ requests --key ~/.ssh/id_writ_sk                  what waits for you
  writ approve 01JD8Z3X5QJ6T4W0RZV9K2M7AB --check        what you would sign
  writ approve 01JD8Z3X5QJ6T4W0RZV9K2M7AB --for 30m --key ~/.ssh/id_writ_sk

Compare the code with the requester before you sign: by voice, or over another channel than the \
request came by.
A key on a token is touched twice: to ask for the request, and to sign.";

const AGENT_HELP: &str = "\
Examples:
  writ watch token web-1 --data ./writ-data           on watch's machine: prints a token, good for an hour
  writ agent enroll --watch 192.0.2.7:8460 --token TOKEN --dir /var/lib/writ-agent
  writ agent run --dir /var/lib/writ-agent            in the foreground; SIGTERM ends it in order
  writ agent status --dir /var/lib/writ-agent

DIR/agent.toml, if there is one, says what is reported when the host is enrolled; later `writ watch configure` does. A stop without a window (`writ watch window`) raises an alarm.";

const WATCH_HELP: &str = "\
Examples:
  writ watch alarms --data ./writ-data                what is open, newest first
  writ watch ack 17 --by ann --data ./writ-data       alarm 17 is taken note of, by ann
  writ watch hosts --data ./writ-data
  writ watch window web-1 --minutes 30 --by ann       its agent may stop for half an hour
  writ watch health web-1                             exit code 0 only if its agent is heard

Exit codes: 0 done (health: healthy); 1 refused or not reachable; 3 health: not watched.";

const EXPORT_HELP: &str = "\
Example:
  writ export --account 123456789012 --data ./writ-data --out ./123456789012.writ
  writ verify --bundle ./123456789012.writ --account 123456789012 --genesis SHA256

The file holds the account's own records and, of everything else, hashes. The directory may be in use;
it is only read. The file is verified before it gets its name.";

const KRL_HELP: &str = "Examples:
  writ krl --endpoint https://writ.example:8440 --ca ./ca.pem --genesis SHA256 \\
      --out /etc/ssh/writ.krl
  writ krl --out /etc/ssh/writ.krl --check

Run it each minute on each managed host (cron, a systemd timer), and name the file under RevokedKeys in sshd_config once \
it is there: sshd refuses every login while it is missing. An older list than the one that is there, one that keyd did not sign and \
one that is older than --max-age are refused, and the old one stays. --check fetches nothing and fails when the list is too old.";

const VERIFY_HELP: &str = "\
Examples:
  writ verify --data ./writ-data --genesis SHA256
  writ verify --bundle ./123456789012.writ --account 123456789012 --genesis SHA256

What was seen is remembered, and whatever is older or another history is refused the next time.

SHA256 is what the provider handed to you, by a way of its own. Without it, and without an earlier
verification that had it, nothing says whose ledger this is: exit code 3.

Exit codes: 0 all holds; 2 wrong usage; 3 consistent, but genesis not compared; 10 genesis or
roster; 11 checkpoint signature; 12 witnesses; 13 consistency with what was seen before; 14 tiles
or leaves; 15 records; 16 commits (rev, ordinal, count); 17 key uses; 18 forward access; 19
freshness; 20 files missing or unreadable; 21 recordings; 22 host log; 23 runbooks.";
