//! Opening the log: every frame is read and checked; only a torn tail is cut.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use writ_proof::frame::{FRAME_VERSION, FrameFault, Frames, WalEnd};

use super::{Cursor, Place, Placed, segment_path, segments};
use crate::error::TrailError;

/// What lies in the log.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// Where the log goes on.
    pub place: Place,
    /// The chain's end.
    pub end: WalEnd,
    /// The incomplete last frame, if there is one.
    pub cut: Option<Cut>,
}

/// An incomplete last frame: a crash came before its fsync had returned, so nobody was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Where it began.
    pub place: Place,
    /// How many bytes there were.
    pub bytes: u64,
}

/// Reads the whole log in the folder `wal`, checks checksums and the chain, and shows each frame to
/// `visit`. Changes nothing.
///
/// # Errors
/// [`TrailError::Damaged`] for anything but a torn last frame of the last segment;
/// [`TrailError::Newer`] for a frame of a later format.
pub fn replay(
    wal: &Path,
    visit: &mut dyn FnMut(&Placed) -> Result<(), TrailError>,
) -> Result<Replay, TrailError> {
    let numbers = segments(wal)?;
    let first = numbers.first().copied().unwrap_or(0);
    for (number, expected) in numbers.iter().zip(first..) {
        if *number != expected {
            let path = segment_path(wal, expected);
            return Err(TrailError::Damaged { path, offset: 0, why: "it is missing".to_owned() });
        }
    }
    if first != 0 {
        let path = segment_path(wal, 0);
        return Err(TrailError::Damaged { path, offset: 0, why: "it is missing".to_owned() });
    }
    let last = numbers.last().copied().unwrap_or(0);
    let mut replay = Replay::default();
    let mut cursor = Cursor::new(wal, replay.place);
    loop {
        match cursor.next(None) {
            Ok(None) => break,
            Ok(Some(placed)) => {
                replay.end.step(&placed.located).map_err(|e| TrailError::Damaged {
                    path: segment_path(wal, placed.at.segment),
                    offset: placed.at.offset,
                    why: e.fault.to_string(),
                })?;
                replay.place = cursor.place();
                visit(&placed)?;
            }
            Err(TrailError::Damaged { .. }) => {
                let (rest, path) = rest(wal, cursor.place())?;
                replay.cut = Some(judge(&rest, path, cursor.place(), last)?);
                replay.place = cursor.place();
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(replay)
}

/// Decides whether the bytes at `place`, which are no frame, are a torn tail.
fn judge(rest: &[u8], path: PathBuf, place: Place, last: u64) -> Result<Cut, TrailError> {
    let fault = match Frames::new(rest).next() {
        Some(Err(error)) => error.fault,
        // INVARIANT: the cursor could not read a frame here, so neither can this.
        _ => FrameFault::Corrupt { why: "it changed while it was read" },
    };
    match fault {
        FrameFault::Torn if place.segment == last => Ok(Cut { place, bytes: rest.len() as u64 }),
        FrameFault::Torn => Err(TrailError::Damaged {
            path,
            offset: place.offset,
            why: "the frame is cut, and later segments exist".to_owned(),
        }),
        FrameFault::Format(writ_proof::Error::Unsupported { value, .. }) => {
            Err(TrailError::Newer {
                path,
                found: value.parse().unwrap_or(u64::MAX),
                known: u64::from(FRAME_VERSION),
            })
        }
        fault => Err(TrailError::Damaged { path, offset: place.offset, why: fault.to_string() }),
    }
}

fn rest(wal: &Path, place: Place) -> Result<(Vec<u8>, PathBuf), TrailError> {
    let path = segment_path(wal, place.segment);
    let mut rest = Vec::new();
    let mut file = File::open(&path).map_err(TrailError::io("open", &path))?;
    file.seek(SeekFrom::Start(place.offset)).map_err(TrailError::io("seek", &path))?;
    file.read_to_end(&mut rest).map_err(TrailError::io("read", &path))?;
    Ok((rest, path))
}
