//! Chapter: attacks on signatures. What was signed is changed, aged, repeated or borrowed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use writ_aws::sigv4::client::Credentials;
use writ_model::{Env as _, SystemEnv, Timestamp};
use writ_proof::hash::sha256;

use super::client::{Client, Request, send};
use super::identity::People;
use super::keys::Key;
use super::objects::Objects;
use super::story::Story;

/// KMS's code for a signature that is not right.
const INVALID: &str = "InvalidSignatureException";
/// Longer than the 5 minutes for which a signature is good.
const TOO_LONG: Duration = Duration::from_secs(6 * 60);
/// How often the same signed request is sent.
const REPLAYS: usize = 5;

/// The chapter. Gives back the ids of the replies to one repeated request.
pub fn chapter(
    story: &mut Story,
    client: &Client,
    people: &People,
    key: &Key,
    objects: &Objects,
) -> Result<Vec<String>> {
    story.chapter("Attacks on signatures", "C-02");
    changed(story, client, &people.ann, key)?;
    aged(story, client, &people.ann, key)?;
    borrowed(story, client, people, key)?;
    on_objects(story, client, people)?;
    let repeated = replayed(client, &people.ann, key);
    let repeated =
        story.need("one signed Decrypt sent again and again, as at AWS", repeated, |ids| {
            format!("{} times the same answer, each under an id of its own", ids.len())
        })?;
    story.check("after all that the key still works", key.decrypts(client, &people.ann));
    story.check("… and so does the object", objects.small_is_whole(client, &people.ann));
    Ok(repeated)
}

fn changed(story: &mut Story, client: &Client, ann: &Credentials, key: &Key) -> Result<()> {
    let signed = client.sign(ann, &key.encrypt(client))?.request;
    let mut body = signed.clone();
    if let Some(byte) = body.body.iter_mut().find(|byte| **byte == b'7') {
        *byte = b'8';
    }
    ensure!(body.body != signed.body, "the body has nothing to change");
    story.attack("one byte of the body changed", send(&body)?.refused(INVALID));
    let target = signed.clone().replacing("x-amz-target", "TrentService.DisableKey");
    story.attack("another operation in x-amz-target", send(&target)?.refused(INVALID));
    let added = signed.clone().header("x-amz-tour", "added");
    story.attack("an x-amz- header added after signing", send(&added)?.refused(INVALID));
    let later = SystemEnv.now().plus(Duration::from_secs(60)).basic();
    let dated = signed.replacing("x-amz-date", &later);
    story.attack("another date put on it", send(&dated)?.refused(INVALID));
    let unsigned = client.sign(ann, &key.encrypt(client).unsigned_payload())?.request;
    story.attack("UNSIGNED-PAYLOAD where bodies are signed", send(&unsigned)?.refused(INVALID));
    Ok(())
}

fn aged(story: &mut Story, client: &Client, ann: &Credentials, key: &Key) -> Result<()> {
    let (now, request) = (SystemEnv.now(), key.decrypt(client));
    let old = client.sign_at(ann, &request, before(now, TOO_LONG))?.request;
    let refused = send(&old)?.refused_saying(INVALID, "Signature expired");
    story.attack("signed 6 minutes ago", refused);
    let early = client.sign_at(ann, &request, now.plus(TOO_LONG))?.request;
    let refused = send(&early)?.refused_saying(INVALID, "Signature not yet current");
    story.attack("signed 6 minutes ahead", refused);
    let url = client.presign(
        ann,
        &Objects::get(client),
        before(now, TOO_LONG),
        Duration::from_secs(60),
    )?;
    let refused = send(&url)?.refused_saying("AccessDenied", "Request has expired");
    story.attack("a presigned URL after its end", refused);
    Ok(())
}

