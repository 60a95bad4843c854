//! The ledger writer over real channels, with a key module, witnesses and watch played by the test.

#[cfg(feature = "failpoints")]
mod crash;
mod damage;
mod follow;
mod ledger;
mod space;
mod world;
