//! A whole server: shards, side listener, and their start and end. Used by the program, by tests
//! and by benchmarks.

use crate::config::Config;
use crate::metrics::Metrics;
use crate::net::{self, Budget, NetConfig, Reactor, Shared};
use crate::shard::{self, Mailbox, Packet, Shard};
use crate::sys::{self, StartError};
use crate::watch::{Readiness, Site, WatchDriver};
use crossbeam_channel::Receiver;
use madang_engine::Engine;
use madang_engine::time::Time;
use mio::Waker;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A running server. Dropping it leaves it running; [`Server::drain`] ends it.
#[derive(Debug)]
pub struct Server {
    play_addr: SocketAddr,
    watch_addr: SocketAddr,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    /// The places of players' connections.
    budget: Arc<Budget>,
    mailboxes: Vec<Mailbox>,
    shards: Vec<JoinHandle<()>>,
    watchers: Vec<JoinHandle<()>>,
    watch_stop: Arc<AtomicBool>,
    watch_wakers: Vec<Arc<Waker>>,
    /// Disconnected when every shard's thread has ended.
    shards_end: Receiver<()>,
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
        let shared = Shared::new();

        let players = start_shards(&config, shards, capacity.clients, &shared, &metrics)?;
        let demo = config.watch.demo.then_some(players.address.port());
        let site = Arc::new(Site::new(Arc::clone(&readiness), Arc::clone(&metrics), demo));
        let watch = start_watch(&config, &capacity, &site, &metrics)?;
        readiness.set_ready();
        Ok(Self {
            play_addr: players.address,
            watch_addr: watch.address,
            readiness,
            metrics,
            budget: shared.budget,
            mailboxes: players.mailboxes,
            shards: players.threads,
            watchers: watch.threads,
            watch_stop: watch.stop,
            watch_wakers: watch.wakers,
            shards_end: players.end,
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
        self.watch_stop.store(true, Ordering::Release);
        for waker in &self.watch_wakers {
            // A failure means that the wake is due already.
            let _ = waker.wake();
        }
    }

    /// Waits until every thread has ended. Returns whether none of them panicked.
    pub fn join(self) -> bool {
        let threads = self.shards.into_iter().chain(self.watchers);
        // Every one is waited for, whatever became of the others.
        let panicked = threads.filter_map(|thread| thread.join().err()).count();
        panicked == 0
    }

    /// Whether a thread has ended by itself: a defect, after which the process should end.
    pub fn is_broken(&self) -> bool {
        self.shards.iter().chain(&self.watchers).any(JoinHandle::is_finished)
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

struct Players {
    address: SocketAddr,
    mailboxes: Vec<Mailbox>,
    threads: Vec<JoinHandle<()>>,
    end: Receiver<()>,
}

fn start_shards(
    config: &Config,
    shards: u16,
    connections_max: u32,
    shared: &Shared,
    metrics: &Metrics,
) -> Result<Players, StartError> {
    let listen = |error| StartError::Listen { key: "play.listen", error };
    let listeners = net::listener::bind(config.play.listen, shards.into()).map_err(listen)?;
    let address = listeners[0].local_addr().map_err(listen)?;
    let mut reactors = Vec::new();
    let mut mailboxes = Vec::new();
    let retry_ms = (config.server.retry_after_min_ms, config.server.retry_after_max_ms);
    for (number, listener) in (0..shards).zip(listeners) {
        let (sender, inbox) = shard::mailbox();
        let signal = inbox.1.clone();
        let engine_config = shard::engine_config(config, number, shards);
        let engine = Engine::new(engine_config, seed()?, Time(0));
        let driver = Shard::new(engine, inbox, retry_ms, metrics.shard(number));
        let net_config = shard::net_config(config, connections_max);
        let reactor = Reactor::new(net_config, Some(listener), shared.clone(), driver)
            .map_err(|error| StartError::System { what: "cannot make an event loop", error })?;
        mailboxes.push(Mailbox::new(sender, signal, reactor.waker()));
        reactors.push(reactor);
    }
    let mut threads = Vec::new();
    let (held, end) = crossbeam_channel::bounded(0);
    for (number, mut reactor) in reactors.into_iter().enumerate() {
        reactor.driver_mut().connect(mailboxes.clone());
        let held = held.clone();
        threads.push(spawn(format!("shard-{number}"), move || {
            let _held = held;
            reactor.run()
        })?);
    }
    Ok(Players { address, mailboxes, threads, end })
}

struct Watch {
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
    wakers: Vec<Arc<Waker>>,
    stop: Arc<AtomicBool>,
}

fn start_watch(
    config: &Config,
    capacity: &sys::Capacity,
    site: &Arc<Site>,
    metrics: &Metrics,
) -> Result<Watch, StartError> {
    let listen = |error| StartError::Listen { key: "watch.listen", error };
    let count = config.watch.threads;
    let listeners = net::listener::bind(config.watch.listen, count.into()).map_err(listen)?;
    let address = listeners[0].local_addr().map_err(listen)?;
    let stop = Arc::new(AtomicBool::new(false));
    // Connections of the side listener have a budget of their own.
    let shared = Shared::new();
    let net_config =
        NetConfig { connections_max: capacity.watchers as usize, ..NetConfig::default() };
    let (mut threads, mut wakers) = (Vec::new(), Vec::new());
    for (number, listener) in (0..count).zip(listeners) {
        let driver = WatchDriver::new(Arc::clone(site), metrics.watch(number));
        let mut reactor = Reactor::new(net_config.clone(), Some(listener), shared.clone(), driver)
            .map_err(|error| StartError::System { what: "cannot make an event loop", error })?;
        wakers.push(reactor.waker());
        let stop = Arc::clone(&stop);
        let nice = config.watch.nice;
        threads.push(spawn(format!("watch-{number}"), move || {
            if let Err(error) = sys::nice_this_thread(nice) {
                tracing::warn!(%error, "cannot lower the priority of the side listener");
            }
            while !stop.load(Ordering::Acquire) {
                reactor.run_turn()?;
            }
            Ok(())
        })?);
    }
    Ok(Watch { address, threads, wakers, stop })
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
