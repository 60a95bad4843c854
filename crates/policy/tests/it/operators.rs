//! Tables of "IAM JSON policy elements: Condition operators" and "Set operators for multivalued
//! context keys": every operator with a value that fits, one that does not, one of the wrong type,
//! no value, `IfExists` and both set prefixes.

use serde_json::json;
use writ_policy::{
    Context, Decision, Layers, Named, Outcome, Policy, PolicyKind, Principal, Request,
};
use writ_policy::{evaluate, explain};

const KEY: &str = "test:key";

/// Whether an Allow with this one condition holds; the trace must say the same.
fn holds(operator: &str, wanted: &[&str], values: Option<&[&str]>) -> bool {
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*",
        "Resource": "*", "Condition": {operator: {"Test:KEY": wanted}}}});
    let policy = Policy::parse(&document.to_string(), PolicyKind::Identity).unwrap();
    let mut context = Context::new().with("aws:username", "alice");
    if let Some(values) = values {
        context.insert_many(KEY, values.iter().copied());
    }
    let account = "111111111111".parse().unwrap();
    let arn = "arn:aws:iam::111111111111:user/alice".parse().unwrap();
    let user = Principal::user(arn, account, "AIDAALICE");
    let request = Request {
        principal: Some(&user),
        action: "s3:GetObject",
        resource: "arn:aws:s3:::b/k",
        resource_account: None,
        context: &context,
    };
    let identity = [Named { name: "p", policy: &policy }];
    let layers = Layers { identity: &identity, ..Layers::default() };
    let allowed = evaluate(&request, &layers) == Decision::Allow;
    let outcome = &explain(&request, &layers).statements[0].outcome;
    let expected = if allowed {
        Outcome::Matches
    } else {
        Outcome::ConditionFails {
            operator: operator.to_owned(),
            key: KEY.to_owned(),
            missing: values.is_none_or(<[_]>::is_empty),
        }
    };
    assert_eq!(*outcome, expected, "{operator}");
    allowed
}

fn check(operator: &str, wanted: &[&str], values: Option<&[&str]>, expected: bool) {
    assert_eq!(holds(operator, wanted, values), expected, "{operator} {wanted:?} on {values:?}");
}

/// Operator, policy value, a value that fits (by the positive sense), one that does not, and one of
/// the wrong type.
const OPERATORS: [(&str, &str, &str, &str, &str); 26] = [
    ("StringEquals", "Red", "Red", "red", "1"),
    ("StringNotEquals", "Red", "Red", "red", "1"),
    ("StringEqualsIgnoreCase", "Red", "rED", "blue", "1"),
    ("StringNotEqualsIgnoreCase", "Red", "rED", "blue", "1"),
    ("StringLike", "r*d?", "road1", "Road1", "1"),
    ("StringNotLike", "r*d?", "road1", "Road1", "1"),
    ("NumericEquals", "10", "10.0", "11", "ten"),
    ("NumericNotEquals", "10", "10.0", "11", "ten"),
    ("NumericLessThan", "10", "9.99", "10", "ten"),
    ("NumericLessThanEquals", "10", "10", "10.01", "ten"),
    ("NumericGreaterThan", "10", "11", "10", "ten"),
    ("NumericGreaterThanEquals", "10", "10", "9", "ten"),
    ("DateEquals", "2024-01-01T00:00:00Z", "1704067200", "1704067201", "soon"),
    ("DateNotEquals", "2024-01-01T00:00:00Z", "1704067200", "1704067201", "soon"),
    ("DateLessThan", "2024-01-01", "2023-12-31T23:59:59Z", "2024-01-01T00:00:00Z", "soon"),
    ("DateLessThanEquals", "2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z", "soon"),
    ("DateGreaterThan", "2024-01-01", "2024-01-01T00:00:01Z", "2024-01-01", "soon"),
    ("DateGreaterThanEquals", "2024-01-01", "2024-01-01", "2023-12-31", "soon"),
    ("Bool", "true", "TRUE", "false", "yes"),
    ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", "QmluYXJ6", "%%"),
    ("IpAddress", "203.0.113.0/24", "203.0.113.7", "203.0.114.7", "here"),
    ("NotIpAddress", "203.0.113.0/24", "203.0.113.7", "203.0.114.7", "here"),
    ("ArnEquals", "arn:aws:s3:::b*", "arn:aws:s3:::bucket", "arn:aws:s3:::c", "bucket"),
    ("ArnLike", "arn:aws:s3:::b?", "arn:aws:s3:::b1", "arn:aws:s3:::b12", "b1"),
    ("ArnNotEquals", "arn:aws:s3:::b*", "arn:aws:s3:::bucket", "arn:aws:s3:::c", "bucket"),
    ("ArnNotLike", "arn:aws:s3:::b?", "arn:aws:s3:::b1", "arn:aws:s3:::b12", "b1"),
];

