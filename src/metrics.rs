//! What the server counts, and how a scrape reads it.
//!
//! Every thread with an event loop owns one [`Block`]: an array of atomics that it alone writes,
//! with relaxed stores, once per turn. A scrape reads them from another thread; nobody takes a lock.
//! Names are whole in the tables below, with their units; a room or a user is never a label.

use crate::net::{NetCounters, TlsFailure};
use madang_protocol::CloseCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Content type of [`Metrics::exposition`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether a metric only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// A metric of the players' threads: one counter, or one per value of a label.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// Name of the label; `shard` says that each thread's value is told apart.
    label: Option<&'static str>,
    /// The counters, with the values of the label.
    counters: &'static [(Counter, &'static str)],
}

/// Turns the table below into [`Counter`] and the families that name them.
macro_rules! families {
    ($(
        $kind:ident $name:literal $(by $label:literal)? {
            $( $counter:ident $(= $value:literal)?, )+
        } $help:literal
    )+) => {
        /// An entry of a [`Block`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $($(
                #[doc = concat!("`", $name, "` ", $($value,)? ": ", $help)]
                $counter,
            )+)+
        }

        impl Counter {
            /// Every counter, in the order of the table.
            pub const ALL: &'static [Counter] = &[$($( Counter::$counter, )+)+];
        }

        const FAMILIES: &[Family] = &[$(
            Family {
                name: $name,
                kind: Kind::$kind,
                help: $help,
                label: first!($($label)?),
                counters: &[$( (Counter::$counter, concat!($($value)?)), )+],
            },
        )+];
    };
}

macro_rules! first {
    () => {
        None
    };
    ($label:literal) => {
        Some($label)
    };
}

