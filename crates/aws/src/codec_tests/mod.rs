//! Tests of the codecs, the constraints and the classifier as a whole.

mod classifier;
mod constraints;
mod models;
mod replies;
mod roundtrip;
mod vectors;
