//! The bastion of a running installation between stock OpenSSH clients and a stock `sshd`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use writ_tests::ledger::Event;
use writ_tests::site::ANN;
use writ_tests::wait::within;
use writ_tests::{Options, Site, until};

use super::access::{Shift, id_of};
use super::roster::Desk;

/// Floors for the small disks of test machines.
pub(crate) const FLOORS: &str = "recordings-floor-mib = 2\nrecordings-close-mib = 1\n";

/// A site whose bastion works on small disks.
pub(crate) fn site() -> Site {
    Site::with(Options {
        accounts: vec![ANN.to_owned()],
        config: Some(FLOORS.to_owned()),
        ..Options::default()
    })
}

/// A managed host: a stock `sshd` that trusts the site's authority and nobody else.
pub(crate) struct Host {
    folder: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) user: String,
    process: Child,
}

impl Host {
    pub(crate) fn start(site: &Site) -> Host {
        // Where sshd runs as root it wants this folder, which the system's start script makes.
        std::fs::create_dir_all("/run/sshd").ok();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let key = ["-q", "-t", "ed25519", "-N", "", "-f", &path("host_key")];
        assert!(Command::new("ssh-keygen").args(key).status().unwrap().success());
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout);
        let user = user.unwrap().trim().to_owned();
        std::fs::write(folder.path().join("principals"), format!("{user}@web-1\n")).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "ListenAddress {address}\nHostKey {}\nPidFile {}\nExposeAuthInfo yes\nAuthorizedKeysFile none\n\
             TrustedUserCAKeys {}\nAuthorizedPrincipalsFile {}\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\nStrictModes no\n\
             AcceptEnv LANG LC_*\nLogLevel VERBOSE\nAllowTcpForwarding yes\nX11Forwarding yes\n\
             AllowAgentForwarding yes\nSubsystem sftp internal-sftp\n",
            path("host_key"),
            path("pid"),
            site.dir().join("ssh_ca.pub").display(),
            path("principals"),
        );
        std::fs::write(folder.path().join("sshd_config"), config).unwrap();
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-f", &path("sshd_config"), "-E", &path("log")]);
        let process = sshd.stdin(Stdio::null()).spawn().expect("openssh-server is needed");
        let host = Host { folder, address, user, process };
        until("sshd to listen", || TcpStream::connect(address).ok());
        host
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("host_key.pub")
    }

    /// The file that names this `sshd` among others on the machine.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A staffed site with one host: `anna` and `dora` may ask, `boris` and `carla` approve.
pub(crate) struct Gate<'s> {
    pub(crate) shift: Shift<'s>,
    pub(crate) host: Host,
}

