//! A permit has no default, cannot be cloned, and is for one operation only.

use writ_policy::{Operation, Permit};

struct Delete;

impl Operation for Delete {
    const ACTION: &'static str = "s3:DeleteObject";
}

fn delete(_: Permit<Delete>) {}

fn main() {
    delete(Permit::default());
}

fn again(permit: Permit<Delete>) {
    delete(permit.clone());
}

fn without_narrowing(permit: Permit) {
    delete(permit);
}
