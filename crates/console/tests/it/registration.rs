//! Registrations that Chromium 148 made with its virtual security key, and changes of them.

use serde_json::Value;
use writ_console::webauthn::{Expected, Registered, RegistrationError, register};

const CHROMIUM: &str = include_str!("../data/chromium-148.json");
const ORIGIN: &str = "http://localhost:PORT";
/// Where the parts of the authenticator's data begin.
const FLAGS: usize = 32;
const LENGTH: usize = 53;
const KEY: usize = 87;

struct Made {
    client_data: String,
    attestation: Vec<u8>,
}

impl Made {
    /// The registrations with attestation conveyance `none` or `direct`.
    fn all(conveyance: &str) -> Vec<Made> {
        let all: Vec<Value> = serde_json::from_str(CHROMIUM).unwrap();
        let all = all.iter().filter(|made| made["conveyance"] == conveyance);
        all.map(|made| Made {
            client_data: made["clientData"].as_str().unwrap().to_owned(),
            attestation: hex::decode(made["attestation"].as_str().unwrap()).unwrap(),
        })
        .collect()
    }

    fn one() -> Made {
        Made::all("none").remove(0)
    }

    fn origin(&self) -> String {
        let data: Value = serde_json::from_str(&self.client_data).unwrap();
        data["origin"].as_str().unwrap().to_owned()
    }

    fn data(&self) -> Vec<u8> {
        let at = self.attestation.len() - 164;
        self.attestation[at..].to_vec()
    }

    fn register(&self, any: bool) -> Result<Registered, RegistrationError> {
        let (origin, client_data) = (self.origin(), &self.client_data);
        take(client_data, &self.attestation, &origin, "localhost", any)
    }
}

fn take(
    client_data: &str,
    attestation: &[u8],
    origin: &str,
    rp_id: &str,
    any_attestation: bool,
) -> Result<Registered, RegistrationError> {
    let expected =
        Expected { challenge: &[7; 32], origins: &[ORIGIN, origin], rp_id, any_attestation };
    register(client_data.as_bytes(), attestation, &expected)
}

/// An attestation `none` around this data.
fn around(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    let length = match length {
        [0, low @ 0..24] => vec![0x40 | low],
        [0, low] => vec![0x58, low],
        [high, low] => vec![0x59, high, low],
    };
    let head = hex::decode("a363666d74646e6f6e656761747453746d74a0686175746844617461").unwrap();
    [head, length, data.to_vec()].concat()
}

#[track_caller]
fn refused(made: &Made, attestation: &[u8], why: &str) {
    let taken = take(&made.client_data, attestation, &made.origin(), "localhost", false);
    let error = taken.expect_err(why).to_string();
    assert!(error.contains(why), "{why}: {error}");
}

#[test]
fn registration_of_chromium_is_read() {
    for made in Made::all("none") {
        let taken = made.register(false).unwrap();
        assert_eq!(taken.attestation, "none");
        assert_eq!(taken.passkey.rp_id, "localhost");
        assert_eq!(taken.passkey.credential_id, made.data()[LENGTH + 2..KEY]);
        assert_eq!(taken.key.application(), Some("localhost"));
        // The key's two coordinates are the last bytes but for one head between them.
        let blob = taken.key.to_blob();
        let data = made.data();
        for part in [&data[data.len() - 32..], &data[data.len() - 67..data.len() - 35]] {
            assert!(blob.windows(32).any(|window| window == part));
        }
        assert_eq!(around(&made.data()), made.attestation);
    }
}

#[test]
fn attestation_that_nobody_evaluates_is_taken_in_mode_dev_alone() {
    for made in Made::all("direct") {
        assert_eq!(made.register(true).unwrap().attestation, "packed");
        let error = made.register(false).unwrap_err();
        assert_eq!(error, RegistrationError::Attestation("packed".to_owned()));
    }
}

