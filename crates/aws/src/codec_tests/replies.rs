//! Real operations from request bytes to structs and from structs to reply bytes.

use expect_test::{Expect, expect};

use crate::generated::{cloudtrail, iam, kms, s3, sts};
use crate::operation::{Input, Output, Service, operation};
use crate::rest_xml::{HttpParts, HttpReply};
use crate::{ApiError, Value, json, query, rest_xml};
use writ_model::Timestamp;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// The text of an S3 reply: status, headers, body.
fn http(reply: HttpReply) -> String {
    let headers: String =
        reply.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{}\n{headers}\n{}", reply.status, text(reply.body))
}

fn s3_reply<R: Input>(reply: R::Output, expected: &Expect) {
    expected.assert_eq(&http(rest_xml::encode_reply(R::OPERATION, &reply.into_value())));
}

#[test]
fn iam_create_user_goes_both_ways() {
    let body = b"Action=CreateUser&Version=2010-05-08&UserName=Ana&Path=%2Fdev%2F\
                 &Tags.member.1.Key=team&Tags.member.1.Value=a+b";
    let value = query::decode(iam::CreateUserRequest::OPERATION, body).unwrap();
    let request = iam::CreateUserRequest::from_value(value).unwrap();
    assert_eq!(request.user_name, "Ana");
    assert_eq!(request.path.as_deref(), Some("/dev/"));
    let tags = request.tags.unwrap();
    assert_eq!(tags, [iam::Tag { key: "team".to_owned(), value: "a b".to_owned() }]);

    let user = iam::User {
        path: "/dev/".to_owned(),
        user_name: "Ana <1>".to_owned(),
        user_id: "AIDAEXAMPLE".to_owned(),
        arn: "arn:aws:iam::123456789012:user/dev/Ana".to_owned(),
        create_date: Timestamp::from_millis(1_440_938_160_007),
        tags: Some(tags),
        ..iam::User::default()
    };
    let reply = iam::CreateUserResponse { user: Some(user) }.into_value();
    expect![[r#"<CreateUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateUserResult><User><Path>/dev/</Path><UserName>Ana &lt;1&gt;</UserName><UserId>AIDAEXAMPLE</UserId><Arn>arn:aws:iam::123456789012:user/dev/Ana</Arn><CreateDate>2015-08-30T12:36:00Z</CreateDate><Tags><member><Key>team</Key><Value>a b</Value></member></Tags></User></CreateUserResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></CreateUserResponse>"#]]
    .assert_eq(&text(query::encode_reply(iam::CreateUserRequest::OPERATION, &reply, "r")));
}

#[test]
fn iam_account_summary_is_a_map_and_takes_no_members() {
    let value = query::decode(iam::GetAccountSummaryRequest::OPERATION, b"Action=x").unwrap();
    iam::GetAccountSummaryRequest::from_value(value).unwrap();
    let summary = [("Users".to_owned(), 2)].into();
    let reply = iam::GetAccountSummaryResponse { summary_map: Some(summary) }.into_value();
    let body = query::encode_reply(iam::GetAccountSummaryRequest::OPERATION, &reply, "r");
    assert!(
        text(body)
            .contains("<SummaryMap><entry><key>Users</key><value>2</value></entry></SummaryMap>")
    );
}

#[test]
fn sts_caller_identity_and_its_error() {
    let reply = sts::GetCallerIdentityResponse {
        user_id: Some("AIDAEXAMPLE".to_owned()),
        account: Some("123456789012".to_owned()),
        arn: Some("arn:aws:iam::123456789012:user/Ana".to_owned()),
    };
    let operation = sts::GetCallerIdentityRequest::OPERATION;
    let body = text(query::encode_reply(operation, &reply.into_value(), "r"));
    assert!(body.contains("<GetCallerIdentityResult><UserId>AIDAEXAMPLE</UserId><Account>"));
    let error = ApiError::modelled(Service::Sts, "MalformedPolicyDocumentException", "bad");
    expect![[r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>MalformedPolicyDocument</Code><Message>bad</Message></Error><RequestId>r</RequestId></ErrorResponse>"#]]
    .assert_eq(&text(query::encode_error(Service::Sts, &error, "r")));
}

#[test]
fn kms_encrypt_goes_both_ways() {
    let body = br#"{"KeyId":"alias/a","Plaintext":"aGk=","EncryptionContext":{"a":"b"}}"#;
    let value = json::decode(kms::EncryptRequest::OPERATION, body).unwrap();
    let request = kms::EncryptRequest::from_value(value).unwrap();
    assert_eq!(request.plaintext, b"hi");
    assert_eq!(request.encryption_context.unwrap().get("a").map(String::as_str), Some("b"));
    let reply = kms::EncryptResponse {
        ciphertext_blob: Some(vec![0, 255]),
        key_id: Some("k".to_owned()),
        encryption_algorithm: None,
    };
    let body = json::encode_reply(kms::EncryptRequest::OPERATION, &reply.into_value());
    assert_eq!(text(body), r#"{"CiphertextBlob":"AP8=","KeyId":"k"}"#);
    let error = ApiError::modelled(Service::Kms, "NotFoundException", "no such key");
    let body = text(json::encode_error(&error));
    assert_eq!(body, r#"{"__type":"NotFoundException","message":"no such key"}"#);
}

#[test]
fn cloudtrail_times_are_seconds() {
    let body = br#"{"StartTime":1440938160.5,"EndTime":1440938161}"#;
    let value = json::decode(cloudtrail::LookupEventsRequest::OPERATION, body).unwrap();
    let request = cloudtrail::LookupEventsRequest::from_value(value).unwrap();
    assert_eq!(request.start_time, Some(Timestamp::from_millis(1_440_938_160_500)));
    let event = cloudtrail::Event { event_time: request.start_time, ..Default::default() };
    let reply = cloudtrail::LookupEventsResponse { events: Some(vec![event]), next_token: None };
    let operation = cloudtrail::LookupEventsRequest::OPERATION;
    let body = text(json::encode_reply(operation, &reply.into_value()));
    assert_eq!(body, r#"{"Events":[{"EventTime":1440938160.5}]}"#);
}

fn parts<'a>(headers: &'a [(String, Vec<u8>)], query: &'a [(String, String)]) -> HttpParts<'a> {
    HttpParts { labels: &[("Bucket", "b"), ("Key", "k")], query, headers, body: b"" }
}

#[test]
fn s3_put_object_takes_headers_and_leaves_the_body_out() {
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let headers = [
        header("x-amz-meta-color", "blue"),
        header("X-Amz-Checksum-Crc32", "AAAAAA=="),
        header("content-length", "3"),
        header("if-none-match", "*"),
    ];
    let query = [("X-Amz-Storage-Class".to_owned(), "STANDARD".to_owned())];
    let body = HttpParts { body: b"streamed elsewhere", ..parts(&headers, &query) };
    let value = rest_xml::decode(s3::PutObjectRequest::OPERATION, &body).unwrap();
    let request = s3::PutObjectRequest::from_value(value).unwrap();
    assert_eq!((request.bucket.as_str(), request.key.as_str()), ("b", "k"));
    assert_eq!(request.metadata.unwrap().get("color").map(String::as_str), Some("blue"));
    assert_eq!(request.checksum_crc32.as_deref(), Some("AAAAAA=="));
    assert_eq!(request.content_length, Some(3));
    assert_eq!(request.if_none_match.as_deref(), Some("*"));
    assert_eq!(request.storage_class.as_deref(), Some("STANDARD"));
}

#[test]
fn s3_parameters_that_are_broken_or_given_twice_are_refused() {
    let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    for headers in [
        vec![header("content-length", b"x")],
        vec![header("if-match", b"a"), header("If-Match", b"b")],
        vec![header("x-amz-meta-a", b"1"), header("x-amz-meta-a", b"2")],
        vec![header("x-amz-meta-a", b"\xff")],
        vec![header("x-amz-storage-class", b"NOPE")],
    ] {
        let value = rest_xml::decode(s3::PutObjectRequest::OPERATION, &parts(&headers, &[]));
        let error = value.and_then(s3::PutObjectRequest::from_value).err();
        let code = error.map(|error| error.code.into_owned());
        assert_eq!(code.as_deref(), Some("InvalidArgument"), "{headers:?}");
    }
    let twice = ["1", "2"].map(|n| ("max-keys".to_owned(), n.to_owned()));
    let value = rest_xml::decode(s3::ListObjectsRequest::OPERATION, &parts(&[], &twice));
    assert!(value.is_err());
}

#[test]
fn s3_xml_bodies_must_be_what_the_operation_takes() {
    let operation = s3::DeleteObjectsRequest::OPERATION;
    let decode = |body: &str| {
        let parts = HttpParts { body: body.as_bytes(), ..parts(&[], &[]) };
        let value = rest_xml::decode(operation, &parts)?;
        s3::DeleteObjectsRequest::from_value(value)
    };
    let namespace = r#"xmlns="http://s3.amazonaws.com/doc/2006-03-01/""#;
    let request = decode(&format!(
        "<Delete {namespace}><Object><Key>a&#xA;</Key></Object><Object><Key>b</Key>\
         <VersionId>v</VersionId></Object><Quiet>true</Quiet></Delete>"
    ));
    let delete = request.ok().unwrap().delete;
    assert_eq!(delete.quiet, Some(true));
    let keys: Vec<&str> = delete.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["a\n", "b"]);
    for body in [
        "<Other><Object><Key>a</Key></Object></Other>",
        "<Delete><Object><Name>a</Name></Object></Delete>",
        "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        "<Delete><Object></Object></Delete>",
        "<Delete/>",
        "<Delete><Object><Key>a</Key></Object>",
        "<!DOCTYPE d><Delete><Object><Key>a</Key></Object></Delete>",
        "<Delete><Quiet>maybe</Quiet><Object><Key>a</Key></Object></Delete>",
        "not xml",
    ] {
        assert_eq!(decode(body).err().unwrap().code, "MalformedXML", "{body}");
    }
    // Without a body, what is missing is a required member of the request.
    assert_eq!(decode("").err().unwrap().code, "MalformedXML");
}

#[test]
fn s3_replies_have_the_names_of_s3() {
    let owner = || s3::Owner { id: Some("o".to_owned()), ..Default::default() };
    let object = s3::Object {
        key: Some("a&b\u{1}".to_owned()),
        etag: Some("\"e\"".to_owned()),
        size: Some(3),
        last_modified: Some(Timestamp::from_secs(1_440_938_160)),
        ..Default::default()
    };
    s3_reply::<s3::ListObjectsV2Request>(
        s3::ListObjectsV2Output {
            name: Some("b".to_owned()),
            contents: Some(vec![object]),
            is_truncated: Some(false),
            common_prefixes: Some(vec![s3::CommonPrefix { prefix: Some("p/".to_owned()) }]),
            request_charged: Some("requester".to_owned()),
            ..Default::default()
        },
        &expect![[r#"
            200
            x-amz-request-charged: requester
            Content-Type: application/xml

            <?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated><Contents><Key>a&amp;b&#x1;</Key><LastModified>2015-08-30T12:36:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>3</Size></Contents><Name>b</Name><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>"#]],
    );
    s3_reply::<s3::GetBucketLocationRequest>(
        s3::GetBucketLocationOutput { location_constraint: Some("eu-west-1".to_owned()) },
        &expect![[r#"
            200
            Content-Type: application/xml

            <?xml version="1.0" encoding="UTF-8"?>
            <LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">eu-west-1</LocationConstraint>"#]],
    );
    let grantee =
        s3::Grantee { r#type: "CanonicalUser".to_owned(), id: owner().id, ..Default::default() };
    let grant = s3::Grant { grantee: Some(grantee), permission: Some("FULL_CONTROL".to_owned()) };
    s3_reply::<s3::GetBucketAclRequest>(
        s3::GetBucketAclOutput { owner: Some(owner()), grants: Some(vec![grant]) },
        &expect![[r#"
            200
            Content-Type: application/xml

            <?xml version="1.0" encoding="UTF-8"?>
            <AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>o</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>o</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>"#]],
    );
}

#[test]
fn s3_replies_carry_payloads_and_headers() {
    s3_reply::<s3::GetBucketPolicyRequest>(
        s3::GetBucketPolicyOutput { policy: Some("{}".to_owned()) },
        &expect![[r#"
            200

            {}"#]],
    );
    s3_reply::<s3::CopyObjectRequest>(
        s3::CopyObjectOutput {
            copy_object_result: Some(s3::CopyObjectResult {
                etag: Some("\"e\"".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        },
        &expect![[r#"
            200
            Content-Type: application/xml

            <?xml version="1.0" encoding="UTF-8"?>
            <CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ETag>&quot;e&quot;</ETag></CopyObjectResult>"#]],
    );
    s3_reply::<s3::DeleteObjectRequest>(
        s3::DeleteObjectOutput::default(),
        &expect![[r#"
            204

        "#]],
    );
    s3_reply::<s3::HeadObjectRequest>(
        s3::HeadObjectOutput {
            content_length: Some(3),
            last_modified: Some(Timestamp::from_secs(1_440_938_160)),
            metadata: Some([("color".to_owned(), "blue".to_owned())].into()),
            content_type: Some("text/plain".to_owned()),
            ..Default::default()
        },
        &expect![[r#"
            200
            Last-Modified: Sun, 30 Aug 2015 12:36:00 GMT
            Content-Length: 3
            Content-Type: text/plain
            x-amz-meta-color: blue

        "#]],
    );
}

#[test]
fn s3_errors_have_their_fields_and_statuses() {
    let error = ApiError::modelled(Service::S3, "NoSuchKey", "The specified key does not exist.")
        .with("Key", "a<b");
    expect![[r#"
        404
        Content-Type: application/xml

        <?xml version="1.0" encoding="UTF-8"?>
        <Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a&lt;b</Key><RequestId>r</RequestId><HostId>h</HostId></Error>"#]]
    .assert_eq(&http(rest_xml::encode_error(&error, "r", "h")));
    for (code, status) in [
        ("NoSuchBucket", 404),
        ("BucketAlreadyExists", 409),
        ("NoSuchBucketPolicy", 404),
        ("PreconditionFailed", 412),
        ("InvalidRange", 416),
        ("SlowDown", 503),
        ("InvalidArgument", 400),
    ] {
        assert_eq!(ApiError::modelled(Service::S3, code, "").status, status, "{code}");
    }
}

#[test]
fn modelled_errors_take_code_status_and_fault_from_the_model() {
    for (service, name, code, status, sender) in [
        (Service::Iam, "NoSuchEntity", "NoSuchEntity", 404, true),
        (Service::Iam, "EntityAlreadyExistsException", "EntityAlreadyExists", 409, true),
        (Service::Iam, "ServiceFailure", "ServiceFailure", 500, false),
        (Service::Sts, "PackedPolicyTooLarge", "PackedPolicyTooLarge", 400, true),
        (Service::Kms, "NotFoundException", "NotFoundException", 400, true),
        (Service::Kms, "KMSInternalException", "KMSInternalException", 500, false),
        (Service::CloudTrail, "InvalidTimeRangeException", "InvalidTimeRangeException", 400, true),
    ] {
        let error = ApiError::modelled(service, name, "m");
        assert_eq!((error.code.as_ref(), error.status, error.sender), (code, status, sender));
    }
    for service in Service::ALL {
        for error in [ApiError::internal(service), ApiError::service_unavailable(service)] {
            assert!(error.status >= 500 && !error.sender, "{error}");
        }
        let denied = ApiError::access_denied(service, "no");
        let json = matches!(service, Service::Kms | Service::CloudTrail | Service::Writ);
        assert_eq!(denied.status, if json { 400 } else { 403 });
    }
    assert!(operation(Service::Kms, "Nope").is_none());
    assert!(Value::empty().member("a").is_none());
}
