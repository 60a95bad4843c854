//! Services and operations, and the tables that the code generator fills.

use crate::error::{ApiError, ErrorShape};
use crate::generated;
use crate::shape::Shape;
use crate::validate;
use crate::value::{Decode, Encode, Value};

/// A service whose operations we know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Service {
    /// AWS CloudTrail.
    CloudTrail,
    /// AWS Identity and Access Management.
    Iam,
    /// AWS Key Management Service.
    Kms,
    /// Amazon Simple Storage Service.
    S3,
    /// AWS Security Token Service.
    Sts,
    /// Writ's own API, for customers.
    Writ,
}

/// The wire format of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// `application/x-www-form-urlencoded` requests and XML replies.
    Query,
    /// JSON 1.1 both ways.
    Json,
    /// HTTP bindings with XML bodies.
    RestXml,
}

/// The facts about a service that its model states once.
pub struct ServiceInfo {
    /// The service name in a credential scope.
    pub signing_name: &'static str,
    /// The wire format.
    pub protocol: Protocol,
    /// The API version, such as `2010-05-08`.
    pub api_version: &'static str,
    /// What stands before the operation in `X-Amz-Target`; empty when the service has none.
    pub target_prefix: &'static str,
    /// The XML namespace of replies; empty for JSON.
    pub xml_namespace: &'static str,
    /// The `eventSource` in CloudTrail events.
    pub event_source: &'static str,
    /// The operations that are implemented, sorted by name.
    pub operations: &'static [&'static Operation],
    /// All operations of the model, sorted by name.
    pub known: &'static [Known],
    /// The errors of the model, sorted by shape name.
    pub errors: &'static [ErrorShape],
}

/// An operation that is implemented.
pub struct Operation {
    /// The service.
    pub service: Service,
    /// The name, such as `CreateUser`.
    pub name: &'static str,
    /// The HTTP binding.
    pub http: Http,
    /// The request; [`crate::shape::EMPTY`] when it has none.
    pub input: &'static Shape,
    /// The reply; [`crate::shape::EMPTY`] when it has none.
    pub output: &'static Shape,
    /// The element around the reply's members, in the query protocol.
    pub result_wrapper: Option<&'static str>,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// Which kind of event records it.
    pub audit: Audit,
}

/// The HTTP binding of an operation.
pub struct Http {
    /// The method.
    pub method: &'static str,
    /// The template of path and query, such as `/{Bucket}/{Key+}?acl`.
    pub uri: &'static str,
    /// The status of a success.
    pub status: u16,
}

/// Which kind of event records an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audit {
    /// A data event.
    Data,
    /// A management event.
    Management,
}

/// An operation of a model, implemented or not, with what routing needs.
pub struct Known {
    /// The name.
    pub name: &'static str,
    /// The method.
    pub method: &'static str,
    /// The template of path and query.
    pub uri: &'static str,
    /// Query parameters that a request must have besides those in `uri`.
    pub required_query: &'static [&'static str],
    /// Query parameters that a request may have.
    pub optional_query: &'static [&'static str],
    /// Headers that a request must have.
    pub required_headers: &'static [&'static str],
    /// Whether the model marks it as outdated.
    pub deprecated: bool,
}

/// A request that an operation takes.
pub trait Input: Decode {
    /// Its operation.
    const OPERATION: &'static Operation;

    /// The reply.
    type Output: Output;

    /// Checks the constraints of the model, then builds the struct.
    fn from_value(value: Value) -> Result<Self, ApiError> {
        validate::check(Self::OPERATION, &value)?;
        Self::decode(value)
    }
}

/// The reply of an operation.
pub trait Output: Encode + Sized {
    /// The reply as a tree.
    fn into_value(self) -> Value {
        self.encode()
    }
}

impl Output for () {}

impl Known {
    /// An operation of a protocol that has one address for all.
    pub const fn new(name: &'static str) -> Known {
        Known::http(name, "POST", "/")
    }

    /// An operation with its own method and address.
    pub const fn http(name: &'static str, method: &'static str, uri: &'static str) -> Known {
        Known {
            name,
            method,
            uri,
            required_query: &[],
            optional_query: &[],
            required_headers: &[],
            deprecated: false,
        }
    }

    /// The same, with query parameters.
    pub const fn query(
        self,
        required: &'static [&'static str],
        optional: &'static [&'static str],
    ) -> Known {
        Known { required_query: required, optional_query: optional, ..self }
    }

    /// The same, with headers that a request must have.
    pub const fn headers(self, required: &'static [&'static str]) -> Known {
        Known { required_headers: required, ..self }
    }

    /// The same, outdated.
    pub const fn deprecated(self) -> Known {
        Known { deprecated: true, ..self }
    }
}

impl Service {
    /// All services.
    pub const ALL: [Service; 6] =
        [Service::CloudTrail, Service::Iam, Service::Kms, Service::S3, Service::Sts, Service::Writ];

    /// What the model says about the service.
    pub fn info(self) -> &'static ServiceInfo {
        match self {
            Service::CloudTrail => &generated::cloudtrail::SERVICE,
            Service::Iam => &generated::iam::SERVICE,
            Service::Kms => &generated::kms::SERVICE,
            Service::S3 => &generated::s3::SERVICE,
            Service::Sts => &generated::sts::SERVICE,
            Service::Writ => &generated::writ::SERVICE,
        }
    }

    /// The name in a credential scope, such as `kms`.
    pub fn signing_name(self) -> &'static str {
        self.info().signing_name
    }

    /// The wire format.
    pub fn protocol(self) -> Protocol {
        self.info().protocol
    }

    /// The prefix in `X-Amz-Target`, such as `TrentService`; empty when the service has none.
    pub fn target_prefix(self) -> &'static str {
        self.info().target_prefix
    }

    /// The `eventSource` in CloudTrail events, such as `kms.amazonaws.com`.
    pub fn event_source(self) -> &'static str {
        self.info().event_source
    }

    /// The API version, such as `2014-11-01`.
    pub fn api_version(self) -> &'static str {
        self.info().api_version
    }

    /// The service with this name in a credential scope.
    pub fn from_signing_name(name: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|service| service.signing_name() == name)
    }
}

impl ServiceInfo {
    /// The known operation of that name.
    pub fn known(&self, name: &str) -> Option<&'static Known> {
        let at = self.known.binary_search_by(|known| known.name.cmp(name)).ok()?;
        self.known.get(at)
    }
}

/// The implemented operation `name` of `service`.
pub fn operation(service: Service, name: &str) -> Option<&'static Operation> {
    let operations = operations(service);
    let at = operations.binary_search_by(|operation| operation.name.cmp(name)).ok()?;
    operations.get(at).copied()
}

/// Whether the model of `service` has an operation `name`, implemented or not.
pub fn is_known(service: Service, name: &str) -> bool {
    service.info().known(name).is_some()
}

/// The implemented operations of `service`, sorted by name.
pub fn operations(service: Service) -> &'static [&'static Operation] {
    service.info().operations
}
