//! The files that pages use, within the program.

use writ_service::http::Reply;

const FILES: [(&str, &str, &str); 9] = [
    ("/static/console.css", "text/css; charset=utf-8", include_str!("../static/console.css")),
    ("/static/ask.js", "text/javascript; charset=utf-8", include_str!("../static/ask.js")),
    ("/static/common.js", "text/javascript; charset=utf-8", include_str!("../static/common.js")),
    (
        "/static/customer.js",
        "text/javascript; charset=utf-8",
        include_str!("../static/customer.js"),
    ),
    ("/static/enrol.js", "text/javascript; charset=utf-8", include_str!("../static/enrol.js")),
    ("/static/play.js", "text/javascript; charset=utf-8", include_str!("../static/play.js")),
    ("/static/sign.js", "text/javascript; charset=utf-8", include_str!("../static/sign.js")),
    ("/static/sigv4.js", "text/javascript; charset=utf-8", include_str!("../static/sigv4.js")),
    ("/static/icon.svg", "image/svg+xml", include_str!("../static/icon.svg")),
];

/// The file at a path.
pub(crate) fn file(path: &str) -> Option<Reply> {
    let (_, content_type, text) = FILES.iter().find(|(name, _, _)| *name == path)?;
    // Short: the next version of the program has other files under the same names.
    let reply = Reply::new(200, content_type, text.as_bytes().to_vec());
    Some(reply.with("cache-control", "max-age=60"))
}
