//! Lists of revoked certificates: signed by keyd, brought to a host by `writ krl`, obeyed by a stock `sshd`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use writ_proof::krl::Krl;
use writ_tests::site::{self, Verdict};
use writ_tests::{Site, until};

use super::gate::{Gate, parameter, site};

fn bring(site: &Site, out: &Path, more: &[&str]) -> Verdict {
    let (data, out) = (site.dir().to_str().unwrap(), out.to_str().unwrap());
    let of = ["krl", "--data", data, "--genesis", site.genesis(), "--out", out];
    site::run(&[&of[..], more].concat())
}

/// A certificate by the site's authority, as somebody has it who took it out of the bastion's memory. The
/// authority's key never leaves keyd, so the host here trusts a second one that stands for it.
struct Stolen {
    key: PathBuf,
    ca: PathBuf,
}

impl Stolen {
    fn make(folder: &Path, user: &str, serial: u64) -> Stolen {
        let (ca, key) = (folder.join("ca"), folder.join("stolen"));
        for path in [&ca, &key] {
            let make = ["-q", "-t", "ed25519", "-N", "", "-f"];
            assert!(Command::new("ssh-keygen").args(make).arg(path).status().unwrap().success());
        }
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-q", "-s"]).arg(&ca).args(["-I", "req=x;user=anna;ses=y", "-V", "+5m", "-n"]);
        sign.arg(format!("{user}@web-1")).args(["-z", &serial.to_string()]);
        assert!(sign.arg(key.with_extension("pub")).status().unwrap().success());
        Stolen { key, ca }
    }
}

#[test]
fn ended_grant_revokes_its_certificates_on_the_hosts() {
    let site = site();
    let gate = Gate::at(&site);
    let id = gate.grant(&["--command=true"], "1h");
    gate.runs(gate.ssh("anna", &[], &["true"]));
    let start = gate.event("StartSession", |_| true);
    let serial: u64 = parameter(&start, "certificateSerial").parse().unwrap();
    let file = site.home().join("writ.krl");
    let done = bring(&site, &file, &[]);
    assert_eq!(done.code, 0, "{}", done.text);
    let ca = std::fs::read_to_string(site.dir().join("ssh_ca.pub")).unwrap();
    let ca: writ_proof::sshsig::SshPublicKey = ca.parse().unwrap();
    let writ_proof::sshsig::SshPublicKey::Ed25519(raw) = ca else { panic!("another kind of key") };
    let ca = writ_proof::ed25519::PublicKey(raw);
    let read = || Krl::from_bytes(&std::fs::read(&file).unwrap()).unwrap();
    assert!(!read().revokes_serial(&ca, serial));

    gate.shift.ok("dora", &["revoke", &id]);
    assert_eq!(bring(&site, &file, &[]).code, 0);
    assert!(read().revokes_serial(&ca, serial), "{serial}");
    // Stock ssh-keygen reads the same of it.
    let said = Command::new("ssh-keygen").args(["-Q", "-l", "-f"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(&serial.to_string()), "{said}");

    // An older list, a cut one, and one of the past: never backwards, and a damaged one is mended.
    let newer = std::fs::read(&file).unwrap();
    let checked = bring(&site, &file, &["--check"]);
    assert_eq!(checked.code, 0, "{}", checked.text);
    let mut future = Krl::new(read().version() + 1_000_000_000, read().date(), "writ").unwrap();
    future.revoke_serials(Some(&ca), 1..=1).unwrap();
    std::fs::write(&file, future.to_bytes().unwrap()).unwrap();
    let refused = bring(&site, &file, &[]);
    assert!(
        refused.code != 0 && refused.text.contains("somebody shows an old one"),
        "{}",
        refused.text
    );
    assert_eq!(std::fs::read(&file).unwrap(), future.to_bytes().unwrap());
    std::fs::write(&file, &newer[..newer.len() / 2]).unwrap();
    assert_eq!(bring(&site, &file, &[]).code, 0);
    assert!(read().revokes_serial(&ca, serial));
    std::fs::write(&file, Krl::new(1, 1_700_000_000, "writ").unwrap().to_bytes().unwrap()).unwrap();
    let old = bring(&site, &file, &["--check"]);
    assert!(old.code != 0 && old.text.contains("look why no newer one comes"), "{}", old.text);
    // Another installation's word is none.
    let (data, out) = (site.dir().to_str().unwrap(), file.to_str().unwrap());
    let foreign = "00".repeat(32);
    let said = site::run(&["krl", "--data", data, "--genesis", &foreign, "--out", out]);
    assert_ne!(said.code, 0, "{}", said.text);
}

/// A stock `sshd` with `RevokedKeys`: refuses a certificate by its serial number from the next login on, and
/// every login while the file is gone.
#[test]
fn stock_sshd_refuses_a_revoked_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout);
    let user = user.unwrap().trim().to_owned();
    let stolen = Stolen::make(folder.path(), &user, 4711);
    let text = std::fs::read_to_string(stolen.ca.with_extension("pub")).unwrap();
    let key: writ_proof::sshsig::SshPublicKey = text.parse().unwrap();
    let writ_proof::sshsig::SshPublicKey::Ed25519(ca) = key else { panic!("another kind of key") };
    let ca = writ_proof::ed25519::PublicKey(ca);
    let list = |serial: Option<u64>| {
        let mut krl = Krl::new(1, 1, "writ").unwrap();
        if let Some(serial) = serial {
            krl.revoke_serials(Some(&ca), serial..=serial).unwrap();
        }
        std::fs::write(path("krl"), krl.to_bytes().unwrap()).unwrap();
    };
    list(None);
    let make = ["-q", "-t", "ed25519", "-N", "", "-f"];
    assert!(Command::new("ssh-keygen").args(make).arg(path("host")).status().unwrap().success());
    std::fs::write(path("principals"), format!("{user}@web-1\n")).unwrap();
    std::fs::create_dir_all("/run/sshd").ok();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let show = |name: &str| path(name).display().to_string();
    let config = format!(
        "ListenAddress {address}\nHostKey {}\nPidFile none\nAuthorizedKeysFile none\nTrustedUserCAKeys {}\n\
         AuthorizedPrincipalsFile {}\nRevokedKeys {}\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\nStrictModes no\n",
        show("host"),
        stolen.ca.with_extension("pub").display(),
        show("principals"),
        show("krl"),
    );
    std::fs::write(path("config"), config).unwrap();
    let mut sshd = Command::new("/usr/sbin/sshd");
    sshd.args(["-D", "-f", &show("config"), "-E", &show("log")]).stdin(Stdio::null());
    let mut sshd = sshd.spawn().expect("openssh-server is needed");
    until("sshd to listen", || std::net::TcpStream::connect(address).ok());
    let login = || {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
        ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-i"]);
        ssh.arg(&stolen.key).args(["-p", &address.port().to_string(), "-l", &user]);
        ssh.args(["127.0.0.1", "true"])
            .env_remove("SSH_AUTH_SOCK")
            .output()
            .unwrap()
            .status
            .success()
    };
    let seen = [
        login(),
        {
            list(Some(4711));
            login()
        },
        {
            list(Some(4712));
            login()
        },
        {
            std::fs::remove_file(path("krl")).unwrap();
            login()
        },
    ];
    let log = std::fs::read_to_string(path("log")).unwrap_or_default();
    sshd.kill().ok();
    sshd.wait().ok();
    assert_eq!(seen, [true, false, true, false], "{log}");
    assert!(log.contains("revoked"), "{log}");
}
