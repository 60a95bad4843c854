//! The one classifier of requests: which service, which operation, and for S3 which bucket and key.
//!
//! front, s3 and keyd share it, so that what is authorized, what is done and what was signed are
//! the same operation. It decides by the signing name in the credential scope, then by
//! `X-Amz-Target`, then by `Action` and `Version`, and else by S3's methods and paths.
//!
//! Invariant: a request that could be read in two ways is refused. An S3 request with a query
//! parameter that an operation does not have is never taken for that operation.

use crate::error::ApiError;
use crate::form;
use crate::limits;
use crate::operation::{self, Known, Operation, Protocol, Service};
use crate::query;

/// A request before anything has been decoded.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The `Host` header.
    pub host: &'a str,
    /// The path as on the request line, up to and without `?`.
    pub path: &'a str,
    /// What follows `?`; empty when there is nothing.
    pub query: &'a str,
    /// Header fields as received.
    pub headers: &'a [(String, Vec<u8>)],
    /// The body; empty when it has not been read. S3 needs none.
    pub body: &'a [u8],
    /// The signing name in the credential scope; none for an unsigned request.
    pub scope_service: Option<&'a str>,
    /// The domain under which buckets have hosts of their own (`bucket.domain`), if any.
    pub s3_domain: Option<&'a str>,
}

/// What a request asks for.
#[derive(Clone)]
pub struct Classified {
    /// The service.
    pub service: Service,
    /// The name of the operation, such as `CreateUser`.
    pub name: &'static str,
    /// The operation; none when it is not implemented.
    pub operation: Option<&'static Operation>,
    /// Where the query protocol's parameters are.
    pub parameters: Parameters,
    /// What S3's path and query say.
    pub s3: Option<S3Target>,
}

/// Where the parameters of the query protocol are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parameters {
    /// In the body.
    Body,
    /// In the query string.
    QueryString,
}

/// What an S3 request names, each part decoded once and never normalised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct S3Target {
    /// The bucket.
    pub bucket: Option<String>,
    /// The key.
    pub key: Option<String>,
    /// The query string's pairs, in order.
    pub query: Vec<(String, String)>,
}

/// Why a request is not one that we can answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassifyError {
    /// The credential scope names a service that is not ours.
    #[error("unknown service `{0}` in the credential scope")]
    UnknownService(String),
    /// A header that decides the operation is repeated or no text.
    #[error("header `{0}` must be given once, as text")]
    AmbiguousHeader(&'static str),
    /// `Action` stands in both the body and the query string.
    #[error("`Action` is given in the body and in the query string")]
    AmbiguousAction(Service),
    /// No operation is named.
    #[error("the request names no operation")]
    MissingOperation(Service),
    /// The service has no such operation.
    #[error("could not find operation `{name}` for version `{version}`")]
    UnknownOperation {
        /// The service.
        service: Service,
        /// What was asked for.
        name: String,
        /// The version that was asked for.
        version: String,
    },
    /// The parameters cannot be decoded.
    #[error("{1}")]
    Malformed(Service, Box<ApiError>),
    /// The path cannot be decoded or names no bucket and key.
    #[error("the path is malformed")]
    InvalidUri,
    /// The object key is too long.
    #[error("the object key is longer than 1024 bytes")]
    KeyTooLong,
    /// A parameter of the query string is repeated.
    #[error("query parameter `{0}` is given more than once")]
    RepeatedParameter(String),
    /// No S3 operation has this method on such a path.
    #[error("the method is not allowed against this resource")]
    MethodNotAllowed,
    /// No S3 operation has these sub-resources and parameters.
    #[error("no operation has the query parameters of this request")]
    UnknownSubresource,
}

