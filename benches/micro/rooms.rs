//! An engine alone, in virtual time: what a message costs from its bytes to every receiver's frame,
//! and a resume with its replay.

use crate::case::Case;
use crate::wire;
use madang_engine::access::{Identity, Rights};
use madang_engine::id::ConnId;
use madang_engine::input::Entry;
use madang_engine::time::Time;
use madang_engine::{Clock, Config, Engine, Input, Output};
use madang_protocol::client::{
    ClientMessage, CreateOptions, Hello, Join, JoinMode, JoinOptions, JoinTarget, PresenceMode,
    Publish, Resume, RoomPosition,
};
use madang_protocol::ids::{Channel, Cseq, Epoch, ResumeKey, Seq};
use madang_protocol::server::ServerMessage;
use madang_protocol::value::TypeRef;
use madang_protocol::{VERSION, codec};

/// Messages that the room keeps: full before anything is counted.
const HISTORY: usize = 256;
/// Messages that a client that comes back has missed.
const MISSED: u64 = 100;

/// One room on one shard, and what its clients know.
struct Room {
    engine: Engine,
    now: Time,
    members: u32,
    channel: Channel,
    epoch: Epoch,
    /// The newest message's number, and the speaker's for it.
    seq: u64,
    cseq: u64,
    /// The newest key of the member that spoke last in the hello.
    key: Option<ResumeKey>,
    /// What is said next.
    said: Vec<u8>,
    /// The connection of the member that comes and goes.
    guest: ConnId,
    frames: u64,
}

