//! A server in this process, clients with real sockets, and patience with a limit.

pub(crate) mod client;
pub(crate) mod http;
pub(crate) mod line;
pub(crate) mod player;
pub(crate) mod process;
#[path = "../../support/tls.rs"]
pub(crate) mod signed;
pub(crate) mod stream;

use madang::Server;
use madang::config::Config;
use madang::metrics::Counter;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::time::{Duration, Instant};

/// How long a test waits for something that has to come. Only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A deadline, and what it is for.
pub(crate) struct Patience {
    until: Instant,
    what: &'static str,
}

impl Patience {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { until: Instant::now() + PATIENCE, what }
    }

    /// Time that is left; panics when it is none.
    pub(crate) fn left(&self) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "waited {PATIENCE:?} for {}", self.what);
        left
    }

    pub(crate) fn check(&self) {
        self.left();
    }
}

/// Asks again and again until the answer is there.
pub(crate) fn wait_for<T>(what: &'static str, mut ask: impl FnMut() -> Option<T>) -> T {
    let patience = Patience::new(what);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        patience.check();
        std::thread::yield_now();
    }
}

/// A configuration for tests: free ports, two shards, a short end, and a rate that no test reaches
/// unless it wants to.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    // Rooms that play by themselves would be counted with what is tested.
    config.rooms.open = Vec::new();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (config.play.listen, config.watch.listen) = (any, any);
    config.server.shards = 2;
    config.server.drain_notice_ms = 0;
    config.server.drain_ms = 100;
    // A test that reads late is no client that is gone.
    config.play.http_idle_ms = 120_000;
    config.play.messages_per_second = 1_000_000;
    config.play.messages_burst = 1_000_000;
    config.play.bytes_per_second = 1 << 30;
    config.play.bytes_burst = 1 << 30;
    config.play.joins_per_second = 0;
    config.play.requests_per_second = 0;
    stream::seal(&mut config);
    config
}

/// A history that forgets nothing that a test says.
pub(crate) fn config_with_long_history() -> Config {
    let mut config = config();
    config.rooms.history_messages_max = 1_000_000;
    config.rooms.history_bytes_max = 1 << 29;
    config.play.outbound_messages_max = config.rooms.history_messages_max;
    config.play.outbound_bytes_max = config.rooms.history_bytes_max;
    config
}

/// A server in this process, ended when dropped.
pub(crate) struct Running {
    server: Option<Server>,
    shards: u16,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        let shards = config.server.shards;
        Self { server: Some(Server::start(config).expect("the server starts")), shards }
    }

    /// A counter, all shards together.
    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.counts(counter).iter().sum()
    }

    /// A counter of every shard.
    pub(crate) fn counts(&self, counter: Counter) -> Vec<u64> {
        (0..self.shards).map(|shard| self.metrics().shard(shard).get(counter)).collect()
    }
}

impl Deref for Running {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.server.as_ref().expect("it is there until the drop")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(server) = self.server.take() else { return };
        server.drain();
        let sound = server.join();
        if !std::thread::panicking() {
            assert!(sound, "a thread of the server panicked");
        }
    }
}

/// Whole numbers that look random and are the same in every run (xorshift, Marsaglia 2003).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }
}
