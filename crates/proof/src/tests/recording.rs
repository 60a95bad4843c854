//! Tests of recordings.

use expect_test::expect;
use proptest::prelude::*;

use super::*;

fn header() -> Header {
    Header {
        v: Version,
        session: "01JGZZZZZZZZZZZZZZZZZZZZZZ".to_owned(),
        request: "01JGYYYYYYYYYYYYYYYYYYYYYY".to_owned(),
        grants: vec![Hash([1; 32])],
        human: "alice".parse().unwrap(),
        host: "web-1".to_owned(),
        kind: SessionKind::Ssh,
        start: Timestamp::from_millis(1_800_000_000_123),
        key: "k1".to_owned(),
        recorder: Uuid::from_bytes([2; 16]),
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
    expect!["5752495452454300000100000092aa010102781a30314a475a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a03781a30314a47595959595959595959595959595959595959595959590481582001010101010101010101010101010101010101010101010101010101010101010565616c69636506657765622d31078100081b000001a3185c507b09626b310a500202020202020202020202020202020200000049000000000000000000000000000000000000000301018ab06fddcdc57074b19b37692b14bf12ec8e61e9fede52d2d8c4dc4dfd4bc4c2d7f4841868b51728dd1b3a4dcfe49e598b7aa20000004a0000000000000001000000000000000a000000030201a147aa2fd5f9d08627e5c727df634ca60fc2da9537c8d09b63cfe4593f226326bd234489c494f02047d557102ebcc2a2ad167ae60000008b0000000000000002000000000000000f00000000000da501781a30314a475a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a020203582037c8d09b63cfe4593f226326bd234489c494f02047d557102ebcc2a2ad167ae6041b000001a3185c53e805a301030204030081631d854941703e7c2778b7d9b5b5eadac5a7600c784019643decb1b504fe410000004600000000000000030000000000000014000000030101dd50a81211937fafd00b6ba1e0e480d26ed1da2ddbca7a610a52f2686e2a50cf87300592a7321bde4cb16423c372ebaf0000004b0000000000000004000000000000001e000000030201bf37d8c489997a11c5476b628ffeda19f5068d6872ca87c652ee99738a8edd06a30f33724ba554cc230aebd15e497e723768d407d9000000950000000000000005000000000000002800000000000ea201a501781a30314a475a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a0205035820ca87c652ee99738a8edd06a30f33724ba554cc230aebd15e497e723768d407d9041b000001a3185c53e805a30103020903000266636c6f736564c1fda6ae9e64f96c640921d305237530e37ea6722c3aaa27f4d410f4827e7a5b"].assert_eq(&hex::encode(&bytes));
    let verified = verify(&bytes).unwrap();
    assert_eq!((verified.header, verified.frames), (header(), 6));
    assert_eq!(verified.state, State::Ended("closed".to_owned()));
    let totals = Totals { to_host: 3, from_host: 9, errors: 0 };
    assert_eq!(verified.last.at().totals, totals);
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

#[test]
fn session_is_named_by_a_ulid() {
    for bad in [
        "",
        "01jgzzzzzzzzzzzzzzzzzzzzzz",
        "81JGZZZZZZZZZZZZZZZZZZZZZZ",
        "../../../../etc/passwd/xxxx",
    ] {
        let header = Header { session: bad.to_owned(), ..header() };
        assert!(header.to_bytes().is_err(), "{bad}");
    }
    let mark = "01JGU1ZZZZZZZZZZZZZZZZZZZZ";
    assert!(!is_ulid(mark), "U is no digit of Crockford's");
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