/// Finds out what a request asks for.
pub fn classify(request: &Request<'_>) -> Result<Classified, ClassifyError> {
    if let Some(name) = request.scope_service {
        let service = Service::from_signing_name(name);
        let service = service.ok_or_else(|| ClassifyError::UnknownService(shortened(name)))?;
        return match service.protocol() {
            Protocol::Json => by_target(service, request),
            Protocol::Query => by_action(service, request),
            Protocol::RestXml => by_path(request),
        };
    }
    if let Some(target) = single_header(request, "x-amz-target")? {
        let prefix = target.rsplit_once('.').map_or("", |(prefix, _)| prefix);
        let fits = |service: &Service| !prefix.is_empty() && service.target_prefix() == prefix;
        let service = Service::ALL.into_iter().find(fits);
        let service = service.ok_or_else(|| ClassifyError::UnknownService(shortened(prefix)))?;
        return by_target(service, request);
    }
    match query_service(request)? {
        Some(service) => by_action(service, request),
        None => by_path(request),
    }
}

impl ClassifyError {
    /// The error for the caller, and the service in whose form to send it.
    pub fn to_api_error(&self) -> (Service, ApiError) {
        let s3 =
            |code, message: &str| (Service::S3, ApiError::modelled(Service::S3, code, message));
        match self {
            ClassifyError::UnknownService(_) => {
                let message = "Credential should be scoped to a service of this endpoint.";
                (Service::Sts, ApiError::new("SignatureDoesNotMatch", message, 403))
            }
            ClassifyError::AmbiguousHeader(name) => {
                let message = format!("Header {name} must be given once");
                (Service::S3, ApiError::new("InvalidRequest", message, 400))
            }
            ClassifyError::AmbiguousAction(service) => {
                let message = "Action is given in both the body and the query string.";
                (*service, ApiError::new("MalformedQueryString", message, 404))
            }
            ClassifyError::MissingOperation(service) => (*service, missing_operation(*service)),
            ClassifyError::UnknownOperation { service, name, version } => {
                (*service, ApiError::unknown_operation(*service, name, version))
            }
            ClassifyError::Malformed(service, error) => (*service, (**error).clone()),
            ClassifyError::InvalidUri => s3("InvalidURI", "Couldn't parse the specified URI."),
            ClassifyError::KeyTooLong => s3("KeyTooLongError", "Your key is too long"),
            ClassifyError::RepeatedParameter(name) => {
                s3("InvalidArgument", &format!("Parameter {name} must be given once"))
            }
            ClassifyError::MethodNotAllowed => {
                s3("MethodNotAllowed", "The specified method is not allowed against this resource.")
            }
            ClassifyError::UnknownSubresource => {
                (Service::S3, ApiError::not_implemented(Service::S3, ""))
            }
        }
    }
}

fn missing_operation(service: Service) -> ApiError {
    match service.protocol() {
        Protocol::Json => ApiError::unknown_operation(service, "", ""),
        Protocol::Query | Protocol::RestXml => ApiError::new(
            "MissingAction",
            "The request is missing an action or operation parameter.",
            400,
        ),
    }
}

/// What a caller sent, cut so that an error cannot be made large.
fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}

/// The value of a header that may be there once.
fn single_header<'a>(
    request: &Request<'a>,
    name: &'static str,
) -> Result<Option<&'a str>, ClassifyError> {
    let mut found = request.headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name));
    let Some((_, value)) = found.next() else { return Ok(None) };
    match (std::str::from_utf8(value), found.next()) {
        (Ok(text), None) => Ok(Some(text.trim())),
        _ => Err(ClassifyError::AmbiguousHeader(name)),
    }
}

fn by_target(service: Service, request: &Request<'_>) -> Result<Classified, ClassifyError> {
    let target = single_header(request, "x-amz-target")?;
    let target = target.ok_or(ClassifyError::MissingOperation(service))?;
    let name = target.rsplit_once('.').filter(|(prefix, _)| *prefix == service.target_prefix());
    let known = name.and_then(|(_, name)| service.info().known(name));
    match known {
        Some(known) if request.method == "POST" => {
            Ok(classified(service, known, Parameters::Body, None))
        }
        _ => Err(ClassifyError::UnknownOperation {
            service,
            name: shortened(target),
            version: String::new(),
        }),
    }
}

fn classified(
    service: Service,
    known: &'static Known,
    parameters: Parameters,
    s3: Option<S3Target>,
) -> Classified {
    let operation = operation::operation(service, known.name);
    Classified { service, name: known.name, operation, parameters, s3 }
}

