//! Publishing where the players' shards do not answer: one thread of the side listener by itself.

use crate::backend::{Answer, Backend, KEY};
use crate::server::{config, wait_for};
use crossbeam_channel::Receiver;
use madang::auth::Auth;
use madang::config::Secret;
use madang::memory::Memory;
use madang::metrics::{Counter, Metrics};
use madang::net::{NetConfig, Reactor, Shared, listener};
use madang::server::watch_settings;
use madang::shard::{Mailbox, Packet, inbox, mailbox};
use madang::watch::{
    FeedBox, InFlight, Readiness, Site, WATCH_PACKETS_MAX, WatchDriver, WatchInbox, WatchPacket,
};
use madang_engine::publish::Receipt;
use madang_protocol::ids::Epoch;
use mio::{Poll, Token, Waker};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A thread of the side listener, and a shard's inbox that nobody reads but the test.
struct Lonely {
    addr: SocketAddr,
    shard: Receiver<Packet>,
    feed_box: FeedBox,
    metrics: Arc<Metrics>,
    /// Keeps the shard's waker good.
    _poll: Poll,
    thread: Option<JoinHandle<()>>,
}

impl Lonely {
    fn start(answer_ms: u32, body_bytes_max: usize) -> Self {
        let metrics = Metrics::new(1, 1);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = listener::bind(any, 1).expect("a free port").remove(0);
        let addr = listener.local_addr().expect("bound");
        let (sender, (packets, signal)) = inbox(WATCH_PACKETS_MAX);
        let in_flight = InFlight::default();
        let inbox = WatchInbox { packets, signal: signal.clone(), in_flight: in_flight.clone() };
        let mut config = config();
        config.watch.publish_keys = vec![Secret::new(KEY).expect("a good key")];
        config.watch.publish_answer_ms = answer_ms;
        let settings = watch_settings(&config);
        let site = Arc::new(Site::new(Arc::<Readiness>::default(), Arc::clone(&metrics), None));
        let auth = Arc::new(Auth::new(&config.auth, metrics.tokens()));
        let driver = WatchDriver::new(
            (0, 1),
            site,
            settings,
            inbox,
            (metrics.watch(0), auth, Memory::new(1 << 30).share()),
        );
        let config = NetConfig { body_bytes_max, ..NetConfig::default() };
        let mut reactor =
            Reactor::new(config, Some(listener), Shared::new(), driver).expect("an event loop");
        let feed_box =
            FeedBox { mailbox: Mailbox::new(sender, signal, reactor.waker()), in_flight };
        let poll = Poll::new().expect("a poll");
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        let (sender, (shard, signal)) = mailbox();
        let shards = vec![Mailbox::new(sender, signal, waker)];
        reactor.driver_mut().connect(vec![feed_box.clone()], shards);
        let thread = std::thread::spawn(move || reactor.run().expect("the event loop runs"));
        Self { addr, shard, feed_box, metrics, _poll: poll, thread: Some(thread) }
    }

    fn count(&self, counter: Counter, count: u64) {
        wait_for("the count", || (self.metrics.watch(0).get(counter) == count).then_some(()));
    }

    fn tell(&self, packet: WatchPacket) {
        assert!(self.feed_box.mailbox.send(packet).is_ok());
    }
}

impl Drop for Lonely {
    fn drop(&mut self) {
        let _ = self.feed_box.mailbox.send(WatchPacket::Drain);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || std::thread::panicking());
    }
}

fn publish(backend: &mut Backend, bytes: usize) -> Answer {
    let path = "/rooms/arena/publish?event=a";
    backend.post(path, "Content-Type: text/plain\r\n", &"x".repeat(bytes))
}

fn receipt(seq: u64) -> Receipt {
    Receipt { epoch: Epoch([1; 8]), seq, count: 1, repeated: false }
}

#[test]
fn who_gets_no_answer_in_time_is_told_so_and_may_go_on() {
    let lonely = Lonely::start(20, 64 << 10);
    let mut backend = Backend::connect_to(lonely.addr);
    for _ in 0..2 {
        let answer = publish(&mut backend, 10);
        assert_eq!((answer.status, answer.header("connection")), (504, Some("keep-alive")));
        assert!(answer.body.contains("Idempotency-Key"), "{}", answer.body);
    }
    lonely.count(Counter::PublishTimeout, 2);
    // What comes after all is for nobody.
    for _ in 0..2 {
        let Ok(Packet::Publish { publish, .. }) = lonely.shard.try_recv() else {
            panic!("what was published is on its way")
        };
        let number = publish.ticket.number;
        lonely.tell(WatchPacket::Published { number, result: Ok(receipt(1)) });
    }
    assert_eq!(publish(&mut backend, 10).status, 504);
    assert_eq!(lonely.metrics.watch(0).get(Counter::PublishEvents), 0);
}

#[test]
fn what_is_on_its_way_is_bounded_until_it_has_been_dealt_with() {
    let lonely = Lonely::start(1, 16 << 20);
    let mut backend = Backend::connect_to(lonely.addr);
    for status in [504, 504, 503, 503] {
        let answer = publish(&mut backend, 7 << 20);
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
    }
    assert_eq!(publish(&mut backend, 10).status, 504, "a small one has place");
    lonely.count(Counter::PublishBusy, 2);
    drop(lonely.shard.try_recv());
    assert_eq!(publish(&mut backend, 7 << 20).status, 504);
}

#[test]
fn who_waits_when_the_server_goes_away_is_told_so() {
    let lonely = Lonely::start(600_000, 64 << 10);
    let mut backend = Backend::connect_to(lonely.addr);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| publish(&mut backend, 10));
        wait_for("the publication", || (!lonely.shard.is_empty()).then_some(()));
        lonely.tell(WatchPacket::Drain);
        let answer = answer.join().expect("an answer");
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    });
    lonely.count(Counter::PublishDraining, 1);
    drop(backend);
}
