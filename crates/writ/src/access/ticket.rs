//! `writ ticket`: the tickets that Writ itself keeps.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};
use writ_console::caller::CALL;
use writ_store::state::Ticket;

use super::{WhoArgs, read};
use crate::front::access::api::TICKETS;
use crate::front::access::show::Listed;

/// `writ ticket …`.
#[derive(Subcommand)]
pub enum TicketCommand {
    /// Open a ticket; its id is never used again.
    #[command(
        after_help = "Example:\n  writ ticket open OPS-17 'The disk of web-1 is full' --key ~/.ssh/id_writ_sk"
    )]
    Open {
        /// Its id, such as OPS-17.
        id: String,
        /// What it is about.
        title: String,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// Close a ticket; requests and grants that name it end at once.
    #[command(after_help = "Example:\n  writ ticket close OPS-17 --key ~/.ssh/id_writ_sk")]
    Close {
        /// Its id.
        id: String,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// List tickets.
    #[command(after_help = "Example:\n  writ ticket list --data ./writ-data")]
    List {
        /// Only what comes before this id, the `next` of the page before.
        #[arg(long, value_name = "ID")]
        before: Option<String>,
        #[command(flatten)]
        who: WhoArgs,
    },
}

/// Does what the command line says.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn run(command: &TicketCommand) -> Result<()> {
    match command {
        TicketCommand::Open { id, title, who } => {
            let body = json!({ "id": id, "title": title }).to_string();
            who.call(CALL, "POST", TICKETS, body.as_bytes())?;
            println!("{id} is open: `writ request --ticket {id}` may name it");
        }
        TicketCommand::Close { id, who } => {
            let reply = who.call(CALL, "POST", &format!("{TICKETS}/{id}/close"), b"")?;
            let reply: Value = super::json(&reply)?;
            let ended = reply.get("ended").and_then(Value::as_u64).unwrap_or_default();
            println!("{id} is closed; requests and grants that ended with it: {ended}");
        }
        TicketCommand::List { before, who } => {
            let before = before.as_ref().map_or(String::new(), |id| format!("?before={id}"));
            let listed: Listed<Ticket> = read(who, &format!("{TICKETS}{before}"))?;
            if listed.items.is_empty() {
                println!("there are no tickets; `writ ticket open` makes one");
            }
            for ticket in &listed.items {
                let state = match &ticket.closed {
                    None => "open".to_owned(),
                    Some(end) => format!("closed {} by {}", end.at.iso(), end.by),
                };
                println!("{:<16} {:<8} {}", ticket.id, state, ticket.title);
            }
            if let Some(next) = listed.next {
                println!("more: --before {next}");
            }
        }
    }
    Ok(())
}
