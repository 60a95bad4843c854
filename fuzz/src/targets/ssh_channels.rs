//! Messages of the connection layer, and requests of a session: nothing grows beyond its limits.

use writ_ssh::SessionRequest;
use writ_ssh::connection::Core;

use crate::input::messages;

pub(crate) fn run(input: &[u8]) {
    for name in ["env", "exec", "exit-status", "pty-req", "shell", "signal", "window-change"] {
        if let Ok(request) = SessionRequest::parse(name, input) {
            assert!(
                request.encode() == (name.to_owned(), input.to_vec()),
                "a request has two forms"
            );
        }
    }
    let mut core = Core::new(3, 4096);
    let mut sent = 0;
    for message in messages(input) {
        if core.receive(&message.to_vec().into()).is_err() {
            return;
        }
        while let Some(reply) = core.take_message() {
            sent += reply.len();
        }
        assert!(sent <= 200 * (input.len() + 1), "it answers without end");
    }
}
