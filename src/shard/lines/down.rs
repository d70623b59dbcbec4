//! What waits for a line, in the form of answers and events; and a line's end.

use super::requests::{down_response, gone, open_to};
use super::{Answered, Down};
use crate::net::http::Response;
use crate::net::{Io, Outbound};
use crate::shard::Shard;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use madang_engine::frame::{Frame, FrameKind};
use madang_engine::id::ConnId;
use madang_engine::time::Time;
use madang_engine::{Engine, Input};
use madang_protocol::CloseCode;

/// What of an event is not its data.
const EVENT_BYTES: usize = 16;

/// What one answer or event carries.
#[derive(Debug, Default)]
struct Load {
    /// A batch, or JSON texts.
    body: Vec<u8>,
    /// The ends of the JSON texts in it.
    ends: Vec<usize>,
    /// The engine wants to know whether the client is there.
    is_asked: bool,
}

impl Shard {
    /// Answers requests that waited for something which has come.
    pub(in super::super) fn answer_due(&mut self, io: &mut Io<'_>) {
        for id in std::mem::take(&mut self.lines.due) {
            let Some(line) = self.lines.get(id) else { continue };
            let (down, mut closed) = (line.down, line.closed);
            let (socket, is_late) = match down {
                Down::Open(socket) => (socket, false),
                Down::Poll { socket, is_late } => (socket, is_late),
                Down::Nothing | Down::Stream { .. } => continue,
            };
            let is_ending = self.drain.is_closing();
            // The last answer carries all that is left.
            let bytes_max =
                if is_ending { usize::MAX } else { self.lines.settings.answer_bytes_max };
            let load = load(&mut self.engine, id, bytes_max);
            let is_opening = matches!(down, Down::Open(_));
            let has_news = !load.body.is_empty() || closed.is_some();
            let is_sign_due = is_late || load.is_asked && !is_opening;
            if !has_news && !is_sign_due {
                continue;
            }
            if is_ending && closed.is_none() && !is_opening {
                closed = Some(CloseCode::DRAINING);
                self.input(io, Input::Disconnected { conn: id, ends_session: false });
            }
            self.lines.waiting.remove(&socket);
            let key = self.lines.key(id, (self.engine.config().node, self.number.0));
            let wait_ms = self.lines.settings.wait_ms.to_string();
            let size = self.lines.settings.message_bytes_max.to_string();
            let Some(line) = self.lines.get_mut(id) else { continue };
            let body = if line.is_json { load.into_array() } else { load.body };
            let mut response = down_response(line, &body, closed);
            if is_opening {
                if let Some(key) = key.filter(|_| closed.is_none()) {
                    response = response
                        .header("Madang-Line", key.to_string())
                        .header("Madang-Wait", wait_ms)
                        .header("Madang-Size", size);
                }
            } else {
                line.polled += 1;
                line.answered = Some(Answered { body, closed });
            }
            line.is_told = closed.is_some();
            let is_over = line.is_told && (is_ending || is_opening);
            self.lines.counts.polls += u64::from(!is_opening);
            io.respond(socket, response);
            if is_over {
                self.release_sender(io, id, closed);
                self.lines.remove(id);
            } else {
                self.lines.set_idle(id, io.now());
            }
        }
    }

    /// Writes to a line's stream. Returns whether more is left.
    pub(in super::super) fn fill_line(&mut self, socket: ConnId, out: &mut Outbound<'_>) -> bool {
        let lines = &mut self.lines;
        let Some(id) = lines.streams.get(&socket).copied() else { return false };
        let (answer_bytes_max, wait_ms) = (lines.settings.answer_bytes_max, lines.settings.wait_ms);
        let Some(line) = lines.get_mut(id) else { return false };
        let is_json = line.is_json;
        let mut text = Vec::new();
        if let Down::Stream { is_fresh: is_fresh @ true, .. } = &mut line.down {
            *is_fresh = false;
            text.extend_from_slice(format!("event: open\ndata: {wait_ms}\n\n").as_bytes());
        }
        if std::mem::take(&mut line.owes_comment) {
            text.extend_from_slice(b":\n\n");
        }
        line.is_quiet = false;
        while !out.is_full() {
            // Base64 makes four bytes of three.
            let room = (out.room().saturating_sub(text.len()) / 4 * 3).saturating_sub(EVENT_BYTES);
            let load = load(&mut self.engine, id, answer_bytes_max.min(room));
            if load.is_asked {
                text.extend_from_slice(b"event: ping\ndata:\n\n");
            }
            if is_json {
                load.texts().for_each(|one| put_text(&mut text, one));
            } else if !load.body.is_empty() {
                text.extend_from_slice(b"data: ");
                let base64 = STANDARD.encode(&load.body);
                text.extend_from_slice(base64.as_bytes());
                text.extend_from_slice(b"\n\n");
            }
            if text.is_empty() {
                break;
            }
            out.push(Frame::new(&text), FrameKind::Binary);
            text.clear();
        }
        let more = self.engine.next_frame_len(id).is_some();
        if !more {
            self.drain.drained(id);
        }
        more
    }

    /// The engine, or the client, has ended a line: whoever waits is told. It stays for a while, so that a
    /// client that does not wait can hear of it.
    pub(in super::super) fn close_line(&mut self, io: &mut Io<'_>, id: ConnId, code: CloseCode) {
        let is_ending = self.drain.is_closing();
        let Some(line) = self.lines.get_mut(id) else { return };
        if line.closed.is_some() {
            return;
        }
        line.closed = Some(code);
        line.is_paused = false;
        let down = line.down;
        self.release_sender(io, id, Some(code));
        let Some(line) = self.lines.get_mut(id) else { return };
        match down {
            Down::Stream { socket, .. } => {
                line.is_told = true;
                self.lines.streams.remove(&socket);
                let (code, name) = (code.code, code.name);
                let last = format!("event: close\ndata: {code} {name}\n\n");
                io.finish(socket, last.into_bytes());
                self.lines.set_idle(id, io.now());
                if is_ending {
                    self.lines.remove(id);
                }
            }
            Down::Open(_) | Down::Poll { .. } => self.lines.due.push(id),
            // It may come again.
            Down::Nothing => self.lines.set_idle(id, io.now()),
        }
    }

