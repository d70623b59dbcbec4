//! Short words for what every scenario does.

use crate::support::client::{Client, join_named, text};
use crate::support::copy::{Came, StateCopy};
use crate::support::field;
use crate::support::log::What;
use crate::support::log::payload_bytes;
use crate::support::replica::Replica;
use crate::support::socket::Gone;
use crate::support::world::World;
use madang_engine::Config;
use madang_engine::peer::home_of;
use madang_engine::room::Room;
use madang_engine::watch::WatchRule;
use madang_protocol::client::{Class, CreateOptions, Join, JoinOptions};
use madang_protocol::state::{FieldValue, Part, ScalarValue};
use madang_protocol::{CloseCode, ErrorCode};
use std::sync::Once;

/// Room for everything a kernel takes in these tests.
const CAPACITY: usize = 1 << 20;

/// The shipped bounds without the rate.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.session.messages_per_second = 0;
    config.session.bytes_per_second = 0;
    config.session.joins_per_second = 0;
    config.session.requests_per_second = 0;
    config
}

pub(crate) fn world(config: &Config, shards: u16) -> World {
    World::new(config, shards, 1)
}

/// A room name whose home is this shard.
pub(crate) fn room_at(shard: u16, shards: u16) -> String {
    let names = (0..).map(|number| format!("room-{number}"));
    let mut at_home = names.filter(|name| home_of(name, shards).0 == shard);
    at_home.next().unwrap_or_default()
}

/// The same with rooms with rules, which may be watched.
pub(crate) fn rules() -> Config {
    let mut config = config();
    field::add_kinds(&mut config.room);
    for (prefix, ..) in field::KINDS {
        config.room.watch.push(WatchRule { prefix: prefix.into(), delay_min_ms: 0 });
    }
    config
}

/// A room name with this prefix whose home is this shard.
pub(crate) fn named_at(prefix: &str, shard: u16, shards: u16) -> String {
    let mut names = (0..).map(|number| format!("{prefix}{number}"));
    names.find(|name| home_of(name, shards).0 == shard).unwrap_or_default()
}

/// What a panic of a room's rules says goes nowhere: it is expected.
pub(crate) fn hush() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let words = panic.payload().downcast_ref::<String>();
            if words.is_none_or(|words| words != "expected") {
                usual(panic);
            }
        }));
    });
}

/// A join that creates its room with these labels: what the room's rules do when.
pub(crate) fn join_with(name: &str, labels: &[(&str, &str)]) -> Join {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let options = CreateOptions { labels: labels.collect(), ..CreateOptions::default() };
    Join { options: create(options), ..join_named(name) }
}

pub(crate) fn create(options: CreateOptions) -> JoinOptions {
    JoinOptions { create: Some(options), ..JoinOptions::default() }
}

impl World {
    /// A native client with a session, by way of this shard.
    pub(crate) fn native(&mut self, shard: usize) -> usize {
        self.arrive(false, shard)
    }

    /// A JSON client with a session.
    pub(crate) fn json(&mut self, shard: usize) -> usize {
        self.arrive(true, shard)
    }

    fn arrive(&mut self, is_json: bool, shard: usize) -> usize {
        let client = self.add(is_json, CAPACITY);
        self.connect(client, shard);
        assert!(self.clients[client].is_ready(), "it is welcome");
        client
    }

    pub(crate) fn connect(&mut self, client: usize, shard: usize) {
        self.clients[client].connect(&mut self.node, shard);
        self.calm();
    }

    /// Lets everything settle; nothing may have gone against the specification.
    pub(crate) fn calm(&mut self) {
        assert!(self.settle(), "it settles");
        self.check();
    }

    pub(crate) fn check(&self) {
        assert_eq!(self.node.violations, Vec::<String>::new());
        self.node.check_invariants();
    }

    /// Joins by name and returns the channel.
    pub(crate) fn enter(&mut self, client: usize, name: &str) -> u32 {
        self.enter_with(client, join_named(name))
    }

    pub(crate) fn enter_with(&mut self, client: usize, join: Join) -> u32 {
        let before = self.clients[client].joins.len();
        self.ask(client, join);
        let joins = &self.clients[client].joins;
        assert_eq!(joins.len(), before + 1, "it is let in: {:?}", self.clients[client].errors);
        joins[before].channel.0
    }

    /// Joins and expects a refusal.
    pub(crate) fn refused(&mut self, client: usize, join: Join) -> ErrorCode {
        let before = self.clients[client].errors.len();
        self.ask(client, join);
        let errors = &self.clients[client].errors;
        assert_eq!(errors.len(), before + 1, "it is refused");
        errors[before].0
    }

    fn ask(&mut self, client: usize, join: Join) {
        self.clients[client].join(&mut self.node, join);
        self.calm();
    }

    /// Tells a room's rules what to do.
    pub(crate) fn order(&mut self, client: usize, channel: u32, line: &str) -> u64 {
        let sent = self.clients[client].publish(
            &mut self.node,
            channel,
            Class::Reliable,
            "do",
            text(line),
        );
        sent.expect("the client is in the room")
    }

