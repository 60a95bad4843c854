//! The baseline: a plain `sshd` that knows the operator's key, and the commands of each way.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use writ_tests::until;

use crate::World;
use crate::operators::gate::Gate;

/// A way to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Straight to `sshd`.
    Plain,
    /// Through a jump host, which is `sshd` too.
    Jump,
    /// Through the bastion.
    Writ,
}

impl Way {
    pub(crate) const ALL: [Way; 3] = [Way::Plain, Way::Jump, Way::Writ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Plain => "plain",
            Way::Jump => "through a jump host",
            Way::Writ => "writ",
        }
    }
}

/// A plain `sshd`.
pub(crate) struct Plain {
    process: Child,
    folder: TempDir,
    address: SocketAddr,
    user: String,
    key: String,
}

impl Plain {
    pub(crate) fn start(gate: &Gate<'_>) -> Plain {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let make = ["-q", "-t", "ed25519", "-N", "", "-f", &path("host_key")];
        assert!(Command::new("ssh-keygen").args(make).status().unwrap().success());
        let key = gate.shift.key("anna");
        std::fs::copy(key.with_extension("pub"), folder.path().join("keys")).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let public = std::fs::read_to_string(path("host_key.pub")).unwrap();
        let known = format!("[127.0.0.1]:{} {public}", address.port());
        std::fs::write(folder.path().join("known"), known).unwrap();
        let config = format!(
            "ListenAddress {address}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n\
             PermitRootLogin yes\nStrictModes no\nLogLevel VERBOSE\nSubsystem sftp internal-sftp\n",
            path("host_key"),
            path("keys"),
        );
        std::fs::write(folder.path().join("sshd_config"), config).unwrap();
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-f", &path("sshd_config"), "-E", &path("log")]);
        let process = sshd.stdin(Stdio::null()).spawn().expect("openssh-server is needed");
        until("sshd to listen", || TcpStream::connect(address).ok());
        let (user, key) = (gate.host.user.clone(), key.display().to_string());
        Plain { process, folder, address, user, key }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    fn options(&self, jump: bool) -> Vec<String> {
        let known = self.folder.path().join("known");
        let mut options = vec!["-F".to_owned(), "none".to_owned()];
        let mut all = vec![
            format!("UserKnownHostsFile={}", known.display()),
            "StrictHostKeyChecking=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "BatchMode=yes".to_owned(),
            format!("IdentityFile={}", self.key),
            format!("Port={}", self.address.port()),
            format!("User={}", self.user),
        ];
        if jump {
            let inner = self.options(false).join(" ");
            all.push(format!("ProxyCommand=ssh {inner} -W %h:%p 127.0.0.1"));
        }
        for option in all {
            options.extend(["-o".to_owned(), option]);
        }
        options
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl World<'_> {
    pub(crate) fn ssh(&self, way: Way, options: &[&str], command: &[&str]) -> Command {
        if way == Way::Writ {
            return self.gate.ssh("anna", options, command);
        }
        let mut ssh = Command::new("ssh");
        ssh.args(self.plain.options(way == Way::Jump)).args(options);
        ssh.arg("127.0.0.1").args(command);
        ssh.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        ssh
    }

    pub(crate) fn sftp(&self, way: Way, batch: &Path) -> Command {
        let batch = ["-q", "-b", batch.to_str().unwrap()];
        if way == Way::Writ {
            let there = self.gate.there("");
            let to = [there.trim_end_matches(':')];
            return self.gate.copy("sftp", "anna", &[&batch[..], &to].concat());
        }
        let mut sftp = Command::new("sftp");
        sftp.args(self.plain.options(way == Way::Jump)).args(batch).arg("127.0.0.1");
        sftp.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        sftp
    }
}

/// What OpenSSH this is.
pub(crate) fn version() -> String {
    let said = Command::new("ssh").arg("-V").output().unwrap().stderr;
    String::from_utf8_lossy(&said).trim().to_owned()
}
