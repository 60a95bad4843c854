//! Tests of the watch over SFTP with a host that the test plays. OpenSSH's own programs are in
//! `tests/it/sftp.rs`.

use proptest::prelude::*;
use writ_proof::ssh::{SshReader, put_string};

use super::packet::{kind, put};
use super::*;

const CAPS: Caps = Caps { file_max_bytes: 1000, session_max_bytes: 1500, files: 3 };

fn rights(list: &[(Right, &str)]) -> Rights {
    let mut rights = Rights::default();
    for (right, glob) in list {
        assert!(rights.add(*right, [glob.parse().unwrap()]));
    }
    rights
}

fn all(glob: &str) -> Rights {
    rights(&Right::ALL.map(|right| (right, glob)))
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut string = Vec::new();
    put_string(&mut string, bytes);
    string
}

fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, kind, parts);
    bytes
}

/// A request of the operator with the id 7.
fn request(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    packet(kind, &[&[&7u32.to_be_bytes()[..]], parts].concat())
}

/// Kind, id and rest of each packet.
fn packets(bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut framer = Framer::default();
    framer.add(bytes);
    let mut all = Vec::new();
    while let Some(packet) = framer.next().unwrap() {
        let mut reader = SshReader::new(&packet);
        let (kind, id) = (reader.byte().unwrap(), reader.number().unwrap());
        all.push((kind, id, reader.rest().to_vec()));
    }
    all
}

fn name(id: u32, path: &str) -> Vec<u8> {
    let one = 1u32.to_be_bytes();
    packet(kind::NAME, &[&id.to_be_bytes(), &one, &string(path.as_bytes()), &string(b"x"), &[0; 4]])
}

fn status_packet(id: u32, code: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    status(&mut bytes, id, code, "said the host");
    bytes
}

/// A channel whose greeting is done; home is `/h`.
fn ready(rights: Rights) -> Sftp {
    let mut sftp = Sftp::new(rights, CAPS);
    sftp.from_operator(&packet(kind::INIT, &[&3u32.to_be_bytes()])).unwrap();
    let known = [string(b"posix-rename@openssh.com"), string(b"1")].concat();
    let unknown = [string(b"copy-data"), string(b"1")].concat();
    let version = packet(kind::VERSION, &[&3u32.to_be_bytes(), &unknown, &known]);
    let output = sftp.from_host(&version).unwrap();
    let told = packet(kind::VERSION, &[&3u32.to_be_bytes(), &known]);
    assert_eq!(output.to_operator, told, "an unknown extension is passed on");
    sftp.from_host(&name(0, "/h")).unwrap();
    sftp
}

/// The code of the status that the operator got, and its reason.
fn refused(output: &Output) -> (u32, String) {
    let [(kind::STATUS, 7, body)] = &packets(&output.to_operator)[..] else {
        panic!("{output:?}");
    };
    assert!(output.to_host.is_empty());
    let mut reader = SshReader::new(body);
    (reader.number().unwrap(), reader.text().unwrap().to_owned())
}

#[test]
fn paths_are_normalised_by_their_text() {
    for (path, expected) in [
        ("/a/b", "/a/b"),
        ("a//./b/", "/h/x/a/b"),
        ("", "/h/x"),
        (".", "/h/x"),
        ("../../..", "/"),
        ("/a/../../b", "/b"),
        ("/..", "/"),
    ] {
        let found = normalise(b"/h/x", path.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), expected, "{path}");
    }
    assert_eq!(normalise(b"/", b"/a\0b"), None);
    assert_eq!(normalise(b"/", &[b'a'; 5000]), None);
}

#[test]
fn globs_hold_what_they_say() {
    for (glob, inside, outside) in [
        ("/data/**", &["/data", "/data/x", "/data/x/y"][..], &["/", "/database", "/dat"][..]),
        ("/data/*", &["/data/x"], &["/data", "/data/x/y"]),
        (
            "/var/log/*.log",
            &["/var/log/a.log", "/var/log/.log"],
            &["/var/log/a.log.1", "/var/log/a/b.log"],
        ),
        ("/**/etc/*", &["/etc/a", "/x/y/etc/a"], &["/etc", "/etc/a/b"]),
        ("/a?c", &["/abc"], &["/ac", "/abbc", "/a/c"]),
        ("/", &["/"], &["/a"]),
        ("/*a*b", &["/ab", "/xaxxb", "/aabab"], &["/aba"]),
    ] {
        let parsed: Glob = glob.parse().unwrap();
        assert_eq!(parsed.to_string(), glob);
        inside.iter().for_each(|path| assert!(parsed.holds(path.as_bytes()), "{glob} {path}"));
        outside.iter().for_each(|path| assert!(!parsed.holds(path.as_bytes()), "{glob} {path}"));
    }
    for bad in ["", "data/**", "/a/../b", "/a//b", "/a/", "/a**", "/./a"] {
        assert!(bad.parse::<Glob>().is_err(), "{bad}");
    }
}

