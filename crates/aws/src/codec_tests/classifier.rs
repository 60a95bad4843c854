//! Tables for the classifier: every operation, and what must not be taken for one.

use crate::classify::{Classified, ClassifyError, Parameters, Request, classify};
use crate::operation::{Protocol, Service, operations};

const EMPTY: Request<'_> = Request {
    method: "GET",
    host: "s3.test",
    path: "/",
    query: "",
    headers: &[],
    body: b"",
    scope_service: None,
    s3_domain: Some("s3.test"),
};

fn header(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_bytes().to_vec())
}

#[test]
fn every_query_and_json_operation_is_found() {
    let mut found = 0;
    for service in Service::ALL {
        for operation in operations(service) {
            let scope = Some(service.signing_name());
            let body =
                format!("Version={}&Action={}", service.api_version(), operation.name).into_bytes();
            let target = format!("{}.{}", service.target_prefix(), operation.name);
            let headers = [
                header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
                header("X-Amz-Target", &target),
            ];
            let (signed, anonymous) = match service.protocol() {
                Protocol::Query => {
                    let unsigned =
                        Request { method: "POST", body: &body, headers: &headers[..1], ..EMPTY };
                    (Request { scope_service: scope, ..unsigned }, unsigned)
                }
                Protocol::Json => {
                    let unsigned = Request { method: "POST", headers: &headers[1..], ..EMPTY };
                    (Request { scope_service: scope, ..unsigned }, unsigned)
                }
                Protocol::RestXml => continue,
            };
            for request in [signed, anonymous] {
                let classified = classify(&request).unwrap();
                assert_eq!((classified.service, classified.name), (service, operation.name));
                assert!(std::ptr::eq(classified.operation.unwrap(), *operation));
                assert_eq!(classified.parameters, Parameters::Body);
                found += 1;
            }
        }
    }
    assert!(found > 180, "{found}");
}

/// Method, path with query, `x-amz-copy-source` or not, and the operation.
const S3: &[(&str, &str, bool, &str)] = &[
    ("GET", "/", false, "ListBuckets"),
    ("GET", "/?x-id=ListBuckets&max-buckets=3", false, "ListBuckets"),
    ("GET", "/?continuation-token=a", false, "ListBuckets"),
    ("GET", "/?max-directory-buckets=1", false, "ListDirectoryBuckets"),
    ("PUT", "/b", false, "CreateBucket"),
    ("PUT", "/b/", false, "CreateBucket"),
    ("HEAD", "/b", false, "HeadBucket"),
    ("DELETE", "/b", false, "DeleteBucket"),
    ("GET", "/b?location", false, "GetBucketLocation"),
    ("GET", "/b/?location=", false, "GetBucketLocation"),
    ("GET", "/b", false, "ListObjects"),
    ("GET", "/b?prefix=a%2F&delimiter=/&marker=m&max-keys=2", false, "ListObjects"),
    ("GET", "/b?list-type=2&prefix=a", false, "ListObjectsV2"),
    ("GET", "/b?uploads", false, "ListMultipartUploads"),
    ("GET", "/b?uploads&key-marker=k&upload-id-marker=u", false, "ListMultipartUploads"),
    ("POST", "/b?delete", false, "DeleteObjects"),
    ("PUT", "/b?policy", false, "PutBucketPolicy"),
    ("GET", "/b?policy", false, "GetBucketPolicy"),
    ("DELETE", "/b?policy", false, "DeleteBucketPolicy"),
    ("GET", "/b?versioning", false, "GetBucketVersioning"),
    ("GET", "/b?encryption", false, "GetBucketEncryption"),
    ("GET", "/b?ownershipControls", false, "GetBucketOwnershipControls"),
    ("GET", "/b?publicAccessBlock", false, "GetPublicAccessBlock"),
    ("GET", "/b?acl", false, "GetBucketAcl"),
    ("GET", "/b/k?acl", false, "GetObjectAcl"),
    ("GET", "/b/k?attributes", false, "GetObjectAttributes"),
    ("PUT", "/b/k", false, "PutObject"),
    ("PUT", "/b/k?x-id=PutObject&X-Amz-Signature=a&X-Amz-Expires=9", false, "PutObject"),
    ("PUT", "/b/k", true, "CopyObject"),
    ("GET", "/b/k", false, "GetObject"),
    ("GET", "/b/k?versionId=v&response-content-type=a%2Fb", false, "GetObject"),
    ("GET", "/b/k?partNumber=1", false, "GetObject"),
    ("HEAD", "/b/k", false, "HeadObject"),
    ("DELETE", "/b/k", false, "DeleteObject"),
    ("DELETE", "/b/k?versionId=v", false, "DeleteObject"),
    ("POST", "/b/k?uploads", false, "CreateMultipartUpload"),
    ("PUT", "/b/k?partNumber=1&uploadId=u", false, "UploadPart"),
    ("PUT", "/b/k?partNumber=1&uploadId=u", true, "UploadPartCopy"),
    ("PUT", "/b/k?x-amz-copy-source=a%2Fb", false, "CopyObject"),
    ("POST", "/b/k?uploadId=u", false, "CompleteMultipartUpload"),
    ("DELETE", "/b/k?uploadId=u", false, "AbortMultipartUpload"),
    ("GET", "/b/k?uploadId=u", false, "ListParts"),
    ("GET", "/b/k?uploadId=u&max-parts=3", false, "ListParts"),
    // Known, not implemented: named, with no operation.
    ("GET", "/b?versions", false, "ListObjectVersions"),
    ("PUT", "/b?versioning", false, "PutBucketVersioning"),
    ("PUT", "/b?acl", false, "PutBucketAcl"),
    ("PUT", "/b/k?tagging", false, "PutObjectTagging"),
    ("GET", "/b?tagging", false, "GetBucketTagging"),
    ("GET", "/b?lifecycle", false, "GetBucketLifecycleConfiguration"),
    ("POST", "/b/k?select&select-type=2", false, "SelectObjectContent"),
    ("POST", "/b/k?restore", false, "RestoreObject"),
    ("PUT", "/b/k?renameObject", true, "RenameObject"),
];

