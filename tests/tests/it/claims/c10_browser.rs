//! C-10 in the browser: the customer's page has the rights of the credentials that were typed into it, and nobody else has.

use serde_json::{Value, json};
use writ_tests::Site;
use writ_tests::site::{ANN, BOB};

use super::{user, user_of};
use crate::operators::access::Shift;
use crate::operators::console::Seat;
use crate::operators::customer::{Customer, POLICY};
use crate::operators::enrol::console;

#[test]
fn c10_page_of_another_account_or_without_the_right_changes_nothing() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let id = shift.granted();
    // Another customer's page knows nothing of it, and cannot end it by its id and digest.
    let mut bob = Customer::at(&site, "bob");
    bob.sign_in(&user_of(&site, BOB, "bob", Some(POLICY)).who);
    assert!(bob.part("live").contains("Nobody of the provider has access"), "{}", bob.part("live"));
    assert!(!bob.browser.text().contains("op-"));
    // Who may look may not switch, and is told why.
    let reads = POLICY.replace("writ:*", "writ:List*\", \"writ:Get*");
    let mut tom = Customer::at(&site, "tom");
    tom.sign_in(&user(&site, "tom", Some(&reads)).who);
    assert!(tom.part("live").contains("may use a shell on web-1"), "{}", tom.part("live"));
    let said = tom.press("lockbox", "Switch the lockbox on", false);
    assert!(said.starts_with("Refused: your policies do not allow writ:"), "{said}");
    let said = tom.press("live", "End this access now", true);
    assert!(said.starts_with("Refused: your policies do not allow writ:"), "{said}");
    tom.browser.look("customer-refused");
    // Who may nothing sees nothing but why.
    let mut nobody = Customer::at(&site, "nobody");
    nobody.sign_in(&user(&site, "nobody", None).who);
    for part in ["pending", "lockbox", "support"] {
        let text = nobody.part(part);
        assert!(text.contains("Refused: your policies do not allow writ:"), "{part}: {text}");
    }
    for part in ["live", "history"] {
        let text = nobody.part(part);
        assert!(text.contains("This cannot be shown"), "{part}: {text}");
    }
    nobody.browser.look("customer-nothing");
    let grant = shift.stored("grant", &id).unwrap();
    assert!(grant["end"].is_null(), "{grant}");
    site.ledger().wait("the refusal", |event| {
        event.text("/eventName") == "PutLockbox"
            && event.error().starts_with("AccessDenied")
            && event.log == ANN
    });
}

#[test]
fn c10_call_at_the_console_counts_with_the_customers_signature_alone() {
    let site = Site::start();
    let shift = Shift::at(&site);
    let id = shift.granted();
    let mut boris = Seat::of(&site, "boris");
    boris.sign_in("/");
    // An operator's cookie is no customer's signature; nor is one that somebody makes up.
    let call = |authorization: Option<&str>| {
        let mut fields = json!({
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": "Writ_20261101.PutLockbox",
            "x-amz-date": "20261122T101500Z",
        });
        if let Some(value) = authorization {
            fields["authorization"] = value.into();
        }
        json!({ "method": "POST", "headers": fields, "body": "{\"Mode\":\"OFF\"}" }).to_string()
    };
    assert_eq!(boris.fetch("/", &call(None)).0, 415);
    let forged = format!(
        "AWS4-HMAC-SHA256 Credential={}/20261122/us-east-1/writ/aws4_request, SignedHeaders=host;x-amz-date, \
         Signature={}",
        site.root(ANN).id,
        "0".repeat(64)
    );
    let (status, text) = boris.fetch("/", &call(Some(&forged)));
    assert!((400..500).contains(&status), "{status} {text}");
    let other = forged.replace("/writ/", "/kms/");
    assert_eq!(boris.fetch("/", &call(Some(&other))).0, 415, "another service is not asked here");
    // A page of another site, and a name that is not ours, do not come so far.
    let head = |more: &str| {
        format!(
            "POST / HTTP/1.1\nhost: HOST\ncontent-type: application/x-amz-json-1.1\nauthorization: {forged}{more}"
        )
    };
    let (status, _) = console(&site, &head("\norigin: https://evil.example"), "{}");
    assert_eq!(status, 403);
    let foreign = head("").replace("HOST", "evil.example");
    assert_eq!(console(&site, &foreign, "{}").0, 421);
    // What the page signed is good once more for minutes, as any call of AWS form, and for nothing else.
    let mut page = Customer::at(&site, "olga");
    page.browser.eval(
        "(() => { const send = window.fetch; window.sent = [];
            window.fetch = (path, how) => { window.sent.push([path, how]); return send(path, how); }; })()",
    );
    page.sign_in(&user(&site, "olga", Some(POLICY)).who);
    let script = format!(
        "(async () => {{
            const [path, how] = window.sent.find(([, how]) => how.body.includes('MaxResults'));
            const again = (more) => fetch(path, {{ ...how, ...more }}).then((reply) => reply.status);
            const target = {{ ...how.headers, 'x-amz-target': 'Writ_20261101.RefuseOperatorAccess' }};
            return [await again({{}}), await again({{ body: '{{\"RequestId\":\"{id}\"}}' }}),
                await again({{ headers: target }})];
        }})()"
    );
    let [whole, body, target]: [Value; 3] =
        page.browser.eval(&script).as_array().unwrap().clone().try_into().unwrap();
    assert_eq!(whole, 200);
    assert!(body.as_u64() >= Some(400) && target.as_u64() >= Some(400), "{body} {target}");
    assert!(shift.stored("grant", &id).unwrap()["end"].is_null());
}
