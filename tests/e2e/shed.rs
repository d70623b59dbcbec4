//! A process that is short of memory gives things up in an order, and takes them up again.

use crate::support::client::{Client, Wire, bytes, publish};
use crate::support::http::{ask, get, handshake};
use crate::support::stream::Stream;
use crate::support::{Running, config, wait_for};
use madang::config::WatchRule;
use madang::metrics::Counter;
use madang_protocol::ErrorCode;
use madang_protocol::client::Class;
use madang_protocol::ids::Channel;
use madang_protocol::server::ServerMessage;
use std::io::{Read as _, Write as _};

const OFFER: &str = "Sec-WebSocket-Protocol: madang.v1\r\n";

/// A server that may hold 1 MiB, and somebody who fills it.
struct Hall {
    server: Running,
    filler: Client,
    room: Channel,
    cseq: u64,
    /// In a room of its own, with a listener.
    speaker: Client,
    listener: Client,
    stage: Channel,
}

impl Hall {
    fn open() -> Self {
        let mut settings = config();
        settings.server.memory_mib_max = 1;
        settings.server.shards = 1;
        settings.rooms.linger_ms = 0;
        // What is watched counts twice: not what fills the memory.
        settings.rooms.watch = vec![WatchRule { prefix: "stage".into(), delay_min_ms: 0 }];
        let server = Running::start(settings);
        let [(mut filler, _), (mut speaker, _), (mut listener, _)] =
            [Wire::Native, Wire::Native, Wire::Native]
                .map(|wire| Client::connect(server.play_addr(), wire));
        let room = filler.join("lobby").channel;
        let stage = speaker.join("stage").channel;
        listener.join("stage");
        Self { server, filler, room, cseq: 0, speaker, listener, stage }
    }

    /// Fills up to so many hundredths of the budget.
    fn fill(&mut self, hundredths: u64) {
        while self.server.count(Counter::HeldBytes) < (1 << 20) / 100 * hundredths {
            self.add();
        }
    }

    /// Fills until the last step. What waits in a queue for a moment may bring it about, so that no count
    /// of what is held afterwards says that it was reached.
    fn fill_to_the_end(&mut self) {
        self.fill(85);
        while self.connect() != 503 {
            self.add();
        }
    }

    fn add(&mut self) {
        let payload = vec![7_u8; 5_000];
        self.cseq += 1;
        self.filler.send(&publish(self.room, self.cseq, Class::Reliable, &payload));
        self.filler.round_trip(self.cseq);
    }

    fn say(&mut self, cseq: u64, class: Class, words: &[u8]) {
        self.speaker.send(&publish(self.stage, cseq, class, words));
    }

    /// What the listener hears next.
    fn hears(&mut self) -> Vec<u8> {
        self.listener.until(|message| match message {
            ServerMessage::Ephemeral(said) => Some(bytes(&said.payload)),
            ServerMessage::Message(said) => Some(bytes(&said.payload)),
            _ => None,
        })
    }

    /// Whether somebody who comes now finds a current value.
    fn is_kept(&self) -> bool {
        let (mut late, _) = Client::connect(self.server.play_addr(), Wire::Native);
        late.join("stage");
        late.send(&madang_protocol::client::ClientMessage::Ping(madang_protocol::client::Ping {
            id: 7,
        }));
        late.until(|message| match message {
            ServerMessage::Ephemeral(_) => Some(true),
            ServerMessage::Pong(_) => Some(false),
            _ => None,
        })
    }

    /// What a spectator that comes now is answered.
    fn watch(&self) -> u16 {
        let mut stream: Stream =
            crate::support::client::Dial::from(self.server.watch_addr()).stream();
        write!(stream, "GET /rooms/stage/events HTTP/1.1\r\nHost: test\r\n\r\n").expect("open");
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("an answer");
        std::str::from_utf8(&start[9..]).expect("text").parse().expect("a status")
    }

    fn connect(&self) -> u16 {
        ask(self.server.play_addr(), &handshake("/play", OFFER)).status
    }
}

