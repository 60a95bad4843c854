//! Chapter: who may do what. Users, access keys, policies, roles and sessions.

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use writ_aws::sigv4::client::Credentials;
use zeroize::Zeroizing;

use super::client::Client;
use super::reply::Reply;
use super::site::{ACCOUNT, OTHER_ACCOUNT, Site};
use super::story::Story;

/// Everybody in the story.
pub struct People {
    /// The owner of the account.
    pub owner: Credentials,
    /// A user of the account.
    pub ann: Credentials,
    /// A session of the account's role, narrowed to `iam:ListUsers`.
    pub session: Credentials,
    /// The owner of the other account.
    pub stranger: Credentials,
    /// A user of the other account, whom that account allows everything that it can allow.
    pub mallory: Credentials,
}

/// The identity that the session carries for good.
pub const SOURCE_IDENTITY: &str = "ann.of.customer";

/// The chapter.
pub fn chapter(story: &mut Story, client: &Client, site: &Site) -> Result<People> {
    story.chapter("Identity: users, policies, roles, sessions", "C-13");
    let owner = site.owner(ACCOUNT)?;
    let stranger = site.owner(OTHER_ACCOUNT)?;
    let whoami = client.query("sts", "GetCallerIdentity", &[]);
    let arn = client.ok(&owner, &whoami).and_then(|r| expect(&r, "Arn", &root(ACCOUNT)));
    story.need("GetCallerIdentity by the account's owner", arn, String::clone)?;

    let ann = user(client, &owner, "ann", &ann_policy());
    let ann = story.need("CreateUser, CreateAccessKey, PutUserPolicy", ann, |ann| {
        format!("ann signs with {}", ann.access_key_id)
    })?;
    let mallory = user(client, &stranger, "mallory", &everything())?;
    let myself = client.query("iam", "GetUser", &[]);
    let arn = client.ok(&ann, &myself).and_then(|r| expect(&r, "Arn", &of(ACCOUNT, "user/ann")));
    story.check("a call that ann's policy allows: GetUser", arn);
    denials(story, client, &owner, &ann)?;
    let session = role_and_session(story, client, &owner, &ann, &mallory)?;
    Ok(People { owner, ann, session, stranger, mallory })
}

fn denials(
    story: &mut Story,
    client: &Client,
    owner: &Credentials,
    ann: &Credentials,
) -> Result<()> {
    let create = client.query("iam", "CreateUser", &[("UserName", "eve")]);
    let wording = format!(
        "User: {} is not authorized to perform: iam:CreateUser on resource: {} \
         because no identity-based policy allows the iam:CreateUser action",
        of(ACCOUNT, "user/ann"),
        of(ACCOUNT, "user/eve")
    );
    let refused = client.call(ann, &create)?.refused_saying("AccessDenied", &wording);
    story.attack("a call that no policy allows, in AWS's words", refused);
    let unknown = json!({ "Version": "2012-10-17", "Statement":
        { "Effect": "Allow", "Action": "*", "Resource": "*", "Unless": "asked" } });
    let put = put_policy(client, "User", "ann", &unknown);
    let refused = client.call(owner, &put)?.refused("MalformedPolicyDocument");
    story.attack("a policy with an element that nobody knows", refused);
    Ok(())
}

