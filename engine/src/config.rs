//! The engine's bounds and times. The shell parses and cross-checks them; `Default` holds the
//! shipped values.

use crate::id::ShardId;
use crate::room::Flush;
use crate::room::logic::LogicKind;
use crate::watch::WatchRule;
use madang_protocol::limits::Limits;

/// Everything that can be set for one engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node, as resume keys name it.
    pub node: u16,
    /// This shard.
    pub shard: ShardId,
    /// Shards of the node.
    pub shards: u16,
    /// Sessions and connections.
    pub session: SessionConfig,
    /// Rooms.
    pub room: RoomConfig,
    /// Number of the first room: what [`crate::Engine::rooms_numbered`] said of the engine whose
    /// place this one takes, so that no client that has not heard of the loss speaks to a new room
    /// by an old number.
    pub first_room: u32,
    /// Bytes that may be on their way to another shard before rooms lag and readers pause.
    pub peer_window_bytes: u64,
    /// A known defect to show that the simulator finds it.
    #[cfg(feature = "planted-bugs")]
    pub bug: Option<crate::bugs::Bug>,
}

/// Bounds and times of connections and sessions.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// From the handshake to an accepted hello, in milliseconds.
    pub hello_ms: u64,
    /// Bytes accepted before the session is.
    pub hello_bytes_max: usize,
    /// Silence after which a client is pinged.
    pub ping_ms: u64,
    /// Silence after the ping after which it is dead.
    pub pong_ms: u64,
    /// How long a session is kept without a connection.
    pub grace_ms: u64,
    /// How long before its credential expires a client is asked for a new one.
    pub renew_ms: u64,
    /// How long after that its connection is closed if none has come.
    pub expired_ms: u64,
    /// Largest message from a client.
    pub message_bytes_max: u32,
    /// Largest batch to a client; a single larger message travels alone.
    pub batch_bytes_max: u32,
    /// Bytes of live messages that may wait for one client.
    pub outbound_bytes_max: u32,
    /// Live messages that may wait for one client.
    pub outbound_messages_max: u32,
    /// Bytes of answers to joins and resumes (replay, members) that may wait for one client.
    pub replay_bytes_max: u32,
    /// Bytes of control messages that may wait for one client.
    pub control_bytes_max: u32,
    /// Control messages that may wait for one client.
    pub control_messages_max: u32,
    /// How long state may wait for one client before it is discarded and a snapshot is owed, in
    /// milliseconds.
    pub state_wait_ms: u32,
    /// Sustained messages a second from one client; 0 is no bound.
    pub messages_per_second: u32,
    /// Messages in one burst.
    pub messages_burst: u32,
    /// Sustained bytes a second from one client; 0 is no bound.
    pub bytes_per_second: u32,
    /// Bytes in one burst.
    pub bytes_burst: u32,
    /// Sustained joins a second from one client; 0 is no bound.
    pub joins_per_second: u32,
    /// Joins in one burst.
    pub joins_burst: u32,
    /// Sustained requests a second from one client; 0 is no bound.
    pub requests_per_second: u32,
    /// Requests in one burst.
    pub requests_burst: u32,
    /// How long a client may go on asking for more than it may before it is closed, in milliseconds; 0 is for ever.
    pub rate_close_ms: u64,
    /// Sessions of one user on this shard, those in grace included.
    pub user_sessions_max: usize,
    /// Sessions on this shard, those in grace included.
    pub sessions_max: usize,
    /// Sessions in grace on this shard; beyond, a dropped session ends at once.
    pub away_sessions_max: usize,
    /// Rooms of one session.
    pub rooms_max: usize,
}

/// Bounds and times of rooms.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// Rooms homed on this shard.
    pub rooms_max: usize,
    /// Rooms homed on this shard that one user has made.
    pub user_rooms_max: usize,
    /// Members that any room may have.
    pub members_max: u32,
    /// Members of a room whose creator did not say.
    pub default_capacity: u32,
    /// Log entries kept for resume and late joiners.
    pub history_messages_max: usize,
    /// Bytes of log entries kept.
    pub history_bytes_max: usize,
    /// Messages that a late joiner may ask for.
    pub join_history_messages_max: u32,
    /// Attributes of a member.
    pub attributes_max: usize,
    /// Bytes of a member's attributes, names and values together.
    pub attributes_bytes_max: usize,
    /// Current values of class latest kept for those who join later.
    pub latest_keys_max: usize,
    /// Bytes of such values.
    pub latest_bytes_max: usize,
    /// Members above which full presence becomes count.
    pub presence_full_max: u32,
    /// Least time between two counts.
    pub presence_count_ms: u64,
    /// Users that are kept out of rooms homed here, each of one room.
    pub bans_max: usize,
    /// How long an empty room is kept.
    pub linger_ms: u64,
    /// How long a room gathers messages before they leave together; 0 sends at the end of the turn.
    /// Opens with the first message, so that none waits longer.
    pub flush_ms: u64,
    /// Other ways to gather for rooms by prefix of their names; the longest that fits decides.
    pub flush: Vec<(Box<str>, Flush)>,
    /// Room kinds by name prefix, longest match first tried; rooms without one are `relay`.
    pub kinds: Vec<(Box<str>, Kind)>,
    /// Which rooms may be watched; the longest prefix decides.
    pub watch: Vec<WatchRule>,
    /// Which rooms with rules are recorded, by prefixes of their names.
    pub record: Vec<Box<str>>,
    /// Idempotency keys of publications by backends that a room remembers; 0 is none.
    pub publish_keys_max: usize,
    /// How long it remembers each, in milliseconds.
    pub publish_keys_ms: u64,
    /// The kinds of rooms with state and rules.
    pub logic: Vec<LogicKind>,
    /// Entities of a room's state.
    pub state_entities_max: usize,
    /// Bytes of a room's state, about as it is in memory.
    pub state_bytes_max: usize,
    /// Context operations of one call of a room's logic.
    pub logic_operations_max: u32,
    /// Ticks that a room makes up for at once when the shard was late; others are left out and counted.
    pub catch_up_ticks_max: u32,
}

