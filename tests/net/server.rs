//! Reactors with the test driver: turned by hand, or on threads.

use crate::client::{connect, handshake, read_head};
use crate::driver::{Command, PATIENCE, Seen, TestDriver};
use madang::net::{NetConfig, NetCounters, Reactor, Shared, Tls, listener};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// A reactor that the test turns by hand.
pub(crate) struct Local {
    pub(crate) reactor: Reactor<TestDriver>,
    pub(crate) addr: SocketAddr,
    pub(crate) shared: Shared,
    pub(crate) seen: Arc<Seen>,
    pub(crate) inbox: Sender<Command>,
}

pub(crate) fn local(config: NetConfig) -> Local {
    let shared = Shared::new();
    let listener = listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
    let addr = listener.local_addr().unwrap();
    let (inbox, seen, reactor) = reactor(config, Some(listener), &shared, 0);
    Local { reactor, addr, shared, seen, inbox }
}

impl Local {
    #[track_caller]
    pub(crate) fn turn_until(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&NetCounters, usize) -> bool,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self.reactor.counters(), self.reactor.connections()) {
            assert!(Instant::now() < deadline, "turned in vain for: {what}");
            self.reactor.run_turn().unwrap();
        }
    }

    /// Opens WebSocket connections, one after the other.
    pub(crate) fn open(&mut self, count: usize, path: &str) -> Vec<TcpStream> {
        (0..count)
            .map(|_| {
                let upgrades = self.reactor.counters().upgrades;
                let mut client = connect(self.addr);
                client.write_all(handshake(path).as_bytes()).unwrap();
                self.turn_until("the upgrade", |counters, _| counters.upgrades > upgrades);
                read_head(&mut client);
                client
            })
            .collect()
    }
}

pub(crate) fn reactor(
    config: NetConfig,
    listener: Option<std::net::TcpListener>,
    shared: &Shared,
    me: u16,
) -> (Sender<Command>, Arc<Seen>, Reactor<TestDriver>) {
    let (sender, inbox) = channel();
    let seen = Arc::new(Seen::default());
    let driver = TestDriver {
        me,
        inbox,
        outboxes: Vec::new(),
        queues: BTreeMap::new(),
        owed: Vec::new(),
        seen: Arc::clone(&seen),
        is_restless: true,
    };
    (sender, seen, Reactor::new(config, listener, shared.clone(), driver).unwrap())
}

/// Two reactors on threads of their own; the first one listens.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) shared: Shared,
    pub(crate) seen: [Arc<Seen>; 2],
    pub(crate) inboxes: Vec<(Sender<Command>, Arc<mio::Waker>)>,
    pub(crate) threads: Vec<JoinHandle<()>>,
}

pub(crate) fn serve(config: &NetConfig) -> Server {
    serve_with(config, None)
}

pub(crate) fn serve_with(config: &NetConfig, tls: Option<&Tls>) -> Server {
    serve_shared(config, tls, Shared::new())
}

pub(crate) fn serve_shared(config: &NetConfig, tls: Option<&Tls>, shared: Shared) -> Server {
    let listener = listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
    let addr = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let (mut seen, mut inboxes, mut threads) = (Vec::new(), Vec::new(), Vec::new());
    for me in 0..2 {
        let (inbox, saw, mut reactor) = reactor(config.clone(), listener.take(), &shared, me);
        if let Some(tls) = tls {
            reactor.speak_tls(tls.clone());
        }
        inboxes.push((inbox, reactor.waker()));
        seen.push(saw);
        threads.push(std::thread::spawn(move || reactor.run().unwrap()));
    }
    for (inbox, _) in &inboxes {
        inbox.send(Command::Connect(inboxes.clone())).unwrap();
    }
    let Ok(seen) = seen.try_into() else { unreachable!("two reactors") };
    let server = Server { addr, shared, seen, inboxes, threads };
    server.wake();
    server
}

impl Server {
    pub(crate) fn wake(&self) {
        for (_, waker) in &self.inboxes {
            waker.wake().unwrap();
        }
    }

    pub(crate) fn tell(&self, command: Command) {
        self.inboxes[0].0.send(command).unwrap();
        self.wake();
    }

    pub(crate) fn open(&self, path: &str) -> TcpStream {
        let mut client = connect(self.addr);
        client.write_all(handshake(path).as_bytes()).unwrap();
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
        client
    }

    /// Waits until no connection is left anywhere, each of which ended by both sides' doing.
    #[track_caller]
    pub(crate) fn wait_all_ended_well(&self) {
        self.wait_empty();
        for seen in &self.seen {
            assert_eq!(seen.get().counters.linger_timeouts, 0);
        }
    }

    /// Waits until no connection is left anywhere.
    #[track_caller]
    pub(crate) fn wait_empty(&self) {
        for seen in &self.seen {
            seen.wait("no connections", |state| state.connections == 0);
        }
        assert_eq!(self.shared.budget.taken(), 0);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for (inbox, waker) in &self.inboxes {
            let _ = inbox.send(Command::Stop);
            let _ = waker.wake();
        }
        for thread in self.threads.drain(..) {
            let result = thread.join();
            assert!(result.is_ok() || std::thread::panicking(), "a reactor panicked");
        }
    }
}