fn role_and_session(
    story: &mut Story,
    client: &Client,
    owner: &Credentials,
    ann: &Credentials,
    mallory: &Credentials,
) -> Result<Credentials> {
    let role = of(ACCOUNT, "role/reader");
    let trust = policy(&json!([{
        "Effect": "Allow", "Principal": { "AWS": of(ACCOUNT, "user/ann") },
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
    }]));
    let input = [("RoleName", "reader"), ("AssumeRolePolicyDocument", &trust.to_string())];
    let made = client.ok(owner, &client.query("iam", "CreateRole", &input));
    let made = made.and_then(|reply| expect(&reply, "Arn", &role));
    story.need("CreateRole, which trusts ann alone", made, String::clone)?;
    let lists = policy(&json!([{
        "Effect": "Allow", "Action": ["iam:ListUsers", "iam:ListRoles"], "Resource": "*",
    }]));
    client.ok(owner, &put_policy(client, "Role", "reader", &lists))?;

    let narrow =
        policy(&json!([{ "Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*" }]));
    let input = [
        ("RoleArn", role.as_str()),
        ("RoleSessionName", "tour"),
        ("SourceIdentity", SOURCE_IDENTITY),
        ("Policy", &narrow.to_string()),
    ];
    let assume = client.query("sts", "AssumeRole", &input);
    let session = client.ok(ann, &assume).and_then(|reply| {
        expect(&reply, "SourceIdentity", SOURCE_IDENTITY)?;
        session_of(&reply)
    });
    let session = story.need("AssumeRole: session policy, source identity", session, |s| {
        format!("a session signs with {}", s.access_key_id)
    })?;
    let name = format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/tour");
    let whoami = client.query("sts", "GetCallerIdentity", &[]);
    let arn = client.ok(&session, &whoami).and_then(|reply| expect(&reply, "Arn", &name));
    story.check("GetCallerIdentity by the session", arn);
    let users = client.ok(&session, &client.query("iam", "ListUsers", &[]));
    let users = users.and_then(|reply| expect(&reply, "UserName", "ann"));
    story.check("ListUsers: role and session policy allow it", users);
    let roles = client.call(&session, &client.query("iam", "ListRoles", &[]))?;
    let refused = roles.refused_saying("AccessDenied", "because no session policy allows");
    story.attack("ListRoles: the role allows it, the session not", refused);
    story.about("C-12");
    let refused = client.call(mallory, &assume)?.refused("AccessDenied");
    story.attack("another account's user assumes the role", refused);
    Ok(session)
}

/// Creates a user with an access key and an inline policy.
fn user(client: &Client, owner: &Credentials, name: &str, document: &Value) -> Result<Credentials> {
    let input = [("UserName", name)];
    client.ok(owner, &client.query("iam", "CreateUser", &input))?;
    client.ok(owner, &put_policy(client, "User", name, document))?;
    let key = client.ok(owner, &client.query("iam", "CreateAccessKey", &input))?;
    Ok(Credentials::new(&key.element("AccessKeyId")?, &key.element("SecretAccessKey")?))
}

fn put_policy(client: &Client, kind: &str, name: &str, document: &Value) -> super::client::Request {
    let input = [
        (&*format!("{kind}Name"), name),
        ("PolicyName", "tour"),
        ("PolicyDocument", &document.to_string()),
    ];
    client.query("iam", &format!("Put{kind}Policy"), &input)
}

fn session_of(reply: &Reply) -> Result<Credentials> {
    let token = Zeroizing::new(reply.element("SessionToken")?);
    let made = Credentials::new(&reply.element("AccessKeyId")?, &reply.element("SecretAccessKey")?);
    ensure!(!token.is_empty(), "the session has an empty token");
    Ok(Credentials { session_token: Some(token), ..made })
}

fn ann_policy() -> Value {
    policy(&json!([
        { "Sid": "KeysAndObjects", "Effect": "Allow", "Action": ["kms:*", "s3:*"], "Resource": "*" },
        { "Sid": "History", "Effect": "Allow", "Action": "cloudtrail:LookupEvents", "Resource": "*" },
        { "Sid": "Oneself", "Effect": "Allow", "Action": "iam:GetUser",
          "Resource": of(ACCOUNT, "user/ann") },
        { "Sid": "Reader", "Effect": "Allow",
          "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
          "Resource": of(ACCOUNT, "role/reader") },
    ]))
}

fn everything() -> Value {
    policy(&json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]))
}

fn policy(statements: &Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// The ARN of an account's root.
pub fn root(account: &str) -> String {
    of(account, "root")
}

fn of(account: &str, resource: &str) -> String {
    format!("arn:aws:iam::{account}:{resource}")
}

/// The element's text, which must be `wanted`.
fn expect(reply: &Reply, element: &str, wanted: &str) -> Result<String> {
    let found = reply.element(element)?;
    if found != wanted {
        bail!("<{element}> is `{found}`, not `{wanted}`");
    }
    Ok(found)
}
