//! A large broadcast and a flood: the others on the same shard are served in between.

use crate::support::client::{Client, Wire, publish};
use crate::support::{Running, config, wait_for};
use crate::talk::message;
use madang::metrics::Counter;
use madang::sys::raise_descriptor_limit;
use madang_protocol::client::{Class, CreateOptions, JoinOptions, PresenceMode};
use madang_protocol::ids::Channel;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Connections that hear the broadcast.
const AUDIENCE: usize = 2000;
const WRITES_PER_TURN: u32 = 50;

fn quiet() -> JoinOptions {
    let create = CreateOptions { presence: Some(PresenceMode::None), ..CreateOptions::default() };
    JoinOptions { create: Some(create), ..JoinOptions::default() }
}

fn say(client: &mut Client, channel: Channel, cseq: u64) {
    client.send(&publish(channel, cseq, Class::Reliable, b"x"));
}

#[test]
fn a_broadcast_to_thousands_is_written_in_many_turns_and_others_are_read_in_between() {
    raise_descriptor_limit().expect("up to the hard limit");
    let mut config = config();
    config.server.shards = 1;
    config.play.writes_per_turn = WRITES_PER_TURN;
    // The audience's pings would be written too.
    config.play.ping_ms = 3_600_000;
    let server = Running::start(config);
    let addr = server.play_addr();
    let count = |counter| server.count(counter);

    let (mut speaker, _) = Client::connect(addr, Wire::Native);
    let hall = speaker.join_with("hall", quiet()).channel;
    let mut audience: Vec<Client> = (0..AUDIENCE)
        .map(|_| {
            let (mut client, _) = Client::connect(addr, Wire::Native);
            client.join_with("hall", quiet());
            client
        })
        .collect();
    let (mut one, _) = Client::connect(addr, Wire::Native);
    let pair = one.join_with("pair", quiet()).channel;
    let (mut two, _) = Client::connect(addr, Wire::Native);
    two.join_with("pair", quiet());
    let (mut said_in_pair, mut read_in_between) = (0, false);
    let mut broadcasts = 0;
    wait_for("a message that is read in the middle of a broadcast", || {
        speaker.round_trip(broadcasts);
        let (writes, turns) = (count(Counter::WriteCalls), count(Counter::Turns));
        let received = count(Counter::MessagesReceived);
        broadcasts += 1;
        say(&mut speaker, hall, broadcasts);
        said_in_pair += 1;
        say(&mut one, pair, said_in_pair);
        // Both are read; is the broadcast written by then? Sampled in this order, a late look can
        // only say yes.
        wait_for("the two messages to be read", || {
            (count(Counter::MessagesReceived) >= received + 2).then_some(())
        });
        read_in_between |= count(Counter::WriteCalls) < writes + AUDIENCE as u64;
        for client in [&mut one, &mut two] {
            assert_eq!(client.until(message).cseq.0, said_in_pair);
        }
        for client in &mut audience {
            assert_eq!(client.until(message).cseq.0, broadcasts);
        }
        assert_eq!(speaker.until(message).cseq.0, broadcasts);
        speaker.round_trip(broadcasts);
        let (writes, turns) = (count(Counter::WriteCalls) - writes, count(Counter::Turns) - turns);
        assert!(writes >= AUDIENCE as u64, "each connection is written to");
        assert!(writes <= turns * u64::from(WRITES_PER_TURN), "{writes} in {turns} turns");
        (read_in_between && broadcasts >= 3).then_some(())
    });
    assert_eq!(count(Counter::Connections), AUDIENCE as u64 + 3);
}

