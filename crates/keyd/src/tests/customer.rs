//! Lockbox, support role and consents, shown and asked for by a front that cheats.

use std::collections::BTreeSet;

use writ_proof::Hash;
use writ_proof::access::{Decision, Touches};
use writ_proof::hash::sha256;

use super::*;
use crate::customers::Customers;

const A: u64 = 111_122_223_333;
const B: u64 = 444_455_556_666;

fn digest(n: u8) -> Hash {
    sha256(&[n])
}

fn only(n: u64) -> Touches {
    Touches::Only(BTreeSet::from([account(n)]))
}

impl Site {
    pub(super) fn writ(&self, signer: &Signing, operation: &str, body: &Json) -> Authenticate {
        let target = format!("Writ_20261101.{operation}").into_bytes();
        let headers = vec![
            ("content-type".to_owned(), b"application/x-amz-json-1.1".to_vec()),
            ("x-amz-target".to_owned(), target),
        ];
        self.signed(signer, "writ", "/", headers, body.to_string().into_bytes())
    }

    pub(super) fn say(
        &self,
        signer: &Signing,
        operation: &str,
        digest: &Hash,
    ) -> Result<Vec<u8>, Refusal> {
        let id = "01JD0000000000000000000000";
        let body = json!({ "RequestId": id, "RequestDigest": digest.to_string() });
        let sealed = self.seal(self.writ(signer, operation, &body), |_| {})?;
        Ok(sealed.descriptors[0].clone())
    }

    pub(super) fn lockbox(&self, signer: &Signing, mode: &str) -> Vec<u8> {
        let request = self.writ(signer, "PutLockbox", &json!({ "Mode": mode }));
        self.seal(request, |_| {}).unwrap().descriptors[0].clone()
    }

    fn customers(&self, digest: &Hash, touches: &Touches) -> Customers {
        self.engine.customers(digest, touches).unwrap()
    }

    fn try_load(&self, descriptors: Vec<Vec<u8>>) -> Result<Reply, Refusal> {
        let epoch = Uuid::from_bytes([1; 16]);
        let load = Load { descriptors, ended: vec![], last: true, epoch, roster: vec![] };
        self.engine.handle(Role::Front, Command::Load(load))
    }
}

#[test]
fn lockbox_is_on_for_those_whom_a_request_touches() {
    let site = Site::new();
    let (a, b) = (site.create_account(A), site.create_account(B));
    site.lockbox(&a, "STREAMLINED");
    assert_eq!(site.last_record(), ("writ:PutLockbox".to_owned(), "ok".to_owned()));
    site.lockbox(&b, "STREAMLINED");
    let accounts = |touches: &Touches| -> Vec<AccountId> {
        site.customers(&digest(1), touches).lockboxes.into_iter().collect()
    };
    assert_eq!(accounts(&only(A)), [account(A)]);
    assert_eq!(accounts(&Touches::Everybody), [account(A), account(B)]);
    site.lockbox(&b, "OFF");
    assert_eq!(accounts(&Touches::Everybody), [account(A)]);
}

#[test]
fn older_revision_of_a_lockbox_changes_nothing() {
    let site = Site::new();
    let a = site.create_account(A);
    let off = site.lockbox(&a, "OFF");
    let on = site.lockbox(&a, "STREAMLINED");
    // Front shows what it likes: nothing, or the old one. keyd gives the newest back.
    site.load(vec![]);
    let answer = site.try_load(vec![a.descriptor.clone().unwrap(), off]).unwrap();
    assert!(matches!(answer, Reply::Done | Reply::Sealed(_)));
    assert_eq!(site.customers(&digest(1), &only(A)).lockboxes.len(), 1, "still on");
    site.load(vec![on]);
    assert_eq!(site.customers(&digest(1), &only(A)).lockboxes.len(), 1);
}

