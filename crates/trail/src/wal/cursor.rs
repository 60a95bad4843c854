//! Reading the log from a place on, frame by frame.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use writ_proof::frame::{Frame, Located, frame_hash};
use writ_proof::limits::FRAME_MAX_BYTES;

use super::{Place, segment_path};
use crate::error::TrailError;

const PREFIX_BYTES: usize = 8;

/// Reads frames in order. It never writes, and never reads past the place that it is told.
pub struct Cursor {
    dir: PathBuf,
    place: Place,
    open: Option<(u64, File)>,
}

/// A frame with its bytes and the place after it.
pub struct Placed {
    /// The frame, and where it lies in its segment.
    pub located: Located,
    /// As it lies there.
    pub bytes: Vec<u8>,
    /// Where it begins.
    pub at: Place,
}

impl Cursor {
    /// A cursor in the folder `wal`, at `place`.
    pub fn new(wal: &Path, place: Place) -> Cursor {
        Cursor { dir: wal.to_owned(), place, open: None }
    }

    /// Where the next frame begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The next frame that ends at or before `limit` (or at the end of the files, without one).
    ///
    /// # Errors
    /// [`TrailError::Damaged`] for bytes below the limit that are no frame.
    pub fn next(&mut self, limit: Option<Place>) -> Result<Option<Placed>, TrailError> {
        loop {
            if limit.is_some_and(|limit| self.place >= limit) {
                return Ok(None);
            }
            let Some(bytes) = self.read()? else {
                let next = Place { segment: self.place.segment + 1, offset: 0 };
                if !segment_path(&self.dir, next.segment).is_file() {
                    return Ok(None);
                }
                self.place = next;
                continue;
            };
            let at = self.place;
            let frame =
                Frame::from_bytes(&bytes).map_err(|e| self.damaged(&e.fault.to_string()))?;
            let end = at.offset + bytes.len() as u64;
            let hash = frame_hash(&bytes);
            self.place.offset = end;
            let located = Located { at: at.offset, end, hash, frame };
            return Ok(Some(Placed { located, bytes, at }));
        }
    }

    /// The bytes of the frame here; `None` at the end of the segment.
    fn read(&mut self) -> Result<Option<Vec<u8>>, TrailError> {
        let path = segment_path(&self.dir, self.place.segment);
        let file = match self.open.take() {
            Some((segment, file)) if segment == self.place.segment => file,
            _ => match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(TrailError::io("open", &path)(error)),
            },
        };
        let result = read_frame(&file, self.place.offset);
        self.open = Some((self.place.segment, file));
        match result {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(self.damaged("the length is impossible"))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("it ends within a frame"))
            }
            Err(error) => Err(TrailError::io("read", &path)(error)),
        }
    }

    fn damaged(&self, why: &str) -> TrailError {
        TrailError::Damaged {
            path: segment_path(&self.dir, self.place.segment),
            offset: self.place.offset,
            why: why.to_owned(),
        }
    }
}

fn read_frame(file: &File, offset: u64) -> io::Result<Option<Vec<u8>>> {
    let mut prefix = [0u8; PREFIX_BYTES];
    if file.read_at(&mut prefix, offset)? == 0 {
        return Ok(None);
    }
    file.read_exact_at(&mut prefix, offset)?;
    let [a, b, c, d, ..] = prefix;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length > FRAME_MAX_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; PREFIX_BYTES + length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(Some(bytes))
}
