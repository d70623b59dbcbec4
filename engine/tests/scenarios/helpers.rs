//! Short words for what every scenario does.

use crate::support::client::{Client, join_named, text};
use crate::support::log::What;
use crate::support::log::payload_bytes;
use crate::support::replica::Replica;
use crate::support::socket::Gone;
use crate::support::world::World;
use madang_engine::Config;
use madang_engine::peer::home_of;
use madang_protocol::client::{Class, CreateOptions, Join, JoinOptions};
use madang_protocol::{CloseCode, ErrorCode};

/// Room for everything a kernel takes in these tests.
const CAPACITY: usize = 1 << 20;

/// The shipped bounds without the rate.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.session.messages_per_second = 0;
    config.session.bytes_per_second = 0;
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
