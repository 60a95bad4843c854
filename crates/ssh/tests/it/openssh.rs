//! Stock `ssh` against our server.

use std::process::Command;

use writ_proof::hash::sha256;
use writ_ssh::{Algorithms, Cipher, Config, Decision, Kex, Rekey};

use crate::world::{Mode, Rules, Server, keygen, pattern, run_with};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn openssh_command_runs_and_its_exit_status_comes_back() {
    let server = Server::start(Config::default());
    run_with(server.ssh(&[], &["exit 0"]), b"", 0);
    run_with(server.ssh(&[], &["exit 7"]), b"", 7);
    let output = run_with(server.ssh(&[], &["stderr"]), b"", 0);
    assert_eq!(text(&output.stdout), "to stdout");
    assert_eq!(text(&output.stderr), "to stderr");
    // A command that a signal ended: `ssh` says 255.
    run_with(server.ssh(&[], &["signal"]), b"", 255);
    assert!(server.saw("login svc+web-1"));
    assert!(server.saw("request exec"));
}

#[test]
fn openssh_terminal_has_its_size_and_environment() {
    let server = Server::start(Config::default());
    let mut ssh = server.ssh(&["-tt", "-o", "SetEnv=LC_TEST=yes"], &[]);
    ssh.env("TERM", "xterm-256color");
    let output = run_with(ssh, b"", 0);
    assert!(text(&output.stdout).starts_with("xterm-256color "), "{output:?}");
    assert!(server.saw("env LC_TEST=yes"));
    assert!(server.saw("request pty-req"));
}

/// Each cipher with each method of key agreement that this `ssh` has, with data in both directions.
#[test]
fn openssh_data_arrives_whole_with_each_cipher_and_kex() {
    let server = Server::start(Config::default());
    let data = pattern(3_000_000);
    for kex in ["curve25519-sha256", "curve25519-sha256@libssh.org"] {
        for cipher in Cipher::ALL {
            let cipher = format!("-oCiphers={}", cipher.name());
            let kex = format!("-oKexAlgorithms={kex}");
            let output = run_with(server.ssh(&["-v", &cipher, &kex], &["echo"]), &data, 0);
            assert!(output.stdout == data, "{cipher} {kex}: other bytes came back");
            let said = text(&output.stderr);
            let wanted = cipher.trim_start_matches("-oCiphers=");
            assert!(said.contains(&format!("cipher: {wanted} ")), "{said}");
        }
    }
}

#[test]
fn openssh_default_negotiates_strict_kex_and_chacha() {
    let server = Server::start(Config::default());
    let output = run_with(server.ssh(&["-vvv"], &["exit 0"]), b"", 0);
    let said = text(&output.stderr);
    assert!(said.contains("will use strict KEX ordering"), "{said}");
    assert!(said.contains("cipher: chacha20-poly1305@openssh.com"), "{said}");
    assert!(said.contains("server-sig-algs=<ssh-ed25519,"), "{said}");
}

/// New keys every megabyte, by the client's wish, and then by ours, with data both ways all the while.
#[test]
fn openssh_data_arrives_whole_while_keys_change() {
    let data = pattern(20_000_000);
    let server = Server::start(Config::default());
    let ssh = server.ssh(&["-v", "-oRekeyLimit=1M"], &["echo"]);
    let output = run_with(ssh, &data, 0);
    assert!(output.stdout == data);
    assert!(text(&output.stderr).matches("rekey").count() > 10, "{}", text(&output.stderr));
    let rekey = Rekey { bytes: 1_000_000, ..Config::default().rekey };
    let server = Server::start(Config { rekey, ..Config::default() });
    let output = run_with(server.ssh(&["-v"], &["echo"]), &data, 0);
    assert!(output.stdout == data);
    let exchanges = text(&output.stderr).matches("SSH2_MSG_NEWKEYS received").count();
    assert!(exchanges > 10, "{exchanges}");
}

#[test]
fn openssh_large_data_each_way_has_its_digest() {
    let server = Server::start(Config::default());
    let data = pattern(50_000_000);
    let output = run_with(server.ssh(&[], &["digest"]), &data, 0);
    let wanted = format!("{} {}", data.len(), hex::encode(sha256(&data).0));
    assert_eq!(text(&output.stdout), wanted);
    let output = run_with(server.ssh(&[], &["produce 50000000"]), b"", 0);
    assert!(output.stdout == data);
}

#[test]
fn openssh_keys_of_each_kind_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let kinds: [(&str, &[&str]); 2] =
        [("id_ed25519", &["-t", "ed25519"]), ("id_ecdsa", &["-t", "ecdsa", "-b", "256"])];
    let keys: Vec<String> =
        kinds.iter().map(|(name, kind)| keygen(folder.path(), name, kind).to_string()).collect();
    let mut server = Server::without_keys(folder);
    let rules = Rules { welcome: keys.into_iter().collect(), refused: None };
    server.serve(Config::default(), Mode::Commands, rules);
    for (name, _) in kinds {
        let mut ssh = Command::new("ssh");
        let common = server.common();
        ssh.args(&common[..2]).arg("-i").arg(server.path(name)).args(&common[4..]);
        ssh.args(["-p", &server.address.port().to_string(), "svc+web-1@127.0.0.1", "exit 3"]);
        run_with(ssh, b"", 3);
    }
    assert_eq!(server.proofs.lock().unwrap().len(), 2);
}

