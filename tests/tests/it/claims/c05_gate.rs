//! C-05: nobody comes to a host without a grant, and nothing but what it gives.

use std::time::Duration;

use crate::operators::gate::{Gate, parameter, site};

#[test]
fn c05_gate_opens_for_the_grant_and_nothing_else() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&["--command=id -un"], "1h");
    let user = gate.host.user.clone();
    assert_eq!(gate.runs(gate.ssh("anna", &[], &["id", "-un"])), format!("{user}\n"));
    // Exactly that command.
    for command in ["id", "id -un; id", "id  -un", "sh -c 'id -un'"] {
        let said = gate.fails(gate.ssh("anna", &[], &[command]));
        assert!(said.contains("request failed") || said.contains("no grant"), "{command}: {said}");
    }
    // No shell, no terminal, no files.
    gate.fails(gate.ssh("anna", &[], &[]));
    let said = gate.fails(gate.ssh("anna", &["-tt"], &[]));
    assert!(!said.contains('$'), "{said}");
    gate.fails(gate.copy("scp", "anna", &["-q", &gate.there("/etc/hostname"), "/dev/null"]));
    // Somebody else, with the same roles but without a grant; and a key that nobody knows.
    let said = gate.fails(gate.ssh("dora", &[], &["id", "-un"]));
    assert!(said.contains("no grant lets `dora` log in"), "{said}");
    let stranger = site.home().join("stranger");
    let make = ["-q", "-t", "ed25519", "-N", "", "-f", stranger.to_str().unwrap()];
    assert!(std::process::Command::new("ssh-keygen").args(make).status().unwrap().success());
    let said = gate.fails(gate.ssh("stranger", &[], &["id", "-un"]));
    assert!(said.contains("Permission denied (publickey)"), "{said}");
    let counted = gate.event("RefuseStranger", |event| event.error() == "AccessDenied");
    assert!(parameter(&counted, "key").starts_with("SHA256:"), "{}", counted.record);
    assert_eq!(counted.text("/sourceIPAddress"), "127.0.0.1");
    // Names that mean something to somebody else.
    let long = format!("{}+web-1", "a".repeat(200));
    for name in [
        "root",
        "web-1",
        "+web-1",
        "root+",
        "nobody+web-1",
        "root+web-2",
        "root+../web-1",
        "root+web-1+web-1",
        "root;id+web-1",
        "$(id)+web-1",
        "root+web-1\n",
        "req=x;user=y+web-1",
        "%00+web-1",
        long.as_str(),
    ] {
        gate.fails(gate.ssh_as("anna", name, &[], &["id", "-un"]));
    }
    let refused =
        gate.event("RefuseRequest", |event| parameter(event, "asked").contains("exec id  -un"));
    assert_eq!(refused.error(), "AccessDenied");
    gate.event("RefuseLogin", |event| parameter(event, "user") == "root+web-2");
    assert_eq!(site.verify().code, 0);
}

/// Advisories of others: direct-tcpip without authorization, ProxyJump as an unrecorded tunnel, agents and X11.
#[test]
fn c05_nothing_is_forwarded() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&[], "1h");
    let sshd = gate.host.address.to_string();
    // -W: a connection to the host's own sshd through the bastion.
    let said = gate.fails(gate.ssh("anna", &["-W", &sshd], &[]));
    assert!(said.contains("administratively prohibited"), "{said}");
    assert!(said.contains("forwards no connections"), "{said}");
    // -L and -D: the listener is the client's own, its channels are refused.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let forward = format!("{free}:{sshd}");
    let mut shell = gate.shell_with("anna", &["-L", &forward], &["cat"]);
    let reached = std::net::TcpStream::connect(("127.0.0.1", free)).map(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        std::io::Read::read(&mut stream, &mut [0; 64]).unwrap_or(0)
    });
    assert_eq!(reached.unwrap_or(0), 0, "something came through");
    // The session itself goes on.
    shell.types("still here\n");
    writ_tests::until("the echo", || shell.said().contains("still here").then_some(()));
    drop(shell);
    // -R: refused before anything else.
    let said = gate.fails(gate.ssh(
        "anna",
        &["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22"],
        &["true"],
    ));
    assert!(said.contains("remote port forwarding failed"), "{said}");
    // Neither agent nor X11, although the host would give both.
    let said = gate.runs(gate.ssh("anna", &["-A", "-X"], &["echo A=$SSH_AUTH_SOCK X=$DISPLAY"]));
    assert_eq!(said, "A= X=\n");
    for asked in ["channel direct-tcpip", "tcpip-forward"] {
        gate.event("RefuseRequest", |event| parameter(event, "asked") == asked);
    }
    // Straight to the host: only the bastion's certificates count there.
    let mut straight = std::process::Command::new("ssh");
    straight.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
    straight.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-i"]);
    straight.arg(gate.shift.key("anna")).args(["-p", &gate.host.address.port().to_string()]);
    straight.args(["-l", &gate.host.user, "127.0.0.1", "true"]);
    gate.fails(straight);
}

/// A second session on the same connection has the same grants and the same recording.
#[test]
fn c05_second_session_on_a_connection_is_judged_too() {
    let site = site();
    let gate = Gate::at(&site);
    let id = gate.grant(&["--command=sleep 30", "--command=id -un"], "1h");
    let control = site.home().join("control");
    let control = format!("ControlPath={}", control.display());
    let master = ["-o", "ControlMaster=yes", "-o", &control];
    let mut first = gate.shell_with("anna", &master, &["sleep", "30"]);
    let other = ["-o", "ControlMaster=no", "-o", &control];
    writ_tests::until("the master", || {
        gate.ssh("anna", &["-O", "check", "-o", &control], &[])
            .status()
            .unwrap()
            .success()
            .then_some(())
    });
    gate.event("ExecCommand", |event| parameter(event, "command") == "sleep 30");
    // The certificate of this connection forces the first command: another needs another connection.
    gate.fails(gate.ssh("anna", &other, &["id", "-un"]));
    gate.fails(gate.ssh("anna", &other, &["id"]));
    gate.event("RefuseRequest", |event| parameter(event, "asked") == "exec id -un");
    assert!(first.lives());
    gate.runs(gate.ssh("anna", &[], &["id", "-un"]));
    gate.shift.ok("dora", &["revoke", &id]);
    first.dies(Duration::from_secs(1));
}
