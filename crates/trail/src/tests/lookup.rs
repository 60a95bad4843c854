//! Tests of the index behind LookupEvents.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// One event as the model knows it.
#[derive(Debug, Clone)]
struct Event {
    account: u64,
    secs: u64,
    name: u8,
    read_only: bool,
    management: bool,
    resource: u8,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0u64..2, 0u64..6, 0u8..3, any::<bool>(), any::<bool>(), 0u8..3);
    let event = event.prop_map(|(account, secs, name, read_only, management, resource)| Event {
        account,
        secs,
        name,
        read_only,
        management,
        resource,
    });
    proptest::collection::vec(event, 0..40)
}

fn account(n: u64) -> AccountId {
    AccountId::from_number(n).unwrap()
}

fn id(seq: usize) -> Uuid {
    Uuid::from_bytes([u8::try_from(seq).unwrap(); 16])
}

fn record(event: &Event, seq: usize) -> Vec<u8> {
    let arn = format!("arn:aws:kms:us-east-1:000000000001:key/{}", event.resource);
    json!({
        "eventID": id(seq), "eventTime": Timestamp::from_secs(event.secs).iso(),
        "eventName": format!("Name{}", event.name), "eventSource": "kms.amazonaws.com",
        "readOnly": event.read_only, "managementEvent": event.management,
        "userIdentity": { "type": "IAMUser", "userName": format!("user{}", event.name),
            "accessKeyId": "AKIAEXAMPLEEXAMPLE" },
        "resources": [{ "ARN": arn, "type": "AWS::KMS::Key" }],
    })
    .to_string()
    .into_bytes()
}

fn index(events: &[Event]) -> Lookup {
    let mut lookup = Lookup::open(Path::new(":memory:")).unwrap();
    let rows: Vec<(AccountId, u64, Vec<u8>)> = events
        .iter()
        .enumerate()
        .map(|(seq, event)| (account(event.account), seq as u64, record(event, seq)))
        .collect();
    lookup.add(&rows).unwrap();
    // A second time, as after a crash.
    lookup.add(&rows).unwrap();
    lookup
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pages_together_are_what_the_model_says(
        events in events(),
        max in 1u64..5,
        attribute in 0u8..5,
        value in 0u8..3,
        range in proptest::option::of((0u64..6, 0u64..6)),
        data_events in any::<bool>(),
    ) {
        let range = range.map(|(a, b)| (a.min(b), a.max(b)));
        let attribute = match attribute {
            0 => Some((Attribute::EventName, format!("Name{value}"))),
            1 => Some((Attribute::ReadOnly, (value == 0).to_string())),
            2 => Some((Attribute::Username, format!("user{value}"))),
            3 => Some((
                Attribute::ResourceName,
                format!("arn:aws:kms:us-east-1:000000000001:key/{value}"),
            )),
            _ => None,
        };
        let expected: Vec<Uuid> = {
            let mut matching: Vec<(u64, usize)> = events
                .iter()
                .enumerate()
                .filter(|(_, event)| event.account == 1)
                .filter(|(_, event)| data_events || event.management)
                .filter(|(_, event)| range.is_none_or(|(a, b)| (a..=b).contains(&event.secs)))
                .filter(|(_, event)| match &attribute {
                    Some((Attribute::EventName | Attribute::Username, _)) => event.name == value,
                    Some((Attribute::ReadOnly, _)) => event.read_only == (value == 0),
                    Some((Attribute::ResourceName, _)) => event.resource == value,
                    _ => true,
                })
                .map(|(seq, event)| (event.secs, seq))
                .collect();
            matching.sort_by(|a, b| b.cmp(a));
            matching.into_iter().map(|(_, seq)| id(seq)).collect()
        };
        let lookup = index(&events);
        let mut query = LookupQuery {
            account: account(1),
            attribute,
            start: range.map(|(a, _)| Timestamp::from_secs(a)),
            end: range.map(|(_, b)| Timestamp::from_secs(b)),
            max,
            next: None,
            data_events,
        };
        let mut found = Vec::new();
        loop {
            let page = lookup.page(&query, &|_, _| Ok(Vec::new())).unwrap();
            prop_assert!(page.events.len() as u64 <= max);
            found.extend(page.events.into_iter().map(|event| event.event_id));
            match page.next {
                Some(next) => query.next = Some(next),
                None => break,
            }
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn question_that_makes_no_sense_is_refused() {
    let events: Vec<Event> = (0..4)
        .map(|secs| Event {
            account: 1,
            secs,
            name: 0,
            read_only: true,
            management: true,
            resource: 0,
        })
        .collect();
    let lookup = index(&events);
    let good = LookupQuery {
        account: account(1),
        attribute: None,
        start: None,
        end: None,
        max: 2,
        next: None,
        data_events: false,
    };
    let page = |query: &LookupQuery| lookup.page(query, &|_, _| Ok(Vec::new()));
    let token = page(&good).unwrap().next;
    let with = |change: fn(&mut LookupQuery)| {
        let mut query = LookupQuery { next: token.clone(), ..good.clone() };
        change(&mut query);
        page(&query)
    };
    assert_eq!(with(|_| {}).unwrap().events.len(), 2);
    assert_eq!(with(|q| q.max = 1).unwrap().events.len(), 1);
    assert!(with(|q| q.max = 0).is_err());
    assert!(with(|q| q.max = 51).is_err());
    assert!(with(|q| q.next = Some("00".to_owned())).is_err());
    assert!(with(|q| q.account = account(2)).is_err(), "a token of another account");
    assert!(with(|q| q.data_events = true).is_err(), "a token of another question");
    let reversed = LookupQuery {
        start: Some(Timestamp::from_secs(2)),
        end: Some(Timestamp::from_secs(1)),
        ..good
    };
    assert!(page(&reversed).is_err());
}