#[test]
fn each_operator_compares_one_value() {
    for (operator, wanted, fits, differs, wrong) in OPERATORS {
        let negated = operator.contains("Not");
        check(operator, &[wanted], Some(&[fits]), !negated);
        check(operator, &[wanted], Some(&[differs]), negated);
        // A type mismatch is no match; a negated operator is the complement.
        check(operator, &[wanted], Some(&[wrong]), negated);
        check(&format!("{operator}IfExists"), &[wanted], Some(&[fits]), !negated);
        check(&format!("{operator}IfExists"), &[wanted], Some(&[differs]), negated);
    }
}

#[test]
fn each_operator_on_a_missing_key_follows_its_sense() {
    for (operator, wanted, ..) in OPERATORS {
        let negated = operator.contains("Not");
        for missing in [None, Some(&[] as &[&str])] {
            check(operator, &[wanted], missing, negated);
            check(&format!("{operator}IfExists"), &[wanted], missing, true);
            check(&format!("ForAllValues:{operator}"), &[wanted], missing, true);
            check(&format!("ForAnyValue:{operator}"), &[wanted], missing, false);
            check(&format!("ForAllValues:{operator}IfExists"), &[wanted], missing, true);
            check(&format!("ForAnyValue:{operator}IfExists"), &[wanted], missing, true);
        }
    }
}

#[test]
fn each_operator_with_a_set_prefix_looks_at_every_value() {
    for (operator, wanted, fits, differs, _) in OPERATORS {
        let negated = operator.contains("Not");
        let (good, bad) = if negated { (differs, fits) } else { (fits, differs) };
        for (values, all, any) in [
            (vec![good], true, true),
            (vec![bad], false, false),
            (vec![good, bad], false, true),
            (vec![good, good], true, true),
        ] {
            check(&format!("ForAllValues:{operator}"), &[wanted], Some(&values), all);
            check(&format!("ForAnyValue:{operator}"), &[wanted], Some(&values), any);
            // Without a prefix AWS leaves the meaning open; one value suffices here.
            check(operator, &[wanted], Some(&values), any);
        }
    }
}

#[test]
fn several_policy_values_are_or_and_for_negated_operators_nor() {
    for (operator, value, expected) in [
        ("StringEquals", "b", true),
        ("StringEquals", "c", false),
        ("StringNotEquals", "b", false),
        ("StringNotEquals", "c", true),
        ("StringNotLike", "a", false),
    ] {
        check(operator, &["a", "b"], Some(&[value]), expected);
    }
    check("NotIpAddress", &["10.0.0.0/8", "192.168.0.0/16"], Some(&["192.168.1.1"]), false);
    check("NotIpAddress", &["10.0.0.0/8", "192.168.0.0/16"], Some(&["8.8.8.8"]), true);
    check("NumericNotEquals", &["1", "2"], Some(&["2"]), false);
    check("ArnNotLike", &["arn:aws:s3:::a", "arn:aws:s3:::b"], Some(&["arn:aws:s3:::b"]), false);
    check("DateNotEquals", &["2024", "2025"], Some(&["2025-01-01"]), false);
    // No value of the request is in the set.
    check("ForAllValues:StringNotEquals", &["a", "b"], Some(&["c", "b"]), false);
    check("ForAllValues:StringNotEquals", &["a", "b"], Some(&["c", "d"]), true);
    check("ForAllValues:StringEquals", &["a", "b"], Some(&["b", "a", "b"]), true);
    check("ForAnyValue:StringEquals", &["a", "b"], Some(&["c", "b"]), true);
    check("StringEquals", &[], Some(&["a"]), false);
    check("StringNotEquals", &[], Some(&["a"]), true);
}

