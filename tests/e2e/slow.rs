//! A client that stops reading: what it costs, whom, and what it is told.

use crate::support::client::{Client, Closed, Dial, Wire, bytes, publish};
use crate::support::player::Player;
use crate::support::{Running, config, config_with_long_history, wait_for};
use madang::metrics::Counter;
use madang_protocol::client::{Class, JoinOptions};
use madang_protocol::{CloseCode, ServerMessage};
use std::collections::BTreeMap;

const QUEUE_BYTES: u32 = 64 << 10;
const PAYLOAD_BYTES: usize = 1000;

#[test]
fn a_slow_reader_is_closed_resumes_and_its_room_mates_notice_nothing() {
    const MESSAGES: usize = 3000;
    let mut config = config_with_long_history();
    config.play.outbound_bytes_max = QUEUE_BYTES;
    config.play.outbound_messages_max = 1_000_000;
    config.play.linger_ms = 30_000;
    let server = Running::start(config);
    let addr = server.play_addr();
    let mut slow = Player::connect(Dial { receive_bytes: Some(4096), ..addr.into() }, Wire::Native);
    let channel = slow.join(&["plaza"]);
    let mut mates: Vec<Player> = (0..3)
        .map(|_| {
            let mut mate = Player::connect(addr, Wire::Native);
            mate.join(&["plaza"]);
            mate
        })
        .collect();

    // Each waits for what the one before said: a mate that had to wait for the slow one would wait
    // for ever.
    for said in 1..=MESSAGES {
        let payload = vec![said as u8; PAYLOAD_BYTES];
        mates[said % 3].publish(channel, payload).expect("open");
        for mate in &mut mates {
            mate.read_until_logged(channel, said);
        }
    }
    let log = mates[0].room(channel).log.clone();
    assert!(mates.iter().all(|mate| mate.room(channel).log == log));

    // It was given its queue and what sockets hold, and then nothing more.
    let all = server.count(Counter::DeliveriesReliable);
    let slow_got = all.saturating_sub((3 * MESSAGES) as u64) as usize * PAYLOAD_BYTES;
    let most = QUEUE_BYTES as usize + (64 << 10) + (256 << 10);
    assert!(slow_got < most && most < MESSAGES * PAYLOAD_BYTES, "{slow_got} bytes");
    wait_for("the mark of the closed connection", || {
        let text = server.metrics().exposition();
        text.contains("madang_closed_total{code=\"slow_consumer\"} 1\n").then_some(())
    });

    // What it can still read is in order, and then it is told why.
    let closed = loop {
        if let Err(closed) = slow.step() {
            break closed;
        }
    };
    assert_eq!(closed, Closed::Code(CloseCode::SLOW_CONSUMER.code));
    assert!(slow.room(channel).log.len() < MESSAGES);
    drop(slow.detach());
    slow.resume();
    slow.read_until_logged(channel, MESSAGES);
    assert_eq!(slow.room(channel).log, log);
    let stats = slow.client().stats();
    assert_eq!((stats.resumes, stats.reliable.dropped), (1, 0));
}

