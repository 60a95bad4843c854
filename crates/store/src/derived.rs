//! What follows from an object and is computed when the object changes, never at request time.

use crate::state::{
    AccessKey, Account, Alias, Group, Key, ManagedPolicy, Revocation, Role, Stored, User,
};

/// A stored type and what a snapshot keeps beside it.
pub trait Derive: Stored {
    /// What is kept.
    type Derived: std::fmt::Debug + Send + Sync;

    /// Computes it.
    fn derive(&self) -> Self::Derived;
}

macro_rules! plain {
    ($($type:ident),*) => {$(
        impl Derive for $type {
            type Derived = ();

            fn derive(&self) {}
        }
    )*};
}

plain!(AccessKey, Account, Alias, Group, Key, ManagedPolicy, Revocation, Role, User);