/// `Action` and `Version`, and where they were.
type Action = (Option<String>, Option<String>, Parameters);

/// Reads `Action` from the body of a POST or the query string of a GET. A POST may name it in the
/// query string when its body has none.
fn action(request: &Request<'_>) -> Result<Action, ApiError> {
    let in_query = query::list_action(request.query.as_bytes())?;
    if request.method == "GET" {
        return Ok((in_query.0, in_query.1, Parameters::QueryString));
    }
    let in_body = query::list_action(request.body)?;
    match (in_query.0.is_some(), in_body.0.is_some()) {
        (true, true) => Ok((None, None, Parameters::Body)),
        (true, false) if request.body.is_empty() => {
            Ok((in_query.0, in_query.1, Parameters::QueryString))
        }
        _ => Ok((in_body.0, in_body.1, Parameters::Body)),
    }
}

fn by_action(service: Service, request: &Request<'_>) -> Result<Classified, ClassifyError> {
    if !matches!(request.method, "GET" | "POST") {
        return Err(ClassifyError::MissingOperation(service));
    }
    let action = action(request);
    let (name, version, parameters) =
        action.map_err(|error| ClassifyError::Malformed(service, Box::new(error)))?;
    let Some(name) = name else {
        let both = |text: &[u8]| query::list_action(text).is_ok_and(|(name, _)| name.is_some());
        return Err(if both(request.query.as_bytes()) && both(request.body) {
            ClassifyError::AmbiguousAction(service)
        } else {
            ClassifyError::MissingOperation(service)
        });
    };
    // AWS takes an absent version for the only one there is.
    let right = version.as_deref().is_none_or(|version| version == service.api_version());
    match service.info().known(&name).filter(|_| right) {
        Some(known) => Ok(classified(service, known, parameters, None)),
        None => Err(ClassifyError::UnknownOperation {
            service,
            name: shortened(&name),
            version: shortened(version.as_deref().unwrap_or(service.api_version())),
        }),
    }
}

/// The service of the query protocol that an unsigned request is for, by its version.
fn query_service(request: &Request<'_>) -> Result<Option<Service>, ClassifyError> {
    if request.path != "/" || !matches!(request.method, "GET" | "POST") {
        return Ok(None);
    }
    let form = single_header(request, "content-type")?
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    if request.method == "POST" && !form {
        return Ok(None);
    }
    let Ok((Some(_), Some(version), _)) = action(request) else { return Ok(None) };
    let fits = |service: &Service| {
        service.protocol() == Protocol::Query && service.api_version() == version
    };
    Ok(Service::ALL.into_iter().find(fits))
}

/// What an S3 path names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Bucket,
    Object,
    Service,
}

fn by_path(request: &Request<'_>) -> Result<Classified, ClassifyError> {
    let target = target(request)?;
    let level = match (&target.bucket, &target.key) {
        (_, Some(_)) => Level::Object,
        (Some(_), None) => Level::Bucket,
        (None, None) => Level::Service,
    };
    let known = Service::S3.info().known;
    let mut candidates = known
        .iter()
        .filter(|known| known.method == request.method && level_of(known) == Some(level));
    let mut best: Option<(&'static Known, Fit)> = None;
    let mut any = false;
    for known in &mut candidates {
        any = true;
        let Some(fit) = fit(known, &target, request) else { continue };
        if best.is_none_or(|(_, other)| fit > other) {
            best = Some((known, fit));
        }
    }
    match best {
        Some((known, _)) => {
            Ok(classified(Service::S3, known, Parameters::QueryString, Some(target)))
        }
        None if any => Err(ClassifyError::UnknownSubresource),
        None => Err(ClassifyError::MethodNotAllowed),
    }
}

/// How well an operation fits: the number of things that it demands, then whether it is
/// implemented, then whether it is current.
type Fit = (usize, bool, bool);

fn fit(known: &'static Known, target: &S3Target, request: &Request<'_>) -> Option<Fit> {
    let value = |name: &str| {
        target.query.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    };
    let literals: Vec<(&str, Option<&str>)> = literals(known).collect();
    let demanded = literals.iter().all(|(name, wanted)| match (value(name), wanted) {
        (Some(found), Some(wanted)) => found == *wanted,
        (found, None) => found.is_some(),
        (None, Some(_)) => false,
    });
    let has_query = known.required_query.iter().all(|name| value(name).is_some());
    // A header tells operations apart only where no sub-resource does; else its absence is for
    // validation to report. Presigned requests carry headers in the query string.
    let telling = if literals.is_empty() { known.required_headers } else { &[] };
    let has_headers = telling.iter().all(|name| {
        request.headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name))
            || target.query.iter().any(|(have, _)| have.eq_ignore_ascii_case(name))
    });
    let allowed = target.query.iter().all(|(name, _)| {
        literals.iter().any(|(literal, _)| literal == name)
            || known.required_query.contains(&name.as_str())
            || known.optional_query.contains(&name.as_str())
            || is_neutral(name)
    });
    if !(demanded && has_query && has_headers && allowed) {
        return None;
    }
    let demands = literals.len() + known.required_query.len() + telling.len();
    let implemented = operation::operation(Service::S3, known.name).is_some();
    Some((demands, implemented, !known.deprecated))
}

