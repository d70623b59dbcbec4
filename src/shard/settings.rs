//! The operator's configuration in the words of the engine and of the net.

use crate::config::{Config, FlushPolicy, ForwardedBy, Moment};

use super::lines::LineSettings;
use crate::net::access::{Ban, Forwarded};
use crate::net::{AccessSettings, NetConfig};
use crate::record::RecordSettings;
use crate::rooms::{self, Meter};
use madang_engine::config::{Kind, RoomConfig, SessionConfig};
use madang_engine::id::ShardId;
use madang_engine::room::Flush;
use madang_engine::watch::WatchRule;
use std::sync::Arc;

/// The engine's configuration for one shard, whose rooms' rules `meter` times.
pub fn engine_config(
    config: &Config,
    (shard, shards): (u16, u16),
    meter: &Arc<Meter>,
) -> madang_engine::Config {
    let (play, of_rooms) = (&config.play, &config.rooms);
    let session = SessionConfig {
        hello_ms: play.hello_ms.into(),
        hello_bytes_max: play.hello_bytes_max as usize,
        ping_ms: play.ping_ms.into(),
        pong_ms: play.pong_ms.into(),
        grace_ms: play.grace_ms.into(),
        renew_ms: config.auth.renew_ms.into(),
        expired_ms: config.auth.expired_ms.into(),
        message_bytes_max: play.message_bytes_max,
        batch_bytes_max: play.batch_bytes_max,
        outbound_bytes_max: play.outbound_bytes_max,
        outbound_messages_max: play.outbound_messages_max,
        replay_bytes_max: replay_bytes_max(config),
        control_bytes_max: play.control_bytes_max,
        control_messages_max: play.control_messages_max,
        state_wait_ms: play.state_wait_ms,
        messages_per_second: play.messages_per_second,
        messages_burst: play.messages_burst,
        bytes_per_second: play.bytes_per_second,
        bytes_burst: play.bytes_burst,
        joins_per_second: play.joins_per_second,
        joins_burst: play.joins_burst,
        requests_per_second: play.requests_per_second,
        requests_burst: play.requests_burst,
        rate_close_ms: play.rate_close_ms.into(),
        user_sessions_max: play.user_sessions_max as usize,
        sessions_max: play.sessions_max as usize,
        away_sessions_max: play.away_sessions_max as usize,
        rooms_max: of_rooms.rooms_per_session_max as usize,
    };
    let flush = of_rooms.flush.iter().map(|rule| {
        let flush = match rule.flush {
            FlushPolicy::Immediate => Flush::Immediate,
            FlushPolicy::Tick => Flush::Tick,
            FlushPolicy::Window(ms) => Flush::Window(ms.into()),
        };
        (rule.prefix.clone(), flush)
    });
    let room = RoomConfig {
        rooms_max: of_rooms.rooms_max as usize,
        user_rooms_max: of_rooms.user_rooms_max as usize,
        members_max: of_rooms.members_max,
        default_capacity: of_rooms.default_capacity,
        history_messages_max: of_rooms.history_messages_max as usize,
        history_bytes_max: of_rooms.history_bytes_max as usize,
        join_history_messages_max: of_rooms.join_history_messages_max,
        attributes_max: of_rooms.attributes_max as usize,
        attributes_bytes_max: of_rooms.attributes_bytes_max as usize,
        latest_keys_max: of_rooms.latest_keys_max as usize,
        latest_bytes_max: of_rooms.latest_bytes_max as usize,
        presence_full_max: of_rooms.presence_full_max,
        presence_count_ms: of_rooms.presence_count_ms.into(),
        bans_max: config.auth.bans_max as usize,
        linger_ms: of_rooms.linger_ms.into(),
        flush_ms: of_rooms.flush_ms.into(),
        state_entities_max: of_rooms.state_entities_max as usize,
        state_bytes_max: of_rooms.state_bytes_max as usize,
        logic_operations_max: of_rooms.logic_operations_max,
        catch_up_ticks_max: of_rooms.catch_up_ticks_max,
        kinds: Vec::new(),
        flush: flush.collect(),
        watch: watch_rules(config),
        record: of_rooms.record.iter().map(|prefix| prefix.0.clone()).collect(),
        publish_keys_max: config.watch.publish_repeats_max as usize,
        publish_keys_ms: config.watch.publish_repeat_ms.into(),
        logic: rooms::kinds().iter().map(|kind| rooms::timed(kind, meter)).collect(),
    };
    // Every kind that a configuration can name is one that the engine has.
    let kinds: Vec<(Box<str>, Kind)> = config
        .rooms
        .kind
        .iter()
        .filter_map(|rule| Some((rule.prefix.clone(), room.kind(rule.kind.name())?)))
        .collect();
    let room = RoomConfig { kinds, ..room };
    let mut engine = madang_engine::Config::for_shard(ShardId(shard), shards);
    engine.node = config.server.node;
    engine.session = session;
    engine.room = room;
    engine.peer_window_bytes = config.play.peer_window_bytes.into();
    engine
}

