//! Sessions that belong to somebody else.

use crate::stage::attacked;
use crate::support::client::{Client, Closed, Wire, hello};
use crate::support::player::Player;
use madang_protocol::client::{Ping, Resume};
use madang_protocol::ids::ResumeKey;
use madang_protocol::{ClientMessage, CloseCode, ServerMessage};
use std::sync::{Arc, Barrier};
use std::thread;

const RACERS: usize = 8;

#[test]
fn a_key_that_was_used_or_made_up_opens_nobodys_session() {
    attacked(&["play.grace_ms=60000"], |stage| {
        let addr = stage.process.play;
        let mut player = Player::connect(addr, Wire::Native);
        let channel = player.join(&["plaza"]);
        let used = player.key;
        player.reset();
        player.resume();
        // The first message under the new key is what the old one lives to.
        player.publish(channel, b"back".to_vec()).expect("open");
        player.read_until_logged(channel, 1);
        let try_key = |key: ResumeKey| {
            let mut thief = Client::dial(addr, Wire::Native);
            thief.send(&hello(Some(Resume { key, rooms: Vec::new() })));
            let is_taken = thief.welcome().resumed;
            thief.leave();
            is_taken
        };
        assert!(!try_key(used), "replayed");
        // Every bit of the slot and of the secret counts.
        for bit in 4 * 8..used.0.len() * 8 {
            let mut key = player.key;
            key.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!try_key(key), "bit {bit} does not count");
        }
        // Whose it is has noticed nothing.
        player.publish(channel, b"still here".to_vec()).expect("open");
        player.read_until_logged(channel, 2);
        player.detach().leave();
    });
}

#[test]
fn of_those_who_race_for_a_session_one_has_it() {
    attacked(&["play.grace_ms=60000"], |stage| {
        let addr = stage.process.play;
        for round in 0..5 {
            let mut player = Player::connect(addr, Wire::Native);
            player.join(&["plaza"]);
            let key = player.key;
            player.reset();
            let start = Arc::new(Barrier::new(RACERS));
            let racers: Vec<_> = (0..RACERS)
                .map(|_| {
                    let start = Arc::clone(&start);
                    thread::spawn(move || {
                        let mut racer = Client::dial(addr, Wire::Native);
                        start.wait();
                        racer.send(&hello(Some(Resume { key, rooms: Vec::new() })));
                        racer
                    })
                })
                .collect();
            let mut racers: Vec<Client> =
                racers.into_iter().map(|racer| racer.join().expect("it sent")).collect();
            let places = [CloseCode::REPLACED.code, CloseCode::SUPERSEDED.code];
            // When all have been dealt with.
            racers.retain_mut(|racer| match racer.next() {
                Ok(ServerMessage::Welcome(welcome)) => {
                    assert!(welcome.resumed, "the key is good while nobody has spoken");
                    true
                }
                Err(Closed::Code(code)) if places.contains(&code) => false,
                other => panic!("round {round}: {other:?}"),
            });
            // One has it, and no two think so.
            racers.retain_mut(|racer| match end_or_answer(racer) {
                Some(code) => {
                    assert!(places.contains(&code), "round {round}: {code}");
                    false
                }
                None => true,
            });
            assert_eq!(racers.len(), 1, "round {round}");
            racers.into_iter().for_each(Client::leave);
        }
    });
}

/// The code that a connection was closed with, if it was; none if it answers.
fn end_or_answer(client: &mut Client) -> Option<u16> {
    // One that is closed may not take it.
    let _ = client.try_send(&[ClientMessage::Ping(Ping { id: 1 })]);
    loop {
        match client.next() {
            Ok(ServerMessage::Pong(_)) => return None,
            Ok(_) => {}
            Err(Closed::Code(code)) => return Some(code),
            Err(Closed::Lost) => panic!("a connection was lost without a code"),
        }
    }
}
