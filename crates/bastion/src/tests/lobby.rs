//! Who gives way to whom.

use super::*;

fn v4(last: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, u8::try_from(last).unwrap()])
}

/// Who of these was asked to give way.
fn gone(guests: &mut [(Seat, oneshot::Receiver<()>)]) -> Vec<usize> {
    let asked = guests.iter_mut().enumerate();
    asked.filter_map(|(at, (_, asked))| asked.try_recv().is_ok().then_some(at)).collect()
}

#[test]
fn oldest_of_an_address_that_has_its_part_gives_way() {
    let lobby = Arc::new(Lobby::default());
    let (_other, mut other_asked) = lobby.enter(v4(9));
    let mut guests: Vec<_> = (0..LOBBY_SOURCE_MAX + 3).map(|_| lobby.enter(v4(1))).collect();
    assert_eq!(gone(&mut guests), [0, 1, 2]);
    assert!(other_asked.try_recv().is_err(), "another address has to do with it");
    assert_eq!(lobby.lock().taken.len(), LOBBY_SOURCE_MAX + 1);
    // Who has left makes room.
    drop(guests.pop());
    guests.push(lobby.enter(v4(1)));
    assert_eq!(gone(&mut guests), Vec::<usize>::new());
    drop(guests);
    assert_eq!(lobby.lock().taken.len(), 1);
}

/// A few addresses that take all seats do not drive out somebody who comes alone.
#[test]
fn without_a_seat_the_oldest_of_the_largest_crowd_gives_way() {
    let lobby = Arc::new(Lobby::default());
    let mut alone = vec![lobby.enter(v4(200))];
    let each = LOBBY_MAX / 8;
    let mut crowd: Vec<_> = (0..LOBBY_MAX - 1).map(|n| lobby.enter(v4(n / each))).collect();
    assert_eq!(gone(&mut crowd), Vec::<usize>::new());
    for _ in 0..7 {
        alone.push(lobby.enter(v4(201)));
    }
    assert_eq!(gone(&mut alone), Vec::<usize>::new());
    // Of each crowd but the last, which is smaller, its oldest one.
    assert_eq!(gone(&mut crowd), (0..7).map(|n| n * each).collect::<Vec<_>>());
    assert_eq!(lobby.lock().taken.len(), LOBBY_MAX);
}

#[test]
fn addresses_of_one_ipv6_network_are_one() {
    let of = |text: &str| network(text.parse().unwrap()).to_string();
    assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    assert_eq!(of("2001:db8:1:3::1"), "2001:db8:1:3::");
    assert_eq!((of("::ffff:192.0.2.7"), of("192.0.2.7")), ("192.0.2.7".into(), "192.0.2.7".into()));
}
