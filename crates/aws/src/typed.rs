//! What generated files import.

pub(crate) use std::collections::BTreeMap;

pub(crate) use writ_model::Timestamp;

pub(crate) use crate::error::ApiError;
pub(crate) use crate::operation::{Audit, Http, Input, Operation, Output, Service};
pub(crate) use crate::shape::{Bounds, List, Map, Member, Pattern, Shape, TimeFormat};
pub(crate) use crate::value::{Decode, Encode, Listed, Members, Value};
