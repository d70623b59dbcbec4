//! The declaration of every key: name, type, default, bounds and meaning, once.

use super::access::{Anonymous, CookieName, FilePath, Text, TokenKey};
use super::networks::{BanRule, Network};
use super::recording::{Directory, Prefix};
use super::rules::{FlushPolicy, FlushRule, KindRule, RoomKind, RoomName};
use super::secret::Secret;
use super::tls::Certificate;
use super::value::{Bad, ForwardedBy, Level, LogFormat, Raw, Value};
use super::watching::{Origin, WatchRule};
use super::{Key, Section};
use madang_engine::access::{Grant, Rights};
use madang_protocol::limits::MESSAGE_BYTES_CAP;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Turns the table below into one struct per section, [`Config`], [`SECTIONS`] and [`KEYS`].
macro_rules! configuration {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $Type:ty = $default:expr $(, in $bounds:expr)?;
            )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Section {
                $( $(#[doc = $doc])+ pub $key: $Type, )+
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $( $key: $default, )+ }
                }
            }
        )+

        /// Everything that an operator may set, checked.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Config {
            $( $(#[doc = $section_doc])+ pub $section: $Section, )+
        }

        /// Every section, in the order of the sample.
        pub static SECTIONS: &[Section] = &[
            $( Section { name: stringify!($section), doc: concat!($($section_doc),+) }, )+
        ];

        /// Every key, in the order of the sample.
        pub static KEYS: &[Key] = &[
            $($( Key {
                section: stringify!($section),
                name: stringify!($key),
                doc: concat!($($doc),+),
                accepts: || <$Type as Value>::accepts(&bounds!($($bounds)?)),
                render: |config| config.$section.$key.render(),
                set: |config: &mut Config, raw: &Raw<'_>| -> Result<(), Vec<Bad>> {
                    let default: $Type = $default;
                    config.$section.$key = Value::parse(raw, &bounds!($($bounds)?), &default)?;
                    Ok(())
                },
            }, )+)+
        ];
    };
}

macro_rules! bounds {
    () => {
        ()
    };
    ($bounds:expr) => {
        $bounds
    };
}

