//! Going away without losing anything that was accepted.
//!
//! Three steps, each asked for by the server's thread: *drain* (no new connections, no new joins,
//! clients told when to come back), *quiesce* (no more reading; shards pass on what is on its way
//! between them, then every connection is closed as its queue empties), *stop* (the deadline:
//! what still waits is counted, and the thread ends).

use super::Shard;
use crate::metrics::Counter;
use crate::net::Io;
use madang_engine::Input;
use madang_engine::id::ConnId;
use madang_protocol::CloseCode;

/// How far a shard's drain has come.
#[derive(Debug, Default)]
pub(super) struct Drain {
    stage: Stage,
    /// Connections whose queue was found empty since the last turn.
    drained: Vec<ConnId>,
    /// There are no lines any more, so that nobody has to come again.
    is_shut: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Serving,
    /// Clients are told.
    Draining,
    /// Nothing is read; messages between shards are on their way.
    Quiescing,
    /// Everything is in its queue; connections are looked at once.
    Quiesced,
    /// Connections are closed as they drain.
    Closing,
}

impl Drain {
    pub(super) fn quiesced(&mut self) {
        self.stage = Stage::Quiesced;
    }

    /// Whether no message of a client is taken any more.
    pub(super) fn is_quiet(&self) -> bool {
        self.stage >= Stage::Quiescing
    }

    /// Whether connections are closed as they drain.
    pub(super) fn is_closing(&self) -> bool {
        self.stage == Stage::Closing
    }

    /// A connection has nothing left to send.
    pub(super) fn drained(&mut self, conn: ConnId) {
        if self.stage == Stage::Closing {
            self.drained.push(conn);
        }
    }
}

impl Shard {
    pub(super) fn start_drain(&mut self, io: &mut Io<'_>) {
        self.drain.stage = Stage::Draining;
        self.shut(io);
        let (retry_min_ms, retry_max_ms) = self.retry_ms;
        self.input(io, Input::Drain { retry_min_ms, retry_max_ms });
    }

    pub(super) fn start_quiesce(&mut self, io: &mut Io<'_>) {
        self.drain.stage = Stage::Quiescing;
        io.pause_messages();
        self.drain.is_shut = false;
        self.shut(io);
        self.input(io, Input::Quiesce);
    }

    /// Accepts nobody any more, and then reads no request either, as soon as there are no lines: their
    /// clients come again for what is left.
    fn shut(&mut self, io: &mut Io<'_>) {
        if self.drain.is_shut || !self.lines.is_empty() {
            return;
        }
        self.drain.is_shut = true;
        io.stop_accepting();
        if self.drain.is_quiet() {
            io.pause_all_reads();
        }
    }

    /// Closes what is drained; ends the thread when nothing is left.
    pub(super) fn go_on_draining(&mut self, io: &mut Io<'_>) {
        if self.drain.stage >= Stage::Draining {
            self.shut(io);
        }
        match self.drain.stage {
            Stage::Quiesced => {
                self.drain.stage = Stage::Closing;
                self.lines.forget_told();
                let empty = |conn: &ConnId| self.engine.next_frame_len(*conn).is_none();
                let ready: Vec<ConnId> = self.engine.open_connections().filter(empty).collect();
                self.drain.drained = ready;
            }
            Stage::Closing => {}
            _ => return,
        }
        for conn in std::mem::take(&mut self.drain.drained) {
            if self.engine.next_frame_len(conn).is_none() {
                let code = CloseCode::DRAINING;
                self.close(io, conn, code);
                self.input(io, Input::Disconnected { conn, ends_session: false });
            }
        }
        if io.connections() == 0 && self.lines.is_empty() {
            io.stop();
        }
    }

    /// The deadline is past.
    pub(super) fn stop(&mut self, io: &mut Io<'_>) {
        // What is in a queue is counted in messages; what has left it and waits with the socket has
        // become bytes.
        let (messages, bytes) = (self.engine.waiting_reliable(), io.unwritten_bytes());
        self.block.set(Counter::DrainUnwritten, messages);
        if messages + bytes > 0 {
            let shard = self.number.0;
            tracing::warn!(
                shard,
                unwritten_messages = messages,
                unwritten_bytes = bytes,
                "the deadline came before clients had read everything"
            );
        }
        io.stop();
    }
}
