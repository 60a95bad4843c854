//! The customer's page: who of the provider may touch their account, and did; and what they say to that.
//!
//! Nobody signs in here: the page signs calls of AWS form with the customer's own credentials (`static/sigv4.js`),
//! which stay in the browser's memory, and each call is judged as any other of its kind. So the page holds no data,
//! and there is no session of a customer that somebody could steal or this process could use.

use writ_model::Timestamp;
use writ_service::http::{Reply, Request};

use crate::face::Face;
use crate::html::{self, text};
use crate::routes::page;

/// Where the page is.
pub(crate) const PATH: &str = "/customer";

/// What a signed call of AWS form begins its field `authorization` with.
const SIGNED: &str = "AWS4-HMAC-SHA256 ";
/// The services that the page calls; who wants others asks front's own listener.
const SERVICES: [&str; 3] = ["cloudtrail", "sts", "writ"];

/// True for a signed call of the page's kind. Nothing is checked yet.
pub(crate) fn is_call(request: &Request) -> bool {
    let signed = request.header("authorization").and_then(|field| field.strip_prefix(SIGNED));
    let scope = signed.and_then(|rest| rest.split_once("Credential=")).map(|(_, scope)| scope);
    let service = scope.and_then(|scope| scope.split(',').next()?.split('/').nth(3));
    request.method == "POST"
        && request.path == "/"
        && request.query.is_empty()
        && service.is_some_and(|service| SERVICES.contains(&service))
}

/// The page, of an installation whose home is `region`.
pub(crate) fn show(face: &Face, region: &str, now: Timestamp) -> Reply {
    let main = format!(
        "<div id=\"customer\" data-region=\"{region}\" data-now=\"{now}\">\n{SIGN_IN}{INSIDE}{CONFIRM}</div>",
        region = text(region),
        now = now.iso(),
    );
    page(200, html::wide_page(face, "Operators and your account", "/static/customer.js", &main))
}

const SIGN_IN: &str = "<div id=\"sign-in\" class=\"narrow\">\n<h1>Operators and your account</h1>\n\
    <p class=\"lede\">For customers: who of the provider may touch your account, who did and why, and how you keep \
    them out. You sign each call with your own IAM credentials.</p>\n\
    <noscript><p class=\"alert\">Signing needs JavaScript. Without it use <code>aws writ list-operator-access</code>.\
    </p></noscript>\n\
    <form id=\"enter\" class=\"step\" autocomplete=\"off\" aria-labelledby=\"enter-title\">\n\
    <h2 id=\"enter-title\">Your credentials</h2>\n\
    <div class=\"field\"><label for=\"key-id\">Access key id</label>\n\
    <input id=\"key-id\" type=\"text\" maxlength=\"128\" autocapitalize=\"off\" spellcheck=\"false\" required></div>\n\
    <div class=\"field\"><label for=\"secret\">Secret access key</label>\n\
    <input id=\"secret\" type=\"password\" maxlength=\"256\" autocomplete=\"off\" required aria-describedby=\"kept\">\
    </div>\n\
    <details><summary>I have temporary credentials</summary>\n\
    <div class=\"field\"><label for=\"token\">Session token</label>\n\
    <textarea id=\"token\" rows=\"3\" maxlength=\"8192\" spellcheck=\"false\" autocapitalize=\"off\"></textarea></div>\
    </details>\n\
    <p class=\"hint\" id=\"kept\">The secret stays in this page's memory, turned into a key that cannot be read out; the page \
    changes it for credentials of one hour. Closing or reloading the page forgets them.</p>\n\
    <button id=\"go\">Sign in</button>\n<p id=\"said\" class=\"status\" role=\"alert\"></p>\n</form>\n\
    <h2>Before you type a secret</h2>\n\
    <p>This page comes from the provider. Use an IAM user of its own for it, whose policy allows \
    <code>writ:*</code> and <code>cloudtrail:LookupEvents</code> and nothing else. What the page does, the AWS CLI on \
    your own machine does as well, without trusting any page: <code>aws writ help</code>.</p>\n\
    <p class=\"hint\">You work for the provider? <a href=\"/\">Sign in with your passkey</a>.</p>\n</div>\n";

