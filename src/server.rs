//! A whole server: shards, side listener, and their start and end. Used by the program, by tests
//! and by benchmarks.

use crate::auth::{self, Auth, Checker};
use crate::config::Config;
use crate::memory::{self, Memory};
use crate::metrics::Metrics;
use crate::net::tls::CertificateFiles;
use crate::net::{self, Access, Budget, NetConfig, Reactor, Shared, Tls};
use crate::record::{self, Recorder, Writing};
use crate::rooms::Meter;
use crate::shard::{self, Mailbox, Origins, Packet, Shard};
use crate::sys::{self, StartError};
use crate::watch::{
    Feed, FeedBox, InFlight, PublishSettings, Readiness, Site, WATCH_PACKETS_MAX, WatchDriver,
    WatchInbox, WatchPacket, WatchSettings,
};
use crossbeam_channel::Receiver;
use madang_engine::Engine;
use madang_engine::time::Time;
use mio::Waker;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What spectators have at least and at most, once the players' threads have ended, to take the last
/// events.
const WATCH_DRAIN: Duration = Duration::from_millis(200);

/// What the thread that writes recordings has at most, once the shards have ended.
const RECORD_END: Duration = Duration::from_secs(5);
/// Most requests of one connection to the side listener: a backend that publishes a stream word by
/// word keeps its connection.
const WATCH_REQUESTS_MAX: u16 = 60_000;

/// A running server. Dropping it leaves it running; [`Server::drain`] ends it.
#[derive(Debug)]
pub struct Server {
    play_addr: SocketAddr,
    watch_addr: SocketAddr,
    tls: Option<Tls>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    /// The places of players' connections.
    budget: Arc<Budget>,
    mailboxes: Vec<Mailbox>,
    /// Who may come in; the thread that checks tokens ends with the last of these.
    checker: Checker,
    checking: JoinHandle<()>,
    /// What rooms' rules take, by shard.
    meters: Vec<Arc<Meter>>,
    shards: Vec<JoinHandle<()>>,
    /// The thread that writes recordings, if any room is to be recorded.
    writing: Option<Writing>,
    watchers: Vec<JoinHandle<()>>,
    watch_stop: Arc<AtomicBool>,
    watch_wakers: Vec<Arc<Waker>>,
    watch_boxes: Vec<FeedBox>,
    /// Disconnected when every shard's thread has ended.
    shards_end: Receiver<()>,
    /// The same for the side listener's.
    watchers_end: Receiver<()>,
    drain: DrainTimes,
}

#[derive(Clone, Copy, Debug)]
struct DrainTimes {
    notice: Duration,
    whole: Duration,
}

impl Server {
    /// Binds both listeners and starts every thread. When it returns clients can connect.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound, or the system refuses threads or descriptors.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let capacity = sys::capacity(&config, sys::descriptor_limit())?;
        let shards = match config.server.shards {
            0 => thread::available_parallelism().map_or(1, |cores| cores.get() as u16),
            shards => shards,
        };
        let metrics = Metrics::new(shards, config.watch.threads);
        let readiness = Arc::new(Readiness::default());
        let access = Arc::new(Access::new(shard::access_settings(&config)));
        let shared = Shared::with_access(Arc::clone(&access));
        let tls = load_tls(&config)?;
        let auth = Arc::new(Auth::new(&config.auth, metrics.tokens()));
        if auth.is_closed() {
            return Err(StartError::Closed);
        }
        let memory = Memory::new(match config.server.memory_mib_max {
            0 => memory::half_of_all(),
            mib => u64::from(mib) << 20,
        });
        let (checker, checking) = auth::start(auth)
            .map_err(|error| StartError::System { what: "cannot start a thread", error })?;