impl<'s> Gate<'s> {
    pub(crate) fn at(site: &'s Site) -> Gate<'s> {
        let host = Host::start(site);
        let desk = Desk::at(site);
        for person in ["anna", "boris", "carla", "dora"] {
            desk.enrol(person);
        }
        let owners = ["--owner=anna", "--owner=boris"];
        let approvers = ["add-group", "approvers", "--title=Approvers", "--tier=privileged"];
        desk.changes(&[&approvers[..], &owners].concat());
        let (address, key) = (format!("--address={}", host.address), host.key());
        let add = ["add-host", "web-1", &address, "--account", ANN, "--key"];
        desk.changes(&[&add[..], &[key.to_str().unwrap()]].concat());
        let login = format!("--login={}", host.user);
        let group = ["add-group", "oncall", "--title=On call", "--tier=sensitive"];
        let rules =
            ["--slot=peers:2:group:approvers", "--host=web-*", "--kind=ssh", "--max-hours=4"];
        let files = ["--file=rw:/"];
        desk.changes(&[&group[..], &owners, &rules, &files, &[&login]].concat());
        for person in ["boris", "carla"] {
            desk.changes(&["add-member", "--group=approvers", "--person", person]);
        }
        for person in ["anna", "dora"] {
            desk.changes(&["add-member", "--group=oncall", "--person", person, "--days=90"]);
        }
        let shift = Shift { site };
        shift.ok("anna", &["ticket", "open", "OPS-17", "The disk of web-1 is full"]);
        Gate { shift, host }
    }

    pub(crate) fn site(&self) -> &Site {
        self.shift.site
    }

    /// A grant of `anna`'s, for this and for so long.
    #[track_caller]
    pub(crate) fn grant(&self, what: &[&str], length: &str) -> String {
        self.grant_of("anna", what, length)
    }

    /// The same, of somebody else's.
    #[track_caller]
    pub(crate) fn grant_of(&self, person: &str, what: &[&str], length: &str) -> String {
        let login = format!("--login={}", self.host.user);
        let ask = ["request", "--group=oncall", "--host=web-1", &login, "--ticket=OPS-17"];
        let why = ["--reason=the disk is full", "--for", length];
        let id = id_of(&self.shift.ok(person, &[&ask[..], &why, what].concat()));
        self.shift.ok("boris", &["approve", &id]);
        let text = self.shift.ok("carla", &["approve", &id]);
        assert!(text.contains("granted: "), "{text}");
        id
    }

    /// Files a request of `anna`'s; answers its id.
    #[track_caller]
    fn asked(&self, what: &[&str], length: &str) -> String {
        let login = format!("--login={}", self.host.user);
        let ask = ["request", "--group=oncall", "--host=web-1", &login, "--ticket=OPS-17"];
        let why = ["--reason=the disk is full", "--for", length];
        id_of(&self.shift.ok("anna", &[&ask[..], &why, what].concat()))
    }

    /// The same, asked for with a security key that this provider speaks to.
    #[track_caller]
    pub(crate) fn asked_with(
        &self,
        provider: &str,
        person: &str,
        what: &[&str],
        length: &str,
    ) -> String {
        let login = format!("--login={}", self.host.user);
        let (key, data) = (self.shift.key(person), self.site().dir());
        let mut ask = Command::new(writ_tests::site::binary());
        ask.args(["request", "--group=oncall", "--host=web-1", &login, "--ticket=OPS-17"]);
        ask.args(["--reason=the disk is full", "--for", length]).args(what);
        ask.arg("--key").arg(key).arg("--data").arg(data).env("SSH_SK_PROVIDER", provider);
        // Without a terminal `ssh-keygen` would read the PIN where the statement comes from. Any PIN will do.
        ask.env("SSH_ASKPASS", "/bin/hostname").env("SSH_ASKPASS_REQUIRE", "force");
        let output = ask.stdin(Stdio::null()).output().unwrap();
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{out}{err}\n{}", self.tell());
        let id = id_of(&format!("{out}{err}"));
        self.shift.ok("boris", &["approve", &id]);
        self.shift.ok("carla", &["approve", &id]);
        id
    }

    fn options(&self, person: &str) -> Vec<String> {
        let known = self.site().dir().join("known_hosts");
        let mut options = vec!["-F".to_owned(), "none".to_owned()];
        for option in [
            format!("UserKnownHostsFile={}", known.display()),
            "StrictHostKeyChecking=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "BatchMode=yes".to_owned(),
            format!("IdentityFile={}", self.shift.key(person).display()),
        ] {
            options.extend(["-o".to_owned(), option]);
        }
        options
    }

    pub(crate) fn port(&self) -> String {
        let bastion = self.site().ready["bastion"].as_str().unwrap();
        bastion.rsplit(':').next().unwrap().to_owned()
    }

    /// Stock `ssh` as a person, to the host's login role.
    pub(crate) fn ssh(&self, person: &str, options: &[&str], command: &[&str]) -> Command {
        self.ssh_as(person, &format!("{}+web-1", self.host.user), options, command)
    }

    pub(crate) fn ssh_as(
        &self,
        person: &str,
        user: &str,
        options: &[&str],
        command: &[&str],
    ) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(self.options(person)).args(["-p", &self.port(), "-l", user]);
        ssh.args(options).arg("127.0.0.1").args(command);
        ssh.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        ssh
    }

    /// Stock `sftp` or `scp`.
    pub(crate) fn copy(&self, program: &str, person: &str, options: &[&str]) -> Command {
        let mut copy = Command::new(program);
        copy.args(self.options(person)).args(["-P", &self.port()]).args(options);
        copy.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        copy
    }

    /// What `sftp` and `scp` call the host.
    pub(crate) fn there(&self, path: &str) -> String {
        format!("{}+web-1@127.0.0.1:{path}", self.host.user)
    }

