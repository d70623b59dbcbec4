//! The writing half of a turn: at most one write call for every connection with something to send.
//!
//! Connections are written in groups: first what each of a group has is put together, then the
//! write calls are made one behind the other. Between two calls into the system little is executed, so
//! that it finds its own code and data where it left them, and so do we.

use super::conn::Phase;
use super::driver::Driver;
use super::reading::Core;
use super::transport::Sent;
use super::write::{Filled, Outbound, Tail};
use madang_engine::id::ConnId;
use std::io::IoSlice;

/// Most connections of a group.
const GROUP_MAX: usize = 64;
/// A group is written when its connections have put together this much.
const GROUP_BYTES: usize = 128 << 10;

/// What the writing half of a turn keeps from one to the next.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// What a group's connections are sent, one behind the other.
    scratch: Vec<u8>,
    group: Vec<Prepared>,
    /// Connections of the group that turned out to be gone.
    lost: Vec<ConnId>,
}

/// What one write call is to carry.
#[derive(Debug)]
struct Prepared {
    id: ConnId,
    /// What was left of the last one.
    tail: Option<Box<Tail>>,
    /// What the driver had: bytes of the scratch buffer, and a frame behind them.
    filled: Filled,
    /// Whether the driver has more.
    more: bool,
}

impl<D: Driver> Core<D> {
    /// Writes to the connections that were due when this began, within the turn's budgets: first to those that
    /// stay, then to those that are closing.
    pub(super) fn flush(&mut self, desk: &mut Desk) {
        let mut stay = self.conns.flush.len().min(self.conns.config.writes_per_turn);
        let mut leave = self.conns.leaving.len().min(self.conns.closes_now());
        while stay + leave > 0 {
            desk.scratch.clear();
            while stay + leave > 0
                && desk.group.len() < GROUP_MAX
                && desk.scratch.len() < GROUP_BYTES
            {
                let (left, list) = match stay {
                    0 => (&mut leave, &mut self.conns.leaving),
                    _ => (&mut stay, &mut self.conns.flush),
                };
                *left -= 1;
                let Some(id) = list.pop_front() else { break };
                self.prepare(id, desk);
            }
            for prepared in desk.group.drain(..) {
                let id = prepared.id;
                if !self.write(prepared, &desk.scratch) {
                    desk.lost.push(id);
                }
            }
            // Only now: whoever hears of it may have something for others of the group.
            for id in desk.lost.drain(..) {
                self.lost(id);
            }
        }
        self.conns.shrink_lists();
    }

    /// Puts together what a connection is sent, if a write call is due.
    fn prepare(&mut self, id: ConnId, desk: &mut Desk) {
        let config = &self.conns.config;
        let (fill_bytes_max, batch_bytes_max) = (config.fill_bytes_max, config.batch_bytes_max);
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.in_flush = false;
        if !conn.wants_write() {
            return;
        }
        let mut tail = conn.tail.take();
        if let Some(tail) = &mut tail {
            tail.load_controls();
        }
        let mut more = conn.wants_fill;
        let mut filled = Filled::default();
        if let (Phase::Open(framing), true) = (conn.phase, conn.wants_fill) {
            let room = tail.as_ref().map_or(fill_bytes_max, |tail| tail.room(fill_bytes_max));
            if room > 0 {
                let mut out = Outbound::new(&mut desk.scratch, framing, room, batch_bytes_max);
                more = self.driver.fill(id, &mut out);
                filled = out.finish();
            }
        }
        if filled.is_empty() && tail.as_ref().is_none_or(|tail| tail.has_no_bytes()) {
            // Nothing to push is nothing left, whatever the driver said: else the loop would spin.
            more = false;
            conn.wants_fill = false;
            if !conn.socket.has_pending() {
                self.all_written(id);
                return;
            }
        }
        desk.group.push(Prepared { id, tail, filled, more });
    }

    /// The write call. Returns whether the connection is still there.
    fn write(&mut self, prepared: Prepared, scratch: &[u8]) -> bool {
        let Prepared { id, mut tail, filled, more } = prepared;
        let Some(conn) = self.conns.get_mut(id) else { return true };
        let fresh = &scratch[filled.bytes.clone()];
        let (first, kept) =
            tail.as_ref().map_or((&[][..], &[][..]), |tail| (tail.bytes(), tail.shared()));
        let last = filled.shared.as_deref().unwrap_or(kept);
        let total = first.len() + fresh.len() + last.len();
        let sent = match (first.len(), fresh.len(), last.len()) {
            (0, _, 0) => conn.socket.send(fresh),
            (_, 0, 0) => conn.socket.send(first),
            _ => conn.socket.send_vectored(&[first, fresh, last].map(IoSlice::new), total),
        };
        let counters = &mut self.conns.counters;
        counters.write_calls += 1;
        counters.frames_out += filled.frames;
        let Some(Sent { taken: n, wire, blocked }) = sent else { return false };
        counters.bytes_out += wire as u64;
        let Some(conn) = self.conns.get_mut(id) else { return true };
        conn.wants_fill = more;
        if n == total && !more && !blocked && matches!(conn.phase, Phase::Open(_)) {
            // By far the most: nothing is left of it.
            return true;
        }
        if tail.is_some() || n < total {
            let mut rest = tail.unwrap_or_default();
            rest.advance(n, fresh, filled.shared);
            tail = if rest.is_empty() { None } else { Some(rest) };
        }
        conn.tail = tail;
        conn.blocked = blocked;
        let is_written = conn.tail.is_none() && !more && !blocked;
        if blocked {
            self.conns.counters.short_writes += 1;
            self.be_patient(id, wire);
        }
        if is_written {
            self.all_written(id);
        }
        self.conns.queue_flush(id);
        self.conns.queue_read(id);
        true
    }

    /// A large answer, and what is left before a close, may take as long as it moves.
    fn be_patient(&mut self, id: ConnId, moved_bytes: usize) {
        let Some(conn) = self.conns.get(id).filter(|_| moved_bytes > 0) else { return };
        let patience_ms = match conn.phase {
            Phase::Http => self.conns.config.idle_ms,
            Phase::Closing => self.conns.config.linger_ms,
            Phase::Open(_) | Phase::Ended => return,
        };
        let deadline = self.conns.now.plus_ms(patience_ms);
        self.conns.set_deadline(id, deadline);
    }

    /// Nothing is left to be written.
    fn all_written(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        match conn.phase {
            Phase::Http if conn.close_after => {
                self.conns.begin_closing(id);
                self.conns.finish_closing(id);
            }
            Phase::Closing => self.conns.finish_closing(id),
            Phase::Http | Phase::Open(_) | Phase::Ended => {}
        }
    }
}
