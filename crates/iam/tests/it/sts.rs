//! STS: who may assume what, in which account, for how long, with what.

use writ_keyd_client::caller::Caller;

use crate::world::{ALL, AWAY, HOME, World, allow, at, enc, root, trust};

const ASSUME: &str = "\"sts:AssumeRole\"";
const EVERYTHING: &str = r#"["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]"#;
const ROLE: &str = "RoleArn=arn:aws:iam::111122223333:role/R&RoleSessionName=sess";

/// A world with users `ann` (all rights) and `bob` (none) at home, `eve` (all rights) and `tom`
/// (none) away, and role R at home with this trust policy.
async fn with_role(policy: &str) -> World {
    let (mut w, me, away) = (World::new(), root(HOME), root(AWAY));
    for (owner, rich, poor) in [(&me, "ann", "bob"), (&away, "eve", "tom")] {
        w.ok(owner, "CreateUser", &format!("UserName={rich}")).await;
        w.ok(owner, "CreateUser", &format!("UserName={poor}")).await;
        w.ok(
            owner,
            "PutUserPolicy",
            &format!("UserName={rich}&PolicyName=p&PolicyDocument={}", enc(ALL)),
        )
        .await;
    }
    w.ok(
        &me,
        "CreateRole",
        &format!("RoleName=R&MaxSessionDuration=7200&AssumeRolePolicyDocument={}", enc(policy)),
    )
    .await;
    let _ = w.asked();
    w
}