#[test]
fn below_the_first_step_nothing_is_given_up() {
    let mut hall = Hall::open();
    hall.fill(50);
    hall.say(1, Class::Volatile, b"wave");
    assert_eq!(hall.hears(), b"wave");
    hall.say(2, Class::Latest(1), b"here");
    assert_eq!(hall.hears(), b"here");
    assert!(hall.is_kept());
    assert_eq!((hall.watch(), hall.connect()), (200, 101));
}

#[test]
fn first_go_messages_of_class_volatile_and_nothing_else() {
    let mut hall = Hall::open();
    hall.fill(63);
    hall.say(1, Class::Volatile, b"wave");
    hall.say(2, Class::Latest(1), b"here");
    assert_eq!(hall.hears(), b"here", "the wave is gone");
    assert!(hall.is_kept());
    assert_eq!(hall.server.count(Counter::ShedVolatile), 1);
    assert_eq!((hall.watch(), hall.connect()), (200, 101));
}

#[test]
fn then_current_values_of_class_latest() {
    let mut hall = Hall::open();
    hall.say(1, Class::Latest(1), b"before");
    assert_eq!(hall.hears(), b"before");
    assert!(hall.is_kept());
    hall.fill(73);
    assert!(!hall.is_kept(), "those that were kept go as well");
    hall.say(2, Class::Latest(1), b"here");
    assert_eq!(hall.hears(), b"here", "who is here gets them");
    assert!(!hall.is_kept());
    assert!(hall.server.count(Counter::ShedLatest) >= 1);
    assert_eq!((hall.watch(), hall.connect()), (200, 101));
}

#[test]
fn then_spectators() {
    let mut hall = Hall::open();
    hall.fill(83);
    // The side listener's thread hears of it in its next turn.
    wait_for("the side listener", || (hall.watch() == 503).then_some(()));
    assert_eq!(hall.connect(), 101, "players still come");
    let (mut newcomer, _) = Client::connect(hall.server.play_addr(), Wire::Native);
    newcomer.join("another");
    assert_eq!(get(hall.server.watch_addr(), "/rooms").status, 200);
    let shed = hall.server.metrics().exposition();
    assert!(shed.contains("\nmadang_shed_spectators_total "), "{shed}");
}

#[test]
fn at_last_new_connections_and_new_rooms_until_there_is_place_again() {
    let mut hall = Hall::open();
    let (mut early, _) = Client::connect(hall.server.play_addr(), Wire::Native);
    hall.fill_to_the_end();
    let refused = ask(hall.server.play_addr(), &handshake("/play", OFFER));
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(get(hall.server.watch_addr(), "/readyz").status, 200);
    assert_eq!(early.refused_join("another"), ErrorCode::SERVER_FULL);
    early.join("stage");
    hall.say(1, Class::Reliable, b"still here");
    assert_eq!(hall.hears(), b"still here", "reliable messages are never given up");
    // Logs grow no more.
    let held = hall.server.count(Counter::HeldBytes);
    let payload = vec![7_u8; 5_000];
    for id in 0..50 {
        hall.cseq += 1;
        hall.filler.send(&publish(hall.room, hall.cseq, Class::Reliable, &payload));
        hall.filler.round_trip(1_000_000 + id);
    }
    // What waits in a queue at this moment is in the count as well.
    let most = held + 20_000;
    wait_for("the queues to be read", || {
        (hall.server.count(Counter::HeldBytes) <= most).then_some(())
    });
    // The room's end makes place, and everything is as before.
    hall.filler.leave();
    let (play, watch) = (hall.server.play_addr(), hall.server.watch_addr());
    wait_for("place", || (ask(play, &handshake("/play", OFFER)).status == 101).then_some(()));
    wait_for("the side listener", || (get(watch, "/rooms/x/events").status != 503).then_some(()));
    hall.speaker.send(&publish(hall.stage, 2, Class::Volatile, b"wave"));
    let wave = hall.listener.until(|message| match message {
        ServerMessage::Ephemeral(said) => Some(bytes(&said.payload)),
        _ => None,
    });
    assert_eq!(wave, b"wave");
}
