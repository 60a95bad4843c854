//! Trees, proofs, tile lists and notes agree with `tlog_tiles` and `signed_note`, both ways.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tlog_tiles::HashReader;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::note::{KeyKind, Note, VerifierKey};
use writ_proof::tile::{Level, TileId, TileReader, changed_tiles};
use writ_proof::{Error, Hash, merkle};

/// The reference's own storage: hashes in the order in which trees complete them.
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

struct Tiles(BTreeMap<TileId, Vec<Hash>>);

impl TileReader for Tiles {
    fn tile(&self, id: &TileId) -> Result<Vec<Hash>, Error> {
        Ok(self.0.get(id).unwrap_or_else(|| panic!("{id} was not listed")).clone())
    }
}

fn ours(hashes: &[tlog_tiles::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash(hash.0)).collect()
}

/// The reference has the tile height in its paths; the specification's are of height 8 always.
fn path(tile: &tlog_tiles::Tile) -> String {
    tile.path().replacen("tile/8/", "tile/", 1)
}

#[test]
fn trees_and_proofs_equal_those_of_tlog_tiles() {
    let mut stored = Stored(Vec::new());
    let mut frontier = merkle::Frontier::new();
    let mut tiles = Tiles(BTreeMap::new());
    let mut roots = vec![merkle::empty_root()];
    let mut written = 0;
    for n in 0..600u64 {
        let leaf = n.to_be_bytes();
        let hashes = tlog_tiles::stored_hashes(n, &leaf, &stored).unwrap();
        stored.0.extend(hashes);
        frontier.append(merkle::leaf_hash(&leaf));
        let size = n + 1;
        let root = Hash(tlog_tiles::tree_hash(size, &stored).unwrap().0);
        assert_eq!(frontier.root(), root, "size {size}");
        roots.push(root);
        if size % 37 != 0 && !(255..=257).contains(&size) {
            continue;
        }
        let reference = tlog_tiles::Tile::new_tiles(8, written, size);
        let mut listed = changed_tiles(written, size).unwrap();
        listed.retain(|id| id.level() != Level::Entries);
        let mut expected: Vec<TileId> =
            reference.iter().map(|tile| path(tile).parse().unwrap()).collect();
        expected.sort();
        assert_eq!(listed, expected);
        for tile in &reference {
            let data = tile.read_data(&stored).unwrap();
            let hashes = data.chunks(32).map(|chunk| Hash::from_slice(chunk).unwrap());
            tiles.0.insert(path(tile).parse().unwrap(), hashes.collect());
        }
        written = size;
        assert_eq!(merkle::root_at(&tiles, size).unwrap(), root);
        for index in [0, size / 3, size / 2, size - 1] {
            let proof = merkle::inclusion_proof(&tiles, index, size).unwrap();
            let reference = tlog_tiles::prove_record(size, index, &stored).unwrap();
            assert_eq!(proof, ours(&reference));
            let leaf = merkle::leaf_hash(&index.to_be_bytes());
            merkle::verify_inclusion(&leaf, index, size, &proof, &root).unwrap();

            let old = index.max(1);
            let proof = merkle::consistency_proof(&tiles, old, size).unwrap();
            let reference = tlog_tiles::prove_tree(size, old, &stored).unwrap();
            assert_eq!(proof, ours(&reference));
            let old_root = &roots[usize::try_from(old).unwrap()];
            merkle::verify_consistency(old, size, old_root, &root, &proof).unwrap();
        }
    }
}

#[test]
fn notes_verify_both_ways_with_signed_note() {
    for n in 0..20u8 {
        let key = SoftKey::from_seed(&[n; 32]).unwrap();
        let name = "example.com/log";
        let verifier = VerifierKey::new(name, KeyKind::Ed25519, key.public_key()).unwrap();
        let mut note = Note::new(&format!("a\n\nb {n}\n")).unwrap();
        note.add(note.sign(name, &key).unwrap());
        let theirs = signed_note::Note::from_bytes(&note.to_bytes()).unwrap();
        let known = signed_note::StandardVerifier::new(&verifier.to_string()).unwrap();
        let known = signed_note::VerifierList::new(vec![Box::new(known)]);
        assert_eq!(theirs.verify(&known).unwrap().0.len(), 1);

        let private = [vec![1], vec![n; 32]].concat();
        let id = hex::encode(verifier.id());
        let private = format!("PRIVATE+KEY+{name}+{id}+{}", STANDARD.encode(private));
        let signer = signed_note::StandardSigner::new(&private).unwrap();
        let mut theirs = signed_note::Note::new(b"their text\n", &[]).unwrap();
        theirs.add_sigs(&[&signer]).unwrap();
        let ours = Note::from_bytes(&theirs.to_bytes()).unwrap();
        ours.verify_one(&verifier).unwrap();
        assert_eq!(ours.to_bytes(), theirs.to_bytes());
    }
}
