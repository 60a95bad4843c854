//! What an operator who has logged in cannot do to the bastion, or get past it; and a stranger to an operator.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpSocket, TcpStream};
use writ_bastion::limits::{LOBBY_MAX, LOBBY_SOURCE_MAX};
use writ_proof::cbor;
use writ_proof::recording::Kind;
use writ_proof::recording::event::Window;
use writ_ssh::limits::CHANNEL_WINDOW_BYTES;
use writ_ssh::{ChannelEvent, Pty, SessionRequest, Size, Stream};

use super::site::{PATIENCE, Site, until};

const WINDOW: u32 = CHANNEL_WINDOW_BYTES;

/// Answers that nobody reads are not heaped up: who reads none may ask nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn client_that_never_reads_gets_no_more_window() {
    let site = Site::start().await;
    // The greeting's answer, and some more.
    let (_session, channel) = site.channel(1024).await;
    assert!(channel.request(&SessionRequest::Subsystem("sftp".to_owned())).await.unwrap());
    let init = Bytes::from_static(&[0, 0, 0, 5, 1, 0, 0, 0, 3]);
    channel.send(Stream::Main, init).await.unwrap();
    let Some(ChannelEvent::Data { bytes, .. }) = channel.next().await else { panic!() };
    assert_eq!(bytes[4], 2, "the version");
    // CLOSE of a handle that nobody has: the bastion answers it by itself, with twice as many bytes.
    let close = [0, 0, 0, 9, 4, 0, 0, 0, 7, 0, 0, 0, 0].repeat(10_000);
    let (mut sent, mut since) = (0, tokio::time::Instant::now());
    while since.elapsed() < Duration::from_secs(2) {
        let more = channel.try_send(Stream::Main, &close[sent % close.len()..]).unwrap();
        if more == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        } else {
            since = tokio::time::Instant::now();
        }
        sent += more;
        assert!(sent < 3 * WINDOW as usize, "the window is given back for what nobody reads");
    }
    assert!(sent >= WINDOW as usize / 2, "{sent}");
    // Who reads may go on.
    let read = async {
        loop {
            let Some(ChannelEvent::Data { bytes, .. }) = channel.next().await else { panic!() };
            channel.accept(bytes.len());
            if channel.try_send(Stream::Main, &close[sent % close.len()..]).unwrap() > 0 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the window never comes back");
}

/// A client may say as often as it likes how large its terminal is, also before its program runs.
#[tokio::test(flavor = "multi_thread")]
async fn window_changes_before_the_program_are_not_heaped_up() {
    let site = Site::start().await;
    let (_session, channel) = site.channel(WINDOW).await;
    let size = |columns| Size { columns, rows: 24, width: 0, height: 0 };
    let pty = Pty { term: "xterm".to_owned(), size: size(80), modes: Vec::new() };
    assert!(channel.request(&SessionRequest::Pty(pty)).await.unwrap());
    for columns in 1..=2000 {
        channel.notify(&SessionRequest::WindowChange(size(columns))).unwrap();
    }
    assert!(channel.request(&SessionRequest::Shell).await.unwrap());
    let newest = cbor::to_vec(&Window { cols: 2000, rows: 24 });
    assert_eq!(site.recorded(Kind::Window), [newest]);
}

/// Between the grant and the command the host may take its time: the command waits for a live grant as every byte does.
#[tokio::test(flavor = "multi_thread")]
async fn command_that_waits_for_its_host_needs_a_grant_when_it_goes() {
    for with_terminal in [false, true] {
        let site = Site::start().await;
        site.lets_in.send_replace(false);
        let (_session, channel) = site.channel(WINDOW).await;
        if with_terminal {
            let size = Size { columns: 80, rows: 24, width: 0, height: 0 };
            let pty = Pty { term: "xterm".to_owned(), size, modes: Vec::new() };
            assert!(channel.request(&SessionRequest::Pty(pty)).await.unwrap());
        }
        let asking = tokio::spawn(async move {
            let given = channel.request(&SessionRequest::Exec(b"id".to_vec())).await;
            (given, channel)
        });
        until("login at the host", || site.host_was_asked("login")).await;
        until("start in the ledger", || !site.events("StartSession").is_empty()).await;
        // Nobody knows any more what is granted.
        *site.front.age.lock().unwrap() = Duration::from_secs(2);
        site.lets_in.send_replace(true);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(*site.asked.lock().unwrap(), ["login"], "it is asked without a live grant");
        *site.front.age.lock().unwrap() = Duration::ZERO;
        assert!(asking.await.unwrap().0.unwrap());
        assert!(site.host_was_asked("exec"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn command_whose_grant_ends_while_its_host_takes_its_time_never_arrives() {
    let site = Site::start().await;
    site.lets_in.send_replace(false);
    let (session, channel) = site.channel(WINDOW).await;
    let asking = tokio::spawn(async move {
        channel.request(&SessionRequest::Exec(b"id".to_vec())).await.is_ok_and(|given| given)
    });
    until("start in the ledger", || !site.events("StartSession").is_empty()).await;
    site.front.revoke();
    site.lets_in.send_replace(true);
    let ended = tokio::time::timeout(PATIENCE, session.ended()).await.unwrap();
    assert!(ended.unwrap_err().to_string().contains("its grant ended"));
    assert!(!asking.await.unwrap() && !site.host_was_asked("exec"));
}

/// Who connects and says nothing keeps nobody out, from one address or from many, and is counted.
#[tokio::test(flavor = "multi_thread")]
async fn silent_strangers_keep_no_operator_out() {
    const SILENT: u64 = 700;
    for one_address in [true, false] {
        let site = Site::start().await;
        let mut strangers = Vec::new();
        for number in 0..SILENT {
            let [.., high, low] = number.to_be_bytes();
            let from = if one_address { [127, 0, 0, 2] } else { [127, 1, high, low] };
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from((from, 0))).unwrap();
            strangers.push(socket.connect(site.address).await.unwrap());
        }
        let login = tokio::time::timeout(PATIENCE, site.log_in(WINDOW)).await;
        let session = login.expect("an operator waits").expect("an operator is kept out");
        // Strangers go on to come, and the operator stays.
        for _ in 0..LOBBY_MAX + 10 {
            strangers.push(TcpStream::connect(site.address).await.unwrap());
        }
        assert!(session.open_session().await.unwrap().is_ok());
        let seats = if one_address { 2 * LOBBY_SOURCE_MAX } else { LOBBY_MAX };
        let dropped = strangers.len() - seats;
        let counted = || {
            let events = [site.events("RefuseStranger"), site.events("RefuseStrangers")].concat();
            let attempts = events.iter().map(|event| &event["requestParameters"]["attempts"]);
            attempts.map(|count| count.as_str().unwrap().parse::<usize>().unwrap()).sum::<usize>()
        };
        until("count of those who were dropped", || counted() >= dropped).await;
        assert_eq!(counted(), dropped);
    }
}
