//! Tiles and entry bundles: how a tree lies in files (C2SP tlog-tiles).
//!
//! A tile of level L holds up to 256 hashes of tree level 8·L; an entry bundle holds up to 256 leaves,
//! each after its length in two bytes. Paths are `tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]`.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::hash::Hash;
use crate::limits;

/// Tree levels of a tile.
pub const TILE_HEIGHT: u32 = 8;

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// Where hash tiles come from: files, memory, a mirror. It may serve a wider tile than was asked
/// for, since a tile's first hashes never change.
pub trait TileReader {
    /// The hashes of a tile of level 0 or above, at least as many as `id` says.
    fn tile(&self, id: &TileId) -> Result<Vec<Hash>, Error>;
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Leaves.
    Entries,
    /// Hashes of tree level 8·L, L from 0 to 63.
    Hashes(u8),
}

/// One tile or bundle; `Display` and `FromStr` are its path below the log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: Level,
    index: u64,
    width: u16,
}

const WHAT: &str = "tile path";

impl TileId {
    /// A tile, if level, index and width can occur.
    pub fn new(level: Level, index: u64, width: u64) -> Result<TileId, Error> {
        let deep = match level {
            Level::Entries => 0,
            Level::Hashes(level) if level < 64 => u32::from(level),
            Level::Hashes(_) => return Err(Error::malformed(WHAT, "the level is above 63")),
        };
        let Ok(width @ 1..=256) = u16::try_from(width) else {
            return Err(Error::malformed(WHAT, "the width is not 1 to 256"));
        };
        // INVARIANT: the last leaf below the tile has an index below 2^63.
        let shift = TILE_HEIGHT * (deep + 1);
        let beyond = if shift >= 63 { index > 0 } else { index >> (63 - shift) != 0 };
        if beyond {
            return Err(Error::malformed(WHAT, "the index is above every possible tree"));
        }
        Ok(TileId { level, index, width })
    }

    /// A hash tile.
    pub fn hashes(level: u32, index: u64, width: u64) -> Result<TileId, Error> {
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        TileId::new(Level::Hashes(level), index, width)
    }

    /// An entry bundle.
    pub fn entries(index: u64, width: u64) -> Result<TileId, Error> {
        TileId::new(Level::Entries, index, width)
    }

