//! Nothing: the package is its test, `tests/replay`.
