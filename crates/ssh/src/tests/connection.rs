//! The connection layer over arbitrary messages, and the bounds that it keeps.

use proptest::prelude::*;

use super::*;

const WINDOW: u32 = 4096;

fn open(core: &mut Core) -> u32 {
    let message = Message::new(number::CHANNEL_OPEN).string("session");
    let message = Bytes::from(message.number(7).number(100).number(32).done());
    assert_eq!(core.receive(&message), Ok(true));
    let Some(Arrival::Open { id, .. }) = core.take_arrival() else { panic!("no channel") };
    core.confirm(id).unwrap();
    while core.take_message().is_some() {}
    id
}

fn give(core: &mut Core, id: u32, bytes: usize) -> Result<bool, Error> {
    let data = Message::new(number::CHANNEL_DATA).number(id).string(vec![1; bytes]).done();
    core.receive(&Bytes::from(data))
}

#[test]
fn window_is_given_back_for_what_was_accepted_and_no_more() {
    let mut core = Core::new(10, WINDOW);
    let id = open(&mut core);
    give(&mut core, id, 4096).unwrap();
    assert!(give(&mut core, id, 1).is_err());
    let mut core = Core::new(10, WINDOW);
    let id = open(&mut core);
    give(&mut core, id, 2000).unwrap();
    // Too little to tell of, then more than there was.
    core.accept(id, 1000);
    assert!(core.take_message().is_none());
    core.accept(id, 1_000_000);
    let adjust = Message::new(number::CHANNEL_WINDOW_ADJUST).number(7).number(2000).done();
    assert_eq!(core.take_message(), Some(adjust));
    give(&mut core, id, 4096).unwrap();
    core.accept(id, 4096);
    core.accept(id, 4096);
    assert!(core.take_message().is_some() && core.take_message().is_none());
}

#[test]
fn data_is_sent_within_the_peers_window_and_packet() {
    let mut core = Core::new(10, WINDOW);
    let id = open(&mut core);
    let sizes: Vec<usize> =
        (0..5).map(|_| core.send(id, Stream::Main, &[2; 1000]).unwrap()).collect();
    assert_eq!(sizes, [32, 32, 32, 4, 0]);
    let more = Message::new(number::CHANNEL_WINDOW_ADJUST).number(id).number(10).done();
    core.receive(&Bytes::from(more)).unwrap();
    assert_eq!(core.send(id, Stream::Stderr, &[2; 1000]), Ok(10));
    core.eof(id).unwrap();
    assert_eq!(core.send(id, Stream::Main, b"x"), Err(Error::Closed));
}

#[test]
fn outbox_that_is_full_takes_no_data() {
    let mut core = Core::new(10, WINDOW);
    let message = Message::new(number::CHANNEL_OPEN).string("session");
    let message = message.number(7).number(u32::MAX).number(u32::MAX).done();
    core.receive(&Bytes::from(message)).unwrap();
    let Some(Arrival::Open { id, .. }) = core.take_arrival() else { panic!("no channel") };
    core.confirm(id).unwrap();
    let data = vec![0; 1024 * 1024];
    while core.send(id, Stream::Main, &data).unwrap() > 0 {}
    assert!(core.outbox_bytes() < limits::OUTBOX_MAX_BYTES + 33_000);
    assert!(core.take_message().is_some());
    while core.outbox_bytes() >= limits::OUTBOX_MAX_BYTES {
        core.take_message();
    }
    assert!(core.send(id, Stream::Main, &data).unwrap() > 0);
}

#[test]
fn small_packets_pile_up_as_bytes_not_as_events() {
    let mut core = Core::new(10, 100_000);
    let id = open(&mut core);
    for _ in 0..100_000 {
        give(&mut core, id, 1).unwrap();
    }
    assert!(!core.is_full());
    let Some(Item::Data(Stream::Main, bytes)) = core.take_item(id) else { panic!("no data") };
    assert_eq!(bytes.len(), 100_000);
}

#[test]
fn events_that_nobody_takes_stop_the_reading() {
    let mut core = Core::new(10, WINDOW);
    let id = open(&mut core);
    let quiet = Message::new(number::CHANNEL_REQUEST).number(id).string("signal").boolean(false);
    let quiet = Bytes::from(quiet.string("INT").done());
    for _ in 0..limits::EVENTS_MAX {
        assert!(!core.is_full());
        core.receive(&quiet).unwrap();
    }
    assert!(core.is_full());
    core.take_item(id);
    assert!(!core.is_full());
    let wanting = Message::new(number::GLOBAL_REQUEST).string("x").boolean(true).done();
    let wanting = Bytes::from(wanting);
    for _ in 0..limits::ANSWERS_MAX {
        core.receive(&wanting).unwrap();
    }
    assert!(core.receive(&wanting).is_err());
}

#[test]
fn channel_beyond_the_limit_is_refused_and_seen() {
    let mut core = Core::new(2, WINDOW);
    let (first, _) = (open(&mut core), open(&mut core));
    let message = Message::new(number::CHANNEL_OPEN).string("session");
    let message = Bytes::from(message.number(9).number(100).number(32).done());
    core.receive(&message).unwrap();
    assert!(matches!(core.take_arrival(), Some(Arrival::Refused { .. })));
    assert_eq!(core.take_message().unwrap()[..9], [92, 0, 0, 0, 9, 0, 0, 0, 4]);
    // A channel that both sides closed, and that nobody holds, makes room.
    let close = Message::new(number::CHANNEL_CLOSE).number(first).done();
    core.receive(&Bytes::from(close)).unwrap();
    core.abandon(first);
    open(&mut core);
}

proptest! {
    /// Whatever comes, nothing panics, and nothing grows beyond what the limits allow.
    #[test]
    fn any_messages_keep_the_bounds(
        messages in prop::collection::vec(
            (80u8..=100, 0u32..3, prop::collection::vec(any::<u8>(), 0..40)), 0..60),
    ) {
        let mut core = Core::new(3, WINDOW);
        open(&mut core);
        for (kind, id, rest) in messages {
            let message = [&[kind][..], &id.to_be_bytes(), &rest].concat();
            if core.receive(&Bytes::from(message)).is_err() {
                break;
            }
            prop_assert!(core.channels.len() <= 3);
            prop_assert!(core.outbox_bytes() < 100_000);
        }
    }
}
