//! SSH certificates and revocation lists: what reads, says the same when it is written again.

use writ_proof::krl::Krl;
use writ_proof::ssh_cert::{CertFields, Certificate};

pub(crate) fn run(input: &[u8]) {
    if let Ok((fields, ca)) = CertFields::from_to_be_signed(input) {
        assert!(fields.to_be_signed(&ca).as_deref() == Ok(input), "a certificate has two forms");
        assert!(!fields.principals.is_empty(), "it is good for anybody");
    }
    if let Ok(certificate) = Certificate::from_bytes(input) {
        assert!(certificate.to_bytes() == input, "a certificate has two forms");
    }
    if let Ok(krl) = Krl::from_bytes(input)
        && let Ok(bytes) = krl.to_bytes()
    {
        assert!(Krl::from_bytes(&bytes).as_ref() == Ok(&krl), "a list changes when it is written");
    }
}
