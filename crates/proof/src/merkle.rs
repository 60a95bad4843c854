//! Merkle trees as in RFC 6962: hashing, the frontier that appends, proofs from tiles, and their checks.
//!
//! Proofs are computed from hash tiles ([`TileReader`]), so that nobody needs a tree in memory.
//! Verification is that of RFC 9162 sections 2.1.3.2 and 2.1.4.2.

mod range;

pub use range::{Range, consistency_of};

use crate::cbor::{CborError, Decode, Encode, MapReader, Reader, Writer};
use crate::error::Error;
use crate::hash::{Hash, sha256, sha256_of};
use crate::limits;
use crate::tile::{TILE_HEIGHT, TILE_WIDTH, TileReader};

/// The root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    sha256(b"")
}

/// The hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256_of(&[&[0], leaf])
}

/// The hash of a node.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256_of(&[&[1], &left.0, &right.0])
}

/// The right edge of a growing tree: the roots of its complete subtrees, largest first. It is all
/// that appending and the current root need, in O(log n) space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    /// The frontier of the empty tree.
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// Appends a leaf by its leaf hash; answers its index.
    pub fn append(&mut self, leaf: Hash) -> u64 {
        let index = self.size;
        let mut node = leaf;
        // Each trailing one bit of the size is a complete subtree that the new leaf completes further.
        for _ in 0..index.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.nodes.push(node);
        self.size = self.size.saturating_add(1);
        index
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        fold(&self.nodes)
    }

    /// The frontier of the first `size` leaves, from tiles.
    pub fn at(tiles: &dyn TileReader, size: u64) -> Result<Frontier, Error> {
        Ok(Frontier { size, nodes: complete_subtrees(tiles, size, 0, size)? })
    }
}

impl Encode for Frontier {
    fn encode(&self, writer: &mut Writer) {
        writer.map(2);
        writer.uint(1);
        writer.uint(self.size);
        writer.uint(2);
        self.nodes.encode(writer);
    }
}

impl Decode for Frontier {
    fn decode(reader: &mut Reader<'_>) -> Result<Frontier, CborError> {
        let mut map = MapReader::begin(reader)?;
        if !map.has(reader, 1)? {
            return Err(CborError::Key { key: 1 });
        }
        let size = reader.uint()?;
        if !map.has(reader, 2)? {
            return Err(CborError::Key { key: 2 });
        }
        let nodes = Vec::<Hash>::decode(reader)?;
        map.end()?;
        if nodes.len() == size.count_ones() as usize {
            Ok(Frontier { size, nodes })
        } else {
            Err(reader.invalid("a frontier with one node for each one bit of its size"))
        }
    }
}

/// The root of the first `size` leaves.
pub fn root_at(tiles: &dyn TileReader, size: u64) -> Result<Hash, Error> {
    range_root(tiles, size, 0, size)
}

