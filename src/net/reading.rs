//! The reading half of a turn: bytes from ready connections to the driver's calls.
//!
//! Every connection has a budget of bytes and messages; what is left then, or when the driver
//! pauses, is kept with the connection, which goes to the end of the list.

use super::conn::{Input, Phase, Progress};
use super::conns::Conns;
use super::driver::{Answer, Driver, Ended, Framing};
use super::http::{Response, head, upgrade};
use super::io::Io;
use super::pace;
use super::transport::{Received, TlsFailure};
use super::ws::{self, Event, Unread};
use madang_engine::id::ConnId;
use madang_protocol::CloseCode;

/// Most reads from a peer that a stream is written to.
const DISCARDED_READS_MAX: u16 = 64;

/// So many bytes take about as long as a message does.
const MESSAGE_BYTES: usize = 4 << 10;

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a turn works on.
pub(super) struct Core<D> {
    pub(super) conns: Conns,
    pub(super) driver: D,
}

/// What a connection may still do in this turn.
struct Budget {
    bytes: usize,
    messages: usize,
}

/// What is left of the bytes that were looked at.
#[derive(Clone, Copy)]
enum Left {
    /// Nothing, or nothing that matters any more.
    Nothing,
    /// So many bytes of an incomplete request.
    Incomplete(usize, Progress),
    /// So many bytes that are to be looked at again later.
    Unread(usize),
}

impl<D: Driver> Core<D> {
    /// Reads those that have something new, each once, and then of those that are behind as many as the
    /// turn has messages left for, which is half of its messages at least.
    ///
    /// Whoever sends little never waits for those who send more than the shard can pass on, and these are
    /// served in rounds that go over as many turns as it takes: "new" and "old" flows of FQ-CoDel
    /// (RFC 8290, section 4.2). How many messages a turn has is the [pace](super::pace)'s to know.
    pub(super) fn read(&mut self, buffer: &mut [u8]) {
        let (fresh, behind) = (self.conns.fresh.len(), self.conns.behind.len());
        let mut later = self.conns.behind.later();
        let whole = self.conns.pace.begin(pace::spent_us);
        let mut left = whole;
        let config = &self.conns.config;
        let share = whole / (fresh + behind).max(1);
        let messages = share.max(config.read_messages_least).min(config.read_messages_per_turn);
        for _ in 0..fresh {
            if self.driver.is_pressed() {
                break;
            }
            let Some(id) = self.conns.fresh.pop_front() else { break };
            left = left.saturating_sub(self.read_queued(id, buffer, messages));
        }
        // Whatever else there is to do: half a turn is theirs who are behind.
        let config = &self.conns.config;
        let messages = messages.max(config.read_messages_behind.min(config.read_messages_per_turn));
        left = left.max(whole / 2).max(messages);
        while left > 0 && !self.driver.is_pressed() {
            let driver = &self.driver;
            let next = self.conns.behind.pop(&mut later, |id| driver.group(id));
            let Some(id) = next else { break };
            left = left.saturating_sub(self.read_queued(id, buffer, messages));
        }
        if left == 0 && !self.conns.behind.is_empty() {
            self.conns.pace.was_full();
        }
        self.shake_hands(buffer);
    }

    /// Goes on with TLS handshakes within the turn's budget, behind those who are there already: the
    /// arithmetic of a crowd that comes at once must not hold them up.
    fn shake_hands(&mut self, buffer: &mut [u8]) {
        for _ in 0..self.conns.handshakes.len().min(self.conns.config.handshakes_per_turn) {
            if self.driver.is_pressed() {
                break;
            }
            let Some(id) = self.conns.handshakes.pop_front() else { break };
            self.read_queued(id, buffer, self.conns.config.read_messages_least);
        }
    }

    /// Reads one that was taken from its list, and returns how many messages of a turn it was good for: a large one counts
    /// as several.
    fn read_queued(&mut self, id: ConnId, buffer: &mut [u8], messages: usize) -> usize {
        let Some(conn) = self.conns.get_mut(id) else { return 0 };
        conn.in_ready = false;
        let mut budget = Budget { bytes: self.conns.config.read_bytes_per_turn, messages };
        self.read_one(id, buffer, &mut budget);
        self.conns.queue_rest(id);
        let bytes = self.conns.config.read_bytes_per_turn.saturating_sub(budget.bytes);
        (messages - budget.messages).max(bytes / MESSAGE_BYTES)
    }

    fn read_one(&mut self, id: ConnId, buffer: &mut [u8], budget: &mut Budget) {
        if !self.read_preamble(id) {
            return;
        }
        self.handle_kept(id, budget);
        loop {
            let reading = self.conns.reading;
            let Some(conn) = self.conns.get_mut(id) else { return };
            if conn.unread || !conn.may_read(reading) {
                return;
            }
            if conn.eof {
                self.end_of_stream(id);
                return;
            }
            if !conn.readable || budget.bytes == 0 {
                return;
            }
            self.receive(id, buffer, budget);
        }
    }