fn borrowed(story: &mut Story, client: &Client, people: &People, key: &Key) -> Result<()> {
    let denied = "AccessDeniedException";
    for (what, request) in [
        ("another account's user names the key's ARN", key.encrypt(client)),
        ("another account's user has the ciphertext", key.decrypt(client)),
        (
            "… and reads the key's policy",
            client.kms("GetKeyPolicy", &json!({ "KeyId": key.arn, "PolicyName": "default" })),
        ),
    ] {
        story.attack(what, client.call(&people.mallory, &request)?.refused(denied));
    }
    let forged = |request: Request| {
        request.header("x-writ-fas-ticket", "Zm9yZ2Vk").header("x-writ-fas-proof", "Zm9yZ2Vk")
    };
    let refused = client.call(&people.mallory, &forged(key.decrypt(client)))?.refused(denied);
    story.attack("… with forged forward-access headers", refused);
    let refused =
        send(&forged(key.decrypt(client)))?.refused("MissingAuthenticationTokenException");
    story.attack("forged forward-access headers alone", refused);
    let decrypt = key.decrypt(client);
    let declared = Request { payload: Some(sha256(&decrypt.body).to_string()), ..decrypt };
    let signed = client.sign(&people.ann, &declared)?.request;
    let elsewhere = Request { address: Objects::get(client).address, ..signed };
    let refused = send(&elsewhere)?.refused("AuthorizationHeaderMalformed");
    story.attack("a request signed for KMS sent to S3", refused);
    let mixed = Credentials::new(&people.ann.access_key_id, &people.mallory.secret);
    let refused = client.call(&mixed, &key.decrypt(client))?.refused(INVALID);
    story.attack("ann's access key id, another's secret", refused);
    let stolen = Credentials {
        access_key_id: people.session.access_key_id.clone(),
        secret: people.session.secret.clone(),
        session_token: None,
    };
    let refused =
        client.call(&stolen, &key.decrypt(client))?.refused("UnrecognizedClientException");
    story.attack("a session's key without its token", refused);
    Ok(())
}

fn on_objects(story: &mut Story, client: &Client, people: &People) -> Result<()> {
    let signed = client.sign(&people.ann, &Objects::get(client))?.request;
    let elsewhere = Request { path: format!("{}x", signed.path), ..signed.clone() };
    let refused = send(&elsewhere)?.refused("SignatureDoesNotMatch");
    story.attack("S3: another object in the signed request", refused);
    let added = signed.header("x-amz-server-side-encryption", "AES256");
    let refused = send(&added)?.refused("AccessDenied");
    story.attack("S3: an x-amz- header added after signing", refused);
    let put = client.s3("PUT", super::objects::BUCKET, "new").body(b"what was signed");
    let put = client.sign(&people.ann, &put)?.request;
    let other = Request { body: b"what is sent...".to_vec(), ..put };
    let refused = send(&other)?.refused("XAmzContentSHA256Mismatch");
    story.attack("S3: another body under the signed digest", refused);
    let new = client.s3("GET", super::objects::BUCKET, "new");
    let refused = client.call(&people.ann, &new)?.refused("NoSuchKey");
    story.attack("… which left no object behind", refused);
    let forged = client.sign(&people.mallory, &Objects::get(client))?.request;
    let forged = forged.header("x-writ-fas-ticket", "Zm9yZ2Vk");
    let refused = send(&forged)?.refused("AccessDenied");
    story.attack("S3: a forged forward-access header", refused);
    Ok(())
}

/// SigV4 has no nonce, so a repeated request is answered as long as its signature is good, at AWS as
/// here. What must hold is that it says the same and nothing else, and that each time is recorded.
fn replayed(client: &Client, ann: &Credentials, key: &Key) -> Result<Vec<String>> {
    let signed = client.sign(ann, &key.decrypt(client))?.request;
    let mut ids = Vec::new();
    let mut first = None;
    for _ in 0..REPLAYS {
        let reply = send(&signed)?.success()?;
        let id = reply.header("x-amzn-requestid").context("the reply has no id")?.to_owned();
        ensure!(!ids.contains(&id), "two replies have one id");
        ids.push(id);
        let body = first.get_or_insert_with(|| reply.body.clone());
        ensure!(*body == reply.body, "a repetition was answered otherwise");
    }
    Ok(ids)
}

fn before(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_secs(now.secs().saturating_sub(by.as_secs()))
}
