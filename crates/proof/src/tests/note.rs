//! Tests of signed notes.

use proptest::prelude::*;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::ed25519::SoftKey;
use crate::hash::Hash;

const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const ENOCH_LINE: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn read(whole: &str) -> Result<Note, Error> {
    Note::from_bytes(whole.as_bytes())
}

#[test]
fn note_of_the_go_reference_verifies() {
    let (peter, enoch): (VerifierKey, VerifierKey) =
        (PETER.parse().unwrap(), ENOCH.parse().unwrap());
    assert_eq!((peter.to_string().as_str(), enoch.to_string().as_str()), (PETER, ENOCH));
    let whole = format!("{TEXT}\n{PETER_LINE}{ENOCH_LINE}");
    let note = read(&whole).unwrap();
    assert_eq!(note.to_bytes(), whole.as_bytes());
    assert_eq!(note.text(), TEXT);
    assert_eq!(note.verify(&[peter.clone(), enoch.clone()]).unwrap().len(), 2);
    assert_eq!(note.verify_one(&enoch).unwrap().key, enoch);

    // Known key, bad signature: the whole note is bad. Unknown name or id: ignored.
    let bad = whole.replace("KE6RyyBwJnAM=", "KE6RyyBwJnAA=");
    assert!(read(&bad).unwrap().verify(std::slice::from_ref(&peter)).is_err());
    let misnamed = read(&whole.replace("— PeterNeumann", "— CarmenSandiego")).unwrap();
    assert!(matches!(misnamed.verify_one(&peter), Err(Error::Unsigned { .. })));
    assert!(misnamed.verify_one(&enoch).is_ok());
    let changed = read(&whole.replace("answer", "anSwer")).unwrap();
    assert!(changed.verify_one(&peter).is_err());
}

#[test]
fn signing_gives_the_signature_of_the_go_reference() {
    // PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz
    let seed = STANDARD.decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").unwrap();
    let key = SoftKey::from_seed(&seed[1..].try_into().unwrap()).unwrap();
    let line = Note::new(TEXT).unwrap().sign("PeterNeumann", &key).unwrap();
    assert_eq!(line.to_string(), PETER_LINE);
}

#[test]
fn note_with_sixteen_signatures_is_accepted() {
    let mut note = Note::new("x\n").unwrap();
    for n in 0..16 {
        let key = SoftKey::from_seed(&[n; 32]).unwrap();
        note.add(note.sign(&format!("k{n}"), &key).unwrap());
    }
    let again = Note::from_bytes(&note.to_bytes()).unwrap();
    assert_eq!(again.signatures().len(), 16);
}

#[test]
fn note_of_other_forms_is_refused() {
    assert!(read(&format!("{TEXT}\n{PETER_LINE}")).is_ok());
    assert!(read(&format!("a\n\nb\n\n{PETER_LINE}")).is_ok(), "empty lines in the text");
    for whole in [
        String::new(),
        TEXT.to_owned(),
        format!("{TEXT}{PETER_LINE}"),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{}", PETER_LINE.trim_end()),
        format!("{TEXT}\n{PETER_LINE}\n"),
        format!("{TEXT}\n{PETER_LINE}x\n"),
        format!("\u{7}{TEXT}\n{PETER_LINE}"),
        format!("{}\r\n\n{PETER_LINE}", TEXT.trim_end()),
        format!("{TEXT}\n- PeterNeumann x08go/ZJ\n"),
        format!("{TEXT}\n— Peter Neumann x08go/ZJ\n"),
        format!("{TEXT}\n— Peter+Neumann x08go/ZJ\n"),
        format!("{TEXT}\n—  x08go/ZJ\n"),
        format!("{TEXT}\n— PeterNeumann x08go/\n"),
        format!("{TEXT}\n— PeterNeumann x08go/ZJ=\n"),
    ] {
        assert!(read(&whole).is_err(), "{whole:?}");
    }
    assert!(Note::from_bytes(b"\xff\n\n\xe2\x80\x94 a AAAAAAA=\n").is_err());
}

#[test]
fn verifier_key_of_other_forms_is_refused() {
    for text in [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10Q=",
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(text.parse::<VerifierKey>().is_err(), "{text}");
    }
}

#[test]
fn cosignature_covers_its_time() {
    let key = SoftKey::from_seed(&[1; 32]).unwrap();
    let time = Timestamp::from_secs(1_700_000_000);
    let mut note = Checkpoint::new("example.com/log", 7, Hash([1; 32])).to_note().unwrap();
    let line = note.cosign("w", &key, time).unwrap();
    let vkey = VerifierKey::new("w", KeyKind::Cosignature, key.public_key()).unwrap();
    assert_eq!(vkey.to_string().parse::<VerifierKey>().unwrap(), vkey);
    note.add(line.clone());
    note.add(line.clone());
    assert_eq!(note.signatures().len(), 1, "one line a key");
    assert_eq!(note.verify_one(&vkey).unwrap().time, Some(time));

    let mut later = line;
    later.blob[7] ^= 1;
    note.add(later);
    assert!(note.verify_one(&vkey).is_err());
    // The same key as a log's key signs other bytes and has another id.
    let plain = VerifierKey::new("w", KeyKind::Ed25519, key.public_key()).unwrap();
    assert_ne!(plain.id(), vkey.id());
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "(\\PC|\n|— |\n\n|old 1|index 0){0,60}") {
        if let Ok(note) = Note::from_bytes(text.as_bytes()) {
            prop_assert_eq!(note.to_bytes(), text.as_bytes());
        }
        if let Ok(key) = text.parse::<VerifierKey>() {
            prop_assert_eq!(key.to_string(), text.clone());
        }
        text.parse::<Checkpoint>().ok();
        crate::policy::Policy::parse(&text).ok();
        crate::receipt::Receipt::from_bytes(text.as_bytes()).ok();
        crate::witness::AddCheckpoint::from_bytes(text.as_bytes()).ok();
        text.parse::<crate::tile::TileId>().ok();
        text.parse::<crate::origin::Origin>().ok();
        text.parse::<crate::sshsig::SshPublicKey>().ok();
        crate::sshsig::SshSig::from_armor(&text).ok();
        crate::committed::parse(text.as_bytes()).ok();
    }
}

/// A key name is not empty and has neither white space nor `+` (C2SP signed-note, "Signatures").
#[test]
fn key_name_with_plus_or_white_space_is_refused() {
    let peter: VerifierKey = PETER.parse().unwrap();
    let key = |name: &str| VerifierKey::new(name, peter.kind, peter.key);
    assert!(key("Peter.Neumann/1").is_ok());
    for name in
        ["", "Peter+Neumann", "+", "Peter Neumann", "Peter\tNeumann", "Peter\u{1}", "\u{2003}"]
    {
        assert!(key(name).is_err(), "{name:?}");
        let line = PETER_LINE.replace("PeterNeumann", name);
        assert!(line.parse::<NoteSignature>().is_err(), "a signature by {name:?}");
    }
    assert!(PETER_LINE.parse::<NoteSignature>().is_ok());
}
