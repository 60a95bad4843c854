//! The tickets that Writ itself keeps: what work is for. They give nothing by themselves.

use writ_model::{AccountId, PersonId};
use writ_proof::limits::TICKET_ID_MAX_BYTES;
use writ_store::state::{Ticket, TicketClosed};

use crate::limits;
use crate::world::{Refusal, World};

/// A ticket that is opened now.
///
/// # Errors
/// Its id or title is not taken, or there is one of this id.
pub fn open(world: &World<'_>, id: &str, title: &str, by: &PersonId) -> Result<Ticket, Refusal> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.#".contains(&b);
    if id.is_empty() || id.len() > TICKET_ID_MAX_BYTES || !id.bytes().all(fits) {
        return Err(Refusal::Malformed(format!(
            "a ticket's id has 1 to {TICKET_ID_MAX_BYTES} letters, digits, `-`, `_`, `.` and `#`, such as OPS-17"
        )));
    }
    let title = title.trim();
    let long = title.len() > limits::TICKET_TITLE_MAX_BYTES;
    if title.is_empty() || long || title.chars().any(char::is_control) {
        let most = limits::TICKET_TITLE_MAX_BYTES;
        return Err(Refusal::Malformed(format!("a ticket needs a title of 1 to {most} bytes")));
    }
    if world.snapshot.get::<Ticket>(AccountId::PLATFORM, id).is_some() {
        return Err(Refusal::Taken(format!("there is a ticket `{id}` already, open or closed")));
    }
    let all = world.snapshot.list::<Ticket>(AccountId::PLATFORM, None);
    if all.filter(|ticket| ticket.closed.is_none()).count() >= limits::OPEN_TICKETS_MAX {
        let most = limits::OPEN_TICKETS_MAX;
        return Err(Refusal::TooMany(format!("{most} tickets are open: close some")));
    }
    Ok(Ticket {
        id: id.to_owned(),
        title: title.to_owned(),
        opened_by: by.clone(),
        opened: world.now,
        closed: None,
    })
}

/// The ticket as it is once closed.
///
/// # Errors
/// There is none that is open.
pub fn close(world: &World<'_>, id: &str, by: &PersonId) -> Result<Ticket, Refusal> {
    let ticket = world.snapshot.get::<Ticket>(AccountId::PLATFORM, id);
    let ticket = ticket.ok_or_else(|| Refusal::NotFound(format!("there is no ticket `{id}`")))?;
    if ticket.closed.is_some() {
        return Err(Refusal::Over(format!("the ticket `{id}` is closed already")));
    }
    let closed = Some(TicketClosed { by: by.clone(), at: world.now });
    Ok(Ticket { closed, ..Ticket::clone(&ticket.value) })
}