    #[track_caller]
    pub(crate) fn runs(&self, mut command: Command) -> String {
        let output = command.output().unwrap();
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{command:?}: {out}{err}\n{}", self.tell());
        out
    }

    /// Runs a command that must fail; answers what it printed.
    #[track_caller]
    pub(crate) fn fails(&self, mut command: Command) -> String {
        let output = command.output().unwrap();
        let (out, err) = texts(&output);
        assert!(!output.status.success(), "{command:?}: {out}{err}\n{}", self.tell());
        format!("{out}{err}")
    }

    /// Both logs, for a failed test.
    pub(crate) fn tell(&self) -> String {
        format!("{}\n{}", self.host.log(), self.site().log())
    }

    /// A session with a shell that echoes what it reads.
    pub(crate) fn shell(&self, person: &str) -> Shell {
        self.shell_with(person, &[], &["cat"])
    }

    pub(crate) fn shell_with(&self, person: &str, options: &[&str], command: &[&str]) -> Shell {
        let mut ssh = self.ssh(person, options, command);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ssh.spawn().unwrap();
        let stdin = child.stdin.take();
        let (said, errors) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let readers = [
            follow(child.stdout.take().unwrap(), Arc::clone(&said)),
            follow(child.stderr.take().unwrap(), Arc::clone(&errors)),
        ];
        let shell = Shell { child, stdin, said, errors, readers: readers.into() };
        if command == ["cat"] {
            let mut shell = shell;
            shell.types("hello\n");
            until("the shell to answer", || shell.said().contains("hello").then_some(()));
            return shell;
        }
        shell
    }

    /// Waits for an event of the bastion.
    pub(crate) fn event(&self, name: &str, fits: impl Fn(&Event) -> bool) -> Event {
        self.site().ledger().wait(name, |event| event.text("/eventName") == name && fits(event))
    }

    pub(crate) fn events(&self, name: &str) -> Vec<Event> {
        let all = self.site().ledger().events();
        all.into_iter().filter(|event| event.text("/eventName") == name).collect()
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn follow(
    mut from: impl std::io::Read + Send + 'static,
    to: Arc<Mutex<Vec<u8>>>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            to.lock().unwrap().extend_from_slice(&chunk[..read]);
        }
    })
}

/// A session that runs.
pub(crate) struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Arc<Mutex<Vec<u8>>>,
    errors: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Shell {
    pub(crate) fn types(&mut self, text: &str) {
        // The session may be dead, which the caller looks at.
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).ok();
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    pub(crate) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.errors.lock().unwrap()).into_owned()
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; answers what it printed on its standard error.
    #[track_caller]
    pub(crate) fn dies(&mut self, within_time: Duration) -> String {
        let died = within(within_time, || self.child.try_wait().unwrap());
        assert!(died.is_some(), "it lives after {within_time:?}: {}", self.errors());
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        self.errors()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn parameter<'e>(event: &'e Event, name: &str) -> &'e str {
    event
        .record
        .pointer(&format!("/requestParameters/{name}"))
        .and_then(Value::as_str)
        .unwrap_or("")
}