#[test]
fn peer_that_speaks_no_sftp_3_is_cut_off() {
    let broken = |bytes: &[u8]| Sftp::new(all("/**"), CAPS).from_operator(bytes).is_err();
    assert!(broken(&packet(kind::INIT, &[&2u32.to_be_bytes()])));
    assert!(broken(&packet(kind::OPEN, &[&3u32.to_be_bytes()])));
    assert!(broken(&[0, 0, 0, 0]));
    assert!(broken(&(256 * 1024 + 1u32).to_be_bytes()), "a packet above 256 KiB");
    assert!(!broken(&(256 * 1024u32).to_be_bytes()));
    let mut sftp = ready(all("/**"));
    let trailing = request(kind::REMOVE, &[&string(b"/a"), b"x"]);
    assert!(sftp.from_operator(&trailing).is_err(), "bytes after a request");
    let handle = request(kind::CLOSE, &[&string(&[1; 300])]);
    assert!(ready(all("/**")).from_operator(&handle).is_err(), "a long handle");
    // A host that answers what nobody asked, or otherwise than asked.
    assert!(ready(all("/**")).from_host(&status_packet(99, 0)).is_err());
    let mut sftp = ready(all("/**"));
    sftp.from_operator(&request(kind::REMOVE, &[&string(b"/a")])).unwrap();
    let handle = packet(kind::HANDLE, &[&1u32.to_be_bytes(), &string(b"h")]);
    assert!(sftp.from_host(&handle).is_err());
    let mut sftp = ready(all("/**"));
    sftp.from_operator(&request(kind::REMOVE, &[&string(b"/a")])).unwrap();
    assert!(sftp.from_host(&name(1, "relative")).is_err());
}

#[test]
fn what_no_right_covers_is_refused_with_its_reason_and_told() {
    let mut sftp = ready(rights(&[(Right::Read, "/data/**")]));
    let open = |path: &str, flags: u32| {
        request(kind::OPEN, &[&string(path.as_bytes()), &flags.to_be_bytes(), &[0; 4]])
    };
    let output = sftp.from_operator(&open("/data/../etc/passwd", 1)).unwrap();
    let reason = "your grant gives no right to read `/etc/passwd`";
    assert_eq!(refused(&output), (3, reason.to_owned()));
    let asked =
        FileOperation { operation: "open".to_owned(), paths: vec!["/etc/passwd".to_owned()] };
    let denial = FileDenial { asked, reason: reason.to_owned() };
    assert_eq!(output.events, [SftpEvent::Denied(denial)]);
    for bad in [
        open("/data/x", 2),
        open("/data/x", 1 | 64),
        open("/data/x", 8 | 16),
        request(kind::OPENDIR, &[&string(b"/data")]),
        request(kind::STAT, &[&string(b"/data/x")]),
        request(kind::SETSTAT, &[&string(b"/data/x"), &[0; 4]]),
        request(kind::REMOVE, &[&string(b"/data/x")]),
        request(kind::MKDIR, &[&string(b"/data/x"), &[0; 4]]),
        request(kind::RENAME, &[&string(b"/data/x"), &string(b"/data/y")]),
        request(kind::SYMLINK, &[&string(b"x"), &string(b"/data/y")]),
        request(kind::REALPATH, &[&string(b"/etc")]),
        request(kind::REMOVE, &[&string(b"/data/\0")]),
    ] {
        let output = sftp.from_operator(&bad).unwrap();
        assert_eq!(refused(&output).0, 3, "{bad:?}");
        assert_eq!(output.events.len(), 1);
    }
    let handle = sftp.from_operator(&request(kind::CLOSE, &[&string(b"none")])).unwrap();
    assert_eq!(refused(&handle).0, 4);
}

#[test]
fn unknown_requests_and_extensions_are_refused() {
    let mut sftp = ready(all("/**"));
    for bad in [
        request(21, &[&string(b"/a")]),
        request(kind::EXTENDED, &[&string(b"copy-data"), &string(b"h")]),
        request(kind::EXTENDED, &[&string(b"made-up@example.org")]),
    ] {
        let output = sftp.from_operator(&bad).unwrap();
        assert_eq!(refused(&output).0, 8);
        assert!(matches!(output.events[..], [SftpEvent::Denied(_)]));
    }
}

