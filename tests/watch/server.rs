//! A server in this process.

use madang::Server;
use madang::config::Config;
use madang::metrics::Counter;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a test waits for something that has to come. Only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Asks again and again until the answer is there.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Milliseconds since 1970 UTC.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

/// Free ports, two threads of each kind, a short end, rates that no test reaches.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    // Rooms that play by themselves would be counted with what is tested.
    config.rooms.open = Vec::new();
    // Rooms of these tests are of kind relay, whatever their names.
    config.rooms.kind = Vec::new();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (config.play.listen, config.watch.listen) = (any, any);
    config.server.shards = 2;
    // Whatever rules the program has for their names, rooms are of kind relay here.
    config.rooms.kind = Vec::new();
    config.watch.threads = 2;
    config.server.drain_notice_ms = 0;
    config.server.drain_ms = 100;
    config.play.messages_per_second = 1_000_000;
    config.play.messages_burst = 1_000_000;
    config.play.bytes_per_second = 1 << 30;
    config.play.bytes_burst = 1 << 30;
    config
}

/// A server that ends when dropped.
pub(crate) struct Running {
    server: Option<Server>,
    shards: u16,
    watch_threads: u16,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        let (shards, watch_threads) = (config.server.shards, config.watch.threads);
        let server = Some(Server::start(config).expect("the server starts"));
        Self { server, shards, watch_threads }
    }

    /// A counter of the side listener.
    pub(crate) fn watch_count(&self, counter: Counter) -> u64 {
        (0..self.watch_threads).map(|thread| self.metrics().watch(thread).get(counter)).sum()
    }

    /// A counter of the players' shards.
    pub(crate) fn shard_count(&self, counter: Counter) -> u64 {
        (0..self.shards).map(|shard| self.metrics().shard(shard).get(counter)).sum()
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
        assert!(sound || std::thread::panicking(), "a thread of the server panicked");
    }
}
