//! S3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use writ_aws::Service;
use writ_tests::site::ANN;
use writ_tests::{Client, Site};

use super::{Actor, covers, text, texts};

fn b64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

#[test]
fn s3_by_cli_and_boto3() {
    let site = Site::start();
    for client in Client::BOTH {
        let root = Actor::root(&site, client, ANN);
        let bucket = buckets(&root);
        bucket_settings(&root, &bucket);
        objects(&root, &bucket);
        ranges_and_conditions(&root, &bucket);
        multipart(&root, &bucket);
        deletion(&root, &bucket);
    }
    high_level(&site);
    presigned(&site);
    covers(&site, Service::S3);
}

fn buckets(root: &Actor<'_>) -> String {
    let bucket = root.name("photos");
    root.ok("s3", "CreateBucket", json!({"Bucket": bucket}));
    root.ok("s3", "HeadBucket", json!({"Bucket": bucket}));
    let listed = root.ok("s3", "ListBuckets", json!({}));
    assert!(texts(&listed, "Buckets", "Name").contains(&bucket));
    root.refused("s3", "HeadBucket", json!({"Bucket": root.name("nothing")}), "404");
    bucket
}

fn bucket_settings(root: &Actor<'_>, bucket: &str) {
    let of = || json!({"Bucket": bucket});
    let location = root.ok("s3", "GetBucketLocation", of());
    assert!(location["LocationConstraint"].is_null(), "us-east-1 is null: {location}");
    let versioning = root.ok("s3", "GetBucketVersioning", of());
    assert!(versioning.get("Status").is_none(), "{versioning}");
    let encryption = root.ok("s3", "GetBucketEncryption", of());
    let rule = "/ServerSideEncryptionConfiguration/Rules/0/ApplyServerSideEncryptionByDefault";
    assert_eq!(text(&encryption, &format!("{rule}/SSEAlgorithm")), "aws:kms");
    let controls = root.ok("s3", "GetBucketOwnershipControls", of());
    let rule = "/OwnershipControls/Rules/0/ObjectOwnership";
    assert_eq!(text(&controls, rule), "BucketOwnerEnforced");
    let block = root.ok("s3", "GetPublicAccessBlock", of());
    assert_eq!(block["PublicAccessBlockConfiguration"]["BlockPublicPolicy"], true);
    let acl = root.ok("s3", "GetBucketAcl", of());
    assert_eq!(text(&acl, "/Grants/0/Permission"), "FULL_CONTROL");

    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::222222222222:root"}, "Action": "s3:GetObject",
        "Resource": format!("arn:aws:s3:::{bucket}/*")}]});
    root.ok("s3", "PutBucketPolicy", json!({"Bucket": bucket, "Policy": policy.to_string()}));
    let shown = root.ok("s3", "GetBucketPolicy", of());
    let shown: Value = serde_json::from_str(&text(&shown, "/Policy")).unwrap();
    assert_eq!(shown, policy);
    let mut public = policy;
    public["Statement"][0]["Principal"] = json!("*");
    let public = json!({"Bucket": bucket, "Policy": public.to_string()});
    root.refused("s3", "PutBucketPolicy", public, "AccessDenied");
    root.ok("s3", "DeleteBucketPolicy", of());
    root.refused("s3", "GetBucketPolicy", of(), "NoSuchBucketPolicy");
}