#[test]
fn client_data_of_something_else_is_refused() {
    let made = Made::one();
    let origin = made.origin();
    let changes = [
        ("webauthn.create", "webauthn.get", "not of a new passkey"),
        ("BwcHBwc", "BwcHBwd", "another challenge"),
        ("BwcHBwc\"", "BwcHBwc=\"", "another challenge"),
        ("http://localhost", "http://localhost.evil.example", "another page"),
        ("http://", "https://", "another page"),
        ("\"crossOrigin\":false", "\"crossOrigin\":true", "within another page"),
        ("\"crossOrigin\":false", "\"topOrigin\":\"http://x\"", "within another page"),
        ("\"crossOrigin\":false", "\"type\":\"webauthn.create\"", "says something twice"),
        ("{", "[", "no JSON"),
        ("\"crossOrigin\":false}", "\"crossOrigin\":false}x", "no JSON"),
    ];
    for (from, to, why) in changes {
        let changed = match from {
            // The last one: the challenge repeats itself.
            "BwcHBwc" => made.client_data.replacen("BwcHBwcHBwcHBwcH", "BwcHBwdHBwcHBwcH", 1),
            _ => made.client_data.replacen(from, to, 1),
        };
        assert_ne!(changed, made.client_data, "{from}");
        let taken = take(&changed, &made.attestation, &origin, "localhost", true);
        let error = taken.expect_err(why).to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
    let long = made.client_data.replacen('}', &format!(",\"x\":\"{}\"}}", "x".repeat(9000)), 1);
    let error = take(&long, &made.attestation, &origin, "localhost", true).unwrap_err();
    assert!(matches!(error, RegistrationError::TooLarge { .. }), "{error}");
    // What is not judged may be there.
    let more = made.client_data.replacen('}', ",\"other_keys\":\"may come\"}", 1);
    assert!(take(&more, &made.attestation, &origin, "localhost", false).is_ok());
    let other = take(&made.client_data, &made.attestation, &origin, "example", false);
    assert!(other.unwrap_err().to_string().contains("another site"));
}

#[test]
fn authenticator_that_is_not_strict_enough_is_refused() {
    let made = Made::one();
    let flags = [
        (0x44, "nobody touched"),
        (0x41, "did not verify its user"),
        (0x4d, "can be copied"),
        (0x5d, "can be copied"),
        (0x55, "can be copied"),
        (0x05, "made no passkey"),
        (0x47, "flags that nobody knows"),
        (0x65, "flags that nobody knows"),
        // Extensions are told, and there are none.
        (0xc5, "no CBOR"),
    ];
    for (value, why) in flags {
        let mut data = made.data();
        data[FLAGS] = value;
        refused(&made, &around(&data), why);
    }
    let mut extended = made.data();
    extended[FLAGS] = 0xc5;
    extended.extend([0xa1, 0x63, b'a', b'b', b'c', 0xf5]);
    let taken = take(&made.client_data, &around(&extended), &made.origin(), "localhost", false);
    assert!(taken.is_ok(), "{taken:?}");
    extended.push(0);
    refused(&made, &around(&extended), "bytes follow it");
}

#[test]
fn data_of_another_length_is_refused() {
    let made = Made::one();
    let data = made.data();
    for length in 0..data.len() {
        let taken =
            take(&made.client_data, &around(&data[..length]), &made.origin(), "localhost", true);
        assert!(taken.is_err(), "{length}");
    }
    for length in 0..made.attestation.len() {
        let cut = &made.attestation[..length];
        assert!(take(&made.client_data, cut, &made.origin(), "localhost", true).is_err());
    }
    refused(&made, &around(&[&data[..], &[0]].concat()), "bytes follow it");
    refused(&made, &[&made.attestation[..], &[0]].concat(), "bytes follow the attestation");
    for length in [0u16, 1024] {
        let id = vec![1; usize::from(length)];
        let other = [&data[..LENGTH], &length.to_be_bytes(), &id, &data[KEY..]].concat();
        refused(&made, &around(&other), "empty or too long");
    }
    let longest = [&data[..LENGTH], &1023u16.to_be_bytes(), &[1; 1023], &data[KEY..]].concat();
    let taken = take(&made.client_data, &around(&longest), &made.origin(), "localhost", false);
    assert_eq!(taken.unwrap().passkey.credential_id.len(), 1023);
}

#[test]
fn key_in_another_form_is_refused() {
    let made = Made::one();
    let data = made.data();
    let key = hex::encode(&data[KEY..]);
    let (head, rest) = key.split_at(14);
    assert_eq!(head, "a5010203262001");
    let no_key = "no ES256 key";
    let forms = [
        // RS256, another type, another curve, another order, a member more or less.
        (format!("a501020339010020 01{rest}"), no_key),
        (format!("a5010303262001{rest}"), no_key),
        (format!("a5010203262002{rest}"), no_key),
        (format!("a5032601022001{rest}"), no_key),
        (format!("a601020326200104 01{rest}"), no_key),
        (format!("a401020326{rest}"), no_key),
        (format!("a5010203262001{}", rest.replacen("215820", "21581f", 1)), "CBOR"),
        // The same numbers and lengths in a longer form, and an indefinite map.
        (format!("a50118020326 2001{rest}"), "shortest form"),
        (format!("a5010203262001{}", rest.replacen("215820", "21590020", 1)), "shortest form"),
        (format!("bf010203262001{rest}ff"), "shortest form"),
        // A tag before it.
        (format!("c1{key}"), no_key),
    ];
    for (form, why) in forms {
        let bytes = hex::decode(form.replace(' ', "")).unwrap();
        refused(&made, &around(&[&data[..KEY], &bytes].concat()), why);
    }
    let mut off = data.clone();
    *off.last_mut().unwrap() ^= 1;
    refused(&made, &around(&off), "no point of P-256");
}

#[test]
fn attestation_in_another_form_is_refused() {
    let made = Made::one();
    let whole = hex::encode(&made.attestation);
    let wrong = "not fmt, attStmt and authData";
    let forms = [
        // `none` with a statement, a member twice, one less, one more, another type.
        (whole.replacen("6d74a0", "6d74a1616101", 1), "has a statement"),
        (
            whole.replacen("a363666d74646e6f6e65", "a463666d74646e6f6e6563666d74646e6f6e65", 1),
            wrong,
        ),
        (whole.replacen("a363666d74646e6f6e65", "a2", 1), wrong),
        (whole.replacen("a363", "a4616101 63", 1).replace(' ', ""), wrong),
        (whole.replacen("646e6f6e65", "01", 1), wrong),
        ("80".to_owned(), wrong),
        (String::new(), "no CBOR"),
        ("8181818181818181818181818181".to_owned(), "no CBOR"),
        ("5b7fffffffffffffff".to_owned(), "no CBOR"),
        ("9b7fffffffffffffff".to_owned(), "no CBOR"),
    ];
    for (form, why) in forms {
        refused(&made, &hex::decode(form).unwrap(), why);
    }
    refused(&made, &vec![0x80; 16 * 1024 + 1], "more than 16384 bytes");
}
