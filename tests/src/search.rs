//! Looking for secrets: in every file and in every process's memory.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::bytes::Regex;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// A secret that is looked for.
#[derive(Debug, Clone)]
pub struct Secret {
    /// What it is, for messages.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Where a secret was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The secret's name.
    pub secret: String,
    /// The file, or the process and address.
    pub place: String,
}

/// What a search came to.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Where something was found.
    pub hits: Vec<Hit>,
    /// What could not be read: it counts as refused, not as clean.
    pub refused: Vec<String>,
    /// How much was read.
    pub bytes: u64,
}

/// Looks for each secret raw, in hexadecimal and in base64: its first and its last 16 bytes, so that
/// half of one is found as well.
pub struct Searcher {
    all: Regex,
    needles: Vec<(Vec<u8>, String)>,
    longest: usize,
}

impl Searcher {
    /// A searcher for these secrets, each of at least 16 bytes.
    pub fn new(secrets: &[Secret]) -> Searcher {
        let mut needles = Vec::new();
        for secret in secrets {
            for window in [&secret.bytes[..16], &secret.bytes[secret.bytes.len() - 16..]] {
                let mut add = |bytes: Vec<u8>| needles.push((bytes, secret.name.clone()));
                add(window.to_vec());
                add(hex::encode(window).into_bytes());
                add(hex::encode_upper(window).into_bytes());
            }
            // Base64 of the whole, from its beginning; the last characters depend on the length.
            needles.push((
                STANDARD.encode(&secret.bytes).as_bytes()[..20].to_vec(),
                secret.name.clone(),
            ));
        }
        let escape = |bytes: &[u8]| bytes.iter().map(|b| format!("\\x{b:02x}")).collect::<String>();
        let alternatives: Vec<String> = needles.iter().map(|(bytes, _)| escape(bytes)).collect();
        let all = Regex::new(&format!("(?-u:{})", alternatives.join("|"))).unwrap();
        let longest = needles.iter().map(|(bytes, _)| bytes.len()).max().unwrap();
        Searcher { all, needles, longest }
    }

    /// Looks through all files below `folder` but those that `leave_out` names.
    pub fn files(&self, folder: &Path, leave_out: &[PathBuf], findings: &mut Findings) {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().flatten() {
                let (path, kind) = (entry.path(), entry.file_type().unwrap());
                if leave_out.contains(&path) {
                    continue;
                } else if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    self.file(&path, findings);
                }
            }
        }
    }

    /// Looks through one file.
    pub fn file(&self, path: &Path, findings: &mut Findings) {
        let place = path.display().to_string();
        let Ok(mut file) = File::open(path) else {
            return findings.refused.push(place);
        };
        let (mut buffer, mut kept) = (vec![0; CHUNK + self.longest], 0);
        loop {
            match file.read(&mut buffer[kept..]) {
                Ok(0) => return,
                Ok(read) => {
                    findings.bytes += read as u64;
                    self.look(&buffer[..kept + read], &place, findings);
                    let end = kept + read;
                    let from = end.saturating_sub(self.longest - 1);
                    buffer.copy_within(from..end, 0);
                    kept = end - from;
                }
                Err(_) => return findings.refused.push(place),
            }
        }
    }

    /// Looks through the readable memory of a process; gives how many bytes of it were read. 0 is no
    /// clean process but one that was not looked at.
    pub fn memory(&self, pid: u32, role: &str, findings: &mut Findings) -> u64 {
        let before = findings.bytes;
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"));
        let memory = File::open(format!("/proc/{pid}/mem"));
        let (Ok(maps), Ok(memory)) = (maps, memory) else {
            findings.refused.push(format!("{role} (process {pid})"));
            return 0;
        };
        for line in maps.lines() {
            let Some((from, to)) = readable(line) else { continue };
            let place =
                format!("{role} (process {pid}) at {}", line.split_whitespace().last().unwrap());
            let mut at = from;
            while at < to {
                let length = usize::try_from(to - at).unwrap().min(CHUNK + self.longest);
                let mut buffer = vec![0; length];
                let Ok(read) = memory.read_at(&mut buffer, at) else {
                    findings.refused.push(format!("{place} {at:x}"));
                    break;
                };
                if read == 0 {
                    break;
                }
                findings.bytes += read as u64;
                self.look(&buffer[..read], &place, findings);
                at += read.min(CHUNK) as u64;
            }
        }
        findings.bytes - before
    }

    fn look(&self, bytes: &[u8], place: &str, findings: &mut Findings) {
        for found in self.all.find_iter(bytes) {
            let named = self.needles.iter().find(|(needle, _)| needle == found.as_bytes());
            let hit = Hit { secret: named.unwrap().1.clone(), place: place.to_owned() };
            if !findings.hits.contains(&hit) {
                findings.hits.push(hit);
            }
        }
    }
}

/// The bounds of a region that can be read and is no window into the kernel.
fn readable(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let readable = words.next()?.starts_with('r') && !line.contains("[v");
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((number(from)?, number(to)?)).filter(|_| readable)
}
