//! The writing half of a turn: at most one write call for every connection with something to send.

use super::conn::Phase;
use super::driver::Driver;
use super::reading::Core;
use super::transport::Sent;
use super::write::{Filled, Outbound};
use madang_engine::id::ConnId;
use std::io::IoSlice;

impl<D: Driver> Core<D> {
    /// Writes to the connections that were due when this began, within the turn's budget.
    pub(super) fn flush(&mut self, scratch: &mut Vec<u8>) {
        for _ in 0..self.conns.flush.len().min(self.conns.config.writes_per_turn) {
            let Some(id) = self.conns.flush.pop_front() else { break };
            let Some(conn) = self.conns.get_mut(id) else { continue };
            conn.in_flush = false;
            if conn.wants_write() {
                self.flush_one(id, scratch);
            }
        }
    }

    /// One write call: what was left of the last one, then what the driver has.
    fn flush_one(&mut self, id: ConnId, scratch: &mut Vec<u8>) {
        let (fill_bytes_max, batch_bytes_max) =
            (self.conns.config.fill_bytes_max, self.conns.config.batch_bytes_max);
        let Some(conn) = self.conns.get_mut(id) else { return };
        let mut tail = conn.tail.take();
        if let Some(tail) = &mut tail {
            tail.load_controls();
        }
        let mut more = conn.wants_fill;
        let mut filled = Filled::default();
        scratch.clear();
        if let (Phase::Open(framing), true) = (conn.phase, conn.wants_fill) {
            let room = tail.as_ref().map_or(fill_bytes_max, |tail| tail.room(fill_bytes_max));
            if room > 0 {
                let mut out = Outbound::new(scratch, framing, room, batch_bytes_max);
                more = self.driver.fill(id, &mut out);
                filled = out.finish();
            }
        }

        let fresh = &scratch[filled.start..];
        let (first, kept) = tail.as_ref().map_or((&[][..], &[][..]), |t| (t.bytes(), t.shared()));
        let last = filled.shared.as_deref().unwrap_or(kept);
        let total = first.len() + fresh.len() + last.len();
        if total == 0 && !conn.socket.has_pending() {
            // Nothing to push is nothing left, whatever the driver said: else the loop would spin.
            conn.wants_fill = false;
            self.all_written(id);
            return;
        }
        let mut slices = [IoSlice::new(&[]); 3];
        let mut used = 0;
        for bytes in [first, fresh, last] {
            if !bytes.is_empty() {
                slices[used] = IoSlice::new(bytes);
                used += 1;
            }
        }
        let sent = conn.socket.send(&slices[..used], total);
        let counters = &mut self.conns.counters;
        counters.write_calls += 1;
        counters.frames_out += filled.frames;
        let Some(Sent { taken: n, wire, blocked }) = sent else {
            self.lost(id);
            return;
        };
        counters.bytes_out += wire as u64;
        counters.short_writes += u64::from(blocked);
        if tail.is_some() || n < total {
            let mut rest = tail.unwrap_or_default();
            rest.advance(n, fresh, filled.shared);
            tail = if rest.is_empty() { None } else { Some(rest) };
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.blocked = blocked;
        conn.wants_fill = more && total > 0;
        conn.tail = tail;
        if wire > 0 && blocked {
            // A large answer, and what is left before a close, may take as long as it moves.
            let patience_ms = match conn.phase {
                Phase::Http => Some(self.conns.config.idle_ms),
                Phase::Closing => Some(self.conns.config.linger_ms),
                _ => None,
            };
            if let Some(ms) = patience_ms {
                let deadline = self.conns.now.plus_ms(ms);
                self.conns.set_deadline(id, deadline);
            }
        }
        let Some(conn) = self.conns.get(id) else { return };
        if conn.tail.is_none() && !conn.wants_fill && !blocked {
            self.all_written(id);
        }
        self.conns.queue_flush(id);
        self.conns.queue_read(id);
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
