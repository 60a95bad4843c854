//! Tests of revocation lists. Stock OpenSSH judges them in `tests/it/ssh_cert.rs`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn ca() -> PublicKey {
    PublicKey([1; 32])
}

fn sample() -> Krl {
    let mut krl = Krl::new(3, 1000, "c").unwrap();
    krl.revoke_serials(Some(&ca()), 7..=7).unwrap();
    krl.revoke_serials(None, 20..=29).unwrap();
    krl.revoke_key_id(None, "req=06b").unwrap();
    krl.revoke_key(&SshPublicKey::Ed25519([2; 32]));
    krl.revoke_fingerprint(&SshPublicKey::Ed25519([3; 32]));
    krl
}

#[test]
fn empty_list_is_that_of_the_protocol() {
    let krl = Krl::new(1, 2, "").unwrap();
    let expected = "5353484b524c0a0000000001000000000000000100000000000000020000000000000000\
                    0000000000000000";
    assert_eq!(hex::encode(krl.to_bytes().unwrap()), expected);
}

#[test]
fn cut_list_and_unknown_section_are_refused() {
    let bytes = sample().to_bytes().unwrap();
    assert_eq!(Krl::from_bytes(&bytes).unwrap(), sample());
    let whole = |at: &usize| Krl::from_bytes(&bytes[..*at]).is_ok();
    // A list that ends between two sections is a list: only its signature tells.
    assert!((0..bytes.len()).filter(whole).count() <= 5);
    for section in [3, 4, 6, 255] {
        let mut other = bytes.clone();
        other.extend_from_slice(&[section, 0, 0, 0, 0]);
        assert!(Krl::from_bytes(&other).is_err(), "{section}");
    }
}

#[test]
fn serial_0_and_odd_bitmaps_are_refused() {
    let mut krl = Krl::new(1, 2, "").unwrap();
    assert!(krl.revoke_serials(None, 0..=5).is_err());
    let backwards = RangeInclusive::new(6, 5);
    assert!(krl.revoke_serials(None, backwards).is_err());
    let none = |_| Ok(());
    for bad in [&[][..], &[0], &[0, 1], &[0x80]] {
        assert!(serials::read_bitmap(1, bad, none).is_err(), "{bad:?}");
    }
    assert!(serials::read_bitmap(u64::MAX, &[2], none).is_err());
    assert!(serials::read_bitmap(u64::MAX, &[1], none).is_ok());
}

proptest! {
    #[test]
    fn serials_round_trip(runs in prop::collection::vec((1u64..3000, 0u64..9), 0..60), far: u64) {
        let mut krl = Krl::new(1, 2, "").unwrap();
        let mut naive = BTreeSet::new();
        krl.revoke_serials(None, far.max(1)..=far.max(1)).unwrap();
        naive.insert(far.max(1));
        for (first, more) in runs {
            krl.revoke_serials(None, first..=first + more).unwrap();
            naive.extend(first..=first + more);
        }
        let read = Krl::from_bytes(&krl.to_bytes().unwrap()).unwrap();
        prop_assert_eq!(&read, &krl);
        for serial in 1..3020 {
            prop_assert_eq!(read.revokes_serial(&ca(), serial), naive.contains(&serial));
        }
    }
}
