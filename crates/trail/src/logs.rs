//! One log as files: tiles, entry bundles and records. Made from the write-ahead log, never a source.
//!
//! Below `logs/<origin>/`: `tile/…` as C2SP tlog-tiles names them; `records.dat`, the records one after
//! the other, each as `length u32 | crc32c u32 | bytes`; `records.idx`, for each record the offset of its
//! end in `records.dat` as u64; `checkpoint`, where keyd signs one. Integers are big-endian. Of a partial tile
//! only the widest is kept: its first hashes never change, so it serves for narrower ones.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use writ_proof::merkle::{leaf_hash, subtree_root};
use writ_proof::origin::Origin;
use writ_proof::tile::{
    TILE_WIDTH, TileId, TileReader, decode_entries, decode_hashes, encode_entries, encode_hashes,
};
use writ_proof::{Error, Hash};

use crate::disk;
use crate::error::TrailError;

const WIDTH: usize = 256;

/// The files of one log.
#[derive(Debug, Clone)]
pub struct LogFiles {
    dir: PathBuf,
}

/// A leaf with its record, as they go into a log.
pub(crate) struct NewLeaf {
    pub(crate) leaf: Vec<u8>,
    pub(crate) record: Vec<u8>,
}

impl LogFiles {
    /// The files of `origin` in the ledger's directory.
    pub fn new(ledger: &Path, origin: &Origin) -> LogFiles {
        LogFiles { dir: ledger.join("logs").join(origin.to_string()) }
    }

    /// The log's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The leaves of the bundle `index` of a log of `size` leaves.
    pub fn entries(&self, index: u64, size: u64) -> Result<Vec<Vec<u8>>, TrailError> {
        let width = width_of(index, size);
        let (bytes, held) = self.read_widest(TileId::entries(index, width)?)?;
        let mut entries: Vec<Vec<u8>> =
            decode_entries(&bytes, held)?.into_iter().map(<[u8]>::to_vec).collect();
        entries.truncate(usize::try_from(width).unwrap_or(WIDTH));
        Ok(entries)
    }

    /// The record of leaf `seq`.
    pub fn record(&self, seq: u64) -> Result<Vec<u8>, TrailError> {
        let (dat, idx) = (self.dir.join("records.dat"), self.dir.join("records.idx"));
        let index = File::open(&idx).map_err(TrailError::io("open", &idx))?;
        let from = if seq == 0 { 0 } else { read_u64(&index, (seq - 1) * 8, &idx)? };
        let to = read_u64(&index, seq * 8, &idx)?;
        let mut framed = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
        File::open(&dat)
            .and_then(|file| file.read_exact_at(&mut framed, from))
            .map_err(TrailError::io("read", &dat))?;
        let damaged = || TrailError::Damaged {
            path: dat.clone(),
            offset: from,
            why: "a record's checksum differs; delete the folder `logs`, it is made again"
                .to_owned(),
        };
        let (head, record) = framed.split_first_chunk::<8>().ok_or_else(damaged)?;
        let [a, b, c, d, checksum @ ..] = *head;
        let fits = usize::try_from(u32::from_be_bytes([a, b, c, d])) == Ok(record.len());
        if fits && crc32c::crc32c(record) == u32::from_be_bytes(checksum) {
            Ok(record.to_vec())
        } else {
            Err(damaged())
        }
    }

    /// Adds leaves behind the first `old`; whatever lay there before is overwritten.
    pub(crate) fn grow(&self, old: u64, new: &[NewLeaf]) -> Result<(), TrailError> {
        disk::create_dir(&self.dir)?;
        self.grow_records(old, new)?;
        self.grow_entries(old, new)?;
        let mut hashes: Vec<Hash> = new.iter().map(|new| leaf_hash(&new.leaf)).collect();
        let mut before = old;
        let mut level = 0;
        while !hashes.is_empty() {
            hashes = self.grow_level(level, before, &hashes)?;
            before /= TILE_WIDTH;
            level += 1;
        }
        Ok(())
    }

    /// Adds hashes to one level; gives back the hashes that they complete one level up.
    fn grow_level(&self, level: u32, before: u64, new: &[Hash]) -> Result<Vec<Hash>, TrailError> {
        let (first, held) = (before / TILE_WIDTH, before % TILE_WIDTH);
        let mut hashes = Vec::new();
        if held > 0 {
            hashes = self.tile(&TileId::hashes(level, first, held)?)?;
            hashes.truncate(usize::try_from(held).unwrap_or(0));
        }
        hashes.extend_from_slice(new);
        let mut above = Vec::new();
        for (chunk, index) in hashes.chunks(WIDTH).zip(first..) {
            let id = TileId::hashes(level, index, chunk.len() as u64)?;
            self.write_tile(&id, &encode_hashes(chunk))?;
            if id.is_full() {
                above.extend(subtree_root(chunk));
            }
        }
        Ok(above)
    }

    fn grow_entries(&self, old: u64, new: &[NewLeaf]) -> Result<(), TrailError> {
        let (first, held) = (old / TILE_WIDTH, old % TILE_WIDTH);
        let kept = if held > 0 { self.entries(first, old)? } else { Vec::new() };
        let all: Vec<&[u8]> = kept
            .iter()
            .map(Vec::as_slice)
            .chain(new.iter().map(|new| new.leaf.as_slice()))
            .collect();
        for (chunk, index) in all.chunks(WIDTH).zip(first..) {
            let id = TileId::entries(index, chunk.len() as u64)?;
            self.write_tile(&id, &encode_entries(chunk)?)?;
        }
        Ok(())
    }