/// Between the host's answer about a path and the operation, no name may change.
#[test]
fn path_is_looked_up_only_when_nothing_that_changes_names_is_in_flight() {
    let mut sftp = ready(all("/data/**"));
    let rename = request(kind::RENAME, &[&string(b"/data/a"), &string(b"/data/b")]);
    let open = request(kind::OPEN, &[&string(b"/data/b/x"), &2u32.to_be_bytes(), &[0; 4]]);
    let output = sftp.from_operator(&[rename, open].concat()).unwrap();
    assert_eq!(packets(&output.to_host), [(kind::REALPATH, 1, string(b"/data"))]);
    sftp.from_host(&name(1, "/data")).unwrap();
    let output = sftp.from_host(&name(2, "/data")).unwrap();
    let [(kind::RENAME, 3, body)] = &packets(&output.to_host)[..] else { panic!("{output:?}") };
    assert_eq!(*body, [string(b"/data/a"), string(b"/data/b")].concat());
    let output = sftp.from_host(&status_packet(3, 0)).unwrap();
    assert_eq!(packets(&output.to_host), [(kind::REALPATH, 4, string(b"/data/b/x"))]);
    assert_eq!(packets(&output.to_operator)[0].1, 7);
    // It was a link that leads out.
    let output = sftp.from_host(&name(4, "/etc/x")).unwrap();
    let (code, reason) = refused(&output);
    assert_eq!(code, 3);
    assert!(reason.contains("/etc/x` (through a symbolic link)"), "{reason}");
}

#[test]
fn link_that_the_host_did_not_resolve_is_refused_for_writing() {
    let mut sftp = ready(all("/data/**"));
    let open = request(kind::OPEN, &[&string(b"/data/x"), &2u32.to_be_bytes(), &[0; 4]]);
    sftp.from_operator(&open).unwrap();
    let output = sftp.from_host(&name(1, "/data/x")).unwrap();
    assert_eq!(packets(&output.to_host), [(kind::LSTAT, 2, string(b"/data/x"))]);
    let link = packet(
        kind::ATTRS,
        &[&2u32.to_be_bytes(), &4u32.to_be_bytes(), &0o120_777u32.to_be_bytes()],
    );
    assert_eq!(refused(&sftp.from_host(&link).unwrap()).0, 3);
}

/// Where a link leads is counted from where its folder really lies, and never upwards.
#[test]
fn end_of_a_link_is_judged_from_the_real_folder_and_without_going_up() {
    let rights = || rights(&[(Right::Link, "/data/**"), (Right::Link, "/real/x")]);
    let link =
        |says: &str| request(kind::SYMLINK, &[&string(says.as_bytes()), &string(b"/data/d/x")]);
    for says in ["../e", "e/../f", "/data/d/../../etc", "..", "/data/.."] {
        let (code, reason) = refused(&ready(rights()).from_operator(&link(says)).unwrap());
        assert!(code == 3 && reason.contains("`..`"), "{says}: {reason}");
    }
    let mut sftp = ready(rights());
    let output = sftp.from_operator(&link("secret")).unwrap();
    assert_eq!(packets(&output.to_host), [(kind::REALPATH, 1, string(b"/data/d"))]);
    let (code, reason) = refused(&sftp.from_host(&name(1, "/real")).unwrap());
    assert_eq!(code, 3);
    assert!(reason.contains("/real/secret` (through a symbolic link)"), "{reason}");
    // Below its folder it may lead, and to a whole path.
    for says in ["a..b/...", "/data/e"] {
        let mut sftp = ready(rights());
        sftp.from_operator(&link(says)).unwrap();
        let output = sftp.from_host(&name(1, "/data/d")).unwrap();
        let sent = [string(says.as_bytes()), string(b"/data/d/x")].concat();
        assert_eq!(packets(&output.to_host), [(kind::SYMLINK, 2, sent)]);
    }
}

/// Opens `/data/x` under the handle `h`.
fn opened(flags: u32) -> Sftp {
    let mut sftp = ready(all("/data/**"));
    let open = request(kind::OPEN, &[&string(b"/data/x"), &flags.to_be_bytes(), &[0; 4]]);
    sftp.from_operator(&open).unwrap();
    sftp.from_host(&name(1, "/data/x")).unwrap();
    let mut id = 2u32;
    if flags & 2 != 0 {
        sftp.from_host(&status_packet(2, 2)).unwrap();
        id = 3;
    }
    sftp.from_host(&packet(kind::HANDLE, &[&id.to_be_bytes(), &string(b"h")])).unwrap();
    sftp
}

