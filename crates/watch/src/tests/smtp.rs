//! Mail, to a server that the test plays line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use super::*;

/// A server that says what it is told to, one line after each that comes; answers what came.
fn server(says: &'static [&'static str]) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut write = stream.try_clone().unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut came = Vec::new();
        let mut is_data = false;
        let mut says = says.iter();
        write.write_all(says.next().unwrap().as_bytes()).unwrap();
        while let Some(Ok(line)) = lines.next() {
            let ends = line == ".";
            is_data &= !ends;
            let wants = !is_data;
            is_data |= line == "DATA";
            came.push(line);
            if wants {
                let Some(answer) = says.next() else { break };
                write.write_all(answer.as_bytes()).unwrap();
            }
        }
        came
    });
    (port, serve)
}

fn mail(port: u16, tls: MailTls) -> Mail {
    Mail {
        name: "mail".to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        tls,
        ca: None,
        user: None,
        password_file: None,
        from: "writ@example.com".to_owned(),
        to: vec!["a@example.com".to_owned(), "b@example.com".to_owned()],
    }
}

fn run(mail: &Mail, message: &[u8]) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(send(mail, Path::new("/nowhere"), &mail.to, message))
}

const HELLO: &str = "250-mail\r\n250 8BITMIME\r\n";

#[test]
fn mail_is_sent_to_those_whom_the_server_takes() {
    let (port, served) = server(&[
        "220 mail\r\n",
        HELLO,
        "250 ok\r\n",
        "250 ok\r\n",
        "550 unknown\r\n",
        "354 go\r\n",
        "250 taken\r\n",
        "221 bye\r\n",
    ]);
    let refused = run(&mail(port, MailTls::None), b"Subject: x\r\n\r\n.\r\n..two\r\nend").unwrap();
    assert_eq!(refused, ["b@example.com: 550 unknown"]);
    let came = served.join().unwrap();
    assert_eq!(came[1], "MAIL FROM:<writ@example.com>");
    let data: Vec<&str> = came[5..].iter().map(String::as_str).collect();
    assert_eq!(data, ["Subject: x", "", "..", "...two", "end", ".", "QUIT"]);
}

#[test]
fn server_that_does_not_take_it_is_told_of() {
    for (says, why) in [
        (&["554 go away\r\n"][..], "answers it with 554 go away"),
        (&["hello\r\n"], "does not speak SMTP"),
        (&["220 mail\r\n", HELLO, "451 later\r\n"], "answers MAIL with 451 later"),
        (
            &["220 mail\r\n", HELLO, "250 ok\r\n", "550 no\r\n", "550 no\r\n"],
            "takes mail for nobody: a@example.com: 550 no; b@example.com: 550 no",
        ),
        (
            &[
                "220 mail\r\n",
                HELLO,
                "250 ok\r\n",
                "250 ok\r\n",
                "250 ok\r\n",
                "354 go\r\n",
                "452 full\r\n",
            ],
            "answers it with 452 full",
        ),
    ] {
        let (port, served) = server(says);
        let error = run(&mail(port, MailTls::None), b"x").unwrap_err();
        assert!(error.contains(why), "{error}");
        drop(served);
    }
}

#[test]
fn nothing_is_sent_where_tls_was_promised_and_is_not_offered() {
    let (port, served) = server(&["220 mail\r\n", HELLO]);
    let error = run(&mail(port, MailTls::Starttls), b"secret").unwrap_err();
    assert!(error.contains("offers no STARTTLS"), "{error}");
    assert_eq!(served.join().unwrap(), ["EHLO writ-watch"]);
}

/// Commands that a peer in the middle puts before TLS must not be taken for the server's words after it.
#[test]
fn words_that_were_sent_ahead_of_tls_are_refused() {
    let (port, _served) =
        server(&["220 mail\r\n", "250-mail\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n"]);
    let error = run(&mail(port, MailTls::Starttls), b"x").unwrap_err();
    assert!(error.contains("before TLS"), "{error}");
}
