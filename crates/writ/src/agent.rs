//! `writ agent …`: the process on a managed host. It has no supervisor and nothing of the control side.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Subcommand;
use writ_agent::EnrolArgs;
use writ_model::{Env, SystemEnv};

use crate::runner::RunnerCommand;

/// The subcommands.
#[derive(Subcommand)]
pub enum AgentCommand {
    /// Make this host's key and get its certificate from watch, once.
    Enroll {
        /// Where watch takes agents: `agents` in its DIR/ready.json.
        #[arg(long, value_name = "HOST:PORT")]
        watch: String,
        /// What `writ watch token HOST` printed.
        #[arg(long)]
        token: String,
        /// The agent's folder; it is made.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/writ-agent")]
        dir: PathBuf,
        /// A folder below which files may be reported, whatever watch signs; again for each
        /// [default: what an earlier enrolment said, or /var/log].
        #[arg(long, value_name = "FOLDER")]
        readable: Vec<PathBuf>,
    },
    /// Report to watch, in the foreground.
    Run {
        /// The folder that `writ agent enroll` made.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/writ-agent")]
        dir: PathBuf,
    },
    /// Say whether an agent runs here, whether it reaches watch, and how much waits.
    #[command(after_help = "Exit codes: 0 it runs; 1 it does not, or this is no agent's folder.")]
    Status {
        /// The folder that `writ agent enroll` made.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/writ-agent")]
        dir: PathBuf,
    },
    /// Runbooks.
    #[command(flatten)]
    Runbooks(RunnerCommand),
    /// Reads the host's sources for the agent that has started it.
    #[command(hide = true)]
    Reader {
        /// The agent's folder.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// Does nothing: the kernel's audit records that it was started.
    #[command(hide = true)]
    Canary {
        /// What the agent looks for.
        token: String,
    },
}

/// Does it.
#[expect(clippy::print_stdout, reason = "this is what the commands are for")]
pub fn run(command: AgentCommand) -> Result<ExitCode> {
    match command {
        AgentCommand::Enroll { watch, token, dir, readable } => {
            let host = writ_agent::enrol(
                &EnrolArgs { watch, token, dir: dir.clone(), readable },
                &SystemEnv,
            )?;
            println!(
                "This host is `{host}`. It reports what {0}/agent.toml says, which watch has signed.\n\
                 Start it: writ agent run --dir {0}\n\
                 Another configuration is signed at watch: writ watch configure {host} --file FILE --by NAME",
                dir.display()
            );
        }
        AgentCommand::Run { dir } => {
            crate::role::start_log();
            writ_agent::run(&dir, Arc::new(SystemEnv))?;
        }
        AgentCommand::Status { dir } => {
            let status = writ_agent::status(&dir)?;
            println!("host         {}", status.host);
            println!("watch        {}", status.watch);
            println!("configured   {} (signed by watch)", status.configuration);
            println!("agent        {}", if status.runs { "runs" } else { "DOES NOT RUN" });
            println!("connection   {}", status.connection.as_deref().unwrap_or("none"));
            println!("acknowledged {} frames", status.acknowledged);
            println!("spool        {} bytes", status.spool_bytes);
            return Ok(if status.runs { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        AgentCommand::Runbooks(command) => return crate::runner::run(command),
        AgentCommand::Reader { dir } => {
            crate::role::start_log();
            let env: Arc<dyn Env> = Arc::new(SystemEnv);
            writ_agent::read(&dir, &env)?;
        }
        AgentCommand::Canary { token: _ } => {}
    }
    Ok(ExitCode::SUCCESS)
}
