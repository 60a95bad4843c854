//! `use`: spends a handle on exactly the use that was signed, if the sealed key policy allows it.

use std::sync::Arc;

use writ_aws::Value;
use writ_keyd_client::arena::Slot;
use writ_keyd_client::descriptor::{KeyDescriptor, KeyState};
use writ_keyd_client::protocol::{Handle, Refusal, Reply, Use, Used, UsedKey};
use writ_keyd_client::secret::SecretBytes;
use writ_model::Arn;
use writ_proof::fas::context_digest;
use writ_proof::hash::Hash;
use writ_proof::use_record::{self, Basis, UseResult};
use zeroize::Zeroizing;

use crate::allow::{GivenKey, Wish, Word};
use crate::blob::{self, EncryptionContext, Header};
use crate::budget::NotCounted;
use crate::domain::material_id;
use crate::engine::Engine;
use crate::handles::Admitted;
use crate::kms::{self, KeyName, Wanted};
use crate::operations::{Part, part};
use crate::policies::basis_name;
use crate::refuse::{self, client, forbidden, invalid_ciphertext, validation};
use crate::{facts, limits, narrate, present};

const SYMMETRIC: &str = "SYMMETRIC_DEFAULT";

/// A key that the caller may use as wanted.
struct Allowed {
    key: Box<KeyDescriptor>,
    digest: [u8; 32],
    tokens: Vec<Vec<u8>>,
    context: EncryptionContext,
    basis: Basis,
    action: &'static str,
}

impl Allowed {
    /// `record`, of this key: a refusal too is told of the key that it is for, not of the last one.
    fn told(&self, record: &use_record::Use) -> use_record::Use {
        use_record::Use {
            key: Some(self.key.arn.clone()),
            context: Some(context_digest(&self.context)),
            policy: Some(Hash(self.key.policy_digest)),
            ..record.clone()
        }
    }
}

/// What an operation made.
#[derive(Default)]
struct Made {
    plaintext: Option<Zeroizing<Vec<u8>>>,
    ciphertext: Option<Vec<u8>>,
    /// The backing key that was used, for each key.
    backing_keys: Vec<[u8; 16]>,
}

impl Engine {
    pub(crate) fn use_keys(&self, wanted: Use) -> Result<Reply, Refusal> {
        let admitted = self.spend(&wanted.handle)?;
        let mut record = narrate::of(&admitted);
        let used = self.try_use(&admitted, wanted, &mut record);
        used.map(|used| Reply::Used(Box::new(used))).inspect_err(|refusal| {
            record.result = UseResult::Denied(refuse::code(refusal));
            self.record(record);
        })
    }

    fn try_use(
        &self,
        admitted: &Admitted,
        mut asked: Use,
        record: &mut use_record::Use,
    ) -> Result<Used, Refusal> {
        if part(admitted.service, admitted.operation) != Some(Part::Use) {
            return Err(forbidden("the handle is for no operation that uses a key"));
        }
        self.spend_budget(admitted)?;
        refuse_unsupported(&admitted.input)?;
        if admitted.operation == "GenerateRandom" {
            return self.random(admitted, &asked, record);
        }
        let wanted = kms::wanted(admitted.operation, &admitted.input);
        let wanted = wanted.ok_or_else(|| forbidden("the request names no key"))?;
        if wanted.len() != asked.keys.len() {
            return Err(forbidden("as many keys must come as the operation names"));
        }
        let given: Vec<UsedKey> = asked.keys.drain(..).collect();
        let mut allowed: Vec<Allowed> = Vec::new();
        let name = |wanted: &Wanted| {
            self.named_key(&wanted.key, admitted.caller.account, &admitted.region)
        };
        let same_key = match wanted.as_slice() {
            [source, destination] => Some(name(source) == name(destination)),
            _ => None,
        };
        for (wanted, given) in wanted.into_iter().zip(given) {
            allowed.push(self.allow(admitted, wanted, given, &asked, same_key, record)?);
        }
        for one in &allowed {
            *record = one.told(record);
            check_usable(&one.key)?;
        }
        let dry = admitted.input.member("DryRun") == Some(&Value::Bool(true));
        if dry && ignores_ciphertext(&admitted.input) {
            return Err(dry_run());
        }
        let made = self.make(admitted, &allowed, record)?;
        if dry {
            return Err(dry_run());
        }
        self.answer(admitted, &asked.handle, allowed, made, record)
    }

