//! AWS's wire formats: operations, their types, codecs, errors and the classification of requests.
//!
//! The crate is pure: it reads no clock and does no I/O, and it decides nothing about access. It
//! turns the bytes of a request into a typed struct and a typed reply into bytes, by tables that
//! `cargo xtask codegen` makes from botocore's service models (see `generated/NOTICE`).
//!
//! Way of a request: [`classify`] finds service and operation; [`query`], [`json`] or [`rest_xml`]
//! ([`wire`] chooses) decodes the parameters into a [`Value`], within the limits of [`limits`];
//! [`Input::from_value`] checks the model's constraints and builds the struct.
//!
//! [`sigv4`] canonicalises and checks signatures, [`chunked`] reads aws-chunked bodies, [`checksum`]
//! computes S3's checksums; no secret is held longer than a [`sigv4::SigningKey`] lives.
//!
//! Invariant: limits on bytes, depth and members apply before a struct exists.

pub mod checksum;
pub mod chunked;
pub mod classify;
#[cfg(test)]
mod codec_tests;
pub mod error;
mod form;
#[expect(missing_docs, reason = "generated: AWS's pages, linked there, document the members")]
pub mod generated;

pub mod json;
pub mod limits;
pub mod operation;
mod pattern;
pub mod query;
pub mod rest_xml;
mod scalar;
pub mod shape;
pub mod sigv4;
mod typed;
pub mod validate;
pub mod value;
pub mod wire;
mod xml;

pub use error::ApiError;
pub use operation::{
    Audit, Input, Known, Operation, Output, Protocol, Service, is_known, operation, operations,
};
pub use value::Value;
