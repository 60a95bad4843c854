//! Tests of followed files.

use std::fs;
use std::io::Write as _;

use super::*;

struct Bench {
    temp: tempfile::TempDir,
    source: FileSource,
}

impl Bench {
    fn new() -> Bench {
        let temp = tempfile::tempdir().unwrap();
        let source = source(temp.path(), None);
        Bench { temp, source }
    }

    fn path(&self) -> PathBuf {
        self.temp.path().join("log")
    }

    fn write(&self, text: &str) {
        append(&self.path(), text);
    }

    /// Lines that came, and in brackets what else did.
    fn poll(&mut self) -> Vec<String> {
        let mut shown = Vec::new();
        for _ in 0..6 {
            let mut events = Vec::new();
            self.source.poll(100, &mut events);
            self.source.committed();
            shown.extend(events.into_iter().map(|event| match event.payload {
                Payload::Line(line) => String::from_utf8(line.text).unwrap(),
                Payload::Gap(gap) => format!("[{:?}]", gap.reason),
                Payload::Note(_) => "[note]".to_owned(),
                other => panic!("{other:?}"),
            }));
        }
        shown
    }

    fn restart(&mut self) {
        self.source = source(self.temp.path(), self.source.cursor());
    }
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn source(dir: &Path, cursor: Option<Cursor>) -> FileSource {
    source_of(dir.join("log"), cursor)
}

fn source_of(path: PathBuf, cursor: Option<Cursor>) -> FileSource {
    let readable = Arc::new(Readable::of(path.parent().unwrap()));
    let config = FileConfig { name: "sshd".to_owned(), path, class: "security".to_owned() };
    FileSource::new(&config, Shape::Lines, readable, cursor)
}

#[test]
fn lines_come_once_over_restarts() {
    let mut bench = Bench::new();
    assert!(bench.source.fault().is_some());
    bench.write("one\ntwo\nhal");
    assert_eq!(bench.poll(), ["one", "two"]);
    assert!(bench.source.fault().is_none());
    bench.restart();
    bench.write("f\nthree\n");
    assert_eq!(bench.poll(), ["half", "three"]);
}

#[test]
fn file_that_was_there_before_the_agent_is_taken_in_from_its_end() {
    let mut bench = Bench::new();
    bench.write("old\n");
    bench.source = source(bench.temp.path(), None);
    assert_eq!(bench.poll(), ["[note]"]);
    bench.write("new\n");
    assert_eq!(bench.poll(), ["new"]);
}

#[test]
fn file_that_came_while_the_agent_was_away_is_taken_in_from_its_beginning() {
    let mut bench = Bench::new();
    assert_eq!(bench.poll(), [""; 0]);
    bench.restart();
    bench.write("one\n");
    bench.restart();
    assert_eq!(bench.poll(), ["one"]);
}

/// What an old file says is not of now: a login in it would be judged by the time at which it is read.
#[test]
fn file_that_a_later_configuration_names_first_is_taken_in_from_its_end() {
    let mut bench = Bench::new();
    // The file that was configured first never came, or was read.
    for lines in ["", "one\n"] {
        if !lines.is_empty() {
            bench.write(lines);
        }
        bench.poll();
        let name = if lines.is_empty() { "other" } else { "third" };
        crate::disk::replace(&bench.temp.path().join(name), b"old\n", 0o600).unwrap();
        let path = bench.temp.path().join(name);
        let open = |cursor| source_of(path.clone(), cursor);
        let cursor = bench.source.cursor();
        assert!(cursor.is_some());
        bench.source = open(cursor);
        assert_eq!(bench.poll(), ["[note]"], "{name}");
        append(&path, "new\n");
        // From then on it is a file that is known.
        bench.source = open(bench.source.cursor());
        assert_eq!(bench.poll(), ["new"], "{name}");
        fs::remove_file(bench.path()).ok();
        bench.source = source(bench.temp.path(), None);
    }
}

#[test]
fn file_that_a_later_configuration_names_and_that_comes_then_is_taken_in_from_its_beginning() {
    let mut bench = Bench::new();
    bench.write("one\n");
    bench.poll();
    let path = bench.temp.path().join("other");
    bench.source = source_of(path.clone(), bench.source.cursor());
    assert_eq!(bench.poll(), [""; 0]);
    append(&path, "first\n");
    assert_eq!(bench.poll(), ["first"]);
}

#[test]
fn file_that_is_gone_before_the_first_look_is_taken_in_from_its_beginning_when_it_comes() {
    let mut bench = Bench::new();
    bench.write("old\n");
    bench.source = source(bench.temp.path(), None);
    fs::remove_file(bench.path()).unwrap();
    assert_eq!(bench.poll(), [""; 0]);
    bench.write("first\n");
    assert_eq!(bench.poll(), ["first"]);
}

/// A place that frames alone tell of has no path; lines behind it are not lost.
#[test]
fn place_that_only_frames_tell_of_is_gone_on_from() {
    let mut bench = Bench::new();
    bench.write("one\n");
    assert_eq!(bench.poll(), ["one"]);
    bench.write("two\n");
    let cursor = bench.source.cursor().map(|cursor| Cursor { path: None, ..cursor });
    bench.source = source(bench.temp.path(), cursor);
    assert_eq!(bench.poll(), ["two"]);
}

#[test]
fn place_of_a_file_that_said_nothing_yet_is_kept() {
    let mut bench = Bench::new();
    bench.write("");
    bench.source = source(bench.temp.path(), None);
    bench.source.poll(100, &mut Vec::new());
    bench.restart();
    bench.write("one\n");
    bench.restart();
    assert_eq!(bench.poll(), ["one"]);
}

#[test]
fn rotated_file_is_read_to_its_end() {
    let mut bench = Bench::new();
    bench.write("one\n");
    assert_eq!(bench.poll(), ["one"]);
    bench.write("two\nlast");
    fs::rename(bench.path(), bench.temp.path().join("log.1")).unwrap();
    bench.write("three\n");
    assert_eq!(bench.poll(), ["two", "last", "three"]);
}

#[test]
fn file_that_was_rotated_while_the_agent_was_away_is_found_again() {
    let mut bench = Bench::new();
    bench.write("one\n");
    assert_eq!(bench.poll(), ["one"]);
    bench.write("two\n");
    fs::rename(bench.path(), bench.temp.path().join("log.1")).unwrap();
    bench.write("three\n");
    bench.restart();
    assert_eq!(bench.poll(), ["two", "three"]);
    // One that is gone is a gap, not silence.
    bench.write("four\n");
    bench.restart();
    fs::rename(bench.path(), bench.temp.path().join("log.2")).unwrap();
    crate::disk::replace(&bench.temp.path().join("next"), b"five\n", 0o600).unwrap();
    fs::remove_file(bench.temp.path().join("log.2")).unwrap();
    fs::rename(bench.temp.path().join("next"), bench.path()).unwrap();
    assert_eq!(bench.poll(), ["[Rotated]", "five"]);
}

/// The one in the middle was opened under no name: all of it was lost without a word.
#[test]
fn file_that_was_rotated_twice_between_two_looks_is_read_in_order() {
    for is_restarted in [false, true] {
        let mut bench = Bench::new();
        bench.write("one\n");
        assert_eq!(bench.poll(), ["one"]);
        bench.write("two\n");
        let at = |name: &str| bench.temp.path().join(name);
        // Older ones, and a log of another name, are not taken in.
        append(&at("log.audit"), "another\n");
        for (age, lines) in [("log.3", "three\n"), ("log-20261122", "four\n"), ("log.1", "five\n")]
        {
            fs::rename(bench.path(), at(age)).unwrap();
            // Some file systems count time in steps.
            std::thread::sleep(std::time::Duration::from_millis(20));
            bench.write(lines);
        }
        if is_restarted {
            bench.restart();
        }
        let lines = [bench.poll(), bench.poll()].concat();
        assert_eq!(lines, ["two", "three", "four", "five"], "{is_restarted}");
        bench.restart();
        assert_eq!(bench.poll(), [""; 0]);
    }
}

#[test]
fn file_that_was_rotated_and_packed_between_two_looks_is_a_gap() {
    let mut bench = Bench::new();
    bench.write("one\n");
    assert_eq!(bench.poll(), ["one"]);
    let folder = bench.temp.path().to_owned();
    let at = |name: &str| folder.join(name);
    fs::rename(bench.path(), at("log.2")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    append(&at("log.1.gz"), "two");
    bench.write("three\n");
    assert_eq!(bench.poll(), ["[Rotated]", "three"]);
    // The finished one, packed, keeps its time.
    let finished = fs::metadata(bench.path()).unwrap().modified().unwrap();
    fs::rename(bench.path(), at("log.1")).unwrap();
    append(&at("log.0.gz"), "three");
    let packed = fs::OpenOptions::new().write(true).open(at("log.0.gz")).unwrap();
    packed.set_modified(finished).unwrap();
    fs::remove_file(at("log.1.gz")).unwrap();
    bench.write("four\n");
    assert_eq!(bench.poll(), ["four"]);
}

#[test]
fn cut_and_removed_files_show() {
    let mut bench = Bench::new();
    bench.write("one\ntwo\n");
    assert_eq!(bench.poll(), ["one", "two"]);
    let file = fs::OpenOptions::new().write(true).open(bench.path()).unwrap();
    file.set_len(0).unwrap();
    bench.write("x\n");
    assert_eq!(bench.poll(), ["[note]", "[Rotated]", "x"]);
    fs::remove_file(bench.path()).unwrap();
    bench.poll();
    assert_eq!(bench.source.fault().as_deref(), Some("the file is gone"));
    fs::create_dir(bench.path()).unwrap();
    bench.poll();
    assert!(bench.source.fault().unwrap().contains("no regular file"));
}

#[test]
fn line_that_is_too_long_comes_in_pieces() {
    let mut bench = Bench::new();
    let long = "x".repeat(HOST_PAYLOAD_MAX_BYTES + 5);
    bench.write(&format!("{long}\nshort\n"));
    let lines = bench.poll();
    assert_eq!(lines.len(), 3);
    assert_eq!(format!("{}{}", lines[0], lines[1]), long);
}
