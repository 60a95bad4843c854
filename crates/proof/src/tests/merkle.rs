//! Tests of trees and their proofs.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::cbor;
use crate::tile::{Level, TileId, changed_tiles};

/// RFC 6962 section 2.1, word for word: the reference that everything else must equal.
mod naive {
    use super::*;

    pub(super) fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(k(leaves.len()));
                node_hash(&root(left), &root(right))
            }
        }
    }

    pub(super) fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(k(leaves.len()));
        let (mut proof, sibling) = if m < left.len() {
            (path(m, left), root(right))
        } else {
            (path(m - left.len(), right), root(left))
        };
        proof.push(sibling);
        proof
    }

    pub(super) fn proof(m: usize, leaves: &[Hash]) -> Vec<Hash> {
        if m == 0 { Vec::new() } else { subproof(m, leaves, true) }
    }

    fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if m == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let (left, right) = leaves.split_at(k(leaves.len()));
        let (mut proof, sibling) = if m <= left.len() {
            (subproof(m, left, whole), root(right))
        } else {
            (subproof(m - left.len(), right, false), root(left))
        };
        proof.push(sibling);
        proof
    }

    fn k(n: usize) -> usize {
        let mut k = 1;
        while k * 2 < n {
            k *= 2;
        }
        k
    }
}

/// Tiles as a builder would write them: level by level, each full tile one hash in the next.
#[derive(Default)]
pub(crate) struct MemoryTiles(BTreeMap<TileId, Vec<Hash>>);

impl MemoryTiles {
    pub(crate) fn of(leaves: &[Hash]) -> MemoryTiles {
        let mut tiles = BTreeMap::new();
        let mut level = leaves.to_vec();
        let mut number = 0;
        while !level.is_empty() {
            for (index, hashes) in (0..).zip(level.chunks(256)) {
                let id = TileId::hashes(number, index, hashes.len() as u64).unwrap();
                tiles.insert(id, hashes.to_vec());
            }
            level = level.chunks_exact(256).map(|full| subtree_root(full).unwrap()).collect();
            number += 1;
        }
        MemoryTiles(tiles)
    }
}

impl TileReader for MemoryTiles {
    fn tile(&self, id: &TileId) -> Result<Vec<Hash>, Error> {
        let held = self.0.get(id).cloned();
        held.ok_or_else(|| Error::Tile { path: id.to_string(), why: "absent".to_owned() })
    }
}

pub(crate) fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

