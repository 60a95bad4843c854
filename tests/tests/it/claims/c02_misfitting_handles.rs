//! C-02: genuine handles for the wrong thing. Each request was signed by its customer and admitted; the
//! hostile front spends it on another operation, subject, key or account.

use serde_json::json;
use writ_keyd_client::protocol::{
    Command, Handle, IssueCredential, Refusal, Reply, Role, Seal, UsedKey,
};
use writ_tests::site::{ANN, BOB};

use super::c02_checks::{Checks, Left, Why};
use super::c02_hostile_front::{NOBODY, Taken, UNKNOWN_HANDLE, take_over};

const CREATE_KEY: &str = "Action=CreateAccessKey&Version=2010-05-08&UserName=carol";
const DELETE_USER: &str = "Action=DeleteUser&Version=2010-05-08&UserName=dave";
const SESSION: &str = "Action=GetSessionToken&Version=2011-06-15";

const NOT_THE_KEY: &str = "not that of the key in the request";
const NOT_THE_USER: &str = "not that of the user in the request";

/// What is wrong, a genuine handle, the subject that does not fit it, the reason and the record.
type Misfit = (&'static str, Handle, Option<Vec<u8>>, &'static str, &'static str);

impl Taken {
    fn arn(&self, key: usize) -> String {
        format!("arn:aws:kms:us-east-1:{ANN}:key/{}", self.keys[key])
    }

    fn disabling(&self, who: &writ_tests::Credentials, key: usize) -> Handle {
        self.admitted(who, "DisableKey", &json!({"KeyId": self.arn(key)}))
    }

    /// Seals a change of what `current` is, a key with the policy of the first one.
    fn seal(&self, handle: Handle, current: Vec<u8>) -> Result<Reply, Refusal> {
        let key = UsedKey { descriptor: current.clone(), ..self.key(&self.keys[0]) };
        self.keyd.ask(
            Role::Front,
            Command::Seal(Box::new(Seal {
                handle,
                current: Some(current),
                keys: vec![key],
                ..Seal::default()
            })),
        )
    }

    fn issue(&self, handle: Handle, subject: Option<Vec<u8>>) -> Result<Reply, Refusal> {
        let issue =
            IssueCredential { handle, subject, delegated: true, principal_tags: Vec::new() };
        self.keyd.ask(Role::Front, Command::IssueCredential(Box::new(issue)))
    }
}

/// `Use` with a handle of another operation, for another key, of another account.
#[test]
fn c02_use_with_a_misfitting_handle_is_refused() {
    let taken = take_over();
    let (ann, key) = (&taken.ann, |n: usize| taken.key(&taken.keys[n]));
    let no_use = Why::Forbidden("no operation that uses a key");
    let mut checks = Checks::new(&taken.keyd);
    let handle = taken.disabling(ann, 0);
    let left = Left::Record("kms:DisableKey");
    checks.check("a handle for a change", || taken.spend(handle, vec![key(0)]), no_use, left);
    let handle = taken.admitted_form(ann, "sts", SESSION);
    let left = Left::Record("sts:GetSessionToken");
    checks.check("a handle for a credential", || taken.spend(handle, vec![key(0)]), no_use, left);
    let handle = taken.admitted(ann, "DescribeKey", &json!({"KeyId": taken.arn(0)}));
    checks.check(
        "a handle for a description",
        || taken.spend(handle, vec![key(0)]),
        Why::Forbidden(UNKNOWN_HANDLE),
        Left::Nothing("keyd has no part in the operation and keeps no handle for it"),
    );
    let encrypt = json!({"KeyId": taken.arn(0), "Plaintext": "Z29sZA=="});
    let handle = taken.admitted(ann, "Encrypt", &encrypt);
    checks.check(
        "an encryption under another key",
        || taken.spend(handle, vec![key(1)]),
        Why::Forbidden(NOT_THE_KEY),
        Left::Record("kms:Encrypt"),
    );
    let handle = taken.admitted(&taken.bob, "Encrypt", &encrypt);
    checks.check(
        "another account's encryption",
        || taken.spend(handle, vec![key(0)]),
        Why::Aws("AccessDeniedException", "kms:Encrypt"),
        Left::Record("kms:Encrypt"),
    );
    let move_it = json!({"CiphertextBlob": taken.blob, "DestinationKeyId": taken.arn(1)});
    let handle = taken.admitted(ann, "ReEncrypt", &move_it);
    checks.check(
        "source and destination exchanged",
        || taken.spend(handle, vec![key(1), key(0)]),
        Why::Forbidden(NOT_THE_KEY),
        Left::Record("kms:ReEncrypt"),
    );
    let handle = taken.admitted(ann, "Encrypt", &encrypt);
    let mut user = key(0);
    user.descriptor = taken.descriptor(ANN, "user", "dave");
    checks.check(
        "a user for a key",
        || taken.spend(handle, vec![user]),
        Why::Forbidden("the descriptor is not a key's"),
        Left::Record("kms:Encrypt"),
    );
    for (what, operation, body, keys) in [
        ("an encryption", "Encrypt", &encrypt, vec![key(0)]),
        ("a re-encryption", "ReEncrypt", &move_it, vec![key(0), key(1)]),
    ] {
        let handle = taken.admitted(ann, operation, body);
        checks.control(what, taken.spend(handle, keys));
    }
    checks.finish();
}

/// `Seal` with a handle of another operation, for another subject, of another account.
#[test]
fn c02_seal_with_a_misfitting_handle_is_refused() {
    let taken = take_over();
    let (ann, bob) = (&taken.ann, &taken.bob);
    let key = |n: usize| taken.key(&taken.keys[n]).descriptor;
    let user = |account, name| taken.descriptor(account, "user", name);
    let no_seal = "no operation that seals anything";
    let foreign = "belongs to another account";
    let decrypt = || taken.admitted(ann, "Decrypt", &taken.blob_of_ann());
    let delete = || taken.admitted_form(ann, "iam", DELETE_USER);
    let session = taken.admitted_form(ann, "sts", SESSION);
    let rows: Vec<(&str, Handle, Vec<u8>, &'static str, &'static str)> = vec![
        ("a handle for a use", decrypt(), key(0), no_seal, "kms:Decrypt"),
        ("a handle for a credential", session, key(0), no_seal, "sts:GetSessionToken"),
        ("another key", taken.disabling(ann, 0), key(1), NOT_THE_KEY, "kms:DisableKey"),
        ("another account's hand", taken.disabling(bob, 0), key(0), foreign, "kms:DisableKey"),
        (
            "a user for a key",
            taken.disabling(ann, 0),
            user(ANN, "dave"),
            "the descriptor is not a key's",
            "kms:DisableKey",
        ),
        ("another user", delete(), user(ANN, "carol"), NOT_THE_USER, "iam:DeleteUser"),
        ("another account's user", delete(), user(BOB, "carol"), foreign, "iam:DeleteUser"),
        (
            "a key for a user",
            delete(),
            key(0),
            "the current descriptor is not a user's",
            "iam:DeleteUser",
        ),
    ];
    let mut checks = Checks::new(&taken.keyd);
    for (what, handle, current, reason, op) in rows {
        let seal = || taken.seal(handle, current);
        checks.check(what, seal, Why::Forbidden(reason), Left::Record(op));
    }
    checks.control("the right user", taken.seal(delete(), user(ANN, "dave")));
    let handle = taken.disabling(ann, 0);
    checks.control("the right key", taken.seal(handle, key(0)));
    checks.check(
        "the same handle again",
        || taken.seal(handle, key(0)),
        Why::Forbidden(UNKNOWN_HANDLE),
        Left::Nothing(NOBODY),
    );
    checks.finish();
}

/// `IssueCredential` with a handle of another operation, for another subject, of another account.
#[test]
fn c02_issue_with_a_misfitting_handle_is_refused() {
    let taken = take_over();
    let ann = &taken.ann;
    let user = |account, name| Some(taken.descriptor(account, "user", name));
    let role = |name| Some(taken.descriptor(ANN, "role", name));
    let create = || taken.admitted_form(ann, "iam", CREATE_KEY);
    let assume = || {
        let form = format!(
            "Action=AssumeRole&Version=2011-06-15&RoleSessionName=night&RoleArn=arn:aws:iam::{ANN}:role/job"
        );
        taken.admitted_form(&taken.carol, "sts", &form)
    };
    let decrypt = taken.admitted(ann, "Decrypt", &taken.blob_of_ann());
    let no_credential = "no operation that makes a credential";
    let rows: Vec<Misfit> = vec![
        ("a handle for a use", decrypt, user(ANN, "carol"), no_credential, "kms:Decrypt"),
        (
            "a handle for a change",
            taken.disabling(ann, 0),
            user(ANN, "carol"),
            no_credential,
            "kms:DisableKey",
        ),
        ("another user", create(), user(ANN, "dave"), NOT_THE_USER, "iam:CreateAccessKey"),
        (
            "another account's user of that name",
            create(),
            user(BOB, "carol"),
            NOT_THE_USER,
            "iam:CreateAccessKey",
        ),
        ("no user", create(), None, "the user's descriptor is missing", "iam:CreateAccessKey"),
        (
            "a role for a user",
            create(),
            role("job"),
            "the subject is not a user",
            "iam:CreateAccessKey",
        ),
        (
            "another role",
            assume(),
            role("other"),
            "not that of the role in the request",
            "sts:AssumeRole",
        ),
        (
            "a user for a role",
            assume(),
            user(ANN, "carol"),
            "the subject is not a role",
            "sts:AssumeRole",
        ),
    ];
    let mut checks = Checks::new(&taken.keyd);
    for (what, handle, subject, reason, op) in rows {
        let issue = || taken.issue(handle, subject);
        checks.check(what, issue, Why::Forbidden(reason), Left::Record(op));
    }
    checks.control("the right user", taken.issue(create(), user(ANN, "carol")));
    checks.control("the right role", taken.issue(assume(), role("job")));
    checks.finish();
}