const INSIDE: &str = "<div id=\"inside\" hidden>\n\
    <h1 id=\"inside-title\" tabindex=\"-1\">Operators and account <span id=\"account\"></span></h1>\n\
    <p class=\"meta\">You are <code id=\"arn\"></code>, <span id=\"ends\"></span>. <span id=\"as-of\"></span></p>\n\
    <div class=\"buttons after\"><button type=\"button\" id=\"refresh\" class=\"quiet small\">Look again</button>\
    <button type=\"button\" id=\"leave\" class=\"quiet small\">Sign out</button></div>\n\
    <p id=\"standing\"></p>\n\
    <p id=\"done\" class=\"status\" role=\"status\" tabindex=\"-1\"></p>\n\
    <p id=\"sessions-trouble\" class=\"alert\" hidden></p>\n\
    <div class=\"columns\">\n<div>\n\
    <section aria-labelledby=\"pending-title\"><h2 id=\"pending-title\">Waits for your decision</h2>\n\
    <div id=\"pending\"></div></section>\n\
    <section aria-labelledby=\"live-title\"><h2 id=\"live-title\">Access now</h2>\n<div id=\"live\"></div></section>\n\
    </div>\n<div>\n\
    <section class=\"step\" aria-labelledby=\"lockbox-title\"><h2 id=\"lockbox-title\">Lockbox</h2>\n\
    <div id=\"lockbox\"></div></section>\n\
    <section class=\"step\" aria-labelledby=\"support-title\"><h2 id=\"support-title\">Support role</h2>\n\
    <div id=\"support\"></div></section>\n</div>\n</div>\n\
    <section aria-labelledby=\"history-title\"><h2 id=\"history-title\">Past access</h2>\n<div id=\"history\"></div>\n\
    <p><button type=\"button\" id=\"older\" class=\"quiet\" hidden>Show older</button></p></section>\n\
    <section aria-labelledby=\"check-title\"><h2 id=\"check-title\">Check it yourself</h2>\n\
    <p>Operators are pseudonyms that stay the same for a human being. The digest names the request as it was signed; \
    the head names the whole recording of a session. Both are in your own trail, and <code>writ export</code> with \
    <code>writ verify</code> checks them without trusting the provider.</p></section>\n</div>\n";

const CONFIRM: &str = "<dialog id=\"confirm\" aria-labelledby=\"confirm-title\" aria-describedby=\"confirm-text\">\n\
    <h2 id=\"confirm-title\">Sure?</h2>\n<p id=\"confirm-text\"></p>\n<div class=\"buttons\">\
    <button type=\"button\" class=\"quiet\" data-answer=\"no\">Go back</button>\
    <button type=\"button\" id=\"confirm-yes\" class=\"danger\" data-answer=\"yes\">Yes</button></div>\n</dialog>\n";

#[cfg(test)]
mod tests {
    use writ_keyd_client::protocol::Network;

    use super::*;

    #[test]
    fn signed_call_is_one_of_three_services_at_the_root() {
        let call = |method: &str, path: &str, query: &str, authorization: &str| {
            is_call(&Request {
                method: method.to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                headers: vec![("authorization".to_owned(), authorization.as_bytes().to_vec())],
                body: Vec::new(),
                network: Network { source_ip: "127.0.0.1".to_owned(), tls: None, vpce: None },
            })
        };
        let of = |service: &str| {
            format!("{SIGNED}Credential=AKIA/20261122/us-east-1/{service}/aws4_request, Signature=")
        };
        for service in SERVICES {
            assert!(call("POST", "/", "", &of(service)), "{service}");
        }
        for (method, path, query, authorization) in [
            ("GET", "/", "", of("writ")),
            ("POST", "/requests", "", of("writ")),
            ("POST", "/", "a=b", of("writ")),
            ("POST", "/", "", of("kms")),
            ("POST", "/", "", of("iam")),
            ("POST", "/", "", SIGNED.to_owned()),
            ("POST", "/", "", of("writ").replace("HMAC", "ECDSA")),
            ("POST", "/", "", "Bearer x".to_owned()),
        ] {
            assert!(!call(method, path, query, &authorization), "{authorization}");
        }
    }
}
