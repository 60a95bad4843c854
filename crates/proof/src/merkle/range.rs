//! A part of a growing tree in O(log n) space, and the consistency proof from two such parts that touch.

use super::{empty_root, node_hash, split};
use crate::error::Error;
use crate::hash::Hash;

/// Consecutive leaves as the roots of the complete subtrees that lie in them, from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    begin: u64,
    end: u64,
    nodes: Vec<Node>,
}

/// A complete subtree: its first leaf, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    begin: u64,
    size: u64,
    hash: Hash,
}

impl Range {
    /// No leaves yet, from `begin` on.
    pub fn new(begin: u64) -> Range {
        Range { begin, end: begin, nodes: Vec::new() }
    }

    /// The index behind the last leaf: the size of the tree, if the range begins with its first.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends a leaf by its leaf hash.
    pub fn append(&mut self, leaf: Hash) {
        self.push(Node { begin: self.end, size: 1, hash: leaf });
    }

    /// Appends what another range holds.
    ///
    /// # Errors
    /// It does not begin where this one ends.
    pub fn extend(&mut self, next: &Range) -> Result<(), Error> {
        if next.begin != self.end {
            return Err(Error::OutOfRange { what: "leaf", value: next.begin, size: self.end });
        }
        next.nodes.iter().for_each(|node| self.push(*node));
        Ok(())
    }

    /// The root of the tree, if the range begins with its first leaf.
    ///
    /// # Errors
    /// It begins later.
    pub fn root(&self) -> Result<Hash, Error> {
        if self.end == 0 { Ok(empty_root()) } else { subtree(&[self], 0, self.end) }
    }

    fn push(&mut self, mut node: Node) {
        self.end = node.begin.saturating_add(node.size);
        while let Some(left) = self.nodes.last().copied()
            && left.size == node.size
            && left.begin & left.size == 0
        {
            self.nodes.pop();
            let hash = node_hash(&left.hash, &node.hash);
            node = Node { begin: left.begin, size: left.size << 1, hash };
        }
        self.nodes.push(node);
    }
}

/// The hashes that show that the tree of `old` is a prefix of the one of `old` with `since` behind it
/// (RFC 6962 section 2.1.2).
///
/// # Errors
/// `old` does not begin with the first leaf, or `since` not where it ends.
pub fn consistency_of(old: &Range, since: &Range) -> Result<Vec<Hash>, Error> {
    if old.begin != 0 || since.begin != old.end {
        return Err(Error::OutOfRange { what: "leaf", value: since.begin, size: old.end });
    }
    let parts = [old, since];
    let mut proof = Vec::new();
    if old.end == 0 || since.end == since.begin {
        return Ok(proof);
    }
    let (mut low, mut high) = (0, since.end);
    while old.end != high {
        let middle = low + split(high - low);
        if old.end <= middle {
            proof.push(subtree(&parts, middle, high)?);
            high = middle;
        } else {
            proof.push(subtree(&parts, low, middle)?);
            low = middle;
        }
    }
    if low != 0 {
        proof.push(subtree(&parts, low, high)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root over leaves `low..high`, which RFC 6962's recursion visits.
fn subtree(parts: &[&Range], low: u64, high: u64) -> Result<Hash, Error> {
    let size = high - low;
    let nodes = parts.iter().flat_map(|part| &part.nodes);
    if let Some(node) = nodes.into_iter().find(|node| node.begin == low && node.size == size) {
        return Ok(node.hash);
    }
    if size < 2 {
        return Err(Error::OutOfRange { what: "leaf", value: low, size: high });
    }
    let middle = low + split(size);
    Ok(node_hash(&subtree(parts, low, middle)?, &subtree(parts, middle, high)?))
}

#[cfg(test)]
mod tests {
    use super::super::{Frontier, leaf_hash, verify_consistency};
    use super::*;

    #[test]
    fn proof_from_two_ranges_verifies_for_all_small_sizes() {
        let leaf = |n: u64| leaf_hash(&n.to_be_bytes());
        for old in 0..70 {
            let mut first = Range::new(0);
            let mut frontier = Frontier::new();
            for n in 0..old {
                first.append(leaf(n));
                frontier.append(leaf(n));
            }
            let before = frontier.root();
            assert_eq!(first.root().unwrap(), before);
            let mut since = Range::new(old);
            for new in old..140 {
                let proof = consistency_of(&first, &since).unwrap();
                let after = frontier.root();
                verify_consistency(old, new, &before, &after, &proof).unwrap();
                let mut whole = first.clone();
                whole.extend(&since).unwrap();
                assert_eq!((whole.end(), whole.root().unwrap()), (new, after));
                assert!(since.nodes.len() < 20);
                since.append(leaf(new));
                frontier.append(leaf(new));
            }
        }
    }

    #[test]
    fn ranges_that_do_not_touch_are_refused() {
        let mut first = Range::new(0);
        first.append(leaf_hash(b"a"));
        assert!(consistency_of(&first, &Range::new(2)).is_err());
        assert!(consistency_of(&Range::new(1), &Range::new(1)).is_err());
        assert!(first.extend(&Range::new(0)).is_err());
    }
}
