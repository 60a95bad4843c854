//! Chapter: attacks on the ledger by somebody who has the disk in their hands.
//!
//! Each one changes a copy of the data, with more care than an accident would: checksums are made to
//! fit, and a checkpoint is signed, though by another key. `writ verify` has to refuse each copy and say
//! why.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use writ_model::{Env as _, SystemEnv};
use writ_proof::ed25519::SoftKey;
use writ_proof::frame::Frames;
use writ_proof::note::Note;
use writ_proof::origin::LogName;
use writ_proof::tile::{decode_entries, encode_entries};
use writ_trail::reader::Reader;

use super::reply::find;
use super::running::{Seen, exit, reason, sound};
use super::search::{copy_dir, visit};
use super::site::{ACCOUNT, Finished, verify, write};
use super::story::Story;

/// A change of a copy.
struct Forgery {
    what: &'static str,
    /// The exit codes of `writ verify` that name this kind of damage.
    codes: &'static [i32],
    /// Makes it in a ledger's folder.
    make: fn(&Path) -> Result<()>,
}

const FORGERIES: [Forgery; 9] = [
    Forgery { what: "a byte of the write-ahead log changed", codes: &[14, 15, 20], make: wal_byte },
    Forgery { what: "the log's newest quarter cut off", codes: &[13, 14, 20], make: wal_cut },
    Forgery { what: "a record rewritten, its checksum made to fit", codes: &[15], make: record },
    Forgery {
        what: "the newest quarter of the records cut off",
        codes: &[15, 20],
        make: records_cut,
    },
    Forgery { what: "two leaves swapped", codes: &[14, 15], make: leaves_swapped },
    Forgery { what: "a leaf left out", codes: &[14, 15, 20], make: leaf_left_out },
    Forgery { what: "the checkpoint signed by another key", codes: &[11], make: checkpoint },
    Forgery { what: "an operator's recording deleted", codes: &[21], make: recording_gone },
    Forgery { what: "a byte of a recording changed", codes: &[21], make: recording_byte },
];

/// Exit codes that name the other attacks.
const OTHER_GENESIS: &[i32] = &[10];
const OLDER_THAN_SEEN: &[i32] = &[13];

/// The chapter.
pub fn chapter(story: &mut Story, base: &Path, earlier: &Path, seen: &Seen) -> Result<()> {
    story.chapter("Attacks on the ledger, by somebody who has the disk", "C-04");
    let data = base.join("data");
    let mut copies = Copies { base, genesis: &seen.genesis, made: 0 };
    let control = copies.verified(&data, |_| Ok(()));
    story.check("control: an unchanged copy verifies", control.and_then(|v| sound(&v)));
    for Forgery { what, codes, make } in FORGERIES {
        let verified = copies.verified(&data, make);
        story.attack(what, verified.and_then(|v| named(&v, codes, base)));
    }
    let control = verify(earlier, &seen.genesis, &base.join("seen-earlier"));
    story.check("control: an older copy by itself is sound", control.and_then(|v| sound(&v)));
    let verified = verify(earlier, &seen.genesis, &seen.state);
    let refused = verified.and_then(|v| named(&v, OLDER_THAN_SEEN, base));
    story.attack("the older copy in place of what was seen", refused);
    let other: String = seen.genesis.chars().rev().collect();
    let verified = verify(&data, &other, &base.join("seen-other"));
    story.attack("another genesis", verified.and_then(|v| named(&v, OTHER_GENESIS, base)));
    Ok(())
}

struct Copies<'a> {
    base: &'a Path,
    genesis: &'a str,
    made: u32,
}

impl Copies<'_> {
    /// Copies `data`, changes the copy, and verifies it as somebody who sees it for the first time.
    fn verified(
        &mut self,
        data: &Path,
        change: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Finished> {
        self.made += 1;
        let copy = self.base.join(format!("copy-{}", self.made));
        copy_dir(data, &copy)?;
        change(&copy.join("trail")).context("the attack could not be made")?;
        let state = self.base.join(format!("seen-copy-{}", self.made));
        let verified = verify(&copy, self.genesis, &state);
        fs::remove_dir_all(&copy)?;
        verified
    }
}

