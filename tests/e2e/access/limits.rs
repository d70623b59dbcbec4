//! What one client, and one user, may ask for: slowed first, closed in the end, and nobody else notices.

use super::{Place, claims, dial, guarded, token};
use crate::support::client::{Client, Closed, Wire, publish};
use crate::support::{Running, config, wait_for};
use madang::metrics::Counter;
use madang_protocol::client::{Class, ClientMessage, GetStats};
use madang_protocol::server::ServerMessage;
use madang_protocol::{CloseCode, ErrorCode};

#[test]
fn one_user_has_so_many_sessions_and_another_is_let_in_all_the_same() {
    let place = Place::new();
    let mut settings = guarded(&place);
    settings.server.shards = 1;
    settings.play.user_sessions_max = 2;
    let server = Running::start(settings);
    let ada = token(&claims("ada"));
    let mut first = dial(&server, &ada);
    let mut second = dial(&server, &ada);
    first.welcome();
    second.welcome();
    assert_eq!(dial(&server, &ada).closed(), Closed::Code(CloseCode::BUSY.code));
    dial(&server, &token(&claims("bob"))).welcome();
    second.leave();
    // The place is free once its session has ended.
    wait_for("a place", || {
        let mut again = dial(&server, &ada);
        match again.next() {
            Ok(ServerMessage::Welcome(_)) => Some(()),
            _ => None,
        }
    });
    first.round_trip(1);
}

#[test]
fn one_user_makes_so_many_rooms() {
    let place = Place::new();
    let mut settings = guarded(&place);
    settings.server.shards = 1;
    settings.rooms.user_rooms_max = 2;
    let server = Running::start(settings);
    let mut clients =
        [dial(&server, &token(&claims("ada"))), dial(&server, &token(&claims("ada")))];
    for client in &mut clients {
        client.welcome();
    }
    clients[0].join("one");
    clients[1].join("two");
    for client in &mut clients {
        assert_eq!(client.refused_join("three"), ErrorCode::TOO_MANY_ROOMS);
    }
    clients[0].join("two");
    let mut bob = dial(&server, &token(&claims("bob")));
    bob.welcome();
    bob.join("three");
    clients[0].join("three");
}

/// A client that does the same again and again until it is closed.
fn goes_on(
    server: &Running,
    mut client: Client,
    mut ask: impl FnMut(u32) -> ClientMessage<'static>,
) {
    let (mut bystander, _) = Client::connect(server.play_addr(), Wire::Native);
    let mut asked = 0;
    let closed = loop {
        asked += 1;
        // Many at once, so that there is always something that has to wait.
        let messages: Vec<_> = (0..50).map(|more| ask(asked * 50 + more)).collect();
        if client.try_send(&messages).is_err() {
            break client.closed();
        }
        // Who asks for less than the burst is never slowed.
        if asked <= 40 {
            bystander.round_trip(asked.into());
        }
        match client.poll() {
            Ok(_) => {}
            Err(closed) => break closed,
        }
    };
    assert_eq!(closed, Closed::Code(CloseCode::RATE_LIMITED.code));
    assert!(server.count(Counter::ReadPausesRate) >= 1, "it was slowed first");
    bystander.round_trip(1_000_000);
}

#[test]
fn who_never_stops_sending_is_slowed_and_then_closed() {
    let mut settings = config();
    settings.server.shards = 1;
    (settings.play.messages_per_second, settings.play.messages_burst) = (200, 100);
    settings.play.rate_close_ms = 1_000;
    let server = Running::start(settings);
    let (mut client, _) = Client::connect(server.play_addr(), Wire::Native);
    let room = client.join("lobby");
    goes_on(&server, client, |number| {
        publish(room.channel, number.into(), Class::Volatile, b"again")
    });
}

#[test]
fn who_never_stops_asking_is_slowed_and_then_closed() {
    let mut settings = config();
    settings.server.shards = 1;
    (settings.play.requests_per_second, settings.play.requests_burst) = (100, 50);
    settings.play.rate_close_ms = 1_000;
    let server = Running::start(settings);
    let (client, _) = Client::connect(server.play_addr(), Wire::Native);
    goes_on(&server, client, |number| ClientMessage::GetStats(GetStats { r#ref: number }));
}