#[test]
fn roots_are_those_of_the_certificate_transparency_reference() {
    let inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), empty_root());
    for (input, root) in inputs.iter().zip(roots) {
        frontier.append(leaf_hash(&hex::decode(input).unwrap()));
        assert_eq!(frontier.root().to_string(), root, "size {}", frontier.size());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn tiles_frontier_and_rfc_6962_agree(size in 1usize..700, picks in any::<[prop::sample::Index; 3]>()) {
        let leaves = leaves(size);
        let tiles = MemoryTiles::of(&leaves);
        let root = naive::root(&leaves);
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| { frontier.append(*leaf); });
        prop_assert_eq!(frontier.root(), root);
        prop_assert_eq!(root_at(&tiles, size as u64).unwrap(), root);
        prop_assert_eq!(&Frontier::at(&tiles, size as u64).unwrap(), &frontier);
        let bytes = cbor::to_vec(&frontier);
        prop_assert_eq!(&cbor::from_slice::<Frontier>(&bytes).unwrap(), &frontier);

        let index = picks[0].index(size);
        let proof = inclusion_proof(&tiles, index as u64, size as u64).unwrap();
        prop_assert_eq!(&proof, &naive::path(index, &leaves));
        verify_inclusion(&leaves[index], index as u64, size as u64, &proof, &root).unwrap();

        let old = picks[1].index(size + 1);
        let old_root = naive::root(&leaves[..old]);
        let proof = consistency_proof(&tiles, old as u64, size as u64).unwrap();
        prop_assert_eq!(&proof, &naive::proof(old, &leaves));
        verify_consistency(old as u64, size as u64, &old_root, &root, &proof).unwrap();
    }

    #[test]
    fn a_changed_proof_proves_nothing(
        size in 2usize..400,
        index in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0usize..256,
    ) {
        let leaves = leaves(size);
        let tiles = MemoryTiles::of(&leaves);
        let root = naive::root(&leaves);
        let index = index.index(size);
        let n = size as u64;
        let proof = inclusion_proof(&tiles, index as u64, n).unwrap();
        let i = index as u64;
        let mut changed = proof.clone();
        let at = at.index(changed.len());
        changed[at].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_inclusion(&leaves[index], i, n, &changed, &root).is_err());
        prop_assert!(verify_inclusion(&leaves[index], i, n, &proof[1..], &root).is_err());
        let longer = [proof.clone(), vec![root]].concat();
        prop_assert!(verify_inclusion(&leaves[index], i, n, &longer, &root).is_err());
        prop_assert!(verify_inclusion(&leaves[(index + 1) % size], i, n, &proof, &root).is_err());
        prop_assert!(verify_inclusion(&leaves[index], n, n, &proof, &root).is_err());

        let old = index.max(1);
        let old_root = naive::root(&leaves[..old]);
        let proof = consistency_proof(&tiles, old as u64, n).unwrap();
        let mut changed = proof.clone();
        let at = at % changed.len();
        changed[at].0[bit / 8] ^= 1 << (bit % 8);
        let check = |old_root: &Hash, proof: &[Hash]| {
            verify_consistency(old as u64, n, old_root, &root, proof)
        };
        prop_assert!(check(&old_root, &proof).is_ok());
        prop_assert!(check(&old_root, &changed).is_err());
        prop_assert!(check(&old_root, &proof[1..]).is_err());
        prop_assert!(check(&root, &proof).is_err());
    }

    #[test]
    fn verification_of_anything_ends(
        sizes in any::<[u64; 3]>(),
        proof in prop::collection::vec(any::<[u8; 32]>().prop_map(Hash), 0..70),
    ) {
        let [index, old, new] = sizes;
        prop_assert!(verify_inclusion(&Hash::ZERO, index, new, &proof, &Hash::ZERO).is_err());
        prop_assert!(verify_consistency(old, new, &Hash::ZERO, &Hash([1; 32]), &proof).is_err());
        let empty = MemoryTiles::default();
        if new > 0 {
            prop_assert!(root_at(&empty, new).is_err());
            prop_assert!(inclusion_proof(&empty, index % new, new).is_err() || new == 1);
        }
    }
}

#[test]
fn tiles_of_three_levels_give_the_same_root() {
    let size = 256 * 256 + 300;
    let leaves = leaves(size);
    let tiles = MemoryTiles::of(&leaves);
    assert!(tiles.0.keys().any(|id| id.level() == Level::Hashes(2)));
    let root = root_at(&tiles, size as u64).unwrap();
    assert_eq!(root, naive::root(&leaves));
    for index in [0, 255, 256, 65_535, 65_536, size as u64 - 1] {
        let proof = inclusion_proof(&tiles, index, size as u64).unwrap();
        verify_inclusion(&leaves[index as usize], index, size as u64, &proof, &root).unwrap();
    }
    for old in [1, 256, 65_536, 65_537] {
        let proof = consistency_proof(&tiles, old, size as u64).unwrap();
        let old_root = naive::root(&leaves[..old as usize]);
        verify_consistency(old, size as u64, &old_root, &root, &proof).unwrap();
    }
}

#[test]
fn changed_tiles_are_all_that_a_reader_needs() {
    // A builder that writes only the changed tiles, in random steps, has at each size what a
    // reader of that size asks for.
    let leaves = leaves(1000);
    let mut written = MemoryTiles::default();
    let mut size = 0;
    for step in [1usize, 3, 250, 2, 1, 255, 256, 100, 32, 100] {
        let next = size + step;
        let all = MemoryTiles::of(&leaves[..next]);
        for id in changed_tiles(size as u64, next as u64).unwrap() {
            if id.level() != Level::Entries {
                written.0.insert(id, all.0[&id].clone());
            }
        }
        size = next;
        assert_eq!(root_at(&written, size as u64).unwrap(), naive::root(&leaves[..size]));
    }
}

#[test]
fn a_frontier_of_another_shape_is_refused() {
    let mut frontier = Frontier::new();
    leaves(3).into_iter().for_each(|leaf| {
        frontier.append(leaf);
    });
    let mut bytes = cbor::to_vec(&frontier);
    assert_eq!(bytes[2], 3);
    bytes[2] = 4;
    assert!(cbor::from_slice::<Frontier>(&bytes).is_err());
}