        let mut players =
            make_shards(&config, shards, capacity.clients, &shared, (&metrics, &checker, &memory))?;
        let (play_addr, mailboxes) = (players.address, players.mailboxes.clone());
        let meters = players.meters.clone();
        if let Some(tls) = tls.as_ref().filter(|_| config.tls.play) {
            players.reactors.iter_mut().for_each(|reactor| reactor.speak_tls(tls.clone()));
        }
        let demo = config.watch.demo.then_some(players.address.port());
        let site = Arc::new(Site::new(Arc::clone(&readiness), Arc::clone(&metrics), demo));
        let gate = (access, Arc::clone(checker.auth()));
        let mut watch = make_watch(&config, &capacity, &site, (&metrics, &memory), gate)?;
        let (watch_addr, watch_wakers) = (watch.address, watch.wakers.clone());
        let watch_boxes = watch.boxes.clone();
        let pages = Origins::new(&config, players.address, watch.address);
        for reactor in &mut players.reactors {
            reactor.driver_mut().let_in(pages.clone());
        }
        if let Some(tls) = tls.as_ref().filter(|_| config.tls.watch) {
            watch.reactors.iter_mut().for_each(|reactor| reactor.speak_tls(tls.clone()));
        }
        let (recorder, writing) = start_recorder(&config, &metrics)?;
        let (shards, shards_end) = start_shards(&config, players, &watch_boxes, &recorder)?;
        let watch_stop = Arc::new(AtomicBool::new(false));
        let (watchers, watchers_end) = start_watch(&config, watch, &mailboxes, &watch_stop)?;
        readiness.set_ready();
        Ok(Self {
            play_addr,
            watch_addr,
            tls,
            readiness,
            metrics,
            budget: shared.budget,
            mailboxes,
            checker,
            checking,
            meters,
            shards,
            writing,
            watchers,
            watch_stop,
            watch_wakers,
            watch_boxes,
            shards_end,
            watchers_end,
            drain: DrainTimes {
                notice: Duration::from_millis(config.server.drain_notice_ms.into()),
                whole: Duration::from_millis(config.server.drain_ms.into()),
            },
        })
    }

    /// Where players connect.
    pub fn play_addr(&self) -> SocketAddr {
        self.play_addr
    }

    /// The side listener.
    pub fn watch_addr(&self) -> SocketAddr {
        self.watch_addr
    }

    /// The certificates, if there are any.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// What the server counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Ends the server: no new connections and joins, clients told, queues emptied, connections
    /// closed; what is not done at `server.drain_ms` is cut off and counted. Returns at the end.
    pub fn drain(&self) {
        let deadline = Instant::now() + self.drain.whole;
        self.readiness.set_draining();
        self.tell_all(|| Packet::Drain);
        if self.budget.taken() > 0 {
            self.wait_for_shards(deadline.min(Instant::now() + self.drain.notice));
        }
        self.tell_all(|| Packet::Quiesce);
        self.wait_for_shards(deadline);
        self.tell_all(|| Packet::Stop);
        // Only when the shards' threads have ended is there nothing more to tell spectators.
        let deadline = deadline.max(Instant::now() + WATCH_DRAIN);
        self.wait_for_shards(deadline);
        for watch_box in &self.watch_boxes {
            // A thread whose inbox is full is stopped all the same.
            let _ = watch_box.mailbox.send(WatchPacket::Drain);
        }
        let _ = self.watchers_end.recv_deadline(deadline.min(Instant::now() + WATCH_DRAIN));
        self.watch_stop.store(true, Ordering::Release);
        for waker in &self.watch_wakers {
            // A failure means that the wake is due already.
            let _ = waker.wake();
        }
    }

    /// Waits until every thread has ended. Returns whether none of them panicked.
    pub fn join(self) -> bool {
        drop(self.checker);
        let threads = self.shards.into_iter().chain(self.watchers).chain([self.checking]);
        // Every one is waited for, whatever became of the others.
        let panicked = threads.filter_map(|thread| thread.join().err()).count();
        // With the shards gone it writes what it has and ends; a disk that hangs is not waited for.
        let is_written = self.writing.is_none_or(|writing| {
            let _ = writing.end.recv_timeout(RECORD_END);
            !writing.thread.is_finished() || writing.thread.join().is_ok()
        });
        panicked == 0 && is_written
    }

    /// Reads the keys for tokens again; who is connected notices nothing.
    pub fn reload_keys(&self) {
        self.checker.reload();
    }

    /// Whether a thread has ended by itself: a defect, after which the process should end.
    pub fn is_broken(&self) -> bool {
        let threads = self.shards.iter().chain(&self.watchers).chain([&self.checking]);
        { threads }.any(JoinHandle::is_finished)
    }

    /// The shards in which a call of a room's rules has been running for longer than `than`: they hang,
    /// and so does everybody on them.
    pub fn hanging(&self, than: Duration) -> Vec<usize> {
        let hangs = |meter: &Arc<Meter>| meter.running().is_some_and(|running| running > than);
        let meters = self.meters.iter().enumerate();
        meters.filter(|(_, meter)| hangs(meter)).map(|(shard, _)| shard).collect()
    }

    fn tell_all(&self, packet: impl Fn() -> Packet) {
        for mailbox in &self.mailboxes {
            let mut packet = packet();
            // A full inbox empties within a turn or two.
            while let Err(back) = mailbox.send(packet) {
                packet = back;
                thread::yield_now();
            }
        }
    }

    /// Waits until all shards' threads have ended, or the time is up.
    fn wait_for_shards(&self, until: Instant) {
        // Nothing is ever sent: the channel is disconnected when the last thread has dropped its end.
        let _ = self.shards_end.recv_deadline(until);
    }
}

