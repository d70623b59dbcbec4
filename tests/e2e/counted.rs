//! What a broadcast costs, by the server's own counters.

use crate::support::client::{Client, Wire, publish};
use crate::support::{Running, config, wait_for};
use crate::talk::message;
use madang::metrics::Counter;
use madang_protocol::client::{Class, CreateOptions, JoinOptions, PresenceMode};
use madang_protocol::ids::Channel;

const BROADCASTS: u64 = 50;

/// A room with members on both shards, in which nobody says anything unasked.
struct Hall {
    server: Running,
    channel: Channel,
    members: Vec<(Client, u16)>,
    cseq: u64,
    pings: u64,
}

impl Hall {
    fn open(members: usize) -> Self {
        let mut hall = Self {
            server: Running::start(config()),
            channel: Channel(0),
            members: Vec::new(),
            cseq: 0,
            pings: 0,
        };
        wait_for("members on both shards", || {
            hall.enter(Wire::Native);
            let on = |shard| hall.members.iter().any(|(_, at)| *at == shard);
            (hall.members.len() >= members && on(0) && on(1)).then_some(())
        });
        // The type's number is announced with the first message.
        hall.broadcast(1);
        hall
    }

    fn enter(&mut self, wire: Wire) {
        let presence = Some(PresenceMode::None);
        let create = Some(CreateOptions { presence, ..CreateOptions::default() });
        let (mut client, welcome) = Client::connect(self.server.play_addr(), wire);
        let joined = client.join_with("hall", JoinOptions { create, ..JoinOptions::default() });
        self.channel = joined.channel;
        self.members.push((client, welcome.resume_key.shard()));
    }

    /// Publishes so many messages at once and reads them everywhere.
    fn broadcast(&mut self, count: u64) {
        let (first, last) = (self.cseq + 1, self.cseq + count);
        self.cseq = last;
        let messages: Vec<_> = (first..=last)
            .map(|cseq| publish(self.channel, cseq, Class::Reliable, b"to everybody"))
            .collect();
        self.members[0].0.try_send(&messages).expect("open");
        for (client, _) in &mut self.members {
            for cseq in first..=last {
                assert_eq!(client.until(message).cseq.0, cseq);
            }
        }
    }

    /// Has every shard turn once more, so that its counters say all that it has done before.
    fn settle(&mut self) {
        for shard in 0..2 {
            self.pings += 1;
            let on_it = self.members.iter_mut().find(|(_, at)| *at == shard);
            on_it.expect("a member on each shard").0.round_trip(self.pings);
        }
    }

    /// How much a counter grows by what is done.
    fn cost(&mut self, counter: Counter, act: impl FnOnce(&mut Self)) -> u64 {
        self.settle();
        let before = self.server.count(counter);
        act(self);
        self.settle();
        self.server.count(counter) - before
    }
}

/// What the two pongs of the settling before cost, and those after: encoded in the turn whose
/// counters are read, but written after it.
const PONGS: u64 = 2;

#[test]
fn a_broadcast_is_encoded_once_however_many_hear_it() {
    for members in [4, 40] {
        let mut hall = Hall::open(members);
        let encodes = hall.cost(Counter::BroadcastEncodes, |hall| hall.broadcast(BROADCASTS));
        assert_eq!(encodes - PONGS, BROADCASTS, "{members} members");
        let deliveries = hall.cost(Counter::DeliveriesReliable, |hall| hall.broadcast(BROADCASTS));
        assert_eq!(deliveries, BROADCASTS * hall.members.len() as u64);
    }
}

#[test]
fn members_that_speak_json_cost_one_encode_more_together() {
    let mut hall = Hall::open(6);
    for _ in 0..5 {
        hall.enter(Wire::Json);
    }
    let encodes = hall.cost(Counter::BroadcastEncodes, |hall| hall.broadcast(BROADCASTS));
    assert_eq!(encodes - PONGS, 2 * BROADCASTS);
}

#[test]
fn a_turn_writes_to_each_connection_at_most_once() {
    let mut hall = Hall::open(30);
    // All of them come in one WebSocket message, and so in one turn of the speaker's shard; they
    // reach the other shard in one batch.
    let writes = hall.cost(Counter::WriteCalls, |hall| hall.broadcast(BROADCASTS));
    let most = hall.members.len() as u64;
    assert!(writes - PONGS <= most, "{writes} write calls for {most} connections");
}

#[test]
fn an_idle_server_does_nothing() {
    let mut hall = Hall::open(4);
    hall.settle();
    let turns = hall.server.counts(Counter::Turns);
    // A round trip through one shard only: the other one sleeps.
    let (client, shard) = &mut hall.members[0];
    for id in 0..100 {
        client.round_trip(1000 + id);
    }
    let other = usize::from(1 - *shard);
    let turned = hall.server.counts(Counter::Turns)[other] - turns[other];
    assert!(turned < 50, "an idle shard turned {turned} times");
}
