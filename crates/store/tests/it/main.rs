//! Tests of the store from outside: engines against their model, publication, feeds, crashes.

mod crash;
mod feed;
mod full;
mod model;
mod publication;
mod snapshot;
mod stress;
mod support;
