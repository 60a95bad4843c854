//! Named limits of the console.

use std::time::Duration;

/// A request's body in bytes; the largest holds an attestation and a signature, in base64.
pub const BODY_MAX_BYTES: usize = 64 * 1024;

/// A path in bytes.
pub const PATH_MAX_BYTES: usize = 512;

/// An attestation object in bytes; a security key's certificate chain fits.
pub const ATTESTATION_MAX_BYTES: usize = 16 * 1024;

/// How far the date of a proof may lie from our clock, to either side.
pub const PROOF_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Signatures that one request may carry.
pub const PROOFS_MAX: usize = 8;

/// How long a link to enrol is good.
pub const LINK_LIFETIME: Duration = Duration::from_secs(3600);

/// How long after its end a link is remembered, so that its page says what became of it.
pub const LINK_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Links that are open at one time.
pub const OPEN_LINKS_MAX: usize = 64;

/// Random bytes of a link.
pub const TOKEN_BYTES: usize = 32;

/// How long a challenge to sign in is good.
pub const CHALLENGE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How long somebody stays signed in at most (trust, section 8: reading only).
pub const SESSION_LIFETIME: Duration = Duration::from_secs(8 * 3600);

/// How long somebody stays signed in who asks for nothing.
pub const SESSION_IDLE: Duration = Duration::from_secs(3600);

/// Random bytes of the cookie.
pub const COOKIE_BYTES: usize = 32;

/// Sessions of one person: a sign-in beyond it ends the oldest one.
pub const PERSON_SESSIONS_MAX: usize = 8;

/// Sessions of all, and challenges that are remembered as used. Only enrolled people make either.
pub const SESSIONS_MAX: usize = 8192;

/// People on one page of the list.
pub const PEOPLE_PAGE: usize = 100;