families! {
    Gauge "madang_connections" by "shard" { Connections, }
        "Open connections of players."
    Gauge "madang_http_lines" by "shard" { Lines, }
        "Connections that are made of HTTP requests."
    Counter "madang_http_lines_opened_total" { LinesOpened, }
        "Connections made of HTTP requests that began."
    Counter "madang_http_lines_idle_total" { LinesIdle, }
        "Connections made of HTTP requests that ended because no request waited for what comes."
    Counter "madang_http_requests_total" by "kind" {
        LineStreams = "events",
        LinePolls = "poll",
        LineSends = "send",
    } "Streams begun, polls answered and sends applied, of connections made of HTTP requests."
    Counter "madang_http_repeats_total" { LineRepeats, }
        "Polls and sends that came again, and were answered without doing anything."
    Gauge "madang_sessions" by "shard" { Sessions, }
        "Sessions, those in grace included."
    Gauge "madang_sessions_away" by "shard" { SessionsAway, }
        "Sessions in grace: without a connection."
    Gauge "madang_rooms" by "shard" { Rooms, }
        "Rooms whose home is the shard."
    Counter "madang_turns_total" by "shard" { Turns, }
        "Passes of the event loop."
    Counter "madang_connections_accepted_total" { ConnectionsAccepted, }
        "Connections accepted."
    Counter "madang_connections_shed_total" { ConnectionsShed, }
        "Connections turned away because a limit was reached."
    Counter "madang_accept_failures_total" { AcceptFailures, }
        "Times that accepting stopped because the process or the system ran out of something."
    Counter "madang_head_timeouts_total" { HeadTimeouts, }
        "Connections whose HTTP head was not complete in time."
    Counter "madang_messages_received_total" { MessagesReceived, }
        "WebSocket messages from clients."
    Counter "madang_deliveries_total" by "class" {
        DeliveriesReliable = "reliable",
        DeliveriesLatest = "latest",
        DeliveriesVolatile = "volatile",
        DeliveriesControl = "control",
        DeliveriesState = "state",
    } "Messages put into clients' queues."
    Counter "madang_dropped_total" by "class" {
        DroppedReliable = "reliable",
        DroppedLatest = "latest",
        DroppedVolatile = "volatile",
        DroppedControl = "control",
        DroppedState = "state",
    } "Messages that a client did not get because its queue was full or not empty."
    Counter "madang_conflated_total" by "class" { ConflatedLatest = "latest", }
        "Messages replaced in a queue by a newer one."
    Counter "madang_received_bytes_total" { ReceivedBytes, }
        "Bytes read from players' sockets."
    Counter "madang_sent_bytes_total" { SentBytes, }
        "Bytes written to players' sockets."
    Counter "madang_write_calls_total" { WriteCalls, }
        "Write calls on players' sockets."
    Counter "madang_short_writes_total" { ShortWrites, }
        "Write calls that the socket took in part or not at all."
    Counter "madang_unwritten_messages_total" { UnwrittenMessages, }
        "Reliable messages given up at the end of connections; a resume replays those of a room's log."
    Counter "madang_gaps_total" { Gaps, }
        "Gaps told to members: logged messages that they will not receive."
    Counter "madang_unwritten_bytes_total" { UnwrittenBytes, }
        "Bytes given up at the end of connections because the socket had not taken them."
    Counter "madang_read_pauses_total" by "reason" {
        ReadPausesRate = "rate",
        ReadPausesLink = "shard",
    } "Times that a client was not read for a while: for its own rate, or for a shard that was behind."
    Counter "madang_broadcast_encodes_total" { BroadcastEncodes, }
        "Messages encoded for an audience, each once."
    Counter "madang_resumes_total" by "result" {
        ResumesRecovered = "recovered",
        ResumesReset = "reset",
        ResumesRefused = "refused",
    } "Resumes: with everything that was missed, with a fresh start, or refused."
    Counter "madang_origins_refused_total" { OriginsRefused, }
        "WebSocket handshakes refused because of the page's origin."
    Counter "madang_lagged_total" { Lagged, }
        "Times that a shard fell behind with a room and was resynced from its log."
    Counter "madang_ticks_total" { Ticks, }
        "Steps of rooms' time."
    Counter "madang_ticks_skipped_total" { TicksSkipped, }
        "Steps that rooms left out because their shard was late."
    Counter "madang_states_owed_total" { StatesOwed, }
        "Times that a member got a room's state anew: it was slow, or its copy was wrong."
    Counter "madang_state_mismatches_total" { StateMismatches, }
        "Times that a client's copy of a room's state was wrong."
    Counter "madang_rooms_failed_total" { RoomsFailed, }
        "Rooms lost because their rules panicked or broke a bound."
    Counter "madang_logic_slow_calls_total" { SlowCalls, }
        "Calls of rooms' rules that took longer than rooms.logic_slow_ms."
    Counter "madang_watch_feed_dropped_total" { WatchFeedDropped, }
        "What happened in rooms and was not told to spectators' threads at once for want of room."
    Counter "madang_record_dropped_total" { RecordDropped, }
        "What happened in recorded rooms and was not recorded for want of room."
    Gauge "madang_held_bytes" by "shard" { HeldBytes, }
        "Bytes of rooms' logs, values and states, and of what waits for clients, each message as if it were not shared."
    Counter "madang_shed_total" by "what" {
        ShedVolatile = "volatile",
        ShedLatest = "latest",
        ShedConnections = "connections",
        ShedRooms = "rooms",
    } "What was given up for want of memory (server.memory_mib_max)."
    Counter "madang_tokens_expired_total" { TokensRunOut, }
        "Connections closed because their token had expired and no new one had come."
    Counter "madang_drain_unwritten_total" { DrainUnwritten, }
        "Reliable messages still unwritten at the end of a drain."

    // From here on the side listener's threads count.
    Gauge "madang_spectators" { Spectators, }
        "Open streams of rooms and of the directory."
    Gauge "madang_watch_log_bytes" { WatchLogBytes, }
        "Bytes of what happened in rooms and can still be watched."
    Counter "madang_watch_events_total" { WatchEvents, }
        "Events sent to spectators."
    Counter "madang_watch_encodes_total" { WatchEncodes, }
        "Events made for spectators, each once for all of them."
    Counter "madang_shed_spectators_total" { ShedSpectators, }
        "Spectators that were turned away for want of memory."
    Counter "madang_watch_gaps_total" { WatchGaps, }
        "Times that a spectator was told that something is missing."
    Counter "madang_publish_events_total" { PublishEvents, }
        "Events that backends published."
    Counter "madang_publish_repeats_total" { PublishRepeats, }
        "Requests to publish that were recognised as retries and not applied again."
    Counter "madang_publish_refused_total" by "reason" {
        PublishOff = "off",
        PublishUnauthorized = "unauthorized",
        PublishForbidden = "forbidden",
        PublishInvalid = "invalid",
        PublishNoRoom = "no_room",
        PublishRawRoom = "raw_room",
        PublishRoomFailed = "room_failed",
        PublishKeyReused = "key_reused",
        PublishBusy = "busy",
        PublishDraining = "draining",
        PublishTimeout = "timeout",
    } "Requests to publish that were refused, or not answered by the room in time."
    Counter "madang_watch_conflated_total" { WatchConflated, }
        "Times that a slow spectator of a room with state skipped to a snapshot."

    // From here on the thread that writes recordings counts.
    Gauge "madang_recordings_open" { RecordingsOpen, }
        "Rooms that are being recorded."
    Counter "madang_recordings_total" { Recordings, }
        "Recordings begun."
    Counter "madang_recorded_bytes_total" { RecordedBytes, }
        "Bytes written to recordings."
    Counter "madang_recordings_cut_total" by "reason" {
        RecordingsCutBehind = "behind",
        RecordingsCutSize = "size",
        RecordingsCutFiles = "files",
        RecordingsCutDisk = "disk",
    } "Rooms not, or no further, recorded: for want of place on the way to the disk, in the file, in the directory, or for what the disk said."

    // From here on whoever checks tokens counts.
    Gauge "madang_token_keys" { TokenKeys, }
        "Keys that tokens are checked with."
    Gauge "madang_token_sources_failing" { TokenSourcesFailing, }
        "Places keys are read from that could not be read the last time; what they gave before stays in use."
    Counter "madang_token_reloads_total" { TokenReloads, }
        "Times that keys were read."
    Counter "madang_token_reload_failures_total" { TokenReloadFailures, }
        "Times that keys could not be read."
    Counter "madang_tokens_accepted_total" { TokensAccepted, }
        "Tokens that were right."
    Counter "madang_tokens_refused_total" by "reason" {
        TokensMissing = "missing",
        TokensMalformed = "malformed",
        TokensTooLong = "too_long",
        TokensUnknownKey = "unknown_key",
        TokensSignature = "signature",
        TokensExpired = "expired",
        TokensNotYet = "not_yet",
        TokensIssuer = "issuer",
        TokensAudience = "audience",
        TokensClaims = "claims",
        TokensBanned = "banned",
        TokensBusy = "busy",
    } "Clients without a token where one is needed, and tokens that were refused."

    // From here on the threads of both listeners count.
    Counter "madang_tls_handshakes_total" by "kind" {
        TlsHandshakesFull = "full",
        TlsHandshakesResumed = "resumed",
    } "TLS handshakes completed, of both listeners."
    Counter "madang_tls_failures_total" by "reason" {
        TlsTimeout = "timeout",
        TlsLost = "lost",
        TlsPlaintext = "plaintext",
        TlsIncompatible = "incompatible",
        TlsAlert = "alert",
        TlsMalformed = "malformed",
    } "TLS connections that failed: handshakes not complete in time or left, HTTP without TLS, nothing in common, given up by the client, not TLS."
    Counter "madang_connections_refused_total" by "reason" {
        RefusedBanned = "banned",
        RefusedRate = "rate",
        RefusedPreamble = "proxy_header",
    } "Connections refused: from banned addresses, from addresses that came too fast, and without a proxy's header where one is due."
    Counter "madang_tls_unexpected_total" { TlsUnexpected, }
        "Connections that began with TLS where none is spoken."
}

