//! Requests and decisions in words, for those who sign them.

use std::fmt::Write as _;

use writ_console::words;
use writ_model::Timestamp;
use writ_proof::access::{Approval, Request, Scope};
use writ_proof::roster::Roster;

/// A request, whole, with what follows from the roster.
pub fn request(request: &Request, roster: &Roster) -> String {
    let mut text = format!("request {} of {}\n", request.id, request.site);
    let mut line = |name: &str, value: &str| {
        // Writing into a string cannot fail.
        writeln!(text, "  {name:<9} {value}").ok();
    };
    line("who", &format!("{}, as a member of `{}`", request.requester, request.group));
    line("why", request.basis.as_str());
    for (n, part) in request.reason.lines().enumerate() {
        line(if n == 0 { "reason" } else { "" }, part);
    }
    line("ticket", &format!("{}/{}", request.ticket.system, request.ticket.id));
    if let Some(account) = request.account {
        line("for", &format!("the customer {account}"));
    }
    for host in request.scope.hosts() {
        let (holds, _) = words::holds(roster, host);
        line("host", &format!("{host} (holds {holds})"));
    }
    match &request.scope {
        Scope::Playback(scope) => line("recording", &format!("of session {}", scope.session)),
        Scope::Runbook(run) => {
            line("runbook", &format!("{}, version {}", run.runbook, run.version));
            line("entry", &run.entry.to_string());
            line("class", &format!("{}: {}", run.class.as_str(), run.class.describe()));
            run.settings.0.iter().for_each(|s| line("told", &format!("{} = {}", s.name, s.value)));
        }
        Scope::Ssh(ssh) => {
            line("login", &ssh.login);
            if ssh.interactive {
                line("shell", "yes: any command");
            }
            ssh.commands.0.iter().for_each(|command| line("command", command));
            ssh.files.0.iter().for_each(|file| line("files", &file.to_string()));
        }
    }
    line("window", &window(request.not_before, request.not_after));
    line("reaches", &words::reaches(&request.touches(roster)));
    line("needs", &needs(request, roster));
    text
}

/// Who must agree, by the rule of the group.
fn needs(request: &Request, roster: &Roster) -> String {
    let Some(group) = roster.group(&request.group) else {
        return format!("there is no group `{}`", request.group);
    };
    let mut slots = words::rule(group);
    if group.approvers() < 2 && request.touches(roster).any() {
        slots.push("two people in any case, since it can lead to customers' data".to_owned());
    }
    slots.join(", and ")
}

/// A decision: what it adds to its request.
pub fn approval(approval: &Approval) -> String {
    format!(
        "{} of {} by {} in slot `{}`\n  window    {}\n",
        approval.decision.as_str(),
        approval.request,
        approval.approver,
        approval.slot,
        window(approval.not_before, approval.not_after)
    )
}

/// `from to until (length)`.
pub fn window(from: Timestamp, to: Timestamp) -> String {
    format!("{} to {} ({})", from.iso(), to.iso(), length(to.since(from).as_secs()))
}

fn length(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    for (count, unit) in [(hours, "h"), (minutes, "m"), (seconds, "s")] {
        if count > 0 {
            write!(text, "{count}{unit}").ok();
        }
    }
    text
}
