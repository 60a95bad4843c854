//! What is asked for, in words: pages and the command line say it alike.

use writ_proof::access::Touches;
use writ_proof::roster::{Accounts, Approver, Group, HostName, Roster, Slot};

/// Whose data a host holds; true if it is any customer's.
pub fn holds(roster: &Roster, host: &HostName) -> (String, bool) {
    match roster.accounts(host) {
        Accounts::All => ("data of EVERY customer, as far as the roster says".to_owned(), true),
        Accounts::Only(held) if held.0.is_empty() => ("no customer's data".to_owned(), false),
        Accounts::Only(held) => {
            let all: Vec<String> = held.0.iter().map(ToString::to_string).collect();
            (format!("data of {}", all.join(", ")), true)
        }
    }
}

/// Whose data a request can lead to.
pub fn reaches(touches: &Touches) -> String {
    match touches {
        Touches::Everybody => "EVERY customer's data".to_owned(),
        Touches::Only(accounts) if accounts.is_empty() => "no customer's data".to_owned(),
        Touches::Only(accounts) => {
            let all: Vec<String> = accounts.iter().map(ToString::to_string).collect();
            format!("data of {}", all.join(", "))
        }
    }
}

/// Who must agree, by the rule of a group, each slot a line of text.
pub fn rule(group: &Group) -> Vec<String> {
    let one = |slot: &Slot| {
        let from = match &slot.from {
            Approver::Customer => "the customer".to_owned(),
            Approver::Group(name) => format!("the group `{name}`"),
            Approver::ManagerOfRequester => "the requester's manager".to_owned(),
            Approver::Owner => format!("the owners of `{}`", group.name),
        };
        format!("{} of {from} (slot `{}`)", slot.count, slot.slot)
    };
    group.rule.0.iter().map(one).collect()
}
