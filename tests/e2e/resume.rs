//! Sockets are cut, sessions go on: nothing is lost and nothing comes twice.

use crate::support::client::{Client, Wire, hello};
use crate::support::line::Way;
use crate::support::player::Player;
use crate::support::{Dice, Patience, Running, config, config_with_long_history, wait_for};
use madang::metrics::Counter;
use madang_protocol::client::Resume;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::thread;

const CLIENTS: u64 = 20;
const ROOMS: [&str; 4] = ["north", "east", "south", "west"];
/// Messages that each client publishes to each of its rooms.
const EACH: usize = 250;
/// Messages that a client may have on their way.
const WINDOW: usize = 8;

#[test]
fn random_cuts_under_load_lose_and_repeat_nothing() {
    let server = Running::start(config_with_long_history());
    let addr = server.play_addr();
    // Never cut; in every room before anybody else.
    let mut observer = Player::connect(addr, Wire::Native);
    observer.join(&ROOMS);

    let all_joined = Arc::new(Barrier::new(CLIENTS as usize));
    let players: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let all_joined = Arc::clone(&all_joined);
            thread::spawn(move || play_and_be_cut(addr, number, &all_joined))
        })
        .collect();
    // Each room has half of the clients.
    let expected = EACH * CLIENTS as usize / 2;
    let channels: Vec<u32> = observer.rooms.keys().copied().collect();
    for channel in channels {
        observer.read_until_logged(channel, expected);
    }
    let players: Vec<Player> =
        players.into_iter().map(|player| player.join().expect("the player is content")).collect();

    for room in observer.rooms.values() {
        assert_eq!(room.log.len(), expected);
        let mut seen = BTreeSet::new();
        for entry in &room.log {
            assert!(seen.insert((entry.from, entry.cseq)), "{entry:?} was applied twice");
        }
    }
    let mut resumes = 0;
    for player in &players {
        resumes += player.resumes;
        for room in player.rooms.values() {
            let theirs = &observer.named(&room.name).log;
            assert_eq!(room.log, *theirs, "in {}", room.name);
            let own = theirs.iter().filter(|entry| entry.from == room.member.0).count();
            assert_eq!((own, room.unacked.len()), (EACH, 0));
        }
    }
    // Every resume finds its two rooms again, unless it was cut before the answer.
    assert!(resumes >= CLIENTS as u32, "{resumes} resumes are no test");
    // A shard answers before it counts.
    wait_for("the count of resumes", || {
        (server.count(Counter::ResumesRecovered) >= 2 * u64::from(resumes)).then_some(())
    });
    assert_eq!(server.count(Counter::ResumesReset), 0);
    let repeats: u32 = players.iter().map(|player| player.repeats).sum();
    assert!(repeats > 0, "no message was ever sent twice");
}

/// Publishes to two rooms and reads them, and loses its socket again and again.
fn play_and_be_cut(addr: SocketAddr, number: u64, all_joined: &Barrier) -> Player {
    let mut dice = Dice::new(number + 1);
    let wire = if number % 4 == 3 { Wire::Json } else { Wire::Native };
    let mut player = Player::connect(addr, wire);
    let first = number as usize % 4;
    let rooms = [ROOMS[first], ROOMS[(first + 1) % 4]].map(|room| player.join(&[room]));
    all_joined.wait();
    let mut to_send: Vec<u32> = rooms.into_iter().cycle().take(2 * EACH).collect();
    let own_logged = |player: &Player, channel: u32| {
        let room = player.room(channel);
        room.log.iter().filter(|entry| entry.from == room.member.0).count()
    };
    let patience = Patience::new("a player's messages");
    loop {
        patience.check();
        let is_done =
            to_send.is_empty() && rooms.iter().all(|room| own_logged(&player, *room) == EACH);
        if is_done {
            break;
        }
        let mut is_cut = false;
        let result = if player.unacked() < WINDOW
            && let Some(channel) = to_send.pop()
        {
            // Not at a message that comes: a cut is news to everybody, and would cause more cuts.
            is_cut = dice.below(15) == 0;
            let payload = format!("{number} {}", to_send.len()).into_bytes();
            player.publish(channel, payload)
        } else {
            player.step()
        };
        if let Err(closed) = result {
            player.resume_after(closed);
        } else if is_cut {
            // Somewhere in what comes.
            for _ in 0..dice.below(10).min(player.unacked() as u64) {
                if let Err(closed) = player.step() {
                    player.resume_after(closed);
                }
            }
            player.cut(dice.below(2) == 0);
            take_up_again(&mut player, &mut dice);
        }
    }
    // What the others still say has to arrive as well.
    for channel in rooms {
        while player.room(channel).log.len() < EACH * CLIENTS as usize / 2 {
            patience.check();
            if let Err(closed) = player.step() {
                player.resume_after(closed);
            }
        }
    }
    player
}

/// Resumes, now and then only at the third attempt: a Welcome that nobody reads costs nothing.
fn take_up_again(player: &mut Player, dice: &mut Dice) {
    for _ in 0..dice.below(3) {
        player.ask_to_resume();
        player.cut(dice.below(2) == 0);
    }
    player.resume();
    if dice.below(2) == 0 {
        player.repeat_unacked();
    }
}

