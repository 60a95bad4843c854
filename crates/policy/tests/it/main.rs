//! Tests of the policy engine through its public API.

mod layers;
mod operators;
mod random;
mod reference;
