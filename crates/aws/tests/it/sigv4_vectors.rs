//! AWS's own vectors: the suite that the crate `aws-sigv4` ships, and the older one of botocore.

use std::path::{Path, PathBuf};

use serde_json::Value;
use writ_aws::sigv4::{
    Claim, PathStyle, Payload, RawRequest, SigError, SigningKey, TokenPlace, Verified, parse,
    string_to_sign_as, verify_as,
};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request as it stands in a vector file.
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    fn read(text: &str) -> Request {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        let (method, target) = first.split_once(' ').unwrap();
        let target = target.strip_suffix(" HTTP/1.1").unwrap_or(target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        for line in lines {
            if line.starts_with(' ') {
                let (_, value) = headers.last_mut().unwrap();
                value.extend_from_slice(b"\r\n");
                value.extend_from_slice(line.as_bytes());
            } else {
                let (name, value) = line.split_once(':').unwrap();
                headers.push((name.to_owned(), value.as_bytes().to_vec()));
            }
        }
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: body.as_bytes().to_vec(),
        }
    }

    fn raw(&self) -> RawRequest<'_> {
        RawRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
        }
    }
}

/// What a vector expects at each step.
struct Expected {
    canonical: String,
    string_to_sign: String,
    secret: String,
    style: PathStyle,
    token: TokenPlace,
}

fn check(name: &str, request: &Request, expected: &Expected) -> Claim {
    let raw = request.raw();
    let claim = parse(&raw).unwrap_or_else(|e| panic!("{name}: {e}")).expect(name);
    let payload = Payload::Body(&request.body);
    let made = string_to_sign_as(&raw, &claim, payload, expected.style, expected.token).unwrap();
    assert_eq!(made.canonical_request, expected.canonical, "{name}: canonical request");
    assert_eq!(made.text, expected.string_to_sign, "{name}: string to sign");
    let key = key_of(&claim, &expected.secret);
    let verified = verify_as(&key, &raw, &claim, payload, expected.style);
    let signature_digest = claim.signature_digest();
    assert_eq!(
        verified,
        Ok(Verified { signature_digest, request_digest: made.digest }),
        "{name}: signature"
    );
    claim
}

fn key_of(claim: &Claim, secret: &str) -> SigningKey {
    let scope = &claim.scope;
    SigningKey::derive(secret.as_bytes(), &scope.date, scope.region.as_str(), &scope.service)
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

#[expect(clippy::disallowed_methods, reason = "cargo knows where the package lies")]
fn suite() -> PathBuf {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|p| p["name"] == "aws-sigv4").unwrap();
    let manifest = Path::new(found["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().join("aws-signing-test-suite")
}

/// Every v4 directory in both forms. Two directories predate the suite's layout and have no
/// context: of those we check what they have.
#[test]
fn aws_signing_suite_verifies() {
    let suite = suite();
    let (mut whole, mut partial) = (0, 0);
    for folder in folders(&suite.join("v4")) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if !folder.join("context.json").exists() {
            check_without_context(&name, &folder);
            partial += 1;
            continue;
        }
        let context: Value = serde_json::from_str(&read(folder.join("context.json"))).unwrap();
        let normalize = context["normalize"].as_bool().unwrap();
        let late = context["omit_session_token"].as_bool().unwrap_or(false);
        for form in ["header", "query"] {
            let file = |rest: &str| read(folder.join(format!("{form}-{rest}.txt")));
            let request = Request::read(&file("signed-request"));
            let expected = Expected {
                canonical: file("canonical-request"),
                string_to_sign: file("string-to-sign"),
                secret: context["credentials"]["secret_access_key"].as_str().unwrap().to_owned(),
                style: if normalize { PathStyle::Standard } else { PathStyle::S3 },
                token: if late { TokenPlace::AfterSigning } else { TokenPlace::BeforeSigning },
            };
            let claim = check(&format!("{name} ({form})"), &request, &expected);
            assert_eq!(hex::encode(claim.signature), file("signature").trim());
            let token = context["credentials"]["token"].as_str();
            assert_eq!(claim.session_token.as_deref(), token, "{name} ({form})");
            whole += 1;
        }
    }
    let v4a = folders(&suite.join("v4a")).len();
    println!("v4: {whole} verified, {partial} in part; v4a: {v4a} directories skipped");
    assert_eq!((whole, partial, v4a), (76, 2, 38));
}

/// The older directories publish no secret for their signatures, and one contradicts itself in
/// the date; the canonical path, which they are about, is whole.
fn check_without_context(name: &str, folder: &Path) {
    let request = Request::read(&read(folder.join("header-signed-request.txt")));
    let raw = request.raw();
    let claim = parse(&raw).unwrap().unwrap();
    let payload = Payload::Body(&request.body);
    let style = PathStyle::Standard;
    let made = string_to_sign_as(&raw, &claim, payload, style, TokenPlace::BeforeSigning).unwrap();
    let canonical = read(folder.join("header-canonical-request.txt"));
    let path = |text: &str| text.lines().nth(1).unwrap().to_owned();
    assert_eq!(path(&made.canonical_request), path(&canonical), "{name}");
    if folder.join("header-string-to-sign.txt").exists() {
        assert_eq!(made.canonical_request, canonical, "{name}");
    }
}

/// SigV4a is refused by name, in both of its forms.
#[test]
fn sigv4a_vectors_are_refused_clearly() {
    for folder in folders(&suite().join("v4a")) {
        for form in ["header", "query"] {
            let file = folder.join(format!("{form}-signed-request.txt"));
            let request = Request::read(&read(&file));
            let refused = parse(&request.raw());
            assert_eq!(refused, Err(SigError::Sigv4aUnsupported), "{}", file.display());
        }
    }
}

/// botocore's copy of the first suite, where `cargo xtask codegen` has unpacked its source
/// package; else there is nothing to check.
#[test]
fn botocore_suite_verifies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tests = "target/tools/botocore/botocore-1.44.5/tests/unit/auth/aws4_testsuite";
    let suite = root.join(tests);
    if !suite.is_dir() {
        println!("skipped: {} is not there", suite.display());
        return;
    }
    let mut cases = folders(&suite);
    cases.extend(folders(&suite.join("normalize-path")));
    let mut verified = 0;
    for folder in cases {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let file = |ext: &str| folder.join(format!("{name}.{ext}"));
        if !file("req").exists() {
            continue; // the folder of folders
        }
        let expected = Expected {
            canonical: read(file("creq")).replace('\r', ""),
            string_to_sign: read(file("sts")).replace('\r', ""),
            secret: SECRET.to_owned(),
            style: PathStyle::Standard,
            token: TokenPlace::BeforeSigning,
        };
        // The signature of `.authz`, as botocore compares it: one `.sreq` has another case's.
        let mut request = Request::read(&read(file("sreq")).replace('\r', ""));
        request.headers.retain(|(name, _)| name != "Authorization");
        request.headers.push(("Authorization".to_owned(), read(file("authz")).into_bytes()));
        check(&name, &request, &expected);
        verified += 1;
    }
    println!("botocore: {verified} verified");
    assert!(verified >= 30, "{verified}");
}