/// What a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Relays what members publish, with sequence, history and presence.
    Relay,
    /// Relays WebSocket messages verbatim.
    Raw,
    /// Has state and rules: the [`LogicKind`] of this name.
    Logic(&'static str),
}

impl Kind {
    /// The kind's name on the wire and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Relay => "relay",
            Kind::Raw => "raw",
            Kind::Logic(name) => name,
        }
    }
}

impl RoomConfig {
    /// The kind of this name, if there is one.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        let logic = self.logic.iter().map(|kind| Kind::Logic(kind.name));
        [Kind::Relay, Kind::Raw].into_iter().chain(logic).find(|kind| kind.name() == name)
    }

    /// The rules of a kind, if it has any.
    pub fn logic_of(&self, kind: Kind) -> Option<&LogicKind> {
        self.logic.iter().find(|logic| kind == Kind::Logic(logic.name))
    }

    /// How a room of this name gathers messages.
    pub fn flush_of(&self, name: &str) -> Flush {
        let matching = self.flush.iter().filter(|(prefix, _)| name.starts_with(&**prefix));
        match matching.max_by_key(|(prefix, _)| prefix.len()) {
            Some((_, flush)) => *flush,
            None if self.flush_ms == 0 => Flush::Immediate,
            None => Flush::Window(self.flush_ms),
        }
    }

    /// Whether a room of this name is recorded, if it has rules.
    pub fn is_recorded(&self, name: &str) -> bool {
        self.record.iter().any(|prefix| name.starts_with(&**prefix))
    }

    /// The kind that the configuration binds to a room name, if it binds one.
    pub fn bound_kind(&self, name: &str) -> Option<Kind> {
        let matching = self.kinds.iter().filter(|(prefix, _)| name.starts_with(&**prefix));
        matching.max_by_key(|(prefix, _)| prefix.len()).map(|(_, kind)| *kind)
    }

    /// The rule by which a room of this name and kind may be watched, if it may.
    pub fn watch_rule(&self, name: &str, kind: Kind) -> Option<&WatchRule> {
        // A raw room has no log.
        let matching = self.watch.iter().filter(|rule| name.starts_with(&*rule.prefix));
        matching.max_by_key(|rule| rule.prefix.len()).filter(|_| kind != Kind::Raw)
    }
}

impl Config {
    /// The shipped values for one of several shards.
    pub fn for_shard(shard: ShardId, shards: u16) -> Self {
        Self { shard, shards, ..Self::default() }
    }

    /// The bounds that clients are told.
    pub fn wire_limits(&self) -> Limits {
        Limits {
            message_bytes_max: self.session.message_bytes_max,
            batch_bytes_max: self.session.batch_bytes_max,
            rooms_max: self.session.rooms_max as u32,
            history_messages_max: self.room.join_history_messages_max,
            attributes_bytes_max: self.room.attributes_bytes_max as u32,
            messages_per_second: self.session.messages_per_second,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: 0,
            shard: ShardId(0),
            shards: 1,
            session: SessionConfig::default(),
            room: RoomConfig::default(),
            first_room: 0,
            peer_window_bytes: 8 << 20,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            hello_ms: 5_000,
            hello_bytes_max: 16 << 10,
            ping_ms: 25_000,
            pong_ms: 10_000,
            grace_ms: 30_000,
            renew_ms: 60_000,
            expired_ms: 30_000,
            message_bytes_max: 64 << 10,
            batch_bytes_max: 64 << 10,
            outbound_bytes_max: 512 << 10,
            outbound_messages_max: 2048,
            replay_bytes_max: 8 << 20,
            control_bytes_max: 64 << 10,
            control_messages_max: 1024,
            state_wait_ms: 250,
            messages_per_second: 200,
            messages_burst: 400,
            bytes_per_second: 1 << 20,
            bytes_burst: 2 << 20,
            joins_per_second: 10,
            joins_burst: 50,
            requests_per_second: 20,
            requests_burst: 100,
            rate_close_ms: 120_000,
            user_sessions_max: 100,
            sessions_max: 100_000,
            away_sessions_max: 20_000,
            rooms_max: 16,
        }
    }
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self {
            rooms_max: 100_000,
            user_rooms_max: 1_000,
            members_max: 20_000,
            default_capacity: 20_000,
            history_messages_max: 4096,
            history_bytes_max: 1 << 20,
            join_history_messages_max: 100,
            attributes_max: 32,
            attributes_bytes_max: 2 << 10,
            latest_keys_max: 1024,
            latest_bytes_max: 256 << 10,
            presence_full_max: 256,
            presence_count_ms: 500,
            bans_max: 10_000,
            linger_ms: 30_000,
            flush_ms: 0,
            publish_keys_max: 1024,
            publish_keys_ms: 300_000,
            flush: Vec::new(),
            kinds: vec![("raw.".into(), Kind::Raw)],
            record: Vec::new(),
            logic: Vec::new(),
            state_entities_max: 10_000,
            state_bytes_max: 2 << 20,
            logic_operations_max: 100_000,
            catch_up_ticks_max: 5,
            watch: ["courtyard", "arena"]
                .map(|prefix| WatchRule { prefix: prefix.into(), delay_min_ms: 0 })
                .into(),
        }
    }
}