#[test]
fn stock_ssh_comes_in_with_a_grant_and_everything_is_told() {
    let site = site();
    let gate = Gate::at(&site);
    let refused = gate.fails(gate.ssh("anna", &[], &["true"]));
    assert!(refused.contains("no grant lets `anna` log in"), "{refused}");
    let id = gate.grant(&[], "1h");
    assert_eq!(
        gate.runs(gate.ssh("anna", &[], &["echo", "$SSH_CONNECTION | wc -w; exit 0"])),
        "4\n"
    );
    let status = gate.ssh("anna", &[], &["exit 7"]).status().unwrap();
    assert_eq!(status.code(), Some(7));

    let start = gate.event("StartSession", |_| true);
    assert_eq!(
        (start.log.as_str(), start.text("/eventSource")),
        ("operator", "bastion.writ.internal")
    );
    assert_eq!(parameter(&start, "person"), "anna");
    assert_eq!(parameter(&start, "accessRequestId"), id);
    let session = parameter(&start, "sessionId").to_owned();
    let ours = |event: &Event| parameter(event, "sessionId") == session;
    let exec = gate.event("ExecCommand", ours);
    assert!(parameter(&exec, "command").contains("SSH_CONNECTION"));
    let end = gate.event("EndSession", ours);
    assert_eq!(parameter(&end, "reason"), "the operator left");
    assert_eq!(parameter(&end, "bytesFromHost"), "2");
    // The host's own log names the same request, person and session.
    let name = format!("req={id};user=anna;ses={session}");
    assert!(gate.host.log().contains(&name), "{}", gate.host.log());
    // The customer is told, and not who it was.
    let told = gate.event("OperatorSessionStarted", ours);
    assert_eq!(told.log, ANN);
    assert!(!told.record.to_string().contains("anna"), "{}", told.record);
    let ended = gate.event("OperatorSessionEnded", ours);
    assert_eq!(parameter(&ended, "recordingHead"), parameter(&end, "recordingHead"));
    let refused = gate.event("RefuseLogin", |_| true);
    assert_eq!(parameter(&refused, "person"), "anna");
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

#[test]
fn terminal_environment_and_signals_reach_the_host() {
    let site = site();
    let gate = Gate::at(&site);
    gate.grant(&[], "1h");
    let mut ssh =
        gate.ssh("anna", &["-tt", "-o", "SetEnv=LC_TEST=yes"], &["tty; echo $TERM $LC_TEST"]);
    ssh.env("TERM", "xterm-256color");
    let said = gate.runs(ssh);
    assert!(said.starts_with("/dev/pts/") && said.contains("xterm-256color yes"), "{said}");
    // Large data in both directions, byte for byte.
    let mut ssh = gate.ssh("anna", &[], &["cat"]);
    ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = ssh.spawn().unwrap();
    let data: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    let (mut stdin, sent) = (child.stdin.take().unwrap(), data.clone());
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let mut back = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(back == data, "{} bytes came back", back.len());
}

/// Stock `sftp` and `scp`, with rights for one folder: what it gives goes, the rest is denied, and all of it is told.
#[test]
fn files_go_where_the_grant_says_and_each_is_told() {
    let site = site();
    let gate = Gate::at(&site);
    let folder = site.home().join("files");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("there"), vec![7u8; 300_000]).unwrap();
    let read_only = site.home().join("read-only");
    std::fs::create_dir(&read_only).unwrap();
    std::fs::write(read_only.join("note"), "a note").unwrap();
    let rules =
        [format!("--file=rw:{}/", folder.display()), format!("--file=ro:{}/", read_only.display())];
    let id = gate.grant(&[&rules[0], &rules[1]], "1h");
    let path = |name: &str| folder.join(name).display().to_string();
    let own = |name: &str| site.home().join(name).display().to_string();
    // Down and up, byte for byte.
    gate.runs(gate.copy("scp", "anna", &["-q", &gate.there(&path("there")), &own("back")]));
    assert!(std::fs::read(own("back")).unwrap() == vec![7u8; 300_000]);
    gate.runs(gate.copy("scp", "anna", &["-q", &own("back"), &gate.there(&path("new"))]));
    assert!(std::fs::read(path("new")).unwrap() == vec![7u8; 300_000]);
    let sum = writ_proof::hash::sha256(&vec![7u8; 300_000]).to_string();
    let sent = gate.event("FileTransfer", |event| parameter(event, "sha256Written") == sum);
    assert_eq!(
        (parameter(&sent, "path"), parameter(&sent, "accessRequestId")),
        (&*path("new"), &*id)
    );
    gate.event("FileTransfer", |event| parameter(event, "sha256Read") == sum);
    // What the grant does not give.
    for (from, to) in [
        (gate.there("/etc/hostname"), own("stolen")),
        (gate.there(&format!("{}/../back", folder.display())), own("stolen")),
        (own("back"), gate.there(&read_only.join("note").display().to_string())),
        (own("back"), gate.there("/tmp/writ-not-given")),
    ] {
        gate.fails(gate.copy("scp", "anna", &["-q", &from, &to]));
    }
    assert_eq!(std::fs::read_to_string(read_only.join("note")).unwrap(), "a note");
    assert!(!std::path::Path::new(&own("stolen")).exists());
    let denied =
        gate.event("RefuseFileOperation", |event| parameter(event, "paths") == "/etc/hostname");
    assert_eq!(denied.error(), "AccessDenied");
    // No shell and no command with a grant for files.
    gate.fails(gate.ssh("anna", &[], &["id"]));
    // The interactive client, in one session.
    let batch = site.home().join("batch");
    std::fs::write(
        &batch,
        format!("cd {0}\nls\nrename new newer\nrm newer\nget there /dev/null\n", folder.display()),
    )
    .unwrap();
    let batch = batch.display().to_string();
    let said =
        gate.runs(gate.copy("sftp", "anna", &["-b", &batch, gate.there("").trim_end_matches(':')]));
    assert!(said.contains("there") && !folder.join("newer").exists(), "{said}");
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// `writ ssh` needs nothing but the data directory, and `writ sessions` tells what it led to.
#[test]
fn writ_ssh_logs_in_and_writ_sessions_lists_it() {
    let site = site();
    let gate = Gate::at(&site);
    let id = gate.grant(&[], "1h");
    let (to, key) = (format!("{}@web-1", gate.host.user), gate.shift.key("anna"));
    let data = site.dir().to_str().unwrap();
    let run = ["ssh", &to, "--data", data, "--key", key.to_str().unwrap(), "--", "echo", "hello"];
    let done = writ_tests::site::run(&run);
    assert!(done.code == 0 && done.text.contains("hello"), "{}", done.text);
    let missing = ["ssh", &to, "--data", data, "--key", "/no/such/key"];
    let done = writ_tests::site::run(&missing);
    assert!(done.text.contains("there is no key `/no/such/key`"), "{}", done.text);
    gate.event("EndSession", |_| true);
    let listed = writ_tests::site::run(&["sessions", "--data", data, "--request", &id]);
    assert!(
        listed.text.contains("anna") && listed.text.contains("the operator left"),
        "{}",
        listed.text
    );
}

/// asyncssh as a second client: the same gate, also for names and requests that stock `ssh` does not send.
#[test]
fn asyncssh_gets_what_the_grant_gives_and_nothing_else() {
    let site = site();
    let gate = Gate::at(&site);
    let folder = site.home().join("files");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("there");
    std::fs::write(&file, vec![7u8; 300_000]).unwrap();
    gate.grant(&["--shell", &format!("--file=ro:{}/", folder.display())], "1h");
    let mut python = Command::new(writ_tests::site::tools().join("venv/bin/python"));
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/operators/gate.py"));
    python.arg(gate.port()).arg(site.dir()).arg(gate.shift.key("anna"));
    let said = gate.runs({
        python.arg(&gate.host.user).arg(&file);
        python
    });
    assert!(!said.contains("GIVEN"), "{said}");
    for line in [
        "run 'through asyncssh\\n' 'err\\n' 3",
        "tty True",
        "sftp 300000",
        "refused sftp",
        "refused symlink",
        "refused direct-tcpip",
        "refused streamlocal",
        "refused tcpip-forward",
        "refused unix-forward",
        "env 'A=\\n'",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(said.matches("refused login").count(), 7, "{said}");
    for asked in
        ["env", "channel direct-streamlocal@openssh.com", "streamlocal-forward@openssh.com"]
    {
        gate.event("RefuseRequest", |event| parameter(event, "asked") == asked);
    }
    gate.event("RefuseLogin", |event| parameter(event, "user").contains(";id"));
}

/// Who approved and has left the approvers since does not count, and holds up nobody for whom others agreed.
#[test]
fn approval_that_counts_no_more_makes_no_good_grant_unusable() {
    let site = site();
    let gate = Gate::at(&site);
    let desk = Desk::at(&site);
    desk.enrol("eve");
    desk.changes(&["add-member", "--group=approvers", "--person=eve"]);
    let id = gate.asked(&["--command=echo hi"], "1h");
    gate.shift.ok("eve", &["approve", &id]);
    desk.changes(&["remove-member", "--group=approvers", "--person=eve"]);
    gate.shift.ok("boris", &["approve", &id]);
    let text = gate.shift.ok("carla", &["approve", &id]);
    assert!(text.contains("granted: "), "{text}");
    assert_eq!(gate.runs(gate.ssh("anna", &[], &["echo hi"])).trim(), "hi");
    // Without enough of the others it is no grant any more.
    desk.changes(&["remove-member", "--group=approvers", "--person=boris"]);
    gate.fails(gate.ssh("anna", &[], &["echo hi"]));
    assert_eq!(site.verify().code, 0);
}