fn objects(root: &Actor<'_>, bucket: &str) {
    let put = |key: &str, body: &[u8]| json!({"Bucket": bucket, "Key": key, "Body": b64(body)});
    let of = |key: &str| json!({"Bucket": bucket, "Key": key});
    let stored = root.ok("s3", "PutObject", put("a/one", b"first object"));
    assert_eq!(text(&stored, "/ServerSideEncryption"), "aws:kms");
    for body in [&b""[..], &[7u8; 65_536][..], &[9u8; 200_000][..]] {
        let key = format!("size/{}", body.len());
        root.ok("s3", "PutObject", put(&key, body));
        let got = root.ok("s3", "GetObject", of(&key));
        assert_eq!(text(&got, "/Body"), b64(body), "{key}");
    }
    let head = root.ok("s3", "HeadObject", of("a/one"));
    assert_eq!(head["ContentLength"], 12);
    assert!(text(&head, "/SSEKMSKeyId").contains(":key/"));
    let facts =
        json!({"Bucket": bucket, "Key": "a/one", "ObjectAttributes": ["ObjectSize", "ETag"]});
    let facts = root.ok("s3", "GetObjectAttributes", facts);
    assert_eq!(facts["ObjectSize"], 12);
    let acl = root.ok("s3", "GetObjectAcl", of("a/one"));
    assert_eq!(text(&acl, "/Grants/0/Permission"), "FULL_CONTROL");
    let copy = json!({"Bucket": bucket, "Key": "b/copy", "CopySource": format!("{bucket}/a/one")});
    root.ok("s3", "CopyObject", copy);
    let got = root.ok("s3", "GetObject", of("b/copy"));
    assert_eq!(text(&got, "/Body"), b64("first object"));
    root.refused("s3", "GetObject", of("nothing"), "NoSuchKey");

    let listed = root.ok("s3", "ListObjectsV2", json!({"Bucket": bucket, "Delimiter": "/"}));
    assert_eq!(texts(&listed, "CommonPrefixes", "Prefix"), ["a/", "b/", "size/"]);
    let listed = root.ok("s3", "ListObjects", json!({"Bucket": bucket, "Prefix": "a/"}));
    assert_eq!(texts(&listed, "Contents", "Key"), ["a/one"]);
    let pages = root
        .clients
        .pages(&root.who, ("s3", "ListObjectsV2"), &json!({"Bucket": bucket, "MaxKeys": 2}))
        .unwrap();
    let keys: Vec<String> = pages.iter().flat_map(|page| texts(page, "Contents", "Key")).collect();
    assert_eq!(keys, ["a/one", "b/copy", "size/0", "size/200000", "size/65536"]);
}

fn ranges_and_conditions(root: &Actor<'_>, bucket: &str) {
    let body: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    let stored =
        root.ok("s3", "PutObject", json!({"Bucket": bucket, "Key": "r", "Body": b64(&body)}));
    for (range, from, to) in
        [("bytes=0-0", 0, 1), ("bytes=65535-65536", 65_535, 65_537), ("bytes=-3", 199_997, 200_000)]
    {
        let got = json!({"Bucket": bucket, "Key": "r", "Range": range});
        let got = root.ok("s3", "GetObject", got);
        assert_eq!(text(&got, "/Body"), b64(&body[from..to]), "{range}");
    }
    let outside = json!({"Bucket": bucket, "Key": "r", "Range": "bytes=200000-"});
    root.refused("s3", "GetObject", outside, "InvalidRange");
    let etag = text(&stored, "/ETag");
    let other = json!({"Bucket": bucket, "Key": "r", "IfMatch": "\"other\""});
    root.refused("s3", "GetObject", other, "PreconditionFailed");
    root.ok("s3", "GetObject", json!({"Bucket": bucket, "Key": "r", "IfMatch": etag}));
}