/// The hashes that lead from leaf `index` to the root of the first `size` leaves, lowest first
/// (RFC 6962 section 2.1.1).
pub fn inclusion_proof(tiles: &dyn TileReader, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
    if index >= size {
        return Err(Error::OutOfRange { what: "leaf", value: index, size });
    }
    let mut proof = Vec::new();
    let (mut low, mut high) = (0, size);
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            proof.push(range_root(tiles, size, middle, high)?);
            high = middle;
        } else {
            proof.push(range_root(tiles, size, low, middle)?);
            low = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The hashes that show that the first `old` leaves are a prefix of the first `new` (RFC 6962
/// section 2.1.2). Empty when `old` is 0 or equals `new`.
pub fn consistency_proof(tiles: &dyn TileReader, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
    if old > new {
        return Err(Error::OutOfRange { what: "tree size", value: old, size: new });
    }
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    let (mut low, mut high) = (0, new);
    while old != high {
        let middle = low + split(high - low);
        if old <= middle {
            proof.push(range_root(tiles, new, middle, high)?);
            high = middle;
        } else {
            proof.push(range_root(tiles, new, low, middle)?);
            low = middle;
        }
    }
    // The old tree's own root is left out where the verifier holds it already.
    if low != 0 {
        proof.push(range_root(tiles, new, low, high)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that `leaf` (a leaf hash) is number `index` of the tree of `size` leaves with `root`.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), Error> {
    if index >= size {
        return Err(Error::OutOfRange { what: "leaf", value: index, size });
    }
    Error::limit("inclusion proof hashes", proof.len(), limits::INCLUSION_MAX_HASHES + 1)?;
    let bad = Error::BadProof { what: "inclusion", root: *root };
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(bad);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            let shift = if node & 1 == 1 { 0 } else { node.trailing_zeros().min(63) };
            node >>= shift;
            last >>= shift;
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(bad) }
}

/// Checks that the tree of `old` leaves with `old_root` is a prefix of that of `new` with `new_root`.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), Error> {
    if old > new {
        return Err(Error::OutOfRange { what: "tree size", value: old, size: new });
    }
    Error::limit("consistency proof hashes", proof.len(), limits::CONSISTENCY_MAX_HASHES + 1)?;
    let bad = |root: &Hash| Error::BadProof { what: "consistency", root: *root };
    if old == 0 || old == new {
        let expected = if old == 0 { empty_root() } else { *new_root };
        let same = proof.is_empty() && *old_root == expected;
        return if same { Ok(()) } else { Err(bad(old_root)) };
    }
    let mut hashes = proof.iter();
    let mut seed = None;
    if !old.is_power_of_two() {
        seed = Some(hashes.next().ok_or_else(|| bad(new_root))?);
    }
    let seed = *seed.unwrap_or(old_root);
    let shift = (old - 1).trailing_ones().min(63);
    let (mut node, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut from, mut to) = (seed, seed);
    for sibling in hashes {
        if last == 0 {
            return Err(bad(new_root));
        }
        if node & 1 == 1 || node == last {
            from = node_hash(sibling, &from);
            to = node_hash(sibling, &to);
            let shift = if node & 1 == 1 { 0 } else { node.trailing_zeros().min(63) };
            node >>= shift;
            last >>= shift;
        } else {
            to = node_hash(&to, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last, from == *old_root, to == *new_root) {
        (0, true, true) => Ok(()),
        (0, false, _) => Err(bad(old_root)),
        _ => Err(bad(new_root)),
    }
}

/// The hash of 2^k hashes of one level, k levels up: for a full tile, its entry in the tile above.
pub fn subtree_root(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .filter_map(|pair| match pair {
                [left, right] => Some(node_hash(left, right)),
                _ => None,
            })
            .collect();
    }
    level.first().copied()
}

/// The largest power of two below `n`, for n > 1.
fn split(n: u64) -> u64 {
    1 << (63 - n.saturating_sub(1).max(1).leading_zeros())
}

/// The root of leaves `low..high` of a tree of `size`, a range that RFC 6962's recursion visits.
fn range_root(tiles: &dyn TileReader, size: u64, low: u64, high: u64) -> Result<Hash, Error> {
    Ok(fold(&complete_subtrees(tiles, size, low, high)?))
}

fn fold(nodes: &[Hash]) -> Hash {
    let mut rest = nodes.iter().rev();
    let Some(last) = rest.next() else { return empty_root() };
    rest.fold(*last, |right, left| node_hash(left, &right))
}

/// The roots of the complete subtrees of `low..high`, largest first.
fn complete_subtrees(
    tiles: &dyn TileReader,
    size: u64,
    low: u64,
    high: u64,
) -> Result<Vec<Hash>, Error> {
    let mut nodes = Vec::new();
    let mut at = low;
    while at < high {
        let height = 63 - (high - at).leading_zeros();
        nodes.push(node(tiles, size, height, at >> height)?);
        at += 1 << height;
    }
    Ok(nodes)
}

/// The root of the complete subtree of 2^height leaves that begins at leaf `index << height`.
fn node(tiles: &dyn TileReader, size: u64, height: u32, index: u64) -> Result<Hash, Error> {
    let level = height / TILE_HEIGHT;
    let within = height % TILE_HEIGHT;
    let first = index << within;
    let (tile, offset) = (first / TILE_WIDTH, first % TILE_WIDTH);
    // What the tile of this tree holds: its level has size >> 8·level complete hashes.
    let hashes = size.checked_shr(level * TILE_HEIGHT).unwrap_or(0);
    let width = hashes.saturating_sub(tile * TILE_WIDTH).min(TILE_WIDTH);
    let id = crate::tile::TileId::hashes(level, tile, width)?;
    let held = tiles.tile(&id)?;
    let range = usize::try_from(offset).ok().and_then(|from| held.get(from..from + (1 << within)));
    range.and_then(subtree_root).ok_or_else(|| Error::Tile {
        path: id.to_string(),
        why: format!("it holds {} hashes instead of {width}", held.len()),
    })
}

#[cfg(test)]
#[path = "tests/merkle.rs"]
pub(crate) mod tests;