    /// The ticket's budget and revocation, again: the handle may have waited.
    pub(crate) fn spend_budget(&self, admitted: &Admitted) -> Result<(), Refusal> {
        let Some(forward) = &admitted.forwarded else { return Ok(()) };
        let mut budgets = self.budgets.lock();
        let spent = budgets.spent(&forward.spend);
        forward.allows(&admitted.region, spent, self.env.now()).map_err(present::say)?;
        budgets.spend(&forward.spend).map_err(|why| match why {
            NotCounted::Full => refuse::unavailable("too many transactions are under way"),
            NotCounted::Repeated => present::say(writ_proof::fas::Refusal::Budget),
        })
    }

    /// The key is the one that was signed for, its descriptor and policy are the newest, and the policy
    /// allows the caller.
    fn allow(
        &self,
        admitted: &Admitted,
        wanted: Wanted,
        given: UsedKey,
        front: &Use,
        same_key: Option<bool>,
        record: &mut use_record::Use,
    ) -> Result<Allowed, Refusal> {
        let account = admitted.caller.account;
        let arn = self.named_key(&wanted.key, account, &admitted.region);
        let arn = arn.ok_or_else(|| not_found(&wanted.key))?;
        record.key = Some(arn.clone());
        record.context = Some(context_digest(&wanted.context));
        let GivenKey { key, digest, policy } = self.given_key(&given)?;
        if key.arn != arn {
            return Err(forbidden("the descriptor is not that of the key in the request"));
        }
        record.policy = Some(Hash(key.policy_digest));
        let wish = Wish {
            action: wanted.action,
            named: match &wanted.key {
                KeyName::Given(name) => Some(name),
                KeyName::OfBlob(_) => None,
            },
            facts: &|context| {
                facts::of_encryption_context(context, &wanted.context);
                if let Some(same) = same_key {
                    context.insert("kms:ReEncryptOnSameKey", if same { "true" } else { "false" });
                }
            },
            word: &Word::new(front.delegated, &front.principal_tags, &given.tags),
        };
        let basis = self.policy_allows(admitted, &key, &policy, &wish)?;
        let (tokens, context, action) = (given.tokens, wanted.context, wanted.action);
        Ok(Allowed { key, digest, tokens, context, basis, action })
    }

    fn make(
        &self,
        admitted: &Admitted,
        allowed: &[Allowed],
        record: &mut use_record::Use,
    ) -> Result<Made, Refusal> {
        let input = &admitted.input;
        let [first, rest @ ..] = allowed else { return Err(forbidden("no key was given")) };
        match admitted.operation {
            "Encrypt" => {
                let plain = kms::bytes(input, "Plaintext").unwrap_or_default();
                self.encrypt(first, plain)
            }
            "Decrypt" => {
                let (plaintext, id) = self.decrypt(first, input)?;
                Ok(Made { plaintext: Some(plaintext), backing_keys: vec![id], ..Made::default() })
            }
            "ReEncrypt" => {
                let destination = rest.first().ok_or_else(|| forbidden("no destination key"))?;
                *record = first.told(record);
                let (plaintext, id) = self.decrypt(first, input)?;
                *record = destination.told(record);
                let mut made = self.encrypt(destination, &plaintext)?;
                made.backing_keys.insert(0, id);
                Ok(made)
            }
            operation => {
                let mut data_key = Zeroizing::new(vec![0; data_key_bytes(input)?]);
                self.env.fill(&mut data_key);
                let made = self.encrypt(first, &data_key)?;
                let shown = operation == "GenerateDataKey";
                Ok(Made { plaintext: shown.then_some(data_key), ..made })
            }
        }
    }

    fn encrypt(&self, allowed: &Allowed, plain: &[u8]) -> Result<Made, Refusal> {
        if plain.is_empty() || plain.len() > limits::PLAINTEXT_MAX_BYTES {
            return Err(validation("Plaintext must have between 1 and 4096 bytes"));
        }
        let id = allowed.key.backing_keys.last();
        let id = *id.ok_or_else(|| forbidden("the key has no backing key"))?;
        let secret = self.backing_key(allowed, &id)?;
        let domain = &self.domain.id;
        let context = &allowed.context;
        let blob = blob::encrypt(domain, &id, secret.expose(), context, plain, &*self.env);
        let ciphertext = blob.map_err(|_| refuse::internal("the plaintext cannot be encrypted"))?;
        Ok(Made { ciphertext: Some(ciphertext), backing_keys: vec![id], plaintext: None })
    }

