//! Tests of seats at the agents' listener.

use tokio::task::JoinSet;

use super::*;

const OURS: [u8; 4] = [192, 0, 2, 1];

/// Connections that do nothing, as tasks.
struct Bench {
    seats: Seats,
    tasks: JoinSet<()>,
}

impl Bench {
    fn new(agents: usize, strangers: usize) -> Bench {
        Bench { seats: Seats::new(Room { agents, strangers }), tasks: JoinSet::new() }
    }

    /// A connection comes from `from`, and shows `key`; whoever gives way is gone afterwards.
    async fn come(&mut self, from: [u8; 4], key: Option<[u8; 32]>) -> u64 {
        let seat = self.seats.take(IpAddr::from(from));
        let number = seat.number();
        if let Some(key) = key {
            seat.shows(key);
        }
        let task = self.tasks.spawn(async move {
            std::future::pending::<()>().await;
            drop(seat);
        });
        self.seats.serve(number, task);
        while !self.seats.is_open() {
            assert!(self.tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
        }
        number
    }

    fn strangers(&self) -> Vec<u64> {
        self.seats.lock().strangers.keys().copied().collect()
    }

    fn agents(&self) -> Vec<u64> {
        self.seats.lock().agents.keys().copied().collect()
    }
}

#[tokio::test]
async fn oldest_stranger_gives_way_and_no_agent_does() {
    let mut bench = Bench::new(8, 3);
    let agent = bench.come(OURS, Some([1; 32])).await;
    for _ in 0..200 {
        bench.come(OURS, None).await;
    }
    assert_eq!((bench.agents(), bench.strangers()), (vec![agent], vec![199, 200, 201]));
    let late = bench.come(OURS, Some([2; 32])).await;
    assert_eq!(bench.agents(), [agent, late]);
}

#[tokio::test]
async fn flood_of_one_address_leaves_strangers_of_others_their_seats() {
    let mut bench = Bench::new(8, 3);
    let enrolling = bench.come([198, 51, 100, 7], None).await;
    for _ in 0..50 {
        bench.come(OURS, None).await;
    }
    assert_eq!(bench.strangers(), [enrolling, 50, 51]);
}

#[tokio::test]
async fn one_key_does_not_take_all_seats() {
    let mut bench = Bench::new(6, 2);
    for _ in 0..20 {
        bench.come(OURS, Some([1; 32])).await;
    }
    assert_eq!((bench.agents().len(), bench.strangers().len()), (KEY_CONNECTIONS_MAX, 2));
    bench.come(OURS, Some([2; 32])).await;
    assert_eq!(bench.agents().len(), KEY_CONNECTIONS_MAX + 1);
    bench.tasks.shutdown().await;
    assert!(bench.agents().is_empty() && bench.strangers().is_empty(), "what ended is free");
}

#[test]
fn room_is_what_the_limit_of_descriptors_leaves() {
    for (limit, agents, strangers) in [
        (usize::MAX, AGENTS_MAX, STRANGERS_MAX),
        (1024, 1024 - DESCRIPTORS_RESERVED - STRANGERS_MAX, STRANGERS_MAX),
        (192, 32, 32),
        (64, 1, 1),
    ] {
        let room = Room::within(limit);
        assert_eq!(room, Room { agents, strangers }, "{limit}");
        assert!(limit < 192 || room.agents + room.strangers + DESCRIPTORS_RESERVED <= limit);
    }
}

#[test]
fn addresses_of_one_network_are_one_stranger() {
    let same =
        |one: &str, other: &str| network(one.parse().unwrap()) == network(other.parse().unwrap());
    assert!(same("2001:db8::1", "2001:db8::ffff:0:1") && same("::ffff:192.0.2.1", "192.0.2.1"));
    assert!(!same("2001:db8:0:1::1", "2001:db8::1") && !same("192.0.2.1", "192.0.2.2"));
}
