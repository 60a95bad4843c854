//! Chapter: objects under the customer's key.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use writ_aws::sigv4::client::Credentials;
use writ_model::{Env as _, SystemEnv};
use writ_proof::hash::sha256;

use super::client::{Client, Request, send};
use super::identity::People;
use super::keys::Key;
use super::search::{mega, search};
use super::site::write;
use super::story::Story;

/// The bucket.
pub const BUCKET: &str = "tour-objects";
const SMALL: &str = "letters/to the bank.txt";
const LARGE: &str = "scans/large.bin";
/// The smallest part that is not the last one.
const PART_BYTES: usize = 5 * 1024 * 1024;
const SSE: &str = "x-amz-server-side-encryption";
const SSE_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const PRESIGNED_FOR: Duration = Duration::from_secs(60);

/// What was stored.
pub struct Objects {
    small: Vec<u8>,
    /// SHA-256 of the signature that stored the small object, as the customer knows it.
    pub put_digest: [u8; 32],
}

impl Objects {
    /// A request to read the small object.
    pub fn get(client: &Client) -> Request {
        client.s3("GET", BUCKET, SMALL)
    }

    /// Reads the small object as `who`, and compares.
    pub fn small_is_whole(&self, client: &Client, who: &Credentials) -> Result<String> {
        let reply = client.ok(who, &Objects::get(client))?;
        ensure!(reply.body == self.small, "it reads differently");
        Ok(format!("the same {} bytes", reply.body.len()))
    }
}

/// The chapter.
pub fn chapter(
    story: &mut Story,
    client: &Client,
    people: &People,
    key: &Key,
    base: &Path,
) -> Result<Objects> {
    story.chapter("Objects: encrypted under the customer's key", "C-02");
    let ann = &people.ann;
    let bucket = client.ok(ann, &client.s3("PUT", BUCKET, ""));
    story.need("CreateBucket", bucket, |_| BUCKET.to_owned())?;
    let marker = format!("marker {}", SystemEnv.nonce());
    let small = text(&marker, 200_000);
    let put_digest = story.need("PutObject with SSE-KMS", put(client, ann, key, &small), |_| {
        format!("{} bytes under the key of chapter 3", small.len())
    })?;
    let objects = Objects { small, put_digest };
    story.check("GetObject gives them back", objects.small_is_whole(client, ann));
    story.check("GetObject of a range", range(client, ann, SMALL, &objects.small, 70_000, 70_999));
    multipart(story, client, ann, key, &marker)?;
    nowhere_in_plaintext(story, base, &marker, people)?;
    doors(story, client, people, key, &objects)?;
    Ok(objects)
}

fn put(client: &Client, who: &Credentials, key: &Key, body: &[u8]) -> Result<[u8; 32]> {
    let put = client
        .s3("PUT", BUCKET, SMALL)
        .header("content-type", "text/plain")
        .header(SSE, "aws:kms")
        .header(SSE_KEY, &key.arn)
        .body(body);
    let signed = client.sign(who, &put)?;
    let reply = send(&signed.request)?.success()?;
    ensure!(reply.header(SSE) == Some("aws:kms"), "the reply does not say that it is encrypted");
    ensure!(reply.header(SSE_KEY) == Some(&*key.arn), "the reply names another key");
    Ok(signed.digest)
}

fn range(
    client: &Client,
    who: &Credentials,
    name: &str,
    whole: &[u8],
    from: usize,
    to: usize,
) -> Result<String> {
    let get = client.s3("GET", BUCKET, name).header("range", &format!("bytes={from}-{to}"));
    let reply = client.ok(who, &get)?;
    ensure!(reply.status == 206, "the status is {}", reply.status);
    let told = reply.header("content-range").unwrap_or_default();
    ensure!(told == format!("bytes {from}-{to}/{}", whole.len()), "it says `{told}`");
    ensure!(whole.get(from..=to) == Some(&*reply.body), "other bytes came");
    Ok(told.to_owned())
}

fn multipart(
    story: &mut Story,
    client: &Client,
    who: &Credentials,
    key: &Key,
    marker: &str,
) -> Result<()> {
    let whole = text(marker, 2 * PART_BYTES + 1);
    let stored = upload(client, who, key, &whole);
    story.need("multipart upload of 5 MiB, 5 MiB and 1 byte", stored, String::clone)?;
    let reply = client.ok(who, &client.s3("GET", BUCKET, LARGE));
    let read = reply.and_then(|reply| {
        ensure!(sha256(&reply.body) == sha256(&whole), "other bytes came");
        Ok(format!("{:.1} MB, the same SHA-256", mega(reply.body.len())))
    });
    story.check("GetObject joins the parts", read);
    let border = range(client, who, LARGE, &whole, PART_BYTES - 10, PART_BYTES + 9);
    story.check("GetObject of a range over the border of parts", border);
    Ok(())
}