#[test]
fn a_pair_goes_on_while_a_hall_is_full_of_messages() {
    let mut config = config();
    config.server.shards = 1;
    config.play.writes_per_turn = 20;
    let server = Running::start(config);
    let addr = server.play_addr();
    let (mut speaker, _) = Client::connect(addr, Wire::Native);
    let hall = speaker.join_with("hall", quiet()).channel;
    let mut audience: Vec<Client> = (0..200)
        .map(|_| {
            let (mut client, _) = Client::connect(addr, Wire::Native);
            client.join_with("hall", quiet());
            client
        })
        .collect();
    let (mut one, _) = Client::connect(addr, Wire::Native);
    let pair = one.join_with("pair", quiet()).channel;
    let (mut two, _) = Client::connect(addr, Wire::Json);
    two.join_with("pair", quiet());
    let (is_over, broadcasts) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        // Speaks until the pair is done, so that the pair's progress is what ends the test.
        let speaking = scope.spawn(|| {
            let mut said = 0;
            while !is_over.load(Ordering::Relaxed) {
                said += 1;
                say(&mut speaker, hall, said);
                assert_eq!(speaker.until(message).cseq.0, said);
                for client in &mut audience {
                    assert_eq!(client.until(message).cseq.0, said);
                }
                broadcasts.store(said, Ordering::Relaxed);
            }
        });
        // At least until the hall has heard something: its thread may begin late.
        for cseq in 1.. {
            if cseq > 100 && broadcasts.load(Ordering::Relaxed) > 0 {
                break;
            }
            say(&mut one, pair, cseq);
            assert_eq!(two.until(message).from.0, 1);
            say(&mut two, pair, cseq);
            // Its own, then the answer.
            one.until(message);
            one.until(message);
            two.until(message);
        }
        is_over.store(true, Ordering::Relaxed);
        speaking.join().expect("everybody heard everything");
    });
}

#[test]
fn who_floods_is_slowed_and_its_neighbours_are_not() {
    const FLOOD: u64 = 600;
    const BURST: u32 = 40;
    let mut config = config();
    config.server.shards = 1;
    config.play.messages_burst = BURST;
    config.play.messages_per_second = 1;
    let server = Running::start(config);
    let addr = server.play_addr();
    let (mut flooder, _) = Client::connect(addr, Wire::Native);
    let yard = flooder.join_with("yard", quiet()).channel;
    let (mut one, _) = Client::connect(addr, Wire::Native);
    let pair = one.join_with("pair", quiet()).channel;
    let (mut two, _) = Client::connect(addr, Wire::Native);
    two.join_with("pair", quiet());

    for cseq in 1..=FLOOD {
        say(&mut flooder, yard, cseq);
    }
    // Until its burst is spent it is served like anybody else.
    for cseq in 1..u64::from(BURST) {
        assert_eq!(flooder.until(message).cseq.0, cseq);
    }
    for cseq in 1..=10 {
        say(&mut one, pair, cseq);
        assert_eq!(two.until(message).cseq.0, cseq);
        assert_eq!(one.until(message).cseq.0, cseq);
    }
    // It had a burst and then one a second; a test that took minutes would have been given up.
    let received = server.count(Counter::MessagesReceived);
    assert!(received < FLOOD, "{received} of {FLOOD} messages were taken: it was not slowed");
    // It is not thrown out either: what it said is taken in time, in order.
    for cseq in u64::from(BURST)..u64::from(BURST) + 2 {
        assert_eq!(flooder.until(message).cseq.0, cseq);
    }
    assert_eq!(server.count(Counter::Connections), 3);
}

#[test]
fn bursts_of_everybody_at_once_close_nobody_who_reads() {
    const PLAYERS: u64 = 6;
    const EACH: u64 = 4_000;
    for shards in [1, 2] {
        let mut config = config();
        config.server.shards = shards;
        let server = Running::start(config);
        let players: Vec<_> = (0..PLAYERS)
            .map(|_| {
                let (mut client, _) = Client::connect(server.play_addr(), Wire::Native);
                let channel = client.join_with("hall", quiet()).channel;
                (client, channel)
            })
            .collect();
        let batch = |channel| -> Vec<_> {
            (1..=EACH).map(|cseq| publish(channel, cseq, Class::Reliable, b"")).collect()
        };
        thread::scope(|scope| {
            for (mut client, channel) in players {
                scope.spawn(move || {
                    client.try_send(&batch(channel)).expect("open");
                    let mut seqs = (0..PLAYERS * EACH).map(|_| client.until(message).seq.0);
                    assert!(seqs.by_ref().is_sorted_by(|a, b| a + 1 == *b), "whole and in order");
                });
            }
        });
    }
}