    fn decrypt(
        &self,
        allowed: &Allowed,
        input: &Value,
    ) -> Result<(Zeroizing<Vec<u8>>, [u8; 16]), Refusal> {
        let blob = kms::ciphertext(input).ok_or_else(invalid_ciphertext)?;
        let header: Header = blob::header(blob).ok_or_else(invalid_ciphertext)?;
        if header.domain != self.domain.id {
            return Err(invalid_ciphertext());
        }
        let id = header.backing_key;
        if !allowed.key.backing_keys.contains(&id) {
            return Err(match self.catalogue.read().key_of(&id) {
                Some(_) => client(
                    "IncorrectKeyException",
                    "The key ID in the request does not identify a CMK that can perform this operation.",
                ),
                None => invalid_ciphertext(),
            });
        }
        let secret = self.backing_key(allowed, &id)?;
        let plain = blob::decrypt(&header, secret.expose(), &allowed.context, blob);
        Ok((plain.ok_or_else(invalid_ciphertext)?, id))
    }

    fn backing_key(&self, allowed: &Allowed, id: &[u8; 16]) -> Result<Arc<Slot>, Refusal> {
        let at = allowed.key.backing_keys.iter().position(|known| known == id);
        let token = at.and_then(|at| allowed.tokens.get(at));
        let token = token.ok_or_else(|| forbidden("the token of the backing key is missing"))?;
        let secret = self.domain.unwrap(&allowed.key, &allowed.digest, id, token);
        secret.ok_or_else(|| forbidden("the token does not belong to the key"))
    }

    fn answer(
        &self,
        admitted: &Admitted,
        handle: &Handle,
        allowed: Vec<Allowed>,
        made: Made,
        record: &use_record::Use,
    ) -> Result<Used, Refusal> {
        let (plaintext, sealed) = self.deliver(admitted, handle, made.plaintext)?;
        let mut position = None;
        for (one, id) in allowed.iter().zip(&made.backing_keys) {
            position = Some(self.record(use_record::Use {
                op: one.action.to_owned(),
                backing_key: Some(*id),
                basis: one.basis,
                ..one.told(record)
            }));
        }
        Ok(Used {
            plaintext,
            ciphertext: made.ciphertext,
            material_ids: made.backing_keys.iter().map(material_id).collect(),
            basis: allowed.iter().map(|one| basis_name(one.basis).to_owned()).collect(),
            keys: allowed.into_iter().map(|one| one.key.arn).collect(),
            sealed,
            handle: *handle,
            // GenerateRandom uses no key.
            position: position.unwrap_or_else(|| self.record(record.clone())),
        })
    }