fn upload(client: &Client, who: &Credentials, key: &Key, whole: &[u8]) -> Result<String> {
    let create = client
        .s3("POST", BUCKET, LARGE)
        .query(&[("uploads", "")])
        .header(SSE, "aws:kms")
        .header(SSE_KEY, &key.arn);
    let id = client.ok(who, &create)?.element("UploadId")?;
    let mut list = String::new();
    for (part, number) in whole.chunks(PART_BYTES).zip(1..) {
        let put = client
            .s3("PUT", BUCKET, LARGE)
            .query(&[("partNumber", &format!("{number}")), ("uploadId", &id)])
            .body(part);
        let reply = client.ok(who, &put)?;
        let etag = reply.header("etag").context("the part has no ETag")?;
        list.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>",
            etag.replace('"', "&quot;")
        ));
    }
    let body = format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{list}\
         </CompleteMultipartUpload>"
    );
    let complete =
        client.s3("POST", BUCKET, LARGE).query(&[("uploadId", &id)]).body(body.as_bytes());
    let etag = client.ok(who, &complete)?.element("ETag")?;
    ensure!(etag.trim_matches('"').ends_with("-3"), "the ETag is {etag}");
    Ok(format!("ETag {}", etag.trim_matches('"')))
}

fn nowhere_in_plaintext(
    story: &mut Story,
    base: &Path,
    marker: &str,
    people: &People,
) -> Result<()> {
    story.about("C-01");
    let data = base.join("data");
    let control = base.join("control");
    std::fs::create_dir(&control)?;
    write(&control.join("file"), &text(marker, 100_000))?;
    let found = search(&control, marker.as_bytes())?;
    let control = match found.hits.len() {
        1 => Ok("the searcher finds the marker where it lies".to_owned()),
        n => Err(anyhow::anyhow!("the searcher found it {n} times, not once")),
    };
    story.check("control of the next search", control);
    let found = search(&data, marker.as_bytes()).and_then(|found| found.found_nothing());
    story.attack("reading the objects off the disk", found);
    let secret = people.owner.secret.as_bytes();
    let owner = search(&data, secret).and_then(|found| match found.hits.as_slice() {
        [only] if *only == data.join("credentials") => {
            Ok("the owner's: in `credentials`".to_owned())
        }
        hits => bail!("the owner's secret is in {hits:?}"),
    });
    story.check("control: a secret that mode dev writes down", owner);
    let secret = people.ann.secret.as_bytes();
    let found = search(&data, secret).and_then(|found| found.found_nothing());
    story.attack("reading ann's secret access key off the disk", found);
    Ok(())
}

fn doors(
    story: &mut Story,
    client: &Client,
    people: &People,
    key: &Key,
    objects: &Objects,
) -> Result<()> {
    story.about("C-02");
    let (ann, get) = (&people.ann, Objects::get(client));
    let presigned = client.presign(ann, &get, SystemEnv.now(), PRESIGNED_FOR)?;
    let read = send(&presigned).and_then(|reply| {
        ensure!(reply.success()?.body == objects.small, "other bytes came");
        Ok(format!("good for {} s", PRESIGNED_FOR.as_secs()))
    });
    story.check("GetObject through a presigned URL", read);
    key.switch(client, ann, "DisableKey")?;
    let refused = client.call(ann, &get)?.refused("KMS.DisabledException");
    story.attack("GetObject after DisableKey", refused);
    let refused = send(&presigned)?.refused("KMS.DisabledException");
    story.attack("… and through the URL presigned before", refused);
    key.switch(client, ann, "EnableKey")?;
    story.check("GetObject after EnableKey", objects.small_is_whole(client, ann));
    let refused = client.call(&people.stranger, &get)?.refused("AccessDenied");
    story.attack("GetObject by another account's owner", refused);
    story.attack("GetObject without a signature", send(&get)?.refused("AccessDenied"));
    let refused = client.call(&people.session, &get)?.refused("AccessDenied");
    story.attack("GetObject by a session whose policy lacks it", refused);
    Ok(())
}

/// Text in which `marker` stands in every line.
fn text(marker: &str, bytes: usize) -> Vec<u8> {
    let line = format!("{marker} is in every line of what the customer stored\n");
    line.bytes().cycle().take(bytes).collect()
}