configuration! {
    /// The process as a whole.
    server: Server {
        /// Threads that serve players; 0 is one per core.
        shards: u16 = 0, in 0..=256;
        /// Deadline of a whole drain, from the signal to the exit.
        drain_ms: u32 = 10_000, in 0..=600_000;
        /// Between telling clients of a drain and no longer reading from them.
        drain_notice_ms: u32 = 1_000, in 0..=600_000;
        /// Earliest return that draining or full answers ask of a client.
        retry_after_min_ms: u32 = 500, in 0..=3_600_000;
        /// Latest return that draining or full answers ask of a client.
        retry_after_max_ms: u32 = 5_000, in 0..=3_600_000;
        /// Most MiB of rooms' logs, values and states, queues and spectators' logs together; 0 is half of what the machine has, or the container may take. From 60 % of it on things are given up, in this order: messages of class volatile, current values of class latest (70 %), spectators (80 %), new connections (90 %).
        memory_mib_max: u32 = 0, in 0..=16_777_216;
        /// Number of this process among those behind one address.
        node: u16 = 0, in 0..=65_535;
    }

    /// What is logged; logs go to standard error and hold no payloads and no credentials.
    log: Log {
        /// Least serious events to log.
        level: Level = Level::Info;
        /// Lines for people, or one JSON object a line.
        format: LogFormat = LogFormat::Human;
    }

    /// The players' listener: connections, sessions and their queues.
    play: Play {
        /// Address of the players' listener; port 0 takes a free one.
        listen: SocketAddr = loopback(7700);
        /// Most connections of the process; 0 is what the descriptors allow, less the reserve.
        connections_max: u32 = 0, in 0..=COUNT_CAP;
        /// Most connections from one address; those of access.trusted are exempt.
        connections_per_ip_max: u32 = 256, in 1..=COUNT_CAP;
        /// Descriptors kept for files, the event loops and the side listener.
        descriptor_reserve: u32 = 256, in 32..=1_000_000;
        /// From the end of the WebSocket handshake to a complete hello.
        hello_ms: u32 = 5_000, in 1..=600_000;
        /// Most bytes before the session is accepted.
        hello_bytes_max: u32 = 16_384, in 256..=BYTES_CAP;
        /// From accepting the connection to a complete HTTP head.
        head_ms: u32 = 10_000, in 1..=600_000;
        /// Largest HTTP head.
        head_bytes_max: u32 = 8_192, in 512..=65_536;
        /// How long a closing connection waits for the client to read the rest.
        linger_ms: u32 = 2_000, in 0..=60_000;
        /// Silence after which a client is pinged.
        ping_ms: u32 = 25_000, in 1..=3_600_000;
        /// Further silence after which it is taken for gone.
        pong_ms: u32 = 10_000, in 1..=3_600_000;
        /// How long a session outlives its connection.
        grace_ms: u32 = 30_000, in 0..=86_400_000;
        /// Largest WebSocket message from a client.
        message_bytes_max: u32 = 65_536, in 256..=BYTES_CAP;
        /// Largest WebSocket message to a client; messages share one up to this size.
        batch_bytes_max: u32 = 65_536, in 256..=BYTES_CAP;
        /// Most bytes waiting for one client.
        outbound_bytes_max: u32 = 524_288, in 1_024..=QUEUE_BYTES_CAP;
        /// Most messages waiting for one client.
        outbound_messages_max: u32 = 2_048, in 1..=1_000_000;
        /// Most bytes of answers (pongs, acks, errors) waiting for one client.
        control_bytes_max: u32 = 65_536, in 1_024..=BYTES_CAP;
        /// Most answers waiting for one client.
        control_messages_max: u32 = 1_024, in 1..=1_000_000;
        /// How long a room's state may wait for one client before it is discarded and a snapshot is owed.
        state_wait_ms: u32 = 250, in 10..=60_000;
        /// Messages that a client may send in the long run; faster is slowed.
        messages_per_second: u32 = 200, in 1..=10_000_000;
        /// Messages that it may send at once.
        messages_burst: u32 = 400, in 1..=10_000_000;
        /// Bytes that a client may send in the long run; faster is slowed.
        bytes_per_second: u32 = 1_048_576, in 1_024..=QUEUE_BYTES_CAP;
        /// Bytes that it may send at once.
        bytes_burst: u32 = 2_097_152, in 1_024..=QUEUE_BYTES_CAP;
        /// Joins that a client may ask for in the long run; faster is slowed. 0 is no bound.
        joins_per_second: u32 = 10, in 0..=10_000_000;
        /// Joins that it may ask for at once.
        joins_burst: u32 = 50, in 1..=1_000_000;
        /// Requests (`request`, `get_stats`, `resync`, `renew`, `manage`) that it may send in the long run; faster is slowed. 0 is no bound.
        requests_per_second: u32 = 20, in 0..=10_000_000;
        /// Requests that it may send at once.
        requests_burst: u32 = 100, in 1..=1_000_000;
        /// How long a client may go on sending more than it may, slowed down, before it is closed; 0 is for ever.
        rate_close_ms: u32 = 120_000, in 0..=86_400_000;
        /// Most sessions of one user on a shard, those in grace included.
        user_sessions_max: u32 = 100, in 1..=COUNT_CAP;
        /// Most sessions of a shard, those in grace included.
        sessions_max: u32 = 100_000, in 1..=COUNT_CAP;
        /// Most sessions of a shard that are in grace.
        away_sessions_max: u32 = 20_000, in 0..=COUNT_CAP;
        /// Unsent bytes that the kernel may hold for one client.
        notsent_lowat_bytes: u32 = 32_768, in 1_024..=BYTES_CAP;
        /// Most bytes read from one connection in a turn.
        read_bytes_per_turn: u32 = 65_536, in 1_024..=BYTES_CAP;
        /// Most messages taken from one connection in a turn.
        read_messages_per_turn: u32 = 64, in 1..=65_536;
        /// How long a turn may work while connections send more than can be dealt with: it takes fewer of their messages if it was longer. Time in which others had the core does not count.
        turn_ms: u32 = 5, in 1..=10_000;
        /// But it never takes more messages of all connections together than so many, shared out among those that have some.
        read_messages_shared: u32 = 16_384, in 1..=1_000_000;
        /// But each that was not behind is given so many, up to its own most.
        read_messages_least: u32 = 2, in 1..=65_536;
        /// And each of those that are behind so many when its turn comes, which may take several turns.
        read_messages_behind: u32 = 8, in 1..=65_536;
        /// Most connections written to in a turn.
        writes_per_turn: u32 = 1_024, in 1..=1_000_000;
        /// Most connections accepted in a turn.
        accepts_per_turn: u32 = 64, in 1..=65_536;
        /// Most connections that are ended in a turn: a crowd that leaves at once does not hold up those who stay.
        closes_per_turn: u32 = 64, in 1..=65_536;
        /// Whether clients that no WebSocket gets through to may use plain HTTP requests instead (`/play/http`).
        http: bool = true;
        /// Silence after which such a client is sent something: an empty answer, or a comment. Proxies on the way must wait longer.
        http_wait_ms: u32 = 20_000, in 10..=3_600_000;
        /// How long its connection lives without a request that waits for what comes.
        http_idle_ms: u32 = 10_000, in 10..=3_600_000;
        /// Most of these connections that a shard still knows after their clients have ended them, so that a late request hears what became of it.
        http_ended_max: u32 = 1_024, in 0..=1_000_000;
        /// How long an HTTP connection without a request is kept.
        http_keep_ms: u32 = 30_000, in 10..=3_600_000;
        /// Most requests of one HTTP connection.
        http_requests_max: u16 = 10_000, in 1..=65_535;
        /// Most bytes on their way from one shard to another.
        peer_window_bytes: u32 = 8_388_608, in 65_536..=QUEUE_BYTES_CAP;
    }

    /// Who clients are and what they may do. A credential is a JSON Web Token, signed with one of the keys.
    auth: Auth {
        /// Who is let in without a credential. `loopback` holds only while every listener is on the loopback; a server that others reach has to say `everywhere`, or `off`. Behind a proxy on the same machine everybody comes by the loopback: name it in `access.proxies`, and this has to be said there too.
        anonymous: Anonymous = Anonymous::Loopback;
        /// What those may do who have no credential.
        anonymous_may: Vec<Grant> = vec![Grant::everywhere(Rights::ORDINARY)];
        /// What those may do whose credential says nothing of rooms.
        user_may: Vec<Grant> = vec![Grant::everywhere(Rights::ORDINARY)];
        /// Keys that credentials are checked with: where each is read from, and the one algorithm it is for. Public keys are PEM; a secret has at least 32 bytes.
        keys: Vec<TokenKey> = Vec::new();
        /// A file with more keys, as a JSON Web Key Set.
        jwks_file: FilePath = FilePath(None);
        /// Who may have made a credential (`iss`); empty for anybody who has the key.
        issuers: Vec<Text> = Vec::new();
        /// Whom a credential has to be for (`aud`), one of these; without any, one that names somebody is refused.
        audiences: Vec<Text> = Vec::new();
        /// How far clocks may be apart.
        leeway_s: u32 = 10, in 0..=300;
        /// Largest credential.
        token_bytes_max: u32 = 4_096, in 256..=8_192;
        /// The cookie in which a credential may come; `""` for none. Browsers send cookies for any page: check origins as well.
        cookie: CookieName = CookieName(None);
        /// How long before its credential expires a client is asked for a new one; half of what is left of its life, if that is less.
        renew_ms: u32 = 60_000, in 0..=86_400_000;
        /// How long after that its connection is closed if none has come.
        expired_ms: u32 = 30_000, in 0..=86_400_000;
        /// Most credentials that wait to be checked; beyond, clients are told to come again.
        checks_max: u32 = 1_024, in 1..=65_536;
        /// How often key files are looked at for changes; SIGHUP reads them at once.
        reload_ms: u32 = 2_000, in 100..=3_600_000;
        /// Most bans of users from the server, and from rooms of each shard.
        bans_max: u32 = 10_000, in 1..=1_000_000;
    }

    /// Who may connect, by address and by the page that connects.
    access: Access {
        /// Networks that neither the rates below nor the bounds of connections from one address are for: this machine, load tools, scrapers.
        trusted: Vec<Network> = loopback_networks();
        /// Networks that may not connect, for good or until a moment.
        bans: Vec<BanRule> = Vec::new();
        /// Most networks that may not connect, those included that are banned while the server runs (`POST /bans`).
        bans_max: u32 = 1_000, in 1..=1_000_000;
        /// Proxies, whose word about the address behind them counts.
        proxies: Vec<Network> = Vec::new();
        /// Whether connections of proxies begin with a header of the PROXY protocol, version 1 or 2; one without is closed.
        proxy_protocol: bool = false;
        /// Which field of a proxy's requests says the address behind it; it must set it itself.
        forwarded: ForwardedBy = ForwardedBy::None;
        /// Connections that one address may begin a second in the long run; faster is answered 429.
        connects_per_second: u32 = 20, in 1..=1_000_000;
        /// Connections that it may begin at once.
        connects_burst: u32 = 200, in 1..=1_000_000;
        /// Most addresses whose rates are known; beyond it new ones have none.
        addresses_max: u32 = 65_536, in 1..=COUNT_CAP;
        /// Origins of the pages that may open a WebSocket, each exact, `*` for all, `null` for pages that have none; `self` stands for this server's own pages.
        origins: Vec<Origin> = own_pages();
        /// Whether a WebSocket may be opened without saying an origin, as programs do and browsers do not.
        origin_absent: bool = true;
    }

    /// Encryption of both listeners.
    tls: Tls {
        /// Certificates and their keys in PEM; the first is for clients that ask for a name that none is for. Without any the listeners are plain.
        certificates: Vec<Certificate> = Vec::new();
        /// Whether the players' listener speaks TLS when there is a certificate.
        play: bool = true;
        /// Whether the side listener does; it also answers health checks and scrapes.
        watch: bool = true;
        /// From accepting a connection to a complete handshake.
        handshake_ms: u32 = 10_000, in 100..=600_000;
        /// Most steps of handshakes in a turn, so that a crowd that comes at once does not hold up who is there.
        handshakes_per_turn: u32 = 4, in 1..=65_536;
        /// How often the files are looked at for a change; SIGHUP has them read at once, and 0 leaves it at that.
        reload_ms: u32 = 10_000, in 0..=86_400_000;
    }

    /// Rooms and what they remember.
    rooms: Rooms {
        /// Most rooms of a shard.
        rooms_max: u32 = 100_000, in 1..=COUNT_CAP;
        /// Most rooms of a shard that joins of one user have made and that are still there.
        user_rooms_max: u32 = 1_000, in 1..=COUNT_CAP;
        /// Most rooms of a session.
        rooms_per_session_max: u32 = 16, in 1..=4_096;
        /// Most members that a room may be opened for.
        members_max: u32 = 20_000, in 1..=COUNT_CAP;
        /// Members of a room that was opened without a capacity.
        default_capacity: u32 = 20_000, in 1..=COUNT_CAP;
        /// Most messages in a room's history; 0 keeps none.
        history_messages_max: u32 = 4_096, in 0..=1_000_000;
        /// Most bytes in a room's history.
        history_bytes_max: u32 = 1_048_576, in 0..=QUEUE_BYTES_CAP;
        /// Most messages of history that a join may ask for.
        join_history_messages_max: u32 = 100, in 0..=1_000_000;
        /// Most bytes of all attributes of a member.
        attributes_bytes_max: u32 = 2_048, in 0..=BYTES_CAP;
        /// Most attributes of a member.
        attributes_max: u32 = 32, in 0..=4_096;
        /// Most current values of class latest that a room keeps for late joiners.
        latest_keys_max: u32 = 1_024, in 0..=1_000_000;
        /// Most bytes of those values.
        latest_bytes_max: u32 = 262_144, in 0..=QUEUE_BYTES_CAP;
        /// Most members that are told by name; beyond it presence is a count.
        presence_full_max: u32 = 256, in 0..=65_536;
        /// Least time between two counts.
        presence_count_ms: u32 = 500, in 1..=60_000;
        /// How long an empty room is kept.
        linger_ms: u32 = 30_000, in 0..=86_400_000;
        /// How long a room gathers messages so that they leave together; 0 is the end of the turn. The largest lever on CPU per message there is, paid for with latency.
        flush_ms: u32 = 0, in 0..=50;
        /// Most entities in the state of a room.
        state_entities_max: u32 = 10_000, in 1..=1_000_000;
        /// Most bytes of the state of a room, about as it is in memory.
        state_bytes_max: u32 = 2_097_152, in 1_024..=QUEUE_BYTES_CAP;
        /// Most operations in one call of a room's rules; a room that makes more is lost.
        logic_operations_max: u32 = 100_000, in 100..=100_000_000;
        /// How long a call of a room's rules may take before it is logged and counted.
        logic_slow_ms: u32 = 10, in 1..=60_000;
        /// Most ticks that a room makes up for at once when its shard was late; others are left out.
        catch_up_ticks_max: u32 = 5, in 0..=600;
        /// Which rooms anybody may watch, by prefixes of their names, and how much later at least than the members see it; the longest that fits decides.
        watch: Vec<WatchRule> = watchable(["courtyard", "arena"]);
        /// Binds prefixes of room names to kinds; the longest that fits decides, and a name that none fits may be of any kind.
        kind: Vec<KindRule> = kinds();
        /// Ways to gather other than `rooms.flush_ms`, by prefixes of the rooms' names; the longest that fits decides. `tick` sends a room's messages with its state, at the end of each tick.
        flush: Vec<FlushRule> = with_ticks(["shared.", "board"]);
        /// Rooms that are opened at the start and stay open without members; the default is the demo's, where bots play.
        open: Vec<RoomName> = demo_rooms();
        /// Which rooms with rules are recorded, by prefixes of their names. A recording holds all that members sent and what the room's random numbers come from: keep it as a secret.
        record: Vec<Prefix> = Vec::new();
        /// The directory of the recordings.
        record_dir: Directory = Directory("recordings".into());
        /// Most bytes of one recording; beyond it the room is not recorded any further.
        record_bytes_max: u32 = 67_108_864, in 65_536..=QUEUE_BYTES_CAP;
        /// Most recordings in the directory; when it holds so many no more are begun. None is ever removed.
        record_files_max: u32 = 1_000, in 1..=1_000_000;
        /// Most bytes on their way to the disk; what is beyond ends the recordings that it belongs to.
        record_queue_bytes_max: u32 = 16_777_216, in 65_536..=QUEUE_BYTES_CAP;
    }

    /// The side listener: spectators, health, metrics and the demo, on threads that never slow the players'.
    watch: Watch {
        /// Address of the side listener; port 0 takes a free one.
        listen: SocketAddr = loopback(7701);
        /// Its threads.
        threads: u16 = 1, in 1..=64;
        /// How much those threads give way to the players', as `nice` counts.
        nice: u8 = 10, in 0..=19;
        /// Most connections, as far as the descriptor reserve goes.
        connections_max: u32 = 1_024, in 1..=COUNT_CAP;
        /// How long what happened in a room can still be watched.
        history_ms: u32 = 120_000, in 1_000..=86_400_000;
        /// Most bytes of that for one room, its state included; a state that alone is larger is not shown.
        history_bytes_max: u32 = 8_388_608, in 1_024..=QUEUE_BYTES_CAP;
        /// Most bytes of that for all rooms of one of these threads.
        bytes_max: u32 = 268_435_456, in 65_536..=QUEUE_BYTES_CAP;
        /// Longest delay that a spectator may ask for.
        delay_max_ms: u32 = 60_000, in 0..=86_400_000;
        /// How long a spectator of a room with state may be behind before it skips to a snapshot.
        conflate_ms: u32 = 3_000, in 100..=3_600_000;
        /// Silence after which a spectator is sent a comment.
        heartbeat_ms: u32 = 15_000, in 10..=3_600_000;
        /// Least time between two changes of a room in the directory.
        directory_ms: u32 = 1_000, in 10..=60_000;
        /// Most bytes on their way from the players' shards to one of these threads; what is beyond is left out and made up for from the room's history.
        feed_bytes_max: u32 = 16_777_216, in 1_024..=QUEUE_BYTES_CAP;
        /// Origins of other sites' pages that may watch; the server's own pages need no entry.
        cors_origins: Vec<Origin> = Vec::new();
        /// Most connections from one address; those of access.trusted are exempt.
        connections_per_ip_max: u32 = 256, in 1..=COUNT_CAP;
        /// Secrets of backends that may publish by `POST /rooms/{room}/publish`; without one nobody may. Better set by the environment than in a file that others read.
        publish_keys: Vec<Secret> = Vec::new();
        /// Largest body of such a request.
        publish_bytes_max: u32 = 65_536, in 256..=BYTES_CAP;
        /// From its complete head to its complete body.
        publish_body_ms: u32 = 10_000, in 1..=600_000;
        /// How long its room may take to answer.
        publish_answer_ms: u32 = 5_000, in 1..=600_000;
        /// Most idempotency keys that a room remembers; 0 remembers none, so that a retry publishes again.
        publish_repeats_max: u32 = 1_024, in 0..=65_536;
        /// How long it remembers each.
        publish_repeat_ms: u32 = 300_000, in 1_000..=86_400_000;
        /// Whether the demo is served at `/`.
        demo: bool = true;
    }
}

