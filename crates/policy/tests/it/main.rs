//! Tests of the policy engine through its public API.

mod random;
mod reference;
