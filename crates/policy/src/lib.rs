//! The AWS policy language: parse, compile, evaluate, explain.
//!
//! The crate is pure: it has no clock, does no I/O and keeps no state. Time, addresses and tags come
//! in as condition keys ([`Context`]); policies are compiled once ([`Policy`]) and consulted in
//! layers ([`Layers`]). It knows nothing of HTTP, of stores or of Writ's services.
//!
//! Invariant: what is not understood never allows. An unknown element, operator or value is refused
//! when a policy is written ([`Policy::parse`]); a stored policy that cannot be read denies
//! ([`Policy::load`]); the default of [`Decision`] is a deny.
//!
//! Implements "Policy evaluation logic", "Grammar of the IAM JSON policy language" and the pages on
//! each element in the IAM user guide, SCPs and RCPs of the Organizations user guide, and "Key
//! policies in AWS KMS".

pub mod cases;
pub mod context;
pub mod document;
pub mod engine;
pub mod error;
pub mod explain;
pub mod keys;
pub mod limits;
pub mod permit;
pub mod principal;

mod condition;
mod json;
mod pattern;
mod read;
mod statement;
mod value;

pub use context::{Context, Key};
pub use document::{InlineOwner, Policy, PolicyKind, ResourceKind};
pub use engine::{
    Basis, Decision, DenyKind, Layer, Layers, Mode, Named, Request, ResourceOutcome, Verdict,
    evaluate, evaluate_resource, verdict,
};
pub use error::{ParseError, ParseErrors, Problem};
pub use explain::{Explanation, Outcome, StatementName, Trace, explain};
pub use permit::{Access, Authorizer, Call, Denied, Operation, Permit, Permitted, authorize};
pub use principal::{Principal, PrincipalKind};
pub use statement::Effect;