    /// One read call.
    fn receive(&mut self, id: ConnId, buffer: &mut [u8], budget: &mut Budget) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let is_tls = conn.socket.is_tls();
        match conn.socket.receive(buffer) {
            Received::Bytes { plain, wire, more } => {
                // Edge-triggered: less than asked for means that nothing is left, unless the end
                // has already been signalled, for that edge comes only once.
                conn.readable = more || conn.end_signalled;
                budget.bytes = budget.bytes.saturating_sub(plain.max(wire));
                self.conns.counters.bytes_in += wire as u64;
                if is_tls {
                    self.conns.tls_moved(id);
                }
                if plain > 0 {
                    self.handle_received(id, &mut buffer[..plain], budget);
                }
            }
            Received::Blocked => conn.readable = false,
            Received::End => {
                conn.readable = false;
                conn.eof = true;
                self.conns.tls_ended(id);
            }
            Received::Lost => self.lost(id),
            Received::Broken(why) => self.broken(id, why),
            Received::Plaintext => self.conns.speak_plainly(id),
        }
        self.conns.counters.read_calls += 1;
    }

    /// The peer will send nothing more and everything it sent has been handled.
    fn end_of_stream(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        match conn.phase {
            // Without a Close frame the connection is failed (RFC 6455 section 7.1.5).
            Phase::Open(_) => self.lost(id),
            // An answer that is still to be written keeps this from being called.
            Phase::Http => self.conns.end(id),
            Phase::Closing if conn.tail.is_none() && !conn.socket.has_pending() => {
                self.conns.end(id);
            }
            Phase::Closing | Phase::Ended => {}
        }
    }

    /// TLS has failed.
    fn broken(&mut self, id: ConnId, why: TlsFailure) {
        let was_open = self.conns.get(id).is_some_and(|conn| matches!(conn.phase, Phase::Open(_)));
        self.conns.tls_failed(id, why);
        if was_open {
            self.driver.on_ended(&mut Io::new(&mut self.conns), id, Ended::Lost);
        }
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        let was_open = matches!(conn.phase, Phase::Open(_));
        self.conns.end(id);
        if was_open {
            self.driver.on_ended(&mut Io::new(&mut self.conns), id, Ended::Lost);
        }
    }

    /// Handles bytes of earlier reads that nobody has looked at.
    fn handle_kept(&mut self, id: ConnId, budget: &mut Budget) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if !conn.unread {
            return;
        }
        conn.unread = false;
        let Some(mut input) = conn.input.take() else { return };
        let left = self.handle(id, &mut input.bytes[input.at..], input.progress, budget);
        let Some(conn) = self.conns.get_mut(id) else { return };
        let (rest, progress) = match left {
            Left::Nothing => return,
            Left::Incomplete(rest, progress) => (rest, progress),
            Left::Unread(rest) => (rest, Progress::default()),
        };
        input.at = input.bytes.len() - rest;
        input.progress = progress;
        conn.unread = matches!(left, Left::Unread(_));
        conn.input = Some(input);
    }

    /// Handles the bytes of a read call.
    fn handle_received(&mut self, id: ConnId, bytes: &mut [u8], budget: &mut Budget) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if let Some(input) = &mut conn.input {
            // An incomplete request goes on.
            input.bytes.drain(..input.at);
            input.at = 0;
            input.bytes.extend_from_slice(bytes);
            if input.bytes.len() >= input.progress.need {
                conn.unread = true;
                self.handle_kept(id, budget);
            }
            return;
        }
        let left = self.handle(id, bytes, Progress::default(), budget);
        let Some(conn) = self.conns.get_mut(id) else { return };
        let (rest, progress) = match left {
            Left::Nothing => return,
            Left::Incomplete(rest, progress) => (rest, progress),
            Left::Unread(rest) => (rest, Progress::default()),
        };
        conn.unread = matches!(left, Left::Unread(_));
        let bytes = bytes[bytes.len() - rest..].to_vec();
        conn.input = Some(Box::new(Input { bytes, at: 0, progress }));
    }

    /// Handles requests or frames off the front of `bytes`.
    fn handle(
        &mut self,
        id: ConnId,
        bytes: &mut [u8],
        mut progress: Progress,
        budget: &mut Budget,
    ) -> Left {
        let mut rest = Unread(bytes);
        loop {
            let reading = self.conns.reading;
            let Some(conn) = self.conns.get(id) else { return Left::Nothing };
            match conn.phase {
                Phase::Closing | Phase::Ended => return Left::Nothing,
                _ if rest.0.is_empty() => return Left::Nothing,
                _ if budget.messages == 0
                    || !conn.may_read(reading)
                    || self.driver.is_pressed() =>
                {
                    return Left::Unread(rest.0.len());
                }
                Phase::Open(Framing::Stream) => {
                    self.discard(id);
                    return Left::Nothing;
                }
                Phase::Open(_) => self.handle_frame(id, &mut rest, budget),
                Phase::Http => match self.handle_request(id, rest.0, progress) {
                    Ok(used) => {
                        budget.messages -= 1;
                        progress = Progress::default();
                        rest.take(used);
                    }
                    Err(progress) => {
                        self.wait_for_request(id);
                        return Left::Incomplete(rest.0.len(), progress);
                    }
                },
            }
        }
    }

    /// One WebSocket frame or message off the front of `rest`.
    fn handle_frame(&mut self, id: ConnId, rest: &mut Unread<'_>, budget: &mut Budget) {
        let message_bytes_max = self.conns.config.message_bytes_max;
        let Some(conn) = self.conns.get_mut(id) else { return };
        let event = conn.decoder.next(rest, message_bytes_max);
        budget.messages -= 1;
        match event {
            Some(Event::Message { data, text }) => {
                self.conns.counters.messages_in += 1;
                let mut io = Io { conns: &mut self.conns, current: Some((id, rest.0)) };
                self.driver.on_message(&mut io, id, &data, text);
            }
            Some(Event::Ping(payload)) => {
                conn.tail.get_or_insert_default().add_pong(&payload);
                self.conns.queue_flush(id);
                self.seen(id, rest.0);
            }
            Some(Event::Pong | Event::Fragment) | None => self.seen(id, rest.0),
            Some(Event::Close(code)) => {
                // RFC 6455 section 5.5.1: the answer carries the code that came.
                let echo = Some(code).filter(|code| *code != ws::NO_CODE);
                self.conns.close(id, echo, "");
                self.driver.on_ended(&mut Io::new(&mut self.conns), id, Ended::Close(code));
            }
            Some(Event::Violation { code, why }) => {
                self.conns.counters.violations += 1;
                self.conns.close(id, Some(code), &close_reason(code, why));
                self.driver.on_ended(&mut Io::new(&mut self.conns), id, Ended::Violation(code));
            }
        }
    }

    fn seen(&mut self, id: ConnId, rest: &[u8]) {
        let mut io = Io { conns: &mut self.conns, current: Some((id, rest)) };
        self.driver.on_seen(&mut io, id);
    }

    /// One HTTP request off the front of `bytes`: how many bytes it took, or, while it is
    /// incomplete, how far it was looked at.
    fn handle_request(
        &mut self,
        id: ConnId,
        bytes: &[u8],
        progress: Progress,
    ) -> Result<usize, Progress> {
        if bytes[0] == TLS_HANDSHAKE && self.conns.is_fresh_and_plain(id) {
            self.conns.counters.tls_unexpected += 1;
            self.conns.begin_closing(id);
            return Ok(bytes.len());
        }
        // RFC 9112 section 2.2: an empty line before a request is ignored.
        if bytes.starts_with(b"\r\n") {
            return Ok(2);
        }
        if bytes == b"\r" {
            return Err(Progress::default());
        }
        let config = &self.conns.config;
        let mut fields = head::fields();
        let head = match head::find_end(bytes, progress.scanned, config) {
            Ok(Some(head_bytes)) => head::parse(&bytes[..head_bytes], &mut fields, config),
            Ok(None) => {
                return Err(Progress { scanned: bytes.len(), need: 0, continued: false });
            }
            Err(refusal) => Err(refusal),
        };
        let head = match head {
            Ok(head) => head,
            Err(refusal) => {
                // Where the next request would begin is unknown.
                self.conns.respond(id, refusal, false, false);
                return Ok(bytes.len());
            }
        };
        if let Err(why) = self.admit_forwarded(id, &head.request) {
            self.turn_away(id, why);
            return Ok(bytes.len());
        }
        let head_bytes = head.bytes;
        let used = head_bytes + head.body_bytes;
        if bytes.len() < used {
            if progress.need == 0 {
                let mut io = Io::new(&mut self.conns);
                let welcome = self.driver.on_body(&mut io, &head.request, head.body_bytes);
                if let Err(refusal) = welcome {
                    // What is left of the body is not told from a next request.
                    self.conns.respond(id, refusal, false, false);
                    return Ok(bytes.len());
                }
                self.conns.wait_for_body(id);
            }
            if head.expects_continue && !progress.continued && bytes.len() == head_bytes {
                self.send_continue(id);
            }
            // The head is found again at once: its end is where the scan stopped.
            return Err(Progress { scanned: head_bytes - 1, need: used, continued: true });
        }
        let mut request = head.request;
        request.body = &bytes[head_bytes..used];
        let mut io = Io { conns: &mut self.conns, current: Some((id, bytes)) };
        let answer = self.driver.on_request(&mut io, id, &request);
        if self.conns.get(id).is_none() {
            return Ok(used);
        }
        match answer {
            Answer::Respond(response) => {
                self.conns.respond(id, response, request.method == "HEAD", request.keep_alive);
            }
            Answer::Upgrade { subprotocol, framing, tag } => {
                match upgrade::accept(&request, subprotocol) {
                    Ok(head) => self.open(id, &head, framing, tag, &bytes[used..]),
                    Err(refusal) => self.conns.respond(id, refusal, false, request.keep_alive),
                }
            }
            Answer::Stream { head, tag } => {
                self.stream(id, &head, request.method == "HEAD", tag);
            }
            Answer::Later => self.conns.owe_answer(id, request.keep_alive),
            Answer::Handoff { to } => {
                if let Some(detached) = self.conns.detach(id, bytes) {
                    self.driver.on_detached(&mut Io::new(&mut self.conns), to, detached);
                }
            }
        }
        Ok(used)
    }

    /// Completes the WebSocket handshake.
    fn open(&mut self, id: ConnId, head: &[u8], framing: Framing, tag: u32, rest: &[u8]) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.tail.get_or_insert_default().put(head);
        conn.phase = Phase::Open(framing);
        conn.in_head = false;
        conn.deadline = super::conn::NEVER;
        self.conns.counters.upgrades += 1;
        self.conns.counters.http_answers[0] += 1;
        self.conns.queue_flush(id);
        let mut io = Io { conns: &mut self.conns, current: Some((id, rest)) };
        self.driver.on_open(&mut io, id, tag);
    }

    /// Queues the head of a body that ends with the connection.
    fn stream(&mut self, id: ConnId, head: &Response, is_head: bool, tag: u32) {
        let class = usize::from(head.status / 100).clamp(1, 5) - 1;
        self.conns.counters.http_answers[class] += 1;
        let idle_until = self.conns.now.plus_ms(self.conns.config.idle_ms);
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.tail.get_or_insert_default().put(&head.stream_head());
        conn.in_head = false;
        if is_head {
            conn.close_after = true;
            self.conns.set_deadline(id, idle_until);
            self.conns.queue_flush(id);
            return;
        }
        conn.phase = Phase::Open(Framing::Stream);
        conn.deadline = super::conn::NEVER;
        conn.requests = 0;
        self.conns.queue_flush(id);
        self.driver.on_open(&mut Io::new(&mut self.conns), id, tag);
    }

    /// Bytes of a peer that has nothing more to say: only so many reads of them.
    fn discard(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.requests += 1;
        if conn.requests > DISCARDED_READS_MAX {
            self.lost(id);
        }
    }

    fn send_continue(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.tail.get_or_insert_default().put(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.conns.counters.http_answers[0] += 1;
            self.conns.queue_flush(id);
        }
    }

    /// Starts the clock of a request whose first bytes have come.
    fn wait_for_request(&mut self, id: ConnId) {
        let deadline = self.conns.now.plus_ms(self.conns.config.head_ms);
        if let Some(conn) = self.conns.get_mut(id)
            && !conn.in_head
        {
            conn.in_head = true;
            self.conns.set_deadline(id, deadline);
        }
    }

    /// Handles the deadlines that are past.
    pub(super) fn expire(&mut self) {
        while let Some(id) = self.conns.pop_expired() {
            let Some(conn) = self.conns.get(id) else { continue };
            match conn.phase {
                Phase::Http if conn.socket.is_handshaking() => {
                    self.conns.tls_failed(id, TlsFailure::Timeout);
                    self.conns.end(id);
                }
                Phase::Http if conn.tail.is_none() && conn.in_head => {
                    self.conns.counters.head_timeouts += 1;
                    let text = "The request was not complete in time.";
                    self.conns.respond(id, Response::text(408, text).closing(), false, false);
                }
                // Idle, or an answer that the peer does not take.
                Phase::Http => self.conns.end(id),
                Phase::Closing => {
                    self.conns.counters.linger_timeouts += 1;
                    self.conns.end(id);
                }
                Phase::Open(_) | Phase::Ended => {}
            }
        }
    }
}

/// The reason of a close for a violation: the name of the code, as SPEC.md promises, then what was
/// wrong.
fn close_reason(code: u16, why: &str) -> String {
    match CloseCode::find(code) {
        Some(known) => format!("{}: {why}", known.name),
        None => why.to_owned(),
    }
}
