//! A driver that echoes messages and does what some of them say.

use madang::net::http::{Request, Response};
use madang::net::{Answer, Detached, Driver, Ended, Framing, Io, NetCounters, Outbound};
use madang_engine::frame::{Frame, FrameKind};
use madang_engine::id::ConnId;
use madang_engine::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Echoes messages, and does what some of them say.
pub(crate) struct TestDriver {
    pub(crate) me: u16,
    pub(crate) inbox: Receiver<Command>,
    /// Of all reactors, this one included.
    pub(crate) outboxes: Vec<(Sender<Command>, Arc<mio::Waker>)>,
    pub(crate) queues: BTreeMap<(u32, u32), VecDeque<(Frame, FrameKind)>>,
    /// Connections that were promised an answer.
    pub(crate) owed: Vec<ConnId>,
    pub(crate) seen: Arc<Seen>,
    /// Whether to ask for turns without end, so that what tests wait for is up to date.
    pub(crate) is_restless: bool,
}

pub(crate) enum Command {
    Connect(Vec<(Sender<Command>, Arc<mio::Waker>)>),
    Adopt(Detached),
    /// To every open connection.
    Broadcast(Frame, FrameKind),
    ResumeAll,
    /// Every connection that was promised an answer gets this one.
    Pay(&'static str),
    PauseReads,
    ResumeReads,
    /// Every open connection goes to the other reactor.
    DetachAll,
    /// Every open connection is closed with 4000.
    CloseAll,
    /// No more turns without a cause.
    Rest,
    StopAccepting,
    Stop,
}

/// What the driver saw, for the test's thread.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) state: Mutex<State>,
    pub(crate) changed: Condvar,
}

#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) counters: NetCounters,
    pub(crate) connections: usize,
    pub(crate) opened: u64,
    pub(crate) ended: Vec<Ended>,
    /// Promises of an answer, and questions whether a body is wanted.
    pub(crate) promised: u64,
    pub(crate) bodies: u64,
    pub(crate) messages: Vec<Vec<u8>>,
    /// Frames that were taken out of the queues.
    pub(crate) popped: u64,
    pub(crate) turns: u64,
}

impl Seen {
    pub(crate) fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    #[track_caller]
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&State) -> bool) -> State {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().unwrap();
        while !condition(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for: {what}; {:?}", state.counters);
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
        state.clone()
    }

    pub(crate) fn get(&self) -> State {
        self.state.lock().unwrap().clone()
    }
}

pub(crate) fn key(conn: ConnId) -> (u32, u32) {
    (conn.slot, conn.generation)
}

pub(crate) static BIG: [u8; 3 << 20] = [b'x'; 3 << 20];

impl TestDriver {
    pub(crate) fn send(&mut self, io: &mut Io<'_>, conn: ConnId, frame: Frame, kind: FrameKind) {
        if let Some(queue) = self.queues.get_mut(&key(conn)) {
            queue.push_back((frame, kind));
            io.flush(conn);
        }
    }

    pub(crate) fn broadcast(&mut self, io: &mut Io<'_>, frame: &Frame, kind: FrameKind) {
        let all: Vec<_> = self.queues.keys().copied().collect();
        for (slot, generation) in all {
            self.send(io, ConnId { slot, generation }, frame.clone(), kind);
        }
    }

    pub(crate) fn tell(&self, to: u16, command: Command) {
        let (outbox, waker) = &self.outboxes[usize::from(to)];
        outbox.send(command).unwrap();
        waker.wake().unwrap();
    }
}

impl Driver for TestDriver {
    fn group(&self, conn: ConnId) -> u32 {
        conn.slot % 2
    }

    fn on_body(
        &mut self,
        _: &mut Io<'_>,
        request: &Request<'_>,
        bytes: usize,
    ) -> Result<(), Response> {
        assert!(bytes > 0 && request.body.is_empty());
        self.seen.note(|state| state.bodies += 1);
        if request.path == "/bodiless" {
            return Err(Response::text(403, "No body is wanted here."));
        }
        Ok(())
    }

    fn on_request(&mut self, io: &mut Io<'_>, conn: ConnId, request: &Request<'_>) -> Answer {
        let upgrade = |framing| Answer::Upgrade {
            subprotocol: request.subprotocols().find(|one| *one == "two").map(|_| "two"),
            framing,
            tag: 7,
        };
        match request.path {
            "/batched" => upgrade(Framing::Batched),
            "/over" if self.me == 0 => Answer::Handoff { to: 1 },
            "/ws" | "/over" => upgrade(Framing::Whole),
            "/big" => Answer::Respond(Response::with_body(200, "text/plain", &BIG[..])),
            "/body" => {
                let text = format!("{} {}", request.method, request.body.len());
                Answer::Respond(Response::with_body(200, "text/plain", text.into_bytes()))
            }
            "/later" => {
                self.owed.push(conn);
                self.seen.note(|state| state.promised += 1);
                Answer::Later
            }
            "/client" => {
                let client = io.client_ip(conn).expect("it is there");
                Answer::Respond(Response::text(200, &client.to_string()))
            }
            "/path" => Answer::Respond(Response::text(200, request.query)),
            _ => Answer::Respond(Response::text(404, "There is nothing here.")),
        }
    }

