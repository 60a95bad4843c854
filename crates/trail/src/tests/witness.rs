//! Tests of the client to witnesses.

use super::*;

#[test]
fn answer_is_read_as_http() {
    let check = |answer: &str, expected: Option<(u16, &str)>| {
        let found = parse(answer.as_bytes());
        let found = found.as_ref().map(|(s, b)| (*s, std::str::from_utf8(b).unwrap()));
        assert_eq!(found, expected, "{answer:?}");
    };
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", Some((200, "ab")));
    check("HTTP/1.0 409 Conflict\r\n\r\n7\n", Some((409, "7\n")));
    check("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", Some((200, "a")));
    check("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", None);
    check("HTTP/1.1 20", None);
    check("SSH-2.0-x\r\n\r\n", None);
    check("", None);
}

#[test]
fn address_without_http_is_refused() {
    assert!(post("https://127.0.0.1:1", b"").is_err());
    assert!(post("127.0.0.1:1", b"").is_err());
}
