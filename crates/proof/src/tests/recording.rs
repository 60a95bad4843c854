//! Tests of recordings.

use expect_test::expect;
use proptest::prelude::*;

use super::*;

fn header() -> Header {
    Header {
        v: Version,
        session: "01JGZZZZZZZZZZZZZZZZZZZZZZ".parse().unwrap(),
        request: "01JGYYYYYYYYYYYYYYYYYYYYYY".parse().unwrap(),
        grants: vec![Hash([1; 32])],
        human: "alice".parse().unwrap(),
        host: "web-1".to_owned(),
        kind: SessionKind::Ssh,
        start: Timestamp::from_millis(1_800_000_000_123),
        key: "k1".to_owned(),
        recorder: Uuid::from_bytes([2; 16]),
        accounts: None,
    }
}

fn key() -> RecordingKey {
    RecordingKey::new(&[9; 32]).unwrap()
}

fn data(ns: u64, direction: Direction, content: &[u8]) -> Frame {
    Frame { monotonic_ns: ns, channel: 3, direction, kind: Kind::Data, content: content.to_vec() }
}

/// A short recording, where each of its frames begins, and its marks.
fn sample() -> (Vec<u8>, Vec<usize>, Vec<Mark>) {
    let mut bytes = header().to_bytes().unwrap();
    let mut chain = Chain::begin(&header()).unwrap();
    let (mut starts, mut marks) = (Vec::new(), Vec::new());
    let wall = Timestamp::from_millis(1_800_000_001_000);
    for (n, text) in ["ls\n", "a b\n", "", "exit\n"].iter().enumerate() {
        starts.push(bytes.len());
        let direction = [Direction::ToHost, Direction::FromHost][n % 2];
        chain.push(&mut bytes, &data(n as u64 * 10, direction, text.as_bytes()), &key()).unwrap();
        if n == 1 {
            starts.push(bytes.len());
            marks.push(chain.checkpoint(&mut bytes, 15, wall));
        }
    }
    starts.push(bytes.len());
    marks.push(chain.end(&mut bytes, 40, wall, "closed"));
    (bytes, starts, marks)
}

fn verify(bytes: &[u8]) -> Result<Verified, Error> {
    let mut verifier = Verifier::new();
    verifier.push(bytes, &mut |_, _| Ok(()))?;
    verifier.finish()
}

#[test]
fn format_is_fixed() {
    let (bytes, _, _) = sample();
    expect!["575249545245430000010000007caa0101025001943fffffffffffffffffffffffffff035001943def7bdef7bdef7bdef7bdef7bde0481582001010101010101010101010101010101010101010101010101010101010101010565616c69636506657765622d31078100081b000001a3185c507b09626b310a500202020202020202020202020202020200000049000000000000000000000000000000000000000301018ab06fddcdc57074b19b37692b14bf12ec8e61bafbb087c534aa84b21ab9fdee9ebe99bffbedb3e37c5be083ca9e34587bd9dd0000004a0000000000000001000000000000000a000000030201a147aa2fd5f9d08627e5c727df634ca60fc2da95bb3ff52f3893c0df64224f9f4c73769ee2f786b69f71c3c93e631a3390f090f1000000800000000000000002000000000000000f00000000000da5015001943fffffffffffffffffffffffffff0202035820bb3ff52f3893c0df64224f9f4c73769ee2f786b69f71c3c93e631a3390f090f1041b000001a3185c53e805a301030204030025d58a82695c375d37e8e88ced6dac550a8a4df960e5b670fe53686db46ed2f40000004600000000000000030000000000000014000000030101dd50a81211937fafd00b6ba1e0e480d2e804e93093b217660800e87e33ed2f46a94f59a9cc871a7265b6d0823c054ae20000004b0000000000000004000000000000001e000000030201bf37d8c489997a11c5476b628ffeda19f5068d68724ddca97ffb3c4d132f7522dd3a565ad0889bae140ea597093eb784fd525707a30000008a0000000000000005000000000000002800000000000ea201a5015001943fffffffffffffffffffffffffff02050358204ddca97ffb3c4d132f7522dd3a565ad0889bae140ea597093eb784fd525707a3041b000001a3185c53e805a30103020903000266636c6f736564493f4d80b519f77f9a01cee11847a7de770f88f819bd3e706d75aacd535a766c"].assert_eq(&hex::encode(&bytes));
    let verified = verify(&bytes).unwrap();
    assert_eq!((verified.header, verified.frames), (header(), 6));
    assert_eq!(verified.state, State::Ended("closed".to_owned()));
    let totals = Totals { to_host: 3, from_host: 9, errors: 0 };
    assert_eq!(verified.last.at().totals, totals);
}

#[test]
fn header_is_known_once_it_was_read() {
    let (bytes, _, _) = sample();
    let mut verifier = Verifier::new();
    assert!(verifier.header().is_none());
    verifier.push(&bytes, &mut |_, _| Ok(())).unwrap();
    assert_eq!(verifier.header(), Some(&header()));
}