    /// A direct caller's plaintext goes through front; a holder's is sealed to its channel.
    fn deliver(
        &self,
        admitted: &Admitted,
        handle: &Handle,
        plaintext: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<(Option<SecretBytes>, Option<Vec<u8>>), Refusal> {
        let Some(plaintext) = plaintext else { return Ok((None, None)) };
        let Some(forward) = &admitted.forwarded else {
            return Ok((Some(SecretBytes::new(plaintext.to_vec())), None));
        };
        let channels = self.channels.lock();
        let keys = channels.get(forward.holder);
        let sealed = keys.and_then(|keys| keys.seal(handle, &plaintext, &*self.env));
        let sealed = sealed.ok_or_else(|| refuse::unavailable("the holder has no channel now"))?;
        Ok((None, Some(sealed)))
    }

    /// No key is used; identity policies alone decide, in front.
    fn random(
        &self,
        admitted: &Admitted,
        asked: &Use,
        record: &use_record::Use,
    ) -> Result<Used, Refusal> {
        if !asked.delegated || !asked.keys.is_empty() {
            let who = admitted.caller.arn.as_str();
            return Err(refuse::kms_denied(who, "kms:GenerateRandom", None));
        }
        if admitted.input.member("CustomKeyStoreId").is_some() {
            return Err(unsupported("custom key stores"));
        }
        let bytes = byte_count(&admitted.input)?;
        let bytes = bytes.ok_or_else(|| validation("NumberOfBytes must be given"))?;
        let mut random = Zeroizing::new(vec![0; bytes]);
        self.env.fill(&mut random);
        let made = Made { plaintext: Some(random), ..Made::default() };
        let record = use_record::Use { basis: Basis::Delegated, ..record.clone() };
        self.answer(admitted, &asked.handle, Vec::new(), made, &record)
    }
}

/// The answer to a request that only asks whether it would be allowed.
fn dry_run() -> Refusal {
    client(
        "DryRunOperationException",
        "The request would have succeeded, but the DryRun option is set.",
    )
}

/// A dry run that has no ciphertext of its key to show.
fn ignores_ciphertext(input: &Value) -> bool {
    match input.member("DryRunModifiers") {
        Some(Value::List(names)) => names.iter().any(|n| n.text() == Some("IGNORE_CIPHERTEXT")),
        _ => false,
    }
}

/// The key does not exist. Front answers for foreign accounts' keys before it asks keyd.
pub(crate) fn not_found(name: &KeyName) -> Refusal {
    match name {
        KeyName::Given(text) if text.contains("alias/") => {
            client("NotFoundException", format!("Alias {text} is not found."))
        }
        KeyName::Given(text) => client("NotFoundException", format!("Invalid keyId '{text}'")),
        KeyName::OfBlob(_) => invalid_ciphertext(),
    }
}

/// The state allows uses (AWS KMS, "Key states"), and the key is one that encrypts.
fn check_usable(key: &KeyDescriptor) -> Result<(), Refusal> {
    let arn = &key.arn;
    match key.state {
        KeyState::Enabled => {}
        KeyState::Disabled => {
            return Err(client("DisabledException", format!("{arn} is disabled.")));
        }
        KeyState::PendingDeletion | KeyState::Destroyed => return Err(pending_deletion(arn)),
    }
    if key.usage != "ENCRYPT_DECRYPT" || key.spec != SYMMETRIC {
        let text =
            format!("{arn} key usage is {} which is not valid for this operation.", key.usage);
        return Err(client("InvalidKeyUsageException", text));
    }
    Ok(())
}

/// The answer for a key that is to be deleted.
pub(crate) fn pending_deletion(arn: &Arn) -> Refusal {
    client("KMSInvalidStateException", format!("{arn} is pending deletion."))
}

fn refuse_unsupported(input: &Value) -> Result<(), Refusal> {
    if input.member("Recipient").is_some() {
        return Err(unsupported("recipients with attestation documents"));
    }
    let algorithms =
        ["EncryptionAlgorithm", "SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm"];
    for name in algorithms {
        let given = input.member(name).and_then(Value::text);
        if given.is_some_and(|given| given != SYMMETRIC) {
            let text = "The encryption algorithm is not valid for a symmetric encryption KMS key.";
            return Err(client("InvalidKeyUsageException", text));
        }
    }
    for name in ["EncryptionContext", "SourceEncryptionContext", "DestinationEncryptionContext"] {
        let Some(Value::Map(pairs)) = input.member(name) else { continue };
        let size = |value: &Value| value.text().map_or(0, str::len);
        let bytes: usize = pairs.iter().map(|(key, value)| key.len() + size(value)).sum();
        if bytes > limits::CONTEXT_MAX_BYTES {
            return Err(validation(format!("{name} must have at most 8192 bytes")));
        }
    }
    Ok(())
}

/// The length of a data key: exactly one of KeySpec and NumberOfBytes says it.
fn data_key_bytes(input: &Value) -> Result<usize, Refusal> {
    match (input.member("KeySpec").and_then(Value::text), byte_count(input)?) {
        (Some("AES_256"), None) => Ok(32),
        (Some("AES_128"), None) => Ok(16),
        (None, Some(bytes)) => Ok(bytes),
        _ => Err(validation("Please specify either number of bytes or key spec.")),
    }
}

fn byte_count(input: &Value) -> Result<Option<usize>, Refusal> {
    match input.member("NumberOfBytes") {
        None => Ok(None),
        Some(Value::Int(bytes)) => match usize::try_from(*bytes) {
            Ok(bytes) if (1..=limits::RANDOM_MAX_BYTES).contains(&bytes) => Ok(Some(bytes)),
            _ => Err(validation("NumberOfBytes must be between 1 and 1024")),
        },
        Some(_) => Err(validation("NumberOfBytes must be a number")),
    }
}

fn unsupported(what: &str) -> Refusal {
    client("UnsupportedOperationException", format!("Writ does not support {what} yet."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tests::key;
    use crate::tests::{Site, code, why};

    fn input(members: &[(&str, Value)]) -> Value {
        Value::Map(
            members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        )
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn plaintext_of_no_byte_or_too_many_is_refused() {
        let site = Site::new();
        let (key, context) = (Box::new(key()), EncryptionContext::new());
        let (digest, tokens, basis, action) = ([0; 32], vec![], Basis::Policy, "kms:Encrypt");
        let allowed = Allowed { key, digest, tokens, context, basis, action };
        let limit = limits::PLAINTEXT_MAX_BYTES;
        let length = "Plaintext must have between 1 and 4096 bytes";
        for (bytes, expected) in [
            (0, length),
            (1, "the key has no backing key"),
            (limit, "the key has no backing key"),
            (limit + 1, length),
            (limit + 2, length),
        ] {
            let result = site.engine.encrypt(&allowed, &vec![7; bytes]);
            assert_eq!(why(result), expected, "{bytes} bytes");
        }
    }

    #[test]
    fn key_that_does_not_encrypt_is_of_no_use() {
        type Change = fn(&mut KeyDescriptor);
        let table: [(Change, &str); 6] = [
            (|_| {}, "ok"),
            (|key| key.usage = "SIGN_VERIFY".to_owned(), "InvalidKeyUsageException"),
            (|key| key.spec = "RSA_2048".to_owned(), "InvalidKeyUsageException"),
            (|key| key.state = KeyState::Disabled, "DisabledException"),
            (|key| key.state = KeyState::PendingDeletion, "KMSInvalidStateException"),
            (|key| key.state = KeyState::Destroyed, "KMSInvalidStateException"),
        ];
        for (change, expected) in table {
            let mut key = key();
            change(&mut key);
            assert_eq!(code(check_usable(&key)), expected, "{key:?}");
        }
    }

    #[test]
    fn what_writ_does_not_support_is_refused_by_name() {
        let context =
            |bytes: usize| input(&[("k", text(&"v".repeat(bytes - 4))), ("key", text(""))]);
        let max = limits::CONTEXT_MAX_BYTES;
        let mut table = vec![("Recipient", input(&[]), "UnsupportedOperationException")];
        for name in
            ["EncryptionAlgorithm", "SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm"]
        {
            table.push((name, text("SYMMETRIC_DEFAULT"), "ok"));
            table.push((name, text("RSAES_OAEP_SHA_1"), "InvalidKeyUsageException"));
        }
        for name in ["EncryptionContext", "SourceEncryptionContext", "DestinationEncryptionContext"]
        {
            table.push((name, context(max), "ok"));
            table.push((name, context(max + 1), "ValidationException"));
            table.push((name, context(max + 2), "ValidationException"));
        }
        for (name, value, expected) in table {
            assert_eq!(code(refuse_unsupported(&input(&[(name, value)]))), expected, "{name}");
        }
    }

    #[test]
    fn length_of_a_data_key_is_said_once_and_within_its_limit() {
        let max = i64::try_from(limits::RANDOM_MAX_BYTES).unwrap();
        let bytes = |n: i64| ("NumberOfBytes", Value::Int(n));
        let spec = |name: &str| ("KeySpec", text(name));
        let table = [
            (vec![spec("AES_256")], Some(32)),
            (vec![spec("AES_128")], Some(16)),
            (vec![bytes(1)], Some(1)),
            (vec![bytes(max)], Some(limits::RANDOM_MAX_BYTES)),
            (vec![bytes(0)], None),
            (vec![bytes(-1)], None),
            (vec![bytes(max + 1)], None),
            (vec![("NumberOfBytes", text("8"))], None),
            (vec![spec("AES_512")], None),
            (vec![spec("AES_256"), bytes(32)], None),
            (vec![], None),
        ];
        for (members, expected) in table {
            assert_eq!(data_key_bytes(&input(&members)).ok(), expected, "{members:?}");
        }
        assert_eq!(byte_count(&input(&[])).ok(), Some(None));
    }

    #[test]
    fn answer_for_a_key_that_is_not_there_says_how_it_was_named() {
        let given = |name: &str| why::<()>(Err(not_found(&KeyName::Given(name.to_owned()))));
        assert_eq!(given("alias/x"), "Alias alias/x is not found.");
        assert_eq!(given("x"), "Invalid keyId 'x'");
        let blob: Result<(), _> = Err(not_found(&KeyName::OfBlob([0; 16])));
        assert_eq!(code(blob), "InvalidCiphertextException");
    }
}