/// The reason that was given, if the exit code is one of `codes`.
pub fn named(verified: &Finished, codes: &[i32], base: &Path) -> Result<String> {
    let reason = short(&reason(verified), base);
    match verified.code {
        Some(0) => bail!("IT VERIFIED: {reason}"),
        Some(code) if codes.contains(&code) => Ok(format!("exit {reason}")),
        code => bail!("{} is none of {codes:?}: {reason}", exit(code)),
    }
}

/// Without the tour's own folder and without the site's random name.
fn short(reason: &str, base: &Path) -> String {
    let reason = reason.replace(&format!("{}/", base.display()), "");
    let words = reason.split_whitespace().map(|word| match word.strip_prefix("writ/site-") {
        Some(rest) => rest.split_once('/').map_or(word, |(_, log)| log),
        None => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn wal_byte(trail: &Path) -> Result<()> {
    let path = first_segment(trail)?;
    let mut bytes = fs::read(&path)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("the segment is empty")? ^= 1;
    write(&path, &bytes)
}

/// Cuts between two frames: what is left is a sound log that ends earlier.
fn wal_cut(trail: &Path) -> Result<()> {
    let path = first_segment(trail)?;
    let bytes = fs::read(&path)?;
    let length = u64::try_from(bytes.len())?;
    let mut kept = 0;
    for frame in Frames::new(&bytes) {
        let frame = frame.map_err(|error| anyhow!("the log cannot be read: {}", error.fault))?;
        if frame.end <= length - length / 4 {
            kept = frame.end;
        }
    }
    ensure!(kept > 0, "there is no frame to cut behind");
    Ok(File::options().write(true).open(&path)?.set_len(kept)?)
}

fn first_segment(trail: &Path) -> Result<PathBuf> {
    let mut segments = Vec::new();
    visit(&trail.join("wal"), &mut |path| {
        segments.push(path.to_owned());
        Ok(())
    })?;
    segments.sort();
    segments.into_iter().next().context("there is no segment")
}

/// Puts another name into the first record that names ann; the checksum is computed anew.
fn record(trail: &Path) -> Result<()> {
    let path = account_log(trail)?.join("records.dat");
    let mut bytes = fs::read(&path)?;
    let at = find(&bytes, b":user/ann").context("no record names ann")?;
    let name = bytes.get_mut(at..at + 9).context("it is cut")?;
    name.copy_from_slice(b":user/bob");
    let mut start = 0;
    loop {
        let head = bytes.get(start..).and_then(|rest| rest.first_chunk::<8>());
        let [a, b, c, d, ..] = *head.context("the records end early")?;
        let end = start + 8 + usize::try_from(u32::from_be_bytes([a, b, c, d]))?;
        if at < end {
            let sum = crc32c(bytes.get(start + 8..end).context("the record is cut")?);
            let place = bytes.get_mut(start + 4..start + 8).context("the record is cut")?;
            place.copy_from_slice(&sum.to_be_bytes());
            return write(&path, &bytes);
        }
        start = end;
    }
}

fn records_cut(trail: &Path) -> Result<()> {
    let path = account_log(trail)?.join("records.dat");
    let file = File::options().write(true).open(&path)?;
    let length = file.metadata()?.len();
    Ok(file.set_len(length - length / 4)?)
}

fn leaves_swapped(trail: &Path) -> Result<()> {
    change_entries(trail, |entries| {
        ensure!(entries.len() > 1, "there are not two leaves");
        entries.swap(0, 1);
        Ok(())
    })
}

fn leaf_left_out(trail: &Path) -> Result<()> {
    change_entries(trail, |entries| {
        ensure!(entries.len() > 1, "there are not two leaves");
        // The bundle keeps its width: the neighbour stands there twice.
        let neighbour = entries.first().cloned().unwrap_or_default();
        if let Some(second) = entries.get_mut(1) {
            *second = neighbour;
        }
        Ok(())
    })
}

/// Changes the leaves in the first bundle of the customer's log.
fn change_entries(
    trail: &Path,
    change: impl FnOnce(&mut Vec<Vec<u8>>) -> Result<()>,
) -> Result<()> {
    let folder = account_log(trail)?.join("tile/entries");
    let mut bundles = Vec::new();
    visit(&folder, &mut |path| {
        bundles.push(path.to_owned());
        Ok(())
    })?;
    bundles.sort();
    let path = bundles.first().context("the log has no bundle")?;
    // A partial bundle's file is named by its width; a full one has 256 leaves.
    let partial = path.parent().and_then(Path::extension).is_some_and(|p| p == "p");
    let name = path.file_name().and_then(|name| name.to_str()).context("strange name")?;
    let width = if partial { name.parse()? } else { 256 };
    let bytes = fs::read(path)?;
    let entries = decode_entries(&bytes, width)?;
    let mut entries: Vec<Vec<u8>> = entries.into_iter().map(<[u8]>::to_vec).collect();
    change(&mut entries)?;
    write(path, &encode_entries(&entries)?)
}

/// Signs the newest checkpoint of the log of logs anew, by a key made up for it, under the same name.
fn checkpoint(trail: &Path) -> Result<()> {
    let reader = Reader::open(trail)?;
    let origin = reader.origin(LogName::Checkpoint).to_string();
    let mut seed = [0; 32];
    SystemEnv.fill(&mut seed);
    let key = SoftKey::from_seed(&seed)?;
    let mut forged = 0;
    for name in ["checkpoint", "cosigned"] {
        let path = reader.log(LogName::Checkpoint).dir().join(name);
        if !path.exists() {
            continue;
        }
        let genuine = Note::from_bytes(&fs::read(&path)?)?;
        let mut note = Note::new(genuine.text())?;
        note.add(note.sign(&origin, &key)?);
        genuine.signatures().iter().filter(|s| s.name != origin).for_each(|s| note.add(s.clone()));
        write(&path, &note.to_bytes())?;
        forged += 1;
    }
    ensure!(forged > 0, "there is no checkpoint");
    Ok(())
}

fn recording_gone(trail: &Path) -> Result<()> {
    Ok(fs::remove_file(recording(trail)?)?)
}

fn recording_byte(trail: &Path) -> Result<()> {
    let path = recording(trail)?;
    let mut bytes = fs::read(&path)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("the recording is empty")? ^= 1;
    write(&path, &bytes)
}

/// The first recording of a session, in the bastion's folder beside the ledger's.
fn recording(trail: &Path) -> Result<PathBuf> {
    let mut recordings = Vec::new();
    visit(&trail.with_file_name("bastion"), &mut |path| {
        if path.extension().is_some_and(|ending| ending == "rec") {
            recordings.push(path.to_owned());
        }
        Ok(())
    })?;
    recordings.sort();
    recordings.into_iter().next().context("there is no recording")
}

fn account_log(trail: &Path) -> Result<PathBuf> {
    let log = LogName::Account(ACCOUNT.parse()?);
    Ok(Reader::open(trail)?.log(log).dir().to_owned())
}

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), bit by bit: what an attacker writes in a minute.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn only_the_right_exit_code_names_an_attack() {
        let lines = ["FAILED (exit 15)", "  15 records  writ/site-1/log: why", "more"]
            .map(str::to_owned)
            .to_vec();
        let ended = |code| Finished { code, lines: lines.clone() };
        let base = Path::new("/tmp/x");
        assert_eq!(named(&ended(Some(15)), &[15], base).unwrap(), "exit 15 records log: why");
        for code in [Some(0), Some(2), None] {
            named(&ended(code), &[15], base).unwrap_err();
        }
    }
}