#[test]
fn every_changed_byte_and_every_cut_is_found() {
    let (bytes, _, _) = sample();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(verify(&changed).is_err(), "byte {at} bit {bit}");
        }
        assert!(verify(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(verify(&[&bytes[..], b"x"].concat()).is_err());
}

#[test]
fn moved_and_missing_frames_are_found() {
    let (bytes, starts, _) = sample();
    let end_of = |n: usize| starts.get(n + 1).copied().unwrap_or(bytes.len());
    for n in 0..starts.len() {
        let without = [&bytes[..starts[n]], &bytes[end_of(n)..]].concat();
        assert!(verify(&without).is_err(), "frame {n} is gone");
        let twice = [&bytes[..end_of(n)], &bytes[starts[n]..]].concat();
        assert!(verify(&twice).is_err(), "frame {n} is there twice");
        for m in n + 1..starts.len() {
            let swapped = [
                &bytes[..starts[n]],
                &bytes[starts[m]..end_of(m)],
                &bytes[end_of(n)..starts[m]],
                &bytes[starts[n]..end_of(n)],
                &bytes[end_of(m)..],
            ];
            assert!(verify(&swapped.concat()).is_err(), "frames {n} and {m}");
        }
    }
}

/// Whoever knows the format can make another tail whose chain holds; the ledger's marks tell.
#[test]
fn rewritten_tail_is_found_by_the_ledgers_marks() {
    let (bytes, starts, marks) = sample();
    let check = |bytes: &[u8]| {
        let mut verifier = Verifier::new();
        marks.iter().cloned().for_each(|mark| verifier.expect(mark));
        verifier.push(bytes, &mut |_, _| Ok(()))?;
        verifier.finish()
    };
    check(&bytes).unwrap();
    for keep in [0, 2, 3, 5] {
        let mut verifier = Verifier::new();
        verifier.push(&bytes[..starts[keep]], &mut |_, _| Ok(())).unwrap();
        let mut chain = verifier.chain().unwrap().clone();
        let mut forged = bytes[..starts[keep]].to_vec();
        chain.end(&mut forged, 99, Timestamp::from_secs(1_800_000_002), "closed");
        assert!(verify(&forged).is_ok(), "{keep}");
        assert!(check(&forged).is_err(), "{keep}");
    }
}

#[test]
fn contents_open_with_the_key_in_their_place_only() {
    let (bytes, _, _) = sample();
    let mut seen = Vec::new();
    let mut verifier = Verifier::new();
    for piece in bytes.chunks(7) {
        let each = &mut |_: &Header, frame: &Stored<'_>| {
            if frame.kind == Kind::Data {
                let content = frame.open(&key())?;
                assert_eq!(content.len(), frame.content_len());
                assert!(frame.open(&RecordingKey::new(&[8; 32]).unwrap()).is_err());
                // The same contents under another number do not open.
                assert!(Stored { seq: frame.seq + 1, ..*frame }.open(&key()).is_err());
                seen.push((frame.direction, content));
            }
            Ok(())
        };
        verifier.push(piece, each).unwrap();
    }
    verifier.finish().unwrap();
    assert_eq!(seen[1], (Direction::FromHost, b"a b\n".to_vec()));
    assert_eq!(seen.len(), 4);
}

#[test]
fn forged_mark_and_clock_that_goes_back_are_found() {
    let mut bytes = header().to_bytes().unwrap();
    let mut chain = Chain::begin(&header()).unwrap();
    let at = bytes.len();
    chain.push(&mut bytes, &data(50, Direction::ToHost, b"x"), &key()).unwrap();
    // The writer lets no clock go back.
    chain.push(&mut bytes, &data(10, Direction::ToHost, b"y"), &key()).unwrap();
    let mut lying = chain.clone();
    lying.totals.to_host = 0;
    let mut forged = bytes.clone();
    lying.end(&mut forged, 60, Timestamp::from_secs(1), "x");
    assert!(verify(&forged).is_err());
    let mut back = Chain::begin(&header()).unwrap();
    let mut older = bytes[..at].to_vec();
    back.push(&mut older, &data(50, Direction::ToHost, b"x"), &key()).unwrap();
    back.monotonic_ns = 0;
    back.push(&mut older, &data(10, Direction::ToHost, b"y"), &key()).unwrap();
    back.end(&mut older, 60, Timestamp::from_secs(1), "x");
    assert!(verify(&older).is_err());
    chain.end(&mut bytes, 60, Timestamp::from_secs(1), "x");
    assert!(verify(&bytes).is_ok());
}

proptest! {
    #[test]
    fn recordings_round_trip_in_any_pieces(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        piece in 1usize..97,
    ) {
        let mut bytes = header().to_bytes().unwrap();
        let mut chain = Chain::begin(&header()).unwrap();
        for (n, content) in contents.iter().enumerate() {
            let frame = data(n as u64, Direction::Errors, content);
            chain.push(&mut bytes, &frame, &key()).unwrap();
        }
        chain.truncated(&mut bytes, Timestamp::from_secs(5), 0, Hash::ZERO);
        let mut opened = Vec::new();
        let mut verifier = Verifier::new();
        for piece in bytes.chunks(piece) {
            verifier.push(piece, &mut |_, frame| {
                opened.push(frame.open(&key())?);
                Ok(())
            }).unwrap();
        }
        opened.pop();
        prop_assert_eq!(opened, contents);
        prop_assert_eq!(verifier.finish().unwrap().state, State::Truncated(0));
    }
}
