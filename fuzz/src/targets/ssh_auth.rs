//! What an SSH client sends to authenticate: nothing is proven that no key signed.

use writ_proof::ssh_auth::{UserAuth, verify};
use writ_ssh::auth::{HostAuth, HostStep, ServerAuth, ServerStep};

use crate::input::messages;

pub(crate) fn run(input: &[u8]) {
    if let Ok(request) = UserAuth::from_bytes(input) {
        assert!(request.to_bytes() == input, "a request has two forms");
        assert!(verify(input, &input[..64.min(input.len())]).is_err());
    }
    host(input);
    let mut auth = ServerAuth::new([1; 32], 6);
    let mut refused = 0;
    for message in messages(input) {
        match auth.receive(message) {
            Err(_) => return,
            Ok(ServerStep::Proven(_)) => panic!("something was proven"),
            Ok(ServerStep::Offered { key, .. }) => {
                if auth.offer(&key, false).is_err() {
                    return;
                }
                refused += 1;
            }
            Ok(ServerStep::Send(reply)) => assert_ne!(reply[..], [52], "it was let in"),
            Ok(ServerStep::Unimplemented) => {}
        }
        assert!(refused < 6, "attempts are not counted");
    }
}

/// A managed host that trusts whatever it is shown still wants its key's signature.
fn host(input: &[u8]) {
    let mut auth = HostAuth::new([1; 32], 6, &|_, _| true);
    for message in messages(input) {
        match auth.receive(message) {
            Err(_) => return,
            Ok(HostStep::Certified(_)) => panic!("something was certified"),
            Ok(HostStep::Send(reply)) => assert_ne!(reply[..], [52], "it was let in"),
            Ok(HostStep::Unimplemented) => {}
        }
    }
}
