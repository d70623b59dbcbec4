//! SIGTERM: everybody is told, nothing that was accepted is lost, and the process ends.

use crate::support::client::{Client, Closed, Dial, Wire, publish};
use crate::support::http::get;
use crate::support::player::Player;
use crate::support::process::Process;
use crate::support::wait_for;
use crate::talk::error;
use madang_protocol::client::{Class, JoinOptions};
use madang_protocol::{CloseCode, ErrorCode, ServerMessage};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const ROOMS: [&str; 2] = ["north", "south"];
const PLAYERS: usize = 8;
/// Messages that a player may have on their way.
const WINDOW: usize = 16;

/// The hint has to be between these.
const RETRY_MS: [u32; 2] = [700, 900];

#[test]
fn a_drain_under_load_tells_everyone_and_loses_nothing_that_was_acknowledged() {
    let process = Process::start(&[
        "server.shards=2",
        "server.drain_notice_ms=1000",
        "server.drain_ms=20000",
        &format!("server.retry_after_min_ms={}", RETRY_MS[0]),
        &format!("server.retry_after_max_ms={}", RETRY_MS[1]),
        "play.messages_per_second=100000",
        "play.messages_burst=100000",
        "play.outbound_messages_max=100000",
        "play.outbound_bytes_max=100000000",
        "rooms.history_messages_max=100000",
        "rooms.history_bytes_max=100000000",
    ]);
    assert_eq!(get(process.watch, "/readyz").status, 200);
    let mut players: Vec<Player> = (0..PLAYERS)
        .map(|i| {
            let wire = if i % 4 == 3 { Wire::Json } else { Wire::Native };
            let mut player = Player::connect(process.play, wire);
            player.join(&ROOMS);
            player
        })
        .collect();
    let (mut late, _) = Client::connect(process.play, Wire::Native);
    let heard = AtomicUsize::new(0);
    thread::scope(|scope| {
        for (number, player) in players.iter_mut().enumerate() {
            let heard = &heard;
            scope.spawn(move || play_to_the_end(player, number, heard));
        }
        wait_for("the load", || (heard.load(Ordering::Relaxed) > 500).then_some(()));
        process.terminate();

        wait_for("readiness to end", || {
            (get(process.watch, "/readyz").status == 503).then_some(())
        });
        assert_eq!(get(process.watch, "/healthz").status, 200);
        let retry = late.until(|message| match message {
            ServerMessage::Draining(draining) => Some(draining.retry_after_ms),
            _ => None,
        });
        assert!((RETRY_MS[0]..=RETRY_MS[1]).contains(&retry));
        late.send_join("new", JoinOptions::default());
        assert_eq!(late.until(error).code, ErrorCode::DRAINING);
        assert_eq!(late.closed(), Closed::Code(CloseCode::DRAINING.code));
        assert!(Dial::from(process.play).try_tcp().is_err(), "nobody new is let in");
    });

    // The connections linger for clients that have not closed yet; ours end here.
    for player in &mut players {
        drop(player.detach());
    }
    drop(late);
    let (code, log) = process.wait();
    assert_eq!(code, 0, "{log}");

    for name in ROOMS {
        let reference = &players[0].named(name).log;
        for player in &players {
            let room = player.named(name);
            assert_eq!(room.log, *reference, "everybody in {name} got all of it");
            let own = reference.iter().filter(|entry| entry.from == room.member.0);
            let own: Vec<u64> = own.map(|entry| entry.cseq).collect();
            assert_eq!(room.acked, own, "acknowledged is what is in the log");
            let first_unknown = room.acked.last().map_or(1, |last| last + 1);
            for (i, cseq) in room.unacked.keys().enumerate() {
                assert_eq!(
                    *cseq,
                    first_unknown + i as u64,
                    "the rest the sender knows to be unknown"
                );
            }
        }
    }
    let hints: Vec<u32> = players.iter().filter_map(|player| player.retry_after_ms).collect();
    assert_eq!(hints.len(), PLAYERS, "everybody was told");
    assert!(hints.iter().all(|hint| (RETRY_MS[0]..=RETRY_MS[1]).contains(hint)), "{hints:?}");
    assert!(hints.iter().any(|hint| *hint != hints[0]), "the hints are spread: {hints:?}");
}

