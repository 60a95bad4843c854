//! A large object both ways, with the gateway in bounded memory.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Instant;

use writ_tests::site::ANN;
use writ_tests::{Client, Site, process};

use crate::operations::Actor;

/// The gateway's resident memory at its most, in KiB.
const RESIDENT_MAX_KIB: u64 = 256 * 1024;
/// A marked block is written each so many bytes; between them the file is sparse.
const STRIDE: u64 = 16 << 20;

/// The object's size.
const SIZE: u64 = 2 << 30;

#[test]
fn large_object_goes_both_ways_in_bounded_memory() {
    let site = Site::start();
    let root = Actor::root(&site, Client::Cli, ANN);
    let (there, back) = (site.home().join("there"), site.home().join("back"));
    make(&there);
    let aws = |line: &[&str]| root.clients.aws(&root.who, line).unwrap_or_else(|f| panic!("{f:?}"));
    aws(&["s3", "mb", "s3://large"]);
    let started = Instant::now();
    aws(&["s3", "cp", "--no-progress", there.to_str().unwrap(), "s3://large/object"]);
    let up = started.elapsed();
    aws(&["s3", "cp", "--no-progress", "s3://large/object", back.to_str().unwrap()]);
    let down = started.elapsed() - up;
    let most = process::kilobytes(site.pid("s3"), "VmHWM").unwrap();
    println!(
        "{} MiB up in {up:.1?}, down in {down:.1?}; the gateway had at most {} MiB resident",
        SIZE >> 20,
        most >> 10
    );
    assert!(same(&there, &back), "the copy differs");
    assert!(most < RESIDENT_MAX_KIB, "the gateway used {most} KiB");
}

fn make(path: &Path) {
    let mut file = File::create(path).unwrap();
    file.set_len(SIZE).unwrap();
    for block in 0..SIZE / STRIDE {
        file.seek(SeekFrom::Start(block * STRIDE + block)).unwrap();
        file.write_all(format!("block {block}").as_bytes()).unwrap();
    }
}

fn same(one: &Path, other: &Path) -> bool {
    let (mut one, mut other) = (File::open(one).unwrap(), File::open(other).unwrap());
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    if one.metadata().unwrap().len() != other.metadata().unwrap().len() {
        return false;
    }
    for _ in 0..SIZE >> 20 {
        one.read_exact(&mut a).unwrap();
        other.read_exact(&mut b).unwrap();
        if a != b {
            return false;
        }
    }
    true
}