/// The token is OpenSSH's own stand-in (Debian's openssh-tests): it says that it was touched.
#[test]
fn openssh_hardware_key_shows_its_flags() {
    let token = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so";
    let provider = format!("-oSecurityKeyProvider={token}");
    for kind in ["ed25519-sk", "ecdsa-sk"] {
        let folder = tempfile::tempdir().unwrap();
        let key = keygen(folder.path(), "id_ed25519", &["-t", kind, "-w", token]);
        let mut server = Server::without_keys(folder);
        let rules = Rules { welcome: [key.to_string()].into(), refused: None };
        server.serve(Config::default(), Mode::Commands, rules);
        run_with(server.ssh(&[&provider], &["exit 4"]), b"", 4);
        let proofs = server.proofs.lock().unwrap();
        let flags = proofs[0].hardware().unwrap();
        assert!(flags.user_present() && !flags.user_verified(), "{flags:?}");
    }
}

#[test]
fn openssh_stranger_is_refused_and_told_why() {
    let folder = tempfile::tempdir().unwrap();
    keygen(folder.path(), "id_ed25519", &["-t", "ed25519"]);
    let mut server = Server::without_keys(folder);
    server.serve(Config::default(), Mode::Commands, Rules::default());
    let output = run_with(server.ssh(&[], &["exit 0"]), b"", 255);
    assert!(text(&output.stderr).contains("Permission denied (publickey)"), "{output:?}");
    assert!(!server.saw("proven"));

    let told = "no grant covers web-1: ask for one with `writ request`";
    let refused = Some(Decision::Refuse(Some(told.to_owned())));
    let server = Server::with(Config::default(), Mode::Commands, refused);
    let output = run_with(server.ssh(&[], &["exit 0"]), b"", 255);
    assert!(text(&output.stderr).contains(told), "{output:?}");

    let refused = Some(Decision::Disconnect(told.to_owned()));
    let server = Server::with(Config::default(), Mode::Commands, refused);
    let output = run_with(server.ssh(&[], &["exit 0"]), b"", 255);
    assert!(text(&output.stderr).contains(told), "{output:?}");
    assert!(!server.saw("login svc"));
}

#[test]
fn openssh_user_sees_why_the_session_was_ended() {
    let server = Server::start(Config::default());
    let output = run_with(server.ssh(&[], &["kick"]), b"", 255);
    assert!(text(&output.stderr).contains("your access has ended"), "{output:?}");
}

#[test]
fn openssh_forwarding_is_an_event_and_refused() {
    let server = Server::start(Config::default());
    // -W opens a direct-tcpip channel at once.
    let output = run_with(server.ssh(&["-W", "127.0.0.1:22"], &[]), b"", 255);
    assert!(text(&output.stderr).contains("no forwarding here"), "{output:?}");
    assert!(server.saw("open direct-tcpip"));
    let options = ["-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22"];
    run_with(server.ssh(&options, &["exit 0"]), b"", 255);
    assert!(server.saw("global tcpip-forward"));
}

#[test]
fn openssh_without_common_algorithm_is_told_so() {
    let algorithms = Algorithms { kex: vec![Kex::MlKem768X25519], ..Algorithms::default() };
    let server = Server::start(Config { algorithms, ..Config::default() });
    let options = ["-oKexAlgorithms=diffie-hellman-group14-sha256,curve25519-sha256"];
    let output = run_with(server.ssh(&options, &["exit 0"]), b"", 255);
    assert!(text(&output.stderr).contains("no matching key exchange method"), "{output:?}");
    let server = Server::start(Config::default());
    for weak in ["-oCiphers=aes256-ctr", "-oHostKeyAlgorithms=rsa-sha2-512"] {
        run_with(server.ssh(&[weak], &["exit 0"]), b"", 255);
    }
    server.wait_for("no common host key");
}

#[test]
fn openssh_keepalives_are_answered_both_ways() {
    let after = std::time::Duration::from_millis(300);
    let server = Server::start(Config { keepalive_after: after, ..Config::default() });
    let mut ssh = server.ssh(&["-oServerAliveInterval=1", "-oServerAliveCountMax=1"], &["never"]);
    let mut child = crate::world::Ending(ssh.spawn().unwrap());
    server.wait_for("request exec");
    std::thread::sleep(std::time::Duration::from_millis(3500));
    assert!(child.0.try_wait().unwrap().is_none(), "the client has gone");
    assert!(!server.saw("ended"), "the server has gone: {:?}", server.log.lock().unwrap());
}

#[test]
fn openssh_with_many_keys_runs_out_of_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Vec::new();
    for number in 0..8 {
        let name = format!("id_{number}");
        keygen(folder.path(), &name, &["-t", "ed25519"]);
        options.extend(["-i".to_owned(), folder.path().join(name).display().to_string()]);
    }
    keygen(folder.path(), "id_ed25519", &["-t", "ed25519"]);
    let mut server = Server::without_keys(folder);
    server.serve(Config::default(), Mode::Commands, Rules::default());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let output = run_with(server.ssh(&options, &["exit 0"]), b"", 255);
    assert!(text(&output.stderr).contains("too many attempts"), "{output:?}");
    let offered = server.log.lock().unwrap().iter().filter(|l| l.starts_with("offered")).count();
    assert_eq!(offered, 6);
}
