//! The state database, read from a copy: what somebody has who took over front or its disk.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;
use serde_json::Value;

/// An object of the state.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its owner.
    pub account: String,
    /// `key`, `access-key`, `role`, …
    pub kind: String,
    /// Its id within its kind.
    pub id: String,
    /// Its content.
    pub body: Value,
}

impl Stored {
    /// A member that holds bytes.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        decode(&self.body[name])
    }

    /// A member that holds a list of bytes.
    pub fn list(&self, name: &str) -> Vec<Vec<u8>> {
        self.body[name].as_array().unwrap().iter().map(decode).collect()
    }
}

/// Everything in the database of the site in `dir`; the site may be running.
pub fn read(dir: &Path) -> Vec<Stored> {
    let copy = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("state.sqlite{suffix}");
        let from = dir.join("front").join(&name);
        if from.exists() {
            std::fs::copy(from, copy.path().join(name)).unwrap();
        }
    }
    let connection = Connection::open(copy.path().join("state.sqlite")).unwrap();
    let mut statement = connection.prepare("SELECT account, kind, id, body FROM object").unwrap();
    let rows = statement.query_map([], |row| {
        let body: String = row.get(3)?;
        // `{"v": version, "body": …}`.
        let mut body: Value = serde_json::from_str(&body).unwrap();
        let body = body["body"].take();
        Ok(Stored { account: row.get(0)?, kind: row.get(1)?, id: row.get(2)?, body })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn decode(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}
