//! The AWS wire: signatures, streaming bodies, checksums and codecs, without any I/O.
//!
//! Everything here is a pure function of bytes and of a time that the caller gives. The crate
//! knows nothing of policies, of storage or of sockets, and it holds no secret longer than a
//! value of [`sigv4::SigningKey`] lives.

pub mod checksum;
pub mod chunked;
pub mod limits;
pub mod sigv4;