fn callers(w: &World) -> [(&'static str, Caller); 4] {
    [
        ("ann", w.user("ann")),
        ("bob", w.user("bob")),
        ("eve", w.user_of(AWAY, "eve")),
        ("tom", w.user_of(AWAY, "tom")),
    ]
}

#[tokio::test]
async fn trust_policy_and_identity_policies_decide_together() {
    let user = |owner: &str, name: &str| format!("arn:aws:iam::{owner}:user/{name}");
    // Whom the role trusts, and who can then assume it.
    let table = [
        (HOME.to_owned(), &["ann"][..]),
        (AWAY.to_owned(), &["eve"]),
        // Naming the user is enough at home; across accounts both sides must allow.
        (user(HOME, "bob"), &["bob"]),
        (user(AWAY, "eve"), &["eve"]),
        (user(AWAY, "tom"), &[]),
        ("*".to_owned(), &["ann", "bob", "eve"]),
    ];
    for (principal, allowed) in table {
        let mut w = with_role(&trust(&principal, ASSUME, "")).await;
        for (name, caller) in callers(&w) {
            let result = w.run(&caller, "AssumeRole", ROLE).await;
            assert_eq!(result.is_ok(), allowed.contains(&name), "{principal} by {name}");
            match result {
                Ok(outcome) => {
                    assert_eq!(
                        at(&outcome.reply, "AssumedRoleUser.Arn"),
                        "arn:aws:sts::111122223333:assumed-role/R/sess"
                    );
                    assert_eq!(at(&outcome.reply, "PackedPolicySize"), "3");
                    assert_eq!(w.session().account.to_string(), HOME);
                    // keyd hears of identity policies wherever they had to allow.
                    let rests = principal.len() == 12 || name == "eve";
                    assert_eq!(
                        w.asked(),
                        [format!("issue delegated={rests}")],
                        "{principal} by {name}"
                    );
                }
                Err(error) => {
                    assert!(error.message.contains("is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111122223333:role/R"), "{error}");
                    assert!(w.asked().is_empty());
                }
            }
        }
    }
}

#[tokio::test]
async fn role_that_does_not_exist_is_refused_like_one_that_may_not_be_assumed() {
    let mut w = with_role(&trust(HOME, ASSUME, "")).await;
    let ann = w.user("ann");
    for role in [
        "111122223333:role/Q",
        "111122223333:role/r",
        "111122223333:role/p/R",
        "444455556666:role/R",
        "111122223333:user/ann",
    ] {
        let form = format!("RoleArn=arn:aws:iam::{role}&RoleSessionName=sess");
        let error = w.err(&ann, "AssumeRole", &form).await;
        assert!(error.starts_with("AccessDenied: User: arn:aws:iam::111122223333:user/ann is not authorized to perform: sts:AssumeRole"), "{role}: {error}");
    }
    let error =
        w.err(&ann, "AssumeRole", "RoleArn=this-is-no-arn-at-all-&RoleSessionName=sess").await;
    assert_eq!(error, "ValidationError: this-is-no-arn-at-all- is invalid");
    assert!(w.asked().is_empty());
}

#[tokio::test]
async fn conditions_of_the_trust_policy_see_what_is_asked() {
    let tag = "&Tags.member.1.Key=Team&Tags.member.1.Value=a";
    let transitive = format!("{tag}&TransitiveTagKeys.member.1=Team");
    // A condition; parameters with which it holds, and with which it does not.
    let table = [
        (r#"{"StringEquals":{"sts:ExternalId":"x1"}}"#, "&ExternalId=x1", "&ExternalId=x2"),
        (r#"{"StringEquals":{"sts:ExternalId":"x1"}}"#, "&ExternalId=x1", ""),
        (
            r#"{"StringLike":{"sts:SourceIdentity":"ann"}}"#,
            "&SourceIdentity=ann",
            "&SourceIdentity=bob",
        ),
        (r#"{"StringEquals":{"aws:RequestTag/team":"a"}}"#, tag, ""),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"Team"}}"#, tag, ""),
        (
            r#"{"ForAnyValue:StringEquals":{"sts:TransitiveTagKeys":"Team"}}"#,
            transitive.as_str(),
            tag,
        ),
        (
            r#"{"NumericLessThan":{"sts:DurationSeconds":"1000"}}"#,
            "&DurationSeconds=900",
            "&DurationSeconds=1000",
        ),
        (r#"{"StringEquals":{"sts:RoleSessionName":"sess"}}"#, "", "!"),
    ];
    for (condition, good, bad) in table {
        let policy = trust("*", EVERYTHING, &format!(",\"Condition\":{condition}"));
        let mut w = with_role(&policy).await;
        let ann = w.user("ann");
        w.ok(&ann, "AssumeRole", &format!("{ROLE}{good}")).await;
        let form = if bad == "!" { ROLE.replace("sess", "other") } else { format!("{ROLE}{bad}") };
        let error = w.err(&ann, "AssumeRole", &form).await;
        assert!(error.starts_with("AccessDenied"), "{condition}: {error}");
    }
}

#[tokio::test]
async fn tags_and_source_identity_need_rights_of_their_own() {
    let tag = "&Tags.member.1.Key=Team&Tags.member.1.Value=a";
    for (more, action) in
        [(tag, "sts:TagSession"), ("&SourceIdentity=ann", "sts:SetSourceIdentity")]
    {
        let mut w = with_role(&trust("*", ASSUME, "")).await;
        let ann = w.user("ann");
        w.ok(&ann, "AssumeRole", ROLE).await;
        let error = w.err(&ann, "AssumeRole", &format!("{ROLE}{more}")).await;
        assert!(error.contains(&format!("is not authorized to perform: {action}")), "{error}");
        let mut w = with_role(&trust("*", EVERYTHING, "")).await;
        let ann = w.user("ann");
        w.ok(&ann, "AssumeRole", &format!("{ROLE}{more}")).await;
    }
}

#[tokio::test]
async fn inherited_transitive_tags_cannot_be_set_again() {
    let mut w = with_role(&trust("*", EVERYTHING, "")).await;
    let ann = w.user("ann");
    w.ok(&ann, "AssumeRole", ROLE).await;
    let mut chain = w.session();
    w.ok(
        &root(HOME),
        "PutRolePolicy",
        &format!("RoleName=R&PolicyName=p&PolicyDocument={}", enc(ALL)),
    )
    .await;
    let session = chain.session.as_mut().unwrap();
    session.tags = vec![("Team".to_owned(), "a".to_owned())];
    session.transitive_tag_keys = vec!["Team".to_owned()];
    session.source_identity = Some("ann".to_owned());
    let table = [
        (
            "&Tags.member.1.Key=team&Tags.member.1.Value=b",
            "InvalidParameterValue: One of the specified transitive tag keys can't be set",
        ),
        (
            "&Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.2.Key=A&Tags.member.2.Value=c",
            "InvalidParameterValue: Duplicate tag keys found.",
        ),
        (
            "&TransitiveTagKeys.member.1=None",
            "InvalidParameterValue: The specified transitive tag key must be included",
        ),
        (
            "&SourceIdentity=bob",
            "AccessDenied: The source identity of the calling session cannot be changed.",
        ),
    ];
    for (more, expected) in table {
        let error = w.err(&chain, "AssumeRole", &format!("{ROLE}{more}")).await;
        assert!(error.starts_with(expected), "{more}: {error}");
    }
    let reply = w.ok(&chain, "AssumeRole", &format!("{ROLE}&SourceIdentity=ann")).await;
    assert_eq!(at(&reply, "SourceIdentity"), "ann");
}

#[tokio::test]
async fn sessions_last_as_long_as_role_and_chain_allow() {
    let mut w = with_role(&trust("*", ASSUME, "")).await;
    w.ok(
        &root(HOME),
        "PutRolePolicy",
        &format!("RoleName=R&PolicyName=p&PolicyDocument={}", enc(ALL)),
    )
    .await;
    let ann = w.user("ann");
    w.ok(&ann, "AssumeRole", ROLE).await;
    let chain = w.session();
    let too_long = "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    let chained = "ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
    let table = [
        (&ann, 899, "ValidationError: 1 validation error detected"),
        (&ann, 900, ""),
        (&ann, 7200, ""),
        (&ann, 7201, too_long),
        (&ann, 43_201, "ValidationError: 1 validation error detected"),
        (&chain, 3600, ""),
        (&chain, 3601, chained),
    ];
    for (caller, seconds, expected) in table {
        let form = format!("{ROLE}&DurationSeconds={seconds}");
        match (w.run(caller, "AssumeRole", &form).await, expected) {
            (Ok(_), "") => {}
            (Err(error), expected) if !expected.is_empty() => {
                assert!(error.to_string().starts_with(expected), "{seconds}: {error}");
            }
            (result, _) => panic!("{seconds}: {}", result.is_ok()),
        }
    }
}

#[tokio::test]
async fn session_policies_are_read_before_they_are_sealed() {
    let mut w = with_role(&trust("*", ASSUME, "")).await;
    let ann = w.user("ann");
    w.ok(&root(AWAY), "CreatePolicy", &format!("PolicyName=P&PolicyDocument={}", enc(ALL))).await;
    let _ = w.asked();
    let policy = |text: &str| format!("&Policy={}", enc(text));
    let long = allow("s3:GetObject", &format!("arn:aws:s3:::{}", "x".repeat(2048)));
    let table = [
        (policy(&allow("s3:*", "*")), ""),
        (policy("{}"), "MalformedPolicyDocument: $"),
        (
            policy(&long),
            "PackedPolicyTooLarge: Packed size of session policies and tags consumes 1",
        ),
        ("&PolicyArns.member.1.arn=arn:aws:iam::aws:policy/IAMFullAccess".to_owned(), ""),
        (
            format!("&PolicyArns.member.1.arn=arn:aws:iam::{AWAY}:policy/P"),
            "ValidationError: Policy arn:aws:iam::444455556666:policy/P does not exist",
        ),
        (
            "&PolicyArns.member.1.arn=arn:aws:iam::aws:policy/Nothing".to_owned(),
            "ValidationError: Policy",
        ),
    ];
    for (more, expected) in table {
        let result = w.run(&ann, "AssumeRole", &format!("{ROLE}{more}")).await;
        let text = result.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            text.starts_with(expected) && text.is_empty() == expected.is_empty(),
            "{more}: {text}"
        );
    }
}

#[tokio::test]
async fn each_credential_may_call_what_aws_lets_it_call() {
    let mut w = with_role(&trust("*", ASSUME, "")).await;
    w.ok(
        &root(HOME),
        "PutRolePolicy",
        &format!("RoleName=R&PolicyName=p&PolicyDocument={}", enc(ALL)),
    )
    .await;
    let ann = w.user("ann");
    w.ok(&ann, "AssumeRole", ROLE).await;
    let role = w.session();
    w.ok(&ann, "GetSessionToken", "").await;
    let token = w.session();
    let mut with_mfa = token.clone();
    with_mfa.session.as_mut().unwrap().mfa_at = Some(w.env_now());
    let unknown = "InvalidClientTokenId: The security token included in the request is invalid.";
    let root_may_not = "AccessDenied: Roles may not be assumed by root accounts.";
    let no_token = "AccessDenied: Cannot call GetSessionToken with session credentials";
    let no_info = "AccessDenied: Cannot call GetAccessKeyInfo with session credentials";
    let info = "AccessKeyId=ASIAQNZGKIQY56JQ7WML";
    let root = root(HOME);
    let table = [
        // A caller; then GetCallerIdentity, AssumeRole, GetSessionToken, GetAccessKeyInfo, IAM.
        ("root", &root, ["", root_may_not, "", "", ""]),
        ("user", &ann, ["", "", "", "", ""]),
        ("role", &role, ["", "", no_token, "", ""]),
        ("token", &token, ["", "", no_token, no_info, unknown]),
        ("token with MFA", &with_mfa, ["", "", no_token, no_info, ""]),
    ];
    let calls = [
        ("GetCallerIdentity", ""),
        ("AssumeRole", ROLE),
        ("GetSessionToken", ""),
        ("GetAccessKeyInfo", info),
        ("ListUsers", ""),
    ];
    for (name, caller, expected) in table {
        for ((operation, form), expected) in calls.iter().zip(expected) {
            let result = w.run(caller, operation, form).await;
            let text = result.err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(text, expected, "{operation} by {name}");
        }
    }
}

#[tokio::test]
async fn small_operations_answer_as_aws_does() {
    let mut w = with_role(&trust("*", ASSUME, "")).await;
    let ann = w.user("ann");
    let reply = w.ok(&ann, "GetCallerIdentity", "").await;
    assert_eq!(at(&reply, "Arn"), "arn:aws:iam::111122223333:user/ann");
    assert_eq!(at(&reply, "UserId"), ann.unique_id);
    assert_eq!(at(&reply, "Account"), HOME);
    // The example of public decoders; the key need not exist.
    let info = w.ok(&ann, "GetAccessKeyInfo", "AccessKeyId=ASIAQNZGKIQY56JQ7WML").await;
    assert_eq!(at(&info, "Account"), "029608264753");
    assert!(
        w.err(&ann, "GetAccessKeyInfo", "AccessKeyId=XXXXQNZGKIQY56JQ7WML")
            .await
            .starts_with("ValidationError")
    );
    assert_eq!(
        w.err(&ann, "DecodeAuthorizationMessage", "EncodedMessage=abc").await,
        "InvalidAuthorizationMessageException: Message is not valid"
    );
    let mfa = "&SerialNumber=arn:aws:iam::111122223333:mfa/ann&TokenCode=123456";
    for (operation, form) in [("AssumeRole", ROLE), ("GetSessionToken", "a=b")] {
        let error = w.err(&ann, operation, &format!("{form}{mfa}")).await;
        assert_eq!(
            error,
            "AccessDenied: MultiFactorAuthentication failed with invalid MFA one time pass code."
        );
    }
}

#[tokio::test]
async fn records_of_sessions_name_the_key_and_no_secret() {
    let mut w = with_role(&trust("*", ASSUME, "")).await;
    let ann = w.user("ann");
    for (operation, form) in [("AssumeRole", ROLE), ("GetSessionToken", "")] {
        let outcome = w.run(&ann, operation, form).await.unwrap();
        let shown = serde_json::Value::Object(outcome.audit.response_elements.unwrap()).to_string();
        assert!(shown.contains("\"accessKeyId\":\"ASIA"), "{shown}");
        assert!(!shown.contains("ssss") && !shown.contains("token"), "{shown}");
    }
    // The owner of a role gets a copy of the record of a call from elsewhere.
    let eve = w.user_of(AWAY, "eve");
    let outcome = w.run(&eve, "AssumeRole", ROLE).await.unwrap();
    assert_eq!(outcome.audit.resources[0].account.unwrap().to_string(), HOME);
}
