//! Paths of the host: bytes, absolute, without `.`, `..` and empty parts.

use std::fmt;
use std::str::FromStr;

use crate::limits::SFTP_PATH_MAX_BYTES;

/// The path as its text says it, from the folder `home` if it is relative. `None` for a path that no host
/// can have: with a zero byte, or too long.
pub fn normalise(home: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let from_home = if path.starts_with(b"/") { b"".as_slice() } else { home };
    let both = from_home.split(|b| *b == b'/').chain(path.split(|b| *b == b'/'));
    for part in both {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut whole = Vec::new();
    for part in &parts {
        whole.push(b'/');
        whole.extend_from_slice(part);
    }
    if whole.is_empty() {
        whole.push(b'/');
    }
    let possible = whole.len() <= SFTP_PATH_MAX_BYTES
        && path.len() <= SFTP_PATH_MAX_BYTES
        && !whole.contains(&0);
    possible.then_some(whole)
}

/// The folder and the last part of a normalised path. The root lies in itself and has no last part.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let (folder, name) = path.split_at_checked(slash).unwrap_or((path, b""));
    let folder = if folder.is_empty() { b"/".as_slice() } else { folder };
    (folder, name.strip_prefix(b"/").unwrap_or(name))
}

/// The path of `name` in a normalised folder.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let folder = if folder == b"/" { b"".as_slice() } else { folder };
    if name.is_empty() { b"/".to_vec() } else { [folder, b"/", name].concat() }
}

/// A pattern of absolute paths: `*` and `?` stay within a part, `**` as a whole part is any number of
/// parts, also none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<Vec<u8>>);

impl Glob {
    /// True if a normalised path matches.
    pub fn holds(&self, path: &[u8]) -> bool {
        let parts: Vec<&[u8]> =
            path.split(|b| *b == b'/').filter(|part| !part.is_empty()).collect();
        let mut reached = vec![false; parts.len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        for pattern in &self.0 {
            reached =
                if pattern == b"**" { any_more(&reached) } else { one(pattern, &parts, &reached) };
        }
        reached.last().copied().unwrap_or(false)
    }
}

/// From every prefix of the path that was reached, every longer one is.
fn any_more(reached: &[bool]) -> Vec<bool> {
    reached
        .iter()
        .scan(false, |so_far, reached| {
            *so_far |= *reached;
            Some(*so_far)
        })
        .collect()
}

/// From every prefix that was reached, the one with one part more, if that part matches.
fn one(pattern: &[u8], parts: &[&[u8]], reached: &[bool]) -> Vec<bool> {
    let stepped =
        reached.iter().zip(parts).map(|(reached, part)| *reached && matches(pattern, part));
    std::iter::once(false).chain(stepped).collect()
}

/// Whether one part matches: linear, with one place to go back to.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                back = Some((p, t));
                p += 1;
            }
            (Some(wanted), Some(found)) if *wanted == b'?' || wanted == found => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from + 1));
                (p, t) = (star + 1, from + 1);
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|b| *b == b'*')
}

impl FromStr for Glob {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Glob, &'static str> {
        let parts = text.strip_prefix('/').ok_or("a path pattern begins with `/`")?;
        let parts: Vec<Vec<u8>> = match parts {
            "" => Vec::new(),
            parts => parts.split('/').map(|part| part.as_bytes().to_vec()).collect(),
        };
        if text.len() > SFTP_PATH_MAX_BYTES || text.contains('\0') {
            return Err("a path pattern is no longer than a path, without zero bytes");
        }
        if parts.iter().any(|part| part.is_empty() || part == b"." || part == b"..") {
            return Err("a path pattern has no empty parts, `.` or `..`");
        }
        if parts.iter().any(|part| part != b"**" && part.windows(2).any(|two| two == b"**")) {
            return Err("`**` stands for whole parts of a path");
        }
        Ok(Glob(parts))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|part| write!(f, "/{}", String::from_utf8_lossy(part)))
    }
}