    /// Lets the step of a room at 20 Hz pass, and everything settle.
    pub(crate) fn tick(&mut self) {
        self.pass_ms(50, 10);
        self.calm();
    }

    /// Tells a room's rules what to do, and waits for what comes of it.
    pub(crate) fn done(&mut self, client: usize, channel: u32, lines: &[&str]) {
        for line in lines {
            self.order(client, channel, line);
        }
        self.calm();
        self.tick();
    }

    pub(crate) fn state(&self, client: usize, channel: u32) -> &StateCopy {
        self.replica(client, channel).state.as_ref().expect("the room has state")
    }

    /// The parts that a client has.
    pub(crate) fn parts(&self, client: usize, channel: u32) -> Vec<Part> {
        self.state(client, channel).parts.keys().copied().collect()
    }

    /// What a client has of a text field; nothing if it has no such entity in the part.
    pub(crate) fn reads(&self, client: usize, channel: u32, at: (Part, u32, usize)) -> String {
        let (state, (part, entity, field)) = (self.state(client, channel), at);
        let value = state
            .parts
            .get(&part)
            .and_then(|copy| copy.replica.value(&state.schema, entity, field));
        match value {
            None => "nothing".to_owned(),
            Some(FieldValue::One(ScalarValue::Text(text))) => text,
            Some(FieldValue::One(ScalarValue::Uint(number))) => number.to_string(),
            Some(value) => format!("{value:?}"),
        }
    }

    /// The room of a number, at its home.
    pub(crate) fn room(&self, channel: u32) -> &Room {
        let home = &self.node.engines[channel as usize % self.node.shards()];
        home.home().get(channel).expect("the room is there")
    }

    /// Everybody in the room has what it may see of the state, and nothing else.
    pub(crate) fn agree(&self, channel: u32) {
        for client in &self.clients {
            let Some(replica) = client.rooms.get(&channel) else { continue };
            let state = replica.state.as_ref().expect("the room has state");
            let agrees = state.agrees(self.room(channel), replica.member);
            assert_eq!(agrees, Ok(()), "client {}", client.index);
        }
    }

    /// What came of a room's state since this was asked last.
    pub(crate) fn came(&mut self, client: usize, channel: u32) -> Vec<Came> {
        let room = self.clients[client].rooms.get_mut(&channel).expect("the client is in the room");
        std::mem::take(&mut room.state.as_mut().expect("the room has state").came)
    }

    /// Publishes, class reliable, without waiting for anything.
    pub(crate) fn say(&mut self, client: usize, channel: u32, words: &str) -> u64 {
        self.publish(client, channel, Class::Reliable, words)
    }

    pub(crate) fn publish(
        &mut self,
        client: usize,
        channel: u32,
        class: Class,
        words: &str,
    ) -> u64 {
        let payload = text(words);
        let sent = self.clients[client].publish(&mut self.node, channel, class, "chat", payload);
        sent.expect("the client is in the room")
    }

    /// What a client heard in a room: messages to all and to it.
    pub(crate) fn heard(&self, client: usize, channel: u32) -> Vec<String> {
        let seen = &self.replica(client, channel).seen;
        let payloads = seen.iter().filter_map(|(_, what)| what.payload());
        payloads.map(|payload| words(payload_bytes(payload))).collect()
    }

    /// What a client heard of class latest and volatile.
    pub(crate) fn glimpsed(&self, client: usize, channel: u32) -> Vec<String> {
        let seen = &self.replica(client, channel).ephemerals;
        seen.iter().map(|(_, payload)| words(payload)).collect()
    }

    pub(crate) fn presences(&self, client: usize, channel: u32) -> usize {
        let seen = &self.replica(client, channel).seen;
        seen.iter().filter(|(_, what)| matches!(what, What::Presence(_))).count()
    }

    pub(crate) fn replica(&self, client: usize, channel: u32) -> &Replica {
        self.clients[client].rooms.get(&channel).expect("the client is in the room")
    }

    pub(crate) fn member(&self, client: usize, channel: u32) -> u32 {
        self.replica(client, channel).member
    }

    /// The socket breaks and the server notices; nothing on its way arrives.
    pub(crate) fn drop_socket(&mut self, client: usize) {
        self.clients[client].cut(&mut self.node, 0, Gone::Noticed);
    }

    pub(crate) fn set_stalled(&mut self, client: usize, is_stalled: bool) {
        let id = self.clients[client].socket.expect("it is connected");
        self.node.sockets[id].is_stalled = is_stalled;
        // The kernel takes nothing more than it has.
        self.node.sockets[id].capacity = if is_stalled { 0 } else { CAPACITY };
    }

    pub(crate) fn last_end(&self, client: usize) -> Option<CloseCode> {
        self.clients[client].ends.last().copied().flatten()
    }

    pub(crate) fn last_error(&self, client: usize) -> Option<ErrorCode> {
        self.clients[client].errors.last().map(|(code, _)| *code)
    }

    pub(crate) fn the(&self, client: usize) -> &Client {
        &self.clients[client]
    }
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