fn write(offset: u64, length: usize) -> Vec<u8> {
    let data = string(&vec![b'x'; length]);
    request(kind::WRITE, &[&string(b"h"), &offset.to_be_bytes(), &data])
}

#[test]
fn caps_hold_for_files_and_sessions() {
    let mut sftp = opened(2);
    assert!(!sftp.from_operator(&write(0, 1000)).unwrap().to_host.is_empty());
    assert_eq!(refused(&sftp.from_operator(&write(1000, 1)).unwrap()).0, 3, "past the file's cap");
    assert_eq!(refused(&sftp.from_operator(&write(0, 1)).unwrap()).0, 3, "over it again");
    let mut sftp = opened(2);
    sftp.moved_bytes = 1400;
    assert_eq!(refused(&sftp.from_operator(&write(0, 101)).unwrap()).0, 3, "session");
    assert_eq!(refused(&sftp.from_operator(&write(u64::MAX, 1)).unwrap()).0, 3, "far out");
    // What would be read above the cap does not reach the operator.
    let mut sftp = opened(1);
    let read =
        |most: u32| request(kind::READ, &[&string(b"h"), &0u64.to_be_bytes(), &most.to_be_bytes()]);
    sftp.from_operator(&read(2000)).unwrap();
    let data = packet(kind::DATA, &[&3u32.to_be_bytes(), &string(&[1; 1001])]);
    let output = sftp.from_host(&data).unwrap();
    assert_eq!(refused(&output).0, 3);
    // More than was asked for is no answer.
    let mut sftp = opened(1);
    sftp.from_operator(&read(10)).unwrap();
    let data = packet(kind::DATA, &[&3u32.to_be_bytes(), &string(&[1; 11])]);
    assert!(sftp.from_host(&data).is_err());
    // Files of one session.
    let mut sftp = opened(1);
    sftp.opened_files = CAPS.files;
    let open = request(kind::OPEN, &[&string(b"/data/y"), &1u32.to_be_bytes(), &[0; 4]]);
    assert_eq!(refused(&sftp.from_operator(&open).unwrap()).0, 3);
}

#[test]
fn handle_serves_what_it_was_opened_for() {
    let mut sftp = opened(1);
    assert_eq!(refused(&sftp.from_operator(&write(0, 1)).unwrap()).0, 3);
    assert_eq!(
        refused(&sftp.from_operator(&request(kind::READDIR, &[&string(b"h")])).unwrap()).0,
        3
    );
    let mut sftp = opened(2);
    let read = request(kind::READ, &[&string(b"h"), &[0; 8], &[0, 0, 0, 1]]);
    assert_eq!(refused(&sftp.from_operator(&read).unwrap()).0, 3);
}

/// The host may give the handle of a file that it has closed to the next one: nothing may be written
/// there in the old one's name.
#[test]
fn handle_that_is_being_closed_serves_no_more() {
    let mut sftp = opened(2);
    sftp.from_operator(&write(0, 3)).unwrap();
    let close = request(kind::CLOSE, &[&string(b"h")]);
    assert!(!sftp.from_operator(&close).unwrap().to_host.is_empty());
    assert_eq!(refused(&sftp.from_operator(&write(3, 1)).unwrap()).0, 4);
    assert_eq!(refused(&sftp.from_operator(&close).unwrap()).0, 4);
    sftp.from_host(&status_packet(4, 0)).unwrap();
    let output = sftp.from_host(&status_packet(5, 0)).unwrap();
    let [SftpEvent::Transferred(transfer)] = &output.events[..] else { panic!("{output:?}") };
    assert_eq!((transfer.written_bytes, transfer.partial), (3, false));
}

#[test]
fn file_that_is_cut_off_is_partial_with_its_digest_so_far() {
    let mut sftp = opened(2);
    sftp.from_operator(&write(0, 3)).unwrap();
    let events = sftp.finish();
    let [SftpEvent::Transferred(transfer)] = &events[..] else { panic!("{events:?}") };
    assert!(transfer.partial && !transfer.scattered);
    assert_eq!(transfer.written_bytes, 3);
    assert_eq!(transfer.written_digest, Some(writ_proof::hash::sha256(b"xxx")));
    assert_eq!(transfer.read_digest, None);
    // Written elsewhere than at its start: the digest is no file's.
    let mut sftp = opened(2);
    sftp.from_operator(&write(5, 3)).unwrap();
    assert!(matches!(&sftp.finish()[..], [SftpEvent::Transferred(t)] if t.scattered));
}

