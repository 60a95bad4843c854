//! Key agreement of both halves, and the keys that follow; the wanted keys were made with Python's
//! `hashlib`.

use super::*;

#[test]
fn both_halves_agree_with_each_method() {
    for kex in Kex::ALL {
        let client = ClientHalf::new(kex).unwrap();
        let (reply, servers) = serve(kex, client.public()).unwrap();
        let clients = client.agree(&reply).unwrap();
        assert!(clients.0 == servers.0, "{kex:?}");
        let (init, back) = if kex == Kex::MlKem768X25519 { (1216, 1120) } else { (32, 32) };
        assert_eq!((client.public().len(), reply.len()), (init, back));
        // Another's reply, a cut one and a longer one.
        let other = serve(kex, ClientHalf::new(kex).unwrap().public()).unwrap().0;
        assert!(client.agree(&other).is_ok_and(|shared| shared.0 != servers.0));
        assert!(client.agree(&reply[1..]).is_err());
        assert!(client.agree(&[&reply[..], &[0]].concat()).is_err());
        assert!(client.agree(&vec![0; back]).is_err());
        assert!(serve(kex, &vec![0; init]).is_err());
    }
}

#[test]
fn keys_follow_from_secret_hash_and_session() {
    let mut secret = Vec::new();
    let mut magnitude = [0; 32];
    magnitude[0] = 0x80;
    put_mpint(&mut secret, &magnitude);
    let shared = Shared(Zeroizing::new(secret));
    let cipher = Cipher::ChaCha20Poly1305;
    let keys = derive(&shared, &[1; 32], &[2; 32], cipher, Direction::ClientToServer);
    assert_eq!(
        hex::encode(&*keys.key),
        "5a5ffbb4d0f5ad19311a4a8bb36cf6e7be6412050346736f17b789b9d0153160\
         f8670b43d6f2ac1444dd7b29e08db070a6f1919082f103226f8725580dd4e0d5"
    );
    assert_eq!(hex::encode(&*keys.iv), "a6a4cba080703ad733441778");
    let back = derive(&shared, &[1; 32], &[2; 32], cipher, Direction::ServerToClient);
    assert!(back.key != keys.key && back.iv != keys.iv);
}
