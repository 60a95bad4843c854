//! The fuzz targets, without libFuzzer.

#[cfg(test)]
#[path = "../../../../fuzz/src/input.rs"]
mod input;
#[cfg(test)]
mod run;
#[cfg(test)]
#[path = "../../../../fuzz/src/targets/mod.rs"]
mod targets;
