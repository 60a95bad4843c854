//! The file `region`: says which region's data a folder holds, and in which format.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use writ_model::Region;

use super::sync_folder;
use crate::S3Error;

/// The format of the folder that this program writes and the highest that it reads.
const FORMAT: u64 = 1;

/// Checks the marker, or writes it into a new folder.
pub(super) fn check(root: &Path, region: &Region) -> Result<(), S3Error> {
    let path = root.join("region");
    match fs::read_to_string(&path) {
        Ok(text) => read(&text, region),
        Err(e) if e.kind() == io::ErrorKind::NotFound => write(root, region),
        Err(source) => Err(S3Error::Io { what: "reading the region marker", source }),
    }
}

fn read(text: &str, region: &Region) -> Result<(), S3Error> {
    let foreign = || S3Error::Foreign { found: format!("{text:?}"), expected: region.to_string() };
    let mut words = text.split_whitespace();
    let (magic, format, found) = (words.next(), words.next(), words.next());
    let format: u64 = format.and_then(|f| f.parse().ok()).ok_or_else(foreign)?;
    if magic != Some("writ-s3") {
        return Err(foreign());
    }
    if format > FORMAT {
        return Err(S3Error::Version { what: "the object folder", found: format, known: FORMAT });
    }
    if found != Some(region.as_str()) {
        return Err(foreign());
    }
    Ok(())
}

fn write(root: &Path, region: &Region) -> Result<(), S3Error> {
    let path = root.join("region");
    let temporary = root.join("tmp").join("region");
    let durable = || -> io::Result<()> {
        let mut file = fs::File::create(&temporary)?;
        writeln!(file, "writ-s3 {FORMAT} {region}")?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_folder(root)
    };
    durable().map_err(S3Error::io("writing the region marker"))
}
