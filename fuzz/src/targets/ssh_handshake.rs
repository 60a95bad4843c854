//! What an SSH peer sends before there are keys: version, KEXINIT, its half of the agreement. Nothing
//! comes of it for the layers above, at either end.

use std::sync::Arc;

use writ_model::Timestamp;
use writ_model::env::TestEnv;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::sshsig::SshPublicKey;
use writ_ssh::{Algorithms, Arrived, Transport};

pub(crate) fn run(input: &[u8]) {
    let Some((first, bytes)) = input.split_first() else { return };
    let env = Arc::new(TestEnv::new(Timestamp::from_secs(0), 1));
    let key = SoftKey::from_seed(&[9; 32]).expect("a key");
    let public = SshPublicKey::Ed25519(key.public_key().0);
    let algorithms = Algorithms::default();
    let made = match first & 1 {
        0 => Transport::server(algorithms, key.public_key().0, env),
        _ => Transport::client(algorithms, vec!["ssh-ed25519".to_owned()], env),
    };
    let mut transport = made.expect("a transport");
    // In pieces, as a network may give them.
    for piece in bytes.chunks(usize::from(first >> 1).max(1)) {
        transport.input().extend_from_slice(piece);
        loop {
            match transport.poll() {
                Ok(None) => break,
                Err(_) => return,
                Ok(Some(Arrived::Sign(hash))) => {
                    let signature = key.sign(&hash).expect("a signature");
                    transport.signed(&signature).expect("it was asked for");
                }
                Ok(Some(Arrived::HostKey(_))) => {
                    let known = transport.host_key(public.clone());
                    assert!(known.is_err(), "a host key signed what nobody signed");
                    return;
                }
                // Any 32 bytes are half of an agreement: who does not know the other half gets no further.
                Ok(Some(Arrived::Established)) => return,
                Ok(Some(other)) => panic!("{other:?} came of bytes without keys"),
            }
        }
        assert!(transport.output().len() < 64 * 1024, "it answers without end");
    }
}
