//! Logins with security keys: what the token says of its user reaches the bastion, keyd and the ledger.

use std::path::Path;
use std::process::Command;

use super::gate::{Gate, parameter, site};
use super::roster::Desk;

/// OpenSSH's stand-in for a token (Debian's openssh-tests). It says of itself what the key was made for.
const TOKEN: &str = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so";

/// Both kinds of security key, with and without verification of the user (a PIN), through the whole chain.
#[test]
fn security_keys_log_in_and_the_ledger_tells_whether_their_user_was_verified() {
    if !Path::new(TOKEN).exists() {
        writ_tests::skipped("security_keys_log_in: openssh-tests is not installed");
        return;
    }
    let site = site();
    let gate = Gate::at(&site);
    let desk = Desk::at(&site);
    let user = gate.host.user.clone();
    for (kind, verified) in
        [("ed25519-sk", true), ("ed25519-sk", false), ("ecdsa-sk", true), ("ecdsa-sk", false)]
    {
        let person = format!("{}{}", kind.replace("-sk", ""), if verified { "-pin" } else { "" });
        let key = gate.shift.key(&person);
        let mut make = Command::new("ssh-keygen");
        make.args(["-q", "-t", kind, "-N", "", "-w", TOKEN, "-O", "application=ssh:writ"]);
        if verified {
            make.args(["-O", "verify-required"]);
        }
        assert!(make.arg("-f").arg(&key).status().unwrap().success());
        let public = format!("{}.pub", key.display());
        desk.changes(&["enrol", "--person", &person, "--key", &public]);
        desk.changes(&["add-member", "--group=oncall", "--person", &person, "--days=90"]);
        let id = gate.asked_with(TOKEN, &person, &["--command=id -un"], "1h");
        let provider = format!("SecurityKeyProvider={TOKEN}");
        let login = gate.ssh(&person, &["-o", &provider], &["id", "-un"]);
        assert_eq!(gate.runs(login), format!("{user}\n"));
        // Without the token the key's file is worth nothing.
        gate.fails(gate.ssh(&person, &[], &["id", "-un"]));
        let start = gate.event("StartSession", |event| parameter(event, "person") == person);
        let token = if verified { "touched, user verified" } else { "touched" };
        assert_eq!(
            (parameter(&start, "accessRequestId"), parameter(&start, "token")),
            (&*id, token)
        );
    }
    assert_eq!(site.verify().code, 0, "{}", site.verify().text);
}
