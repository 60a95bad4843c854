//! Chapter: the customer reads what was done, from CloudTrail's LookupEvents.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use writ_aws::sigv4::client::Credentials;

use super::client::Client;
use super::identity::{People, SOURCE_IDENTITY};
use super::keys::PLAINTEXT;
use super::objects::Objects;
use super::site::{ACCOUNT, OTHER_ACCOUNT};
use super::story::Story;

/// Calls of the chapters before, all of which must be there.
const CALLS: [&str; 13] = [
    "AssumeRole",
    "CreateAccessKey",
    "CreateBucket",
    "CreateKey",
    "CreateRole",
    "CreateUser",
    "Decrypt",
    "DisableKey",
    "EnableKey",
    "Encrypt",
    "GenerateDataKey",
    "GetCallerIdentity",
    "PutUserPolicy",
];
/// The index follows the ledger; it is asked again until it has caught up.
const ROUNDS_MAX: usize = 50;
const ROUND: Duration = Duration::from_millis(200);
const PAGES_MAX: usize = 40;

/// The chapter.
pub fn chapter(
    story: &mut Story,
    client: &Client,
    people: &People,
    objects: &Objects,
    repeated: &[String],
) -> Result<()> {
    story.chapter("History: what the customer can look up", "C-03");
    let events =
        story.need("LookupEvents shows each call", caught_up(client, people), |events| {
            format!("{} events, {} kinds of calls looked for", events.len(), CALLS.len())
        })?;
    story.check("a refused call is there, with its reason", refusal(&events));
    story.check("each repetition of before is there", recorded(&events, repeated));
    story.check("the session's call carries its source identity", source_identity(&events));
    story.check("key uses of S3 name S3", invoked_by(&events, "GenerateDataKey", "Decrypt"));
    story.check("… and the customer's own signature", own_signature(&events, objects));
    story.about("C-01");
    story.check("no record holds a secret or a plaintext", no_secrets(&events, people));
    story.about("C-12");
    let theirs = all(client, &people.stranger).and_then(|events| only_of(&events, OTHER_ACCOUNT));
    story.check("the other account sees its own events only", theirs);
    story.check("… and so does this one", only_of(&events, ACCOUNT));
    Ok(())
}

/// All events of the account, once the calls of the chapters before are among them.
fn caught_up(client: &Client, people: &People) -> Result<Vec<Value>> {
    let mut missing = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let events = all(client, &people.ann)?;
        missing = CALLS.to_vec();
        missing.retain(|call| !events.iter().any(|event| text(event, "/eventName") == *call));
        if missing.is_empty() {
            return Ok(events);
        }
        std::thread::sleep(ROUND);
    }
    bail!("these calls are missing: {}", missing.join(", "))
}

/// All events of an account.
pub fn all(client: &Client, who: &Credentials) -> Result<Vec<Value>> {
    let mut events = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut input = json!({ "MaxResults": 50 });
        if let (Some(token), Some(input)) = (&next, input.as_object_mut()) {
            input.insert("NextToken".to_owned(), token.as_str().into());
        }
        let page = client.ok(who, &client.cloudtrail("LookupEvents", &input))?.json()?;
        for event in page.pointer("/Events").and_then(Value::as_array).into_iter().flatten() {
            let record = event.pointer("/CloudTrailEvent").and_then(Value::as_str);
            events.push(serde_json::from_str(record.context("an event has no record")?)?);
        }
        next = page.pointer("/NextToken").and_then(Value::as_str).map(str::to_owned);
        if next.is_none() {
            return Ok(events);
        }
    }
    bail!("the pages do not end")
}

fn refusal(events: &[Value]) -> Result<String> {
    let refused = |event: &&Value| {
        text(event, "/eventName") == "CreateUser" && text(event, "/errorCode") == "AccessDenied"
    };
    let event = events.iter().find(refused).context("ann's refused CreateUser is missing")?;
    let who = text(event, "/userIdentity/arn");
    ensure!(who.ends_with(":user/ann"), "it names {who}");
    Ok(format!("CreateUser, AccessDenied, {who}"))
}

