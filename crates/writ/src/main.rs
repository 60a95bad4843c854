//! The `writ` binary: reads the command line and calls what does the work.

#![expect(
    unreachable_pub,
    reason = "a binary has no outside: here `pub` says what a module offers to the others"
)]

mod access;
mod agent;
mod cli;
mod enrol;
mod export;
mod front;
mod gate;
mod krl;
mod people;
mod play;
mod policy;
mod recover;
mod role;
mod roster;
mod runbook;
mod runner;
mod status;
mod tour;
mod up;
mod verify;
mod watch;
mod witness;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use cli::{Cli, Command, ConfigCommand, PolicyCommand};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("writ: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Up { data, listen, account, region } => {
            let overrides = up::config::Overrides { listen, regions: region, accounts: account };
            role::start_log();
            role::raise_descriptors();
            up::run(&data, &overrides, |ready| eprintln!("{}", status::banner(ready, &data)))?;
        }
        Command::Status { data } => return status::show(&data),
        Command::Verify(args) => return verify::run(&args),
        Command::Export(args) => export::run(&args)?,
        Command::Witness(args) => witness::run(&args)?,
        Command::People(args) => return people::run(&args),
        Command::Policy { command: PolicyCommand::Eval } => policy::eval()?,
        Command::Config { command: ConfigCommand::Check { path } } => status::check_config(&path)?,
        Command::Tour(args) => return tour::run(&args),
        Command::Recover(args) => recover::run(&args)?,
        Command::Enrol(args) => enrol::run(&args)?,
        Command::Ssh(args) => gate::ssh(&args)?,
        Command::Krl(args) => krl::run(&args)?,
        Command::Sessions(args) => gate::sessions(&args)?,
        Command::Play(args) => play::run(&args)?,
        Command::Request(args) => access::ask::run(&args)?,
        Command::Approve(args) => access::decide::approve(&args)?,
        Command::Deny(args) => access::decide::deny(&args)?,
        Command::Withdraw(args) => access::withdraw(&args)?,
        Command::Revoke(args) => access::revoke(&args)?,
        Command::Requests(args) => access::list::requests(&args)?,
        Command::Grants(args) => access::list::grants(&args)?,
        Command::Ticket { command } => access::ticket::run(&command)?,
        Command::Roster { command } => roster::run(command)?,
        Command::Run(args) => return runbook::run(&args),
        Command::Runs(args) => runbook::runs(&args)?,
        Command::Runbook { command } => runbook::command(&command)?,
        Command::Agent { command } => return agent::run(command),
        Command::Watch { command } => return watch::run(command),
        Command::Role { name, fd } => role::run(&name, &fd)?,
    }
    Ok(ExitCode::SUCCESS)
}