fn s3(method: &str, uri: &str, headers: &[(String, Vec<u8>)]) -> Result<Classified, ClassifyError> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    classify(&Request { method, path, query, headers, scope_service: Some("s3"), ..EMPTY })
}

#[test]
fn s3_requests_are_told_apart_by_method_path_and_subresource() {
    for (method, uri, copy, expected) in S3 {
        let mut headers = vec![header("host", "s3.test")];
        if *copy {
            headers.push(header("X-Amz-Copy-Source", "/a/b"));
            headers.push(header("x-amz-rename-source", "/a/b"));
        }
        let found = s3(method, uri, &headers).map(|found| found.name);
        assert_eq!(found, Ok(*expected), "{method} {uri}");
    }
    for operation in operations(Service::S3) {
        let covered = S3.iter().any(|(.., name)| *name == operation.name);
        assert!(covered, "{} has no row", operation.name);
    }
}

#[test]
fn unknown_subresources_are_never_plain_calls() {
    for (method, uri) in [
        ("GET", "/b/k?foo"),
        ("PUT", "/b/k?foo=1"),
        ("PUT", "/b/k?policy"),
        ("DELETE", "/b/k?policy"),
        ("DELETE", "/b?foo"),
        ("DELETE", "/b?delete"),
        ("PUT", "/b?foo"),
        ("GET", "/b?list-type=3"),
        ("GET", "/b?policy&acl"),
        ("GET", "/b?policy&foo"),
        ("PUT", "/b/k?partNumber=1"),
        ("PUT", "/b/k?uploadId=u"),
        ("PUT", "/b/k?Acl"),
        ("HEAD", "/b/k?acl"),
        ("POST", "/b"),
        ("POST", "/b/k"),
    ] {
        let found = s3(method, uri, &[]).map(|found| found.name);
        assert_eq!(found, Err(ClassifyError::UnknownSubresource), "{method} {uri}");
    }
    for (method, uri) in [("PATCH", "/b/k"), ("POST", "/"), ("OPTIONS", "/b"), ("get", "/b")] {
        let found = s3(method, uri, &[]).map(|found| found.name);
        assert_eq!(found, Err(ClassifyError::MethodNotAllowed), "{method} {uri}");
    }
}