fn multipart(root: &Actor<'_>, bucket: &str) {
    let begun = root.ok("s3", "CreateMultipartUpload", json!({"Bucket": bucket, "Key": "m"}));
    let id = text(&begun, "/UploadId");
    let part = |number: u32, body: &[u8]| {
        json!({"Bucket": bucket, "Key": "m", "UploadId": id, "PartNumber": number,
            "Body": b64(body)})
    };
    let whole = vec![1u8; 5 * 1024 * 1024];
    let first = text(&root.ok("s3", "UploadPart", part(1, &whole)), "/ETag");
    let copied = root.ok(
        "s3",
        "UploadPartCopy",
        json!({"Bucket": bucket, "Key": "m",
        "UploadId": id, "PartNumber": 2, "CopySource": format!("{bucket}/r")}),
    );
    let second = text(&copied, "/CopyPartResult/ETag");
    let parts = root.ok("s3", "ListParts", json!({"Bucket": bucket, "Key": "m", "UploadId": id}));
    assert_eq!(texts(&parts, "Parts", "ETag"), [first.clone(), second.clone()]);
    let uploads = root.ok("s3", "ListMultipartUploads", json!({"Bucket": bucket}));
    assert_eq!(texts(&uploads, "Uploads", "UploadId"), [id.as_str()]);
    let done = root.ok(
        "s3",
        "CompleteMultipartUpload",
        json!({"Bucket": bucket, "Key": "m",
        "UploadId": id, "MultipartUpload": {"Parts": [
            {"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]}}),
    );
    assert!(text(&done, "/ETag").ends_with("-2\""));
    let head = root.ok("s3", "HeadObject", json!({"Bucket": bucket, "Key": "m"}));
    assert_eq!(head["ContentLength"], 5 * 1024 * 1024 + 200_000);
    let tail = json!({"Bucket": bucket, "Key": "m", "Range": "bytes=5242879-5242881"});
    assert_eq!(text(&root.ok("s3", "GetObject", tail), "/Body"), b64([1, 0, 1]));

    let begun = root.ok("s3", "CreateMultipartUpload", json!({"Bucket": bucket, "Key": "n"}));
    let id = text(&begun, "/UploadId");
    let of = json!({"Bucket": bucket, "Key": "n", "UploadId": id});
    root.ok("s3", "AbortMultipartUpload", of.clone());
    root.refused("s3", "ListParts", of, "NoSuchUpload");
}

fn deletion(root: &Actor<'_>, bucket: &str) {
    root.refused("s3", "DeleteBucket", json!({"Bucket": bucket}), "BucketNotEmpty");
    root.ok("s3", "DeleteObject", json!({"Bucket": bucket, "Key": "r"}));
    root.refused("s3", "GetObject", json!({"Bucket": bucket, "Key": "r"}), "NoSuchKey");
    let listed = root.ok("s3", "ListObjectsV2", json!({"Bucket": bucket}));
    let keys: Vec<Value> =
        texts(&listed, "Contents", "Key").iter().map(|key| json!({"Key": key})).collect();
    let count = keys.len();
    let deleted =
        root.ok("s3", "DeleteObjects", json!({"Bucket": bucket, "Delete": {"Objects": keys}}));
    assert_eq!(deleted["Deleted"].as_array().unwrap().len(), count);
    root.ok("s3", "DeleteBucket", json!({"Bucket": bucket}));
}

/// `aws s3`: what people type, with multipart, sync and copies between keys.
fn high_level(site: &Site) {
    let root = Actor::root(site, Client::Cli, ANN);
    let folder = site.home().join("files");
    std::fs::create_dir_all(folder.join("deep")).unwrap();
    let big: Vec<u8> = (0..9 * 1024 * 1024u32).map(|n| (n % 253) as u8).collect();
    std::fs::write(folder.join("big"), &big).unwrap();
    std::fs::write(folder.join("deep/small"), b"small").unwrap();
    let (from, to) = (folder.to_str().unwrap(), site.home().join("back"));
    let aws = |line: &[&str]| root.clients.aws(&root.who, line).unwrap();
    aws(&["s3", "mb", "s3://high"]);
    aws(&["s3", "sync", from, "s3://high/x"]);
    aws(&["s3", "cp", "s3://high/x/big", "s3://high/y/big"]);
    aws(&["s3", "mv", "s3://high/x/deep/small", "s3://high/y/small"]);
    let listed = aws(&["s3", "ls", "--recursive", "s3://high/y/"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    aws(&["s3", "sync", "s3://high/y", to.to_str().unwrap()]);
    assert!(std::fs::read(to.join("big")).unwrap() == big, "the copy differs");
    assert_eq!(std::fs::read(to.join("small")).unwrap(), b"small");
    aws(&["s3", "rm", "--recursive", "s3://high"]);
    aws(&["s3", "rb", "s3://high"]);
}

fn presigned(site: &Site) {
    let root = Actor::root(site, Client::Boto, ANN);
    root.ok("s3", "CreateBucket", json!({"Bucket": "signed"}));
    root.ok("s3", "PutObject", json!({"Bucket": "signed", "Key": "k", "Body": b64("by url")}));
    let url = root.clients.presign(
        &root.who,
        ("s3", "GetObject"),
        &json!({"Bucket": "signed", "Key": "k"}),
        60,
    );
    let (path, query) = url.trim_start_matches(site.endpoint("s3")).split_once('?').unwrap();
    let http = site.http("s3");
    for _ in 0..2 {
        let reply = http.exchange(&http.request("GET", path, query, b"")).unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"by url"[..]));
    }
    let other = http.request("GET", "/signed/other", query, b"");
    assert_eq!(http.exchange(&other).unwrap().status, 403);
}