impl Counter {
    fn of_tls_failure(why: TlsFailure) -> Self {
        match why {
            TlsFailure::Timeout => Self::TlsTimeout,
            TlsFailure::Lost => Self::TlsLost,
            TlsFailure::Plaintext => Self::TlsPlaintext,
            TlsFailure::Incompatible => Self::TlsIncompatible,
            TlsFailure::Alert => Self::TlsAlert,
            TlsFailure::Malformed => Self::TlsMalformed,
        }
    }
}

/// How HTTP answers are counted: by the first digit of their status.
const HTTP_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What one thread counts. Written by that thread alone, read by a scrape.
#[derive(Debug)]
#[repr(align(128))]
pub struct Block {
    counters: [AtomicU64; Counter::ALL.len()],
    /// As [`CloseCode::ALL`], and one more for all other codes.
    closed: [AtomicU64; CloseCode::ALL.len() + 1],
    http: [AtomicU64; HTTP_CLASSES.len()],
}

impl Default for Block {
    fn default() -> Self {
        Self {
            counters: [const { AtomicU64::new(0) }; Counter::ALL.len()],
            closed: [const { AtomicU64::new(0) }; CloseCode::ALL.len() + 1],
            http: [const { AtomicU64::new(0) }; HTTP_CLASSES.len()],
        }
    }
}

