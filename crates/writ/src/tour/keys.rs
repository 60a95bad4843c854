//! Chapter: the customer's key, its uses, and who cannot use it.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use writ_aws::sigv4::client::Credentials;

use super::client::{Client, Request};
use super::identity::{People, root};
use super::site::ACCOUNT;
use super::story::Story;

/// What is encrypted; it must turn up nowhere else.
pub const PLAINTEXT: &str = "the customer's plaintext: 4f1c0d9e";

/// The customer's key with one ciphertext.
pub struct Key {
    /// The key's ARN.
    pub arn: String,
    blob: String,
}

impl Key {
    /// A request to decrypt the ciphertext, with its own context.
    pub fn decrypt(&self, client: &Client) -> Request {
        self.decrypt_with(client, &context())
    }

    /// Decrypts it as `who`, and compares.
    pub fn decrypts(&self, client: &Client, who: &Credentials) -> Result<String> {
        let reply = client.ok(who, &self.decrypt(client))?;
        let plain = STANDARD.decode(reply.text("/Plaintext")?).context("it is no base64")?;
        ensure!(plain == PLAINTEXT.as_bytes(), "it decrypts to something else");
        ensure!(reply.text("/KeyId")? == self.arn, "another key decrypted it");
        Ok(format!("the same {} bytes", plain.len()))
    }

    /// A request to encrypt under the key, by ARN.
    pub fn encrypt(&self, client: &Client) -> Request {
        let plain = STANDARD.encode(PLAINTEXT);
        let input =
            json!({ "KeyId": self.arn, "Plaintext": plain, "EncryptionContext": context() });
        client.kms("Encrypt", &input)
    }

    /// Disables or enables the key.
    pub fn switch(&self, client: &Client, who: &Credentials, operation: &str) -> Result<()> {
        let input = json!({ "KeyId": self.arn });
        client.ok(who, &client.kms(operation, &input)).map(|_| ())
    }

    fn decrypt_with(&self, client: &Client, context: &Value) -> Request {
        let input = json!({ "CiphertextBlob": self.blob, "EncryptionContext": context });
        client.kms("Decrypt", &input)
    }
}

/// The chapter.
pub fn chapter(story: &mut Story, client: &Client, people: &People) -> Result<Key> {
    story.chapter("Keys: the customer's own, used by nobody else", "C-02");
    let ann = &people.ann;
    let arn =
        story.need("CreateKey, its policy names the account", create(client, ann), |arn| {
            arn.rsplit(':').next().unwrap_or_default().to_owned()
        })?;
    let alias = json!({ "AliasName": "alias/tour", "TargetKeyId": arn });
    let alias = client.ok(ann, &client.kms("CreateAlias", &alias));
    story.check("CreateAlias", alias.map(|_| "alias/tour".to_owned()));
    let encrypted = encrypt(client, ann, &arn);
    let blob = story.need("Encrypt by alias, with encryption context", encrypted, |blob| {
        format!("{} characters of base64", blob.len())
    })?;
    let key = Key { arn, blob };
    story.check("Decrypt gives the plaintext back", key.decrypts(client, ann));
    misuse(story, client, people, &key)?;
    key.switch(client, ann, "DisableKey")?;
    let refused = client.call(ann, &key.decrypt(client))?.refused("DisabledException");
    story.attack("Decrypt after DisableKey", refused);
    key.switch(client, ann, "EnableKey")?;
    story.check("Decrypt after EnableKey", key.decrypts(client, ann));
    Ok(key)
}

fn misuse(story: &mut Story, client: &Client, people: &People, key: &Key) -> Result<()> {
    let other = json!({ "patient": "8" });
    let reply = client.call(&people.ann, &key.decrypt_with(client, &other))?;
    let refused = reply.refused("InvalidCiphertextException").and_then(|told| {
        let message = reply.refusal().message;
        if !message.is_empty() {
            bail!("the message helps an attacker: {message}");
        }
        Ok(format!("{told}, and no word more"))
    });
    story.attack("Decrypt with another encryption context", refused);
    let mut damaged = STANDARD.decode(&key.blob)?;
    if let Some(last) = damaged.last_mut() {
        *last ^= 1;
    }
    let damaged = Key { arn: key.arn.clone(), blob: STANDARD.encode(damaged) };
    let reply = client.call(&people.ann, &damaged.decrypt(client))?;
    story.attack("Decrypt of a changed ciphertext", reply.refused("InvalidCiphertextException"));
    for (what, who) in [
        ("Decrypt by another account's owner", &people.stranger),
        ("Decrypt by a session whose policy lacks it", &people.session),
    ] {
        let refused = client.call(who, &key.decrypt(client))?.refused("AccessDeniedException");
        story.attack(what, refused);
    }
    let policy =
        json!({ "KeyId": key.arn, "PolicyName": "default", "Policy": "anything not JSON" });
    let reply = client.call(&people.ann, &client.kms("PutKeyPolicy", &policy))?;
    story.attack("a key policy that is none", reply.refused("MalformedPolicyDocumentException"));
    Ok(())
}

fn create(client: &Client, who: &Credentials) -> Result<String> {
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Sid": "Account", "Effect": "Allow", "Principal": { "AWS": root(ACCOUNT) },
        "Action": "kms:*", "Resource": "*",
    }]});
    let input = json!({ "Description": "of the tour", "Policy": policy.to_string() });
    let reply = client.ok(who, &client.kms("CreateKey", &input))?;
    let state = reply.text("/KeyMetadata/KeyState")?;
    ensure!(state == "Enabled", "its state is {state}");
    reply.text("/KeyMetadata/Arn")
}

fn encrypt(client: &Client, who: &Credentials, arn: &str) -> Result<String> {
    let plain = STANDARD.encode(PLAINTEXT);
    let input = json!({
        "KeyId": "alias/tour", "Plaintext": plain, "EncryptionContext": context(),
    });
    let reply = client.ok(who, &client.kms("Encrypt", &input))?;
    ensure!(reply.text("/KeyId")? == arn, "another key encrypted it");
    reply.text("/CiphertextBlob")
}

fn context() -> Value {
    json!({ "patient": "7" })
}