/// Whether a parameter says nothing of the operation: the operation's name as SDKs add it, and
/// what a presigned request carries instead of headers.
fn is_neutral(name: &str) -> bool {
    let prefix = name.get(..6);
    name == "x-id" || prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-amz-"))
}

fn level_of(known: &Known) -> Option<Level> {
    match known.uri.split_once('?').map_or(known.uri, |(path, _)| path) {
        "/{Bucket}/{Key+}" => Some(Level::Object),
        "/{Bucket}" => Some(Level::Bucket),
        "/" => Some(Level::Service),
        _ => None,
    }
}

/// The parameters that the template of an operation fixes, with their values where it does.
fn literals(known: &Known) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let query = known.uri.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter(|part| !part.is_empty()).map(|part| match part.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (part, None),
    })
}

/// Bucket, key and parameters of an S3 request.
fn target(request: &Request<'_>) -> Result<S3Target, ClassifyError> {
    let pairs = form::pairs(request.query.as_bytes(), limits::S3_QUERY_PAIRS_MAX);
    let query = pairs.map_err(|_| ClassifyError::InvalidUri)?;
    for (at, (name, _)) in query.iter().enumerate() {
        if query.iter().skip(at + 1).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(ClassifyError::RepeatedParameter(shortened(name)));
        }
    }
    let path = request.path.strip_prefix('/').ok_or(ClassifyError::InvalidUri)?;
    let (bucket, key) = match bucket_of_host(request) {
        Some(bucket) => (Some(bucket), path),
        None => match path.split_once('/') {
            Some((bucket, key)) => (Some(bucket.to_owned()), key),
            None if path.is_empty() => (None, ""),
            None => (Some(path.to_owned()), ""),
        },
    };
    let bucket = bucket.map(|bucket| decoded(&bucket)).transpose()?;
    // A slash in a bucket's name would make two requests out of one path.
    if bucket.as_ref().is_some_and(|bucket| bucket.is_empty() || bucket.contains('/')) {
        return Err(ClassifyError::InvalidUri);
    }
    let key = Some(decoded(key)?).filter(|key| !key.is_empty());
    if key.as_ref().is_some_and(|key| key.len() > limits::OBJECT_KEY_MAX_BYTES) {
        return Err(ClassifyError::KeyTooLong);
    }
    Ok(S3Target { bucket, key, query })
}

fn decoded(text: &str) -> Result<String, ClassifyError> {
    form::decode(text.as_bytes(), false).map_err(|_| ClassifyError::InvalidUri)
}

/// The bucket of a host `bucket.domain`, in small letters as DNS has it.
fn bucket_of_host(request: &Request<'_>) -> Option<String> {
    let host = match request.host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => request.host,
    };
    let host = host.to_ascii_lowercase();
    let domain = request.s3_domain?.to_ascii_lowercase();
    let bucket = host.strip_suffix(&domain)?.strip_suffix('.')?;
    (!bucket.is_empty()).then(|| bucket.to_owned())
}