#[test]
fn a_resume_finds_its_session_from_whichever_shard_takes_the_connection() {
    let server = Running::start(config_with_long_history());
    let mut mate = Player::connect(server.play_addr(), Wire::Native);
    let channel = mate.join(&["plaza"]);
    let mut player = Player::connect(server.play_addr(), Wire::Native);
    player.join(&["plaza"]);
    let home = usize::from(player.key.shard());
    let (mut stayed, mut moved, mut said) = (0, 0, 0);
    wait_for("resumes with and without a change of shards", || {
        let before = server.counts(Counter::ConnectionsAccepted);
        player.cut(said % 2 == 0);
        mate.publish(channel, vec![said as u8]).expect("open");
        said += 1;
        player.resume();
        player.read_until_logged(channel, said);
        mate.read_until_logged(channel, said);
        // A connection counts at once where it was accepted, wherever its session is. A line is of two, of
        // which one may not have been looked at yet.
        let after = server.counts(Counter::ConnectionsAccepted);
        let begun = after[0] + after[1] - before[0] - before[1];
        assert!(begun == 1 || crate::WAY != Way::Socket, "{begun} connections");
        stayed += after[home] - before[home];
        moved += after[1 - home] - before[1 - home];
        (stayed > 2 && moved > 2).then_some(())
    });
    assert_eq!(player.room(channel).log, mate.room(channel).log);
    assert_eq!(usize::from(player.key.shard()), home, "sessions stay where they are");
}

#[test]
fn a_lost_welcome_does_not_lose_the_session() {
    let server = Running::start(config_with_long_history());
    let mut player = Player::connect(server.play_addr(), Wire::Native);
    let channel = player.join(&["plaza"]);
    for round in 0..30_u8 {
        // By a line it is told at once that the connection is another's meanwhile.
        if let Err(closed) = player.publish(channel, vec![round]) {
            player.resume_after(closed);
        }
        let key = player.key;
        player.reset();
        // The server answers with a new key that nobody reads; the old one has to do again.
        for _ in 0..round % 4 {
            player.ask_to_resume();
            player.cut(round % 2 == 0);
        }
        assert_eq!(player.key, key);
        player.resume();
        assert_ne!(player.key, key, "a key is used once");
        let patience = Patience::new("the message of this round");
        while player.room(channel).log.len() <= usize::from(round) {
            patience.check();
            if let Err(closed) = player.step() {
                player.resume_after(closed);
            }
        }
    }
}

#[test]
fn an_attempt_that_comes_late_does_not_void_the_key_of_the_one_before() {
    let server = Running::start(config_with_long_history());
    let mut player = Player::connect(server.play_addr(), Wire::Native);
    player.join(&["plaza"]);
    let mut late = Client::dial(server.play_addr(), Wire::Native);
    let used = player.key;
    player.reset();
    player.resume();
    // What the client gave up before it tried again was only slow.
    late.send(&hello(Some(Resume { key: used, rooms: Vec::new() })));
    assert!(late.welcome().resumed);
    assert_ne!(player.key, used);
    // The one that was displaced has a key that still opens its session.
    let mut again = Client::dial(server.play_addr(), Wire::Native);
    again.send(&hello(Some(Resume { key: player.key, rooms: Vec::new() })));
    assert!(again.welcome().resumed, "both were told the same key");
}

#[test]
fn the_connection_before_a_resume_is_told_that_it_was_replaced() {
    let server = Running::start(config_with_long_history());
    let mut player = Player::connect(server.play_addr(), Wire::Json);
    player.join(&["plaza"]);
    for _ in 0..10 {
        let mut old = player.detach();
        player.resume();
        let replaced = madang_protocol::CloseCode::REPLACED.code;
        assert_eq!(old.closed(), crate::support::client::Closed::Code(replaced));
    }
}

#[test]
fn after_the_grace_period_the_session_is_over_and_its_rooms_know() {
    let mut config = config();
    config.play.grace_ms = 50;
    let server = Running::start(config);
    let mut mate = Player::connect(server.play_addr(), Wire::Native);
    let channel = mate.join(&["plaza"]);
    let mut player = Player::connect(server.play_addr(), Wire::Native);
    player.join(&["plaza"]);
    player.reset();
    // Join, away, leave.
    let patience = Patience::new("the news that the player is gone");
    while mate.room(channel).seq < 4 {
        patience.check();
        mate.step().expect("open");
    }
    player.ask_to_resume();
    assert!(!player.client().welcome().resumed);
}

#[test]
fn a_history_that_is_too_short_is_said_to_be() {
    let mut config = config();
    config.rooms.history_messages_max = 10;
    let server = Running::start(config);
    let mut mate = Player::connect(server.play_addr(), Wire::Native);
    let channel = mate.join(&["plaza"]);
    let mut player = Player::connect(server.play_addr(), Wire::Native);
    player.join(&["plaza"]);
    player.reset();
    for i in 0..40_u8 {
        mate.publish(channel, vec![i]).expect("open");
    }
    mate.read_until_logged(channel, 40);
    player.ask_to_resume();
    player.take_up().expect("open");
    let joined = player.client().until(|message| match message {
        madang_protocol::ServerMessage::Joined(joined) => Some(joined),
        _ => None,
    });
    assert!(!joined.recovered);
    assert!((1..=10).contains(&joined.replay), "the newest are there: {}", joined.replay);
    let mut newest = Vec::new();
    for _ in 0..joined.replay {
        let message = player.client().until(crate::talk::message);
        newest.push(crate::support::client::bytes(&message.payload)[0]);
    }
    let from = 40 - joined.replay as u8;
    assert_eq!(newest, (from..40).collect::<Vec<_>>());
    wait_for("the count of it", || (server.count(Counter::ResumesReset) == 1).then_some(()));
}
