//! The server's authentication over arbitrary messages.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_messages_prove_nothing(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
        kind in prop::sample::select(vec![5u8, 50, 90]),
    ) {
        let mut auth = ServerAuth::new([1; 32], 6);
        for rest in messages {
            match auth.receive(&[&[kind], rest.as_slice()].concat()) {
                Ok(ServerStep::Proven(_)) => prop_assert!(false, "a proof of nothing"),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

#[test]
fn request_before_its_service_is_out_of_order() {
    let mut auth = ServerAuth::new([1; 32], 6);
    let request = Message::new(number::USERAUTH_REQUEST).string("svc").string(CONNECTION);
    assert!(auth.receive(&request.string("none").done()).is_err());
    let service = Message::new(number::SERVICE_REQUEST).string("ssh-connection").done();
    assert!(auth.receive(&service).is_err());
}

/// What is answered to an offer is answered about the key that it holds.
#[test]
fn key_offered_under_another_algorithm_is_refused() {
    let key = SshPublicKey::Ed25519([2; 32]);
    for (algorithm, offered) in [("ssh-ed25519", true), ("ecdsa-sha2-nistp256", false)] {
        let mut auth = ServerAuth::new([1; 32], 6);
        auth.receive(&Message::new(number::SERVICE_REQUEST).string(USERAUTH).done()).unwrap();
        let request = Message::new(number::USERAUTH_REQUEST).string("svc").string(CONNECTION);
        let request = request.string(PUBLICKEY).boolean(false).string(algorithm);
        let step = auth.receive(&request.string(key.to_blob()).done()).unwrap();
        assert_eq!(matches!(step, ServerStep::Offered { .. }), offered, "{algorithm}");
    }
}