/// What clients without a WebSocket may do.
pub fn line_settings(config: &Config, net: &NetConfig) -> LineSettings {
    LineSettings {
        is_on: config.play.http,
        wait_ms: config.play.http_wait_ms.into(),
        idle_ms: config.play.http_idle_ms.into(),
        ended_max: config.play.http_ended_max as usize,
        answer_bytes_max: config.play.batch_bytes_max as usize,
        message_bytes_max: config.play.message_bytes_max as usize,
        slots_from: net.slots_max(),
        retry_after_s: net.retry_after_s,
    }
}

/// Where recordings go, and how large they may become.
pub fn record_settings(config: &Config) -> RecordSettings {
    let rooms = &config.rooms;
    RecordSettings {
        dir: (*rooms.record_dir.0).into(),
        file_bytes_max: rooms.record_bytes_max.into(),
        files_max: rooms.record_files_max as usize,
    }
}

/// Which rooms may be watched, as the engine and the side listener take it.
pub fn watch_rules(config: &Config) -> Vec<WatchRule> {
    let rules = config.rooms.watch.iter();
    rules
        .map(|rule| WatchRule { prefix: rule.prefix.clone(), delay_min_ms: rule.delay_min_ms })
        .collect()
}

/// What answers to joins and resumes may wait for one client: the whole history and member list of
/// every room it may be in. The bytes are shared with the rooms' logs.
fn replay_bytes_max(config: &Config) -> u32 {
    let rooms = &config.rooms;
    let roster = u64::from(rooms.presence_full_max) * (u64::from(rooms.attributes_bytes_max) + 64);
    // A snapshot writes no value in more bytes than it has in memory, and a few more for its entity.
    let state = u64::from(rooms.state_bytes_max) + u64::from(rooms.state_entities_max) * 16;
    let room =
        u64::from(rooms.history_bytes_max) + u64::from(rooms.latest_bytes_max) + roster + state;
    let all = room * u64::from(rooms.rooms_per_session_max);
    u32::try_from(all).unwrap_or(u32::MAX).max(1 << 20)
}

/// Who may connect, by address.
pub fn access_settings(config: &Config) -> AccessSettings {
    let access = &config.access;
    let bans = access
        .bans
        .iter()
        .map(|ban| Ban { network: ban.network.0, until: ban.until.as_ref().map(Moment::at) });
    AccessSettings {
        trusted: access.trusted.iter().map(|network| network.0).collect(),
        bans: bans.collect(),
        bans_max: access.bans_max as usize,
        proxies: access.proxies.iter().map(|network| network.0).collect(),
        proxy_protocol: access.proxy_protocol,
        forwarded: match access.forwarded {
            ForwardedBy::None => Forwarded::None,
            ForwardedBy::XForwardedFor => Forwarded::XForwardedFor,
            ForwardedBy::Forwarded => Forwarded::Standard,
        },
        connects_per_second: access.connects_per_second,
        connects_burst: access.connects_burst,
        addresses_max: access.addresses_max as usize,
    }
}

/// The players' transport limits; `connections_max` is for the whole process.
pub fn net_config(config: &Config, connections_max: u32) -> NetConfig {
    let play = &config.play;
    NetConfig {
        connections_max: connections_max as usize,
        connections_per_ip_max: play.connections_per_ip_max,
        retry_after_s: config.server.retry_after_max_ms.div_ceil(1000),
        accepts_per_turn: play.accepts_per_turn as usize,
        closes_per_turn: play.closes_per_turn as usize,
        read_bytes_per_turn: play.read_bytes_per_turn as usize,
        read_messages_per_turn: play.read_messages_per_turn as usize,
        read_messages_shared: play.read_messages_shared as usize,
        turn_ms: play.turn_ms.into(),
        read_messages_least: play.read_messages_least as usize,
        read_messages_behind: play.read_messages_behind as usize,
        writes_per_turn: play.writes_per_turn as usize,
        message_bytes_max: play.message_bytes_max as usize,
        batch_bytes_max: play.batch_bytes_max as usize,
        notsent_bytes_max: play.notsent_lowat_bytes,
        handshake_ms: config.tls.handshake_ms.into(),
        handshakes_per_turn: config.tls.handshakes_per_turn as usize,
        head_bytes_max: play.head_bytes_max as usize,
        head_ms: play.head_ms.into(),
        linger_ms: play.linger_ms.into(),
        // The hello of a line is a body, and so is each message.
        body_bytes_max: play.message_bytes_max.max(play.hello_bytes_max) as usize,
        body_ms: play.head_ms.into(),
        idle_ms: play.http_keep_ms.into(),
        requests_max: play.http_requests_max,
        ..NetConfig::default()
    }
}