impl Block {
    /// Stores the present value of a gauge, or the sum so far of a counter.
    pub fn set(&self, counter: Counter, value: u64) {
        self.counters[counter as usize].store(value, Ordering::Relaxed);
    }

    /// Adds to a counter that several threads count.
    pub fn add(&self, counter: Counter, more: u64) {
        self.counters[counter as usize].fetch_add(more, Ordering::Relaxed);
    }

    /// The value that was stored last.
    pub fn get(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// Stores what a reactor counted: connections accepted and shed, messages and bytes, write
    /// calls, Close frames and HTTP answers.
    pub fn set_net(&self, net: &NetCounters) {
        for (counter, value) in [
            (Counter::ConnectionsAccepted, net.accepted),
            (Counter::ConnectionsShed, net.shed),
            (Counter::AcceptFailures, net.accept_failures),
            (Counter::HeadTimeouts, net.head_timeouts),
            (Counter::MessagesReceived, net.messages_in),
            (Counter::ReceivedBytes, net.bytes_in),
            (Counter::SentBytes, net.bytes_out),
            (Counter::WriteCalls, net.write_calls),
            (Counter::ShortWrites, net.short_writes),
            (Counter::UnwrittenBytes, net.unwritten_bytes),
            (Counter::TlsHandshakesFull, net.tls_handshakes),
            (Counter::TlsHandshakesResumed, net.tls_resumed),
            (Counter::TlsUnexpected, net.tls_unexpected),
            (Counter::RefusedBanned, net.banned),
            (Counter::RefusedRate, net.too_fast),
            (Counter::RefusedPreamble, net.preamble_failures),
        ] {
            self.set(counter, value);
        }
        for (why, value) in TlsFailure::ALL.into_iter().zip(net.tls_failures) {
            self.set(Counter::of_tls_failure(why), value);
        }
        for (slot, value) in self.http.iter().zip(net.http_answers) {
            slot.store(value, Ordering::Relaxed);
        }
        let mut others = 0;
        for (code, value) in &net.ws_closes {
            match CloseCode::ALL.iter().position(|known| known.code == *code) {
                Some(i) => self.closed[i].store(*value, Ordering::Relaxed),
                None => others += value,
            }
        }
        self.closed[CloseCode::ALL.len()].store(others, Ordering::Relaxed);
    }
}

/// All blocks of the process, and the means to read them.
#[derive(Debug)]
pub struct Metrics {
    blocks: Arc<Blocks>,
    registry: Registry,
}

impl Metrics {
    /// Blocks for so many threads of the players' and of the side listener.
    pub fn new(shards: u16, watch_threads: u16) -> Arc<Self> {
        let blocks = |count: u16| (0..count).map(|_| Arc::new(Block::default())).collect();
        let blocks = Arc::new(Blocks {
            shards: blocks(shards),
            watch: blocks(watch_threads),
            record: blocks(1),
            tokens: blocks(1),
            started: SystemTime::now(),
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&blocks)));
        Arc::new(Self { blocks, registry })
    }