    fn grow_records(&self, old: u64, new: &[NewLeaf]) -> Result<(), TrailError> {
        let (dat_path, idx_path) = (self.dir.join("records.dat"), self.dir.join("records.idx"));
        let open = |path: &Path| {
            File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(path)
                .map_err(TrailError::io("open", path))
        };
        let (dat, idx) = (open(&dat_path)?, open(&idx_path)?);
        let mut end = if old == 0 { 0 } else { read_u64(&idx, (old - 1) * 8, &idx_path)? };
        let mut data = Vec::new();
        let mut index = Vec::with_capacity(new.len() * 8);
        for NewLeaf { record, .. } in new {
            data.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_be_bytes());
            data.extend_from_slice(&crc32c::crc32c(record).to_be_bytes());
            data.extend_from_slice(record);
            index.extend_from_slice(&(end + data.len() as u64).to_be_bytes());
        }
        dat.set_len(end)
            .and_then(|()| dat.write_all_at(&data, end))
            .map_err(TrailError::io("write", &dat_path))?;
        end = old * 8;
        idx.set_len(end)
            .and_then(|()| idx.write_all_at(&index, end))
            .map_err(TrailError::io("write", &idx_path))
    }

    fn write_tile(&self, id: &TileId, bytes: &[u8]) -> Result<(), TrailError> {
        let path = self.dir.join(id.to_string());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(TrailError::io("create", parent))?;
        }
        // No fsync: after a crash of the machine all of this is made again from the log.
        let temporary = path.with_extension("new");
        let mut file = File::create(&temporary).map_err(TrailError::io("create", &temporary))?;
        file.write_all(bytes).map_err(TrailError::io("write", &temporary))?;
        std::fs::rename(&temporary, &path).map_err(TrailError::io("rename", &path))?;
        self.drop_narrower(id)
    }

    fn drop_narrower(&self, id: &TileId) -> Result<(), TrailError> {
        let partials = self.partials(id)?;
        if id.is_full() {
            return match partials {
                Some((dir, _)) => {
                    std::fs::remove_dir_all(&dir).map_err(TrailError::io("remove", &dir))
                }
                None => Ok(()),
            };
        }
        let Some((dir, widths)) = partials else { return Ok(()) };
        for width in widths.into_iter().filter(|width| *width < id.width()) {
            let path = dir.join(width.to_string());
            std::fs::remove_file(&path).map_err(TrailError::io("remove", &path))?;
        }
        Ok(())
    }

    /// The folder of the partial tiles beside `id`, and their widths.
    fn partials(&self, id: &TileId) -> Result<Option<(PathBuf, Vec<u16>)>, TrailError> {
        let full = TileId::new(id.level(), id.index(), TILE_WIDTH)?;
        let dir = self.dir.join(format!("{full}.p"));
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrailError::io("list", &dir)(error)),
        };
        let widths =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        Ok(Some((dir, widths)))
    }

    /// The bytes of a tile at least as wide as `id`, with their width.
    ///
    /// While a ledger is written its last tile is replaced by a wider one, and a listing made at that
    /// moment may show neither: then it is looked for again.
    fn read_widest(&self, id: TileId) -> Result<(Vec<u8>, u16), TrailError> {
        for _ in 0..READ_TURNS {
            if let Some(found) = self.find_widest(id)? {
                return Ok(found);
            }
        }
        let why = "there is none as wide".to_owned();
        Err(Error::Tile { path: id.to_string(), why }.into())
    }

    fn find_widest(&self, id: TileId) -> Result<Option<(Vec<u8>, u16)>, TrailError> {
        let full = TileId::new(id.level(), id.index(), TILE_WIDTH)?;
        if let Some(bytes) = disk::read_if_there(&self.dir.join(full.to_string()))? {
            return Ok(Some((bytes, full.width())));
        }
        let widest = self.partials(&id)?.and_then(|(_, widths)| widths.into_iter().max());
        let Some(wide) = widest.filter(|width| *width >= id.width()) else { return Ok(None) };
        let id = TileId::new(id.level(), id.index(), u64::from(wide))?;
        let bytes = disk::read_if_there(&self.dir.join(id.to_string()))?;
        Ok(bytes.map(|bytes| (bytes, wide)))
    }
}

impl TileReader for LogFiles {
    fn tile(&self, id: &TileId) -> Result<Vec<Hash>, Error> {
        let unreadable = |why: String| Error::Tile { path: id.to_string(), why };
        let (bytes, width) = self.read_widest(*id).map_err(|e| unreadable(e.to_string()))?;
        decode_hashes(&bytes, width)
    }
}

/// How often a tile is looked for that is not there.
const READ_TURNS: usize = 8;

/// How many leaves of a log of `size` lie in the bundle `index`.
fn width_of(index: u64, size: u64) -> u64 {
    size.saturating_sub(index * TILE_WIDTH).min(TILE_WIDTH)
}

fn read_u64(file: &File, at: u64, path: &Path) -> Result<u64, TrailError> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at).map_err(TrailError::io("read", path))?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
#[path = "tests/logs.rs"]
mod tests;
