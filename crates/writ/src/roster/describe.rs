//! Statements in words that a signer can check.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use writ_proof::access::SshRights;
use writ_proof::roster::{
    Accounts, Approver, Change, Group, Host, PersonKey, Rights, RosterStatement, Slot,
};
use writ_proof::sshsig::SshSig;
use writ_proof::statement::Signed;

/// The statement, whole.
pub fn statement(statement: &RosterStatement) -> String {
    format!(
        "roster statement {} of {}, made {}\n{}  code {}\n",
        statement.seq,
        statement.site,
        statement.created.iso(),
        change(&statement.change),
        statement.change.code()
    )
}

/// Who has signed it, as far as the signatures say.
pub fn signatures(signed: &Signed) -> String {
    let mut text = format!("digest {}\n", signed.digest());
    for bytes in signed.signatures() {
        let said = SshSig::from_bytes(bytes)
            .and_then(|signature| signature.verify(signed.body(), signed.namespace().as_str()));
        match said {
            Ok(signer) => writeln!(text, "signed by {:?}", signer.key),
            Err(error) => writeln!(text, "a signature that does not hold: {error}"),
        }
        .ok();
    }
    if signed.signatures().is_empty() {
        text.push_str("signed by nobody\n");
    }
    text
}

/// What changes, several lines.
pub fn change(change: &Change) -> String {
    match change {
        Change::AddKey(new) => format!("  {} gets a {}\n", new.person, key(new)),
        Change::AddMember(new) => {
            let until =
                new.expires.map_or("for good".to_owned(), |at| format!("until {}", at.iso()));
            format!("  {} becomes a member of `{}` {until}\n", new.person, new.group)
        }
        Change::EndEnrolment(id) => format!(
            "  enrolment {} of {} ends, with all keys, memberships and ownerships\n",
            id.number, id.person
        ),
        Change::Enrol(new) => {
            let mut text = format!("  {} is enrolled (number {})\n", new.id.person, new.id.number);
            new.keys.0.iter().for_each(|own| text.push_str(&format!("    with a {}\n", key(own))));
            text
        }
        Change::RemoveGroup(name) => format!("  the group `{name}` is removed\n"),
        Change::RemoveHost(name) => format!("  the host `{name}` is removed\n"),
        Change::RemoveKey(old) => format!("  {} loses the {}\n", old.person, key(old)),
        Change::RemoveMember(old) => format!("  {} leaves `{}`\n", old.person, old.group),
        Change::SetGroup(new) => format!("  a group is made or changed:\n{}", group(new, "  ")),
        Change::SetHost(new) => format!("  a host is made or changed:\n  {}\n", host(new)),
        Change::SetOrigins(origins) if origins.0.is_empty() => {
            "  browsers may sign nowhere\n".to_owned()
        }
        Change::SetOrigins(origins) => {
            format!("  browsers may sign at {}, and nowhere else\n", origins.0.join(", "))
        }
        Change::SetRule(rule) => {
            let of = rule
                .group
                .as_ref()
                .map_or("anybody enrolled".to_owned(), |group| format!("members of `{group}`"));
            let how = if rule.hardware { ", each with a hardware key" } else { "" };
            format!("  `{}` needs {} of {of}{how}\n", rule.namespace, rule.threshold)
        }
    }
}

/// A key: what holds it, and its fingerprint.
pub fn key(key: &PersonKey) -> String {
    format!("{} {:?}", key.kind().as_str(), key.key)
}

/// A group, several lines.
pub fn group(group: &Group, indent: &str) -> String {
    let mut text = format!("{indent}{} ({}, {})\n", group.name, group.title, group.tier.as_str());
    let list = |items: Vec<String>| items.join(", ");
    if !group.owners.0.is_empty() {
        let owners = group.owners.0.iter().map(ToString::to_string).collect();
        writeln!(text, "{indent}  owners     {}", list(owners)).ok();
    }
    if !group.rule.0.is_empty() {
        writeln!(text, "{indent}  approval   {}", list(group.rule.0.iter().map(slot).collect()))
            .ok();
    }
    match &group.rights {
        Some(rights) => writeln!(text, "{indent}  may ask    {}", self::rights(rights)).ok(),
        None => writeln!(text, "{indent}  may ask    for nothing; it owns and approves").ok(),
    };
    if let Some(admits) = &group.admits {
        let all = admits.all.0.iter().map(|a| format!("{} is {}", a.name, a.any_of.0.join(" or ")));
        writeln!(text, "{indent}  HR admits  {}", all.collect::<Vec<_>>().join(" and ")).ok();
    }
    text
}

fn slot(slot: &Slot) -> String {
    let from = match &slot.from {
        Approver::Customer => "the customer".to_owned(),
        Approver::Group(name) => format!("`{name}`"),
        Approver::ManagerOfRequester => "the requester's manager".to_owned(),
        Approver::Owner => "the owners".to_owned(),
    };
    format!("{}: {} of {from}", slot.slot, slot.count)
}

fn rights(rights: &Rights) -> String {
    let kinds: Vec<&str> = rights.kinds.0.iter().map(|kind| kind.as_str()).collect();
    let hosts: Vec<String> = rights.hosts.0.iter().map(ToString::to_string).collect();
    let place = if hosts.is_empty() { String::new() } else { format!(" on {}", hosts.join(", ")) };
    let logins = match rights.logins.0.is_empty() {
        true => String::new(),
        false => format!(" as {}", rights.logins.0.join(", ")),
    };
    let ssh = rights.ssh.as_ref().map_or(String::new(), |ssh| format!("; {}", self::ssh(ssh)));
    format!("{}{place}{logins}, at most {} h{ssh}", kinds.join(", "), rights.max_hours)
}

fn ssh(rights: &SshRights) -> String {
    let mut given = vec![if rights.interactive { "a shell" } else { "no shell" }.to_owned()];
    given.extend(rights.commands.0.iter().map(|command| format!("`{command}`")));
    given.extend(rights.files.0.iter().map(ToString::to_string));
    given.join(", ")
}

/// A host, one line.
pub fn host(host: &Host) -> String {
    let accounts = match &host.accounts {
        Accounts::All => "everybody's data (unmapped)".to_owned(),
        Accounts::Only(accounts) if accounts.0.is_empty() => "no customer's data".to_owned(),
        Accounts::Only(accounts) => {
            let accounts: Vec<String> = accounts.0.iter().map(ToString::to_string).collect();
            format!("data of {}", accounts.join(", "))
        }
    };
    format!("{}  {}  {:?}  {accounts}", host.name, with_port(&host.address), host.key)
}

/// sshd's port is 22 where none is said; so the bastion takes it.
fn with_port(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, 22).to_string(),
        Err(_) if address.contains(':') => address.to_owned(),
        Err(_) => format!("{address}:22"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_that_is_meant_is_shown() {
        for (given, shown) in [
            ("nonsense", "nonsense:22"),
            ("web-1:2201", "web-1:2201"),
            ("10.0.0.7", "10.0.0.7:22"),
            ("::1", "[::1]:22"),
            ("[::1]:2201", "[::1]:2201"),
        ] {
            assert_eq!(with_port(given), shown);
        }
    }
}
