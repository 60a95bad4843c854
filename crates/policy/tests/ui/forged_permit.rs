//! A permit's fields are private: no code outside the crate can build one.

use writ_policy::{Operation, Permit};

struct Delete;

impl Operation for Delete {
    const ACTION: &'static str = "s3:DeleteObject";
}

fn delete(_: Permit<Delete>) {}

fn main() {
    delete(Permit { pairs: Vec::new(), operation: std::marker::PhantomData });
}