    /// The block of a shard, for its thread.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    pub fn shard(&self, number: u16) -> Arc<Block> {
        Arc::clone(&self.blocks.shards[usize::from(number)])
    }

    /// The block of a thread of the side listener, for that thread. Of it only
    /// [`Counter::Connections`], what stands behind [`Counter::Spectators`], what is said of TLS and the
    /// HTTP answers are told.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    pub fn watch(&self, number: u16) -> Arc<Block> {
        Arc::clone(&self.blocks.watch[usize::from(number)])
    }

    /// The block of the thread that writes recordings, for that thread.
    pub fn record(&self) -> Arc<Block> {
        Arc::clone(&self.blocks.record[0])
    }

    /// The block of those who check tokens.
    pub fn tokens(&self) -> Arc<Block> {
        Arc::clone(&self.blocks.tokens[0])
    }

    /// Everything, as text; its type is [`CONTENT_TYPE`].
    pub fn exposition(&self) -> String {
        let mut out = String::with_capacity(8192);
        // Writing into a string fails only when a collector says so, and ours never does by itself.
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            Err(fmt::Error) => String::from("# EOF\n"),
        }
    }
}

#[derive(Debug)]
struct Blocks {
    shards: Vec<Arc<Block>>,
    watch: Vec<Arc<Block>>,
    /// One.
    record: Vec<Arc<Block>>,
    /// One.
    tokens: Vec<Arc<Block>>,
    started: SystemTime,
}

impl Collector for Blocks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in FAMILIES {
            self.encode_family(family, &mut encoder)?;
        }
        self.encode_closed(&mut encoder)?;
        self.encode_http(&mut encoder)?;
        self.encode_process(&mut encoder)
    }
}

impl Blocks {
    fn encode_family(
        &self,
        family: &Family,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> Result<(), fmt::Error> {
        let mut metric = describe(encoder, family.kind, family.name, family.help)?;
        let sum = |counter: Counter| {
            let (blocks, more): (_, &[_]) = match counter as usize {
                place if place >= Counter::TlsHandshakesFull as usize => {
                    (&self.shards, &self.watch)
                }
                place if place >= Counter::TokenKeys as usize => (&self.tokens, &[]),
                place if place >= Counter::RecordingsOpen as usize => (&self.record, &[]),
                place if place >= Counter::Spectators as usize => (&self.watch, &[]),
                _ => (&self.shards, &[]),
            };
            blocks.iter().chain(more).map(|block| block.get(counter)).sum()
        };
        for (counter, value) in family.counters {
            match family.label {
                None => sample(&mut metric, family.kind, &[], sum(*counter))?,
                Some("shard") => {
                    for (number, block) in self.shards.iter().enumerate() {
                        let labels = [("shard", number.to_string())];
                        sample(&mut metric, family.kind, &labels, block.get(*counter))?;
                    }
                }
                Some(label) => {
                    let labels = [(label, (*value).to_owned())];
                    sample(&mut metric, family.kind, &labels, sum(*counter))?;
                }
            }
        }
        Ok(())
    }

    fn encode_closed(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Close frames sent, by the name of the close code.";
        let mut metric = describe(encoder, Kind::Counter, "madang_closed_total", help)?;
        let names = CloseCode::ALL.iter().map(|code| code.name).chain(["other"]);
        for (i, name) in names.enumerate() {
            let count = sum_at(&self.shards, |block| &block.closed[i]);
            sample(&mut metric, Kind::Counter, &[("code", name.to_owned())], count)?;
        }
        Ok(())
    }

    fn encode_http(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "HTTP answers by listener and class of status.";
        let mut metric = describe(encoder, Kind::Counter, "madang_http_responses_total", help)?;
        for (listener, blocks) in [("play", &self.shards), ("watch", &self.watch)] {
            for (i, class) in HTTP_CLASSES.into_iter().enumerate() {
                let count = sum_at(blocks, |block| &block.http[i]);
                let labels = [("listener", listener.to_owned()), ("code", class.to_owned())];
                sample(&mut metric, Kind::Counter, &labels, count)?;
            }
        }
        Ok(())
    }

    fn encode_process(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let watching = sum_at(&self.watch, |block| &block.counters[Counter::Connections as usize]);
        let started = self.started.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        let gauges: [(_, _, &[(_, _)], _); 4] = [
            ("madang_watch_connections", "Open connections of the side listener.", &[], watching),
            ("madang_build_info", "The running version.", &version, 1),
            (
                "process_start_time_seconds",
                "When the process started, in seconds since 1970.",
                &[],
                started,
            ),
            (
                "process_max_fds",
                "Descriptors that the process may hold.",
                &[],
                crate::sys::descriptor_limit(),
            ),
        ];
        for (name, help, labels, value) in gauges {
            sample(&mut describe(encoder, Kind::Gauge, name, help)?, Kind::Gauge, labels, value)?;
        }
        Ok(())
    }
}

fn sum_at<'a>(blocks: &'a [Arc<Block>], value: impl Fn(&'a Block) -> &'a AtomicU64) -> u64 {
    blocks.iter().map(|block| value(block).load(Ordering::Relaxed)).sum()
}

/// Begins a metric; the encoder adds a counter's `_total` again.
fn describe<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    kind: Kind,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    match kind {
        Kind::Counter => {
            let name = name.strip_suffix("_total").unwrap_or(name);
            encoder.encode_descriptor(name, help, None, MetricType::Counter)
        }
        Kind::Gauge => encoder.encode_descriptor(name, help, None, MetricType::Gauge),
    }
}