/// Publishes and reads until the server closes the connection.
fn play_to_the_end(player: &mut Player, number: usize, heard: &AtomicUsize) {
    let channels: Vec<u32> = player.rooms.keys().copied().collect();
    let mut said = 0;
    let closed = loop {
        if player.unacked() < WINDOW {
            said += 1;
            let payload = format!("{number} {said}").into_bytes();
            // Once the server has closed, what is sent goes nowhere; the close comes by reading.
            let _ = player.publish(channels[said % 2], payload);
        } else if let Err(closed) = player.step() {
            break closed;
        } else {
            heard.fetch_add(1, Ordering::Relaxed);
        }
    };
    assert_eq!(closed, Closed::Code(CloseCode::DRAINING.code));
}

#[test]
fn a_drain_without_clients_ends_before_its_deadline() {
    let process = Process::start(&["server.drain_notice_ms=0", "server.drain_ms=600000"]);
    process.terminate();
    let (code, log) = process.wait();
    assert_eq!(code, 0, "{log}");
}

#[test]
fn a_connection_that_has_said_nothing_does_not_hold_up_a_drain() {
    let process = Process::start(&[
        "server.drain_notice_ms=0",
        "server.drain_ms=600000",
        "play.head_ms=600000",
    ]);
    let silent = Dial::from(process.play).tcp();
    let (client, _) = Client::connect(process.play, Wire::Native);
    client.leave();
    process.terminate();
    let (code, log) = process.wait();
    assert_eq!(code, 0, "{log}");
    drop(silent);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let process = Process::start(&["server.drain_notice_ms=600000", "server.drain_ms=600000"]);
    let (mut client, _) = Client::connect(process.play, Wire::Native);
    client.join("plaza");
    process.terminate();
    wait_for("readiness to end", || (get(process.watch, "/readyz").status == 503).then_some(()));
    // The session goes on until its time comes.
    client.until(|message| matches!(message, ServerMessage::Draining(_)).then_some(()));
    client.round_trip(1);
    process.terminate();
    let (code, log) = process.wait();
    assert_eq!(code, 1, "{log}");
    assert_eq!(client.closed(), Closed::Lost);
}

#[test]
fn at_the_deadline_what_a_client_did_not_read_is_counted() {
    // One after the other they wait in the queue; as one batch they have left the queue, and what
    // the socket does not take waits with it.
    for (batches, messages, what) in [(300, 1, "unwritten_messages"), (1, 60, "unwritten_bytes")] {
        let process = Process::start(&[
            "server.shards=1",
            "server.drain_notice_ms=0",
            "server.drain_ms=300",
            "play.messages_per_second=100000",
            "play.messages_burst=100000",
        ]);
        let slow = Dial { receive_bytes: Some(2048), ..process.play.into() };
        let (mut slow, _) = Client::connect(slow, Wire::Native);
        slow.join("plaza");
        let (mut mate, _) = Client::connect(process.play, Wire::Native);
        let channel = mate.join("plaza").channel;
        let mut cseq = 0;
        for _ in 0..batches {
            let batch: Vec<_> = (cseq + 1..=cseq + messages)
                .map(|cseq| publish(channel, cseq, Class::Reliable, &[7; 1000]))
                .collect();
            cseq += messages;
            mate.try_send(&batch).expect("open");
            while mate.until(crate::talk::message).cseq.0 != cseq {}
        }
        process.terminate();
        assert_eq!(
            mate.closed(),
            Closed::Code(CloseCode::DRAINING.code),
            "its mate is not affected"
        );
        drop(mate);
        let (code, log) = process.wait();
        assert_eq!(code, 0, "{log}");
        let said = log.split(&format!("{what}=")).nth(1);
        let digits = said.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
        let count = digits.and_then(|digits| digits.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > 0), "{what}: {log}");
        drop(slow);
    }
}