/// Bound of whatever holds a single message.
const BYTES_CAP: u32 = MESSAGE_BYTES_CAP as u32;
/// Bound of whatever holds many messages.
const QUEUE_BYTES_CAP: u32 = 1 << 30;
/// Bound of what is counted per connection, room or member.
const COUNT_CAP: u32 = 10_000_000;

/// Names of the kinds that come with the program.
fn kinds() -> Vec<KindRule> {
    let rules = [("raw.", "raw"), ("arena", "arena"), ("shared.", "shared"), ("board", "shared")];
    let rule = |(prefix, kind): (&str, &str)| {
        Some(KindRule { prefix: prefix.into(), kind: RoomKind::named(kind)? })
    };
    rules.into_iter().filter_map(rule).collect()
}

/// This machine.
fn loopback_networks() -> Vec<Network> {
    crate::net::AccessSettings::default().trusted.into_iter().map(Network).collect()
}

/// This server's own.
fn own_pages() -> Vec<Origin> {
    vec![Origin("self".into())]
}

/// Where the demo's bots play.
fn demo_rooms() -> Vec<RoomName> {
    ["arena-1", "arena-2", "arena-3"].map(|name| RoomName(name.into())).into()
}

/// Rooms that members edit: pointers and edits leave together, once a tick.
fn with_ticks<const N: usize>(prefixes: [&str; N]) -> Vec<FlushRule> {
    prefixes.map(|prefix| FlushRule { prefix: prefix.into(), flush: FlushPolicy::Tick }).into()
}

/// Rules for names with one of these prefixes, without a delay.
fn watchable<const N: usize>(prefixes: [&str; N]) -> Vec<WatchRule> {
    prefixes.map(|prefix| WatchRule { prefix: prefix.into(), delay_min_ms: 0 }).into()
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