impl Room {
    fn of(members: u32) -> Self {
        let mut config = Config::default();
        (config.session.messages_per_second, config.session.bytes_per_second) = (0, 0);
        // Nobody falls silent for long: virtual time passes with what is said alone.
        config.session.ping_ms = 3_600_000;
        config.room.history_messages_max = HISTORY;
        let mut room = Self {
            engine: Engine::new(config, [7; 32], Time(1)),
            now: Time(1),
            members,
            channel: Channel(0),
            epoch: Epoch([0; 8]),
            seq: 0,
            cseq: 0,
            key: None,
            said: Vec::new(),
            guest: ConnId { slot: members - 1, generation: 0 },
            frames: 0,
        };
        for slot in 0..members {
            let conn = ConnId { slot, generation: 0 };
            room.enter(conn, None);
            room.tell(conn, &ClientMessage::Join(join()));
        }
        // The type of what is said gets its number.
        room.cseq += 1;
        let cseq = Cseq(room.cseq);
        let ClientMessage::Publish(publish) = wire::publish_to(room.channel, cseq) else {
            unreachable!("that is what it makes")
        };
        let r#type = TypeRef::Name("move".into());
        room.tell(speaker(), &ClientMessage::Publish(Publish { r#type, ..publish }));
        room.frames = 0;
        room
    }

    /// A room with a full history.
    fn with_history(members: u32) -> Self {
        let mut room = Self::of(members);
        for _ in 0..2 * HISTORY {
            room.word();
            room.say();
        }
        room
    }

    /// Writes down what is said next.
    fn word(&mut self) {
        self.cseq += 1;
        self.said.clear();
        let publish = wire::publish_to(self.channel, Cseq(self.cseq));
        codec::encode_client(&publish, &mut self.said);
        self.frames = 0;
    }

    /// Somebody says it, and every member's frame is taken.
    fn say(&mut self) {
        let said = std::mem::take(&mut self.said);
        self.input(Input::Message { conn: speaker(), data: &said, text: false });
        self.said = said;
        assert_eq!(self.frames, u64::from(self.members), "everybody hears it, the speaker too");
    }

    /// The guest's connection is gone; what it says when it is back is written down.
    fn part(&mut self) {
        let rooms = vec![RoomPosition {
            channel: self.channel,
            epoch: self.epoch,
            seq: Seq(self.seq - MISSED),
        }];
        let key = self.key.expect("it was welcome");
        self.input(Input::Disconnected { conn: self.guest, ends_session: false });
        self.guest.generation += 1;
        self.said.clear();
        codec::encode_client(&hello(Some(Resume { key, rooms })), &mut self.said);
        self.frames = 0;
    }

    /// The guest is back, and gets what it missed.
    fn resume(&mut self) {
        let said = std::mem::take(&mut self.said);
        self.input(Input::Connected { conn: self.guest, entry: Entry::Native });
        self.input(Input::Message { conn: self.guest, data: &said, text: false });
        self.said = said;
        assert_eq!(self.frames, MISSED + 2, "a welcome, its room, and what it missed");
    }

    fn enter(&mut self, conn: ConnId, resume: Option<Resume>) {
        self.input(Input::Connected { conn, entry: Entry::Native });
        self.tell(conn, &hello(resume));
    }

    fn tell(&mut self, conn: ConnId, message: &ClientMessage<'_>) {
        let mut data = Vec::new();
        codec::encode_client(message, &mut data);
        self.input(Input::Message { conn, data: &data, text: false });
    }

    /// One turn with one input.
    fn input(&mut self, input: Input<'_>) {
        self.now = self.now + 1;
        let clock = Clock { now: self.now, wall_us: 1_700_000_000_000_000 + self.now.0 };
        self.engine.handle_timeout(clock);
        self.engine.handle_input(input, clock);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Flush(conn) => self.flush(conn),
                Output::Authenticate { conn, .. } => {
                    let result = Ok(Identity::anonymous(Rights::ALL));
                    self.engine.handle_input(Input::Authenticated { conn, result }, clock);
                }
                Output::Close { code, .. } => panic!("nobody is closed, but with {code:?}"),
                _ => {}
            }
        }
    }

    /// Takes what waits for a connection, and notes what its client would.
    fn flush(&mut self, conn: ConnId) {
        while let Some((frame, _)) = self.engine.next_frame(conn) {
            self.frames += 1;
            if conn != self.guest {
                continue;
            }
            let message = codec::split_batch(&frame).next().expect("a message");
            match codec::decode_server(message.expect("well framed")).expect("it decodes") {
                ServerMessage::Welcome(welcome) => self.key = Some(welcome.resume_key),
                ServerMessage::Joined(joined) => {
                    (self.channel, self.epoch) = (joined.channel, joined.epoch);
                    self.seq = joined.seq.0;
                }
                ServerMessage::Message(message) => self.seq = self.seq.max(message.seq.0),
                _ => {}
            }
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        publishing("publish_to_10", 10),
        publishing("publish_to_100", 100),
        Case::prepared(
            ("rooms", "resume_replaying_100"),
            Room::with_history(10),
            Room::part,
            Room::resume,
        )
        .per(MISSED, "message")
        .allocates_at_most(MISSED),
    ]
}

/// What is said is encoded each time, as a client does. The bound is the same whatever the room's size:
/// what is allocated is not allocated per receiver.
fn publishing(name: &'static str, members: u32) -> Case {
    let mut room = Room::with_history(members);
    Case::new(("rooms", name), move || {
        room.word();
        room.say();
    })
    .per(u64::from(members), "delivery")
    .allocates_at_most(3)
}

fn speaker() -> ConnId {
    ConnId::default()
}

fn hello(resume: Option<Resume>) -> ClientMessage<'static> {
    ClientMessage::Hello(Hello {
        version_min: VERSION,
        version_max: VERSION,
        resume,
        ..Hello::default()
    })
}

fn join() -> Join {
    // Nobody is told who comes and goes: what is measured is what is said.
    let presence = Some(PresenceMode::None);
    let create = Some(CreateOptions { presence, ..CreateOptions::default() });
    Join {
        r#ref: 1,
        target: JoinTarget::Name("hall".to_owned()),
        mode: JoinMode::Either,
        options: JoinOptions { create, ..JoinOptions::default() },
        since: None,
        history: 0,
        ext: Vec::new(),
    }
}
