//! A set of serial numbers, and its shortest sections.

use std::collections::BTreeMap;

use super::{SERIAL_BITMAP, SERIAL_LIST, SERIAL_RANGE};
use crate::error::Error;
use crate::limits::KRL_BITMAP_MAX_BYTES;
use crate::ssh::put_string;

/// A list entry takes eight bytes; a gap of this many numbers takes as much in a bitmap.
const GAP: u64 = 64;

/// Runs below this many are not worth a bitmap of their own.
const BITMAP_MIN_RUNS: usize = 4;

/// The most numbers that one bitmap of ours spans.
const SPAN: u64 = 1 << 16;

/// Runs of numbers, apart from each other: first and last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Serials(BTreeMap<u64, u64>);

impl Serials {
    /// Adds a run, which grows together with those that it meets.
    pub(super) fn insert(&mut self, mut first: u64, mut last: u64) {
        while let Some((&low, &high)) = self.0.range(..=last.saturating_add(1)).next_back() {
            if high.saturating_add(1) < first {
                break;
            }
            (first, last) = (first.min(low), last.max(high));
            self.0.remove(&low);
        }
        self.0.insert(first, last);
    }

    pub(super) fn contains(&self, serial: u64) -> bool {
        self.0.range(..=serial).next_back().is_some_and(|(_, last)| *last >= serial)
    }

    pub(super) fn ranges(&self) -> usize {
        self.0.len()
    }

    /// Appends the sections.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let runs: Vec<(u64, u64)> = self.0.iter().map(|(first, last)| (*first, *last)).collect();
        let mut rest = runs.as_slice();
        let mut single = Vec::new();
        while let Some(&(first, last)) = rest.first() {
            let near = cluster(rest);
            let (patch, after) = rest.split_at(near);
            if near >= BITMAP_MIN_RUNS {
                write_bitmap(bytes, first, patch);
                rest = after;
                continue;
            }
            if first == last {
                single.extend_from_slice(&first.to_be_bytes());
            } else {
                let range = [first.to_be_bytes(), last.to_be_bytes()].concat();
                bytes.push(SERIAL_RANGE);
                put_string(bytes, &range);
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        if !single.is_empty() {
            bytes.push(SERIAL_LIST);
            put_string(bytes, &single);
        }
    }
}

/// How many runs lie so close after the first that one bitmap holds them best.
fn cluster(runs: &[(u64, u64)]) -> usize {
    let Some(&(start, mut end)) = runs.first() else { return 0 };
    let mut count = 0;
    for (first, last) in runs {
        if first.saturating_sub(end) > GAP || last - start >= SPAN {
            break;
        }
        (end, count) = (*last, count + 1);
    }
    count
}

/// Bit i of the big-endian integer is the number `offset` + i.
fn write_bitmap(bytes: &mut Vec<u8>, offset: u64, runs: &[(u64, u64)]) {
    let span = runs.last().map_or(0, |(_, last)| last - offset);
    // One byte more than the bits need keeps the integer positive where its top bit is set.
    let length = usize::try_from(span / 8 + 1).unwrap_or(0);
    let mut bits = vec![0u8; length];
    for bit in runs.iter().flat_map(|(first, last)| *first..=*last).map(|n| n - offset) {
        let from_end = usize::try_from(bit / 8).unwrap_or(0) + 1;
        if let Some(byte) = length.checked_sub(from_end).and_then(|at| bits.get_mut(at)) {
            *byte |= 1 << (bit % 8);
        }
    }
    if bits.first().is_some_and(|top| top & 0x80 != 0) {
        bits.insert(0, 0);
    }
    let mut body = offset.to_be_bytes().to_vec();
    put_string(&mut body, &bits);
    bytes.push(SERIAL_BITMAP);
    put_string(bytes, &body);
}

/// Calls `each` with every number of a bitmap.
pub(super) fn read_bitmap(
    offset: u64,
    bits: &[u8],
    mut each: impl FnMut(u64) -> Result<(), Error>,
) -> Result<(), Error> {
    const BAD: Error = Error::malformed("key revocation list", "a bitmap is no minimal mpint");
    Error::limit("bitmap bytes", bits.len(), KRL_BITMAP_MAX_BYTES)?;
    let minimal = match bits {
        [0, second, ..] => second & 0x80 != 0,
        [first, ..] => *first != 0 && first & 0x80 == 0,
        [] => false,
    };
    if !minimal {
        return Err(BAD);
    }
    for (byte, from_end) in bits.iter().rev().zip(0u64..) {
        for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
            each(offset.checked_add(from_end * 8 + bit).ok_or(BAD)?)?;
        }
    }
    Ok(())
}
