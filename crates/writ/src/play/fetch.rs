//! A recording from the installation: opened with the reader's signature, fetched sealed, verified.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_model::{Env as _, SystemEnv, Ulid};
use writ_proof::access::{Opening, seal_info};
use writ_proof::cbor;
use writ_proof::ed25519::PublicKey;
use writ_proof::hpke::Recipient;
use writ_proof::leaf::{Kind, Source};
use writ_proof::origin::LogName;
use writ_proof::recording::{Mark, RecordingKey, Verifier};
use writ_proof::roster::Roster;
use writ_proof::statement::{Namespace, Signed};
use writ_trail::reader::Reader;
use zeroize::Zeroizing;

use crate::access::{WhoArgs, read};
use crate::front::access::playback::{
    OPENINGS, SESSIONS, ShownOpening, ShownRight, ShownSession, TOKEN_SCHEME,
};
use crate::verify::recordings;

/// What is read of a recording at once.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A recording that verifies, with its key.
pub(super) struct Fetched {
    /// The sealed recording, at its start; it goes when it is closed.
    pub(super) file: File,
    /// Opens it.
    pub(super) key: RecordingKey,
    /// What the installation says of it.
    pub(super) session: ShownSession,
    /// What was verified.
    pub(super) verified: Verified,
}

/// What was verified of it.
pub(super) struct Verified {
    /// Frames.
    pub(super) frames: u64,
    /// Against what.
    pub(super) by: String,
}

/// Opens, fetches and verifies the recording of a session.
pub(super) fn fetch(who: &WhoArgs, id: Ulid) -> Result<Fetched> {
    let (genesis, roster) = who.source.roster()?;
    let session: ShownSession = read(who, &format!("{SESSIONS}/{id}"))?;
    if !session.ended {
        bail!("the session has not ended: there is no whole recording yet");
    }
    let Some(grant) = &session.grant else {
        bail!(
            "no grant lets you read this recording now: ask for one with `writ request --playback {id} ...`; \
             others must approve it"
        );
    };
    let (opening, key) = open(who, &roster, id, grant)?;
    let mut file = download(who, id, &opening)?;
    let verified = verify(&mut file, who, &session, &genesis.keyd.use_records)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Fetched { file, key, session, verified })
}

/// Signs that this person reads it now, for a key that is made here.
fn open(
    who: &WhoArgs,
    roster: &Roster,
    session: Ulid,
    grant: &ShownRight,
) -> Result<(ShownOpening, RecordingKey)> {
    let mut secret = Zeroizing::new([0; 32]);
    SystemEnv.fill(&mut *secret);
    let recipient = Recipient::new(&secret)?;
    let said = Opening {
        v: Default::default(),
        site: roster.site().clone(),
        request: grant.id,
        request_digest: grant.digest.parse().context("the reply names no grant")?,
        session,
        person: who.person(roster)?,
        recipient: recipient.public(),
        signed: SystemEnv.now(),
    };
    let mut signed = Signed::new(&said)?;
    signed.add(&who.sign(signed.body(), Namespace::Playback.as_str())?)?;
    let opening: ShownOpening = serde_json::from_slice(&who.send(OPENINGS, &signed)?)
        .context("the reply cannot be read")?;
    let sealed = STANDARD.decode(&opening.sealed)?;
    let key = recipient.open(&seal_info(&signed), &sealed)?;
    let key: &[u8; 32] = key.as_slice().try_into().context("the recording's key is none")?;
    Ok((opening, RecordingKey::new(key)?))
}

/// The sealed bytes, into a file without a name.
fn download(who: &WhoArgs, id: Ulid, opening: &ShownOpening) -> Result<File> {
    let client = who.source.client()?;
    let mut file = unnamed().context("no temporary file can be made")?;
    let token = format!("{TOKEN_SCHEME}{}", opening.token);
    let (mut at, total) = (0u64, opening.session.bytes);
    while at < total {
        let target = format!("{SESSIONS}/{id}/recording?from={at}");
        let piece = client.exchange("GET", &target, &[("authorization", &token)], b"")?;
        if piece.is_empty() {
            bail!("the recording is shorter than it was: {at} bytes of {total}");
        }
        file.write_all(&piece)?;
        at += piece.len() as u64;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// A file that goes when it is closed.
fn unnamed() -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("writ-play-{}", Ulid::new(&SystemEnv)));
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// The whole chain, every mark that a ledger here holds of it, and its end as keyd has signed it.
fn verify(
    file: &mut File,
    who: &WhoArgs,
    session: &ShownSession,
    keyd: &PublicKey,
) -> Result<Verified> {
    let marks = marks(who, session.id, keyd)?;
    let signed_end = signed_end(session, keyd)?;
    let mut verifier = Verifier::new();
    marks.iter().flatten().for_each(|mark| verifier.expect(mark.clone()));
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        let piece = chunk.get(..read).unwrap_or_default();
        verifier.push(piece, &mut |_, _| Ok(())).context(CHANGED)?;
    }
    let whole = verifier.finish().context(CHANGED)?;
    if whole.header.session != session.id {
        bail!("it is the recording of another session: {CHANGED}");
    }
    let mut by = vec!["its chain".to_owned()];
    if let Some(end) = &signed_end {
        if *end != whole.last {
            bail!("its end is another than the one that keyd signed: {CHANGED}");
        }
        by.push("its end signed by keyd".to_owned());
    }
    if let Some(marks) = &marks {
        if !marks.contains(&whole.last) {
            bail!("its end is another than the ledger's: {CHANGED}");
        }
        by.push(format!("{} marks of the ledger", marks.len()));
    }
    if signed_end.is_none() && marks.is_none() {
        bail!(
            "keyd has not signed its end (it had started anew), and there is no ledger here to compare with: run this \
             beside the data directory, with --data"
        );
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(Verified { frames: whole.frames, by: by.join(", ") })
}

const CHANGED: &str =
    "the recording does not verify and is not shown; `writ verify` says what is wrong with it";

fn signed_end(session: &ShownSession, keyd: &PublicKey) -> Result<Option<Mark>> {
    let Some(end) = &session.end else { return Ok(None) };
    let mark: Mark = cbor::from_slice(&hex::decode(&end.mark)?)?;
    if mark.at().session != session.id {
        bail!("the end that was sent is of another session");
    }
    if !keyd.verifies(&mark.signed_bytes(), &hex::decode(&end.signature)?) {
        bail!("the end that was sent is not signed by keyd");
    }
    Ok(Some(mark))
}

/// The marks that the operator log of the data directory holds of a session; `None` where there is none to read.
fn marks(who: &WhoArgs, session: Ulid, keyd: &PublicKey) -> Result<Option<Vec<Mark>>> {
    let ledger = who.source.data.join("trail");
    if who.source.endpoint.is_some() || !ledger.is_dir() {
        return Ok(None);
    }
    let Ok(reader) = Reader::open(&ledger) else { return Ok(None) };
    let size = reader.size(LogName::Operator)?;
    let mut sessions = recordings::Sessions::new();
    for line in reader.lines(LogName::Operator, size) {
        let line = line?;
        if (line.leaf.kind, line.leaf.source) == (Kind::Event, Source::Bastion) {
            recordings::event(&mut sessions, &line.record).map_err(anyhow::Error::msg)?;
        }
    }
    let Some(told) = sessions.get(&session.to_string()).filter(|told| told.ended) else {
        return Ok(None);
    };
    told.signed_by(keyd).map(Some).map_err(anyhow::Error::msg)
}
