//! Forward access sessions.
