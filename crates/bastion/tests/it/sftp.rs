//! OpenSSH's `sftp` and `sftp-server` with the watch between them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use writ_bastion::sftp::{Caps, Output, Right, Rights, Sftp};
use writ_proof::hash::sha256;
use writ_proof::recording::event::{FileTransfer, SftpEvent};

const SERVER: &str = "/usr/lib/openssh/sftp-server";

/// The folder `up` may be used, `secret` beside it may not.
struct Site {
    dir: TempDir,
}

impl Site {
    fn new() -> Option<Site> {
        if !Path::new(SERVER).exists() {
            eprintln!("skipped: {SERVER} is not installed (package openssh-sftp-server)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        for folder in ["up", "secret", "local"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("secret/key"), "the secret").unwrap();
        Some(Site { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    fn rights(&self, rights: &[Right]) -> Rights {
        let glob = format!("{}/**", self.path("up").display());
        let mut given = Rights::default();
        for right in rights {
            assert!(given.add(*right, [glob.parse().unwrap()]));
        }
        given
    }

    /// What the client said to these commands, and what was told of them.
    fn run(&self, rights: &[Right], commands: &str) -> (String, Vec<SftpEvent>) {
        let caps = Caps { file_max_bytes: 1 << 20, session_max_bytes: 3 << 20, files: 50 };
        self.run_with(Sftp::new(self.rights(rights), caps), commands)
    }

    fn run_with(&self, sftp: Sftp, commands: &str) -> (String, Vec<SftpEvent>) {
        let (there, back) = (self.path("there"), self.path("back"));
        for fifo in [&there, &back] {
            std::fs::remove_file(fifo).ok();
            assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
        }
        let script = self.path("pump.sh");
        let lines =
            format!("exec 3<&0\ncat <&3 >{} &\nexec cat {}\n", there.display(), back.display());
        std::fs::write(&script, lines).unwrap();
        std::fs::write(self.path("batch"), commands).unwrap();
        let client = Command::new("sftp")
            .args(["-b", "batch", "-D", &format!("sh {}", script.display())])
            .current_dir(self.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let events = pump(sftp, &there, &back, &self.path("up"));
        let output = client.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8_lossy(&said).into_owned(), events)
    }
}

/// Carries bytes between the client's pipes and a server until either ends.
fn pump(sftp: Sftp, there: &Path, back: &Path, home: &Path) -> Vec<SftpEvent> {
    let mut server = Command::new(SERVER)
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let to_host = sender(server.stdin.take().unwrap());
    let from_operator = File::open(there).unwrap();
    let to_operator = sender(File::options().write(true).open(back).unwrap());
    let state = Arc::new(Mutex::new((Some(sftp), Vec::new())));
    let from_host = server.stdout.take().unwrap();
    let host_side = {
        let (state, to_host, to_operator) =
            (Arc::clone(&state), to_host.clone(), to_operator.clone());
        std::thread::spawn(move || {
            carry(from_host, &state, &to_host, &to_operator, |sftp, bytes| sftp.from_host(bytes));
        })
    };
    carry(from_operator, &state, &to_host, &to_operator, |sftp, b| sftp.from_operator(b));
    // The client has ended: so does the server.
    drop((to_host, to_operator));
    let (sftp, mut events) = {
        let mut state = state.lock().unwrap();
        (state.0.take(), std::mem::take(&mut state.1))
    };
    server.kill().ok();
    server.wait().unwrap();
    host_side.join().unwrap();
    events.extend(sftp.into_iter().flat_map(Sftp::finish));
    events
}

type State = Mutex<(Option<Sftp>, Vec<SftpEvent>)>;

fn carry(
    mut from: impl Read,
    state: &State,
    to_host: &Sender<Vec<u8>>,
    to_operator: &Sender<Vec<u8>>,
    step: impl Fn(&mut Sftp, &[u8]) -> Result<Output, writ_bastion::sftp::Broken>,
) {
    let mut bytes = vec![0; 40_000];
    while let Ok(read) = from.read(&mut bytes) {
        let mut state = state.lock().unwrap();
        let (Some(sftp), events) = &mut *state else { return };
        if read == 0 {
            return;
        }
        let mut output = step(sftp, &bytes[..read]).unwrap();
        loop {
            events.extend(output.events);
            to_host.send(output.to_host).ok();
            to_operator.send(output.to_operator).ok();
            if !output.more {
                break;
            }
            output = sftp.go_on().unwrap();
        }
    }
}

/// A thread that writes, so that two full pipes do not wait for each other.
fn sender(mut to: impl Write + Send + 'static) -> Sender<Vec<u8>> {
    let (sender, receiver) = channel::<Vec<u8>>();
    std::thread::spawn(move || {
        while let Ok(bytes) = receiver.recv() {
            if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

fn transfers(events: &[SftpEvent]) -> Vec<&FileTransfer> {
    let transfers = events.iter().filter_map(|event| match event {
        SftpEvent::Transferred(transfer) => Some(transfer),
        _ => None,
    });
    transfers.collect()
}

fn denials(events: &[SftpEvent]) -> Vec<String> {
    let denials = events.iter().filter_map(|event| match event {
        SftpEvent::Denied(denial) => Some(denial.asked.operation.clone()),
        _ => None,
    });
    denials.collect()
}

fn asked(events: &[SftpEvent]) -> Vec<String> {
    let asked = events.iter().filter_map(|event| match event {
        SftpEvent::Asked(asked) => Some(asked.operation.clone()),
        _ => None,
    });
    asked.collect()
}

#[test]
fn files_go_up_and_down_with_their_digests() {
    let Some(site) = Site::new() else { return };
    let content: String = (0..60_000).map(|n| format!("{n};")).collect();
    std::fs::write(site.path("local/big"), &content).unwrap();
    std::fs::write(site.path("local/empty"), "").unwrap();
    let up = site.path("up");
    let commands = format!(
        "put local/big {up}/big\nput local/empty {up}/empty\nget {up}/big local/back\nls -l {up}\n",
        up = up.display()
    );
    let (said, events) = site.run(&Right::ALL, &commands);
    assert_eq!(site.read("up/big").as_ref(), Some(&content), "{said}");
    assert_eq!(site.read("local/back").as_ref(), Some(&content), "{said}");
    assert_eq!(site.read("up/empty").as_deref(), Some(""), "{said}");
    assert!(said.contains("empty"), "{said}");
    let digest = Some(sha256(content.as_bytes()));
    let moved = transfers(&events);
    assert_eq!(moved.len(), 3, "{events:?}");
    let sent = moved.iter().find(|t| t.written_bytes > 0).unwrap();
    assert_eq!((sent.written_bytes, sent.written_digest), (content.len() as u64, digest));
    let fetched = moved.iter().find(|t| t.read_bytes > 0).unwrap();
    assert_eq!((fetched.read_bytes, fetched.read_digest), (content.len() as u64, digest));
    assert!(moved.iter().all(|t| !t.partial && !t.scattered), "{moved:?}");
    assert_eq!(denials(&events), Vec::<String>::new());
}

#[test]
fn every_operation_of_the_client_works_within_its_rights() {
    let Some(site) = Site::new() else { return };
    std::fs::write(site.path("local/f"), "content").unwrap();
    let commands = "put local/f a\nrename a b\nln b hard\nln -s b soft\nget soft local/soft\n\
                    mkdir d\nchmod 640 b\nput -p local/f d/p\nls d\ncd d\npwd\ncd ..\nrm d/p\n\
                    rmdir d\ndf\nput -f local/f synced\nls -la\nrm hard\n";
    let (said, events) = site.run(&Right::ALL, commands);
    assert_eq!(denials(&events), Vec::<String>::new(), "{said}");
    assert_eq!(site.read("local/soft").as_deref(), Some("content"), "{said}");
    assert_eq!(site.read("up/synced").as_deref(), Some("content"), "{said}");
    assert!(!site.path("up/d").exists() && !site.path("up/hard").exists(), "{said}");
    assert!(!site.path("up/a").exists() && site.path("up/soft").is_symlink(), "{said}");
    let asked = asked(&events);
    for operation in [
        "open", "rename", "link", "symlink", "mkdir", "setstat", "fsetstat", "remove", "rmdir",
        "statvfs",
    ] {
        assert!(asked.iter().any(|one| one == operation), "{operation}: {asked:?}\n{said}");
    }
}

#[test]
fn missing_rights_are_refused_one_by_one() {
    let Some(site) = Site::new() else { return };
    std::fs::write(site.path("local/f"), "content").unwrap();
    for (missing, command) in [
        (Right::Write, "put local/f new"),
        (Right::Read, "get f local/got"),
        (Right::List, "ls ."),
        (Right::Remove, "rm f"),
        (Right::Rename, "rename f g"),
        (Right::Mkdir, "mkdir d"),
        (Right::Setattr, "chmod 600 f"),
        (Right::Link, "ln -s f s"),
        (Right::Link, "ln f h"),
    ] {
        std::fs::write(site.path("up/f"), "here").unwrap();
        let others: Vec<Right> = Right::ALL.into_iter().filter(|right| *right != missing).collect();
        let (said, events) = site.run(&others, &format!("{command}\n"));
        assert!(!denials(&events).is_empty(), "{command}: {said}");
        assert_eq!(site.read("up/f").as_deref(), Some("here"), "{command}");
        for made in ["up/new", "up/g", "up/d", "up/s", "up/h", "local/got"] {
            assert!(!site.path(made).exists(), "{command} made {made}: {said}");
        }
        // With the right it works.
        let (said, events) = site.run(&Right::ALL, &format!("{command}\n"));
        assert!(denials(&events).is_empty(), "{command}: {said}");
        for made in ["up/new", "up/g", "up/s", "up/h", "local/got"] {
            std::fs::remove_file(site.path(made)).ok();
        }
        std::fs::remove_dir(site.path("up/d")).ok();
    }
}

#[test]
fn symbolic_links_lead_nowhere_outside() {
    let Some(site) = Site::new() else { return };
    std::fs::write(site.path("local/f"), "planted").unwrap();
    symlink(site.path("secret/key"), site.path("up/file")).unwrap();
    symlink("../secret", site.path("up/dir")).unwrap();
    symlink(site.path("secret/new"), site.path("up/dangling")).unwrap();
    symlink("/", site.path("up/root")).unwrap();
    std::fs::create_dir(site.path("up/in")).unwrap();
    symlink("in", site.path("up/within")).unwrap();
    // The operator's own link, which may be made: what goes up from there goes up from `up`, and its text says less.
    let prepared = format!("mkdir p\nmkdir p/q\nln -s {} p/q/r\n", site.path("up").display());
    let (said, events) = site.run(&Right::ALL, &prepared);
    assert_eq!(denials(&events), Vec::<String>::new(), "{said}");
    let whole = format!("ln -s {}/../secret/key stolen", site.path("up/p/q/r").display());
    let attacks = [
        "put local/f file",
        "put local/f dir/planted",
        "put local/f dangling",
        "get file local/got",
        "get dir/key local/got",
        "ls dir/key",
        "cd dir",
        "rm dir/key",
        "rename dir/key stolen",
        "rename in dir/moved",
        "mkdir dir/made",
        "chmod 777 file",
        "chmod 777 dir/key",
        "ln dir/key stolen",
        "ln -s ../secret/key stolen",
        "ln -s /etc/passwd stolen",
        "put local/f ../secret/planted",
        "put local/f in/../../secret/planted",
        "get root/etc/passwd local/got",
        "ln -s ../secret/key p/q/r/stolen",
        "ln -s ../../../etc/shadow p/q/r/stolen",
        &whole,
    ];
    for attack in attacks {
        let before = std::fs::metadata(site.path("secret/key")).unwrap().permissions();
        let (said, events) = site.run(&Right::ALL, &format!("{attack}\n"));
        assert!(!denials(&events).is_empty(), "{attack}: {said}");
        assert_eq!(site.read("secret/key").as_deref(), Some("the secret"), "{attack}");
        let after = std::fs::metadata(site.path("secret/key")).unwrap().permissions();
        assert_eq!(before, after, "{attack}");
        let secret: Vec<_> = std::fs::read_dir(site.path("secret")).unwrap().collect();
        assert_eq!(secret.len(), 1, "{attack} made something outside");
        for stolen in ["local/got", "up/stolen"] {
            assert!(!site.path(stolen).exists() && !site.path(stolen).is_symlink(), "{attack}");
        }
    }
    // A link that stays within is followed.
    let (said, events) = site.run(&Right::ALL, "put local/f within/good\n");
    assert_eq!(denials(&events), Vec::<String>::new(), "{said}");
    assert_eq!(site.read("up/in/good").as_deref(), Some("planted"), "{said}");
    let moved = transfers(&events);
    assert!(moved[0].path.ends_with("/up/in/good"), "the record names the real path: {moved:?}");
    // The link itself may be removed.
    let (_, events) = site.run(&Right::ALL, "rm file\n");
    assert_eq!(denials(&events), Vec::<String>::new());
    assert!(!site.path("up/file").is_symlink() && site.path("secret/key").exists());
}

#[test]
fn caps_stop_a_transfer_and_its_record_says_so() {
    let Some(site) = Site::new() else { return };
    std::fs::write(site.path("local/big"), vec![b'x'; 200_000]).unwrap();
    std::fs::write(site.path("up/big"), vec![b'y'; 200_000]).unwrap();
    let caps = Caps { file_max_bytes: 100_000, session_max_bytes: 1 << 30, files: 10 };
    for command in ["put local/big new", "get big local/got"] {
        let sftp = Sftp::new(site.rights(&Right::ALL), caps);
        let (said, events) = site.run_with(sftp, &format!("{command}\n"));
        assert!(said.contains("100000 bytes a file") || said.contains("denied"), "{said}");
        assert!(!denials(&events).is_empty());
        let moved = transfers(&events);
        assert!(moved[0].read_bytes <= 100_000 && moved[0].written_bytes <= 100_000, "{moved:?}");
    }
    assert!(std::fs::metadata(site.path("up/new")).unwrap().len() <= 100_000);
    let got = std::fs::metadata(site.path("local/got")).map_or(0, |got| got.len());
    assert!(got <= 100_000);
    let caps = Caps { files: 1, ..caps };
    let sftp = Sftp::new(site.rights(&Right::ALL), caps);
    std::fs::write(site.path("local/small"), "x").unwrap();
    let (said, _) = site.run_with(sftp, "put local/small one\nput local/small two\n");
    assert!(site.path("up/one").exists() && !site.path("up/two").exists(), "{said}");
}
