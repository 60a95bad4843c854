//! Packets between processes, and what travels in them.

use writ_keyd_client::caller::Caller;
use writ_keyd_client::channel::{pack, unpack};
use writ_keyd_client::protocol::{Answer, Command};
use writ_proof::append::{AppendReply, AppendRequest};
use writ_proof::stream::{FromWatch, ToWatch};

use crate::input::strict;

pub(crate) fn run(input: &[u8]) {
    let Ok(messages) = unpack(input) else { return };
    assert!(pack(&messages) == input, "a packet has two forms");
    for message in &messages {
        strict::<Command>(&message.body);
        strict::<Answer>(&message.body);
        strict::<AppendRequest>(&message.body);
        strict::<AppendReply>(&message.body);
        strict::<ToWatch>(&message.body);
        strict::<FromWatch>(&message.body);
        strict::<Caller>(&message.body);
    }
}