fn sample(
    metric: &mut MetricEncoder<'_>,
    kind: Kind,
    labels: &[(&str, String)],
    value: u64,
) -> Result<(), fmt::Error> {
    let put = |metric: &mut MetricEncoder<'_>| match kind {
        Kind::Counter => metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
        Kind::Gauge => metric.encode_gauge(&value),
    };
    // A family without labels would be written with an empty pair of braces.
    if labels.is_empty() { put(metric) } else { put(&mut metric.encode_family(&labels)?) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_fresh_server_exposes_every_family_once() {
        let text = Metrics::new(2, 1).exposition();
        let mut names = BTreeSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            assert!(names.insert(line), "{line} twice");
        }
        for family in FAMILIES {
            let suffix = if family.kind == Kind::Counter { "_total" } else { "" };
            assert!(family.name.ends_with(suffix), "{}", family.name);
            assert!(text.contains(&format!("\n{}", family.name)), "{}", family.name);
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn counters_are_summed_over_shards_and_gauges_are_told_apart() {
        let metrics = Metrics::new(2, 1);
        for (number, value) in [(0, 3), (1, 4)] {
            let block = metrics.shard(number);
            block.set(Counter::MessagesReceived, value);
            block.set(Counter::Connections, value);
            block.set(Counter::DeliveriesLatest, value);
        }
        metrics.watch(0).set(Counter::Connections, 9);
        let text = metrics.exposition();
        for line in [
            "madang_messages_received_total 7",
            "madang_connections{shard=\"0\"} 3",
            "madang_connections{shard=\"1\"} 4",
            "madang_deliveries_total{class=\"latest\"} 7",
            "madang_deliveries_total{class=\"volatile\"} 0",
            "madang_watch_connections 9",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn what_a_reactor_counted_is_told_by_code_and_listener() {
        let metrics = Metrics::new(2, 1);
        let mut net = NetCounters { accepted: 7, ..NetCounters::default() };
        net.http_answers = [1, 2, 3, 4, 5];
        net.ws_closes.extend([(4008, 2), (1005, 10), (3000, 5)]);
        metrics.shard(0).set_net(&net);
        metrics.shard(1).set_net(&net);
        metrics.watch(0).set_net(&net);
        let text = metrics.exposition();
        for line in [
            "madang_connections_accepted_total 14",
            "madang_closed_total{code=\"slow_consumer\"} 4",
            "madang_closed_total{code=\"normal\"} 0",
            "madang_closed_total{code=\"other\"} 30",
            "madang_http_responses_total{listener=\"play\",code=\"4xx\"} 8",
            "madang_http_responses_total{listener=\"watch\",code=\"5xx\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn counters_stand_in_the_block_in_the_order_of_the_table() {
        for (i, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, i);
        }
    }
}
