//! Messages of the connection layer, and requests of a session: nothing grows beyond its limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_fuzz::messages;
use writ_ssh::SessionRequest;
use writ_ssh::connection::Core;

fuzz_target!(|input: &[u8]| {
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
});