    fn on_open(&mut self, _: &mut Io<'_>, conn: ConnId, tag: u32) {
        assert_eq!(tag, 7);
        assert!(self.queues.insert(key(conn), VecDeque::new()).is_none());
        self.seen.note(|state| state.opened += 1);
    }

    fn on_message(&mut self, io: &mut Io<'_>, conn: ConnId, data: &[u8], text: bool) {
        assert!(self.queues.contains_key(&key(conn)), "a message of an unknown connection");
        self.seen.note(|state| state.messages.push(data.to_vec()));
        let kind = if text { FrameKind::Text } else { FrameKind::Binary };
        match data {
            b"close" => {
                self.queues.remove(&key(conn));
                io.close(conn, 4000, "bye");
            }
            b"detach" => {
                self.queues.remove(&key(conn));
                let detached = io.detach(conn).expect("it is open");
                assert!(io.detach(conn).is_none(), "it is gone");
                self.tell(1 - self.me, Command::Adopt(detached));
            }
            b"pause" => io.pause_read(conn),
            b"who" => {
                let text = format!("{}", self.me);
                self.send(io, conn, Frame::new(text.as_bytes()), FrameKind::Text);
            }
            _ if data.starts_with(b"all") => self.broadcast(io, &Frame::new(data), kind),
            _ => self.send(io, conn, Frame::new(data), kind),
        }
    }

    fn on_seen(&mut self, _: &mut Io<'_>, conn: ConnId) {
        assert!(self.queues.contains_key(&key(conn)));
    }

    fn on_ended(&mut self, io: &mut Io<'_>, conn: ConnId, why: Ended) {
        assert!(self.queues.remove(&key(conn)).is_some(), "ended twice, or after a close");
        // Nothing of this may do anything.
        io.flush(conn);
        io.close(conn, 1000, "");
        self.seen.note(|state| state.ended.push(why));
    }

    fn fill(&mut self, conn: ConnId, out: &mut Outbound<'_>) -> bool {
        let queue = self.queues.get_mut(&key(conn)).expect("no fill after the end");
        let mut popped = 0;
        while !out.is_full() {
            let Some((frame, kind)) = queue.pop_front() else { break };
            out.push(frame, kind);
            popped += 1;
        }
        let more = !queue.is_empty();
        self.seen.note(|state| state.popped += popped);
        more
    }

    fn on_detached(&mut self, _: &mut Io<'_>, to: u16, socket: Detached) {
        self.tell(to, Command::Adopt(socket));
    }

    fn on_turn(&mut self, io: &mut Io<'_>, _: Time) {
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Connect(outboxes) => self.outboxes = outboxes,
                Command::Adopt(detached) => {
                    let was_open = !format!("{detached:?}").contains("Http");
                    let conn = io.adopt(detached);
                    assert!(io.peer_addr(conn).is_some_and(|addr| addr.ip().is_loopback()));
                    if was_open {
                        self.queues.insert(key(conn), VecDeque::new());
                    }
                }
                Command::Broadcast(frame, kind) => self.broadcast(io, &frame, kind),
                Command::ResumeAll => {
                    for (slot, generation) in self.queues.keys() {
                        io.resume_read(ConnId { slot: *slot, generation: *generation });
                    }
                }
                Command::Pay(text) => {
                    for conn in std::mem::take(&mut self.owed) {
                        io.respond(conn, Response::text(200, text));
                        // The second one means nothing.
                        io.respond(conn, Response::text(200, "too much"));
                    }
                }
                Command::PauseReads => io.pause_all_reads(),
                Command::ResumeReads => io.resume_all_reads(),
                Command::DetachAll => {
                    for ((slot, generation), _) in std::mem::take(&mut self.queues) {
                        let detached = io.detach(ConnId { slot, generation }).unwrap();
                        self.tell(1 - self.me, Command::Adopt(detached));
                    }
                }
                Command::CloseAll => {
                    for ((slot, generation), _) in std::mem::take(&mut self.queues) {
                        io.close(ConnId { slot, generation }, 4000, "bye");
                    }
                }
                Command::Rest => self.is_restless = false,
                Command::StopAccepting => io.stop_accepting(),
                Command::Stop => io.stop(),
            }
        }
        let (counters, connections) = (io.counters().clone(), io.connections());
        self.seen.note(|state| {
            (state.counters, state.connections) = (counters, connections);
            state.turns += 1;
        });
    }

    fn is_pressed(&self) -> bool {
        false
    }

    fn on_turn_end(&mut self, _: &mut Io<'_>) {}

    fn next_timeout(&self) -> Option<Time> {
        self.is_restless.then_some(Time(0))
    }
}