#[test]
fn s3_paths_are_decoded_once_and_never_normalised() {
    for (host, path, bucket, key) in [
        ("s3.test", "/", None, None),
        ("s3.test:9000", "/b", Some("b"), None),
        ("s3.test", "/b/", Some("b"), None),
        ("s3.test", "/b/a//b", Some("b"), Some("a//b")),
        ("s3.test", "/b/a/../b", Some("b"), Some("a/../b")),
        ("s3.test", "/b//a", Some("b"), Some("/a")),
        ("s3.test", "/b/a%2Fb%20c+d", Some("b"), Some("a/b c+d")),
        ("s3.test", "/b/%2525", Some("b"), Some("%25")),
        ("B.s3.test", "/", Some("b"), None),
        ("b.s3.test:443", "/k/l", Some("b"), Some("k/l")),
        ("a.b.s3.test", "/k", Some("a.b"), Some("k")),
        ("127.0.0.1:80", "/b/k", Some("b"), Some("k")),
        ("evils3.test", "/b/k", Some("b"), Some("k")),
    ] {
        let request = Request { host, path, scope_service: Some("s3"), ..EMPTY };
        let target = classify(&request).unwrap().s3.unwrap();
        let found = (target.bucket.as_deref(), target.key.as_deref());
        assert_eq!(found, (bucket, key), "{host} {path}");
    }
    for (path, error) in [
        ("", ClassifyError::InvalidUri),
        ("b/k", ClassifyError::InvalidUri),
        ("//k", ClassifyError::InvalidUri),
        ("/b%2Fk", ClassifyError::InvalidUri),
        ("/b/%", ClassifyError::InvalidUri),
        ("/b/%ff", ClassifyError::InvalidUri),
        (&format!("/b/{}", "k".repeat(1025)), ClassifyError::KeyTooLong),
    ] {
        let request = Request { path, scope_service: Some("s3"), ..EMPTY };
        assert_eq!(classify(&request).map(|found| found.name), Err(error), "{path:.20}");
    }
    let twice = s3("GET", "/b?prefix=a&Prefix=b", &[]).map(|found| found.name);
    assert_eq!(twice, Err(ClassifyError::RepeatedParameter("prefix".to_owned())));
}

#[test]
fn ambiguous_and_unknown_requests_are_refused() {
    let form = [header("content-type", "application/x-www-form-urlencoded")];
    let twice = [
        header("x-amz-target", "TrentService.Encrypt"),
        header("X-Amz-Target", "TrentService.Decrypt"),
    ];
    let foreign = [header("x-amz-target", "DynamoDB_20120810.GetItem")];
    let cloudtrail = [header(
        "x-amz-target",
        "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents",
    )];
    let post = Request { method: "POST", headers: &form, ..EMPTY };
    let iam = Request { scope_service: Some("iam"), ..post };
    for (request, expected) in [
        (Request { scope_service: Some("ec2"), ..post }, "UnknownService(\"ec2\")"),
        (Request { headers: &twice, ..post }, "AmbiguousHeader(\"x-amz-target\")"),
        (Request { headers: &foreign, ..post }, "UnknownService(\"DynamoDB_20120810\")"),
        (
            Request { headers: &cloudtrail, scope_service: Some("kms"), ..post },
            "UnknownOperation { service: Kms, name: \
             \"com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents\", version: \
             \"\" }",
        ),
        (Request { scope_service: Some("kms"), ..post }, "MissingOperation(Kms)"),
        (iam, "MissingOperation(Iam)"),
        (
            Request { body: b"Action=Nope&Version=2010-05-08", ..iam },
            "UnknownOperation { service: Iam, name: \"Nope\", version: \"2010-05-08\" }",
        ),
        (
            Request { body: b"Action=GetUser&Version=2011-06-15", ..iam },
            "UnknownOperation { service: Iam, name: \"GetUser\", version: \"2011-06-15\" }",
        ),
        (
            Request { body: b"Action=GetUser", query: "Action=DeleteUser", ..iam },
            "AmbiguousAction(Iam)",
        ),
        (Request { method: "PUT", body: b"Action=GetUser", ..iam }, "MissingOperation(Iam)"),
    ] {
        let found = classify(&request).map(|found| found.name).unwrap_err();
        assert_eq!(format!("{found:?}"), expected);
        let (_, error) = found.to_api_error();
        assert!((400..500).contains(&error.status), "{error}");
    }
    let repeated = Request { body: b"Action=GetUser&Action=DeleteUser", ..iam };
    assert!(matches!(classify(&repeated), Err(ClassifyError::Malformed(Service::Iam, _))));
}

#[test]
fn a_presigned_call_has_its_parameters_in_the_query_string() {
    let query = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Signature=a";
    let request = Request { query, scope_service: Some("sts"), ..EMPTY };
    let found = classify(&request).unwrap();
    assert_eq!((found.name, found.parameters), ("GetCallerIdentity", Parameters::QueryString));
}

#[test]
fn known_operations_without_implementation_are_answered_as_such() {
    for (service, name, code, status) in [
        (Service::Iam, "CreateSAMLProvider", "NotImplemented", 501),
        (Service::Kms, "CreateGrant", "UnsupportedOperationException", 400),
        (Service::S3, "PutBucketAcl", "NotImplemented", 501),
    ] {
        assert!(crate::is_known(service, name));
        assert!(crate::operation(service, name).is_none());
        let error = crate::ApiError::not_implemented(service, name);
        assert_eq!((error.code.as_ref(), error.status), (code, status));
    }
}