#[test]
fn lockbox_is_switched_by_its_own_account_alone() {
    let site = Site::new();
    let (a, b) = (site.create_account(A), site.create_account(B));
    site.lockbox(&a, "STREAMLINED");
    site.lockbox(&b, "OFF");
    assert_eq!(site.customers(&digest(1), &only(A)).lockboxes.len(), 1);
    // A handle for another operation seals no lockbox, and one seals once.
    let other = site.authenticate(site.writ(&a, "GetLockbox", &json!({}))).unwrap();
    let seal = |handle| {
        let seal = Seal { handle, ..Seal::default() };
        site.engine.handle(Role::Front, Command::Seal(Box::new(seal)))
    };
    assert_eq!(code(seal(other.handle)), "Forbidden");
    let put = site.writ(&a, "PutLockbox", &json!({ "Mode": "OFF" }));
    let once = site.authenticate(copy(&put)).unwrap();
    assert_eq!(code(seal(once.handle)), "ok");
    assert_eq!(code(seal(once.handle)), "Forbidden");
    assert_eq!(code(site.authenticate(put)), "Repeated", "one signature, one change");
    let mut edited = site.writ(&a, "PutLockbox", &json!({ "Mode": "STREAMLINED" }));
    edited.payload = Payload::Body(json!({ "Mode": "OFF" }).to_string().into_bytes());
    assert_eq!(code(site.authenticate(edited)), "InvalidSignatureException");
}

#[test]
fn consent_is_of_one_account_for_one_request() {
    let site = Site::new();
    let (a, b) = (site.create_account(A), site.create_account(B));
    site.lockbox(&a, "STREAMLINED");
    site.say(&a, "ApproveOperatorAccess", &digest(1)).unwrap();
    assert_eq!(site.last_record().0, "writ:ApproveOperatorAccess");
    let last = site.last_use();
    assert_eq!(last.grant.as_deref(), Some(digest(1).to_string().as_str()), "names the request");
    let consents = |n: u8| site.customers(&digest(n), &only(A)).consents;
    assert_eq!(consents(1)[&account(A)].decision, Decision::Approve);
    assert!(consents(2).is_empty(), "another digest");
    site.say(&b, "ApproveOperatorAccess", &digest(2)).unwrap();
    assert!(!consents(2).contains_key(&account(A)), "another account");
}

#[test]
fn what_was_taken_back_is_not_said_again() {
    let site = Site::new();
    let a = site.create_account(A);
    let yes = site.say(&a, "ApproveOperatorAccess", &digest(1)).unwrap();
    let no = site.say(&a, "WithdrawOperatorAccess", &digest(1)).unwrap();
    let again = site.say(&a, "ApproveOperatorAccess", &digest(1));
    assert_eq!(code(again), "ConflictException");
    // The sealed yes, shown again, alone and with another account's name in it.
    site.load(vec![yes.clone()]);
    assert_eq!(site.customers(&digest(1), &only(A)).consents[&account(A)].decision, Decision::Deny);
    site.load(vec![no]);
    assert_eq!(code(site.say(&a, "WithdrawOperatorAccess", &digest(2))), "ConflictException");
    let mut edited = yes;
    let at = edited.len() / 2;
    edited[at] ^= 1;
    assert_eq!(why(site.try_load(vec![edited])), "a loaded descriptor is not sealed here");
}

#[test]
fn refusal_is_final() {
    let site = Site::new();
    let a = site.create_account(A);
    site.say(&a, "RefuseOperatorAccess", &digest(1)).unwrap();
    assert_eq!(code(site.say(&a, "ApproveOperatorAccess", &digest(1))), "ConflictException");
    assert_eq!(site.customers(&digest(1), &only(A)).consents[&account(A)].decision, Decision::Deny);
}

#[test]
fn disabled_support_role_keeps_operators_out() {
    let site = Site::new();
    let (a, b) = (site.create_account(A), site.create_account(B));
    let touches = |touches: &Touches| code(site.engine.customers(&digest(1), touches));
    assert_eq!(touches(&Touches::Everybody), "ok");
    let switch = |operation| {
        let request = site.writ(&a, operation, &json!({}));
        site.seal(request, |_| {}).unwrap().descriptors[0].clone()
    };
    let enabled = switch("EnableSupportRole");
    switch("DisableSupportRole");
    site.load(vec![enabled]);
    for touched in [only(A), Touches::Everybody] {
        assert_eq!(touches(&touched), "AccessDeniedException", "{touched:?}");
    }
    assert_eq!(touches(&only(B)), "ok");
    switch("EnableSupportRole");
    assert_eq!(touches(&only(A)), "ok");
    // IAM's DeleteRole of it does the same; of another role it needs that one's descriptor.
    let delete = |name: &str| {
        let form = format!("Action=DeleteRole&Version=2010-05-08&RoleName={name}");
        code(site.seal(site.query(&b, "iam", &form), |_| {}))
    };
    assert_eq!(delete("Other"), "Forbidden");
    assert_eq!(touches(&only(B)), "ok");
    assert_eq!(delete("WritSupport"), "ok");
    assert_eq!(touches(&only(B)), "AccessDeniedException");
}
