//! CloudTrail.

use serde_json::{Value, json};
use writ_aws::Service;
use writ_tests::site::{ANN, BOB};
use writ_tests::{Client, Site, until};

use super::{Actor, covers, text, texts};

#[test]
fn cloudtrail_by_cli_and_boto3() {
    let site = Site::start();
    for client in Client::BOTH {
        scenario(&site, client);
    }
    covers(&site, Service::CloudTrail);
}

fn scenario(site: &Site, client: Client) {
    let ann = Actor::root(site, client, ANN);
    let bob = Actor::root(site, client, BOB);
    let user = ann.name("tom");
    ann.ok("iam", "CreateUser", json!({"UserName": user}));
    for name in ["ListUsers", "ListRoles", "ListGroups"] {
        ann.ok("iam", name, json!({}));
    }
    let found = until("the event of CreateUser", || {
        let by_name = json!([{"AttributeKey": "EventName", "AttributeValue": "CreateUser"}]);
        let events = ann.ok("cloudtrail", "LookupEvents", json!({"LookupAttributes": by_name}));
        let events = events["Events"].as_array().unwrap().clone();
        events.into_iter().find(|event| text(event, "/CloudTrailEvent").contains(&user))
    });
    let record: Value = serde_json::from_str(&text(&found, "/CloudTrailEvent")).unwrap();
    assert_eq!(record["eventVersion"], "1.11");
    assert_eq!(record["userIdentity"]["type"], "Root");
    assert_eq!(record["requestParameters"]["userName"], user.as_str());
    assert_eq!(record["responseElements"]["user"]["userName"], user.as_str());
    assert_eq!(record["recipientAccountId"], ANN);
    assert_eq!(text(&found, "/ReadOnly"), "false");

    let all =
        ann.clients.pages(&ann.who, ("cloudtrail", "LookupEvents"), &json!({"MaxResults": 2}));
    let all = all.unwrap();
    assert!(all.len() > 1, "pages of two");
    let names: Vec<String> =
        all.iter().flat_map(|page| texts(page, "Events", "EventName")).collect();
    assert!(names.iter().any(|name| name == "ListGroups"), "{names:?}");

    let of_bob = bob.ok("cloudtrail", "LookupEvents", json!({}));
    let names = texts(&of_bob, "Events", "EventName");
    assert!(!names.iter().any(|name| name == "CreateUser"), "bob sees ann's events: {names:?}");

    let by_two = json!({"LookupAttributes": [
        {"AttributeKey": "ReadOnly", "AttributeValue": "true"},
        {"AttributeKey": "EventName", "AttributeValue": "ListUsers"}]});
    ann.refused("cloudtrail", "LookupEvents", by_two, "InvalidLookupAttributesException");
    let backwards = json!({"StartTime": 2_000_000_000, "EndTime": 1_000_000_000});
    ann.refused("cloudtrail", "LookupEvents", backwards, "InvalidTimeRangeException");
}
