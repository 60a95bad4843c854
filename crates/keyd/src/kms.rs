//! What a KMS request names: keys, contexts and inputs, read from its signed parameters.

use writ_aws::Value;
use writ_model::{AccountId, Arn, Region};
use writ_proof::hash::sha256_of;

use crate::blob::{self, EncryptionContext};
use crate::engine::Engine;

/// How a request names a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyName {
    /// By id, ARN, alias or alias ARN.
    Given(String),
    /// Not at all: the blob's header says which backing key it is of.
    OfBlob([u8; 16]),
}

/// One use of one key, as the request asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The action that the key's policy must allow.
    pub(crate) action: &'static str,
    /// Which key.
    pub(crate) key: KeyName,
    /// The encryption context.
    pub(crate) context: EncryptionContext,
}

/// What an operation wants, in the order in which it names keys. `None` if the request cannot be one.
pub(crate) fn wanted(operation: &str, input: &Value) -> Option<Vec<Wanted>> {
    let one = |action, key| {
        Some(vec![Wanted { action, key: key?, context: context(input, "EncryptionContext")? }])
    };
    match operation {
        "Encrypt" => one("kms:Encrypt", given(input, "KeyId")),
        "GenerateDataKey" => one("kms:GenerateDataKey", given(input, "KeyId")),
        "GenerateDataKeyWithoutPlaintext" => {
            one("kms:GenerateDataKeyWithoutPlaintext", given(input, "KeyId"))
        }
        "Decrypt" => one("kms:Decrypt", given_or_blob(input, "KeyId")),
        "ReEncrypt" => Some(vec![
            Wanted {
                action: "kms:ReEncryptFrom",
                key: given_or_blob(input, "SourceKeyId")?,
                context: context(input, "SourceEncryptionContext")?,
            },
            Wanted {
                action: "kms:ReEncryptTo",
                key: given(input, "DestinationKeyId")?,
                context: context(input, "DestinationEncryptionContext")?,
            },
        ]),
        _ => None,
    }
}

/// A digest over what a use puts in, so that a repeat is known from another use.
pub(crate) fn use_digest(resource: &str, wanted: &Wanted, body: &[u8]) -> [u8; 32] {
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let context = blob::canonical_context(&wanted.context);
    sha256_of(&[&word(resource.len()), resource.as_bytes(), &word(context.len()), &context, body]).0
}

/// The blob of a Decrypt or ReEncrypt.
pub(crate) fn ciphertext(input: &Value) -> Option<&[u8]> {
    bytes(input, "CiphertextBlob")
}

/// The bytes of a member.
pub(crate) fn bytes<'a>(input: &'a Value, name: &str) -> Option<&'a [u8]> {
    match input.member(name)? {
        Value::Blob(bytes) => Some(bytes),
        _ => None,
    }
}

fn given(input: &Value, name: &str) -> Option<KeyName> {
    input.member(name).and_then(Value::text).map(|text| KeyName::Given(text.to_owned()))
}

fn given_or_blob(input: &Value, name: &str) -> Option<KeyName> {
    given(input, name).or_else(|| {
        let header = ciphertext(input).and_then(blob::header);
        // A blob that no Writ made is of no key; the use refuses it.
        Some(KeyName::OfBlob(header.map_or([0; 16], |header| header.backing_key)))
    })
}

fn context(input: &Value, name: &str) -> Option<EncryptionContext> {
    let Some(value) = input.member(name) else { return Some(EncryptionContext::new()) };
    let Value::Map(pairs) = value else { return None };
    let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.text()?.to_owned()));
    pairs.iter().map(pair).collect()
}

impl Engine {
    /// The key that a name means for a caller of this account and region; aliases by the sealed
    /// catalogue, never by front's word. The key itself need not exist.
    pub(crate) fn resolve_key(
        &self,
        name: &str,
        account: AccountId,
        region: &Region,
    ) -> Option<Arn> {
        let arn = match name.parse::<Arn>() {
            Ok(arn) => arn,
            Err(_) if name.starts_with("alias/") => {
                Arn::build("kms", region.as_str(), Some(account), name)
            }
            Err(_) => Arn::build("kms", region.as_str(), Some(account), &format!("key/{name}")),
        };
        if arn.service() != "kms" || arn.region() != region.as_str() {
            return None;
        }
        if arn.resource().starts_with("key/") {
            return Some(arn);
        }
        let catalogue = self.catalogue.read();
        let target = catalogue.alias(&arn)?;
        Some(Arn::build("kms", arn.region(), arn.account(), &format!("key/{target}")))
    }

    /// The key that a request names, by any of its names.
    pub(crate) fn named_key(
        &self,
        name: &KeyName,
        account: AccountId,
        region: &Region,
    ) -> Option<Arn> {
        match name {
            KeyName::Given(text) => self.resolve_key(text, account, region),
            KeyName::OfBlob(id) => self.catalogue.read().key_of(id).cloned(),
        }
    }
}