fn recorded(events: &[Value], request_ids: &[String]) -> Result<String> {
    let known = |id: &&String| events.iter().any(|event| text(event, "/requestID") == **id);
    let found = request_ids.iter().filter(known).count();
    ensure!(found == request_ids.len() && found > 0, "{found} of {}", request_ids.len());
    Ok(format!("{found} records by their request ids"))
}

fn source_identity(events: &[Value]) -> Result<String> {
    let listed = |event: &&Value| {
        text(event, "/eventName") == "ListUsers"
            && text(event, "/userIdentity/type") == "AssumedRole"
    };
    let event = events.iter().find(listed).context("the session's ListUsers is missing")?;
    let found = text(event, "/userIdentity/sessionContext/sourceIdentity");
    ensure!(found == SOURCE_IDENTITY, "it is `{found}`");
    Ok(found.to_owned())
}

fn invoked_by(events: &[Value], on_put: &str, on_get: &str) -> Result<String> {
    let mut counts = Vec::new();
    for name in [on_put, on_get] {
        let uses: Vec<&Value> = for_s3(events, name).collect();
        ensure!(!uses.is_empty(), "there is no {name} with invokedBy s3.amazonaws.com");
        for event in &uses {
            let fas = event.pointer("/additionalEventData/fas");
            ensure!(fas.is_some(), "a {name} for S3 has no additionalEventData.fas");
        }
        counts.push(format!("{} {name}", uses.len()));
    }
    Ok(format!("{} by s3.amazonaws.com", counts.join(" and ")))
}

/// The customer knows the signature of their PutObject; nobody else could have named its digest
/// before it was sent.
fn own_signature(events: &[Value], objects: &Objects) -> Result<String> {
    let digest = hex::encode(objects.put_digest);
    let named = |event: &&Value| text(event, "/additionalEventData/fas/signatureSha256") == digest;
    let event = for_s3(events, "GenerateDataKey").find(named);
    let event = event.context("no key use names the signature of the PutObject")?;
    let who = text(event, "/userIdentity/arn");
    ensure!(who.ends_with(":user/ann"), "the key was used as {who}");
    Ok(format!("SHA-256 of PutObject's signature is {}…", digest.get(..16).unwrap_or_default()))
}

fn no_secrets(events: &[Value], people: &People) -> Result<String> {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(PLAINTEXT);
    let whole: Vec<String> = events.iter().map(Value::to_string).collect();
    let token = people.session.session_token.as_ref().map(|token| token.as_str());
    for (what, secret) in [
        ("the owner's secret", people.owner.secret.as_str()),
        ("ann's secret", people.ann.secret.as_str()),
        ("the session's secret", people.session.secret.as_str()),
        ("the session's token", token.unwrap_or_default()),
        ("the plaintext", PLAINTEXT),
        ("the plaintext", &encoded),
    ] {
        ensure!(!secret.is_empty(), "there is nothing to look for: {what}");
        ensure!(!whole.iter().any(|event| event.contains(secret)), "{what} is in a record");
    }
    Ok(format!("{} records, {} bytes", whole.len(), whole.iter().map(String::len).sum::<usize>()))
}

fn only_of(events: &[Value], account: &str) -> Result<String> {
    ensure!(!events.is_empty(), "there are no events");
    let foreign = events.iter().find(|event| text(event, "/recipientAccountId") != account);
    match foreign {
        None => Ok(format!("{} events of {account}", events.len())),
        Some(event) => bail!("an event of {}", text(event, "/recipientAccountId")),
    }
}

fn for_s3<'a>(events: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| {
        text(event, "/eventName") == name
            && text(event, "/eventSource") == "kms.amazonaws.com"
            && text(event, "/userIdentity/invokedBy") == "s3.amazonaws.com"
    })
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
