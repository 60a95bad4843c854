//! Where alarms go to in tests: `sink.py`, a mail server or an HTTPS server of others' making.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::site::tools;
use crate::wait::{PATIENCE, within};

/// One of them. Dropping it ends it.
pub struct Sink {
    /// Where it listens on loopback.
    pub port: u16,
    /// Its certificate, which is its own authority.
    pub ca: PathBuf,
    child: Child,
    to: ChildStdin,
    took: Arc<Mutex<Vec<Value>>>,
}

impl Sink {
    /// Starts one of this kind: `https`, `smtp`, `smtps` or `starttls`; its files lie in `folder`.
    pub fn start(kind: &str, folder: &Path) -> Sink {
        std::fs::create_dir_all(folder).unwrap();
        let python = tools().join("venv/bin/python");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sink.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(kind)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo xtask test tools");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the sink does not start: cargo xtask test tools").unwrap();
        let took = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&took);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                keep.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let to = child.stdin.take().unwrap();
        Sink { port: first.parse().unwrap(), ca: folder.join("sink.pem"), child, to, took }
    }

    /// How it behaves from now on: `ok`, `frozen` or `refuse`.
    pub fn is(&mut self, mode: &str) {
        self.to.write_all(format!("{mode}\n").as_bytes()).unwrap();
        let wanted = serde_json::json!({ "now": mode });
        let heard = within(PATIENCE, || self.took.lock().unwrap().contains(&wanted).then_some(()));
        assert!(heard.is_some(), "the sink does not listen");
    }

    /// What it took so far.
    pub fn took(&self) -> Vec<Value> {
        let all = self.took.lock().unwrap();
        all.iter().filter(|line| line.get("now").is_none()).cloned().collect()
    }

    /// Waits until it took something that fits.
    #[track_caller]
    pub fn wait(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let found = within(PATIENCE, || self.took().into_iter().find(|one| fits(one)));
        found.unwrap_or_else(|| panic!("no {what} came, but {:?}", self.took()))
    }

    /// Waits for an alarm of this kind; answers its JSON. Of an HTTPS server.
    #[track_caller]
    pub fn alarm(&self, kind: &str) -> Value {
        let took = self.wait(kind, |one| one["mode"] == "ok" && body(one)["alarm"] == kind);
        body(&took)
    }

    /// Waits for a mail whose text holds this; answers its text part.
    #[track_caller]
    pub fn mail(&self, part: &str) -> (Value, String) {
        let took = self.wait(part, |one| text_of(one).contains(part));
        let text = text_of(&took);
        (took, text)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What was posted.
pub fn body(took: &Value) -> Value {
    let bytes = STANDARD.decode(took["body"].as_str().unwrap_or_default()).unwrap();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// The head of a mail and its parts, decoded.
pub fn text_of(took: &Value) -> String {
    let mail = took["mail"].as_str().unwrap_or_default().replace("\r\n", "\n");
    let mut text = String::new();
    for part in mail.split("\n--") {
        let (head, body) = part.split_once("\n\n").unwrap_or((part, ""));
        text.push_str(head);
        text.push('\n');
        let body: String = body.split_whitespace().collect();
        if let Ok(bytes) = STANDARD.decode(body) {
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    text
}
