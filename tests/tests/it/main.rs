//! The system tests: the real binary, driven by the AWS CLI, boto3 and hostile clients.

mod bad_input;
mod claims;
mod crash;
mod every_endpoint;
mod large;
mod operations;
