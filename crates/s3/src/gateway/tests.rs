//! The gateway over a real socket, with a key module, a KMS and a ledger that play their parts over
//! real channels: what a client sees, what the ledger was told, what lies on the disk.

mod client;
mod peers;

use client::{Answer, Client};
use peers::{Seen, World};
use writ_keyd_client::descriptor::KeyState;

const MIB: usize = 1024 * 1024;

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|i| u8::try_from((i * 31 + i / 251) % 251).unwrap()).collect()
}

async fn bucket() -> (World, Client) {
    let world = World::start().await;
    let client = world.client();
    client.ask("PUT", "/photos", &[], b"").await.expect(200);
    (world, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn object_comes_back_and_lies_encrypted() {
    let (world, client) = bucket().await;
    let marked = b"a window of plaintext that must not be on the disk".repeat(4_000);
    let put = client.ask("PUT", "/photos/a%20b", &[("x-amz-meta-who", "me")], &marked).await;
    put.expect(200);
    assert_eq!(put.header("x-amz-server-side-encryption"), Some("aws:kms"));
    assert!(put.header("x-amz-checksum-crc64nvme").is_some());
    let get = client.ask("GET", "/photos/a%20b", &[], b"").await;
    get.expect(200);
    assert_eq!(get.body, marked);
    assert_eq!(get.header("x-amz-meta-who"), Some("me"));
    assert_eq!(get.header("etag"), put.header("etag"));
    assert!(world.disk_files() > 2);
    assert!(!world.disk_holds(&marked[..16]), "plaintext on the disk");
    let names = world.recorded();
    assert_eq!(names, ["CreateBucket", "PutObject", "GetObject"]);
    assert_eq!(world.kms_calls(), ["GenerateDataKey", "Decrypt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_conditions_answer_as_s3() {
    let (_world, client) = bucket().await;
    let data = bytes(3 * 65_536 + 7);
    let put = client.ask("PUT", "/photos/k", &[], &data).await;
    let etag = put.header("etag").unwrap().to_owned();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=65535-65536", 65_535, 65_537),
        ("bytes=131072-", 131_072, data.len()),
        ("bytes=-5", data.len() - 5, data.len()),
    ] {
        let get = client.ask("GET", "/photos/k", &[("range", range)], b"").await;
        get.expect(206);
        assert_eq!(get.body, data[from..to], "{range}");
        let expected = format!("bytes {from}-{}/{}", to - 1, data.len());
        assert_eq!(get.header("content-range"), Some(expected.as_str()));
    }
    let beyond = client.ask("GET", "/photos/k", &[("range", "bytes=999999-")], b"").await;
    beyond.refused(416, "InvalidRange");
    assert_eq!(beyond.header("content-range"), Some(&*format!("bytes */{}", data.len())));
    let same = client.ask("GET", "/photos/k", &[("if-none-match", &etag)], b"").await;
    same.expect(304);
    assert_eq!((same.body.len(), same.header("etag")), (0, Some(etag.as_str())));
    let other = client.ask("GET", "/photos/k", &[("if-match", "\"x\"")], b"").await;
    other.refused(412, "PreconditionFailed");
    let again = client.ask("PUT", "/photos/k", &[("if-none-match", "*")], b"x").await;
    again.refused(412, "PreconditionFailed");
    let head = client.ask("HEAD", "/photos/k", &[], b"").await;
    head.expect(200);
    assert_eq!(head.header("content-length"), Some(&*data.len().to_string()));
    client.ask("HEAD", "/photos/none", &[], b"").await.expect(404);
    client.ask("GET", "/photos/none", &[], b"").await.refused(404, "NoSuchKey");
    client.ask("GET", "/nothing/none", &[], b"").await.refused(404, "NoSuchBucket");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bodies_leave_nothing() {
    let (world, client) = bucket().await;
    let wrong_md5 = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
    client.ask("PUT", "/photos/k", &wrong_md5, b"x").await.refused(400, "BadDigest");
    client
        .ask("PUT", "/photos/k", &[("content-md5", "junk")], b"x")
        .await
        .refused(400, "InvalidDigest");
    let crc = [("x-amz-checksum-crc32", "AAAAAA==")];
    client.ask("PUT", "/photos/k", &crc, b"x").await.refused(400, "BadDigest");
    let two = [
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-checksum-sha1", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
    ];
    client.ask("PUT", "/photos/k", &two, b"x").await.refused(400, "InvalidRequest");
    let hash = "00".repeat(32);
    let lie = [("x-amz-content-sha256", hash.as_str())];
    client.ask("PUT", "/photos/k", &lie, b"x").await.refused(400, "XAmzContentSHA256Mismatch");
    client.ask("GET", "/photos/k", &[], b"").await.refused(404, "NoSuchKey");
    assert_eq!(world.segments(), 0);
    let acl = [("x-amz-acl", "public-read")];
    client.ask("PUT", "/photos/k", &acl, b"x").await.refused(400, "AccessControlListNotSupported");
    client.ask("PUT", "/photos?cors", &[], b"").await.refused(501, "NotImplemented");
    client.ask("PUT", "/photos/k?tagging", &[], b"").await.refused(501, "NotImplemented");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_body_with_trailer_is_checked() {
    let (_world, client) = bucket().await;
    let crc =
        writ_aws::checksum::Checksum::of(writ_aws::checksum::Algorithm::Crc32, b"hello world");
    let body = |crc: &str| {
        format!("5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n").into_bytes()
    };
    let headers = [
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "11"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("content-encoding", "aws-chunked"),
    ];
    let put = client.ask("PUT", "/photos/k", &headers, &body(&crc.base64())).await;
    put.expect(200);
    assert_eq!(put.header("x-amz-checksum-crc32"), Some(crc.base64().as_str()));
    let checked = [("x-amz-checksum-mode", "ENABLED")];
    let get = client.ask("GET", "/photos/k", &checked, b"").await;
    assert_eq!(get.body, b"hello world");
    assert_eq!(get.header("x-amz-checksum-crc32"), Some(crc.base64().as_str()));
    assert_eq!(get.header("content-encoding"), None);
    client.ask("PUT", "/photos/k", &headers, &body("AAAAAA==")).await.refused(400, "BadDigest");
    let short = [headers[0], ("x-amz-decoded-content-length", "12"), headers[2]];
    client
        .ask("PUT", "/photos/k", &short, &body(&crc.base64()))
        .await
        .refused(400, "IncompleteBody");
}

#[tokio::test(flavor = "multi_thread")]
async fn multipart_is_assembled_without_moving_bytes() {
    let (world, client) = bucket().await;
    let create = client.ask("POST", "/photos/big?uploads", &[], b"").await;
    create.expect(200);
    let id = create.element("UploadId").to_owned();
    let data = bytes(5 * MIB + 1000);
    let (one, two) = data.split_at(5 * MIB);
    let second =
        client.ask("PUT", &format!("/photos/big?partNumber=4&uploadId={id}"), &[], two).await;
    let first =
        client.ask("PUT", &format!("/photos/big?partNumber=2&uploadId={id}"), &[], one).await;
    let list = client.ask("GET", &format!("/photos/big?uploadId={id}"), &[], b"").await;
    assert_eq!(list.text().matches("<Part>").count(), 2);
    let uploads = client.ask("GET", "/photos?uploads", &[], b"").await;
    assert_eq!(uploads.element("UploadId"), id);
    let part = |n: u32, part: &Answer| {
        let etag = part.header("etag").unwrap();
        format!("<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let body = |parts: &[String]| {
        let xmlns = "http://s3.amazonaws.com/doc/2006-03-01/";
        let parts = parts.concat();
        format!("<CompleteMultipartUpload xmlns=\"{xmlns}\">{parts}</CompleteMultipartUpload>")
    };
    let path = format!("/photos/big?uploadId={id}");
    let swapped = body(&[part(4, &second), part(2, &first)]);
    client.ask("POST", &path, &[], swapped.as_bytes()).await.refused(400, "InvalidPartOrder");
    let wrong = body(&[part(2, &second)]);
    client.ask("POST", &path, &[], wrong.as_bytes()).await.refused(400, "InvalidPart");
    let right = body(&[part(2, &first), part(4, &second)]);
    let done = client.ask("POST", &path, &[], right.as_bytes()).await;
    done.expect(200);
    assert!(done.element("ETag").ends_with("-2&quot;") || done.element("ETag").ends_with("-2\""));
    let sum = writ_aws::checksum::Checksum::of(writ_aws::checksum::Algorithm::Crc64Nvme, &data);
    assert_eq!(done.element("ChecksumCRC64NVME"), sum.base64());
    let again = client.ask("POST", &path, &[], right.as_bytes()).await;
    again.expect(200);
    assert_eq!(again.element("ETag"), done.element("ETag"));
    assert_eq!(client.ask("GET", "/photos/big", &[], b"").await.body, data);
    let across = client.ask("GET", "/photos/big", &[("range", "bytes=5242878-5242881")], b"").await;
    assert_eq!(across.body, data[5_242_878..5_242_882]);
    let second = client.ask("GET", "/photos/big?partNumber=2", &[], b"").await;
    second.expect(206);
    assert_eq!((second.body.as_slice(), second.header("x-amz-mp-parts-count")), (two, Some("2")));
    assert_eq!(world.segments(), 3, "two parts and a manifest");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_sealed_anew() {
    let (world, client) = bucket().await;
    let data = bytes(200_000);
    client.ask("PUT", "/photos/k", &[("x-amz-meta-a", "1")], &data).await.expect(200);
    let copy = client.ask("PUT", "/photos/copy", &[("x-amz-copy-source", "photos/k")], b"").await;
    copy.expect(200);
    let get = client.ask("GET", "/photos/copy", &[], b"").await;
    assert_eq!((get.body.as_slice(), get.header("x-amz-meta-a")), (data.as_slice(), Some("1")));
    let itself = client.ask("PUT", "/photos/k", &[("x-amz-copy-source", "/photos/k")], b"").await;
    itself.refused(400, "InvalidRequest");
    let create = client.ask("POST", "/photos/parts?uploads", &[], b"").await;
    let id = create.element("UploadId").to_owned();
    let headers = [("x-amz-copy-source", "photos/k"), ("x-amz-copy-source-range", "bytes=10-99")];
    let path = format!("/photos/parts?partNumber=1&uploadId={id}");
    client.ask("PUT", &path, &headers, b"").await.expect(200);
    client.ask("DELETE", &format!("/photos/parts?uploadId={id}"), &[], b"").await.expect(204);
    client
        .ask("DELETE", &format!("/photos/parts?uploadId={id}"), &[], b"")
        .await
        .refused(404, "NoSuchUpload");
    assert!(world.recorded().contains(&"UploadPartCopy".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_deletes_follow_the_keys() {
    let (world, client) = bucket().await;
    for key in ["a/1", "a/2", "b", "c%2Bd"] {
        client.ask("PUT", &format!("/photos/{key}"), &[], b"x").await.expect(200);
    }
    let list =
        client.ask("GET", "/photos?list-type=2&delimiter=%2F&encoding-type=url", &[], b"").await;
    assert_eq!(list.element("KeyCount"), "3");
    assert!(list.text().contains("<Key>c%2Bd</Key>"), "{}", list.text());
    assert!(list.text().contains("<CommonPrefixes><Prefix>a/</Prefix>"), "{}", list.text());
    let page = client.ask("GET", "/photos?list-type=2&max-keys=2", &[], b"").await;
    let token = page.element("NextContinuationToken").to_owned();
    let rest = client
        .ask("GET", &format!("/photos?list-type=2&continuation-token={token}"), &[], b"")
        .await;
    assert_eq!(rest.element("KeyCount"), "2");
    client
        .ask("GET", "/photos?list-type=2&continuation-token=x", &[], b"")
        .await
        .refused(400, "InvalidArgument");
    client.ask("GET", "/photos?max-keys=1", &[], b"").await.expect(200);
    client.ask("DELETE", "/photos", &[], b"").await.refused(409, "BucketNotEmpty");
    let body = b"<Delete><Object><Key>a/1</Key></Object><Object><Key>a/2</Key></Object><Object><Key>b</Key></Object></Delete>";
    client.ask("POST", "/photos?delete", &[], body).await.refused(400, "InvalidRequest");
    let crc = writ_aws::checksum::Checksum::of(writ_aws::checksum::Algorithm::Crc32, body).base64();
    let deleted =
        client.ask("POST", "/photos?delete", &[("x-amz-checksum-crc32", &crc)], body).await;
    assert_eq!(deleted.text().matches("<Deleted>").count(), 3);
    client.ask("DELETE", "/photos/c%2Bd", &[], b"").await.expect(204);
    client.ask("DELETE", "/photos/c%2Bd", &[], b"").await.expect(204);
    client.ask("DELETE", "/photos", &[], b"").await.expect(204);
    let names = world.recorded();
    assert_eq!(names.iter().filter(|n| *n == "DeleteObject").count(), 5);
    let buckets = client.ask("GET", "/", &[], b"").await;
    buckets.expect(200);
    assert!(!buckets.text().contains("photos"));
}

/// A DeleteObjects of `keys`, with the checksum that it needs.
async fn delete_objects(client: &Client, path: &str, keys: &[String]) -> Answer {
    let objects = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>"));
    let body = format!("<Delete>{}</Delete>", objects.collect::<String>()).into_bytes();
    let crc = writ_aws::checksum::Checksum::of(writ_aws::checksum::Algorithm::Crc32, &body);
    client.ask("POST", path, &[("x-amz-checksum-crc32", &crc.base64())], &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_of_many_long_keys_does_not_stop_the_gateway() {
    let (world, client) = bucket().await;
    let shared = br#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:root"},"Action":"s3:DeleteObject","Resource":"arn:aws:s3:::photos/*"}]}"#;
    client.ask("PUT", "/photos?policy", &[], shared).await.expect(204);
    // Quotes are doubled in JSON, each key is in a record twice, and two accounts get each record.
    let keys: Vec<String> = (0..1000).map(|n| format!("{n:04}{}", "\"".repeat(1020))).collect();
    let deleted = delete_objects(&world.stranger(), "/photos?delete", &keys).await;
    deleted.expect(200);
    assert_eq!(deleted.text().matches("<Deleted>").count(), 1000);
    let count = world.recorded().iter().filter(|name| *name == "DeleteObject").count();
    assert_eq!(count, 2000);
    client.ask("PUT", "/photos/after", &[], b"x").await.expect(200);
    let long = delete_objects(&client, "/photos?delete", &["x".repeat(1025)]).await;
    long.expect(200);
    assert_eq!(long.element("Code"), "KeyTooLongError");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_answer_for_every_bucket() {
    let (_world, client) = bucket().await;
    for (query, expected) in [
        ("location", "LocationConstraint"),
        ("versioning", "VersioningConfiguration"),
        ("encryption", "aws:kms"),
        ("ownershipControls", "BucketOwnerEnforced"),
        ("publicAccessBlock", "<BlockPublicPolicy>true</BlockPublicPolicy>"),
        ("acl", "FULL_CONTROL"),
    ] {
        let answer = client.ask("GET", &format!("/photos?{query}"), &[], b"").await;
        answer.expect(200);
        assert!(answer.text().contains(expected), "{query}: {}", answer.text());
    }
    client.ask("GET", "/photos?policy", &[], b"").await.refused(404, "NoSuchBucketPolicy");
    let public = br#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}]}"#;
    client.ask("PUT", "/photos?policy", &[], public).await.refused(403, "AccessDenied");
    let service = br#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::photos/*"}]}"#;
    client.ask("PUT", "/photos?policy", &[], service).await.expect(204);
    assert_eq!(client.ask("GET", "/photos?policy", &[], b"").await.body, service);
    client.ask("DELETE", "/photos?policy", &[], b"").await.expect(204);
    let head = client.ask("HEAD", "/photos", &[], b"").await;
    assert_eq!(head.header("x-amz-bucket-region"), Some("us-east-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_that_cannot_be_recorded() {
    let (world, client) = bucket().await;
    client.ask("PUT", "/photos/k", &[], b"one").await.expect(200);
    world.close_ledger(true);
    client.ask("GET", "/photos/k", &[], b"").await.refused(503, "ServiceUnavailable");
    client.ask("GET", "/photos?list-type=2", &[], b"").await.refused(503, "ServiceUnavailable");
    client.ask("PUT", "/photos/k", &[], b"two").await.refused(503, "ServiceUnavailable");
    world.close_ledger(false);
    for _ in 0..100 {
        let get = client.ask("GET", "/photos/k", &[], b"").await;
        if get.body == b"two" {
            return;
        }
        assert!(get.status == 200 && get.body == b"one", "{}", get.status);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("what was committed did not become visible");
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_of_unknown_outcome_keeps_its_files_and_ends_the_process() {
    let (world, client) = bucket().await;
    world.break_index();
    client.ask("PUT", "/photos/k", &[], b"x").await.refused(503, "ServiceUnavailable");
    assert_eq!(world.segments(), 1, "the commit may stand, and it names this file");
    assert_eq!(world.recorded(), ["CreateBucket"]);
    let stopped = world.gateway.stopped();
    tokio::time::timeout(std::time::Duration::from_secs(5), stopped).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_strangers_are_bounded_by_the_second() {
    let time = writ_model::Timestamp::from_secs(1_800_000_000);
    let world = World::start_in(std::sync::Arc::new(writ_model::env::TestEnv::new(time, 7))).await;
    let client = world.client();
    for _ in 0..230 {
        client.unsigned("GET", "/photos/k").await.refused(403, "AccessDenied");
    }
    assert_eq!((world.recorded().len(), world.gateway.dropped_strangers()), (200, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_signatures_get_s3s_own_codes() {
    let (_world, client) = bucket().await;
    let presigned = |expires: &str| {
        format!(
            "/photos/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101%2F\
             us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires={expires}\
             &X-Amz-SignedHeaders=host&X-Amz-Signature={}",
            "ab".repeat(32)
        )
    };
    let late = client.bare(&presigned("604801"), &[]).await;
    late.refused(400, "AuthorizationQueryParametersError");
    let old = client.bare("/photos/k", &[("authorization", "AWS AKIAEXAMPLE:c2ln")]).await;
    old.refused(400, "InvalidRequest");
    let text = "The authorization mechanism you have provided is not supported. Please use \
                AWS4-HMAC-SHA256.";
    assert_eq!(old.element("Message"), text);
    let half =
        client.bare("/photos/k", &[("authorization", "AWS4-HMAC-SHA256 Credential=x")]).await;
    half.refused(400, "AuthorizationHeaderMalformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn running_download_keeps_the_files_of_an_overwritten_object() {
    let (world, client) = bucket().await;
    let create = client.ask("POST", "/photos/k?uploads", &[], b"").await;
    let id = create.element("UploadId").to_owned();
    let (first, second) = (bytes(24 * MIB), bytes(MIB));
    let mut parts = Vec::new();
    for (n, data) in [(1, &first), (2, &second)] {
        let path = format!("/photos/k?partNumber={n}&uploadId={id}");
        parts.push((n, client.ask("PUT", &path, &[], data).await));
    }
    let body = completion(&parts);
    let path = format!("/photos/k?uploadId={id}");
    client.ask("POST", &path, &[], body.as_bytes()).await.expect(200);
    let mut stream = client.open("GET", "/photos/k").await;
    stream.read_some(MIB).await;
    client.ask("PUT", "/photos/k", &[], b"new").await.expect(200);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(world.segments(), 3, "two parts that are still read, and the new object");
    // The head of the answer comes first.
    let rest = stream.read_to_end().await;
    assert!(rest > 24 * MIB, "{rest} bytes came");
    for _ in 0..100 {
        if world.segments() == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the files of the old object stay");
}

/// The body of a CompleteMultipartUpload.
fn completion(parts: &[(u32, Answer)]) -> String {
    let one = |(n, part): &(u32, Answer)| {
        let etag = part.header("etag").unwrap();
        format!("<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let xmlns = "http://s3.amazonaws.com/doc/2006-03-01/";
    let parts: String = parts.iter().map(one).collect();
    format!("<CompleteMultipartUpload xmlns=\"{xmlns}\">{parts}</CompleteMultipartUpload>")
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_completes_keep_the_manifest_and_agree() {
    let (world, client) = bucket().await;
    for round in 1..=4 {
        let key = format!("/photos/k{round}");
        let create = client.ask("POST", &format!("{key}?uploads"), &[], b"").await;
        let id = create.element("UploadId").to_owned();
        let path = format!("{key}?partNumber=1&uploadId={id}");
        let body = completion(&[(1, client.ask("PUT", &path, &[], b"part").await)]);
        let path = format!("{key}?uploadId={id}");
        let ask = || client.ask("POST", &path, &[], body.as_bytes());
        let (one, two, three) = tokio::join!(ask(), ask(), ask());
        for answer in [&one, &two, &three] {
            answer.expect(200);
            assert_eq!(answer.element("ETag"), one.element("ETag"));
        }
        assert_eq!(world.segments(), 2 * round, "a part and a manifest each");
        client.ask("GET", &key, &[], b"").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c02_request_without_a_signature_reads_nothing() {
    let (world, client) = bucket().await;
    client.ask("PUT", "/photos/k", &[], b"secret").await.expect(200);
    let before = world.kms_calls().len();
    client.unsigned("GET", "/photos/k").await.refused(403, "AccessDenied");
    client.unsigned("PUT", "/photos/k").await.refused(403, "AccessDenied");
    assert_eq!(world.kms_calls().len(), before);
    assert_eq!(world.recorded().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_running_download_ends_when_its_key_is_deleted() {
    let (world, client) = bucket().await;
    let data = bytes(24 * MIB);
    client.ask("PUT", "/photos/k", &[], &data).await.expect(200);
    let mut stream = client.open("GET", "/photos/k").await;
    stream.read_some(MIB).await;
    world.end_access();
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let rest = stream.read_to_end().await;
    assert!(rest < data.len() - 4 * MIB, "{rest} bytes still came");
}

/// Something to end a running stream: the test's world, and when it began.
async fn check_stream_ends(world: &World, client: &Client, end: impl AsyncFnOnce(&World)) {
    let data = bytes(24 * MIB);
    world.client().ask("PUT", "/photos/k", &[], &data).await.expect(200);
    let mut download = client.open("GET", "/photos/k").await;
    download.read_some(MIB).await;
    let mut upload = client.begin("PUT", "/photos/up", MIB, &bytes(70_000)).await;
    while world.gateway.streams.running() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    end(world).await;
    world.streams_end_within_a_second().await;
    upload.answer().await.refused(403, "AccessDenied");
    let rest = download.read_to_end().await;
    assert!(rest < data.len() - 4 * MIB, "{rest} bytes still came");
    assert_eq!(world.segments(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_running_streams_end_when_their_kms_key_is_disabled() {
    let (world, client) = bucket().await;
    world.publish_key(KeyState::Enabled);
    check_stream_ends(&world, &client, async |world: &World| {
        world.publish_key(KeyState::Disabled);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_running_streams_end_when_their_session_expires() {
    let (world, _) = bucket().await;
    let now = || writ_model::Env::now(&writ_model::SystemEnv);
    let expires = now().plus(std::time::Duration::from_secs(8));
    world.stranger_is(|caller| {
        caller.session = Some(writ_keyd_client::caller::Session {
            role: None,
            issued: now(),
            expires,
            mfa_at: None,
            source_identity: None,
            tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            policy: None,
            policy_arns: Vec::new(),
            chained: false,
        });
    });
    check_stream_ends(&world, &world.stranger(), async |_: &World| {
        assert!(now() < expires, "the machine is too slow for this test");
        let left = expires.millis().saturating_sub(now().millis());
        tokio::time::sleep(std::time::Duration::from_millis(left)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_presigned_urls_are_decided_on_as_headers_are() {
    let (world, client) = bucket().await;
    let deny = br#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::photos/*","Condition":{"StringEquals":{"s3:x-amz-server-side-encryption":"AES256"}}}]}"#;
    client.ask("PUT", "/photos?policy", &[], deny).await.expect(204);
    let in_header = [("x-amz-server-side-encryption", "AES256")];
    client.ask("PUT", "/photos/k", &in_header, b"x").await.refused(403, "AccessDenied");
    for (query, status, code) in [
        ("X-Amz-Server-Side-Encryption=AES256", 403, "AccessDenied"),
        ("x-amz-server-side-encryption=AES256", 403, "AccessDenied"),
        ("x-amz-acl=public-read", 400, "AccessControlListNotSupported"),
        ("x-amz-grant-read=id%3D1", 400, "AccessControlListNotSupported"),
        ("x-amz-tagging=a%3Db", 501, "NotImplemented"),
        ("x-amz-storage-class=GLACIER", 400, "InvalidStorageClass"),
        ("x-amz-checksum-crc32=AAAAAA%3D%3D", 400, "BadDigest"),
    ] {
        let path = format!("/photos/k?{query}");
        client.ask("PUT", &path, &[], b"x").await.refused(status, code);
    }
    client.ask("DELETE", "/photos?policy", &[], b"").await.expect(204);
    let path = "/photos/k?x-amz-server-side-encryption=AES256";
    client.ask("PUT", path, &[], b"x").await.expect(200);
    let record = world.last_record();
    assert_eq!(record["requestParameters"]["x-amz-server-side-encryption"], "AES256");
}

#[tokio::test(flavor = "multi_thread")]
async fn condition_keys_of_conditions_age_and_region_are_filled() {
    let (_world, client) = bucket().await;
    client.ask("PUT", "/photos/k", &[], b"x").await.expect(200);
    for (condition, path, header) in [
        (r#""NumericGreaterThanEquals":{"s3:signatureAge":"0"}"#, "/photos/k", ("x-a", "b")),
        (r#""StringEquals":{"s3:VersionId":"null"}"#, "/photos/k?versionId=null", ("x-a", "b")),
        (r#""Null":{"s3:if-match":"false"}"#, "/photos/k", ("if-match", "*")),
        (r#""StringEquals":{"s3:if-none-match":"x"}"#, "/photos/k", ("if-none-match", "x")),
    ] {
        let deny = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":"s3:GetObject*","Resource":"arn:aws:s3:::photos/*","Condition":{{{condition}}}}}]}}"#
        );
        client.ask("PUT", "/photos?policy", &[], deny.as_bytes()).await.expect(204);
        client.ask("GET", path, &[header], b"").await.refused(403, "AccessDenied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_of_the_owner_is_never_locked_out_by_a_bucket_policy() {
    let (_world, client) = bucket().await;
    let deny = br#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::photos","arn:aws:s3:::photos/*"]}]}"#;
    client.ask("PUT", "/photos?policy", &[], deny).await.expect(204);
    client.ask("GET", "/photos?list-type=2", &[], b"").await.refused(403, "AccessDenied");
    client.ask("GET", "/photos?policy", &[], b"").await.expect(200);
    client.ask("PUT", "/photos?policy", &[], deny).await.expect(204);
    client.ask("DELETE", "/photos?policy", &[], b"").await.expect(204);
    client.ask("GET", "/photos?list-type=2", &[], b"").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_policy_means_the_user_who_existed_when_it_was_written() {
    let (world, client) = bucket().await;
    client.ask("PUT", "/photos/k", &[], b"x").await.expect(200);
    let allow = br#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/ann"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}]}"#;
    let nobody = client.ask("PUT", "/photos?policy", &[], allow).await;
    nobody.refused(400, "MalformedPolicy");
    assert_eq!(nobody.element("Message"), "Invalid principal in policy");
    stranger_is_ann(&world, "AIDAAAAAAAAAAAAAAAAAA", None);
    client.ask("PUT", "/photos?policy", &[], allow).await.expect(204);
    world.stranger().ask("GET", "/photos/k", &[], b"").await.expect(200);
    stranger_is_ann(&world, "AIDABBBBBBBBBBBBBBBBB", None);
    world.stranger().ask("GET", "/photos/k", &[], b"").await.refused(403, "AccessDenied");
    let shown = client.ask("GET", "/photos?policy", &[], b"").await.text();
    assert!(shown.contains(r#"{"AWS":"AIDAAAAAAAAAAAAAAAAAA"}"#), "{shown}");
}

/// The key of [`World::stranger`] is that of user ann, who has this id and this policy.
fn stranger_is_ann(world: &World, id: &str, policy: Option<&str>) {
    world.publish_user("ann", id, policy);
    world.stranger_is(|caller| {
        caller.kind = writ_keyd_client::caller::CallerKind::User;
        caller.arn = "arn:aws:iam::123456789012:user/ann".parse().unwrap();
        caller.unique_id = id.to_owned();
        caller.user_name = Some("ann".to_owned());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn create_bucket_is_decided_with_its_location_constraint() {
    let (world, _) = bucket().await;
    let allow = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:CreateBucket","Resource":"*","Condition":{"StringEquals":{"s3:LocationConstraint":"eu-west-1"}}}]}"#;
    stranger_is_ann(&world, "AIDAAAAAAAAAAAAAAAAAA", Some(allow));
    let named = |region: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        )
    };
    let client = world.stranger();
    client.ask("PUT", "/ours", &[], b"").await.refused(403, "AccessDenied");
    let other = client.ask("PUT", "/ours", &[], named("eu-west-2").as_bytes()).await;
    other.refused(403, "AccessDenied");
    // It is allowed, and only then refused: this endpoint is of another region.
    let allowed = client.ask("PUT", "/ours", &[], named("eu-west-1").as_bytes()).await;
    allowed.refused(400, "IllegalLocationConstraintException");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_xml_bodies_of_one_account_leave_places_for_others() {
    let (world, client) = bucket().await;
    let slow = world.stranger();
    slow.ask("PUT", "/others", &[], b"").await.expect(200);
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(slow.begin("POST", "/others?delete", 1000, b"<").await);
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let keys = ["k".to_owned()];
    let deadline = std::time::Duration::from_secs(5);
    let deleted = delete_objects(&client, "/photos?delete", &keys);
    tokio::time::timeout(deadline, deleted).await.unwrap().expect(200);
    let refused = delete_objects(&slow, "/others?delete", &keys);
    tokio::time::timeout(deadline, refused).await.unwrap().refused(503, "SlowDown");
    let stranger = delete_objects(&slow, "/photos?delete", &keys);
    tokio::time::timeout(deadline, stranger).await.unwrap().refused(403, "AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_object_is_an_error_and_never_a_short_answer() {
    let (world, client) = bucket().await;
    client.ask("PUT", "/photos/k", &[], &bytes(100_000)).await.expect(200);
    world.damage_segments();
    client.ask("GET", "/photos/k", &[], b"").await.refused(500, "InternalError");
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_other_accounts_get_nothing() {
    let (world, client) = bucket().await;
    client.ask("PUT", "/photos/k", &[], b"mine").await.expect(200);
    let before = world.kms_calls().len();
    let stranger = world.stranger();
    for (method, path) in [
        ("GET", "/photos/k"),
        ("GET", "/photos/none"),
        ("GET", "/photos?list-type=2"),
        ("PUT", "/photos/k"),
        ("DELETE", "/photos/k"),
        ("DELETE", "/photos"),
        ("POST", "/photos/k?uploads"),
        ("GET", "/photos?policy"),
    ] {
        stranger.ask(method, path, &[], b"").await.refused(403, "AccessDenied");
    }
    stranger.ask("PUT", "/photos", &[], b"").await.refused(409, "BucketAlreadyExists");
    stranger.ask("PUT", "/others", &[], b"").await.expect(200);
    let copy = [("x-amz-copy-source", "photos/k")];
    stranger.ask("PUT", "/others/k", &copy, b"").await.refused(403, "AccessDenied");
    assert_eq!(world.kms_calls().len(), before);
    let owner = [("x-amz-expected-bucket-owner", "210987654321")];
    client.ask("GET", "/photos/k", &owner, b"").await.refused(403, "AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_decided_without_a_lease() {
    let (world, client) = bucket().await;
    world.lose_lease();
    client.ask("GET", "/photos?list-type=2", &[], b"").await.refused(503, "ServiceUnavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_access_headers_of_a_client_are_stripped() {
    let (world, client) = bucket().await;
    world.take_seen();
    let forged = [("x-writ-fas-ticket", "x"), ("x-writ-fas-proof", "y"), ("x-amz-meta-a", "1")];
    client.ask("PUT", "/photos/k", &forged, b"x").await.expect(200);
    let seen = world.take_seen();
    let Some(Seen::Headers(names)) = seen.first() else { panic!("nothing was verified") };
    assert!(names.contains(&"x-amz-meta-a".to_owned()));
    assert!(!names.iter().any(|name| name.starts_with("x-writ-fas")));
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_chunks_go_to_the_key_module_before_anything_is_visible() {
    let (world, client) = bucket().await;
    let (good, bad) = ("ab".repeat(32), "bd".repeat(32));
    let crc = writ_aws::checksum::Checksum::of(writ_aws::checksum::Algorithm::Crc32, b"hello");
    let body = |signature: &str| {
        format!(
            "5;chunk-signature={good}\r\nhello\r\n0;chunk-signature={good}\r\n\
             x-amz-checksum-crc32:{}\r\nx-amz-trailer-signature:{signature}\r\n\r\n",
            crc.base64()
        )
        .into_bytes()
    };
    let headers = [
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    world.take_seen();
    client.ask("PUT", "/photos/k", &headers, &body(&good)).await.expect(200);
    let chunks: Vec<Seen> =
        world.take_seen().into_iter().filter(|s| matches!(s, Seen::Chunks(..))).collect();
    let [Seen::Chunks(signatures, trailer)] = chunks.as_slice() else { panic!("one batch") };
    assert_eq!((signatures.len(), *trailer), (2, Some([0xab; 32])));
    let refused = client.ask("PUT", "/photos/forged", &headers, &body(&bad)).await;
    refused.refused(403, "SignatureDoesNotMatch");
    client.ask("GET", "/photos/forged", &[], b"").await.refused(404, "NoSuchKey");
}