#[test]
fn null_asks_whether_the_key_is_there() {
    for (values, absent) in [
        (None, true),
        (Some(&[] as &[&str]), true),
        // "A null data set, such as an empty string."
        (Some(&[""] as &[&str]), true),
        (Some(&["x"] as &[&str]), false),
        (Some(&["", "x"] as &[&str]), false),
    ] {
        check("Null", &["true"], values, absent);
        check("Null", &["false"], values, !absent);
        check("Null", &["true", "false"], values, true);
    }
    check("ForAllValues:StringEquals", &["a"], Some(&[""]), true);
    check("ForAnyValue:StringEquals", &[""], Some(&[""]), false);
    check("StringEquals", &[""], Some(&[""]), true);
}

#[test]
fn wildcards_and_variables_work_only_where_documented() {
    for (operator, wanted, value, expected) in [
        ("StringEquals", "r*", "red", false),
        ("StringEquals", "r*", "r*", true),
        ("StringEquals", "${aws:username}", "alice", true),
        ("StringEqualsIgnoreCase", "${aws:username}", "ALICE", true),
        ("StringLike", "${aws:username}/*", "alice/x", true),
        ("StringEquals", "${*}", "*", true),
        ("StringLike", "a${*}b", "a*b", true),
        ("StringLike", "a${*}b", "axb", false),
        ("StringEquals", "${$}{x}", "${x}", true),
        // "The value is effectively null. There is no equal or like value."
        ("StringEquals", "${aws:none}", "", false),
        ("StringNotEquals", "${aws:none}", "x", true),
        ("StringEquals", "${aws:none, 'x'}", "x", true),
        ("ArnLike", "arn:aws:iam::*:user/${aws:username}", "arn:aws:iam::1:user/alice", true),
        ("ArnEquals", "arn:aws:iam::*:user/${aws:none}", "arn:aws:iam::1:user/alice", false),
        ("ArnLike", "arn:aws:sns:*:t", "arn:aws:sns:eu-west-1:1:t", false),
        ("ArnLike", "arn:aws:sns:*:*:a*", "arn:aws:sns:eu-west-1:1:a:b/c", true),
        ("ArnLike", "arn:aws:sns", "arn:aws:sns:eu-west-1:1:t", true),
        ("IpAddress", "2001:DB8:1234::/48", "2001:db8:1234:ffff::1", true),
        ("IpAddress", "203.0.113.7", "203.0.113.7", true),
        ("IpAddress", "0.0.0.0/0", "2001:db8::1", false),
        ("Bool", "False", "false", true),
    ] {
        check(operator, &[wanted], Some(&[value]), expected);
    }
}

#[test]
fn operators_and_keys_of_one_condition_are_and() {
    let document = |conditions| {
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*",
            "Resource": "*", "Condition": conditions}})
    };
    for (conditions, expected) in [
        (json!({"StringEquals": {"t:a": "1", "t:b": "2"}}), "Allowed"),
        (json!({"StringEquals": {"t:a": "1", "t:b": "3"}}), "ImplicitlyDenied"),
        (json!({"StringEquals": {"t:a": "1"}, "NumericLessThan": {"t:b": 3}}), "Allowed"),
        (json!({"StringEquals": {"t:a": "1"}, "Bool": {"t:c": false}}), "ImplicitlyDenied"),
        (json!({"Bool": {"t:d": true}}), "Allowed"),
        (json!({}), "Allowed"),
    ] {
        let case = json!({"principal": "arn:aws:iam::111111111111:user/alice", "action": "a:B",
            "resource": "*", "context": {"t:a": 1, "T:B": "2", "t:c": true, "t:d": "true"},
            "identity": [document(conditions)]});
        crate::layers::check(&case, expected);
    }
}