    /// What it holds.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Its place in its level.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// True if it holds 256.
    pub fn is_full(&self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Entries => f.write_str("tile/entries/")?,
            Level::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (left, group) in (0..groups.len()).rev().zip(groups.iter().rev()) {
            let (mark, end) = if left > 0 { ("x", "/") } else { ("", "") };
            write!(f, "{mark}{group:03}{end}")?;
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for TileId {
    type Err = Error;

    fn from_str(text: &str) -> Result<TileId, Error> {
        let malformed = |why| Error::malformed(WHAT, why);
        let rest =
            text.strip_prefix("tile/").ok_or_else(|| malformed("it does not begin `tile/`"))?;
        let (level, rest) = rest.split_once('/').ok_or_else(|| malformed("it has no index"))?;
        let level = match level {
            "entries" => Level::Entries,
            number => Level::Hashes(number.parse().map_err(|_| malformed("the level"))?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().map_err(|_| malformed("the width"))?),
            None => (rest, TILE_WIDTH),
        };
        let mut value: u64 = 0;
        for group in index.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            let number: u64 = digits.parse().map_err(|_| malformed("the index"))?;
            value = value
                .checked_mul(1000)
                .and_then(|v| v.checked_add(number))
                .ok_or_else(|| malformed("the index is too large"))?;
        }
        let id = TileId::new(level, value, width)?;
        // One path for one tile: no other spelling of a number, group or width passes.
        if id.to_string() == text { Ok(id) } else { Err(malformed("it is not in canonical form")) }
    }
}

/// The tiles and bundles that must be written when a tree grows from `old` to `new` leaves: every
/// one that is new or wider than before, in ascending order of level and index.
pub fn changed_tiles(old: u64, new: u64) -> Result<Vec<TileId>, Error> {
    let mut changed = Vec::new();
    let (mut before, mut after) = (old, new);
    let mut level = None;
    while after > before {
        for index in before / TILE_WIDTH..=(after - 1) / TILE_WIDTH {
            let width = (after - index * TILE_WIDTH).min(TILE_WIDTH);
            if level.is_none() {
                changed.push(TileId::entries(index, width)?);
            }
            changed.push(TileId::hashes(level.unwrap_or(0), index, width)?);
        }
        level = Some(level.unwrap_or(0) + 1);
        before /= TILE_WIDTH;
        after /= TILE_WIDTH;
    }
    changed.sort();
    Ok(changed)
}

/// The bytes of a hash tile.
pub fn encode_hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Reads a hash tile of exactly `width` hashes.
pub fn decode_hashes(bytes: &[u8], width: u16) -> Result<Vec<Hash>, Error> {
    if bytes.len() != usize::from(width) * 32 {
        return Err(Error::malformed("hash tile", "its length does not fit its width"));
    }
    Ok(bytes.chunks_exact(32).filter_map(Hash::from_slice).collect())
}

/// The bytes of an entry bundle.
pub fn encode_entries<T: AsRef<[u8]>>(entries: &[T]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        Error::limit("entry bytes", entry.len(), limits::LEAF_MAX_BYTES)?;
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// Reads an entry bundle of exactly `width` entries.
pub fn decode_entries(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, Error> {
    let malformed = |why| Error::malformed("entry bundle", why);
    let mut entries = Vec::new();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) =
            after.split_at_checked(length).ok_or_else(|| malformed("it ends within an entry"))?;
        entries.push(entry);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(malformed("it ends within a length"));
    }
    if entries.len() != usize::from(width) {
        return Err(malformed("it holds another number of entries"));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_that_of_the_specification() {
        let check = |level, index, width, path: &str| {
            let id = TileId::new(level, index, width).unwrap();
            assert_eq!(id.to_string(), path);
            assert_eq!(path.parse::<TileId>().unwrap(), id);
        };
        check(Level::Hashes(0), 1_234_067, 256, "tile/0/x001/x234/067");
        check(Level::Hashes(0), 0, 1, "tile/0/000.p/1");
        check(Level::Hashes(5), 999, 255, "tile/5/999.p/255");
        check(Level::Entries, 1000, 256, "tile/entries/x001/000");
        check(Level::Entries, 273, 112, "tile/entries/273.p/112");
    }

    #[test]
    fn path_of_other_forms_is_refused() {
        for path in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/64/000",
            "tile/00/000",
            "tile/+0/000",
            "tile/-1/000",
            "tile/data/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/001/067",
            "tile/0/x001/x067",
            "tile/0/x1/067",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/+1",
            "tile/0/000.p/",
            "tile/0/000/",
            "/tile/0/000",
            "tile/0/../000",
            "tile/8/001",
            "tile/0/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert!(path.parse::<TileId>().is_err(), "{path}");
        }
    }

    #[test]
    fn changed_tiles_are_those_new_or_wider() {
        let check = |old, new, paths: &[&str]| {
            let found: Vec<String> =
                changed_tiles(old, new).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(found, paths);
        };
        check(0, 0, &[]);
        check(5, 5, &[]);
        check(0, 1, &["tile/entries/000.p/1", "tile/0/000.p/1"]);
        check(
            255,
            257,
            &[
                "tile/entries/000",
                "tile/entries/001.p/1",
                "tile/0/000",
                "tile/0/001.p/1",
                "tile/1/000.p/1",
            ],
        );
        check(256, 300, &["tile/entries/001.p/44", "tile/0/001.p/44"]);
    }

    #[test]
    fn bundle_round_trips_and_is_strict() {
        let entries: [&[u8]; 3] = [b"", b"abc", &[7; 65_535]];
        let bytes = encode_entries(&entries).unwrap();
        assert_eq!(decode_entries(&bytes, 3).unwrap(), entries);
        assert!(decode_entries(&bytes, 2).is_err());
        assert!(decode_entries(&bytes[..bytes.len() - 1], 3).is_err());
        assert!(decode_entries(&[0], 0).is_err());
        assert!(encode_entries(&[vec![0; 65_536]]).is_err());
        assert!(decode_hashes(&[0; 33], 1).is_err());
    }
}
