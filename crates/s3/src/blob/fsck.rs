//! Compares files and rows without a key. Reads only, unless it is told to repair.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;

use super::Blobs;
use crate::S3Error;
use crate::format::{ReadAt as _, SegmentReader, read_footer, sha256};
use crate::index::{Body, Index};

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A file whose header, length or footer is not what its row says.
    Differs {
        /// The file.
        file: String,
        /// What differs.
        what: &'static str,
    },
    /// A row names a file that is not there.
    Missing {
        /// The file.
        file: String,
    },
    /// No row names the file.
    Orphan {
        /// The file.
        file: String,
    },
}

/// What `fsck` found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Files looked at.
    pub files: u64,
    /// Differences.
    pub findings: Vec<Finding>,
    /// Orphans removed, with `repair`.
    pub removed: u64,
}

/// Walks both sides. With `repair`, orphans are removed; a missing or different file is never mended,
/// since nothing here could make it right.
pub fn fsck(blobs: &Blobs, index: &Index, repair: bool) -> Result<Report, S3Error> {
    let mut wanted: HashMap<String, Option<Expected>> = HashMap::new();
    let mut outcome = Ok(());
    index.files(|file, body| match body.map(|body| Expected::of(&file, body)).transpose() {
        Ok(expected) => {
            wanted.insert(file, expected.flatten());
        }
        Err(error) => outcome = Err(error),
    })?;
    outcome?;
    let garbage: HashSet<String> = index.garbage("", usize::MAX >> 1)?.into_iter().collect();
    let mut report = Report::default();
    let mut seen = HashSet::new();
    blobs.walk(|name, path| {
        report.files += 1;
        seen.insert(name.to_owned());
        let difference = match wanted.get(name) {
            Some(Some(expected)) => expected.difference(name, path)?,
            Some(None) => None,
            None if garbage.contains(name) => None,
            None => {
                report.findings.push(Finding::Orphan { file: name.to_owned() });
                None
            }
        };
        if let Some(what) = difference {
            report.findings.push(Finding::Differs { file: name.to_owned(), what });
        }
        Ok(())
    })?;
    let missing = wanted.into_keys().filter(|file| !seen.contains(file));
    report.findings.extend(missing.map(|file| Finding::Missing { file }));
    if repair {
        for finding in &report.findings {
            if let Finding::Orphan { file } = finding {
                blobs.unlink(file)?;
                report.removed += 1;
            }
        }
    }
    Ok(report)
}

/// What a row says of a segment.
struct Expected {
    digest: [u8; 32],
    length: u64,
    whole: bool,
    manifest_digest: [u8; 32],
}

impl Expected {
    fn of(file: &str, body: &Body) -> Result<Option<Expected>, S3Error> {
        let manifest = body.sealed.peek()?;
        let named =
            |s: &&crate::format::SegmentRef| crate::index::segment_file(s.segment, s.part) == file;
        Ok(manifest.segments.iter().find(named).map(|segment| Expected {
            digest: segment.header_digest,
            length: segment.length,
            whole: segment.part == 0,
            manifest_digest: body.sealed.digest(),
        }))
    }

    fn difference(&self, name: &str, path: &Path) -> Result<Option<&'static str>, S3Error> {
        let file = File::open(path).map_err(S3Error::io("opening a segment"))?;
        let Ok((header, bytes)) = SegmentReader::header(&file, name) else {
            return Ok(Some("its head"));
        };
        if sha256(&bytes) != self.digest {
            return Ok(Some("its header"));
        }
        let mut size =
            SegmentReader::sealed_bytes(bytes.len() as u64, header.frame_bytes(), self.length);
        if self.whole {
            match read_footer(&file, name) {
                Ok(Some(footer)) if footer.digest() == self.manifest_digest => {
                    size += footer.footer_bytes();
                }
                _ => return Ok(Some("its footer")),
            }
        }
        let found = file.size().map_err(S3Error::io("asking for a segment's length"))?;
        Ok((found != size).then_some("its length"))
    }
}