/// The certificates that the configuration names, if it names any.
pub(crate) fn load_tls(config: &Config) -> Result<Option<Tls>, StartError> {
    if config.tls.certificates.is_empty() {
        return Ok(None);
    }
    let files = config.tls.certificates.iter().map(|one| CertificateFiles {
        certificate: (*one.certificate).into(),
        key: (*one.key).into(),
    });
    Tls::load(files.collect()).map(Some).map_err(StartError::Certificate)
}

/// The players' side, before its threads run.
struct Players {
    address: SocketAddr,
    mailboxes: Vec<Mailbox>,
    reactors: Vec<Reactor<Shard>>,
    meters: Vec<Arc<Meter>>,
}

fn make_shards(
    config: &Config,
    shards: u16,
    connections_max: u32,
    shared: &Shared,
    (metrics, checker, memory): (&Metrics, &Checker, &Arc<Memory>),
) -> Result<Players, StartError> {
    let listen = |error| StartError::Listen { key: "play.listen", error };
    let listeners = net::listener::bind(config.play.listen, shards.into()).map_err(listen)?;
    let address = listeners[0].local_addr().map_err(listen)?;
    let mut reactors = Vec::new();
    let mut mailboxes = Vec::new();
    let mut meters = Vec::new();
    for (number, listener) in (0..shards).zip(listeners) {
        let (sender, inbox) = shard::mailbox();
        let signal = inbox.1.clone();
        let slow_after = Duration::from_millis(config.rooms.logic_slow_ms.into());
        let meter = Arc::new(Meter::new(slow_after));
        let engine_config = shard::engine_config(config, (number, shards), &meter);
        let engine = Engine::new(engine_config, seed()?, Time(0));
        let net_config = shard::net_config(config, connections_max);
        let lines = shard::line_settings(config, &net_config);
        let counts = (metrics.shard(number), Arc::clone(&meter));
        let access = (checker.clone(), memory.share());
        let mut driver = Shard::new(engine, inbox, lines, retry_ms(config), counts, access);
        driver.open_rooms(config.rooms.open.iter().map(|name| name.0.clone()));
        meters.push(meter);
        let reactor = Reactor::new(net_config, Some(listener), shared.clone(), driver)
            .map_err(|error| StartError::System { what: "cannot make an event loop", error })?;
        mailboxes.push(Mailbox::new(sender, signal, reactor.waker()));
        reactors.push(reactor);
    }
    Ok(Players { address, mailboxes, reactors, meters })
}

/// Threads, and what is disconnected when all of them have ended.
type Threads = (Vec<JoinHandle<()>>, Receiver<()>);

fn start_shards(
    config: &Config,
    players: Players,
    boxes: &[FeedBox],
    recorder: &Recorder,
) -> Result<Threads, StartError> {
    let mut threads = Vec::new();
    let (held, end) = crossbeam_channel::bounded(0);
    for (number, mut reactor) in players.reactors.into_iter().enumerate() {
        let feed = Feed::new(boxes.to_vec(), config.watch.feed_bytes_max.into());
        reactor.driver_mut().connect(players.mailboxes.clone(), feed, recorder.another());
        let held = held.clone();
        threads.push(spawn(format!("shard-{number}"), move || {
            let _held = held;
            reactor.run()
        })?);
    }
    Ok((threads, end))
}

/// The way to the recordings, and the thread that writes them if any room is to be recorded.
fn start_recorder(
    config: &Config,
    metrics: &Metrics,
) -> Result<(Recorder, Option<Writing>), StartError> {
    if config.rooms.record.is_empty() {
        return Ok((Recorder::default(), None));
    }
    let settings = shard::record_settings(config);
    let bytes_max = config.rooms.record_queue_bytes_max as usize;
    let (recorder, writing) = record::start(settings, bytes_max, metrics.record())
        .map_err(|error| StartError::System { what: "cannot start a thread", error })?;
    Ok((recorder, Some(writing)))
}

/// The side listener, before its threads run.
struct Watch {
    address: SocketAddr,
    boxes: Vec<FeedBox>,
    reactors: Vec<Reactor<WatchDriver>>,
    wakers: Vec<Arc<Waker>>,
}

