//! Tests of a log's files.

use proptest::prelude::*;
use writ_proof::merkle::{Frontier, root_at};
use writ_proof::origin::LogName;

use super::*;

fn files(dir: &Path) -> LogFiles {
    let origin = Origin::new("s".parse().unwrap(), LogName::Operator);
    LogFiles::new(dir, &origin)
}

fn leaf(n: u64) -> NewLeaf {
    NewLeaf { leaf: n.to_be_bytes().to_vec(), record: format!("record {n}").into_bytes() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn root_from_tiles_is_the_naive_one_however_the_log_grew(
        steps in proptest::collection::vec(0u64..400, 1..8),
        again in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let (mut size, mut naive) = (0, Frontier::new());
        for step in steps {
            let new: Vec<NewLeaf> = (size..size + step).map(leaf).collect();
            files.grow(size, &new).unwrap();
            if again {
                // As after a crash between the files and the builder's state.
                files.grow(size, &new).unwrap();
            }
            new.iter().for_each(|new| { naive.append(leaf_hash(&new.leaf)); });
            size += step;
            prop_assert_eq!(root_at(&files, size).unwrap(), naive.root());
            prop_assert_eq!(&Frontier::at(&files, size).unwrap(), &naive);
        }
        for seq in 0..size {
            prop_assert_eq!(files.record(seq).unwrap(), leaf(seq).record);
        }
        let entries: Vec<Vec<u8>> = (0..size.div_ceil(TILE_WIDTH))
            .flat_map(|index| files.entries(index, size).unwrap())
            .collect();
        prop_assert_eq!(entries, (0..size).map(|n| leaf(n).leaf).collect::<Vec<_>>());
    }
}

#[test]
fn only_the_widest_partial_tile_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    for n in 0..300 {
        files.grow(n, &[leaf(n)]).unwrap();
    }
    let names = |path: &str| -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(files.dir().join(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("tile/0"), ["000", "001.p"]);
    assert_eq!(names("tile/0/001.p"), ["44"]);
    assert_eq!(names("tile/1/000.p"), ["1"]);
    assert_eq!(names("tile/entries/001.p"), ["44"]);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test damages a file")]
fn changed_record_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    files.grow(0, &[leaf(0), leaf(1)]).unwrap();
    let path = files.dir().join("records.dat");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(files.record(0).is_ok());
    assert!(matches!(files.record(1), Err(TrailError::Damaged { .. })));
}
