//! C-05: whoever is in stays within the grant: tunnels, nested logins, and bytes that are no protocol.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use writ_tests::until;

use crate::operators::gate::{Gate, parameter, site};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What comes back through a SOCKS proxy from an address; nothing if nothing does.
fn through_socks(proxy: u16, port: u16) -> Vec<u8> {
    let mut stream = until("the proxy to listen", || TcpStream::connect(("127.0.0.1", proxy)).ok());
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let [high, low] = port.to_be_bytes();
    // SOCKS 5 without authentication (RFC 1928): greeting, then CONNECT to an IPv4 address.
    stream.write_all(&[5, 1, 0]).unwrap();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).unwrap();
    let (mut said, mut chunk) = (Vec::new(), [0; 256]);
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        said.extend(&chunk[..read]);
        if said.windows(4).any(|four| four == b"SSH-") {
            break;
        }
    }
    said
}

/// `-D`, `-J` and `-w` of stock `ssh`: ways past the record, of which the bastion opens none.
#[test]
fn c05_dynamic_forward_jump_and_tunnel_lead_nowhere() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&["--shell"], "1h");
    let proxy = free_port();
    let mut shell = gate.shell_with("anna", &["-D", &proxy.to_string()], &["cat"]);
    let said = through_socks(proxy, gate.host.address.port());
    assert!(!said.windows(4).any(|four| four == b"SSH-"), "sshd was reached: {said:?}");
    shell.types("still here\n");
    until("the echo", || shell.said().contains("still here").then_some(()));
    drop(shell);
    gate.event("RefuseRequest", |event| parameter(event, "asked") == "channel direct-tcpip");

    // -J is -W on the first hop: the bastion as a jump host to the host's own sshd.
    let key = gate.shift.key("anna").display().to_string();
    let known = site.dir().join("known_hosts").display().to_string();
    let first = format!(
        "ssh -F none -o BatchMode=yes -o UserKnownHostsFile={known} -o IdentityAgent=none -i {key} -p {} -l \
         {}+web-1 -W %h:%p 127.0.0.1",
        gate.port(),
        gate.host.user
    );
    let mut jump = Command::new("ssh");
    jump.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
    jump.args(["-o", "UserKnownHostsFile=/dev/null", "-o", &format!("ProxyCommand={first}")]);
    jump.args(["-i", &key, "-p", &gate.host.address.port().to_string(), "127.0.0.1", "true"]);
    let said = gate.fails(jump);
    assert!(said.contains("administratively prohibited"), "{said}");

    // Where there is no tunnel device, the client itself gives up; asyncssh asks for one all the same.
    let mut tunnel =
        gate.ssh("anna", &["-w", "any:any", "-o", "ExitOnForwardFailure=yes"], &["true"]);
    let said = tunnel.output().unwrap();
    assert!(!said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

/// From a shell on a managed host the next managed host is as closed as from anywhere: there is no key, no
/// agent and no certificate, and the bastion is no way back in.
#[test]
fn c05_nested_ssh_to_a_managed_host_is_refused() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&["--shell"], "1h");
    let (host, user) = (gate.host.address.port(), &gate.host.user);
    let quiet =
        "-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
    for to in [
        format!("-p {host} -l {user} 127.0.0.1"),
        format!("-p {} -l {user}+web-1 127.0.0.1", gate.port()),
    ] {
        // An agent that is asked for is not there.
        let command = format!("ssh {quiet} {to} echo inside; echo rc=$? agent=$SSH_AUTH_SOCK");
        let said = gate.runs(gate.ssh("anna", &["-A"], &[&command]));
        assert_eq!(said, "rc=255 agent=\n", "{to}");
    }
    assert!(gate.host.log().matches("Accepted publickey").count() == 2, "{}", gate.host.log());
    assert_eq!(site.verify().code, 0, "{}", site.verify().text);
}

/// asyncssh sends what stock clients do not: unknown channels and requests, packets that are no SFTP.
#[test]
fn c05_unknown_channels_requests_and_oversized_packets_are_refused() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&["--shell", "--file=ro:/"], "1h");
    let mut python = Command::new(writ_tests::site::tools().join("venv/bin/python"));
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/claims/c05_attacks.py"));
    python.arg(gate.port()).arg(site.dir()).arg(gate.shift.key("anna")).arg(&gate.host.user);
    let said = gate.runs(python);
    assert!(!said.contains("GIVEN"), "{said}");
    assert_eq!(said.matches("refused channel").count(), 8, "{said}");
    assert_eq!(said.matches("refused request").count(), 9, "{said}");
    assert_eq!(said.matches("ended packets").count(), 5, "{said}");
    assert!(said.contains("echo still here") && said.contains("after alive"), "{said}");
    for asked in ["channel tun@openssh.com", "channel x11", "auth-agent-req@openssh.com"] {
        gate.event("RefuseRequest", |event| parameter(event, "asked") == asked);
    }
    gate.event("RefuseRequest", |event| {
        parameter(event, "asked") == "subsystem sftp"
            && event.text("/errorMessage").contains("does not speak SFTP")
    });
    assert_eq!(site.verify().code, 0, "{}", site.verify().text);
}