    /// The engine wants nothing of a line for now, or wants more.
    pub(in super::super) fn pause_line(&mut self, io: &mut Io<'_>, id: ConnId, is_paused: bool) {
        let Some(line) = self.lines.get_mut(id) else { return };
        line.is_paused = is_paused;
        if is_paused {
            return;
        }
        let origin = line.origin.clone();
        if let Some(socket) = line.sending.take() {
            self.lines.waiting.remove(&socket);
            io.respond(socket, open_to(Response::new(204), origin.as_deref()));
        }
    }

    /// A line's stream has ended: the line with it.
    pub(in super::super) fn line_stream_ended(&mut self, io: &mut Io<'_>, socket: ConnId) {
        if let Some(id) = self.lines.streams.get(&socket).copied() {
            self.lose_line(io, id);
        }
    }

    /// Somebody who waited for an answer has gone. What has come meanwhile waits for the next one.
    pub(in super::super) fn line_waiter_gone(&mut self, io: &mut Io<'_>, socket: ConnId) {
        let Some(id) = self.lines.waiting.get(&socket).copied() else { return };
        let now = io.now();
        let Some(line) = self.lines.get_mut(id) else { return };
        match line.down {
            // The session is on its way and ends when nobody takes it up.
            Down::Open(waiter) if waiter == socket => return,
            Down::Poll { socket: waiter, .. } if waiter == socket => self.lines.set_idle(id, now),
            _ => line.sending = line.sending.filter(|waiter| *waiter != socket),
        }
        self.lines.waiting.remove(&socket);
        // Nobody reads it: it lets the connection end.
        io.respond(socket, Response::new(204).closing());
    }

    /// Does what is due by itself.
    pub(in super::super) fn expire_lines(&mut self, io: &mut Io<'_>, now: Time) {
        while let Some(id) = self.lines.pop_expired(now) {
            let wait_ms = self.lines.settings.wait_ms;
            let Some(line) = self.lines.get_mut(id) else { continue };
            match &mut line.down {
                Down::Nothing => {
                    let is_open = line.closed.is_none();
                    self.lines.counts.idle += u64::from(is_open);
                    self.lose_line(io, id);
                }
                Down::Open(_) => {}
                Down::Poll { is_late, .. } => {
                    *is_late = true;
                    self.lines.due.push(id);
                }
                Down::Stream { socket, .. } => {
                    let socket = *socket;
                    if std::mem::replace(&mut line.is_quiet, true) {
                        line.owes_comment = true;
                        io.flush(socket);
                    }
                    // Half of it, because what was written may have been written just after the last look.
                    self.lines.set_deadline(id, now.plus_ms((wait_ms / 2).max(1)));
                }
            }
        }
    }

    /// Answers a send that still waits when its line ends.
    fn release_sender(&mut self, io: &mut Io<'_>, id: ConnId, closed: Option<CloseCode>) {
        let Some(line) = self.lines.get_mut(id) else { return };
        let origin = line.origin.clone();
        if let Some(socket) = line.sending.take() {
            self.lines.waiting.remove(&socket);
            io.respond(socket, open_to(gone(closed), origin.as_deref()));
        }
    }

    /// A line ends without a word; its session can be resumed.
    fn lose_line(&mut self, io: &mut Io<'_>, id: ConnId) {
        let Some(is_open) = self.lines.get(id).map(|line| line.closed.is_none()) else { return };
        self.release_sender(io, id, None);
        self.lines.remove(id);
        if is_open {
            self.input(io, Input::Disconnected { conn: id, ends_session: false });
        }
    }
}

/// Takes what waits for a line, up to a size; at least one frame.
fn load(engine: &mut Engine, id: ConnId, bytes_max: usize) -> Load {
    let mut load = Load::default();
    while let Some(bytes) = engine.next_frame_len(id) {
        if !load.body.is_empty() && load.body.len().saturating_add(bytes) > bytes_max {
            break;
        }
        let Some((frame, kind)) = engine.next_frame(id) else { break };
        if kind == FrameKind::Ping {
            load.is_asked = true;
            continue;
        }
        load.body.extend_from_slice(&frame);
        load.ends.push(load.body.len());
    }
    load
}

impl Load {
    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.body[start..*end])
    }

    /// The texts as one JSON array; nothing where there are none.
    fn into_array(self) -> Vec<u8> {
        if self.ends.is_empty() {
            return self.body;
        }
        let mut array = Vec::with_capacity(self.body.len() + self.ends.len() + 1);
        for text in self.texts() {
            array.push(if array.is_empty() { b'[' } else { b',' });
            array.extend_from_slice(text);
        }
        array.push(b']');
        array
    }
}

/// A text as an event: white space between its tokens may hold line breaks.
fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_an_array_and_events() {
        let load =
            Load { body: b"{\"a\":1}[2,\r\n3]".to_vec(), ends: vec![7, 14], is_asked: false };
        let mut events = Vec::new();
        load.texts().for_each(|text| put_text(&mut events, text));
        assert_eq!(events, b"data: {\"a\":1}\n\ndata: [2,\ndata: \ndata: 3]\n\n");
        assert_eq!(load.into_array(), b"[{\"a\":1},[2,\r\n3]]");
        assert!(Load::default().into_array().is_empty());
    }
}
