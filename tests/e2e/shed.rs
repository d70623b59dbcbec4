//! A process that is short of memory gives things up in an order, and takes them up again.

use crate::support::client::{Client, Wire, publish};
use crate::support::http::{ask, get, handshake};
use crate::support::{Running, config, wait_for};
use madang::metrics::Counter;
use madang_protocol::client::Class;

const OFFER: &str = "Sec-WebSocket-Protocol: madang.v1\r\n";

#[test]
fn spectators_and_then_newcomers_are_turned_away_until_there_is_room_again() {
    let mut settings = config();
    settings.server.memory_mib_max = 1;
    settings.server.shards = 1;
    settings.rooms.linger_ms = 0;
    let server = Running::start(settings);
    let (play, watch) = (server.play_addr(), server.watch_addr());
    let (mut client, _) = Client::connect(play, Wire::Native);
    // Not one that is watched: its messages would count twice.
    let room = client.join("lobby");
    assert_eq!(ask(play, &handshake("/play", OFFER)).status, 101);
    let payload = vec![7_u8; 50_000];
    let fill = |client: &mut Client, mut cseq: u64, bytes: u64| {
        while server.count(Counter::HeldBytes) < bytes {
            cseq += 1;
            client.send(&publish(room.channel, cseq, Class::Reliable, &payload));
            client.round_trip(cseq);
        }
    };
    // 60 % of it: volatile messages reach nobody.
    fill(&mut client, 0, 640_000);
    let send = publish(room.channel, 1_000_000, Class::Volatile, b"wave");
    client.send(&send);
    wait_for("a dropped message", || (server.count(Counter::ShedVolatile) == 1).then_some(()));
    assert_eq!(ask(play, &handshake("/play", OFFER)).status, 101);
    // 90 %: nobody new.
    fill(&mut client, 2_000_000, 960_000);
    let refused = ask(play, &handshake("/play", OFFER));
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    wait_for("the side listener's turn", || {
        (get(watch, "/rooms/events").status == 503).then_some(())
    });
    assert_eq!(get(watch, "/readyz").status, 200);
    client.round_trip(3_000_000);
    // Who is here goes on; the room's end makes place.
    client.leave();
    wait_for("room again", || (ask(play, &handshake("/play", OFFER)).status == 101).then_some(()));
}
