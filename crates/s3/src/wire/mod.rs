//! What clients say in headers, paths and queries, each parsed once into a type.

pub mod bucket_name;
pub mod conditions;
pub mod copy_source;
pub mod encoding;
pub mod range;