fn make_watch(
    config: &Config,
    capacity: &sys::Capacity,
    site: &Arc<Site>,
    (metrics, memory): (&Metrics, &Arc<Memory>),
    (access, auth): (Arc<Access>, Arc<Auth>),
) -> Result<Watch, StartError> {
    let listen = |error| StartError::Listen { key: "watch.listen", error };
    let count = config.watch.threads;
    let listeners = net::listener::bind(config.watch.listen, count.into()).map_err(listen)?;
    let address = listeners[0].local_addr().map_err(listen)?;
    // Connections of the side listener have a budget of their own.
    let shared = Shared::with_access(access);
    let net_config = NetConfig {
        connections_max: capacity.watchers as usize,
        connections_per_ip_max: config.watch.connections_per_ip_max,
        retry_after_s: config.server.retry_after_max_ms.div_ceil(1000),
        // Only what is published has a body.
        body_bytes_max: config.watch.publish_bytes_max as usize,
        body_ms: config.watch.publish_body_ms.into(),
        requests_max: WATCH_REQUESTS_MAX,
        handshake_ms: config.tls.handshake_ms.into(),
        handshakes_per_turn: config.tls.handshakes_per_turn as usize,
        ..NetConfig::default()
    };
    let (mut boxes, mut reactors, mut wakers) = (Vec::new(), Vec::new(), Vec::new());
    for (number, listener) in (0..count).zip(listeners) {
        let (sender, (packets, signal)) = shard::inbox(WATCH_PACKETS_MAX);
        let in_flight = InFlight::default();
        let inbox = WatchInbox { packets, signal: signal.clone(), in_flight: in_flight.clone() };
        let settings = watch_settings(config);
        let block = metrics.watch(number);
        let driver = WatchDriver::new(
            (number, count),
            Arc::clone(site),
            settings,
            inbox,
            (block, Arc::clone(&auth), memory.share()),
        );
        let reactor = Reactor::new(net_config.clone(), Some(listener), shared.clone(), driver)
            .map_err(|error| StartError::System { what: "cannot make an event loop", error })?;
        let mailbox = Mailbox::new(sender, signal, reactor.waker());
        boxes.push(FeedBox { mailbox, in_flight });
        wakers.push(reactor.waker());
        reactors.push(reactor);
    }
    Ok(Watch { address, boxes, reactors, wakers })
}

fn start_watch(
    config: &Config,
    watch: Watch,
    shards: &[Mailbox],
    stop: &Arc<AtomicBool>,
) -> Result<Threads, StartError> {
    let mut threads = Vec::new();
    let (held, end) = crossbeam_channel::bounded(0);
    for (number, mut reactor) in watch.reactors.into_iter().enumerate() {
        reactor.driver_mut().connect(watch.boxes.clone(), shards.to_vec());
        let (stop, held) = (Arc::clone(stop), held.clone());
        let nice = config.watch.nice;
        threads.push(spawn(format!("watch-{number}"), move || {
            let _held = held;
            if let Err(error) = sys::nice_this_thread(nice) {
                tracing::warn!(%error, "cannot lower the priority of the side listener");
            }
            while !stop.load(Ordering::Acquire) && !reactor.is_stopped() {
                reactor.run_turn()?;
            }
            Ok(())
        })?);
    }
    Ok((threads, end))
}

/// The configuration in the words of the side listener.
pub fn watch_settings(config: &Config) -> WatchSettings {
    let watch = &config.watch;
    WatchSettings {
        rules: shard::watch_rules(config),
        history_ms: watch.history_ms.into(),
        history_bytes_max: watch.history_bytes_max as usize,
        bytes_max: watch.bytes_max as usize,
        delay_max_ms: watch.delay_max_ms.into(),
        conflate_ms: watch.conflate_ms.into(),
        heartbeat_ms: watch.heartbeat_ms.into(),
        expired_ms: config.auth.expired_ms.into(),
        directory_ms: watch.directory_ms.into(),
        retry_ms: retry_ms(config),
        cors_origins: watch.cors_origins.iter().map(|origin| origin.0.clone()).collect(),
        publish: PublishSettings {
            keys: watch.publish_keys.clone(),
            answer_ms: watch.publish_answer_ms.into(),
            retry_after_s: config.server.retry_after_max_ms.div_ceil(1000),
        },
    }
}

/// When clients of a server that goes away shall return.
fn retry_ms(config: &Config) -> (u32, u32) {
    (config.server.retry_after_min_ms, config.server.retry_after_max_ms)
}

fn spawn(
    name: String,
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let thread = thread::Builder::new().name(name).spawn(move || {
        if let Err(error) = work() {
            // Without its poll a thread cannot go on.
            tracing::error!(%error, "the event loop failed");
        }
    });
    thread.map_err(|error| StartError::System { what: "cannot start a thread", error })
}

/// Secret randomness for one engine.
fn seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::System {
        what: "no random numbers from the system",
        error: std::io::Error::other(error.to_string()),
    })?;
    Ok(seed)
}