#[test]
fn requests_without_answer_are_bounded() {
    let mut sftp = opened(2);
    let mut sent = 0;
    for _ in 0..2 * limits::SFTP_MAX_PENDING {
        sent += packets(&sftp.from_operator(&write(0, 0)).unwrap().to_host).len();
    }
    assert_eq!(sent, limits::SFTP_MAX_PENDING);
    assert!(sftp.pending.len() <= limits::SFTP_MAX_PENDING);
    let mut ended = false;
    for _ in 0..1000 {
        ended |= sftp.from_operator(&write(0, 10_000)).is_err();
    }
    assert!(ended, "what waits is not bounded");
}

/// What an operator sends in one window, in the smallest packets that there are.
#[test]
fn chunk_of_the_smallest_packets_is_cut_in_linear_time() {
    let chunk = packet(kind::CLOSE, &[]).repeat(2 * 1024 * 1024 / 5);
    let started = tokio::time::Instant::now();
    let mut framer = Framer::default();
    for piece in chunk.chunks(1024 * 1024) {
        framer.add(piece);
        while let Some(packet) = framer.next().unwrap() {
            assert_eq!(packet, [kind::CLOSE]);
        }
    }
    // With a move of the rest for each packet it is minutes.
    assert!(started.elapsed() < std::time::Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(framer.waiting_bytes(), 0);
}

#[test]
fn packets_are_the_same_however_they_come() {
    let sent: Vec<Vec<u8>> = (1..200u8).map(|n| vec![n; usize::from(n)]).collect();
    let stream: Vec<u8> = sent.iter().flat_map(|body| string(body)).collect();
    for size in [1, 3, 7, 100, 5000] {
        let (mut framer, mut got) = (Framer::default(), Vec::new());
        for piece in stream.chunks(size) {
            framer.add(piece);
            // One at a time, so that some always wait.
            got.extend(framer.next().unwrap());
        }
        got.extend(std::iter::from_fn(|| framer.next().unwrap()));
        assert!(got == sent, "in pieces of {size}");
    }
}

/// Each request may be an event: what one step makes is bounded, and a flood is handled in several.
#[test]
fn flood_of_requests_is_handled_in_bounded_steps() {
    let mut sftp = ready(all("/data/**"));
    let close = request(kind::CLOSE, &[&string(b"none")]);
    let count = 3 * limits::SFTP_STEP_MAX_PACKETS + 5;
    let mut output = sftp.from_operator(&close.repeat(count)).unwrap();
    let (mut steps, mut answers, mut taken) = (1, packets(&output.to_operator).len(), 0);
    while output.more {
        assert!(packets(&output.to_operator).len() <= limits::SFTP_STEP_MAX_PACKETS);
        taken += output.taken_bytes;
        output = sftp.go_on().unwrap();
        answers += packets(&output.to_operator).len();
        steps += 1;
    }
    assert_eq!((steps, answers), (4, count));
    assert_eq!((taken + output.taken_bytes, sftp.held_bytes()), (close.len() * count, 0));
}

/// What waits is not taken: its window stays with the bastion.
#[test]
fn requests_that_wait_are_not_taken_until_they_are_handled() {
    let mut sftp = ready(all("/data/**"));
    let remove = request(kind::REMOVE, &[&string(b"/data/a")]);
    let write = request(kind::WRITE, &[&string(b"h"), &[0; 8], &string(&[0; 1000])]);
    let output = sftp.from_operator(&[&remove[..], &write, &write[..5]].concat()).unwrap();
    assert_eq!((output.taken_bytes, output.more), (remove.len(), false));
    assert_eq!(sftp.held_bytes(), write.len() + 5);
    let output = sftp.from_host(&name(1, "/data")).unwrap();
    // The folder is known: it is sent, and the next one may be handled.
    assert_eq!((output.taken_bytes, sftp.held_bytes()), (write.len(), 5));
}

proptest! {
    /// Whatever either side says, only what the rights cover goes to the host.
    #[test]
    fn arbitrary_bytes_do_no_harm(
        pieces in prop::collection::vec((any::<bool>(), 0u8..22, prop::collection::vec(any::<u8>(), 0..60)), 0..40),
    ) {
        let mut sftp = ready(rights(&[(Right::Write, "/w/**")]));
        for (operator, kind, bytes) in pieces {
            let bytes = packet(kind, &[&bytes]);
            let done = if operator { sftp.from_operator(&bytes) } else { sftp.from_host(&bytes) };
            let Ok(output) = done else { return Ok(()) };
            for (kind, _, _) in packets(&output.to_host) {
                prop_assert!(!matches!(kind, kind::REMOVE | kind::MKDIR | kind::RENAME | kind::SYMLINK));
            }
        }
    }
}