#[test]
fn under_pressure_latest_keeps_the_newest_and_volatile_is_dropped() {
    const KEYS: u32 = 4;
    const ROUNDS: u32 = 1500;
    let mut config = config();
    config.play.outbound_bytes_max = QUEUE_BYTES;
    let server = Running::start(config);
    let addr = server.play_addr();
    let (mut slow, _) =
        Client::connect(Dial { receive_bytes: Some(4096), ..addr.into() }, Wire::Native);
    slow.join("plaza");
    let (mut fast, _) = Client::connect(addr, Wire::Native);
    let at_fast = fast.join("plaza");
    let (mut sender, _) = Client::connect(addr, Wire::Native);
    let channel = sender.join_with("plaza", JoinOptions { echo: false, ..JoinOptions::default() });
    let channel = channel.channel;
    assert_eq!(channel, at_fast.channel);

    let mut cseq = 0;
    let mut say = |sender: &mut Client, class, number: u32| {
        cseq += 1;
        let mut payload = vec![0; PAYLOAD_BYTES];
        payload[..4].copy_from_slice(&number.to_le_bytes());
        sender.send(&publish(channel, cseq, class, &payload));
    };
    for round in 1..=ROUNDS {
        for key in 0..KEYS {
            say(&mut sender, Class::Latest(key), round);
        }
        say(&mut sender, Class::Volatile, round);
        // The fast one reads all along: it gets at least the newest of each round.
        let mut newest = [0; KEYS as usize];
        while newest.iter().any(|number| *number < round) {
            if let Some((Some(key), number)) = ephemeral(fast.next().expect("open")) {
                newest[key as usize] = number;
            }
        }
    }
    say(&mut sender, Class::Reliable, 0);
    fast.until(crate::talk::message);

    let mut newest: BTreeMap<Option<u32>, u32> = BTreeMap::new();
    let mut counts: BTreeMap<Option<u32>, u32> = BTreeMap::new();
    slow.until(|message| {
        if let ServerMessage::Message(_) = message {
            return Some(());
        }
        let (key, number) = ephemeral(message)?;
        let before = newest.insert(key, number).unwrap_or_default();
        assert!(before < number, "{key:?}: {number} after {before}");
        *counts.entry(key).or_default() += 1;
        None
    });
    // Some values may stand behind the last message: those that replaced nothing.
    let stats = slow.stats();
    for key in 0..KEYS {
        assert_eq!(newest.get(&Some(key)), Some(&ROUNDS), "the newest value of key {key}");
        assert!(counts[&Some(key)] < ROUNDS);
    }
    assert!(stats.latest.conflated > 0 && stats.volatile.dropped > 0, "{stats:?}");
    let volatile = counts.get(&None).copied().unwrap_or_default();
    assert_eq!(u64::from(volatile) + stats.volatile.dropped, u64::from(ROUNDS), "none unaccounted");
    let latest: u64 = (0..KEYS).map(|key| u64::from(counts[&Some(key)])).sum();
    let accounted = latest + stats.latest.conflated + stats.latest.dropped;
    assert_eq!(accounted, u64::from(KEYS * ROUNDS), "none unaccounted");
    // The operator's counts say the same, and the fast one's are its own.
    let own = fast.stats();
    let total = |counter| server.count(counter);
    assert_eq!(total(Counter::ConflatedLatest), stats.latest.conflated + own.latest.conflated);
    assert_eq!(total(Counter::DroppedVolatile), stats.volatile.dropped + own.volatile.dropped);
    assert_eq!(total(Counter::DroppedReliable), 0);
}

/// Key and number of an ephemeral message.
fn ephemeral(message: ServerMessage<'static>) -> Option<(Option<u32>, u32)> {
    let ServerMessage::Ephemeral(message) = message else { return None };
    let payload = bytes(&message.payload);
    Some((message.key, u32::from_le_bytes(payload[..4].try_into().expect("four bytes"))))
}

#[test]
fn who_asks_without_reading_the_answers_is_closed() {
    let mut config = config();
    config.play.linger_ms = 30_000;
    let server = Running::start(config);
    let addr = server.play_addr();
    let (mut greedy, _) =
        Client::connect(Dial { receive_bytes: Some(4096), ..addr.into() }, Wire::Json);
    greedy.join("plaza");
    let (mut mate, _) = Client::connect(addr, Wire::Native);
    mate.join("plaza");
    // The server stops reading from it, or ends it; either way it cannot ask for ever.
    let ask =
        madang_protocol::ClientMessage::GetStats(madang_protocol::client::GetStats { r#ref: 1 });
    let mut asked = 0;
    wait_for("the close of a client that does not read", || {
        for _ in 0..50 {
            asked += u32::from(greedy.try_send(std::slice::from_ref(&ask)).is_ok());
        }
        mate.round_trip(1);
        let text = server.metrics().exposition();
        text.contains("madang_closed_total{code=\"control_overflow\"} 1\n").then_some(())
    });
    assert!(asked > 256);
    assert_eq!(greedy.closed(), Closed::Code(CloseCode::CONTROL_OVERFLOW.code));
    mate.round_trip(2);
}
